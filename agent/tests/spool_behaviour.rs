//! What the spool promises its callers, on a real folder.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod spool_support;

use std::time::Duration;

use simpul_agent::spool::{AppendError, Appended, NewRecord, Spool, export, inspect, verify};
use simpul_clock::Clock;
use simpul_wire::ack::{BackedUp, RejectReason, Rejected};
use simpul_wire::event::{EventBody, LossReason, SpoolCondition};
use simpul_wire::reading::ReadingBlock;
use simpul_wire::{RangeSet, SeqRange, Stream};
use spool_support::*;

#[tokio::test]
async fn what_was_appended_is_read_in_order_until_it_is_acknowledged() {
    let folder = folder();
    let (spool, report) = open(&config(folder.path()));
    assert!(report.clean && report.boot == 1 && report.notes.is_empty());
    for number in 0..30 {
        let appended = spool.append(service(&format!("k{number}"), 1)).await.unwrap();
        assert_eq!(appended, Appended { range: SeqRange::one(number), duplicate: false });
    }
    assert_eq!(spool.state().borrow().stream(Stream::Service).backlog_records, 30);
    let epoch = spool.state().borrow().epoch;
    let part = spool.read(epoch, Stream::Service, range(5, 20), 10_000, 4).await.unwrap();
    assert_eq!(part.iter().map(|stored| stored.range.first()).collect::<Vec<_>>(), [5, 6, 7, 8]);
    assert_eq!(spool.read(epoch, Stream::Service, range(5, 20), 1, 100).await.unwrap().len(), 1);
    acknowledge(&spool, Stream::Service, [range(0, 9), range(12, 28)]).await;
    let left = keys_by_number(&spool).await;
    assert_eq!(left.into_iter().collect::<Vec<_>>(), [(10, "k10".into()), (11, "k11".into()), (29, "k29".into())]);
    spool.close().await.unwrap();

    let (spool, report) = open(&config(folder.path()));
    assert!(report.clean && !report.new_boot);
    assert_eq!(keys_by_number(&spool).await.len(), 3);
    let (epoch, next) = {
        let state = spool.state().borrow().clone();
        (state.epoch, state.stream(Stream::Service).next_seq)
    };
    // Each run begins behind a gap of its own.
    let gap = RangeSet::from_iter([range(30, next - 1)]);
    assert_eq!(lost(&spool, epoch, Stream::Service).await, (RangeSet::new(), gap));
}

#[tokio::test]
async fn readings_and_images_come_back_as_they_were() {
    let folder = folder();
    let (spool, _) = open(&config(folder.path()));
    let first = spool.append(NewRecord::Readings(block(600))).await.unwrap();
    let large = spool.append(NewRecord::Readings(block(16_000))).await.unwrap();
    assert_eq!((first.range, large.range), (range(0, 599), range(600, 16_599)));
    let epoch = spool.state().borrow().epoch;
    let stored = spool.read(epoch, Stream::Reading, range(100, 100), 1, 10).await.unwrap();
    assert_eq!(stored.len(), 1);
    assert_eq!(ReadingBlock::from_slice(&stored[0].bytes).unwrap(), block(600));
    let stored = spool.read(epoch, Stream::Reading, range(700, 16_000), 1, 10).await.unwrap();
    assert_eq!(ReadingBlock::from_slice(&stored[0].bytes).unwrap(), block(16_000));
    let NewRecord::Snapshot { meta, jpeg } = snapshot(7, 100_000, false) else { unreachable!() };
    let appended = spool.append(NewRecord::Snapshot { meta: meta.clone(), jpeg: jpeg.clone() }).await.unwrap();
    let mut whole = Vec::new();
    while let Some(part) = spool.read_part(epoch, appended.range.first(), whole.len() as u32, 30_000).await.unwrap() {
        assert_eq!((part.offset as usize, &part.meta), (whole.len(), &meta));
        whole.extend(part.bytes);
    }
    assert_eq!(whole, jpeg);
    acknowledge(&spool, Stream::Snapshot, [appended.range]).await;
    assert_eq!(spool.read_part(epoch, 0, 0, 1_000).await.unwrap(), None);
    spool.close().await.unwrap();
    assert_eq!(std::fs::read_dir(folder.path().join("image")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_duplicate_key_returns_the_first_numbers_also_after_a_restart() {
    let folder = folder();
    let mut config = config(folder.path());
    config.service_bytes_max = 4 * MIB;
    let (spool, _) = open(&config);
    let first = spool.append(service("a", 1)).await.unwrap();
    let mut later = service("a", 1);
    if let NewRecord::Service(record) = &mut later {
        record.stamp.uptime_ms += 60_000;
    }
    assert_eq!(spool.append(later.clone()).await.unwrap(), Appended { duplicate: true, ..first });
    assert_eq!(spool.append(service("a", 2)).await, Err(AppendError::KeyReused));
    drop(spool);
    let (spool, report) = open(&config);
    assert!(!report.clean);
    assert_eq!(spool.append(later.clone()).await.unwrap(), Appended { duplicate: true, ..first });
    assert_eq!(spool.append(service("a", 2)).await, Err(AppendError::KeyReused));
    // Acknowledged, backed up, its database sealed and deleted: still known.
    let tasks: Vec<_> = (0..9_000)
        .map(|number| {
            let record = service(&format!("a-rather-long-key-that-fills-the-database-sooner-{number:020}"), 1);
            let spool = spool.clone();
            tokio::spawn(async move { spool.append(record).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    spool.append(service("last", 1)).await.unwrap();
    let ranges = spool.state().borrow().stream(Stream::Service).owed.as_ref().clone();
    acknowledge(&spool, Stream::Service, ranges.iter()).await;
    let before = databases(folder.path(), Stream::Service).len();
    let epoch = spool.state().borrow().epoch;
    let mut state = hub(1);
    state.backed_up = vec![BackedUp { epoch, stream: Stream::Service, ranges }];
    spool.hub(state).await.unwrap();
    assert!(before >= 2 && databases(folder.path(), Stream::Service).len() == 1, "{before}");
    assert_eq!(spool.append(later).await.unwrap(), Appended { duplicate: true, ..first });
}

#[tokio::test]
async fn a_killed_run_continues_above_what_it_reserved_and_declares_the_hole_unused() {
    let folder = folder();
    let (spool, _) = open(&config(folder.path()));
    let epoch = spool.state().borrow().epoch;
    for number in 0..5 {
        spool.append(service(&number.to_string(), 1)).await.unwrap();
    }
    drop(spool);
    let (spool, report) = open(&config(folder.path()));
    assert!(!report.clean);
    let next = spool.append(service("x", 1)).await.unwrap().range.first();
    assert!(next > 5);
    assert_eq!(spool.state().borrow().epoch, epoch);
    assert_eq!(
        lost(&spool, epoch, Stream::Service).await,
        (RangeSet::new(), RangeSet::from_iter([range(5, next - 1)]))
    );
    assert_eq!(spool.state().borrow().stream(Stream::Service).lost_records, 0);
}

#[tokio::test]
async fn a_cloned_card_gets_an_epoch_of_its_own_and_still_delivers_the_old_one() {
    let folder = folder();
    let (spool, _) = open(&config(folder.path()));
    let old = spool.state().borrow().epoch;
    spool.append(service("a", 1)).await.unwrap();
    spool.append(service("b", 1)).await.unwrap();
    acknowledge(&spool, Stream::Service, [range(0, 0)]).await;
    spool.close().await.unwrap();

    let mut other = config(folder.path());
    other.hardware_serial = Some("board-2".to_string());
    let (spool, _) = open(&other);
    let state = spool.state().borrow().clone();
    assert_ne!(state.epoch, old);
    assert_eq!(state.previous.iter().map(|era| era.epoch).collect::<Vec<_>>(), [old]);
    assert!(conditions(&spool).await.contains(&SpoolCondition::NewEpoch));
    let owed = owed_of(&spool, old, Stream::Service).await;
    assert_eq!(owed.iter().map(key_of).collect::<Vec<_>>(), ["b"]);
    // The old key is known, a new record begins the new epoch's numbers.
    assert!(spool.append(service("b", 1)).await.unwrap().duplicate);
    assert_eq!(spool.append(service("c", 1)).await.unwrap().range, SeqRange::one(0));
    let mut late = ack(&state, Stream::Service, [range(1, 1)]);
    late.epoch = old;
    spool.acknowledge(late).await.unwrap();
    assert!(spool.state().borrow().previous.is_empty());
    assert_eq!(losses(&spool).await, []);
}

#[tokio::test]
async fn a_card_rolled_back_is_found_out_by_what_the_hub_has() {
    let folder = folder();
    let (spool, _) = open(&config(folder.path()));
    let old = spool.state().borrow().epoch;
    spool.append(service("a", 1)).await.unwrap();
    acknowledge(&spool, Stream::Service, [range(0, 4_000)]).await;
    let state = spool.state().borrow().clone();
    assert_ne!(state.epoch, old);
    assert!(conditions(&spool).await.contains(&SpoolCondition::NewEpoch));
    assert_eq!(spool.append(service("b", 1)).await.unwrap().range, SeqRange::one(0));
}

#[tokio::test]
async fn two_copies_of_a_card_that_look_the_same_give_no_number_twice_and_find_each_other_out() {
    let folders = [folder(), folder()];
    let (spool, _) = open(&config(folders[0].path()));
    let old = spool.state().borrow().epoch;
    spool.append(service("before", 1)).await.unwrap();
    spool.close().await.unwrap();
    copy_folder(folders[0].path(), folders[1].path());
    let (first, _) = open(&config(folders[0].path()));
    let (second, _) = open(&config(folders[1].path()));
    for record in [service("after", 1), event(1), NewRecord::Readings(block(50)), snapshot(1, 500, true)] {
        let here = first.append(record.clone()).await.unwrap().range;
        let there = second.append(record).await.unwrap().range;
        assert_eq!(here.intersection(&there), None, "one number for two records");
    }
    // The hub has both; whichever began lower, each sees numbers that it never gave.
    let of = |spool: &Spool| spool.state().borrow().stream(Stream::Service).owed.last().unwrap();
    let both = [SeqRange::one(of(&first)), SeqRange::one(of(&second))];
    for spool in [&first, &second] {
        acknowledge(spool, Stream::Service, both).await;
        assert_ne!(spool.state().borrow().epoch, old);
        assert!(conditions(spool).await.contains(&SpoolCondition::NewEpoch));
        assert_eq!(owed_of(spool, old, Stream::Service).await.iter().map(key_of).collect::<Vec<_>>(), ["before"]);
    }
}

#[tokio::test]
async fn databases_newer_than_their_witness_begin_a_new_epoch() {
    let folder = folder();
    let (spool, _) = open(&config(folder.path()));
    let old = spool.state().borrow().epoch;
    spool.append(service("a", 1)).await.unwrap();
    spool.close().await.unwrap();
    let save = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    let (a, b) = (save("witness.a"), save("witness.b"));
    let (spool, _) = open(&config(folder.path()));
    for number in 0..3 {
        spool.append(service(&format!("n{number}"), 1)).await.unwrap();
    }
    spool.close().await.unwrap();
    std::fs::write(folder.path().join("witness.a"), a).unwrap();
    std::fs::write(folder.path().join("witness.b"), b).unwrap();
    let (spool, report) = open(&config(folder.path()));
    assert_ne!(spool.state().borrow().epoch, old);
    assert!(report.notes.iter().any(|note| note.contains("rolled back")), "{:?}", report.notes);
    assert_eq!(owed_of(&spool, old, Stream::Service).await.len(), 4);
}

#[tokio::test]
async fn without_any_witness_everything_found_is_delivered_under_its_old_epoch() {
    let folder = folder();
    let (spool, _) = open(&config(folder.path()));
    let old = spool.state().borrow().epoch;
    spool.append(service("a", 1)).await.unwrap();
    spool.append(snapshot(1, 5_000, false)).await.unwrap();
    spool.close().await.unwrap();
    std::fs::write(folder.path().join("witness.a"), b"rubbish").unwrap();
    std::fs::remove_file(folder.path().join("witness.b")).unwrap();
    let (spool, report) = open(&config(folder.path()));
    assert!(report.boot == 2 && !report.clean);
    assert_ne!(spool.state().borrow().epoch, old);
    assert_eq!(owed_of(&spool, old, Stream::Service).await.len(), 1);
    assert!(spool.read_part(old, 0, 0, 100).await.unwrap().is_some());
    assert!(spool.append(service("a", 1)).await.unwrap().duplicate);
}

#[tokio::test]
async fn a_rewound_hub_gets_what_is_kept_again_and_the_rest_is_declared() {
    let folder = folder();
    let mut config = config(folder.path());
    config.service_bytes_max = 256 * 1024;
    config.kept_bytes_max = 64 * 1024;
    let clock = Clock::held(1_000_000);
    let (spool, _) = Spool::open(&config, clock.clone()).unwrap();
    spool.hub(hub(1)).await.unwrap();
    for number in 0..2_000u64 {
        spool.append(service(&format!("key-{number}"), 1)).await.unwrap();
        acknowledge(&spool, Stream::Service, [SeqRange::one(number)]).await;
    }
    assert!(spool.state().borrow().stream(Stream::Service).owed.is_empty());
    spool.hub(hub(2)).await.unwrap();
    let owed = spool.state().borrow().stream(Stream::Service).owed.clone();
    let first = owed.first().unwrap();
    assert!(first > 0 && owed.last() == Some(1_999) && owed.count() == 2_000 - first, "{owed}");
    // The restored hub has the first hundred; the numbers between are gone on both sides.
    acknowledge(&spool, Stream::Service, [range(0, 99)]).await;
    clock.advance(Duration::from_secs(61));
    spool.append(event(1)).await.unwrap();
    let declared = losses(&spool).await;
    let epoch = spool.state().borrow().epoch;
    let rewound: Vec<_> = declared.iter().filter(|loss| loss.reason == LossReason::HubRewound).collect();
    assert_eq!(
        rewound.iter().map(|loss| (loss.epoch, loss.range)).collect::<Vec<_>>(),
        [(epoch, range(100, first - 1))]
    );
    acknowledge(&spool, Stream::Service, [range(0, 99), range(first, 1_999)]).await;
    assert!(spool.state().borrow().stream(Stream::Service).owed.is_empty());
}

#[tokio::test]
async fn service_is_refused_at_its_limit_and_accepted_again_after_acknowledgement() {
    let folder = folder();
    let mut config = config(folder.path());
    config.service_bytes_max = 20_000;
    let (spool, _) = open(&config);
    let mut accepted = 0;
    let refused = loop {
        match spool.append(service(&format!("key-{accepted}"), 1)).await {
            Ok(_) => accepted += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, AppendError::AtLimit { stream: Stream::Service, limit_bytes: 20_000, .. }), "{refused}");
    assert!(spool.append(service("key-0", 1)).await.unwrap().duplicate);
    assert!(conditions(&spool).await.contains(&SpoolCondition::AtLimit));
    assert_eq!(keys_by_number(&spool).await.len() as i64, accepted);
    acknowledge(&spool, Stream::Service, [range(0, 50)]).await;
    spool.append(service("more", 1)).await.unwrap();
}

#[tokio::test]
async fn events_go_oldest_first_and_what_is_gone_is_declared_exactly() {
    let folder = folder();
    let mut config = config(folder.path());
    config.event_bytes_max = 200_000;
    let (spool, _) = open(&config);
    let epoch = spool.state().borrow().epoch;
    for number in 0..8_000 {
        spool.append(event(number)).await.unwrap();
    }
    let status = spool.state().borrow().stream(Stream::Event).clone();
    assert!(status.backlog_bytes <= 200_000, "{}", status.backlog_bytes);
    let (lost, unused) = lost(&spool, epoch, Stream::Event).await;
    let mut accounted =
        RangeSet::from_iter(owed_records(&spool, Stream::Event).await.iter().map(|stored| stored.range));
    assert!(lost.iter().all(|range| accounted.present_in(range).is_empty()));
    accounted.insert_all(&lost);
    assert_eq!((accounted.range_count(), accounted.count(), unused.count()), (1, status.next_seq, 0));
    assert_eq!(lost.range_count(), 1, "neighbours melt: {lost}");
    assert_eq!(status.lost_records, lost.count());
}

#[tokio::test]
async fn readings_are_rolled_up_before_they_are_dropped() {
    let folder = folder();
    let mut config = config(folder.path());
    config.reading_bytes_max = 160_000;
    let (spool, _) = open(&config);
    for _ in 0..400 {
        spool.append(NewRecord::Readings(block(600))).await.unwrap();
    }
    let status = spool.state().borrow().stream(Stream::Reading).clone();
    assert!(status.backlog_bytes <= 160_000, "{}", status.backlog_bytes);
    let reasons: Vec<_> = losses(&spool).await.iter().map(|loss| loss.reason).collect();
    assert!(!reasons.is_empty() && reasons.iter().all(|reason| *reason == LossReason::RolledUp), "{reasons:?}");
    let blocks = owed_records(&spool, Stream::Reading).await;
    let means = blocks.iter().map(|stored| ReadingBlock::from_slice(&stored.bytes).unwrap());
    let means: Vec<_> = means.filter(|block| block.count() < 600).collect();
    assert!(!means.is_empty());
    let covered: u64 = blocks.iter().map(|stored| stored.range.count()).sum();
    assert_eq!(covered + status.lost_records, status.next_seq);
}

#[tokio::test]
async fn images_are_thinned_before_the_oldest_go_and_changed_ones_stay() {
    let folder = folder();
    let mut config = config(folder.path());
    config.snapshot_bytes_max = 400_000;
    let (spool, _) = open(&config);
    let epoch = spool.state().borrow().epoch;
    for number in 0..60u8 {
        spool.append(snapshot(number, 10_000, number % 10 == 0)).await.unwrap();
        let status = spool.state().borrow().stream(Stream::Snapshot).clone();
        assert!(status.backlog_bytes <= 400_000, "{}", status.backlog_bytes);
    }
    let status = spool.state().borrow().stream(Stream::Snapshot).clone();
    assert!([0, 10, 20].into_iter().all(|seq| status.owed.contains(seq)), "{}", status.owed);
    let declared = losses(&spool).await;
    assert!(declared.iter().any(|loss| loss.reason == LossReason::Thinned));
    let (lost, _) = lost(&spool, epoch, Stream::Snapshot).await;
    assert_eq!(lost.count() + status.owed.count(), 60);
    let files = std::fs::read_dir(folder.path().join("image")).unwrap().count() as u64;
    assert_eq!(files, status.owed.count());
}

#[tokio::test]
async fn a_refused_record_is_lost_and_one_for_a_newer_hub_waits() {
    let folder = folder();
    let (spool, _) = open(&config(folder.path()));
    for number in 0..4 {
        spool.append(service(&number.to_string(), 1)).await.unwrap();
    }
    let mut refusal = ack(&spool.state().borrow().clone(), Stream::Service, [range(0, 0)]);
    refusal.rejected = vec![
        Rejected { range: range(1, 1), reason: RejectReason::Malformed },
        Rejected { range: range(2, 2), reason: RejectReason::Unsupported },
        Rejected { range: range(3, 3), reason: RejectReason::WrongNode },
    ];
    spool.acknowledge(refusal).await.unwrap();
    assert_eq!(keys_by_number(&spool).await.into_keys().collect::<Vec<_>>(), [3]);
    let declared = losses(&spool).await;
    assert_eq!(
        declared.iter().map(|loss| (loss.range, loss.reason)).collect::<Vec<_>>(),
        [(range(1, 1), LossReason::Rejected)]
    );
    spool.hub(hub(1)).await.unwrap();
    assert_eq!(keys_by_number(&spool).await.into_keys().collect::<Vec<_>>(), [2, 3]);
}

#[tokio::test]
async fn bad_records_are_refused_with_the_reason() {
    let folder = folder();
    let (spool, _) = open(&config(folder.path()));
    let NewRecord::Snapshot { meta, jpeg } = snapshot(1, 1_000, false) else { unreachable!() };
    let mut other = meta.clone();
    other.sha256[0] ^= 1;
    let mut empty = block(1);
    empty.series[0].points.clear();
    let cases = [
        (NewRecord::Snapshot { meta: other, jpeg: jpeg.clone() }, "the image does not fit its length and SHA-256"),
        (NewRecord::Snapshot { meta, jpeg: Vec::new() }, "the image does not fit its length and SHA-256"),
        (NewRecord::Readings(block(16_385)), "readings in a block: 16385, limit 16384"),
        (NewRecord::Readings(empty), "a block of readings needs a point in each series"),
    ];
    for (record, text) in cases {
        assert_eq!(spool.append(record).await.unwrap_err().to_string(), text);
    }
}

#[tokio::test]
async fn a_spool_in_use_is_refused_and_a_closed_one_says_so() {
    let folder = folder();
    let (spool, _) = open(&config(folder.path()));
    let second = Spool::open(&config(folder.path()), Clock::machine()).unwrap_err();
    assert!(second.to_string().contains("in use by a running agent"), "{second}");
    let other = spool.clone();
    spool.close().await.unwrap();
    assert_eq!(other.append(event(1)).await, Err(AppendError::Closed));
}

#[tokio::test]
async fn a_spool_can_be_inspected_verified_and_exported_without_being_changed() {
    let folder = folder();
    let (spool, _) = open(&config(folder.path()));
    spool.append(service("a", 1)).await.unwrap();
    spool.append(snapshot(1, 5_000, false)).await.unwrap();
    assert!(inspect(folder.path()).unwrap().running);
    assert!(verify(folder.path()).unwrap_err().to_string().contains("stop it first"));
    spool.close().await.unwrap();
    let report = verify(folder.path()).unwrap();
    assert!(report.witness && report.clean && !report.running && report.problems.is_empty(), "{:?}", report.problems);
    assert_eq!((report.image_files, report.image_bytes), (1, 5_000));
    let out = spool_support::folder();
    let exported = export(folder.path(), &out.path().join("out")).unwrap();
    assert_eq!((exported.records, exported.images, exported.unreadable), (2, 1, 0));
    let lines = std::fs::read_to_string(out.path().join("out/records.jsonl")).unwrap();
    assert!(lines.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["cbor"].is_string()));
    let image = databases(folder.path(), Stream::Snapshot).remove(0).join("db");
    std::fs::write(image, b"").unwrap();
    assert_eq!(verify(folder.path()).unwrap().problems.len(), 1);
}

#[tokio::test]
async fn a_healthy_run_says_nothing_of_itself() {
    let folder = folder();
    for _ in 0..3 {
        let (spool, report) = open(&config(folder.path()));
        assert!(report.clean && report.notes.is_empty(), "{report:?}");
        spool.append(event(1)).await.unwrap();
        // The gap before a run's numbers is bookkeeping: the hub shows it to nobody.
        let own = events(&spool).await.into_iter().filter(|body| match body {
            EventBody::ClockAnchor { .. } => false,
            EventBody::Loss(loss) => loss.reason != LossReason::Unused,
            _ => true,
        });
        assert_eq!(own.count(), 0);
        spool.close().await.unwrap();
    }
}

#[tokio::test]
async fn an_epoch_in_too_many_pieces_is_followed_by_a_new_one_before_the_hub_refuses_it() {
    let folder = folder();
    let (spool, _) = open(&config(folder.path()));
    let pieces = simpul_wire::limits::INTERVALS_MAX as u64 / 2 + 1;
    let appends = (0..2 * pieces).map(|number| {
        let spool = spool.clone();
        tokio::spawn(async move { spool.append(service(&format!("k{number}"), 1)).await })
    });
    for append in appends.collect::<Vec<_>>() {
        append.await.unwrap().unwrap();
    }
    let before = spool.state().borrow().epoch;
    acknowledge(&spool, Stream::Service, (0..pieces).map(|piece| SeqRange::one(2 * piece))).await;
    spool.close().await.unwrap();

    let (spool, _) = open(&config(folder.path()));
    let state = spool.state().borrow().clone();
    assert_ne!(state.epoch, before);
    assert_eq!(state.previous[0].epoch, before);
    assert_eq!(state.previous[0].stream(Stream::Service).owed.count(), pieces);
    assert!(conditions(&spool).await.contains(&SpoolCondition::NewEpoch));
    spool.close().await.unwrap();
    let (spool, _) = open(&config(folder.path()));
    assert_eq!(spool.state().borrow().epoch, state.epoch);
}

/// The uplink asks for records of the epoch that it knows; the hub's word that begins a new one may be just ahead.
#[tokio::test]
async fn a_question_about_an_epoch_is_answered_from_it_although_a_new_one_began_meanwhile() {
    let folder = folder();
    let (spool, _) = open(&config(folder.path()));
    let before = spool.state().borrow().clone();
    for number in 0..3 {
        spool.append(service(&format!("n{number}"), 1)).await.unwrap();
    }
    spool.append(snapshot(1, 5_000, false)).await.unwrap();
    let beyond = ack(&before, Stream::Event, [range(1_000_000_000, 1_000_000_004)]);
    // Polled in this order: the writer begins the new epoch and then reads.
    let (acknowledged, read, part) = tokio::join!(
        spool.acknowledge(beyond),
        spool.read(before.epoch, Stream::Service, range(0, 10), 10_000, 10),
        spool.read_part(before.epoch, 0, 0, 100),
    );
    acknowledged.unwrap();
    let state = spool.state().borrow().clone();
    assert_ne!(state.epoch, before.epoch, "a new epoch began");
    assert_eq!(state.stream(Stream::Service).backlog_records, 0);
    assert_eq!(state.backlog(Stream::Service).0, 3, "what waits under the old epoch is told");
    let numbers: Vec<u64> = read.unwrap().iter().map(|stored| stored.range.first()).collect();
    assert_eq!(numbers, [0, 1, 2]);
    assert!(part.unwrap().is_some());
}
