//! What is damaged, and how: each kind of damage that was met in the field or by measurement, at each class of place.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use rand::RngExt;
use rand::rngs::StdRng;
use simpul_wire::{RangeSet, SeqRange, Stream};

/// One case.
pub struct Case {
    /// What is done.
    pub kind: &'static str,
    /// To what.
    pub place: Place,
}

/// What is damaged.
#[derive(Clone, Copy)]
pub enum Place {
    /// The database that records go into.
    Head(Stream),
    /// The oldest one, sealed.
    Sealed(Stream),
    /// A file of the spool's own.
    File(&'static str),
    /// Both copies of the witness.
    Witnesses,
    /// The file of an image.
    Image,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Place::Head(stream) => write!(f, "{} of the {stream} head", self.kind),
            Place::Sealed(stream) => write!(f, "{} of a sealed {stream} database", self.kind),
            Place::File(name) => write!(f, "{} of {name}", self.kind),
            Place::Witnesses => write!(f, "{} of both witnesses", self.kind),
            Place::Image => write!(f, "{} of an image", self.kind),
        }
    }
}

const FIRST_BYTES: &str = "damage in the first 16 bytes";
const MIDDLE: &str = "damage in mid-file";
const TORN_TAIL: &str = "a torn tail";
const TORN_SNAPSHOT: &str = "a torn snapshot of sled's own";
const GONE: &str = "the loss";
const FLIPPED: &str = "a flipped byte";
const CUT: &str = "the loss of the end";

/// These must cost records somewhere.
pub const HARMFUL: [&str; 6] = [FIRST_BYTES, MIDDLE, TORN_TAIL, GONE, FLIPPED, CUT];
/// These must not.
pub const HARMLESS: [&str; 4] = [TORN_SNAPSHOT, WITNESS_FLIPPED, WITNESS_CUT, WITNESS_GONE];

const WITNESS_FLIPPED: &str = "a flipped byte in the books";
const WITNESS_CUT: &str = "the loss of half of the books";
const WITNESS_GONE: &str = "the loss of the books";

const fn case(kind: &'static str, place: Place) -> Case {
    Case { kind, place }
}

/// All cases.
pub const CASES: [Case; 32] = [
    case(FIRST_BYTES, Place::Head(Stream::Service)),
    case(FIRST_BYTES, Place::Sealed(Stream::Service)),
    case(FIRST_BYTES, Place::Head(Stream::Event)),
    case(FIRST_BYTES, Place::Sealed(Stream::Event)),
    case(FIRST_BYTES, Place::Head(Stream::Reading)),
    case(FIRST_BYTES, Place::Sealed(Stream::Reading)),
    case(FIRST_BYTES, Place::Head(Stream::Snapshot)),
    case(MIDDLE, Place::Head(Stream::Service)),
    case(MIDDLE, Place::Sealed(Stream::Service)),
    case(MIDDLE, Place::Head(Stream::Event)),
    case(MIDDLE, Place::Sealed(Stream::Event)),
    case(MIDDLE, Place::Head(Stream::Reading)),
    case(MIDDLE, Place::Sealed(Stream::Reading)),
    case(MIDDLE, Place::Head(Stream::Snapshot)),
    case(TORN_TAIL, Place::Head(Stream::Service)),
    case(TORN_TAIL, Place::Sealed(Stream::Service)),
    case(TORN_TAIL, Place::Head(Stream::Event)),
    case(TORN_TAIL, Place::Sealed(Stream::Event)),
    case(TORN_TAIL, Place::Head(Stream::Reading)),
    case(TORN_TAIL, Place::Head(Stream::Snapshot)),
    case(TORN_SNAPSHOT, Place::Head(Stream::Service)),
    case(TORN_SNAPSHOT, Place::Head(Stream::Event)),
    case(GONE, Place::Head(Stream::Service)),
    case(GONE, Place::Sealed(Stream::Service)),
    case(WITNESS_FLIPPED, Place::File("witness.a")),
    case(WITNESS_CUT, Place::File("witness.b")),
    case(WITNESS_GONE, Place::Witnesses),
    case(WITNESS_FLIPPED, Place::Witnesses),
    case(WITNESS_FLIPPED, Place::File("mark")),
    case(GONE, Place::Image),
    case(CUT, Place::Image),
    case(FLIPPED, Place::Image),
];

/// Damage a spool. Returns the numbers that this may cost, by stream.
pub fn damage(case: &Case, spool: &Path, random: &mut StdRng) -> Result<BTreeMap<Stream, RangeSet>> {
    let (stream, database) = match case.place {
        Place::Head(stream) => (stream, databases(spool, stream)?.pop().context("no database")?),
        Place::Sealed(stream) => {
            let all = databases(spool, stream)?;
            ensure!(all.len() > 1, "{stream} has no sealed database");
            (stream, all[0].clone())
        }
        Place::File(name) => return harm(case.kind, &spool.join(name), random).map(|()| BTreeMap::new()),
        Place::Witnesses => {
            harm(case.kind, &spool.join("witness.a"), random)?;
            return harm(case.kind, &spool.join("witness.b"), random).map(|()| BTreeMap::new());
        }
        Place::Image => {
            let mut images: Vec<PathBuf> = list(&spool.join("image"))?;
            let image = images.swap_remove(random.random_range(0..images.len()));
            harm(case.kind, &image, random)?;
            let name = image.file_stem().and_then(|name| name.to_str()).context("an image's name")?;
            let (_, seq) = name.split_once('-').context("an image's number")?;
            return Ok(BTreeMap::from([(Stream::Snapshot, RangeSet::from_iter([SeqRange::one(seq.parse()?)]))]));
        }
    };
    let at_most = BTreeMap::from([(stream, RangeSet::from_iter([held(spool, &database)?]))]);
    if case.kind == TORN_SNAPSHOT {
        let snapshots = list(&database)?.into_iter().filter(|path| name_of(path).starts_with("snap."));
        let snapshots: Vec<PathBuf> = snapshots.collect();
        ensure!(!snapshots.is_empty(), "{case}: sled wrote none");
        for file in &snapshots {
            shorten(file, fs::metadata(file)?.len() / 2)?;
        }
        return Ok(BTreeMap::new());
    }
    harm(case.kind, &database.join("db"), random)?;
    Ok(at_most)
}

fn harm(kind: &str, file: &Path, random: &mut StdRng) -> Result<()> {
    let end = written(file)?;
    match kind {
        FIRST_BYTES => overwrite(file, 0, &[0xff; 16]),
        MIDDLE => overwrite(file, end / 2 + random.random_range(0..end / 8), &[0x55; 700]),
        TORN_TAIL => shorten(file, end - random.random_range(100..900).min(end / 2)),
        GONE | WITNESS_GONE => Ok(fs::remove_file(file)?),
        CUT | WITNESS_CUT => shorten(file, end / 2),
        FLIPPED | WITNESS_FLIPPED => {
            let mut bytes = fs::read(file)?;
            let at = random.random_range(0..bytes.len());
            bytes[at] ^= 1 << random.random_range(0..8);
            Ok(fs::write(file, bytes)?)
        }
        other => anyhow::bail!("no such damage: {other}"),
    }
}

/// Where the last byte that is not zero stands: sled's file is longer than what was written.
fn written(file: &Path) -> Result<u64> {
    let bytes = fs::read(file).with_context(|| format!("read {}", file.display()))?;
    Ok(bytes.iter().rposition(|byte| *byte != 0).map_or(0, |at| at as u64 + 1))
}

fn overwrite(file: &Path, offset: u64, bytes: &[u8]) -> Result<()> {
    Ok(fs::OpenOptions::new().write(true).open(file)?.write_all_at(bytes, offset)?)
}

fn shorten(file: &Path, length: u64) -> Result<()> {
    Ok(fs::OpenOptions::new().write(true).open(file)?.set_len(length)?)
}

/// What a database holds, by the books: a sealed one its range, a head everything behind the sealed ones.
fn held(spool: &Path, database: &Path) -> Result<SeqRange> {
    let report = simpul_agent::spool::inspect(spool)?;
    let row = report
        .epochs
        .iter()
        .flat_map(|epoch| &epoch.rows)
        .find(|row| row.databases.iter().any(|held| held.name == name_of(database)));
    let row = row.with_context(|| format!("{} is not in the books", database.display()))?;
    let sealed_end = row.databases.iter().filter(|held| held.sealed).filter_map(|held| held.last_seq).max();
    let own = row.databases.iter().find(|held| held.name == name_of(database) && held.sealed);
    let range = match own.and_then(|own| own.first_seq.zip(own.last_seq)) {
        Some((first, last)) => SeqRange::new(first, last),
        None => SeqRange::new(sealed_end.map_or(0, |last| last + 1), u64::MAX - 1),
    };
    range.context("an empty range")
}

/// The databases of a stream, oldest first.
fn databases(spool: &Path, stream: Stream) -> Result<Vec<PathBuf>> {
    let all = list(&spool.join("db"))?;
    Ok(all.into_iter().filter(|path| name_of(path).starts_with(stream.name())).collect())
}

fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
