//! Service records: each once, totals exact over every span.

use std::collections::{BTreeMap, HashSet};

use rand::RngExt;
use simpul_wire::service::{Origin, ServiceBody, VisitOutcome};
use simpul_wire::{RangeSet, Stream};

use super::make::*;
use crate::store::{Page, ServiceTotal, Store};

const RECORDS: u64 = 1_500;

pub async fn a_recut_stream_counts_every_record_once(store: &dyn Store) {
    let mut random = random("a_recut_stream_counts_every_record_once");
    let mut seen = RangeSet::new();
    let cuts = cuts(&mut random, RECORDS, 60, 3);
    for group in cuts.chunks(7) {
        let uploads = group.iter().map(|range| service("n-1", 1, *range)).collect();
        for outcome in commit(store, uploads).await {
            for range in new_of(outcome).iter() {
                assert_eq!(seen.insert(range), vec![range], "numbers were new twice");
            }
        }
    }
    assert_eq!(seen, set(&[(1, RECORDS)]));
    let rows = store.service_records(Page { limit: 10_000, ..Page::default() }).await.unwrap();
    let keys: HashSet<&str> = rows.iter().map(|row| row.record.key.as_str()).collect();
    assert_eq!((rows.len(), keys.len()), (RECORDS as usize, RECORDS as usize));
    assert!(rows.iter().all(|row| row.record == service_record(row.seq)));
    assert_eq!(store.streams(None).await.unwrap()[0].have, set(&[(1, RECORDS)]));
    assert_eq!(store.service_totals(i64::MIN, i64::MAX).await.unwrap(), model(i64::MIN, i64::MAX));
}

pub async fn totals_follow_every_span_exactly(store: &dyn Store) {
    let mut random = random("totals_follow_every_span_exactly");
    commit(store, vec![service("n-1", 1, range(1, RECORDS))]).await;
    let earliest = NOW_MS - RECORDS as i64 * MINUTE_MS;
    for _ in 0..60 {
        let from_ms = random.random_range(earliest - HOUR_MS..NOW_MS + HOUR_MS);
        // Spans within one hour, over some hours, and at whole hours.
        let to_ms =
            from_ms + [random.random_range(0..HOUR_MS), random.random_range(0..DAY_MS)][random.random_range(0..2)];
        let (from_ms, to_ms) = if random.random_ratio(1, 4) {
            (from_ms / HOUR_MS * HOUR_MS, to_ms / HOUR_MS * HOUR_MS)
        } else {
            (from_ms, to_ms)
        };
        assert_eq!(store.service_totals(from_ms, to_ms).await.unwrap(), model(from_ms, to_ms), "{from_ms}..{to_ms}");
    }
}

pub async fn pages_go_both_ways_and_by_node(store: &dyn Store) {
    commit(store, vec![service("n-1", 1, range(1, 30)), service("n-2", 1, range(1, 20))]).await;
    let page = |node_name: Option<&str>, cursor, newest_first| Page {
        node: node_name.map(node),
        cursor,
        newest_first,
        limit: 7,
    };
    for newest_first in [false, true] {
        for (node_name, expected) in [(None, 50), (Some("n-1"), 30), (Some("n-2"), 20), (Some("n-3"), 0)] {
            let (mut cursor, mut ids) = (None, Vec::new());
            loop {
                let rows = store.service_records(page(node_name, cursor, newest_first)).await.unwrap();
                let Some(last) = rows.last() else { break };
                cursor = Some(last.id);
                ids.extend(rows.iter().map(|row| row.id));
            }
            assert_eq!(ids.len(), expected);
            assert!(ids.windows(2).all(|pair| (pair[0] < pair[1]) != newest_first), "{ids:?}");
        }
    }
    assert!(store.streams(None).await.unwrap().iter().all(|row| row.stream == Stream::Service));
}

/// The totals of records 1 to [`RECORDS`] of `n-1`, computed the plain way.
fn model(from_ms: i64, to_ms: i64) -> Vec<ServiceTotal> {
    let mut totals: BTreeMap<(String, bool), ServiceTotal> = BTreeMap::new();
    for record in (1..=RECORDS).map(service_record) {
        let at_ms = record.stamp.wall_ms.unwrap();
        if at_ms < from_ms || at_ms >= to_ms {
            continue;
        }
        let service = record.body.service().as_str().to_owned();
        let total = totals.entry((service.clone(), record.simulated)).or_insert(ServiceTotal {
            node: node("n-1"),
            service,
            simulated: record.simulated,
            counted: 0,
            counted_by_button: 0,
            visits_served: 0,
            visits_other: 0,
            last_at_ms: i64::MIN,
            estimated: 0,
        });
        match record.body {
            ServiceBody::Count { delta, .. } => {
                total.counted += delta;
                total.counted_by_button += if record.origin == Origin::Board { delta } else { 0 };
            }
            ServiceBody::Visit { outcome: VisitOutcome::Served, .. } => total.visits_served += 1,
            ServiceBody::Visit { .. } => total.visits_other += 1,
        }
        total.last_at_ms = total.last_at_ms.max(at_ms);
    }
    totals.into_values().collect()
}
