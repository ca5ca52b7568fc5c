//! Backup and restore. A backup is a directory: the database as of one moment, and its images (hard links where the
//! file system allows it, so that the next backup costs only what is new).
//!
//! The order is what makes it honest: copy, fsync, rename, and only then remember what the copy holds as *backed up*,
//! which is what lets agents free their kept records. A restore gives the store a new generation, so that agents begin
//! again from what the backup has.

use std::collections::HashSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, params};
use simpul_wire::{Generation, Stream};

use super::quarantine::{DATABASE, INCOMING, SNAPSHOTS, WITNESS};
use super::schema::{meta, open_reader, set_meta};
use super::space::sync_directory;
use super::{SqliteStore, new_generation};
use crate::store::{BackupReport, Restored, StoreError};

/// In `meta`: when the store was restored.
const RESTORED_MS: &str = "restored_ms";

/// What a restore did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreReport {
    /// The restored store's generation: a new one.
    pub generation: Generation,
    /// When the backup was begun, Unix milliseconds, if it says so.
    pub backup_ms: Option<i64>,
    /// Service records in it.
    pub service_records: u64,
    /// Events in it.
    pub events: u64,
    /// Images in it, and how many of them the backup really has.
    pub images: (u64, u64),
    /// Bytes of the database.
    pub bytes: u64,
    /// Where a store that was there before was moved (with `force`).
    pub moved: Option<PathBuf>,
}

impl SqliteStore {
    /// Write a backup into `directory`: an empty one, or one that holds an earlier backup of this store.
    pub(super) async fn backup_to(&self, directory: PathBuf) -> Result<BackupReport, StoreError> {
        let _alone = self.backing_up.lock().await;
        let at_ms = self.clock.wall_ms();
        let (from, images) = (self.config.directory.join(DATABASE), self.config.directory.join(SNAPSHOTS));
        let (report, held) = tokio::task::spawn_blocking(move || copy(&from, &images, &directory, at_ms))
            .await
            .map_err(|error| StoreError::Backend(format!("the backup ended early: {error}")))??;
        self.write(move |writer| {
            writer.transact(|connection| {
                connection.execute("DELETE FROM backed_up", [])?;
                for (stream, have) in &held {
                    connection
                        .prepare_cached("INSERT INTO backed_up VALUES (?1, ?2)")?
                        .execute(params![stream, have])?;
                }
                // What came again since a restore is in a backup now.
                connection.execute("DELETE FROM meta WHERE key = ?1", [RESTORED_MS])?;
                set_meta(connection, "last_backup_ms", at_ms)
            })
        })
        .await?;
        Ok(report)
    }
}

/// What the store says of its restore, until the next backup.
pub(super) fn restored(connection: &Connection) -> Result<Option<Restored>, StoreError> {
    let Some(at_ms) = meta(connection, RESTORED_MS)? else { return Ok(None) };
    Ok(Some(Restored { at_ms, backup_ms: meta(connection, "backup_ms")? }))
}

type Held = Vec<(i64, Vec<u8>)>;

fn copy(database: &Path, images: &Path, directory: &Path, at_ms: i64) -> Result<(BackupReport, Held), StoreError> {
    fs::create_dir_all(directory)?;
    let source = open_reader(database)?;
    refuse_foreign(&source, directory)?;
    let unfinished = directory.join("hub.sqlite.unfinished");
    remove_if_there(&unfinished)?;
    {
        let mut target = Connection::open(&unfinished)?;
        // All pages in one step: a copy of one moment, while the writer goes on.
        rusqlite::backup::Backup::new(&source, &mut target)?.step(-1)?;
    }
    drop(source);
    let copy = Connection::open(&unfinished)?;
    copy.pragma_update(None, "journal_mode", "DELETE")?;
    set_meta(&copy, "backup_ms", at_ms)?;
    let held = held(&copy)?;
    let objects = objects(&copy)?;
    copy.close().map_err(|(_, error)| error)?;
    File::open(&unfinished)?.sync_all()?;

    let target = directory.join(SNAPSHOTS);
    let (copied, _) = link_images(&objects, images, &target)?;
    prune(&target, &target, &objects.iter().map(String::as_str).collect())?;
    fs::rename(&unfinished, directory.join(DATABASE))?;
    sync_directory(directory)?;
    let bytes = fs::metadata(directory.join(DATABASE))?.len();
    Ok((BackupReport { bytes, images: copied, at_ms }, held))
}

/// An empty directory, or an earlier backup of the same generation; anything else might be someone's.
fn refuse_foreign(source: &Connection, directory: &Path) -> Result<(), StoreError> {
    if fs::read_dir(directory)?.next().is_none() {
        return Ok(());
    }
    let earlier = directory.join(DATABASE);
    let generation = |connection: &Connection| meta::<Vec<u8>>(connection, "generation");
    let same = earlier.exists() && {
        let earlier = Connection::open_with_flags(&earlier, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        generation(&earlier)? == generation(source)?
    };
    if same || (!earlier.exists() && directory.join("hub.sqlite.unfinished").exists()) {
        return Ok(());
    }
    Err(StoreError::Backend(format!(
        "{} is not empty and holds no backup of this store: give an empty directory",
        directory.display()
    )))
}

/// The interval sets of a copy's `service` and `event` streams.
fn held(copy: &Connection) -> Result<Held, StoreError> {
    let mut statement = copy.prepare("SELECT id, have FROM stream WHERE stream IN (?1, ?2)")?;
    let kept = params![Stream::Service.number(), Stream::Event.number()];
    Ok(statement.query_map(kept, |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?)
}

fn objects(copy: &Connection) -> Result<Vec<String>, StoreError> {
    let mut statement = copy.prepare("SELECT object FROM snapshot")?;
    Ok(statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

/// Link or copy what is not there yet, durably. Returns how many were new and how many are there in all.
fn link_images(objects: &[String], from: &Path, to: &Path) -> Result<(u64, u64), StoreError> {
    fs::create_dir_all(to)?;
    let (mut new, mut there) = (0, 0);
    let mut directories = HashSet::new();
    for object in objects {
        let (source, target) = (from.join(object), to.join(object));
        if target.exists() {
            there += 1;
            continue;
        }
        if let Some(parent) = target.parent()
            && directories.insert(parent.to_owned())
        {
            fs::create_dir_all(parent)?;
        }
        match link_or_copy(&source, &target) {
            Ok(()) => (new, there) = (new + 1, there + 1),
            // Retired since the database was copied.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    // A new directory is durable when its parent is, up to `to`.
    let mut all = HashSet::from([to.to_owned()]);
    for directory in directories {
        let ancestors = directory.ancestors().take_while(|ancestor| ancestor.starts_with(to)).map(Path::to_owned);
        all.extend(ancestors);
    }
    for directory in all {
        sync_directory(&directory)?;
    }
    Ok((new, there))
}

fn link_or_copy(from: &Path, to: &Path) -> std::io::Result<()> {
    // Objects are never changed in place, so a link is as good as a copy.
    match fs::hard_link(from, to) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(error),
        Err(_) => {
            let unfinished = to.with_extension("unfinished");
            fs::copy(from, &unfinished)?;
            File::open(&unfinished)?.sync_all()?;
            fs::rename(&unfinished, to)
        }
    }
}

/// Take images out of an earlier backup that the store has retired since.
fn prune(root: &Path, directory: &Path, keep: &HashSet<&str>) -> Result<(), StoreError> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            prune(root, &path, keep)?;
        } else {
            let name = path.strip_prefix(root).ok().and_then(Path::to_str);
            if name.is_none_or(|name| !keep.contains(name)) {
                fs::remove_file(&path)?;
            }
        }
    }
    Ok(())
}

fn remove_if_there(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// Make a store in `target` from the backup in `backup`. The hub must not run on `target`.
///
/// A target that is not empty is refused, unless `force`: then what is in it is moved to `<now>.replaced` inside it
/// (and an earlier `.replaced` goes).
///
/// # Errors
/// When `backup` holds no readable backup, the target is in use by someone, or the disk is full.
pub fn restore(backup: &Path, target: &Path, force: bool, now_ms: i64) -> Result<RestoreReport, StoreError> {
    let source = backup.join(DATABASE);
    if !source.exists() {
        return Err(StoreError::Backend(format!("{} holds no backup: {DATABASE} is missing", backup.display())));
    }
    fs::create_dir_all(target)?;
    let moved = make_empty(target, force, now_ms)?;
    let unfinished = target.join("hub.sqlite.unfinished");
    fs::copy(&source, &unfinished)?;

    let copy = Connection::open(&unfinished)?;
    let verdict: String = copy.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        return Err(StoreError::Backend(format!("the backup is damaged ({verdict}): take an older one")));
    }
    let generation = new_generation()?;
    set_meta(&copy, "generation", generation.as_slice())?;
    // What this store holds is what the backup holds: agents may count on it.
    let kept = params![Stream::Service.number(), Stream::Event.number()];
    copy.execute("DELETE FROM backed_up", [])?;
    copy.execute("INSERT INTO backed_up SELECT id, have FROM stream WHERE stream IN (?1, ?2)", kept)?;
    let backup_ms: Option<i64> = meta(&copy, "backup_ms")?;
    set_meta(&copy, RESTORED_MS, now_ms)?;
    if let Some(backup_ms) = backup_ms {
        set_meta(&copy, "last_backup_ms", backup_ms)?;
    }
    let count = |table: &str| -> Result<u64, StoreError> {
        let rows: i64 = copy.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))?;
        Ok(rows.unsigned_abs())
    };
    let (service_records, events) = (count("service")?, count("event")?);
    let objects = objects(&copy)?;
    copy.close().map_err(|(_, error)| error)?;
    File::open(&unfinished)?.sync_all()?;

    let (_, there) = link_images(&objects, &backup.join(SNAPSHOTS), &target.join(SNAPSHOTS))?;
    let generation = Generation::from_bytes(generation);
    fs::write(target.join(WITNESS), generation.to_string())?;
    File::open(target.join(WITNESS))?.sync_all()?;
    fs::rename(&unfinished, target.join(DATABASE))?;
    sync_directory(target)?;
    let bytes = fs::metadata(target.join(DATABASE))?.len();
    let images = (objects.len() as u64, there);
    Ok(RestoreReport { generation, backup_ms, service_records, events, images, bytes, moved })
}

fn make_empty(target: &Path, force: bool, now_ms: i64) -> Result<Option<PathBuf>, StoreError> {
    let there = |name: &str| target.join(name).exists();
    if fs::read_dir(target)?.next().is_none() {
        return Ok(None);
    }
    if !force {
        return Err(StoreError::Backend(format!(
            "{} is not empty: give an empty directory, or force it (what is there is then moved aside)",
            target.display()
        )));
    }
    for entry in fs::read_dir(target)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().ends_with(".replaced") {
            fs::remove_dir_all(entry.path())?;
        }
    }
    let aside = target.join(format!("{now_ms}.replaced"));
    fs::create_dir(&aside)?;
    let parts = [DATABASE, "hub.sqlite-wal", "hub.sqlite-shm", "hub.sqlite.unfinished", WITNESS, SNAPSHOTS, INCOMING];
    for part in parts.into_iter().filter(|part| there(part)) {
        fs::rename(target.join(part), aside.join(part))?;
    }
    sync_directory(&aside)?;
    sync_directory(target)?;
    Ok(Some(aside))
}
