//! Uploads to test with: deterministic records, so that a model can be computed beside them.

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sha2::{Digest, Sha256};
use simpul_wire::event::{EventBody, EventRecord, Loss, LossReason};
use simpul_wire::image::{ImageMeta, ImagePart};
use simpul_wire::reading::{Point, ReadingBlock, Series, Value};
use simpul_wire::service::{Origin, ServiceBody, ServiceRecord, VisitOutcome};
use simpul_wire::{Epoch, Missing, NodeId, RangeSet, SeqRange, Stamp, Stream, Unit};

use crate::store::{Content, Outcome, Records, Store, Upload};

/// 2026-11-20T00:00:00Z, the start of a day.
pub const NOW_MS: i64 = 1_795_132_800_000;
pub const MINUTE_MS: i64 = 60_000;
pub const HOUR_MS: i64 = 3_600_000;
pub const DAY_MS: i64 = 86_400_000;

/// A seeded generator that says its seed when the test fails. `SIMPUL_SEED` sets it.
pub fn random(name: &str) -> StdRng {
    let given = std::env::var("SIMPUL_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(|| rand::rng().random());
    println!("{name}: SIMPUL_SEED={seed}");
    StdRng::seed_from_u64(seed)
}

pub fn node(name: &str) -> NodeId {
    name.parse().unwrap()
}

pub fn epoch(number: u8) -> Epoch {
    Epoch::from_bytes([number; 16])
}

pub fn range(first: u64, last: u64) -> SeqRange {
    SeqRange::new(first, last).unwrap()
}

pub fn set(ranges: &[(u64, u64)]) -> RangeSet {
    ranges.iter().map(|(first, last)| range(*first, *last)).collect()
}

/// A stamp of boot 1 with a good clock.
pub fn clocked(at_ms: i64) -> Stamp {
    Stamp { boot: 1, uptime_ms: (at_ms - NOW_MS + 40 * DAY_MS).unsigned_abs(), wall_ms: Some(at_ms) }
}

pub fn unclocked(boot: u32, uptime_ms: u64) -> Stamp {
    Stamp { boot, uptime_ms, wall_ms: None }
}

pub fn upload(name: &str, content: Content) -> Upload {
    Upload { node: node(name), received_ms: NOW_MS, content }
}

pub fn batch(name: &str, epoch_number: u8, range: SeqRange, raw: Vec<u8>, records: Records) -> Upload {
    upload(name, Content::Batch { epoch: epoch(epoch_number), range, raw: Bytes::from(raw), records })
}

/// The service record with this number: one a minute back from now, counts and visits of three services.
pub fn service_record(seq: u64) -> ServiceRecord {
    let stamp = clocked(NOW_MS - (seq as i64 % 4_000) * MINUTE_MS);
    service_at(seq, stamp)
}

pub fn service_at(seq: u64, stamp: Stamp) -> ServiceRecord {
    let service = ["ktp", "kk", "akta"][seq as usize % 3].parse().unwrap();
    let body = match seq % 4 {
        0 | 1 => ServiceBody::Count { service, desk: None, delta: (seq % 7) as i64 - 1, total: None },
        2 => visit(service, VisitOutcome::Served),
        _ => visit(service, VisitOutcome::NoShow),
    };
    let key = format!("key-{seq}").parse().unwrap();
    // Of both sources, across services, kinds and simulation.
    let origin = if seq % 11 < 5 { Origin::Board } else { Origin::Api };
    ServiceRecord { stamp, key, origin, simulated: seq.is_multiple_of(5), body }
}

fn visit(service: simpul_wire::Label, outcome: VisitOutcome) -> ServiceBody {
    ServiceBody::Visit { service, desk: None, ticket: None, waited_s: Some(60), served_s: None, outcome }
}

pub fn service(name: &str, epoch_number: u8, range: SeqRange) -> Upload {
    let records = (range.first()..=range.last()).map(service_record).collect();
    batch(name, epoch_number, range, Vec::new(), Records::Service(records))
}

pub fn events(name: &str, epoch_number: u8, first: u64, records: Vec<EventRecord>) -> Upload {
    let range = SeqRange::with_count(first, records.len() as u64).unwrap();
    batch(name, epoch_number, range, Vec::new(), Records::Event(records))
}

pub fn event(stamp: Stamp, body: EventBody) -> EventRecord {
    EventRecord { stamp, body }
}

pub fn anchor(boot: u32, uptime_ms: u64, wall_ms: i64) -> EventRecord {
    event(unclocked(boot, uptime_ms), EventBody::ClockAnchor { wall_ms, error_ms: 20 })
}

pub fn loss(stream: Stream, first: u64, last: u64, reason: LossReason) -> EventRecord {
    let loss = Loss { epoch: epoch(1), stream, range: range(first, last), reason };
    event(clocked(NOW_MS), EventBody::Loss(loss))
}

/// Blocks of readings, one a minute from `from_ms` on: three metrics, a reading every 20 s, some missing. Values are
/// quarters, so that sums are exact in any order.
pub fn blocks(random: &mut StdRng, from_ms: i64, minutes: i64) -> Vec<ReadingBlock> {
    let block = |minute: i64, random: &mut StdRng| {
        let base = clocked(from_ms + minute * MINUTE_MS);
        let series = |metric: &str, random: &mut StdRng| Series {
            metric: metric.parse().unwrap(),
            unit: Unit::Percent,
            points: (0..3)
                .map(|index| Point {
                    uptime_ms: base.uptime_ms + index * 20_000,
                    value: if random.random_ratio(1, 10) {
                        Value::Missing(Missing::Timeout)
                    } else {
                        Value::Number(f64::from(random.random_range(-400..400)) / 4.0)
                    },
                })
                .collect(),
        };
        let series = ["cpu_used", "disk_used", "optics.0.rx_power"].map(|metric| series(metric, random));
        ReadingBlock { base, series: series.into() }
    };
    (0..minutes).map(|minute| block(minute, random)).collect()
}

/// The readings `first..=last` of a stream that begins with number 1 and holds these blocks, as one batch.
pub fn cut(name: &str, blocks: &[ReadingBlock], range: SeqRange) -> Upload {
    let mut cut = Vec::new();
    let mut start = 1u64;
    for block in blocks {
        let count = block.count() as u64;
        let from = range.first().saturating_sub(start).min(count);
        let to = (range.last() + 1).saturating_sub(start).min(count);
        if from < to {
            cut.push(block.slice(from as usize, to as usize));
        }
        start += count;
    }
    readings(name, range, cut)
}

pub fn readings(name: &str, range: SeqRange, blocks: Vec<ReadingBlock>) -> Upload {
    let plain = simpul_wire::error::to_vec(&blocks);
    let packed = simpul_wire::compress::compress(&plain);
    let raw = if packed.len() < plain.len() { packed } else { plain };
    batch(name, 1, range, raw, Records::Reading(blocks))
}

/// Ranges that cover `1..=last` at random boundaries, again and again, overlapping, in random order.
pub fn cuts(random: &mut StdRng, last: u64, longest: u64, times: u64) -> Vec<SeqRange> {
    let mut out = Vec::new();
    for _ in 0..times {
        let mut first = 1;
        while first <= last {
            let end = (first + random.random_range(0..longest)).min(last);
            let overlap = random.random_range(0..longest / 2);
            out.push(range(first.saturating_sub(overlap).max(1), end));
            first = end + 1;
        }
    }
    for index in (1..out.len()).rev() {
        out.swap(index, random.random_range(0..=index));
    }
    out
}

/// An image of random bytes and its parts.
pub fn image(random: &mut StdRng, camera: &str, stamp: Stamp, length: usize, part_bytes: usize) -> Vec<ImagePart> {
    let bytes: Vec<u8> = (0..length).map(|_| random.random()).collect();
    let meta = ImageMeta {
        stamp,
        camera: camera.parse().unwrap(),
        length: length as u32,
        sha256: Sha256::digest(&bytes).into(),
        width: 640,
        height: 480,
        dhash: 1,
        masked_percent: 0,
        changed: false,
        simulated: true,
    };
    let part = |(index, bytes): (usize, &[u8])| ImagePart {
        meta: meta.clone(),
        offset: (index * part_bytes) as u32,
        bytes: bytes.to_vec(),
    };
    bytes.chunks(part_bytes).enumerate().map(part).collect()
}

/// The bytes of an image from its parts.
pub fn bytes_of(parts: &[ImagePart]) -> Vec<u8> {
    parts.iter().flat_map(|part| part.bytes.iter().copied()).collect()
}

pub fn part(name: &str, seq: u64, part: ImagePart) -> Upload {
    upload(name, Content::Part { epoch: epoch(1), seq, part })
}

pub async fn commit(store: &dyn Store, group: Vec<Upload>) -> Vec<Outcome> {
    store.commit(group).await.unwrap()
}

pub async fn commit_one(store: &dyn Store, upload: Upload) -> Outcome {
    let mut outcomes = commit(store, vec![upload]).await;
    assert_eq!(outcomes.len(), 1);
    outcomes.remove(0)
}

/// What a commit brought; panics on anything but `Committed`.
pub fn new_of(outcome: Outcome) -> RangeSet {
    match outcome {
        Outcome::Committed { new, .. } => new,
        other => panic!("not committed: {other:?}"),
    }
}
