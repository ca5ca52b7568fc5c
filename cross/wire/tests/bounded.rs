//! Decoders against hostile bytes: no panic, and never a megabyte for a payload of at most 64 KiB.
//!
//! Every payload kind is mutated from valid ones and made from noise, under an allocator that records the peak.
//! The seed is printed; `SIMPUL_FUZZ_ROUNDS` and `SIMPUL_FUZZ_SEED` make it longer or other.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use simpul_wire::ack::*;
use simpul_wire::batch::{Batch, Encoding, seal, seal_image_part};
use simpul_wire::command::{Action, Command};
use simpul_wire::enrolment::{self, EnrolRequest, EnrolmentToken, Identity, Refusal, RenewRequest, Trust};
use simpul_wire::error::to_vec;
use simpul_wire::event::*;
use simpul_wire::image::{ImageMeta, ImagePart};
use simpul_wire::limits::PAYLOAD_BYTES_MAX;
use simpul_wire::reading::{Point, ReadingBlock, Series, Value};
use simpul_wire::service::{Origin, ServiceBody, ServiceRecord};
use simpul_wire::state::{AgentState, StreamState};
use simpul_wire::topic::Topic;
use simpul_wire::update::{ConfigurationOffer, Manifest, Offers, Part, ProgramOffer, SignedManifest, Step, Version};
use simpul_wire::*;

const ALLOCATED_BYTES_MAX: usize = 1024 * 1024;

struct Counting;

thread_local! {
    static NOW: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: passes every call on to the system's allocator unchanged; only counts beside it.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = NOW.try_with(|now| {
            now.set(now.get() + layout.size());
            let _ = PEAK.try_with(|peak| peak.set(peak.get().max(now.get())));
        });
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        let _ = NOW.try_with(|now| now.set(now.get().saturating_sub(layout.size())));
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn peak_of(work: impl FnOnce()) -> usize {
    let before = NOW.get();
    PEAK.set(before);
    work();
    PEAK.get().saturating_sub(before)
}

fn decode_all(payload: &[u8]) {
    if let Ok(batch) = Batch::open(payload) {
        let _ = batch.decode();
    }
    let _ = Downlink::from_slice(payload);
    let _ = AgentState::from_slice(payload);
    let _ = Command::from_slice(payload);
    let _ = ReadingBlock::from_slice(payload);
    let _ = ImagePart::from_slice(payload);
    let _ = enrolment::KeptIdentity::from_file(payload);
    let _ = enrolment::LoginRequest::from_slice(payload);
    let _ = technician::NodeFacts::from_slice(payload);
    let _ = technician::NodeList::from_slice(payload);
    let _ = technician::Acceptance::from_slice(payload);
    let _ = technician::SignedAcceptance::from_slice(payload);
    let _ = minicbor::decode::<doctor::Report>(payload);
    let _ = compress::decompress(payload);
    let _ = EnrolRequest::from_slice(payload);
    let _ = RenewRequest::from_slice(payload);
    let _ = Identity::from_slice(payload);
    let _ = Trust::from_slice(payload);
    let _ = Refusal::from_slice(payload);
    let _ = Manifest::from_slice(payload);
    let _ = Offers::from_slice(payload);
    if let Ok(text) = std::str::from_utf8(payload) {
        let _ = Topic::parse(text);
        let _ = text.parse::<EnrolmentToken>();
    }
}

fn node() -> NodeId {
    "35.12.07.2003-01".parse().unwrap()
}

const EPOCH: Epoch = Epoch::from_bytes([0xab; 16]);
const STAMP: Stamp = Stamp { boot: 3, uptime_ms: 61_000, wall_ms: Some(1_795_000_000_000) };

fn block() -> ReadingBlock {
    let points = (0..60u64).map(|i| Point {
        uptime_ms: 61_000 + i * 1_000,
        value: if i % 17 == 3 {
            Value::Missing(Missing::Timeout)
        } else {
            Value::Number(20.0 + (i * i % 50) as f64 / 100.0)
        },
    });
    let points: Vec<Point> = points.collect();
    let series = |metric: &str, unit| Series { metric: metric.parse().unwrap(), unit, points: points.clone() };
    ReadingBlock { base: STAMP, series: vec![series("cpu_used", Unit::Percent), series("temperature", Unit::Celsius)] }
}

fn seeds() -> Vec<Vec<u8>> {
    let service = to_vec(&ServiceRecord {
        stamp: STAMP,
        key: "k-1".parse().unwrap(),
        origin: Origin::Api,
        simulated: true,
        body: ServiceBody::Count {
            service: "ktp".parse().unwrap(),
            desk: Some("2".parse().unwrap()),
            delta: -1,
            total: Some(17),
        },
    });
    let loss = Loss { epoch: EPOCH, stream: Stream::Service, range: SeqRange::one(9), reason: LossReason::Damaged };
    let event = to_vec(&EventRecord { stamp: STAMP, body: EventBody::Loss(loss) });
    let camera = doctor::Code::CameraHttp.finding(doctor::Verdict::Fail).with_text("camera", "halaman");
    let examined = doctor::Report::clipped(None, "0.1.0".parse().unwrap(), 9, vec![camera; 20]);
    let body = EventBody::Examination { verdict: examined.worst(), report: examined.seal() };
    let examination = to_vec(&EventRecord { stamp: STAMP, body });
    let range = |count| SeqRange::with_count(5, count).unwrap();
    let meta = ImageMeta {
        stamp: STAMP,
        camera: "halaman".parse().unwrap(),
        length: 5_000,
        sha256: [4; 32],
        width: 640,
        height: 480,
        dhash: 99,
        masked_percent: 3,
        changed: true,
        simulated: false,
    };
    let have: RangeSet = [SeqRange::new(1, 9).unwrap(), SeqRange::new(12, 40).unwrap()].into_iter().collect();
    let ack = Ack {
        generation: Generation::from_bytes([1; 16]),
        epoch: EPOCH,
        stream: Stream::Snapshot,
        have: have.clone(),
        rejected: vec![Rejected { range: SeqRange::one(50), reason: RejectReason::TooLarge }],
        partial: vec![PartialImage { seq: 51, missing: have.clone() }],
        slow_down_ms: 5,
    };
    let hub = HubState {
        generation: Generation::from_bytes([1; 16]),
        backed_up: vec![BackedUp { epoch: EPOCH, stream: Stream::Event, ranges: have }],
        wall_ms: Some(1),
    };
    let stream = StreamState {
        stream: Stream::Event,
        next_seq: 10,
        backlog_records: 3,
        backlog_bytes: 400,
        limit_bytes: 16 << 20,
        lost_records: 0,
        oldest_uptime_ms: Some(7),
    };
    let state = AgentState {
        online: true,
        epoch: EPOCH,
        stamp: STAMP,
        version: "0.1.0".parse().unwrap(),
        interval_s: 30,
        generation: None,
        streams: vec![stream],
        hardware: None,
        platform: None,
    };
    let version = Version { major: 0, minor: 2, patch: 1 };
    let manifest = Manifest {
        part: Part::Agent,
        version,
        platform: "aarch64-linux".parse().unwrap(),
        content_bytes: 2_500_000,
        content_sha256: [1; 32],
        installed_bytes: 5_900_000,
        installed_sha256: [2; 32],
        floor: version,
        downgrade: true,
    };
    let signed = SignedManifest { manifest: manifest.to_vec().into(), key_id: [1; 8], signature: [2; 64] };
    let offers = Offers {
        agent: Some(ProgramOffer { rollout: [1; 16], signed: signed.clone() }),
        board: Some(ProgramOffer { rollout: [2; 16], signed }),
        configuration: Some(ConfigurationOffer {
            rollout: [3; 16],
            revision: 7,
            content_bytes: 900,
            content_sha256: [3; 32],
        }),
    };
    let update = EventBody::Update {
        rollout: [1; 16],
        part: Part::Board,
        to: "0.2.1".parse().unwrap(),
        from: Label::default(),
        step: Step::Trial,
        detail: "on trial".parse().unwrap(),
    };
    let update = to_vec(&EventRecord { stamp: STAMP, body: update });
    vec![
        manifest.to_vec(),
        offers.to_vec(),
        seal(&node(), EPOCH, Stream::Event, range(2), &[update.clone(), update]),
        seal(&node(), EPOCH, Stream::Service, range(40), &vec![service; 40]),
        seal(&node(), EPOCH, Stream::Event, range(3), &[event.clone(), event, examination]),
        seal(&node(), EPOCH, Stream::Reading, range(120), &[block().to_vec()]),
        seal_image_part(&node(), EPOCH, 5, &ImagePart { meta, offset: 100, bytes: vec![7; 900] }),
        Downlink::Ack(ack).to_vec(),
        Downlink::Hub(hub).to_vec(),
        state.to_vec(),
        Command { id: [1; 16], ttl_ms: 5, action: Action::SnapshotNow { camera: "halaman".parse().unwrap() } }.to_vec(),
        block().to_vec(),
        to_vec(&examined),
        Topic::Up(node(), Stream::Event).to_string().into_bytes(),
    ]
}

fn mutate(random: &mut StdRng, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = seeds[random.random_range(0..seeds.len())].clone();
    for _ in 0..random.random_range(0..6) {
        let at = random.random_range(0..=bytes.len().saturating_sub(1));
        match random.random_range(0..6) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << random.random_range(0..8),
            1 if !bytes.is_empty() => bytes[at] = random.random(),
            2 => bytes.truncate(at),
            3 => bytes.insert(at.min(bytes.len()), random.random()),
            // A CBOR head that claims 2^32 or 2^64 items, where one may stand.
            4 => bytes
                .splice(
                    at.min(bytes.len())..at.min(bytes.len()),
                    [
                        [0x9b, 0x5b, 0xbb, 0x7b][random.random_range(0..4)],
                        0xff,
                        0xff,
                        0xff,
                        0xff,
                        0xff,
                        0xff,
                        0xff,
                        0xff,
                    ],
                )
                .for_each(drop),
            _ => {
                let other = &seeds[random.random_range(0..seeds.len())];
                let from = random.random_range(0..other.len());
                bytes.extend_from_slice(&other[from..]);
            }
        }
    }
    // Half of the mutants keep a fitting checksum, so that the body's decoder is reached.
    if random.random()
        && let Some(fixed) = reseal(&bytes)
    {
        return fixed;
    }
    bytes
}

/// Give a mutated batch the body's own header again: what a broken or hostile agent would send.
fn reseal(bytes: &[u8]) -> Option<Vec<u8>> {
    let original =
        seeds().into_iter().find(|seed| seed.len().abs_diff(bytes.len()) < 16 && Batch::open(seed).is_ok())?;
    let header = Batch::open(&original).ok()?.header;
    let body = bytes.get(bytes.len().min(64)..)?;
    (header.encoding != Encoding::ImagePart)
        .then(|| seal(&header.node, header.epoch, header.stream, header.range, &[body]))
}

fn identity() -> Identity {
    Identity {
        certificate: vec![0x30; 600].into(),
        validity: enrolment::Validity { from_s: 1_795_000_000, to_s: 1_829_300_000 },
        trust: Trust {
            authorities: vec![vec![0x30; 400].into(), vec![0x31; 400].into()],
            hubs: vec!["hub.example:8883".parse().unwrap()],
            addresses: vec!["hub.example:8884".parse().unwrap()],
            renew: true,
            carry: Some([7; 32].into()),
        },
    }
}

#[test]
fn hostile_enrolment_tokens_and_answers_neither_panic_nor_allocate_a_megabyte() {
    let seed = std::env::var("SIMPUL_FUZZ_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(20_261_124);
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let token = EnrolmentToken {
        node: node(),
        secret: enrolment::Secret::from_bytes([7; 16]),
        authority: [0xca; 32],
        addresses: vec!["hub.example:8884".parse().unwrap()],
        expires_s: 1_796_000_000,
    };
    let refusal = Refusal { reason: enrolment::RefusalReason::UsedToken, text: "used".parse().unwrap() };
    let request = EnrolRequest { node: node(), secret: token.secret.clone(), request: vec![0x30; 300].into() };
    let kept = enrolment::KeptIdentity { node: node(), key: vec![1; 138].into(), identity: identity(), token: None };
    let seeds = [
        token.to_string().into_bytes(),
        to_vec(&token),
        identity().to_vec(),
        refusal.to_vec(),
        request.to_vec(),
        kept.to_file(),
    ];
    let mut worst = 0;
    for round in 0..30_000 {
        let mut bytes = seeds[round % seeds.len()].clone();
        for _ in 0..random.random_range(1..4) {
            let place = random.random_range(0..bytes.len());
            match random.random_range(0..3) {
                0 => bytes[place] = random.random(),
                1 => bytes.truncate(place.max(1)),
                _ => bytes.insert(place, random.random()),
            }
        }
        worst = worst.max(peak_of(|| decode_all(&bytes)));
    }
    println!("peak allocation {worst} bytes");
    assert!(worst < ALLOCATED_BYTES_MAX, "{worst} bytes");
    assert_eq!(Identity::from_slice(&identity().to_vec()), Ok(identity()));
    assert!(Identity::from_slice(&vec![0; enrolment::ANSWER_BYTES_MAX + 1]).is_err());
    let crowded = Trust { hubs: vec!["h:1".parse().unwrap(); 9], ..identity().trust };
    assert!(Trust::from_slice(&crowded.to_vec()).is_err());
}

#[test]
fn hostile_bytes_neither_panic_nor_allocate_a_megabyte() {
    let number =
        |name: &str, default: u64| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (rounds, seed) = (number("SIMPUL_FUZZ_ROUNDS", 60_000), number("SIMPUL_FUZZ_SEED", 20_261_124));
    println!("seed {seed}, {rounds} rounds");
    let mut random = StdRng::seed_from_u64(seed);
    let seeds = seeds();
    let mut worst = 0;
    for _ in 0..rounds {
        let payload = mutate(&mut random, &seeds);
        worst = worst.max(peak_of(|| decode_all(&payload)));
    }
    for _ in 0..rounds / 100 {
        let mut noise = vec![0; random.random_range(0..PAYLOAD_BYTES_MAX)];
        random.fill_bytes(&mut noise);
        worst = worst.max(peak_of(|| decode_all(&noise)));
    }
    println!("peak allocation {worst} bytes");
    assert!(worst < ALLOCATED_BYTES_MAX, "{worst} bytes");
}

#[test]
fn a_bomb_is_refused_before_it_is_unpacked() {
    // 64 KiB of zstd can hold gigabytes of zeros; the frame's own size is looked at first.
    let bomb = compress::compress(&vec![0; 16 << 20]);
    assert!(bomb.len() < PAYLOAD_BYTES_MAX);
    let peak = peak_of(|| {
        let refused = compress::decompress(&bomb).unwrap_err();
        assert_eq!(refused.to_string(), "decompressed body is too large: 16777216, limit 262144");
    });
    assert!(peak < 4_096, "{peak} bytes");
}

#[test]
fn the_largest_allowed_batches_decode_within_the_bound() {
    // The densest readings: two bytes a point, as many points as a batch may hold.
    let points: Vec<Point> = (0..64).map(|i| Point { uptime_ms: 61_000 + i, value: Value::Number(0.0) }).collect();
    let series = (0..256).map(|i| Series {
        metric: format!("m{i}").parse().unwrap(),
        unit: Unit::Count,
        points: points.clone(),
    });
    let block = ReadingBlock { base: STAMP, series: series.collect() };
    let range = SeqRange::with_count(1, block.count() as u64).unwrap();
    let readings = seal(&node(), EPOCH, Stream::Reading, range, &[block.to_vec()]);
    // The densest events.
    let event = to_vec(&EventRecord { stamp: STAMP, body: EventBody::Stopping {} });
    let events = seal(&node(), EPOCH, Stream::Event, SeqRange::with_count(1, 1_024).unwrap(), &vec![event; 1_024]);
    for payload in [readings, events] {
        let peak = peak_of(|| {
            Batch::open(&payload).unwrap().decode().unwrap();
        });
        println!("{} bytes -> peak {peak}", payload.len());
        assert!(peak < ALLOCATED_BYTES_MAX, "{peak} bytes");
    }
}

#[test]
fn a_count_over_the_limit_is_refused() {
    let event = to_vec(&EventRecord { stamp: STAMP, body: EventBody::Stopping {} });
    let payload = seal(&node(), EPOCH, Stream::Event, SeqRange::with_count(1, 1_025).unwrap(), &vec![event; 1_025]);
    let refused = Batch::open(&payload).unwrap().decode().unwrap_err();
    assert_eq!(refused.to_string(), "records in a batch is too large: 1025, limit 1024");
}
