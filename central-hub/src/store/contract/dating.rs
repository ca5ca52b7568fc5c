//! Dates: what is believed, what is told again when an anchor comes, what stays an estimate.

use simpul_wire::event::EventBody;
use simpul_wire::reading::Value;
use simpul_wire::service::ServiceRecord;
use simpul_wire::state::AgentState;
use simpul_wire::{Stamp, Stream};

use super::maintain;
use super::make::*;
use super::readings::{one, points};
use crate::store::{Content, Dating, Page, Records, Step, Store, Upload};

pub async fn a_clock_that_cannot_be_true_is_not_believed(store: &dyn Store) {
    let walls = [NOW_MS + DAY_MS, NOW_MS + DAY_MS + 1, 1_704_067_200_000, 1_704_067_199_999, 0, i64::MAX, i64::MIN];
    for (index, wall_ms) in walls.into_iter().enumerate() {
        let stamp = Stamp { boot: 100 + index as u32, uptime_ms: u64::MAX, wall_ms: Some(wall_ms) };
        commit(store, vec![single("n-1", 1, index as u64 + 1, stamp)]).await;
    }
    let dates: Vec<(i64, Dating)> = dates(store).await;
    let believed = |index: usize| (walls[index], Dating::Clock);
    assert_eq!((dates[0], dates[2]), (believed(0), believed(2)));
    for index in [1, 3, 4, 5, 6] {
        assert_eq!(dates[index].0, NOW_MS, "{index}: {:?}", dates[index]);
        assert_ne!(dates[index].1, Dating::Clock);
    }
}

pub async fn a_late_anchor_dates_everything_of_its_boot(store: &dyn Store) {
    let mut random = random("a_late_anchor_dates_everything_of_its_boot");
    // Boot 7 began a day and a half before now, and the machine had no clock then.
    let start_ms = NOW_MS - 36 * HOUR_MS;
    for seq in 1..=20u64 {
        commit(store, vec![single("n-1", 1, seq, unclocked(7, seq * 60_000))]).await;
    }
    commit(store, vec![events("n-1", 1, 1, vec![event(unclocked(7, 5_000), EventBody::Stopping {})])]).await;
    let block = one(unclocked(7, 61_000), vec![Value::Number(1.0), Value::Number(2.0)]);
    commit(store, vec![readings("n-1", range(1, 2), vec![block])]).await;
    let picture = image(&mut random, "gate", unclocked(7, 90_000), 100, 100);
    commit(store, vec![part("n-1", 1, picture[0].clone())]).await;
    maintain(store, NOW_MS).await;
    assert!(dates(store).await.iter().all(|date| *date == (NOW_MS, Dating::Undated)));
    let total = |totals: Vec<crate::store::ServiceTotal>| -> (i64, u64, u64) {
        totals.iter().fold((0, 0, 0), |sum, one| {
            (sum.0 + one.counted, sum.1 + one.visits_served + one.visits_other, sum.2 + one.estimated)
        })
    };
    let before = total(store.service_totals(NOW_MS, NOW_MS + 1).await.unwrap());
    assert_eq!(before.2, 20);
    let undated = points(store, "temperature", Step::Minute).await;
    assert_eq!((undated.len(), undated[0].at_ms, undated[0].sum), (1, NOW_MS, 3.0));

    commit(store, vec![events("n-1", 1, 2, vec![anchor(7, 120_000, start_ms + 120_000)])]).await;
    maintain(store, NOW_MS).await;
    let expected = (1..=20).map(|seq| (start_ms + seq * 60_000, Dating::Anchor(20)));
    let found = dates(store).await;
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found.0, expected.0);
        assert!(matches!(found.1, Dating::Anchor(error_ms) if (20..200).contains(&error_ms)), "{found:?}");
    }
    assert_eq!(total(store.service_totals(NOW_MS, NOW_MS + 1).await.unwrap()), (0, 0, 0));
    let after = total(store.service_totals(start_ms, start_ms + DAY_MS).await.unwrap());
    assert_eq!(after, (before.0, before.1, 0));
    let event_rows = store.events(Page { limit: 9, ..Page::default() }).await.unwrap();
    assert_eq!(event_rows[0].at_ms, start_ms + 5_000);
    assert_eq!(store.snapshots(Page { limit: 9, ..Page::default() }).await.unwrap()[0].at_ms, start_ms + 90_000);
    let dated = points(store, "temperature", Step::Minute).await;
    let minute = (start_ms + 61_000).div_euclid(MINUTE_MS) * MINUTE_MS;
    assert_eq!((dated.len(), dated[0].at_ms, dated[0].sum, dated[0].count), (1, minute, 3.0, 2));
    // What comes now is dated at once.
    commit(store, vec![single("n-1", 1, 21, unclocked(7, 21 * 60_000))]).await;
    assert_eq!(dates(store).await[20].0, start_ms + 21 * 60_000);
}

pub async fn readings_at_an_estimate_wait_for_their_anchor(store: &dyn Store) {
    let at = async |store: &dyn Store| {
        let points = points(store, "temperature", Step::Minute).await;
        assert_eq!(points.len(), 1);
        (points[0].at_ms, points[0].sum)
    };
    let minute = |at_ms: i64| at_ms.div_euclid(MINUTE_MS) * MINUTE_MS;
    commit(store, vec![readings("n-1", range(1, 1), vec![one(unclocked(3, 1_000), vec![Value::Number(4.0)])])]).await;
    maintain(store, NOW_MS).await;
    assert_eq!(at(store).await, (minute(NOW_MS), 4.0));
    commit(store, vec![upload("n-1", Content::State(state(unclocked(3, 600_000))))]).await;
    maintain(store, NOW_MS).await;
    assert_eq!(at(store).await, (minute(NOW_MS - 599_000), 4.0));
    commit(store, vec![events("n-1", 1, 1, vec![anchor(3, 600_000, NOW_MS - 5 * HOUR_MS)])]).await;
    maintain(store, NOW_MS).await;
    assert_eq!(at(store).await, (minute(NOW_MS - 5 * HOUR_MS - 599_000), 4.0));
}

fn state(stamp: Stamp) -> AgentState {
    AgentState {
        online: true,
        epoch: epoch(1),
        stamp,
        version: "1".parse().unwrap(),
        interval_s: 30,
        generation: None,
        streams: Vec::new(),
        hardware: None,
        platform: None,
    }
}

pub async fn an_anchor_of_another_epoch_only_estimates(store: &dyn Store) {
    // The same boot number on another machine (a cloned card): its anchor is not this machine's.
    commit(store, vec![events("n-1", 2, 1, vec![anchor(3, 0, NOW_MS - HOUR_MS)])]).await;
    commit(store, vec![single("n-1", 1, 1, unclocked(3, 1_000))]).await;
    assert!(matches!(dates(store).await[0].1, Dating::Undated | Dating::Estimated));
    // A state that was just said tells when this boot began, give or take the way.
    let state = state(unclocked(3, 600_000));
    commit(store, vec![upload("n-1", Content::State(state.clone()))]).await;
    maintain(store, NOW_MS).await;
    assert_eq!(dates(store).await[0], (NOW_MS - 599_000, Dating::Estimated));
    let rows = store.nodes().await.unwrap();
    assert_eq!((rows[0].state.clone(), rows[0].state_received_ms), (Some(state), Some(NOW_MS)));
}

pub async fn the_nearest_anchor_is_taken_and_drift_widens_its_error(store: &dyn Store) {
    // The clock ran 2 s fast over a day: two anchors, 1,000,000 s and 1,086,400 s after the boot.
    let start_ms = NOW_MS - 20 * DAY_MS;
    let anchors =
        vec![anchor(1, 1_000_000_000, start_ms + 1_000_000_000), anchor(1, 1_086_400_000, start_ms + 1_086_398_000)];
    commit(store, vec![events("n-1", 1, 1, anchors)]).await;
    for (seq, uptime_ms, expected_ms) in [
        (1, 1_000_100_000, start_ms + 1_000_100_000),
        (2, 1_086_300_000, start_ms + 1_086_298_000),
        (3, 1_087_400_000, start_ms + 1_087_398_000),
    ] {
        commit(store, vec![single("n-1", 1, seq, unclocked(1, uptime_ms))]).await;
        let date = *dates(store).await.last().unwrap();
        // 100 ppm of 100 s and of 1,000 s.
        let error_ms = if seq == 3 { 120 } else { 30 };
        assert_eq!(date, (expected_ms, Dating::Anchor(error_ms)), "{seq}");
    }
}

pub async fn a_boot_between_two_others_is_estimated(store: &dyn Store) {
    let clocked_boot = |boot, wall_ms| Stamp { boot, uptime_ms: 0, wall_ms: Some(wall_ms) };
    commit(store, vec![single("n-1", 1, 1, clocked_boot(1, NOW_MS - 10 * HOUR_MS))]).await;
    commit(store, vec![single("n-1", 1, 2, unclocked(2, 30 * MINUTE_MS as u64))]).await;
    assert_eq!(dates(store).await[1], (NOW_MS, Dating::Undated));
    commit(store, vec![single("n-1", 1, 3, clocked_boot(3, NOW_MS - HOUR_MS))]).await;
    maintain(store, NOW_MS).await;
    let (at_ms, dating) = dates(store).await[1];
    assert_eq!(dating, Dating::Estimated);
    assert!((NOW_MS - 10 * HOUR_MS..=NOW_MS - HOUR_MS).contains(&at_ms));
    assert_eq!(store.streams(None).await.unwrap()[0].stream, Stream::Service);
}

fn single(name: &str, epoch_number: u8, seq: u64, stamp: Stamp) -> Upload {
    let record: ServiceRecord = service_at(seq, stamp);
    batch(name, epoch_number, range(seq, seq), Vec::new(), Records::Service(vec![record]))
}

/// Dates of all service records, by id.
async fn dates(store: &dyn Store) -> Vec<(i64, Dating)> {
    let rows = store.service_records(Page { limit: 10_000, ..Page::default() }).await.unwrap();
    rows.iter().map(|row| (row.at_ms, row.dating)).collect()
}
