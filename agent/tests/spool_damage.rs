//! Damage to databases on the card, each kind at each position: the spool boots within 10 s, loses at most the damaged
//! database, and the losses that it declares equal the missing records exactly.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]
#![allow(clippy::disallowed_methods, reason = "the time that a boot takes is what is tested")]

mod spool_support;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use simpul_wire::event::SpoolCondition;
use simpul_wire::{RangeSet, SeqRange, Stream};
use spool_support::*;

/// A spool with a head and several sealed databases of service records; returns the accepted numbers.
async fn filled(folder: &Path, close: bool) -> RangeSet {
    let mut accepted = RangeSet::new();
    let mut small = config(folder);
    small.service_bytes_max = 512 * 1024;
    let (spool, _) = open(&small);
    spool.hub(hub(1)).await.unwrap();
    // Early, so that the last records come after the last witness.
    spool.append(event(1)).await.unwrap();
    let mut number = 0;
    while databases(folder, Stream::Service).len() < 4 || number % 100 != 50 {
        let tasks: Vec<_> = (0..10)
            .map(|at| {
                let (spool, record) = (spool.clone(), service(&format!("key-{}", number + at), 1));
                tokio::spawn(async move { spool.append(record).await })
            })
            .collect();
        for task in tasks {
            accepted.insert(task.await.unwrap().unwrap().range);
        }
        number += 10;
    }
    if close {
        spool.close().await.unwrap()
    } else {
        drop(spool)
    }
    accepted
}

fn overwrite(file: &Path, offset: u64, length: usize, byte: u8) {
    let handle = fs::OpenOptions::new().write(true).open(file).unwrap();
    let room = handle.metadata().unwrap().len().saturating_sub(offset) as usize;
    handle.write_all_at(&vec![byte; length.min(room)], offset).unwrap();
}

fn truncate(file: &Path, length: u64) {
    fs::OpenOptions::new().write(true).open(file).unwrap().set_len(length).unwrap();
}

const KINDS: [&str; 13] = [
    "first 16 bytes",
    "header",
    "middle",
    "last written bytes",
    "end",
    "zeroed page",
    "a page of ones",
    "truncated to half",
    "truncated to nothing",
    "file missing",
    "folder missing",
    "snapshot torn",
    "configuration torn",
];

/// Where the last byte that is not zero stands: sled's file is longer than what was written.
fn written(file: &Path) -> u64 {
    let bytes = fs::read(file).unwrap();
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |at| at as u64 + 1)
}

fn damage(database: &Path, kind: &str) {
    let file = database.join("db");
    let (length, end) = (fs::metadata(&file).unwrap().len(), written(&file));
    match kind {
        "first 16 bytes" => overwrite(&file, 0, 16, 0xff),
        "header" => overwrite(&file, 16, 48, 0xff),
        "middle" => overwrite(&file, end / 2, 700, 0x55),
        "last written bytes" => overwrite(&file, end.saturating_sub(300), 300, 0x55),
        "end" => overwrite(&file, length.saturating_sub(600), 600, 0x55),
        "zeroed page" => overwrite(&file, end / 3 / 4096 * 4096, 4096, 0),
        "a page of ones" => overwrite(&file, end / 3 / 4096 * 4096, 4096, 0xff),
        "truncated to half" => truncate(&file, length / 2),
        "truncated to nothing" => truncate(&file, 0),
        "file missing" => fs::remove_file(&file).unwrap(),
        "folder missing" => fs::remove_dir_all(database).unwrap(),
        "snapshot torn" => {
            for entry in fs::read_dir(database).unwrap() {
                let path = entry.unwrap().path();
                if path.file_name().unwrap().to_string_lossy().starts_with("snap.") {
                    truncate(&path, fs::metadata(&path).unwrap().len() / 2);
                }
            }
        }
        "configuration torn" => overwrite(&database.join("conf"), 4, 4, 0x55),
        other => unreachable!("{other}"),
    }
}

/// What a database holds, by its witness.
fn held(folder: &Path, database: &Path) -> RangeSet {
    let name = database.file_name().unwrap().to_string_lossy().into_owned();
    let report = simpul_agent::spool::inspect(folder).unwrap();
    let all = report.epochs.iter().flat_map(|epoch| &epoch.rows).flat_map(|row| &row.databases);
    let found = all.into_iter().find(|report| report.name == name).unwrap();
    match (found.sealed, found.first_seq, found.last_seq) {
        (true, Some(first), Some(last)) => RangeSet::from_iter([range(first, last)]),
        // A head: whatever comes after the sealed ones.
        _ => RangeSet::from_iter([range(sealed_end(folder), u64::MAX - 1)]),
    }
}

fn sealed_end(folder: &Path) -> u64 {
    let report = simpul_agent::spool::inspect(folder).unwrap();
    let row = &report.epochs[0].rows[0];
    row.databases.iter().filter(|database| database.sealed).filter_map(|database| database.last_seq).max().unwrap() + 1
}

/// Open what was damaged and hold it against what was accepted. Returns how many records were lost.
async fn check(folder: &Path, accepted: &RangeSet, damaged: &RangeSet, what: &str) -> u64 {
    let mut small = config(folder);
    small.service_bytes_max = 512 * 1024;
    let started = Instant::now();
    let (spool, _) = open(&small);
    assert!(started.elapsed() < Duration::from_secs(10), "{what}: {:?}", started.elapsed());
    let epoch = spool.state().borrow().epoch;
    let mut first_lost = 0;
    for round in 0..2 {
        let present: RangeSet = owed_records(&spool, Stream::Service).await.iter().map(|stored| stored.range).collect();
        // The writer declares what a read found out before it takes the next command.
        spool.append(event(round)).await.unwrap();
        let (lost, unused) = lost(&spool, epoch, Stream::Service).await;
        let mut missing = accepted.clone();
        missing.remove_all(&present);
        assert_eq!(missing, lost, "{what}: missing and declared");
        assert!(unused.iter().all(|range| accepted.present_in(range).is_empty()), "{what}: unused {unused}");
        assert!(lost.iter().all(|range| damaged.contains_range(range)), "{what}: lost {lost}, damaged {damaged}");
        assert_eq!(spool.state().borrow().stream(Stream::Service).lost_records, lost.count(), "{what}");
        if !lost.is_empty() {
            assert!(conditions(&spool).await.contains(&SpoolCondition::Quarantined), "{what}");
        }
        if round == 1 {
            assert_eq!(lost.count(), first_lost, "{what}: more lost on the second look");
        }
        first_lost = lost.count();
    }
    // A client that retries a lost record is accepted anew; one that was kept is a duplicate.
    let first = accepted.first().unwrap();
    let again = spool.append(service(&format!("key-{first}"), 1)).await.unwrap();
    let is_lost = lost(&spool, epoch, Stream::Service).await.0.contains(first);
    assert_eq!(again.duplicate, !is_lost, "{what}");
    let new = spool.append(service("new", 1)).await.unwrap();
    assert!(accepted.present_in(new.range).is_empty(), "{what}: a number was used twice");
    spool.close().await.unwrap();
    let (spool, report) = open(&small);
    assert!(report.clean, "{what}");
    assert_eq!(lost(&spool, epoch, Stream::Service).await.0.count(), first_lost, "{what}: after a clean restart");
    first_lost
}

async fn each_kind(close: bool) {
    let template = folder();
    let accepted = filled(template.path(), close).await;
    let names: Vec<_> =
        databases(template.path(), Stream::Service).iter().map(|path| path.file_name().unwrap().to_owned()).collect();
    let mut kinds_that_lost = BTreeSet::new();
    for (position, name) in [("tail", &names[0]), ("sealed", &names[1]), ("head", &names[names.len() - 1])] {
        for kind in KINDS {
            let folder = folder();
            copy_folder(template.path(), folder.path());
            let database = folder.path().join("db").join(name);
            let damaged = held(folder.path(), &database);
            damage(&database, kind);
            let lost =
                check(folder.path(), &accepted, &damaged, &format!("{kind} of the {position}, closed: {close}")).await;
            if lost > 0 {
                kinds_that_lost.insert(kind);
            }
        }
    }
    // The damage must really reach records, or nothing was tested.
    for kind in ["first 16 bytes", "truncated to half", "truncated to nothing", "file missing", "folder missing"] {
        assert!(kinds_that_lost.contains(kind), "{kind} did no harm");
    }
}

#[tokio::test]
async fn after_an_orderly_close_damage_costs_at_most_its_database_and_is_declared_exactly() {
    each_kind(true).await;
}

#[tokio::test]
async fn after_a_kill_damage_costs_at_most_its_database_and_is_declared_exactly() {
    each_kind(false).await;
}

#[tokio::test]
async fn random_damage_is_declared_exactly() {
    let seed = std::env::var("SIMPUL_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_124);
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let template = folder();
    let accepted = filled(template.path(), true).await;
    let all = databases(template.path(), Stream::Service);
    for case in 0..25 {
        let folder = folder();
        copy_folder(template.path(), folder.path());
        let name = all[random.random_range(0..all.len())].file_name().unwrap().to_owned();
        let database = folder.path().join("db").join(name);
        let damaged = held(folder.path(), &database);
        let file = database.join("db");
        let (offset, length) = (random.random_range(0..written(&file)), random.random_range(1..200));
        overwrite(&file, offset, length, random.random());
        check(folder.path(), &accepted, &damaged, &format!("case {case}: {length} bytes at {offset} of {database:?}"))
            .await;
    }
}

#[tokio::test]
async fn images_that_are_gone_or_cut_short_are_declared() {
    let folder = folder();
    let (spool, _) = open(&config(folder.path()));
    let epoch = spool.state().borrow().epoch;
    for number in 0..4 {
        spool.append(snapshot(number, 20_000, false)).await.unwrap();
    }
    spool.close().await.unwrap();
    let file = |seq: u64| folder.path().join("image").join(format!("{epoch}-{seq:020}.jpg"));
    fs::remove_file(file(1)).unwrap();
    truncate(&file(2), 10_000);
    fs::write(folder.path().join("image/rubbish.jpg"), b"x").unwrap();
    let (spool, _) = open(&config(folder.path()));
    assert_eq!(lost(&spool, epoch, Stream::Snapshot).await.0, RangeSet::from_iter([SeqRange::one(1)]));
    assert!(spool.read_part(epoch, 2, 0, 5_000).await.unwrap().is_some());
    assert!(spool.read_part(epoch, 2, 8_000, 5_000).await.unwrap().is_none());
    assert_eq!(lost(&spool, epoch, Stream::Snapshot).await.0, RangeSet::from_iter([range(1, 2)]));
    assert_eq!(
        spool.state().borrow().stream(Stream::Snapshot).owed.as_ref(),
        &RangeSet::from_iter([range(0, 0), range(3, 3)])
    );
    assert!(!folder.path().join("image/rubbish.jpg").exists());
}

#[tokio::test]
async fn one_damaged_copy_of_the_witness_is_made_good_by_the_other() {
    let folder = folder();
    for copy in ["witness.a", "witness.b"] {
        let (spool, _) = open(&config(folder.path()));
        let epoch = spool.state().borrow().epoch;
        let first = spool.append(event(1)).await.unwrap().range.first();
        spool.close().await.unwrap();
        overwrite(&folder.path().join(copy), 20, 4, 0x55);
        let (spool, report) = open(&config(folder.path()));
        assert_eq!((spool.state().borrow().epoch, report.clean), (epoch, true));
        assert!(spool.append(event(2)).await.unwrap().range.first() > first);
        spool.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_torn_snapshot_of_sleds_own_costs_nothing() {
    let folder = folder();
    let accepted = filled(folder.path(), true).await;
    let mut small = config(folder.path());
    small.service_bytes_max = 512 * 1024;
    open(&small).0.close().await.unwrap();
    let head = databases(folder.path(), Stream::Service).pop().unwrap();
    let is_snapshot = |name: &str| name.starts_with("snap.");
    let names = || fs::read_dir(&head).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    assert!(names().any(|name| is_snapshot(&name)), "sled wrote no snapshot: {:?}", names().collect::<Vec<_>>());
    damage(&head, "snapshot torn");
    assert_eq!(check(folder.path(), &accepted, &RangeSet::new(), "torn snapshot").await, 0);
    assert!(names().any(|name| name.starts_with("aside.")));
}
