//! What the spool's tests share: records to append, a configuration with small limits, and a hub that keeps sets.
#![allow(dead_code, clippy::unwrap_used, missing_docs, reason = "each test binary uses a part of it")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use sha2::{Digest, Sha256};
use simpul_agent::config::SpoolConfig;
use simpul_agent::spool::{NewRecord, Spool, SpoolState, Stored};
use simpul_clock::Clock;
use simpul_wire::ack::{Ack, HubState};
use simpul_wire::event::{EventBody, EventRecord, Loss, LossReason, SpoolCondition};
use simpul_wire::image::ImageMeta;
use simpul_wire::reading::{Point, ReadingBlock, Series, Value};
use simpul_wire::service::{Origin, ServiceBody, ServiceRecord};
use simpul_wire::{Epoch, Generation, RangeSet, SeqRange, Stamp, Stream, Unit};

pub const MIB: u64 = 1024 * 1024;

pub fn config(folder: &Path) -> SpoolConfig {
    SpoolConfig {
        directory: folder.to_path_buf(),
        service_bytes_max: 64 * MIB,
        event_bytes_max: 16 * MIB,
        reading_bytes_max: 64 * MIB,
        snapshot_bytes_max: 64 * MIB,
        kept_bytes_max: 16 * MIB,
        kept_for: Duration::from_secs(48 * 3_600),
        ballast_bytes: 64 * 1024,
        hardware_serial: Some("board-1".to_string()),
    }
}

/// A folder in memory where there is one: what these tests look at does not depend on how long an fsync takes.
pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

pub fn stamp() -> Stamp {
    Stamp { boot: 1, uptime_ms: 5_000, wall_ms: None }
}

pub fn service(key: &str, delta: i64) -> NewRecord {
    let body = ServiceBody::Count { service: "ktp".parse().unwrap(), desk: None, delta, total: None };
    let key = key.parse().unwrap();
    NewRecord::Service(ServiceRecord { stamp: stamp(), key, origin: Origin::Api, simulated: false, body })
}

pub fn event(number: u32) -> NewRecord {
    let body = EventBody::ClockAnchor { wall_ms: i64::from(number), error_ms: number };
    NewRecord::Event(EventRecord { stamp: stamp(), body })
}

pub fn block(points: u64) -> ReadingBlock {
    let points = (0..points).map(|at| Point { uptime_ms: at * 1_000, value: Value::Number(at as f64) }).collect();
    let series = vec![Series { metric: "cpu_used".parse().unwrap(), unit: Unit::Percent, points }];
    ReadingBlock { base: stamp(), series }
}

pub fn snapshot(seed: u8, length: usize, changed: bool) -> NewRecord {
    let jpeg: Vec<u8> = (0..length).map(|at| (at as u8).wrapping_mul(31).wrapping_add(seed)).collect();
    let meta = ImageMeta {
        stamp: stamp(),
        camera: "cam-1".parse().unwrap(),
        length: length as u32,
        sha256: Sha256::digest(&jpeg).into(),
        width: 640,
        height: 480,
        dhash: u64::from(seed),
        masked_percent: 0,
        changed,
        simulated: true,
    };
    NewRecord::Snapshot { meta, jpeg }
}

pub fn all() -> SeqRange {
    SeqRange::new(0, u64::MAX - 1).unwrap()
}

pub fn range(first: u64, last: u64) -> SeqRange {
    SeqRange::new(first, last).unwrap()
}

pub async fn owed_records(spool: &Spool, stream: Stream) -> Vec<Stored> {
    let epoch = spool.state().borrow().epoch;
    owed_of(spool, epoch, stream).await
}

/// Everything owed of one epoch and stream, as an uplink would read it.
pub async fn owed_of(spool: &Spool, epoch: Epoch, stream: Stream) -> Vec<Stored> {
    let mut found: Vec<Stored> = Vec::new();
    loop {
        let from = found.last().map_or(0, |last| last.range.last() + 1);
        let more = spool.read(epoch, stream, range(from, u64::MAX - 1), 64 * 1024, 500).await.unwrap();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}

pub fn key_of(stored: &Stored) -> String {
    minicbor::decode::<ServiceRecord>(&stored.bytes).unwrap().key.to_string()
}

pub async fn events(spool: &Spool) -> Vec<EventBody> {
    let stored = owed_records(spool, Stream::Event).await;
    stored.iter().map(|stored| minicbor::decode::<EventRecord>(&stored.bytes).unwrap().body).collect()
}

pub async fn losses(spool: &Spool) -> Vec<Loss> {
    let bodies = events(spool).await;
    bodies.into_iter().filter_map(|body| if let EventBody::Loss(loss) = body { Some(loss) } else { None }).collect()
}

/// The numbers declared lost of a stream, `unused` ones apart.
pub async fn lost(spool: &Spool, epoch: Epoch, stream: Stream) -> (RangeSet, RangeSet) {
    let (mut lost, mut unused) = (RangeSet::new(), RangeSet::new());
    for loss in losses(spool).await.into_iter().filter(|loss| loss.epoch == epoch && loss.stream == stream) {
        let set = if loss.reason == LossReason::Unused { &mut unused } else { &mut lost };
        set.insert(loss.range);
    }
    (lost, unused)
}

pub async fn conditions(spool: &Spool) -> Vec<SpoolCondition> {
    let bodies = events(spool).await;
    let condition = |body| if let EventBody::Spool { condition, .. } = body { Some(condition) } else { None };
    bodies.into_iter().filter_map(condition).collect()
}

pub fn generation(number: u8) -> Generation {
    Generation::from_bytes([number; 16])
}

pub fn ack(state: &SpoolState, stream: Stream, have: impl IntoIterator<Item = SeqRange>) -> Ack {
    Ack {
        generation: state.generation.unwrap_or(generation(1)),
        epoch: state.epoch,
        stream,
        have: have.into_iter().collect(),
        rejected: Vec::new(),
        partial: Vec::new(),
        slow_down_ms: 0,
    }
}

pub async fn acknowledge(spool: &Spool, stream: Stream, have: impl IntoIterator<Item = SeqRange>) {
    let ack = ack(&spool.state().borrow().clone(), stream, have);
    spool.acknowledge(ack).await.unwrap();
}

pub fn hub(number: u8) -> HubState {
    HubState { generation: generation(number), backed_up: Vec::new(), wall_ms: None }
}

pub fn open(config: &SpoolConfig) -> (Spool, simpul_agent::spool::OpenReport) {
    Spool::open(config, Clock::machine()).unwrap()
}

/// By number: the contents of a stream's owed service records.
pub async fn keys_by_number(spool: &Spool) -> BTreeMap<u64, String> {
    let stored = owed_records(spool, Stream::Service).await;
    stored.iter().map(|stored| (stored.range.first(), key_of(stored))).collect()
}

/// Copy a spool, as a copier of cards does.
pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() { copy_folder(&source, &target) } else { drop(std::fs::copy(source, target)) }
    }
}

/// The databases of a stream, oldest first.
pub fn databases(folder: &Path, stream: Stream) -> Vec<std::path::PathBuf> {
    let mut found: Vec<_> = std::fs::read_dir(folder.join("db"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            name.starts_with(stream.name()) && !name.ends_with("quarantined")
        })
        .collect();
    found.sort();
    found
}
