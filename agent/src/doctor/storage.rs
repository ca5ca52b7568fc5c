//! The card: room, read-only, write errors, how long a write takes to be safe, wear.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{StatVfsMountFlags, major, minor, statvfs};
use simpul_clock::Clock;
use simpul_wire::doctor::{Code, Finding, Value, Verdict};

use super::{Patient, Word, duration};

/// Below it not even the buffer's books can be written anew: 16 blocks.
const FULL_BYTES: u64 = 64 * 1024;
/// Below it a day of pictures does not fit.
const LOW_BYTES: u64 = 100_000_000;
/// A small card (or a test's disk) has little; it is low with less than this share.
const LOW_SHARE: u64 = 20;
/// A write takes tens of milliseconds on a good card; above this the agent's answers wait for it.
const SLOW: Duration = Duration::from_secs(2);
/// From this share of its life on a card is to be replaced at the next visit.
const WORN_PERCENT: u64 = 80;

/// What was seen of the card.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub path: PathBuf,
    pub room: Result<Room, String>,
    /// How long a write took to be safe; nothing: there is no folder to write to yet.
    pub write: Option<Result<Duration, WriteFailed>>,
    pub worn_percent: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    pub free_bytes: u64,
    pub size_bytes: u64,
    pub read_only: bool,
}

#[derive(Debug, Clone)]
pub(super) enum WriteFailed {
    Full,
    ReadOnly,
    /// Not by this user: says nothing of the card.
    Forbidden(String),
    Broken(String),
}

pub(super) fn gather(patient: &Patient) -> Facts {
    let spool = &patient.config.spool.directory;
    // Before the first start the folder is not there: its disk is the one of the folder above.
    let path = spool.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/")).to_owned();
    let room = statvfs(&path).map_err(|error| error.to_string()).map(|stat| Room {
        free_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
        size_bytes: stat.f_blocks.saturating_mul(stat.f_frsize),
        read_only: stat.f_flag.contains(StatVfsMountFlags::RDONLY),
    });
    let write = spool.is_dir().then(|| write(spool, &patient.clock));
    Facts { worn_percent: worn_percent(&path, &patient.sys), path: spool.clone(), room, write }
}

/// Write, sync and delete a small file.
fn write(directory: &Path, clock: &Clock) -> Result<Duration, WriteFailed> {
    let path = directory.join("examination-probe");
    let began = clock.now();
    let written = File::create(&path).and_then(|mut file| {
        file.write_all(&[0x5a; 4096])?;
        file.sync_all()
    });
    let took = clock.now().since(began);
    let _ = fs::remove_file(&path);
    written.map(|()| took).map_err(|error| match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => WriteFailed::Full,
        io::ErrorKind::ReadOnlyFilesystem => WriteFailed::ReadOnly,
        io::ErrorKind::PermissionDenied => WriteFailed::Forbidden(error.to_string()),
        _ => WriteFailed::Broken(error.to_string()),
    })
}

/// By the card's own count (eMMC 5.0: two estimates in steps of a tenth); plain SD cards have none.
fn worn_percent(path: &Path, sys: &Path) -> Option<u64> {
    let device = fs::metadata(path).ok()?.dev();
    let entry = sys.join(format!("dev/block/{}:{}", major(device), minor(device)));
    let whole = if entry.join("partition").exists() { entry.join("..") } else { entry };
    let text = fs::read_to_string(whole.join("device/life_time")).ok()?;
    let tenths = text.split_whitespace().filter_map(|word| u64::from_str_radix(word.trim_start_matches("0x"), 16).ok());
    // 0: not told; 11: beyond its life.
    tenths.max().filter(|tenths| (1..=11).contains(tenths)).map(|tenths| tenths * 10)
}

pub(super) fn judge(facts: &Facts, word: Option<&Word>) -> Vec<Finding> {
    let path = facts.path.display();
    let room = match &facts.room {
        Ok(room) => *room,
        Err(error) => {
            let unknown = Code::StorageUnknown.finding(Verdict::Unknown);
            return vec![unknown.with_text("path", path).with_text("error", error)];
        }
    };
    let free = Value::Bytes(room.free_bytes);
    let full = room.free_bytes < FULL_BYTES || word.is_some_and(|word| word.disk_full);
    let mut findings = Vec::new();
    match &facts.write {
        _ if room.read_only => findings.push(Code::StorageReadOnly.finding(Verdict::Fail).with_text("path", path)),
        Some(Err(WriteFailed::ReadOnly)) => {
            findings.push(Code::StorageReadOnly.finding(Verdict::Fail).with_text("path", path));
        }
        Some(Err(WriteFailed::Broken(error))) => {
            let broken = Code::StorageWriteError.finding(Verdict::Fail);
            findings.push(broken.with_text("path", path).with_text("error", error));
        }
        Some(Err(WriteFailed::Full)) => {
            findings.push(Code::StorageFull.finding(Verdict::Fail).with("free", free).with_text("path", path));
        }
        _ if full => findings.push(Code::StorageFull.finding(Verdict::Fail).with("free", free).with_text("path", path)),
        Some(Err(WriteFailed::Forbidden(error))) => {
            let unknown = Code::StorageUnknown.finding(Verdict::Unknown);
            findings.push(unknown.with_text("path", path).with_text("error", error));
        }
        _ if room.free_bytes < LOW_BYTES.min(room.size_bytes / LOW_SHARE) => {
            findings.push(Code::StorageLow.finding(Verdict::Warn).with("free", free));
        }
        Some(Ok(took)) if *took > SLOW => {
            findings.push(Code::StorageSlow.finding(Verdict::Warn).with("took", duration(*took)));
        }
        Some(Ok(_)) | None => findings.push(Code::StorageGood.finding(Verdict::Ok).with("free", free)),
    }
    if let Some(used) = facts.worn_percent.filter(|used| *used >= WORN_PERCENT) {
        findings.push(Code::StorageWorn.finding(Verdict::Warn).with("used", Value::Count(used)));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::testing::{told, word};
    use super::*;

    fn facts(change: impl FnOnce(&mut Facts)) -> Facts {
        let room = Room { free_bytes: 8_000_000_000, size_bytes: 16_000_000_000, read_only: false };
        let write = Some(Ok(Duration::from_millis(20)));
        let mut facts = Facts { path: "/var/lib/simpul".into(), room: Ok(room), write, worn_percent: None };
        change(&mut facts);
        facts
    }

    #[test]
    fn a_card_is_judged_by_the_worst_that_is_seen_of_it() {
        let free = |bytes| move |facts: &mut Facts| facts.room.as_mut().unwrap().free_bytes = bytes;
        let failed = |why| move |facts: &mut Facts| facts.write = Some(Err(why));
        let table: Vec<(Facts, &[&str])> = vec![
            (facts(|_| {}), &["storage.good ok"]),
            (facts(|facts| facts.write = None), &["storage.good ok"]),
            (facts(free(50_000_000)), &["storage.low warn"]),
            (facts(free(100)), &["storage.full fail"]),
            (facts(failed(WriteFailed::Full)), &["storage.full fail"]),
            (facts(failed(WriteFailed::ReadOnly)), &["storage.read_only fail"]),
            (facts(|facts| facts.room.as_mut().unwrap().read_only = true), &["storage.read_only fail"]),
            (facts(failed(WriteFailed::Broken("EIO".into()))), &["storage.write_error fail"]),
            (facts(failed(WriteFailed::Forbidden("EACCES".into()))), &["storage.unknown unknown"]),
            (facts(|facts| facts.room = Err("gone".into())), &["storage.unknown unknown"]),
            (facts(|facts| facts.write = Some(Ok(Duration::from_secs(3)))), &["storage.slow warn"]),
            (facts(|facts| facts.worn_percent = Some(90)), &["storage.good ok", "storage.worn warn"]),
            (facts(|facts| facts.worn_percent = Some(70)), &["storage.good ok"]),
        ];
        for (facts, expected) in table {
            assert_eq!(told(&judge(&facts, None)), expected, "{facts:?}");
        }
        let spent = word(|word| word["disk_full"] = true.into());
        assert_eq!(told(&judge(&facts(|_| {}), Some(&spent))), ["storage.full fail"]);
    }

    #[test]
    fn a_small_disk_is_low_by_its_share() {
        let small =
            |free_bytes| facts(|facts| facts.room = Ok(Room { free_bytes, size_bytes: 20_000_000, read_only: false }));
        assert_eq!(told(&judge(&small(2_000_000), None)), ["storage.good ok"]);
        assert_eq!(told(&judge(&small(900_000), None)), ["storage.low warn"]);
    }

    #[test]
    fn wear_is_the_worse_of_the_cards_two_estimates() {
        let root = tempfile::tempdir().unwrap();
        let device = fs::metadata(root.path()).unwrap().dev();
        let entry = root.path().join(format!("dev/block/{}:{}/device", major(device), minor(device)));
        fs::create_dir_all(&entry).unwrap();
        for (text, percent) in [("0x02 0x09\n", Some(90)), ("0x00 0x00\n", None), ("rubbish", None)] {
            fs::write(entry.join("life_time"), text).unwrap();
            assert_eq!(worn_percent(root.path(), root.path()), percent, "{text}");
        }
    }
}
