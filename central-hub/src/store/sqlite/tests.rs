//! What only this store can be asked: a full database file, ids after retention, a second hub on the directory, the
//! ballast, and that packing loses nothing.

use rand::RngExt;
use simpul_wire::reading::Value;

use super::pack::{Cell, decode_cell, decode_cells, decode_minute, encode_cell, encode_cells, encode_minute};
use super::{SqliteStore, space};
use crate::store::contract::make::*;
use crate::store::contract::readings::{one, points};
use crate::store::contract::{Fixture, maintain};
use crate::store::{Page, Step, Store, StoreError};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_database_acknowledges_nothing_and_recovers_alone() {
    let fixture = Fixture::new();
    let store = fixture.open();
    commit(&store, vec![service("n-1", 1, range(1, 500))]).await;
    let pages = limit_pages(&store, 1).await;
    let mut accepted = 500;
    let error = loop {
        let next = range(accepted + 1, accepted + 500);
        match store.commit(vec![service("n-1", 1, next), service("n-2", 1, next)]).await {
            Ok(_) => accepted += 500,
            Err(error) => break error,
        }
        assert!(accepted < 100_000, "the file was limited to {pages} pages and is never full");
    };
    assert!(matches!(error, StoreError::Full(_)), "{error:?}");
    assert_eq!(store.streams(None).await.unwrap()[0].have, set(&[(1, accepted)]));
    limit_pages(&store, 1 << 30).await;
    // The same numbers once more: what failed must count as new, in memory too.
    let next = range(accepted + 1, accepted + 500);
    assert_eq!(new_of(commit_one(&store, service("n-1", 1, next)).await).count(), 500);
    let rows = store.service_records(Page { node: Some(node("n-1")), limit: 10_000, ..Page::default() }).await.unwrap();
    assert_eq!(rows.len() as u64, (accepted + 500).min(10_000));
}

async fn limit_pages(store: &SqliteStore, pages: i64) -> i64 {
    // SQLite takes the file's present size for anything smaller.
    let limit = move |writer: &mut super::Writer| {
        Ok(writer.connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |row| row.get(0))?)
    };
    store.write(limit).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readings_after_all_batches_were_retired_are_rolled_up() {
    let mut fixture = Fixture::new();
    fixture.config.batch_days = 1;
    let at =
        |seq: u64, value: f64| readings("n-1", range(seq, seq), vec![one(clocked(NOW_MS), vec![Value::Number(value)])]);
    {
        let store = fixture.open();
        commit(&store, vec![at(1, 1.0)]).await;
        commit(&store, vec![at(2, 2.0)]).await;
        maintain(&store, NOW_MS + 2 * DAY_MS).await;
        store.close().await;
    }
    let store = fixture.open();
    let batches = store
        .pool
        .read(|connection| Ok(connection.query_row("SELECT count(*) FROM batch", [], |row| row.get::<_, i64>(0))?));
    assert_eq!(batches.await.unwrap(), 0);
    commit(&store, vec![at(3, 4.0)]).await;
    assert_eq!(points(&store, "temperature", Step::Day).await[0].sum, 7.0);
    maintain(&store, NOW_MS).await;
    assert_eq!(points(&store, "temperature", Step::Day).await[0].sum, 7.0);
}

/// Batches of one reading each, numbers `first..=last`, in groups as intake sends them.
async fn commit_ones(store: &SqliteStore, first: u64, last: u64) {
    let at = |seq: u64| {
        let at_ms = NOW_MS + (seq as i64) * 1_000;
        readings("n-1", range(seq, seq), vec![one(clocked(at_ms), vec![Value::Number(seq as f64)])])
    };
    let numbers: Vec<u64> = (first..=last).collect();
    for group in numbers.chunks(100) {
        commit(store, group.iter().copied().map(at).collect()).await;
    }
}

async fn count_and_sum(store: &SqliteStore) -> (u64, f64) {
    let points = points(store, "temperature", Step::Day).await;
    (points.iter().map(|point| point.count).sum(), points.iter().map(|point| point.sum).sum())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_of_two_lives_of_the_store_are_added_up_once_each() {
    let fixture = Fixture::new();
    for (first, last) in [(1, 150), (151, 300)] {
        // Dropped without an end: what was handed over in memory is gone, and the rows have to do.
        let store = fixture.open();
        commit_ones(&store, first, last).await;
        assert_eq!(count_and_sum(&store).await.0, last);
    }
    let store = fixture.open();
    commit_ones(&store, 301, 400).await;
    maintain(&store, NOW_MS).await;
    assert_eq!(store.usage().await.unwrap().rollup_lag_batches, 0);
    commit_ones(&store, 401, 500).await;
    maintain(&store, NOW_MS).await;
    assert_eq!(count_and_sum(&store).await, (500, f64::from(500 * 501 / 2)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_of_readings_outlive_a_crash_whatever_of_their_sets_was_stored() {
    let mut fixture = Fixture::new();
    fixture.config.batch_days = 1;
    let every = super::intervals::UNSAVED_BATCHES_MAX.unsigned_abs();
    let mut last = 0;
    // Before the sets were ever stored, after they were, after the batches were retired, and with some behind those.
    for (count, retire) in [(150, false), (every, false), (50, true), (70, false)] {
        {
            let store = fixture.open();
            commit_ones(&store, last + 1, last + count).await;
            last += count;
            assert_eq!(store.streams(None).await.unwrap()[0].have, set(&[(1, last)]));
            if retire {
                maintain(&store, NOW_MS + 2 * DAY_MS).await;
            }
        }
        let store = fixture.open();
        let row = store.streams(Some(node("n-1"))).await.unwrap().remove(0);
        assert_eq!((row.have, row.last_received_ms), (set(&[(1, last)]), NOW_MS));
        assert_eq!(store.nodes().await.unwrap()[0].last_heard_ms, NOW_MS);
        // The same batches once more bring nothing, in a group with one that is new.
        let again = |seq: u64| readings("n-1", range(seq, seq), vec![one(clocked(NOW_MS), vec![Value::Number(0.0)])]);
        let outcomes = commit(&store, vec![again(1), again(last), again(last + 1)]).await;
        let new: Vec<u64> = outcomes.into_iter().map(|outcome| new_of(outcome).count()).collect();
        assert_eq!(new, [0, 0, 1]);
        last += 1;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_of_readings_outlive_a_transaction_that_failed() {
    let fixture = Fixture::new();
    let store = fixture.open();
    commit_ones(&store, 1, 20).await;
    limit_pages(&store, 1).await;
    let values: Vec<Value> = (0..9_000).map(|value| Value::Number(f64::from(value).sqrt())).collect();
    let large = || readings("n-1", range(21, 9_020), vec![one(clocked(NOW_MS), values.clone())]);
    let error = store.commit(vec![large()]).await.unwrap_err();
    assert!(matches!(error, StoreError::Full(_)), "{error:?}");
    assert_eq!(store.streams(None).await.unwrap()[0].have, set(&[(1, 20)]));
    limit_pages(&store, 1 << 30).await;
    assert_eq!(new_of(commit_one(&store, large()).await).count(), 9_000);
    commit_ones(&store, 9_021, 9_021).await;
    drop(store);
    assert_eq!(fixture.open().streams(None).await.unwrap()[0].have, set(&[(1, 9_021)]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_intake_is_rolled_up_without_being_asked() {
    let fixture = Fixture::new();
    let store = fixture.open();
    let last = 3 * super::roller::WAKE_BATCHES.unsigned_abs();
    commit_ones(&store, 1, last).await;
    // A bound, so that a rollup that never comes fails instead of hanging.
    for _ in 0..1_000 {
        if store.usage().await.unwrap().rollup_lag_batches < last {
            maintain(&store, NOW_MS).await;
            assert_eq!(count_and_sum(&store).await, (last, (last * (last + 1) / 2) as f64));
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("{last} batches wait and none is rolled up");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readings_without_a_date_are_rolled_up_when_waiting_has_no_more_sense() {
    let fixture = Fixture::new();
    let store = fixture.open();
    let block = one(unclocked(7, 61_000), vec![Value::Number(1.0), Value::Number(2.0)]);
    commit(&store, vec![readings("n-1", range(1, 2), vec![block])]).await;
    for days in [0, 6, 8] {
        maintain(&store, NOW_MS + days * DAY_MS).await;
        assert_eq!(points(&store, "temperature", Step::Day).await[0].sum, 3.0);
        let parked = store.pool.read(|connection| {
            Ok(connection.query_row("SELECT count(*) FROM parked", [], |row| row.get::<_, i64>(0))?)
        });
        assert_eq!(parked.await.unwrap(), i64::from(days < 7));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_journal_is_folded_in_beside_the_writer() {
    let mut random = random("the_journal_is_folded_in_beside_the_writer");
    let fixture = Fixture::new();
    let store = fixture.open();
    // Some 40 MB of payloads through a journal of at most 16 and what one commit adds.
    let values: Vec<Value> = (0..3_000).map(|_| Value::Number(random.random())).collect();
    for seq in 0..1_200u64 {
        let numbers = range(1 + seq * 3_000, (seq + 1) * 3_000);
        commit_one(&store, readings("n-1", numbers, vec![one(clocked(NOW_MS), values.clone())])).await;
    }
    let journal = std::fs::metadata(fixture.config.directory.join("hub.sqlite-wal")).unwrap().len();
    assert!(journal < 20 * 1024 * 1024, "the journal has grown to {journal} bytes");
}

#[test]
fn a_second_hub_on_the_directory_is_refused() {
    let fixture = Fixture::new();
    let _first = fixture.open();
    let error = SqliteStore::open(fixture.config.clone(), fixture.clock.clone()).err().unwrap().to_string();
    assert!(error.contains("in use by another simpul-hub"), "{error}");
}

#[test]
fn the_ballast_is_real_and_is_given_up() {
    let directory = tempfile::tempdir().unwrap();
    let ballast = directory.path().join("ballast");
    let space = space::Space::new(directory.path().to_owned(), u64::MAX, 300_000);
    space.prepare().unwrap();
    use std::os::unix::fs::MetadataExt;
    assert!(std::fs::metadata(&ballast).unwrap().blocks() * 512 >= 300_000, "a hole gives nothing back");
    space.met_full();
    assert!(!ballast.exists() && space.is_withholding());
    space.check().unwrap();
    assert!(ballast.exists() && !space.is_withholding());
}

#[test]
fn days_left_go_by_the_growth_of_a_week() {
    let connection = rusqlite::Connection::open_in_memory().unwrap();
    connection.execute_batch("CREATE TABLE usage_day (day INTEGER PRIMARY KEY, bytes INTEGER NOT NULL)").unwrap();
    let days_left = |used| space::days_left(&connection, used, 10_000).unwrap();
    assert_eq!(days_left(0), None);
    for day in 0..20i64 {
        space::sample(&connection, NOW_MS + day * DAY_MS, 1_000 + 100 * day.unsigned_abs()).unwrap();
    }
    assert_eq!(days_left(2_900), Some(71.0));
    space::sample(&connection, NOW_MS + 20 * DAY_MS, 500).unwrap();
    assert_eq!(days_left(500), None, "it shrinks");
}

#[test]
fn packing_keeps_every_bit() {
    let mut random = random("packing_keeps_every_bit");
    for _ in 0..200 {
        let mut minute = Vec::new();
        let mut cells = Vec::new();
        let mut key = 0u32;
        for _ in 0..random.random_range(0..40) {
            key += random.random_range(1..30);
            let mut cell = Cell { missing: random.random_range(0..3), ..Cell::EMPTY };
            for _ in 0..random.random_range(0..5) {
                cell.add(match random.random_range(0..5) {
                    0 => f64::from(random.random_range(-10_000..10_000)) / 100.0,
                    1 => random.random::<f64>() * 1e9,
                    2 => [0.0, -0.0, f64::MAX, f64::MIN_POSITIVE, 0.1 + 0.2][random.random_range(0..5)],
                    3 => f64::from(random.random_range(0..100)),
                    _ => f64::from(random.random_range(-400..400)) / 10_000.0,
                });
            }
            minute.push((key, cell));
            cells.push((key as u16, cell));
            assert_eq!(bits(&decode_cell(&encode_cell(&cell)).unwrap()), bits(&cell));
        }
        let found = decode_minute(&encode_minute(&minute)).unwrap();
        let plain = |cells: &[(u32, Cell)]| cells.iter().map(|(key, cell)| (*key, bits(cell))).collect::<Vec<_>>();
        assert_eq!(plain(&found), plain(&minute));
        let found = decode_cells(&encode_cells(&cells)).unwrap();
        let found: Vec<(u32, Cell)> = found.into_iter().map(|(key, cell)| (u32::from(key), cell)).collect();
        assert_eq!(plain(&found), plain(&minute));
    }
}

fn bits(cell: &Cell) -> (u64, u64, [u64; 3]) {
    let numbers = [cell.min, cell.max, cell.sum].map(f64::to_bits);
    (cell.count, cell.missing, if cell.count == 0 { [0; 3] } else { numbers })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_that_is_met_while_running_is_set_aside_at_the_next_start() {
    let fixture = Fixture::new();
    let store = fixture.open();
    for first in (1..=4_000).step_by(500) {
        commit(&store, vec![service("n-1", 1, range(first, first + 499))]).await;
    }
    store.write(|writer| writer.fold_journal()).await.unwrap();
    // Under the running store's feet, behind the pages that it has in memory.
    let database = fixture.config.directory.join("hub.sqlite");
    let mut bytes = std::fs::read(&database).unwrap();
    let length = bytes.len();
    bytes[length / 4..].fill(0x5a);
    std::fs::write(&database, bytes).unwrap();
    let error = store.service_records(Page { limit: 10_000, ..Page::default() }).await.unwrap_err().to_string();
    assert!(error.contains("restart the hub"), "{error}");
    assert!(fixture.config.directory.join("damaged").exists());
    store.close().await;
    let store = fixture.open();
    assert!(store.usage().await.unwrap().quarantined.is_some());
    assert!(!fixture.config.directory.join("damaged").exists());
}

/// A store that was made and used by the last program of version 1: readings 1 to 15 in two overlapping batches that are
/// rolled up, 16 to 20 that are not, 30 to 34 lost, five service records, two events. Sets were stored with every commit,
/// and a batch that was wholly new said nothing of its numbers.
const VERSION_1: &str = include_str!("version_1.sql");

fn make(fixture: &Fixture, sql: &str) -> rusqlite::Connection {
    std::fs::create_dir_all(&fixture.config.directory).unwrap();
    let file = rusqlite::Connection::open(fixture.config.directory.join(super::quarantine::DATABASE)).unwrap();
    file.execute_batch(sql).unwrap();
    file
}

fn version(fixture: &Fixture) -> i64 {
    let file = rusqlite::Connection::open(fixture.config.directory.join(super::quarantine::DATABASE)).unwrap();
    file.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap()
}

fn values(first: u64, last: u64) -> crate::store::Upload {
    let values = (first..=last).map(|seq| Value::Number(seq as f64)).collect();
    readings("n-1", range(first, last), vec![one(clocked(NOW_MS), values)])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_of_version_1_goes_on_with_all_that_it_has() {
    let fixture = Fixture::new();
    drop(make(&fixture, VERSION_1));
    assert_eq!(version(&fixture), 1);
    let mut have = 20;
    // The second time without an end before it: the numbers are where version 2 keeps them.
    for last in [24, 28] {
        let store = fixture.open();
        let usage = store.usage().await.unwrap();
        assert_eq!(usage.quarantined, None);
        assert_eq!(store.generation().to_string(), "41f8de1b36f22e3967c408e30165c5ef");
        let of_readings = |streams: Vec<crate::store::StreamRow>| {
            streams.into_iter().find(|row| row.stream == simpul_wire::Stream::Reading).unwrap()
        };
        let row = of_readings(store.streams(None).await.unwrap());
        assert_eq!(row.have, set(&[(1, have)]));
        assert_eq!(row.lost.iter().map(|loss| loss.range).collect::<Vec<_>>(), [range(30, 34)]);
        assert_eq!(count_and_sum(&store).await, (have, (have * (have + 1) / 2) as f64));
        // All of it once more and beyond: only what is beyond is new.
        assert_eq!(new_of(commit_one(&store, values(3, last)).await), set(&[(have + 1, last)]));
        assert!(new_of(commit_one(&store, service("n-1", 1, range(1, 5))).await).is_empty());
        have = last;
        assert_eq!(count_and_sum(&store).await, (have, (have * (have + 1) / 2) as f64));
        maintain(&store, NOW_MS).await;
        assert_eq!(count_and_sum(&store).await, (have, (have * (have + 1) / 2) as f64));
        let page = Page { node: Some(node("n-1")), limit: 100, ..Page::default() };
        assert_eq!(store.service_records(page.clone()).await.unwrap().len(), 5);
        assert_eq!(store.events(page).await.unwrap().len(), 2);
    }
    assert_eq!(version(&fixture), super::schema::VERSION);
}

#[tokio::test]
async fn a_store_of_a_newer_version_is_refused_and_left_as_it_is() {
    let fixture = Fixture::new();
    let file = make(&fixture, VERSION_1);
    let newer = super::schema::VERSION + 1;
    file.pragma_update(None, "user_version", newer).unwrap();
    drop(file);
    let Err(error) = SqliteStore::open(fixture.config.clone(), fixture.clock.clone()) else {
        panic!("a program of version {} opened a store of version {newer}", super::schema::VERSION);
    };
    let text = error.to_string();
    let known = super::schema::VERSION;
    for part in [format!("of version {newer}"), format!("knows {known}"), "start a newer simpul-hub".to_owned()] {
        assert!(text.contains(&part), "{text}");
    }
    assert_eq!(version(&fixture), newer);
    let rows = make(&fixture, "").query_row("SELECT count(*) FROM batch", [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(rows, 3);
    let aside = std::fs::read_dir(&fixture.config.directory).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(aside.into_iter().all(|name| !name.to_string_lossy().contains("quarantine")));
}
