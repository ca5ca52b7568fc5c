//! What the hub refuses: sent again, halved, given up.

use super::*;

/// Plays a hub that refuses every batch with a bad record in it, until nothing is asked for any more.
fn play_refusals(bench: &mut Bench, bad: &[u64], reason: RejectReason) -> (Vec<SeqRange>, usize) {
    let mut publishes = 0;
    while bench.asked().is_some() {
        let (ticket, stream, covered) = bench.publish(50);
        publishes += 1;
        assert!(publishes < 2_000, "it never ends");
        bench.now_ms += 20;
        bench.handle(Event::PubAcked(ticket));
        if bad.iter().any(|seq| covered.contains(*seq)) {
            bench.reject(stream, covered, reason);
        } else {
            bench.ack(stream, covered);
        }
    }
    let finals = bench.actions.drain(..).filter_map(|action| match action {
        Action::SpoolAck(ack) => Some(ack.rejected),
        _ => None,
    });
    (finals.flatten().map(|rejected| rejected.range).collect(), publishes)
}

#[test]
fn a_bad_record_is_found_by_halving() {
    for reason in [RejectReason::Malformed, RejectReason::TooLarge, RejectReason::Unsupported] {
        let mut bench = Bench::new(Bench::settings());
        bench.owe(Stream::Event, range(0, 63)).spool().session();
        let (rejected, publishes) = play_refusals(&mut bench, &[37], reason);
        assert_eq!(rejected, [range(37, 37)], "{reason}");
        assert!(publishes <= 14, "{publishes} publishes for 64 records");
        assert_eq!(bench.owed[1].count(), 1, "all others arrived");
    }
}

#[test]
fn a_bad_checksum_is_sent_again_before_it_is_halved() {
    let mut bench = Bench::new(Bench::settings());
    bench.owe(Stream::Event, range(0, 3)).spool().session();
    let (ticket, _, covered) = bench.publish(50);
    bench.handle(Event::PubAcked(ticket));
    bench.reject(Stream::Event, covered, RejectReason::BadChecksum);
    assert_eq!(bench.asked(), Some((Stream::Event, range(0, 3))), "a bit that fell over on its way: the same again");
    let (rejected, _) = play_refusals(&mut bench, &[2, 3], RejectReason::BadChecksum);
    let mut rejected = rejected;
    rejected.sort();
    assert_eq!(rejected, [range(2, 2), range(3, 3)]);
}

#[test]
fn a_suspect_survives_a_lost_connection() {
    let mut bench = Bench::new(Bench::settings());
    bench.owe(Stream::Event, range(0, 7)).spool().session();
    let (_, _, covered) = bench.publish(50);
    bench.reject(Stream::Event, covered, RejectReason::Malformed);
    bench.publish(50);
    bench.handle(Event::Disconnected);
    bench.session();
    let (rejected, _) = play_refusals(&mut bench, &[5], RejectReason::Malformed);
    assert_eq!(rejected, [range(5, 5)]);
    assert_eq!(bench.owed[1].count(), 1);
}

#[test]
fn a_record_that_is_too_large_to_publish_is_refused_here() {
    let mut bench = Bench::new(Bench::settings());
    bench.owe(Stream::Event, range(0, 0)).spool().session();
    let Some(Action::Read { ticket, range: covered, .. }) = bench.asks.pop() else { panic!("a read") };
    bench.handle(Event::Sent(ticket, Outcome::TooLarge { covered, records: 1 }));
    let Some(Action::SpoolAck(ack)) = bench.actions.pop() else { panic!("{:?}", bench.actions) };
    assert_eq!(ack.rejected, [Rejected { range: range(0, 0), reason: RejectReason::TooLarge }]);
    assert!(bench.asks.is_empty());
}

#[test]
fn an_image_with_a_bad_hash_goes_again_from_the_start_and_is_given_up_in_the_end() {
    let mut bench = Bench::new(Bench::settings());
    bench.owe(Stream::Snapshot, range(0, 0)).spool().session();
    let mut rounds = 0;
    while bench.asked().is_some() {
        rounds += 1;
        while bench.asked().is_some() {
            let (ticket, ..) = bench.publish(2_000);
            bench.handle(Event::PubAcked(ticket));
        }
        bench.reject(Stream::Snapshot, range(0, 0), RejectReason::BadImageHash);
    }
    assert_eq!(rounds, 3);
    let Some(Action::SpoolAck(ack)) = bench.actions.pop() else { panic!("{:?}", bench.actions) };
    assert_eq!(ack.rejected, [Rejected { range: range(0, 0), reason: RejectReason::BadImageHash }]);
}

#[test]
fn with_too_many_intervals_at_the_hub_the_oldest_go_first() {
    let mut bench = Bench::new(Bench::settings());
    bench.owe(Stream::Service, range(0, 19_999)).spool().session();
    let (present, _, covered) = bench.publish(50);
    assert_eq!(covered.last(), 19_999, "the present first");
    let (old, _, backlog) = bench.publish(50);
    assert_eq!(backlog.first(), 0);
    bench.handle(Event::PubAcked(present));
    bench.reject(Stream::Service, covered, RejectReason::TooManyIntervals);
    while bench.asked().is_some() {
        bench.publish(50);
    }
    bench.owe(Stream::Service, range(20_000, 20_000)).spool();
    assert!(bench.asked().is_none(), "nothing is fresh for now");
    bench.handle(Event::PubAcked(old));
    let next = bench.asked().unwrap().1;
    assert!(next.first() > backlog.last() && next.first() < 19_936, "{next}");
}
