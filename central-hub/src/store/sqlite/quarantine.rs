//! It always boots: a database that cannot be trusted is set aside whole (`<time>.quarantined`, with its images) and
//! an empty one of a new generation begins, which makes every agent send again what it still has.

use std::fs;
use std::path::Path;

use rusqlite::{Connection, ErrorCode};

use super::schema::meta;
use super::space::sync_directory;
use crate::store::StoreError;

/// Databases up to this size are checked page by page at the start (about a second); of larger ones only the tables
/// without which nothing works, so that a start stays under ten seconds.
const FULL_CHECK_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// Tables without which nothing works; all small.
const CORE_TABLES: [&str; 4] = ["meta", "node", "stream", "metric"];

/// What belongs together and is set aside together.
const PARTS: [&str; 6] = [DATABASE, "hub.sqlite-wal", "hub.sqlite-shm", WITNESS, SNAPSHOTS, INCOMING];

pub(super) const DATABASE: &str = "hub.sqlite";
/// Holds the generation in hexadecimal: an emptied database would otherwise pass for a new one.
pub(super) const WITNESS: &str = "generation";
pub(super) const SNAPSHOTS: &str = "snapshots";
pub(super) const INCOMING: &str = "incoming";

/// Left by a run that met damage which the start had not looked for: the next start then checks everything.
const SUSPICION: &str = "damaged";

/// Ask the next start for a full check.
pub(super) fn suspect(directory: &Path) {
    if let Err(error) = fs::write(directory.join(SUSPICION), "") {
        tracing::error!(%error, "the damaged database could not be marked for the next start");
    }
}

/// Look at what is in `directory`; set it aside if it is damaged. Returns what was done, for people.
pub(super) fn inspect(directory: &Path, now_ms: i64) -> Result<Option<String>, StoreError> {
    let database = directory.join(DATABASE);
    let suspected = directory.join(SUSPICION).exists();
    let damage = match fs::metadata(&database) {
        Ok(metadata) => {
            let whole = suspected || metadata.len() <= FULL_CHECK_BYTES_MAX;
            check(&database, whole, directory.join(WITNESS).exists())?
        }
        Err(_) if directory.join(WITNESS).exists() => Some("the database file is gone".to_owned()),
        Err(_) => None,
    };
    if suspected {
        fs::remove_file(directory.join(SUSPICION))?;
    }
    let Some(damage) = damage else { return Ok(None) };
    let name = format!("{now_ms}.quarantined");
    // One is kept: they are as large as the store, and the newest is the one that someone may still want to mend.
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().ends_with(".quarantined") {
            fs::remove_dir_all(entry.path())?;
        }
    }
    fs::create_dir(directory.join(&name))?;
    for part in PARTS {
        match fs::rename(directory.join(part), directory.join(&name).join(part)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    sync_directory(&directory.join(&name))?;
    sync_directory(directory)?;
    let note = format!("the store was damaged ({damage}) and set aside as {name}; a new one of a new generation began");
    tracing::error!("{note}: agents send again what they still have");
    Ok(Some(note))
}

/// What is wrong with the file, if anything. An error only for what is no damage: no permission, no space.
fn check(database: &Path, whole: bool, has_witness: bool) -> Result<Option<String>, StoreError> {
    let result = (|| -> Result<Option<String>, CheckError> {
        let connection = Connection::open(database)?;
        let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if version == 0 {
            // Made, but never filled: a start that was cut off before its first transaction.
            let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
            return Ok((tables > 0 || has_witness).then(|| "the database is empty or has lost its head".to_owned()));
        }
        let checks: Vec<String> = if whole {
            vec!["PRAGMA quick_check(1)".to_owned()]
        } else {
            CORE_TABLES.iter().map(|table| format!("PRAGMA quick_check({table})")).collect()
        };
        for sql in checks {
            let verdict: String = connection.query_row(&sql, [], |row| row.get(0))?;
            if verdict != "ok" {
                return Ok(Some(verdict.lines().next().unwrap_or_default().to_owned()));
            }
        }
        let generation: Option<Vec<u8>> = meta(&connection, "generation").map_err(CheckError::Store)?;
        Ok(generation.is_none_or(|bytes| bytes.len() != 16).then(|| "the database has no generation".to_owned()))
    })();
    match result {
        Ok(damage) => Ok(damage),
        Err(CheckError::Sqlite(error)) => match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Ok(Some(error.to_string())),
            Some(ErrorCode::Unknown) | None => Ok(Some(error.to_string())),
            Some(_) => Err(error.into()),
        },
        Err(CheckError::Store(error)) => Err(error),
    }
}

enum CheckError {
    Sqlite(rusqlite::Error),
    Store(StoreError),
}

impl From<rusqlite::Error> for CheckError {
    fn from(error: rusqlite::Error) -> Self {
        CheckError::Sqlite(error)
    }
}
