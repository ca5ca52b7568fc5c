//! Zeros written ahead of sled's log, so that a commit overwrites blocks that the file already has.
//!
//! A file that grows makes each fdatasync commit the file system's journal: a second wait for the card, and three or more
//! blocks written for a record of a few hundred bytes. Blocks that are only reserved (`fallocate`) do not help, since the
//! first write into them is noted in the journal too; blocks of zeros do. To sled zeros are what it finds behind a torn
//! write, and what it writes itself behind the last whole one when it opens: the end of the log.
//!
//! Before sled opens a file the zeros at its end are cut off again: it takes segments that it does not know for free ones
//! and would overwrite them, then cut them off one by one with an fsync each.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::sled_disk::SEGMENT_BYTES;

/// Segments of zeros written at a time: one journal commit and 256 KiB for some hundred commits of a quiet agent, and a
/// quarter of a full database. They are written when the log reaches the last of them, so a sealed database wastes as
/// many until it is closed.
const AHEAD_SEGMENTS: usize = 4;

/// A segment that sled has begun has its header here; its checksum, log number and stable log number are not all zeros.
const SEGMENT_HEADER_BYTES: usize = 20;

/// Write zeros behind the end of `log` if sled's log is near it. The caller has flushed, so that nothing is being written.
/// No room for them is no error: sled's own writing finds that out, and the file may then grow as it always could.
pub(super) fn lay(log: &File) -> io::Result<()> {
    let length = log.metadata()?.len();
    if !is_near(log, length)? {
        return Ok(());
    }
    let to_segment_end = (length.next_multiple_of(SEGMENT_BYTES as u64) - length) as usize;
    let zeros = vec![0; to_segment_end + AHEAD_SEGMENTS * SEGMENT_BYTES];
    if let Err(error) = log.write_all_at(&zeros, length) {
        tracing::debug!(%error, "no room for a runway");
        log.set_len(length)?;
    }
    Ok(())
}

/// Whether sled has begun the file's last segment.
fn is_near(log: &File, length: u64) -> io::Result<bool> {
    let Some(last) = length.checked_sub(SEGMENT_BYTES as u64).filter(|last| last % SEGMENT_BYTES as u64 == 0) else {
        return Ok(true);
    };
    let mut header = [0; SEGMENT_HEADER_BYTES];
    log.read_exact_at(&mut header, last)?;
    Ok(header != [0; SEGMENT_HEADER_BYTES])
}

/// Cut off the segments at the end of `log` that hold nothing but zeros.
pub(super) fn clear(log: &File) -> io::Result<()> {
    let length = log.metadata()?.len();
    let mut segment = vec![0; SEGMENT_BYTES];
    let mut end = length;
    while let Some(start) = end.checked_sub(1).map(|last| last - last % SEGMENT_BYTES as u64) {
        let part = &mut segment[..(end - start) as usize];
        log.read_exact_at(part, start)?;
        if part.iter().any(|byte| *byte != 0) {
            break;
        }
        end = start;
    }
    if end < length { log.set_len(end) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::path::Path;

    use super::super::disk::{Database, Disk};
    use super::super::packet::key;
    use super::super::sled_disk::SledDisk;
    use super::*;

    fn open(file: &Path) -> File {
        OpenOptions::new().create(true).truncate(false).read(true).write(true).open(file).unwrap()
    }

    fn keys(database: &dyn Database) -> Vec<Vec<u8>> {
        let mut keys = Vec::new();
        let mut visit = |key: &[u8], _: &[u8]| {
            keys.push(key.to_vec());
            true
        };
        database.scan(&[], &mut visit).unwrap();
        keys
    }

    #[test]
    fn a_runway_is_laid_only_near_the_end_and_never_over_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let log = open(&folder.path().join("db"));
        log.write_all_at(&[1; 1_000], 0).unwrap();
        let (segment, ahead) = (SEGMENT_BYTES as u64, (AHEAD_SEGMENTS * SEGMENT_BYTES) as u64);
        lay(&log).unwrap();
        let laid = segment + ahead;
        assert_eq!(log.metadata().unwrap().len(), laid);
        let mut first = [0; 1_001];
        log.read_exact_at(&mut first, 0).unwrap();
        assert!(first[..1_000].iter().all(|byte| *byte == 1) && first[1_000] == 0);
        for (at, length) in
            [(segment, laid), (laid - segment, laid + ahead), (laid + ahead, laid + 2 * ahead + segment)]
        {
            log.write_all_at(&[1; 100], at).unwrap();
            lay(&log).unwrap();
            assert_eq!(log.metadata().unwrap().len(), length, "written at {at}");
        }
    }

    #[test]
    fn only_whole_segments_of_zeros_at_the_end_are_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let (log, segment) = (open(&folder.path().join("db")), SEGMENT_BYTES as u64);
        for (written_at, length) in
            [(None, 0), (Some(0), segment), (Some(segment), 2 * segment), (Some(3 * segment - 1), 3 * segment)]
        {
            log.set_len(0).unwrap();
            log.set_len(5 * segment + 70).unwrap();
            written_at.into_iter().for_each(|at| log.write_all_at(&[1], at).unwrap());
            clear(&log).unwrap();
            assert_eq!(log.metadata().unwrap().len(), length, "written at {written_at:?}");
        }
        log.write_all_at(&[1], 3 * segment + 5).unwrap();
        clear(&log).unwrap();
        assert_eq!(log.metadata().unwrap().len(), 3 * segment + 6);
    }

    #[test]
    fn commits_do_not_lengthen_the_file_and_all_are_there_after_a_close_and_after_a_kill() {
        let folder = tempfile::tempdir().unwrap();
        let mut disk = SledDisk::new(folder.path()).unwrap();
        let log = folder.path().join("db/one/db");
        let mut lengths = Vec::new();
        let mut put = Vec::new();
        for run in 0..3_u64 {
            let mut database = disk.open("one").unwrap();
            assert_eq!(keys(database.as_ref()), put, "run {run}");
            for commit in 0..200 {
                let key = key(run * 1_000 + commit, 0);
                database.put(&key, &[run as u8 + 1; 600]).unwrap();
                database.sync().unwrap();
                put.push(key.to_vec());
                lengths.push(std::fs::metadata(&log).unwrap().len());
            }
            // What a kill at this moment leaves: the runway is still there.
            let killed = folder.path().join("db").join(format!("killed-{run}"));
            std::fs::create_dir_all(killed.join("blobs")).unwrap();
            for entry in std::fs::read_dir(folder.path().join("db/one")).unwrap() {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_file() {
                    std::fs::copy(entry.path(), killed.join(entry.file_name())).unwrap();
                }
            }
            assert_eq!(keys(disk.open(&format!("killed-{run}")).unwrap().as_ref()), put, "run {run}");
            drop(database);
            let (open, closed) = (*lengths.last().unwrap(), std::fs::metadata(&log).unwrap().len());
            assert!(closed < open, "{closed} after {open}");
        }
        let longer = lengths.windows(2).filter(|pair| pair[0] != pair[1]).count();
        assert!(longer <= 12, "the file changed its length {longer} times in 600 commits");
    }
}
