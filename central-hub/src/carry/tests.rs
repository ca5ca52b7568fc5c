//! Sticks and fibre in any order, against a model; and who may seal. A real store behind a real intake.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rcgen::{CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::SignatureScheme;
use rustls::crypto::ring::sign::any_supported_type;
use rustls_pki_types::PrivatePkcs8KeyDer;
use sha2::{Digest, Sha256};
use simpul_carry::{Header, HubKey, Kind, Opening, Promise, Sealer, signed_message};
use simpul_clock::Clock;
use simpul_wire::batch::{seal, seal_image_part};
use simpul_wire::error::to_vec;
use simpul_wire::event::{EventBody, EventRecord, Loss, LossReason};
use simpul_wire::image::{ImageMeta, ImagePart};
use simpul_wire::service::{Origin, ServiceBody, ServiceRecord};
use simpul_wire::topic::Topic;
use simpul_wire::{Epoch, NodeId, RangeSet, SeqRange, Stamp, Stream};
use tokio::sync::{broadcast, mpsc, watch};

use super::*;
use crate::identity::{Places, carry};
use crate::intake::{Counters, Intake};
use crate::mqtt::{Incoming, Outbox, Publish, Receipt, Transport};
use crate::store::{Page, SqliteStore, Store, StoreConfig};

const NOW_MS: i64 = 1_795_000_000_000;
const EPOCH: Epoch = Epoch::from_bytes([5; 16]);
const SERVICES: u64 = 120;
const EVENTS: u64 = 30;
const IMAGES: u64 = 3;
const PART_BYTES: usize = 32 * 1024;

fn node() -> NodeId {
    "35.12.07.2003-01".parse().unwrap()
}

struct Authority(Issuer<'static, KeyPair>, String);

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Authority(Issuer::new(params, key), pem)
    }

    fn node(&self, name: &str) -> (Vec<u8>, KeyPair) {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        // Over for years: a node that was carried has been away.
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.0).unwrap().der().to_vec(), key)
    }
}

struct District {
    folder: tempfile::TempDir,
    authority: Authority,
    hub: HubKey,
    judge: Judge,
    store: Arc<SqliteStore>,
    incoming: mpsc::Sender<Incoming>,
    importer: Importer,
    _stop: watch::Sender<bool>,
}

impl District {
    fn start() -> District {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new();
        let ca_file = folder.path().join("ca.pem");
        std::fs::write(&ca_file, &authority.1).unwrap();
        let places = Places::of(folder.path());
        let hub = carry::ensure(&places.pki).unwrap();
        let clock = Clock::held(NOW_MS);
        let config = StoreConfig::new(folder.path().join("store"), 1 << 30);
        let store = Arc::new(SqliteStore::open(config, clock.clone()).unwrap());
        let judge = Judge { places, ca_file, revoked_file: None, clock: clock.clone() };
        let (incoming, receiver) = mpsc::channel(16);
        let (outbox, mut outgoing) = Outbox::new(16);
        tokio::spawn(async move { while outgoing.recv().await.is_some() {} });
        let (sender, carried) = mpsc::channel(4);
        let (stop, stopped) = watch::channel(false);
        let intake = Intake {
            store: store.clone(),
            clock,
            live: broadcast::channel(16).0,
            counters: Arc::new(Counters::default()),
            clock_synchronised: false,
        };
        tokio::spawn(intake.run_with(Transport { incoming: receiver, outbox }, carried, stopped));
        let importer = Importer::new(judge.clone(), store.clone(), sender);
        District { folder, authority, hub, judge, store, incoming, importer, _stop: stop }
    }

    async fn fibre(&self, stream: Stream, payload: Vec<u8>) {
        let (receipt, done) = Receipt::new();
        let topic = Topic::Up(node(), stream).to_string();
        let publish = Publish { node: node(), topic, payload: payload.into(), retain: false, receipt };
        self.incoming.send(Incoming::Publish(publish)).await.unwrap();
        done.await.unwrap();
    }

    async fn stick(&self, file: &[u8]) -> Result<CarryView, CarryError> {
        let pieces: Vec<Result<Bytes, String>> =
            file.chunks(10_000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        self.importer.import(stream::iter(pieces)).await
    }

    fn sealed(&self, name: &str, frames: &[Vec<u8>], promises: Vec<Promise>) -> Vec<u8> {
        let (certificate, key) = self.authority.node(name);
        file(&node(), self.hub, (certificate, &key), frames, promises)
    }
}

fn file(
    node: &NodeId,
    hub: HubKey,
    (certificate, key): (Vec<u8>, &KeyPair),
    frames: &[Vec<u8>],
    promises: Vec<Promise>,
) -> Vec<u8> {
    let header = Header { node: node.clone(), epoch: EPOCH, created_ms: NOW_MS, hub };
    let (mut sealer, mut file) = Sealer::begin(&header).unwrap();
    let key = any_supported_type(&PrivatePkcs8KeyDer::from(key.serialize_der()).into()).unwrap();
    let signer = key.choose_scheme(&[SignatureScheme::ECDSA_NISTP256_SHA256]).unwrap();
    let signature = signer.sign(&signed_message(&file)).unwrap();
    let opening = Opening {
        certificate: certificate.into(),
        scheme: signer.scheme().into(),
        signature: signature.into(),
        promises,
    };
    sealer.frame(Kind::Opening, &opening.to_vec(), &mut file).unwrap();
    frames.iter().for_each(|frame| sealer.frame(Kind::Publish, frame, &mut file).unwrap());
    sealer.end(&mut file).unwrap();
    file
}

fn stamp(seq: u64) -> Stamp {
    Stamp { boot: 1, uptime_ms: seq * 1_000, wall_ms: Some(NOW_MS - 86_400_000 + seq as i64 * 1_000) }
}

fn services(range: SeqRange) -> Vec<u8> {
    let record = |seq| {
        to_vec(&ServiceRecord {
            stamp: stamp(seq),
            key: format!("key-{seq}").parse().unwrap(),
            origin: Origin::Api,
            simulated: true,
            body: ServiceBody::Count { service: "ktp".parse().unwrap(), desk: None, delta: 1, total: None },
        })
    };
    let records: Vec<Vec<u8>> = (range.first()..=range.last()).map(record).collect();
    seal(&node(), EPOCH, Stream::Service, range, &records)
}

/// The first tells of a loss: of service records that are on a stick all the same.
fn events(range: SeqRange) -> Vec<u8> {
    let record = |seq| {
        let lost = SeqRange::new(90, 100).unwrap();
        let loss = Loss { epoch: EPOCH, stream: Stream::Service, range: lost, reason: LossReason::Damaged };
        let body = if seq == 1 { EventBody::Loss(loss) } else { EventBody::Stopping {} };
        to_vec(&EventRecord { stamp: stamp(seq), body })
    };
    let records: Vec<Vec<u8>> = (range.first()..=range.last()).map(record).collect();
    seal(&node(), EPOCH, Stream::Event, range, &records)
}

fn image(seq: u64) -> Vec<Vec<u8>> {
    let jpeg: Vec<u8> = (0..70_000u32).map(|at| (at as u64 * (seq + 1)) as u8).collect();
    let meta = ImageMeta {
        stamp: stamp(seq),
        camera: "kamera-1".parse().unwrap(),
        length: jpeg.len() as u32,
        sha256: Sha256::digest(&jpeg).into(),
        width: 640,
        height: 360,
        dhash: seq,
        masked_percent: 0,
        changed: true,
        simulated: true,
    };
    let part = |(index, bytes): (usize, &[u8])| {
        let part = ImagePart { meta: meta.clone(), offset: (index * PART_BYTES) as u32, bytes: bytes.to_vec() };
        seal_image_part(&node(), EPOCH, seq, &part)
    };
    jpeg.chunks(PART_BYTES).enumerate().map(part).collect()
}

fn drawn(random: &mut StdRng, last: u64) -> SeqRange {
    let first = random.random_range(1..=last);
    SeqRange::new(first, random.random_range(first..=last.min(first + 40))).unwrap()
}

fn of(view: &CarryView, stream: Stream) -> CarryStream {
    view.streams.iter().find(|row| row.stream == stream.name()).cloned().unwrap_or_default()
}

fn numbers(range: SeqRange) -> impl Iterator<Item = u64> {
    range.first()..=range.last()
}

async fn any_order(seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let district = District::start();
    let mut model: [BTreeSet<u64>; 3] = Default::default();
    let mut earlier: Vec<(Vec<u8>, [BTreeSet<u64>; 3])> = Vec::new();
    for step in 0..14 {
        if random.random_bool(0.5) {
            let range = drawn(&mut random, SERVICES);
            district.fibre(Stream::Service, services(range)).await;
            model[0].extend(numbers(range));
            let range = drawn(&mut random, EVENTS);
            district.fibre(Stream::Event, events(range)).await;
            model[1].extend(numbers(range));
            // A part of an image; the rest may come by stick.
            let seq = random.random_range(1..=IMAGES);
            let parts = image(seq);
            let some = random.random_range(1..=parts.len());
            for part in &parts[..some] {
                district.fibre(Stream::Snapshot, part.clone()).await;
            }
            if some == parts.len() {
                model[2].insert(seq);
            }
            continue;
        }
        let again = if random.random_bool(0.3) { earlier.choose(&mut random).cloned() } else { None };
        let (file, holds) = again.unwrap_or_else(|| {
            let (mut frames, mut holds): (Vec<Vec<u8>>, [BTreeSet<u64>; 3]) = Default::default();
            for _ in 0..random.random_range(1..4) {
                let range = drawn(&mut random, SERVICES);
                frames.push(services(range));
                holds[0].extend(numbers(range));
            }
            let range = drawn(&mut random, EVENTS);
            frames.push(events(range));
            holds[1].extend(numbers(range));
            let seq = random.random_range(1..=IMAGES);
            frames.extend(image(seq));
            holds[2].insert(seq);
            (district.sealed(node().as_str(), &frames, vec![]), holds)
        });
        let view = district.stick(&file).await.unwrap();
        assert!(view.whole && view.rejected.is_empty(), "seed {seed}, step {step}: {view:?}");
        // An image of which the fibre has brought a part may be whole by the two of them, earlier than this says.
        for (at, stream) in [Stream::Service, Stream::Event, Stream::Snapshot].into_iter().enumerate() {
            let new = holds[at].difference(&model[at]).count() as u64;
            let row = of(&view, stream);
            let had = holds[at].len() as u64 - new;
            if stream != Stream::Snapshot {
                assert_eq!((row.new, row.had), (new, had), "seed {seed}, step {step}, {stream}");
            } else {
                assert_eq!(row.new + row.had, new + had, "seed {seed}, step {step}, {stream}");
            }
            model[at].extend(&holds[at]);
        }
        earlier.push((file, holds));
    }
    for row in district.store.streams(Some(node())).await.unwrap() {
        let at = match row.stream {
            Stream::Service => 0,
            Stream::Event => 1,
            _ => continue,
        };
        let have: BTreeSet<u64> = row.have.iter().flat_map(numbers).collect();
        assert_eq!(have, model[at], "seed {seed}, {}", row.stream);
        let lost: Vec<u64> = row.lost.iter().flat_map(|loss| numbers(loss.range)).collect();
        assert!(lost.iter().all(|seq| !model[at].contains(seq)), "seed {seed}: lost and here");
    }
    let rows = district.store.service_records(Page { limit: 10_000, ..Page::default() }).await.unwrap();
    let seqs: Vec<u64> = rows.iter().map(|row| row.seq).collect();
    let distinct: BTreeSet<u64> = seqs.iter().copied().collect();
    assert_eq!((seqs.len(), &distinct), (model[0].len(), &model[0]), "seed {seed}: once each");
    district.store.close().await;
}

#[tokio::test]
async fn sticks_and_fibre_in_any_order_bring_everything_once() {
    let base = std::env::var("SIMPUL_FUZZ_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(20_261_124u64);
    for seed in base..base + 12 {
        println!("seed {seed}");
        any_order(seed).await;
    }
}

#[tokio::test]
async fn what_was_given_up_as_lost_is_found_again_and_a_cut_file_names_what_did_not_come() {
    let district = District::start();
    district.fibre(Stream::Event, events(SeqRange::new(1, 3).unwrap())).await;
    let all = SeqRange::new(1, SERVICES).unwrap();
    let ranges: RangeSet = [all].into_iter().collect();
    let promises = vec![Promise { epoch: EPOCH, stream: Stream::Service, ranges }];
    let mut frames: Vec<Vec<u8>> = vec![services(SeqRange::new(1, 60).unwrap())];
    frames.extend(image(1));
    frames.push(services(SeqRange::new(61, SERVICES).unwrap()));
    let file = district.sealed(node().as_str(), &frames, promises);
    // The second chunk is cut off: of the image one part and a half are there.
    let view = district.stick(&file[..file.len() - 100]).await.unwrap();
    assert!(!view.whole && view.problem.as_ref().is_some_and(|why| why.contains("cut short")), "{view:?}");
    let row = of(&view, Stream::Service);
    assert_eq!((row.new, row.found_again, row.missing), (60, 0, 60));
    assert_eq!((view.missing[0].first, view.missing[0].last), (61, SERVICES));
    let view = district.stick(&file).await.unwrap();
    let row = of(&view, Stream::Service);
    assert_eq!((row.new, row.had, row.found_again, row.missing), (60, 60, 11, 0));
    assert_eq!(of(&view, Stream::Snapshot).new, 1);
    let rows = district.store.streams(Some(node())).await.unwrap();
    assert!(rows.iter().all(|row| row.lost.is_empty()), "nothing is lost any more");
    district.store.close().await;
}

#[tokio::test]
async fn only_the_node_itself_can_seal_for_itself() {
    let district = District::start();
    let frames = [services(SeqRange::new(1, 5).unwrap())];
    let foreign = Authority::new().node(node().as_str());
    let forged = file(&node(), district.hub, (foreign.0.clone(), &foreign.1), &frames, vec![]);
    // A node's own certificate with another one's key: whoever saw a file of it has the first.
    let (certificate, _) = district.authority.node(node().as_str());
    let stolen = file(&node(), district.hub, (certificate, &foreign.1), &frames, vec![]);
    let neighbour = district.sealed("35.12.07.2003-02", &frames, vec![]);
    for (file, expected) in [(forged, "unknown_node"), (stolen, "bad_signature"), (neighbour, "other_node")] {
        assert_eq!(district.stick(&file).await.unwrap_err().code(), expected);
    }
    assert!(district.store.streams(None).await.unwrap().is_empty(), "nothing was taken");

    // Its payloads are its own too: a neighbour's numbers are not touched by it.
    let (certificate, key) = district.authority.node("35.12.07.2003-02");
    let neighbour: NodeId = "35.12.07.2003-02".parse().unwrap();
    let smuggled = file(&neighbour, district.hub, (certificate, &key), &frames, vec![]);
    let view = district.stick(&smuggled).await.unwrap();
    assert_eq!(view.rejected.iter().map(|row| row.reason.as_str()).collect::<Vec<_>>(), ["wrong_node"]);
    let rows = district.store.streams(Some(node())).await.unwrap();
    assert!(rows.is_empty());

    // Revoked by its list.
    let (certificate, key) = district.authority.node(node().as_str());
    let (_, serial) = crate::mqtt::certificate_identity(&certificate.clone().into()).unwrap();
    let list = district.folder.path().join("revoked");
    std::fs::write(&list, format!("{serial}\n")).unwrap();
    let judge = Judge { revoked_file: Some(list), ..district.judge.clone() };
    let importer = Importer::new(judge, district.store.clone(), mpsc::channel(1).0);
    let revoked = file(&node(), district.hub, (certificate, &key), &frames, vec![]);
    let taken = importer.import(stream::iter([Ok(Bytes::from(revoked))])).await;
    assert_eq!(taken.unwrap_err().code(), "revoked");
    district.store.close().await;
}
