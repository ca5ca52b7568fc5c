//! A full disk, for real: an ext4 of 24 MB on a loop device. Needs root and loop devices and fails loudly without them.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod spool_support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use simpul_agent::spool::{AppendError, NewRecord};
use simpul_wire::event::SpoolCondition;
use simpul_wire::{RangeSet, Stream};
use spool_support::*;

/// A mounted file system, unmounted when it goes.
struct Mounted {
    folder: tempfile::TempDir,
}

fn run(program: &str, arguments: &[&str]) {
    let done = Command::new(program).args(arguments).output();
    let done = done.unwrap_or_else(|error| panic!("this test needs {program}: {error}"));
    let why = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "this test needs root and loop devices: {program} {arguments:?}: {why}");
}

impl Mounted {
    fn ext4(bytes: u64) -> Mounted {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("card.img");
        std::fs::File::create(&image).unwrap().set_len(bytes).unwrap();
        let (image, point) = (image.to_str().unwrap().to_string(), folder.path().join("card"));
        std::fs::create_dir(&point).unwrap();
        run("mkfs.ext4", &["-q", "-F", "-m", "0", &image]);
        run("mount", &["-o", "loop", &image, point.to_str().unwrap()]);
        Mounted { folder }
    }

    fn point(&self) -> PathBuf {
        self.folder.path().join("card")
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        run("umount", &[self.point().to_str().unwrap()]);
    }
}

fn config_on(point: &Path) -> simpul_agent::config::SpoolConfig {
    let mut config = config(&point.join("spool"));
    config.ballast_bytes = 4 * MIB;
    config
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_full_disk_costs_images_and_never_an_accepted_record() {
    let card = Mounted::ext4(24 * MIB);
    let config = config_on(&card.point());
    let (spool, _) = open(&config);
    let epoch = spool.state().borrow().epoch;
    let (mut accepted, mut images) = (BTreeSet::new(), 0u64);
    // Images fill the disk, service records go on: they are accepted all the time, because images make room.
    for number in 0..120u32 {
        match spool.append(snapshot(number as u8, 400_000, false)).await {
            Ok(_) => images += 1,
            Err(error) => assert!(matches!(error, AppendError::DiskFull(_)), "{error}"),
        }
        for at in 0..5 {
            let key = format!("key-{number}-{at}");
            spool.append(service(&key, 1)).await.unwrap_or_else(|error| panic!("{key}: {error}"));
            accepted.insert(key);
        }
    }
    assert!(images > 100, "{images}");
    let status = spool.state().borrow().stream(Stream::Snapshot).clone();
    let (lost, _) = lost(&spool, epoch, Stream::Snapshot).await;
    assert!(!lost.is_empty() && lost.count() == status.lost_records);
    let owed = owed_records(&spool, Stream::Snapshot).await;
    assert_eq!(owed.len() as u64 + lost.count(), images);
    // The hub takes the images; then something else fills the disk: service records are refused with the right word.
    acknowledge(&spool, Stream::Snapshot, owed.iter().map(|stored| stored.range)).await;
    let mut hogs = Vec::new();
    for size in [256 * 1024, 16 * 1024] {
        loop {
            let hog = card.point().join(format!("hog-{}", hogs.len()));
            let written = std::fs::write(&hog, vec![7u8; size]);
            hogs.push(hog);
            if written.is_err() {
                break;
            }
        }
    }
    let mut refused = 0;
    for round in 0..1_000u32 {
        let tasks: Vec<_> = (0..20)
            .map(|at| {
                let (spool, key) = (spool.clone(), format!("tight-{round}-{at}-{}", "x".repeat(70)));
                tokio::spawn(async move { (key.clone(), spool.append(service(&key, 1)).await) })
            })
            .collect();
        for task in tasks {
            match task.await.unwrap() {
                (key, Ok(_)) => drop(accepted.insert(key)),
                (_, Err(AppendError::DiskFull(_))) => refused += 1,
                (key, Err(error)) => panic!("{key}: {error}"),
            }
        }
        if refused >= 40 {
            break;
        }
    }
    assert!(refused >= 40, "the disk never filled up");
    assert!(spool.state().borrow().disk_full);
    drop(spool);
    // Not a byte is left when it starts again.
    for size in [64 * 1024, 4_096, 1] {
        loop {
            let hog = card.point().join(format!("hog-{}", hogs.len()));
            let written = std::fs::write(&hog, vec![7u8; size]);
            hogs.push(hog);
            if written.is_err() {
                break;
            }
        }
    }
    let (spool, _) = open(&config);
    assert!(spool.state().borrow().disk_full);
    let refusal = spool.append(service("no room", 1)).await.unwrap_err();
    assert!(matches!(refusal, AppendError::DiskFull(_)), "{refusal}");
    // With space again it recovers alone.
    hogs.into_iter().for_each(|file| drop(std::fs::remove_file(file)));
    let mut state = spool.state();
    let recovered = state.wait_for(|state| !state.disk_full);
    tokio::time::timeout(std::time::Duration::from_secs(20), recovered).await.expect("it recovers alone").unwrap();
    let stored: BTreeSet<String> = keys_by_number(&spool).await.into_values().collect();
    assert_eq!(accepted.difference(&stored).count(), 0, "accepted records are missing");
    assert!(spool.append(NewRecord::Readings(block(100))).await.is_ok());
    assert!(spool.append(service("after", 1)).await.is_ok());
    let said = conditions(&spool).await;
    assert!(said.contains(&SpoolCondition::DiskFull) && said.contains(&SpoolCondition::Good), "{said:?}");
    let stored: Vec<String> = keys_by_number(&spool).await.into_values().collect();
    assert_eq!(stored.iter().collect::<BTreeSet<_>>().len(), stored.len(), "a key is stored twice");
    assert_eq!(RangeSet::from_iter(owed_records(&spool, Stream::Snapshot).await.iter().map(|s| s.range)).count(), 0);
    spool.close().await.unwrap();
}
