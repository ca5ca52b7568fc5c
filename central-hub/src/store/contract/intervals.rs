//! Placing: duplicates, limits, losses, and that every upload stands alone.

use bytes::Bytes;
use simpul_wire::ack::RejectReason;
use simpul_wire::event::{EventBody, LossReason};
use simpul_wire::{RangeSet, Stream};

use super::make::*;
use crate::store::{Content, Outcome, Records, Store, StreamRow};

pub async fn a_duplicate_is_acknowledged_and_brings_nothing(store: &dyn Store) {
    assert_eq!(new_of(commit_one(store, service("n-1", 1, range(5, 9))).await), set(&[(5, 9)]));
    let again = commit_one(store, service("n-1", 1, range(5, 9))).await;
    let committed = |new| Outcome::Committed { stream: Stream::Service, epoch: epoch(1), range: range(5, 9), new };
    assert_eq!(again, committed(RangeSet::new()));
    // Twice within one group: the second brings nothing.
    let twice = commit(store, vec![service("n-1", 1, range(8, 12)), service("n-1", 1, range(10, 14))]).await;
    let new: Vec<RangeSet> = twice.into_iter().map(new_of).collect();
    assert_eq!(new, [set(&[(10, 12)]), set(&[(13, 14)])]);
    // Another epoch is another sequence.
    assert_eq!(new_of(commit_one(store, service("n-1", 2, range(5, 9))).await), set(&[(5, 9)]));
}

pub async fn a_refused_upload_does_not_hinder_its_group(store: &dyn Store) {
    let bad = batch("n-1", 1, range(20, 29), Vec::new(), Records::Service(vec![service_record(20)]));
    let outcomes = commit(store, vec![service("n-1", 1, range(1, 2)), bad, service("n-2", 1, range(1, 2))]).await;
    assert!(matches!(outcomes[1], Outcome::Refused { reason: RejectReason::Malformed, .. }));
    assert_eq!(new_of(outcomes[0].clone()), set(&[(1, 2)]));
    assert_eq!(new_of(outcomes[2].clone()), set(&[(1, 2)]));
}

pub async fn a_count_that_does_not_fit_is_refused(store: &dyn Store) {
    let mut random = random("a_count_that_does_not_fit_is_refused");
    let blocks = blocks(&mut random, NOW_MS, 1);
    let outcome = commit_one(store, readings("n-1", range(1, 8), blocks)).await;
    let placed = Some((epoch(1), Stream::Reading, range(1, 8)));
    assert_eq!(outcome, Outcome::Refused { placed, reason: RejectReason::Malformed });
    assert!(store.streams(None).await.unwrap().iter().all(|row| row.have.is_empty()));
}

pub async fn too_many_intervals_are_refused_and_gaps_may_still_close(store: &dyn Store) {
    // Every second number, up to the limit.
    for group in (0..4_096u64).collect::<Vec<_>>().chunks(256) {
        let uploads = group.iter().map(|index| service("n-1", 1, range(2 * index + 1, 2 * index + 1))).collect();
        commit(store, uploads).await;
    }
    let beyond = commit_one(store, service("n-1", 1, range(9_001, 9_001))).await;
    let placed = Some((epoch(1), Stream::Service, range(9_001, 9_001)));
    assert_eq!(beyond, Outcome::Refused { placed, reason: RejectReason::TooManyIntervals });
    assert_eq!(new_of(commit_one(store, service("n-1", 1, range(2, 2))).await), set(&[(2, 2)]));
    assert_eq!(new_of(commit_one(store, service("n-1", 1, range(9_001, 9_001))).await), set(&[(9_001, 9_001)]));
    assert_eq!(stream(store, Stream::Service).await.have.range_count(), 4_096);
}

pub async fn too_many_epochs_are_refused_and_known_ones_go_on(store: &dyn Store) {
    for number in 0..100 {
        new_of(commit_one(store, service("n-1", number, range(1, 1))).await);
    }
    let beyond = commit_one(store, service("n-1", 100, range(1, 1))).await;
    assert!(matches!(beyond, Outcome::Refused { reason: RejectReason::TooManyIntervals, .. }));
    new_of(commit_one(store, service("n-1", 99, range(2, 2))).await);
    new_of(commit_one(store, service("n-2", 100, range(1, 1))).await);
}

pub async fn lost_data_that_arrives_after_all_is_lost_no_more(store: &dyn Store) {
    commit(store, vec![service("n-1", 1, range(1, 10))]).await;
    let declared = loss(Stream::Service, 5, 40, LossReason::Damaged);
    commit(store, vec![events("n-1", 1, 1, vec![declared.clone()])]).await;
    assert_eq!(lost(&stream(store, Stream::Service).await), [(11, 40, LossReason::Damaged)]);
    // Declared again, for another reason: what is known stays as it is.
    let wider = loss(Stream::Service, 30, 45, LossReason::Evicted);
    commit(store, vec![events("n-1", 1, 2, vec![wider, declared])]).await;
    let expected = [(11, 40, LossReason::Damaged), (41, 45, LossReason::Evicted)];
    assert_eq!(lost(&stream(store, Stream::Service).await), expected);
    assert_eq!(new_of(commit_one(store, service("n-1", 1, range(15, 42))).await), set(&[(15, 42)]));
    let row = stream(store, Stream::Service).await;
    assert_eq!(lost(&row), [(11, 14, LossReason::Damaged), (43, 45, LossReason::Evicted)]);
    assert_eq!(row.have, set(&[(1, 10), (15, 42)]));
    commit(store, vec![service("n-1", 1, range(11, 45))]).await;
    assert_eq!(lost(&stream(store, Stream::Service).await), []);
}

pub async fn unused_numbers_are_not_losses(store: &dyn Store) {
    let unused = loss(Stream::Reading, 100, 199, LossReason::Unused);
    let evicted = loss(Stream::Reading, 150, 250, LossReason::Evicted);
    commit(store, vec![events("n-1", 1, 1, vec![unused, evicted])]).await;
    assert_eq!(lost(&stream(store, Stream::Reading).await), [(200, 250, LossReason::Evicted)]);
}

pub async fn a_loss_over_the_limit_refuses_its_batch_whole(store: &dyn Store) {
    let single = |index: u64| loss(Stream::Snapshot, 2 * index, 2 * index, LossReason::Thinned);
    for chunk in 0..4u64 {
        let records = (chunk * 1_024..(chunk + 1) * 1_024).map(single).collect();
        new_of(commit_one(store, events("n-1", 1, 1 + chunk * 1_024, records)).await);
    }
    let first = loss(Stream::Snapshot, 0, 8_190, LossReason::Thinned);
    let started = event(clocked(NOW_MS), EventBody::Stopping {});
    let over = commit_one(store, events("n-1", 1, 5_000, vec![started.clone(), single(5_000)])).await;
    assert!(matches!(over, Outcome::Refused { reason: RejectReason::TooManyIntervals, .. }), "{over:?}");
    assert!(!stream(store, Stream::Event).await.have.contains(5_000));
    // Closing the gaps makes room, then the same batch is taken.
    new_of(commit_one(store, events("n-1", 1, 4_097, vec![first])).await);
    let taken = commit_one(store, events("n-1", 1, 5_000, vec![started, single(5_000)])).await;
    assert_eq!(new_of(taken), set(&[(5_000, 5_001)]));
    let expected = [(0, 8_190, LossReason::Thinned), (10_000, 10_000, LossReason::Thinned)];
    assert_eq!(lost(&stream(store, Stream::Snapshot).await), expected);
}

pub async fn nodes_are_told_apart_by_equality(store: &dyn Store) {
    let names = ["node-1", "node-10", "node-01", "NODE-1"];
    commit(store, names.iter().map(|name| service(name, 1, range(1, 3))).collect()).await;
    let nodes = store.nodes().await.unwrap();
    assert_eq!(nodes.len(), 4);
    assert!(nodes.iter().all(|row| row.first_heard_ms == NOW_MS && row.last_heard_ms == NOW_MS));
    for name in names {
        let rows = store.streams(Some(node(name))).await.unwrap();
        assert_eq!((rows.len(), rows[0].have.clone()), (1, set(&[(1, 3)])));
    }
}

pub async fn the_ring_of_payloads_kept_aside_is_bounded_and_counts_all(store: &dyn Store) {
    for index in 0..100u64 {
        let outcome = commit_one(store, aside(index, 100)).await;
        let placed = Some((epoch(1), Stream::Event, range(index + 1, index + 1)));
        assert_eq!(outcome, Outcome::Refused { placed, reason: RejectReason::Malformed });
    }
    let rows = store.aside(1_000).await.unwrap();
    // The fixture keeps 4,096 bytes; a row is its payload, its texts and 64 bytes.
    assert!((10..40).contains(&rows.len()), "{}", rows.len());
    assert_eq!(rows[0].detail, "number 99");
    assert!(rows.windows(2).all(|pair| pair[0].id > pair[1].id));
    // Larger than the whole ring: it is kept alone, so that one can see what came.
    commit_one(store, aside(100, 10_000)).await;
    assert_eq!(store.aside(1_000).await.unwrap().len(), 1);
    assert_eq!(store.usage().await.unwrap().aside_count, 101);
}

fn aside(index: u64, bytes: usize) -> crate::store::Upload {
    let content = Content::Aside {
        topic: "simpul/v1/n-1/up/event".into(),
        placed: Some((epoch(1), Stream::Event, range(index + 1, index + 1))),
        reason: RejectReason::Malformed,
        detail: format!("number {index}"),
        payload: Bytes::from(vec![7; bytes]),
    };
    upload("n-1", content)
}

async fn stream(store: &dyn Store, stream: Stream) -> StreamRow {
    let rows = store.streams(Some(node("n-1"))).await.unwrap();
    rows.into_iter().find(|row| row.stream == stream && row.epoch == epoch(1)).unwrap()
}

fn lost(row: &StreamRow) -> Vec<(u64, u64, LossReason)> {
    row.lost.iter().map(|loss| (loss.range.first(), loss.range.last(), loss.reason)).collect()
}
