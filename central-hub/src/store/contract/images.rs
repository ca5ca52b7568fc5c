//! Images: parts in any order, verified, each once; retention by capture.

use rand::RngExt;
use rand::seq::SliceRandom;
use simpul_wire::ack::RejectReason;
use simpul_wire::{RangeSet, SeqRange, Stream};

use super::maintain;
use super::make::*;
use crate::store::{Outcome, Page, Store};

pub async fn parts_in_any_order_with_duplicates_make_the_image(store: &dyn Store) {
    let mut random = random("parts_in_any_order_with_duplicates_make_the_image");
    for seq in 1..=6u64 {
        let (length, part_bytes) = (random.random_range(1..60_000), random.random_range(1_000..9_000));
        let parts = image(&mut random, "gate", clocked(NOW_MS + seq as i64), length, part_bytes);
        let bytes = bytes_of(&parts);
        let mut sent = parts.clone();
        sent.extend(parts.iter().take(3).cloned());
        sent.shuffle(&mut random);
        let (mut covered, mut whole) = (RangeSet::new(), false);
        for group in sent.chunks(3) {
            let uploads = group.iter().map(|one| part("n-1", seq, one.clone())).collect();
            for (one, outcome) in group.iter().zip(commit(store, uploads).await) {
                covered.insert(SeqRange::with_count(u64::from(one.offset), one.bytes.len() as u64).unwrap());
                let missing: RangeSet = covered.missing_in(range(0, length as u64 - 1)).into_iter().collect();
                match outcome {
                    Outcome::Partial(of, partial) => {
                        assert_eq!((of, partial.seq, partial.missing), (epoch(1), seq, missing));
                    }
                    outcome => {
                        assert!(missing.is_empty());
                        let new = new_of(outcome);
                        assert_eq!(new, if whole { RangeSet::new() } else { set(&[(seq, seq)]) });
                        whole = true;
                    }
                }
            }
        }
        assert!(whole);
        let rows = store.snapshots(Page { newest_first: true, limit: 1, ..Page::default() }).await.unwrap();
        assert_eq!((rows[0].at_ms, rows[0].meta.clone()), (NOW_MS + seq as i64, parts[0].meta.clone()));
        assert_eq!(store.snapshot_bytes(rows[0].id).await.unwrap().unwrap(), bytes);
        // All of it once more: acknowledged, nothing new.
        for one in parts {
            assert_eq!(new_of(commit_one(store, part("n-1", seq, one)).await), RangeSet::new());
        }
    }
    assert_eq!(store.snapshots(Page { limit: 100, ..Page::default() }).await.unwrap().len(), 6);
    assert_eq!(store.snapshot_bytes(99).await.unwrap(), None);
}

pub async fn a_bad_hash_is_refused_and_the_image_begins_again(store: &dyn Store) {
    let mut random = random("a_bad_hash_is_refused_and_the_image_begins_again");
    let good = image(&mut random, "gate", clocked(NOW_MS), 10_000, 4_000);
    let mut bad = good.clone();
    bad[1].bytes[17] ^= 1;
    let mut outcomes = Vec::new();
    for one in bad {
        outcomes.push(commit_one(store, part("n-1", 7, one)).await);
    }
    let placed = Some((epoch(1), Stream::Snapshot, range(7, 7)));
    assert_eq!(outcomes[2], Outcome::Refused { placed, reason: RejectReason::BadImageHash });
    assert!(store.snapshots(Page { limit: 9, ..Page::default() }).await.unwrap().is_empty());
    // From the start: the parts of the bad one count no more.
    let Outcome::Partial(_, partial) = commit_one(store, part("n-1", 7, good[2].clone())).await else {
        panic!("whole after one part of three")
    };
    assert_eq!(partial.missing, set(&[(0, 7_999)]));
    commit_one(store, part("n-1", 7, good[0].clone())).await;
    assert_eq!(new_of(commit_one(store, part("n-1", 7, good[1].clone())).await), set(&[(7, 7)]));
    let rows = store.snapshots(Page { limit: 9, ..Page::default() }).await.unwrap();
    assert_eq!(store.snapshot_bytes(rows[0].id).await.unwrap().unwrap(), bytes_of(&good));
}

pub async fn the_newest_of_every_camera_is_found(store: &dyn Store) {
    let mut random = random("the_newest_of_every_camera_is_found");
    let mut seq = 0;
    for (name, camera, at_ms) in
        [("n-1", "gate", 5), ("n-1", "gate", 9), ("n-1", "gate", 7), ("n-1", "hall", 1), ("n-2", "gate", 3)]
    {
        seq += 1;
        send(store, name, seq, image(&mut random, camera, clocked(NOW_MS + at_ms), 500, 500)).await;
    }
    let rows = store.latest_snapshots().await.unwrap();
    let found: Vec<(&str, &str, i64)> =
        rows.iter().map(|row| (row.node.as_str(), row.meta.camera.as_str(), row.at_ms - NOW_MS)).collect();
    assert_eq!(found, [("n-1", "gate", 9), ("n-1", "hall", 1), ("n-2", "gate", 3)]);
}

pub async fn old_images_go_by_capture_date(store: &dyn Store) {
    let mut random = random("old_images_go_by_capture_date");
    for (seq, days) in [(1, 20), (2, 13), (3, 0)] {
        let stamp = clocked(NOW_MS - days * DAY_MS);
        send(store, "n-1", seq, image(&mut random, "gate", stamp, 500, 500)).await;
    }
    let before = store.usage().await.unwrap().snapshot_bytes;
    assert_eq!(before, 1_500);
    let rows = store.snapshots(Page { limit: 9, ..Page::default() }).await.unwrap();
    store.log_look("budi".into(), rows[0].id, NOW_MS).await.unwrap();
    maintain(store, NOW_MS).await;
    let kept = store.snapshots(Page { limit: 9, ..Page::default() }).await.unwrap();
    assert_eq!(kept.iter().map(|row| row.id).collect::<Vec<_>>(), [rows[1].id, rows[2].id]);
    assert_eq!(store.snapshot_bytes(rows[0].id).await.unwrap(), None);
    assert!(store.snapshot_bytes(rows[1].id).await.unwrap().is_some());
    assert_eq!(store.usage().await.unwrap().snapshot_bytes, 1_000);
    // Gone by age is not gone from what is had: sent again, it is a duplicate.
    let again = image(&mut random, "gate", clocked(NOW_MS), 500, 500);
    assert_eq!(new_of(commit_one(store, part("n-1", 1, again[0].clone())).await), RangeSet::new());
}

async fn send(store: &dyn Store, name: &str, seq: u64, parts: Vec<simpul_wire::image::ImagePart>) {
    let uploads = parts.into_iter().map(|one| part(name, seq, one)).collect();
    new_of(commit(store, uploads).await.remove(0));
}
