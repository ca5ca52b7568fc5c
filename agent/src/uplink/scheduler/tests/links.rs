//! What the connection does: lost words, silence, budgets, storms.

use super::*;

#[test]
fn a_lost_ack_is_sent_again() {
    let mut bench = Bench::new(Bench::settings());
    bench.owe(Stream::Event, range(0, 4)).spool().session();
    let (ticket, ..) = bench.publish(100);
    bench.handle(Event::PubAcked(ticket));
    assert!(bench.asks.is_empty(), "a PUBACK frees nothing, and sends nothing again");
    let mut sent_again = Vec::new();
    for _ in 0..60 {
        bench.pass(1_000);
        match bench.asks.last() {
            Some(Action::PublishState { .. }) => {
                let ticket = bench.publish_state();
                bench.handle(Event::PubAcked(ticket));
            }
            Some(Action::Read { .. }) => {
                let (ticket, stream, covered) = bench.publish(100);
                assert_eq!((stream, covered), (Stream::Event, range(0, 4)));
                sent_again.push(bench.now_ms);
                bench.handle(Event::PubAcked(ticket));
            }
            _ => {}
        }
    }
    assert_eq!(sent_again.len(), 2, "after 10 s, then after 20 more: {sent_again:?}");
    bench.ack(Stream::Event, range(0, 4));
    bench.pass(400_000);
    assert!(bench.asked().is_none());
}

#[test]
fn what_was_on_its_way_when_the_connection_ended_is_owed_again() {
    let mut bench = Bench::new(Bench::settings());
    bench.owe(Stream::Service, range(0, 4)).spool().session();
    bench.publish(100);
    bench.handle(Event::Disconnected);
    bench.session();
    assert_eq!(bench.asked(), Some((Stream::Service, range(0, 4))));
}

#[test]
fn an_ack_that_the_spool_could_not_store_leaves_its_records_owed() {
    let mut bench = Bench::new(Bench::settings());
    bench.owe(Stream::Event, range(0, 4)).spool().session();
    bench.publish(100);
    bench.handle(Event::Acked(Ack { have: RangeSet::from_iter([range(0, 4)]), ..empty_ack(Stream::Event) }));
    assert!(matches!(bench.actions.last(), Some(Action::SpoolAck(_))));
    assert!(bench.asks.is_empty());
    bench.handle(Event::AckLost);
    assert_eq!(bench.asked(), Some((Stream::Event, range(0, 4))));
}

#[test]
fn the_hub_can_say_slow_down() {
    let mut bench = Bench::new(Bench::settings());
    bench.owe(Stream::Reading, range(0, 99_999)).spool().session();
    let mut tickets = Vec::new();
    while bench.asked().is_some() {
        tickets.push(bench.publish(4).0);
    }
    bench.handle(Event::Acked(Ack { slow_down_ms: 5_000, ..empty_ack(Stream::Reading) }));
    for ticket in tickets {
        bench.handle(Event::PubAcked(ticket));
    }
    assert!(bench.asks.is_empty());
    let due = bench.scheduler.next_deadline(bench.now()).unwrap();
    assert_eq!(due.since(bench.now()), Duration::from_secs(5));
    bench.pass(5_000);
    assert!(bench.asked().is_some());
    bench.publish(4);
    assert!(bench.asks.is_empty(), "one each five seconds");
    bench.handle(Event::Acked(empty_ack(Stream::Reading)));
    assert!(bench.asked().is_some(), "as it likes again");
}

#[test]
fn on_a_spent_budget_events_and_service_records_still_go() {
    let mut bench = Bench::new(Settings { daily_bytes_max: Some(240_000), ..Bench::settings() });
    bench.owe(Stream::Reading, range(0, 999_999)).owe(Stream::Snapshot, range(0, 9)).spool().session();
    let mut sent = 0u64;
    while bench.asked().is_some() {
        let (ticket, stream, covered) = bench.publish(10_000);
        sent += 10_000;
        bench.now_ms += 50;
        bench.handle(Event::PubAcked(ticket));
        if stream == Stream::Reading {
            bench.ack(stream, covered);
        }
    }
    assert!(sent <= 30_000, "an hour's worth and one publish more: {sent}");
    for (stream, seq) in [(Stream::Event, 0), (Stream::Service, 0)] {
        bench.owe(stream, range(seq, seq)).spool();
        let (ticket, sent, covered) = bench.publish(100);
        assert_eq!(sent, stream);
        bench.handle(Event::PubAcked(ticket));
        bench.ack(stream, covered);
    }
    assert!(bench.asks.is_empty());
}

#[test]
fn without_progress_the_connection_is_dropped() {
    let mut bench = Bench::new(Bench::settings());
    bench.owe(Stream::Event, range(0, 0)).spool().session();
    bench.publish(100);
    bench.pass(59_000);
    assert!(bench.actions.is_empty());
    bench.pass(1_000);
    assert!(matches!(bench.actions.pop(), Some(Action::Disconnect(_))), "60 s without a PUBACK");
    bench.handle(Event::Disconnected);
    bench.session();
}

#[test]
fn an_idle_connection_is_not_dropped() {
    let mut bench = Bench::new(Bench::settings());
    bench.spool().session();
    for _ in 0..100 {
        bench.pass(10_000);
        if !bench.asks.is_empty() {
            let ticket = bench.publish_state();
            bench.handle(Event::PubAcked(ticket));
        }
    }
    assert!(bench.actions.is_empty(), "{:?}", bench.actions);
}

/// Ten thousand agents lose a hub that is away for `down_ms`. Returns the most attempts and the most handshakes in one
/// second, and when the last one was back.
fn storm(down_ms: u64) -> (u32, u32, u64) {
    let mut attempts = vec![0u32; 200];
    let mut handshakes = vec![0u32; 200];
    let mut last_ms = 0;
    for seed in 0..10_000 {
        let mut bench = Bench::new(Settings { seed, ..Bench::settings() });
        bench.spool().session();
        // All have been up for a minute or two when the hub goes.
        bench.now_ms = 120_000;
        bench.handle(Event::Disconnected);
        loop {
            let at = bench.scheduler.next_deadline(bench.now()).unwrap();
            bench.now_ms = at.as_millis();
            bench.handle(Event::Tick);
            assert!(matches!(bench.actions.pop(), Some(Action::Connect { .. })));
            let after_ms = bench.now_ms - 120_000;
            attempts[(after_ms / 1_000) as usize] += 1;
            if after_ms >= down_ms {
                handshakes[(after_ms / 1_000) as usize] += 1;
                last_ms = last_ms.max(after_ms - down_ms);
                break;
            }
            bench.handle(Event::Disconnected);
        }
    }
    let (attempts, handshakes) = (attempts.into_iter().max().unwrap(), handshakes.into_iter().max().unwrap());
    println!("down {down_ms} ms: {attempts} attempts/s, {handshakes} handshakes/s, all back after {last_ms} ms");
    (attempts, handshakes, last_ms)
}

#[test]
fn ten_thousand_agents_do_not_storm_a_hub_that_comes_back() {
    for down_ms in [0, 5_000, 20_000, 60_000] {
        let (attempts, handshakes, last_ms) = storm(down_ms);
        // An attempt at a hub that is down costs it a reset; only a handshake costs it time.
        assert!(attempts <= 1_100, "{attempts} attempts in one second");
        assert!(handshakes <= 900, "{handshakes} handshakes in one second");
        assert!(last_ms <= 60_000, "the last one is back after {last_ms} ms");
    }
}
