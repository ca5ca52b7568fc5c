//! Looking into a spool from outside, for `simpul-agent spool inspect|verify|export`. Never writes into the folder:
//! databases are opened as copies in a temporary folder, and only while no agent runs on them.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use simpul_wire::event::EventRecord;
use simpul_wire::image::ImageMeta;
use simpul_wire::reading::ReadingBlock;
use simpul_wire::service::ServiceRecord;
use simpul_wire::{Epoch, RangeSet, SeqRange, Stream};

use super::SpoolError;
use super::core::STREAMS;
use super::disk::{Disk, StoreError};
use super::packet::walk;
use super::row::{Row, image_name};
use super::sled_disk::SledDisk;
use super::stock::take_stock;
use super::witness::Witness;

/// What a spool's folder holds.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The folder.
    pub directory: PathBuf,
    /// An agent runs on it; heads may hold more than is said here.
    pub running: bool,
    /// A whole witness was found; without one the rest is empty.
    pub witness: bool,
    /// Closed in order.
    pub clean: bool,
    /// Boots of the machine under this agent.
    pub boot: u32,
    /// The hub's generation.
    pub generation: Option<String>,
    /// Bytes of ballast.
    pub ballast_bytes: u64,
    /// Image files.
    pub image_files: u64,
    /// Their bytes.
    pub image_bytes: u64,
    /// Databases that were set aside.
    pub quarantined: Vec<String>,
    /// The epochs, the store's own last.
    pub epochs: Vec<EpochReport>,
    /// Problems that [`verify`] found, in words; empty: none.
    pub problems: Vec<String>,
}

/// One epoch.
#[derive(Debug, Clone, Serialize)]
pub struct EpochReport {
    /// The epoch.
    pub epoch: String,
    /// Its streams.
    pub rows: Vec<RowReport>,
}

/// One stream of an epoch.
#[derive(Debug, Clone, Serialize)]
pub struct RowReport {
    /// The stream.
    pub stream: String,
    /// Numbers below it may have been used.
    pub ceiling: u64,
    /// Records that wait for the hub.
    pub owed_records: u64,
    /// Acknowledged numbers.
    pub acknowledged: u64,
    /// Records lost for ever.
    pub lost_records: u64,
    /// Its databases.
    pub databases: Vec<DatabaseReport>,
}

/// One database.
#[derive(Debug, Clone, Serialize)]
pub struct DatabaseReport {
    /// Its name.
    pub name: String,
    /// Nothing is added any more.
    pub sealed: bool,
    /// First number held.
    pub first_seq: Option<u64>,
    /// Last number held.
    pub last_seq: Option<u64>,
    /// Numbers held.
    pub records: u64,
    /// Bytes of the records.
    pub bytes: u64,
    /// Bytes of its folder on the card.
    pub disk_bytes: u64,
}

fn place(error: impl std::fmt::Display) -> SpoolError {
    SpoolError::Storage(error.to_string())
}

fn running(directory: &Path) -> bool {
    let Ok(lock) = File::open(directory.join("lock")) else { return false };
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_err()
}

/// A folder that is only read.
pub(super) struct Looked {
    pub(super) directory: PathBuf,
    witness: Option<Witness>,
}

impl Looked {
    pub(super) fn at(directory: &Path) -> Result<Looked, SpoolError> {
        if !directory.join("db").is_dir() {
            return Err(SpoolError::Storage(format!("{} is no spool: it has no folder db", directory.display())));
        }
        let read = |file: &str| fs::read(directory.join(file)).ok();
        let witness = Witness::better(read("witness.a").as_deref(), read("witness.b").as_deref());
        Ok(Looked { directory: directory.to_path_buf(), witness })
    }

    pub(super) fn rows(&self) -> Vec<(Epoch, Vec<Row>)> {
        let books = self.witness.iter().flat_map(|witness| &witness.epochs);
        books
            .map(|book| {
                let rows = STREAMS.iter().zip(&book.rows).map(|(stream, row)| Row::from_book(book.epoch, *stream, row));
                (book.epoch, rows.collect())
            })
            .collect()
    }

    fn disk_bytes(&self, name: &str) -> u64 {
        let files = fs::read_dir(self.directory.join("db").join(name)).into_iter().flatten().flatten();
        files.filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum()
    }

    pub(super) fn refuse_running(&self) -> Result<(), SpoolError> {
        if running(&self.directory) {
            return Err(SpoolError::Storage("an agent runs on this spool: stop it first".to_string()));
        }
        Ok(())
    }
}

/// What the witness says of a spool, and what lies beside it.
pub fn inspect(directory: &Path) -> Result<Report, SpoolError> {
    let looked = Looked::at(directory)?;
    let database = |row: &Row, shelf: &super::row::Shelf| {
        let name = row.database(shelf.number);
        DatabaseReport {
            sealed: shelf.sealed,
            first_seq: shelf.held.first(),
            last_seq: shelf.held.last(),
            records: shelf.held.count(),
            bytes: shelf.bytes,
            disk_bytes: looked.disk_bytes(&name),
            name,
        }
    };
    let row = |row: &Row| RowReport {
        stream: row.stream.to_string(),
        ceiling: row.ceiling,
        owed_records: row.owed.count(),
        acknowledged: row.acked.count(),
        lost_records: row.lost_records,
        databases: row.shelves.iter().map(|shelf| database(row, shelf)).collect(),
    };
    let epochs = looked
        .rows()
        .iter()
        .map(|(epoch, rows)| EpochReport { epoch: epoch.to_string(), rows: rows.iter().map(row).collect() })
        .collect();
    let images: Vec<u64> = fs::read_dir(directory.join("image"))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|file| file.metadata().ok())
        .map(|file| file.len())
        .collect();
    let quarantined = fs::read_dir(directory.join("db"))
        .map_err(place)?
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".quarantined"))
        .collect();
    let witness = looked.witness.as_ref();
    Ok(Report {
        directory: directory.to_path_buf(),
        running: running(directory),
        witness: witness.is_some(),
        clean: witness.is_some_and(|witness| witness.clean),
        boot: witness.map_or(0, |witness| witness.boot),
        generation: witness.and_then(|witness| witness.generation).map(|generation| generation.to_string()),
        ballast_bytes: fs::metadata(directory.join("ballast")).map_or(0, |file| file.len()),
        image_files: images.len() as u64,
        image_bytes: images.iter().sum(),
        quarantined,
        epochs,
        problems: Vec::new(),
    })
}

/// Copies of databases, in a temporary folder that goes with this value.
pub(super) struct Copies {
    folder: PathBuf,
    disk: SledDisk,
}

impl Copies {
    pub(super) fn new() -> Result<Copies, SpoolError> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(place)?;
        let folder = std::env::temp_dir().join(format!("simpul-spool-{}", hex::encode(random)));
        let disk = SledDisk::new(&folder)?;
        Ok(Copies { folder, disk })
    }

    /// Copy and open a database; the copy is deleted again after `use_it`.
    pub(super) fn with(
        &mut self,
        from: &Path,
        name: &str,
        use_it: &mut dyn FnMut(&dyn super::disk::Database) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        copy_folder(&from.join("db").join(name), &self.folder.join("db").join(name))
            .map_err(|error| StoreError::Failed(error.to_string()))?;
        let used = self.disk.open(name).and_then(|database| use_it(database.as_ref()));
        self.disk.delete(name)?;
        used
    }
}

impl Drop for Copies {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            tracing::warn!(%error, folder = %self.folder.display(), "the temporary folder is left behind");
        }
    }
}

fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Read every database whole and compare it with the witness; the report's `problems` say what does not fit.
pub fn verify(directory: &Path) -> Result<Report, SpoolError> {
    let mut report = inspect(directory)?;
    let looked = Looked::at(directory)?;
    looked.refuse_running()?;
    if looked.witness.is_none() {
        report.problems.push("no whole witness".to_string());
    }
    let mut copies = Copies::new()?;
    for (epoch, rows) in looked.rows() {
        for row in rows {
            for shelf in &row.shelves {
                let name = row.database(shelf.number);
                let mut missing = shelf.held.clone();
                let opened = copies.with(directory, &name, &mut |database| {
                    missing.remove_all(&take_stock(database, row.stream)?.held);
                    Ok(())
                });
                match opened {
                    Err(error) => report.problems.push(format!("{name}: {error}")),
                    Ok(()) if !missing.is_empty() => report.problems.push(format!("{name} lacks {missing}")),
                    Ok(()) => {}
                }
            }
            if row.stream == Stream::Snapshot {
                for seq in row.owed.iter().flat_map(|range| range.first()..=range.last()) {
                    let name = image_name(epoch, seq);
                    if !directory.join("image").join(&name).is_file() {
                        report.problems.push(format!("image {name} is missing"));
                    }
                }
            }
        }
    }
    Ok(report)
}

/// A line of an export. `cbor` is the record as it travels, whole; the rest is for people.
#[derive(Serialize)]
struct Line {
    epoch: String,
    stream: &'static str,
    first_seq: u64,
    last_seq: u64,
    /// The hub has it.
    acknowledged: bool,
    text: String,
    cbor: String,
}

/// What an export wrote.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Exported {
    /// Records (blocks of readings count as one).
    pub records: u64,
    /// Image files.
    pub images: u64,
    /// Databases that could not be read.
    pub unreadable: u64,
}

/// Write every record as a line of JSON to `<out>/records.jsonl` and copy the images to `<out>/image`.
pub fn export(directory: &Path, out: &Path) -> Result<Exported, SpoolError> {
    let looked = Looked::at(directory)?;
    looked.refuse_running()?;
    fs::create_dir_all(out).map_err(place)?;
    let mut lines = BufWriter::new(File::create_new(out.join("records.jsonl")).map_err(place)?);
    let mut copies = Copies::new()?;
    let mut done = Exported::default();
    for (epoch, rows) in looked.rows() {
        for row in rows {
            for shelf in &row.shelves {
                let mut failed: Option<SpoolError> = None;
                let opened = copies.with(directory, &row.database(shelf.number), &mut |database| {
                    walk(database, 0, &mut |item| {
                        // Left by a commit that failed: it was never accepted.
                        if row.lost.contains_range(item.range) {
                            return true;
                        }
                        let line = line(epoch, row.stream, item.range, &item.bytes, &row.acked);
                        let text = serde_json::to_string(&line).map_err(place);
                        let written = text.and_then(|text| writeln!(lines, "{text}").map_err(place));
                        done.records += 1;
                        failed = written.err();
                        failed.is_none()
                    })
                });
                if let Some(error) = failed {
                    return Err(error);
                }
                if let Err(error) = opened {
                    tracing::warn!(%error, database = row.database(shelf.number), "not exported");
                    done.unreadable += 1;
                }
            }
        }
    }
    lines.flush().map_err(place)?;
    let images = directory.join("image");
    if images.is_dir() {
        copy_folder(&images, &out.join("image")).map_err(place)?;
        done.images = fs::read_dir(out.join("image")).map_err(place)?.count() as u64;
    }
    Ok(done)
}

fn line(epoch: Epoch, stream: Stream, range: SeqRange, bytes: &[u8], acked: &RangeSet) -> Line {
    let text = match stream {
        Stream::Service => minicbor::decode::<ServiceRecord>(bytes).map(|record| format!("{record:?}")).ok(),
        Stream::Event => minicbor::decode::<EventRecord>(bytes).map(|record| format!("{record:?}")).ok(),
        Stream::Reading => ReadingBlock::from_slice(bytes)
            .map(|block| format!("{} readings of {} series from {:?}", block.count(), block.series.len(), block.base))
            .ok(),
        Stream::Snapshot => minicbor::decode::<ImageMeta>(bytes).map(|meta| format!("{meta:?}")).ok(),
    };
    Line {
        epoch: epoch.to_string(),
        stream: stream.name(),
        first_seq: range.first(),
        last_seq: range.last(),
        acknowledged: acked.contains_range(range),
        text: text.unwrap_or_else(|| "unreadable".to_string()),
        cbor: hex::encode(bytes),
    }
}
