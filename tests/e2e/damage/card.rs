//! A card with a backlog in every stream, made once and copied for each case.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use sha2::{Digest, Sha256};
use simpul_agent::config::{Config, SpoolConfig};
use simpul_agent::spool::{NewRecord, Spool};
use simpul_clock::Clock;
use simpul_testkit::node::{Node, NodeSettings};
use simpul_testkit::visitors::{Accepted, Desk, Ledger};
use simpul_tests::district::District;
use simpul_tests::outcome;
use simpul_wire::event::{EventBody, EventRecord};
use simpul_wire::image::ImageMeta;
use simpul_wire::reading::{Point, ReadingBlock, Series, Value};
use simpul_wire::{RangeSet, SeqRange, Stamp, Stream, Unit};

/// Databases are sealed at an eighth of a stream's limit: small ones, so that each stream has several.
const LIMITS: &str = "service_bytes_max = \"512 KiB\"\nevent_bytes_max = \"256 KiB\"\nreading_bytes_max = \"256 KiB\"\n\
                      snapshot_bytes_max = \"64 KiB\"\n\
                      ballast_bytes = \"64 KiB\"";
/// The serial of the machine that the card belongs to: the copies are in the same one, one after the other.
const SERIAL: &str = "simulasi-damage";
/// Enough for sealed databases and a head in each row.
const SERVICE_RECORDS: [usize; 2] = [1_900, 150];
const EVENTS: u32 = 1_000;
const READING_BLOCKS: u64 = 120;
/// Images before and after the events: more than fit, so that the oldest and the newest events tell of thinned ones.
const IMAGES: u8 = 16;
const IMAGE_BYTES: usize = 6_000;
/// Records that are appended at once.
const AT_ONCE: usize = 10;

/// What was accepted and waits.
pub struct Backlog {
    /// Its epoch.
    pub epoch: String,
    /// All numbers, by stream.
    pub ranges: BTreeMap<Stream, RangeSet>,
    /// Those of images that were thinned at the limit before the card was damaged: losses that wait in its events.
    pub thinned: RangeSet,
    ledger: Ledger,
}

impl Backlog {
    /// The service records that were accepted, as those of `node`.
    pub fn accepted_at(&self, node: &str) -> BTreeMap<String, Accepted> {
        let entries = self.ledger.entries().into_iter();
        entries.map(|(key, accepted)| (key, Accepted { node: node.to_owned(), ..accepted })).collect()
    }
}

/// The card, and what is on it.
pub struct Card {
    spool: tempfile::TempDir,
    /// What is on it.
    pub backlog: Backlog,
}

fn settings() -> NodeSettings {
    NodeSettings { hardware_serial: Some(SERIAL.to_owned()), spool_more: LIMITS.to_owned(), ..NodeSettings::default() }
}

impl Card {
    /// Fill a card: events, readings and images into the spool itself, service records by way of a running agent, which
    /// is then killed. The hub is not there.
    pub async fn fill(district: &mut District) -> Result<Card> {
        let folder = district.folder().join("card");
        let nowhere = std::net::SocketAddr::from(([127, 0, 0, 1], 9));
        let mut node = Node::prepare(&folder, &district.authority, "35.12.01.2090-01", nowhere, None, &settings())?;
        let config = Config::load(&folder.join("agent.toml"))?.spool;
        let mut ranges = fill_quietly(&config).await?;
        let ledger = Ledger::default();
        let desk = Desk::new(&node, "damage", &ledger)?;
        // Two runs: sled writes a snapshot of its own of what is there already when it opens.
        for records in SERVICE_RECORDS {
            node.start().await?;
            outcome::accept(&desk, records, 16).await?;
            node.kill();
        }

        let numbers: Option<RangeSet> =
            ledger.entries().values().map(|accepted| accepted.seq.map(SeqRange::one)).collect();
        ranges.insert(Stream::Service, numbers.context("an answer without a number")?);
        let spool = tempfile::tempdir()?;
        copy(&node.spool(), spool.path())?;
        let (epoch, thinned) = complete(spool.path(), &mut ranges)?;
        Ok(Card { spool, backlog: Backlog { epoch, ranges, thinned, ledger } })
    }

    /// A copy in a node of its own that knows the district's hub.
    pub fn copy(&self, district: &District, number: usize) -> Result<Node> {
        let id = format!("35.12.01.2{number:03}-02");
        let folder = district.folder().join(&id);
        let node = Node::prepare(&folder, &district.authority, &id, district.hub.mqtt(), None, &settings())?;
        copy(self.spool.path(), &node.spool())?;
        Ok(node)
    }
}

/// Events, readings and images, and no orderly close.
async fn fill_quietly(config: &SpoolConfig) -> Result<BTreeMap<Stream, RangeSet>> {
    let (spool, _) = Spool::open(config, Clock::machine())?;
    let mut ranges = BTreeMap::<Stream, RangeSet>::new();
    let stamp = Stamp { boot: 1, uptime_ms: 5_000, wall_ms: Some(1_790_000_000_000) };
    let events = (0..EVENTS).map(|number| {
        let detail = format!("event {number} of a card that will be damaged").parse().unwrap_or_default();
        (Stream::Event, NewRecord::Event(EventRecord { stamp, body: EventBody::Link { up: true, detail } }))
    });
    let blocks = (0..READING_BLOCKS).map(|block| {
        let value = |at: u64| Value::Number((block * 1_000 + at * at) as f64 / 7.0);
        let points = (0..80).map(|at| Point { uptime_ms: 5_000 + at * 750, value: value(at) }).collect();
        let series = Series { metric: "cpu_used".parse().unwrap_or_default(), unit: Unit::Percent, points };
        (Stream::Reading, NewRecord::Readings(ReadingBlock { base: stamp, series: vec![series] }))
    });
    let images = |first: u8| (first..first + IMAGES).map(|seed| (Stream::Snapshot, image(stamp, seed)));
    let records: Vec<_> = images(0).chain(events).chain(blocks).chain(images(IMAGES)).collect();
    // Some share a commit; all in one would all go into one database.
    for some in records.chunks(AT_ONCE) {
        let appends = some.iter().cloned().map(|(stream, record)| {
            let spool = spool.clone();
            async move { spool.append(record).await.map(|appended| (stream, appended.range)) }
        });
        for (stream, range) in try_join_all(appends).await? {
            ranges.entry(stream).or_default().insert(range);
        }
    }
    Ok(ranges)
}

fn image(stamp: Stamp, seed: u8) -> NewRecord {
    let jpeg: Vec<u8> = (0..IMAGE_BYTES).map(|at| (at as u8).wrapping_mul(31).wrapping_add(seed)).collect();
    let meta = ImageMeta {
        stamp,
        camera: "kamera-1".parse().unwrap_or_default(),
        length: IMAGE_BYTES as u32,
        sha256: Sha256::digest(&jpeg).into(),
        width: 640,
        height: 360,
        dhash: u64::from(seed),
        masked_percent: 0,
        changed: true,
        simulated: true,
    };
    NewRecord::Snapshot { meta, jpeg }
}

/// Hold what was accepted against what is on the card; the agent's own events (that it started, numbers that it left
/// out) are added. The card's epoch, and the images that it has no more.
fn complete(spool: &Path, ranges: &mut BTreeMap<Stream, RangeSet>) -> Result<(String, RangeSet)> {
    let out = tempfile::tempdir()?;
    simpul_agent::spool::export(spool, out.path())?;
    let text = fs::read_to_string(out.path().join("records.jsonl"))?;
    let mut found = BTreeMap::<Stream, RangeSet>::new();
    let mut epochs = BTreeSet::new();
    for line in text.lines() {
        let line: serde_json::Value = serde_json::from_str(line)?;
        let text = |field: &str| line[field].as_str().with_context(|| format!("no {field} in {line}"));
        let number = |field: &str| line[field].as_u64().with_context(|| format!("no {field} in {line}"));
        let range = SeqRange::new(number("first_seq")?, number("last_seq")?).context("an empty range")?;
        found.entry(text("stream")?.parse()?).or_default().insert(range);
        epochs.insert(text("epoch")?.to_owned());
    }
    let own_events = found.get(&Stream::Event).cloned().unwrap_or_default();
    let events = ranges.entry(Stream::Event).or_default();
    ensure!(events.iter().all(|range| own_events.contains_range(range)), "the undamaged card lacks events");
    *events = own_events;
    let mut thinned = ranges.get(&Stream::Snapshot).cloned().unwrap_or_default();
    let images = found.entry(Stream::Snapshot).or_default();
    thinned.remove_all(images);
    ensure!(!images.is_empty() && !thinned.is_empty(), "there are images, {images}, and thinned ones, {thinned}");
    images.insert_all(&thinned);
    ensure!(found == *ranges, "on the undamaged card: {found:?}; accepted: {ranges:?}");
    ensure!(epochs.len() == 1, "one epoch, not {epochs:?}");
    Ok((epochs.pop_first().context("an epoch")?, thinned))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
