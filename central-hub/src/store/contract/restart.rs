//! What needs more than one life of a store: crashes, restarts, backups, full budgets, damage. Run for SQLite.

use std::sync::Arc;

use simpul_wire::{RangeSet, Stream};
use tokio::task::JoinSet;

use super::make::*;
use super::{Fixture, maintain, shared};
use crate::store::{Outcome, Page, Restored, SqliteStore, Store, StoreError, restore};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_an_outcome_is_there_after_a_crash() {
    let mut random = random("what_has_an_outcome_is_there_after_a_crash");
    let fixture = Fixture::new();
    let blocks = blocks(&mut random, NOW_MS, 20);
    let mut expected = RangeSet::new();
    for round in 0..5u64 {
        let store = fixture.open();
        let reported = range(1 + 100 * round, 100 * (round + 1));
        expected.insert_all(&new_of(commit_one(&store, service("n-1", 1, reported)).await));
        commit_one(&store, cut("n-1", &blocks, range(1 + 18 * round, 18 * (round + 1)))).await;
        store.maintain(NOW_MS).await.unwrap();
        // Dropped, not closed: nothing is flushed in order.
        drop(store);
    }
    let store = fixture.open();
    assert_eq!(all_of(&store, Stream::Service).await, expected);
    assert_eq!(store.service_records(Page { limit: 10_000, ..Page::default() }).await.unwrap().len(), 500);
    maintain(&store, NOW_MS).await;
    let points = super::readings::points(&store, "cpu_used", crate::store::Step::Day).await;
    assert_eq!(points.iter().map(|point| point.count + point.missing).sum::<u64>(), 30);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_resumes_after_a_restart() {
    let mut random = random("an_image_resumes_after_a_restart");
    let fixture = Fixture::new();
    let parts = image(&mut random, "gate", clocked(NOW_MS), 20_000, 3_000);
    for (index, one) in parts.iter().enumerate() {
        let store = fixture.open();
        let outcome = commit_one(&store, part("n-1", 1, one.clone())).await;
        match outcome {
            Outcome::Partial(_, partial) => {
                let from = (index as u64 + 1) * 3_000;
                assert_eq!(partial.missing, set(&[(from, 19_999)]));
            }
            outcome => assert_eq!((new_of(outcome), index), (set(&[(1, 1)]), parts.len() - 1)),
        }
        drop(store);
    }
    let store = fixture.open();
    let rows = store.snapshots(Page { limit: 9, ..Page::default() }).await.unwrap();
    assert_eq!(store.snapshot_bytes(rows[0].id).await.unwrap().unwrap(), bytes_of(&parts));
    let left = std::fs::read_dir(fixture.config.directory.join("incoming")).unwrap().count();
    assert_eq!(left, 0, "the parts of a whole image stay behind");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn incomplete_images_are_bounded_and_the_oldest_go() {
    let mut random = random("incomplete_images_are_bounded_and_the_oldest_go");
    let mut fixture = Fixture::new();
    fixture.config.incoming_bytes_max = 50_000;
    let store = fixture.open();
    let images: Vec<_> = (0..8).map(|_| image(&mut random, "gate", clocked(NOW_MS), 12_000, 10_000)).collect();
    for (seq, parts) in images.iter().enumerate() {
        commit_one(&store, part("n-1", seq as u64, parts[0].clone())).await;
    }
    let usage = store.usage().await.unwrap();
    assert_eq!((usage.incoming_dropped, usage.snapshot_bytes), (3, 50_000));
    // The newest go on where they were, the oldest begin again.
    assert_eq!(new_of(commit_one(&store, part("n-1", 7, images[7][1].clone())).await), set(&[(7, 7)]));
    let Outcome::Partial(_, partial) = commit_one(&store, part("n-1", 0, images[0][1].clone())).await else { panic!() };
    assert_eq!(partial.missing, set(&[(0, 9_999)]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_hub_has_what_the_backup_had_and_a_new_generation() {
    let mut random = random("a_restored_hub_has_what_the_backup_had_and_a_new_generation");
    let fixture = Fixture::new();
    let backup = fixture.directory.path().join("backup");
    let store = fixture.open();
    commit(&store, vec![service("n-1", 1, range(1, 500)), service("n-2", 1, range(1, 9))]).await;
    let first = image(&mut random, "gate", clocked(NOW_MS), 900, 900);
    commit_one(&store, part("n-1", 1, first[0].clone())).await;
    assert!(store.backed_up(node("n-1")).await.unwrap().is_empty());
    let report = store.backup(backup.clone()).await.unwrap();
    assert_eq!((report.images, report.at_ms), (1, NOW_MS));
    assert_eq!(store.backed_up(node("n-1")).await.unwrap(), [(epoch(1), Stream::Service, set(&[(1, 500)]))]);
    assert_eq!(store.usage().await.unwrap().last_backup_ms, Some(NOW_MS));

    commit(&store, vec![service("n-1", 1, range(501, 1_500))]).await;
    assert_eq!(store.backed_up(node("n-1")).await.unwrap()[0].2, set(&[(1, 500)]));
    let target = fixture.directory.path().join("restored");
    let restored = restore(&backup, &target, false, NOW_MS).unwrap();
    assert_ne!(restored.generation, store.generation());
    assert_eq!((restored.service_records, restored.images, restored.backup_ms), (509, (1, 1), Some(NOW_MS)));
    let config = crate::store::StoreConfig { directory: target.clone(), ..fixture.config.clone() };
    let again = SqliteStore::open(config, fixture.clock.clone()).unwrap();
    assert_eq!(again.generation(), restored.generation);
    let said = Some(Restored { at_ms: NOW_MS, backup_ms: Some(NOW_MS) });
    assert_eq!((store.usage().await.unwrap().restored, again.usage().await.unwrap().restored), (None, said));
    assert_eq!(all_of(&again, Stream::Service).await, set(&[(1, 500)]));
    assert_eq!(again.backed_up(node("n-1")).await.unwrap(), [(epoch(1), Stream::Service, set(&[(1, 500)]))]);
    let rows = again.snapshots(Page { limit: 9, ..Page::default() }).await.unwrap();
    assert_eq!(again.snapshot_bytes(rows[0].id).await.unwrap().unwrap(), first[0].bytes);
    // The agent sends the rest again: nothing doubled, nothing missing.
    assert_eq!(new_of(commit_one(&again, service("n-1", 1, range(400, 1_500))).await), set(&[(501, 1_500)]));
    again.backup(fixture.directory.path().join("again")).await.unwrap();
    assert_eq!(again.usage().await.unwrap().restored, None, "what came again is in a backup now");
    again.close().await;

    // A second backup copies only the new image; a restore onto something needs force.
    let second = image(&mut random, "gate", clocked(NOW_MS), 900, 900);
    commit_one(&store, part("n-1", 2, second[0].clone())).await;
    assert_eq!(store.backup(backup.clone()).await.unwrap().images, 1);
    let refused = restore(&backup, &target, false, NOW_MS).unwrap_err().to_string();
    assert!(refused.contains("is not empty"), "{refused}");
    let forced = restore(&backup, &target, true, NOW_MS).unwrap();
    assert_eq!((forced.service_records, forced.images), (1_509, (2, 2)));
    assert!(forced.moved.unwrap().join("hub.sqlite").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_load_claims_exactly_what_it_holds() {
    let fixture = Fixture::new();
    let store = shared(fixture.open());
    let sender = {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            // Every second number, so that each commit is an interval of its own; until the store is closed.
            for seq in (1..8_000).step_by(2) {
                match store.commit(vec![service("n-1", 1, range(seq, seq))]).await {
                    Ok(_) => {}
                    Err(StoreError::Closed) => return,
                    Err(error) => panic!("{error}"),
                }
            }
        })
    };
    for round in 0..3 {
        while store.streams(None).await.unwrap().first().is_none_or(|row| row.have.range_count() < 20 * (round + 1)) {
            tokio::task::yield_now().await;
        }
        let backup = fixture.directory.path().join(format!("backup-{round}"));
        store.backup(backup.clone()).await.unwrap();
        let target = fixture.directory.path().join(format!("restored-{round}"));
        restore(&backup, &target, false, NOW_MS).unwrap();
        let config = crate::store::StoreConfig { directory: target, ..fixture.config.clone() };
        let restored = SqliteStore::open(config, fixture.clock.clone()).unwrap();
        let held = all_of(&restored, Stream::Service).await;
        assert_eq!(store.backed_up(node("n-1")).await.unwrap(), [(epoch(1), Stream::Service, held.clone())]);
        let rows = restored.service_records(Page { limit: 10_000, ..Page::default() }).await.unwrap();
        assert_eq!(rows.len() as u64, held.count());
    }
    store.close().await;
    sender.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_refuses_a_folder_that_is_not_its_own() {
    let fixture = Fixture::new();
    let store = fixture.open();
    let folder = fixture.directory.path().join("documents");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("letter.txt"), "keep me").unwrap();
    let error = store.backup(folder.clone()).await.unwrap_err().to_string();
    assert!(error.contains("holds no backup of this store"), "{error}");
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
    let error = restore(&folder, &fixture.directory.path().join("new"), false, NOW_MS).unwrap_err().to_string();
    assert!(error.contains("holds no backup"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spent_budget_withholds_and_recovers_when_images_are_thinned() {
    let mut random = random("a_spent_budget_withholds_and_recovers_when_images_are_thinned");
    let mut fixture = Fixture::new();
    fixture.config.budget_bytes = 3_000_000;
    let store = fixture.open();
    let (mut seq, mut times_full) = (0, 0);
    // The first times the journal gives room back, then images must.
    while times_full < 4 {
        seq += 1;
        let mut parts = image(&mut random, "gate", clocked(NOW_MS + seq as i64), 30_000, 30_000);
        parts[0].meta.changed = seq % 10 == 0;
        let upload = part("n-1", seq, parts.remove(0));
        match store.commit(vec![upload.clone()]).await {
            Ok(outcomes) => drop(new_of(outcomes[0].clone())),
            Err(error) => {
                assert!(matches!(error, StoreError::Full(_)), "{error}");
                assert!(store.usage().await.unwrap().withholding);
                times_full += 1;
                let mark = service("n-1", 1, range(times_full, times_full));
                let refused = store.commit(vec![mark.clone()]).await;
                let records = store.service_records(Page { limit: 9, ..Page::default() }).await.unwrap();
                if refused.is_err() {
                    assert_eq!(records.len() as u64, times_full - 1);
                }
                maintain(&store, NOW_MS).await;
                commit_one(&store, mark).await;
                assert!(!store.usage().await.unwrap().withholding);
                assert_eq!(new_of(commit_one(&store, upload).await), set(&[(seq, seq)]));
            }
        }
        assert!(seq < 2_000, "the budget is never spent");
    }
    let rows = store.snapshots(Page { limit: 10_000, ..Page::default() }).await.unwrap();
    let (kept, changed) = (rows.len() as u64, rows.iter().filter(|row| row.meta.changed).count() as u64);
    assert!(kept > seq / 4 && kept < seq, "{kept} of {seq} are kept");
    assert_eq!(changed, seq / 10, "changed scenes are kept while others can go");
    // No file without a row stays behind.
    assert_eq!(files(&fixture.config.directory.join("snapshots")) as u64, kept);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_database_is_set_aside_and_an_empty_one_begins() {
    for damage in ["head", "middle", "cut", "emptied", "removed"] {
        let fixture = Fixture::new();
        let store = fixture.open();
        let generation = store.generation();
        for first in (1..=2_000).step_by(100) {
            commit(&store, vec![service("n-1", 1, range(first, first + 99))]).await;
        }
        store.close().await;
        let database = fixture.config.directory.join("hub.sqlite");
        let mut bytes = std::fs::read(&database).unwrap();
        let length = bytes.len();
        match damage {
            "head" => bytes[..16].fill(0),
            "middle" => bytes[length / 2..length * 3 / 4].fill(0x5a),
            "cut" => bytes.truncate(length / 2),
            _ => bytes.clear(),
        }
        std::fs::write(&database, bytes).unwrap();
        if damage == "removed" {
            std::fs::remove_file(&database).unwrap();
        }
        let store = fixture.open();
        assert_ne!(store.generation(), generation, "{damage}");
        let note = store.usage().await.unwrap().quarantined.unwrap_or_else(|| panic!("{damage}: not reported"));
        assert!(note.contains("set aside"), "{note}");
        assert!(store.streams(None).await.unwrap().is_empty());
        assert_eq!(new_of(commit_one(&store, service("n-1", 1, range(1, 5))).await), set(&[(1, 5)]));
        store.close().await;
        // Only once: the next start finds a whole store.
        let store = fixture.open();
        assert_eq!(store.usage().await.unwrap().quarantined, None);
        assert_eq!(all_of(&store, Stream::Service).await, set(&[(1, 5)]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_senders_at_once_get_each_record_in_once() {
    let fixture = Fixture::new();
    let store = shared(fixture.open());
    let mut senders = JoinSet::new();
    for sender in 0..64u64 {
        let store = Arc::clone(&store);
        senders.spawn(async move {
            let name = format!("n-{}", sender % 16);
            let mut new = 0;
            for index in 0..20u64 {
                // Four senders share a node and send the same ranges.
                let first = 1 + index * 10;
                new += new_of(commit_one(store.as_ref(), service(&name, 1, range(first, first + 9))).await).count();
            }
            new
        });
    }
    let new: u64 = senders.join_all().await.into_iter().sum();
    assert_eq!(new, 16 * 200);
    let rows = store.service_records(Page { limit: 10_000, ..Page::default() }).await.unwrap();
    assert_eq!(rows.len(), 16 * 200);
    store.close().await;
    assert!(matches!(store.commit(vec![service("n-1", 1, range(1, 1))]).await, Err(StoreError::Closed)));
    assert!(matches!(store.nodes().await, Err(StoreError::Closed)));
}

async fn all_of(store: &dyn Store, stream: Stream) -> RangeSet {
    let rows = store.streams(Some(node("n-1"))).await.unwrap();
    rows.into_iter().find(|row| row.stream == stream).unwrap().have
}

fn files(directory: &std::path::Path) -> usize {
    std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| if path.is_dir() { files(&path) } else { 1 })
        .sum()
}
