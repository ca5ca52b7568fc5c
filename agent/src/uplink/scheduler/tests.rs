//! Sentences about the scheduler, spoken with a bench that plays the driver, the spool and the hub.

mod links;
mod refusals;

use std::sync::Arc;
use std::time::Duration;

use simpul_clock::Moment;
use simpul_wire::ack::{Ack, HubState, PartialImage, RejectReason, Rejected};
use simpul_wire::{Epoch, Generation, RangeSet, SeqRange, Stream};

use super::*;
use crate::spool::{EpochStatus, SpoolState, StreamStatus};

const EPOCH: Epoch = Epoch::from_bytes([1; 16]);
const OLD_EPOCH: Epoch = Epoch::from_bytes([2; 16]);
const HUB: Generation = Generation::from_bytes([9; 16]);

fn status(owed: &RangeSet) -> StreamStatus {
    StreamStatus {
        next_seq: owed.last().map_or(0, |last| last + 1),
        backlog_records: owed.count(),
        backlog_bytes: 0,
        owed: Arc::new(owed.clone()),
        limit_bytes: 0,
        lost_records: 0,
        oldest_uptime_ms: None,
    }
}

/// A scheduler with a session, and a spool to play with.
struct Bench {
    scheduler: Scheduler,
    owed: [RangeSet; 4],
    old: Vec<EpochStatus>,
    generation: Option<Generation>,
    now_ms: u64,
    /// Asked for and not answered.
    asks: Vec<Action>,
    /// Everything else.
    actions: Vec<Action>,
}

fn range(first: u64, last: u64) -> SeqRange {
    SeqRange::new(first, last).unwrap()
}

impl Bench {
    fn settings() -> Settings {
        Settings {
            hubs: 1,
            state_interval: Duration::from_secs(30),
            reconnect_max: Duration::from_secs(60),
            no_progress: Duration::from_secs(60),
            daily_bytes_max: None,
            seed: 7,
        }
    }

    fn new(settings: Settings) -> Self {
        Bench {
            scheduler: Scheduler::new(Moment::ZERO, settings),
            owed: Default::default(),
            old: Vec::new(),
            generation: Some(HUB),
            now_ms: 0,
            asks: Vec::new(),
            actions: Vec::new(),
        }
    }

    fn now(&self) -> Moment {
        Moment::from_millis(self.now_ms)
    }

    fn handle(&mut self, event: Event) {
        let now = self.now();
        for action in self.scheduler.handle(now, event) {
            match action {
                Action::Read { .. } | Action::ReadPart { .. } | Action::PublishState { .. } => self.asks.push(action),
                other => self.actions.push(other),
            }
        }
        assert!(self.asks.len() <= 1, "one publish is asked for at a time: {:?}", self.asks);
    }

    fn owe(&mut self, stream: Stream, range: SeqRange) -> &mut Self {
        self.owed[lanes::index(stream)].insert(range);
        self
    }

    fn spool(&mut self) -> &mut Self {
        let state = SpoolState {
            epoch: EPOCH,
            generation: self.generation,
            streams: [0, 1, 2, 3].map(|at| status(&self.owed[at])),
            disk_full: false,
            previous: self.old.clone(),
        };
        self.handle(Event::Spool(Box::new(state)));
        self
    }

    /// Until the scheduler connects; then a session, with its state published and acknowledged.
    fn session(&mut self) -> &mut Self {
        // What was asked for when the connection ended finds none.
        if let Some(ask) = self.asks.pop() {
            let (Action::Read { ticket, .. } | Action::ReadPart { ticket, .. } | Action::PublishState { ticket }) = ask
            else {
                panic!("{ask:?}")
            };
            self.handle(Event::Sent(ticket, Outcome::Failed));
        }
        let at = self.scheduler.next_deadline(self.now()).expect("it wants to connect");
        self.now_ms = at.as_millis();
        self.handle(Event::Tick);
        assert!(matches!(self.actions.pop(), Some(Action::Connect { .. })));
        self.handle(Event::Connected);
        let ticket = self.publish_state();
        self.handle(Event::PubAcked(ticket));
        self
    }

    fn publish_state(&mut self) -> Ticket {
        let Some(Action::PublishState { ticket }) = self.asks.pop() else { panic!("the state goes first") };
        self.handle(Event::Sent(ticket, Outcome::State { bytes: 200 }));
        ticket
    }

    /// Answer the question as a spool with records of `size` bytes would.
    fn publish(&mut self, size: u64) -> (Ticket, Stream, SeqRange) {
        match self.asks.pop().expect("a publish") {
            Action::Read { ticket, stream, range, bytes_max, records_max, .. } => {
                let count = (bytes_max as u64 / size).clamp(1, records_max as u64).min(range.count());
                let covered = SeqRange::with_count(range.first(), count).unwrap();
                let bytes = u32::try_from(count * size).unwrap();
                self.handle(Event::Sent(ticket, Outcome::Batch { covered, records: count as u32, bytes }));
                (ticket, stream, covered)
            }
            Action::ReadPart { ticket, seq, offset, bytes_max, .. } => {
                let image_length = size as u32;
                let length = (bytes_max as u32).min(image_length - offset);
                self.handle(Event::Sent(ticket, Outcome::Part { offset, length, image_length, bytes: length + 200 }));
                (ticket, Stream::Snapshot, SeqRange::one(seq))
            }
            other => panic!("{other:?}"),
        }
    }

    fn ack(&mut self, stream: Stream, have: SeqRange) -> &mut Self {
        self.handle(Event::Acked(Ack { have: RangeSet::from_iter([have]), ..empty_ack(stream) }));
        self.owed[lanes::index(stream)].remove(have);
        self.spool()
    }

    fn reject(&mut self, stream: Stream, range: SeqRange, reason: RejectReason) {
        self.handle(Event::Acked(Ack { rejected: vec![Rejected { range, reason }], ..empty_ack(stream) }));
    }

    fn pass(&mut self, milliseconds: u64) -> &mut Self {
        self.now_ms += milliseconds;
        self.handle(Event::Tick);
        self
    }

    fn asked(&self) -> Option<(Stream, SeqRange)> {
        match self.asks.last()? {
            Action::Read { stream, range, .. } => Some((*stream, *range)),
            Action::ReadPart { seq, .. } => Some((Stream::Snapshot, SeqRange::one(*seq))),
            _ => None,
        }
    }
}

fn empty_ack(stream: Stream) -> Ack {
    Ack {
        generation: HUB,
        epoch: EPOCH,
        stream,
        have: RangeSet::new(),
        rejected: Vec::new(),
        partial: Vec::new(),
        slow_down_ms: 0,
    }
}

#[test]
fn nothing_happens_before_the_spool_is_open() {
    let mut bench = Bench::new(Bench::settings());
    bench.pass(100_000);
    assert!(bench.actions.is_empty());
    assert_eq!(bench.scheduler.next_deadline(bench.now()), None);
}

#[test]
fn the_state_goes_first_and_then_every_interval() {
    let mut bench = Bench::new(Bench::settings());
    bench.spool().session();
    assert!(bench.asks.is_empty());
    let due = bench.scheduler.next_deadline(bench.now()).unwrap();
    assert_eq!(due.since(bench.now()), Duration::from_secs(30));
    bench.pass(30_000);
    bench.publish_state();
}

#[test]
fn a_fresh_event_overtakes_a_million_readings() {
    let mut bench = Bench::new(Bench::settings());
    bench.owe(Stream::Reading, range(0, 999_999)).owe(Stream::Service, range(0, 19_999)).spool().session();
    // The service records of the last minutes before the session are the present: they go first.
    assert_eq!(bench.asked(), Some((Stream::Service, range(19_936, 19_999))));
    bench.publish(100);
    while bench.asked().is_some() {
        bench.publish(4);
    }
    assert!(bench.scheduler.in_flight_bytes() > 4_096, "the window is full of backlog");
    bench.owe(Stream::Event, range(0, 0)).spool();
    assert_eq!(bench.asked(), Some((Stream::Event, range(0, 0))), "and the event goes all the same");
}

#[test]
fn a_fresh_record_overtakes_older_ones_of_its_own_stream() {
    let mut bench = Bench::new(Bench::settings());
    bench.owe(Stream::Service, range(0, 19_999)).spool().session();
    while bench.asked().is_some() {
        bench.publish(100);
    }
    bench.owe(Stream::Service, range(20_000, 20_000)).spool();
    assert_eq!(bench.asked(), Some((Stream::Service, range(20_000, 20_000))));
}

#[test]
fn an_alarm_waits_for_at_most_one_window() {
    let mut bench = Bench::new(Bench::settings());
    bench.owe(Stream::Snapshot, range(0, 499)).spool().session();
    while bench.asked().is_some() {
        bench.publish(100_000);
        let (in_flight, window) = (bench.scheduler.in_flight_bytes(), bench.scheduler.window_bytes());
        assert!(in_flight <= window + window / 4 + 400, "{in_flight} bytes in front of an alarm, window {window}");
    }
    bench.owe(Stream::Event, range(0, 0)).spool();
    assert_eq!(bench.asked(), Some((Stream::Event, range(0, 0))));
}

#[test]
fn a_flood_of_events_does_not_starve_the_rest() {
    let mut bench = Bench::new(Bench::settings());
    bench.owe(Stream::Reading, range(0, 9_999)).owe(Stream::Event, range(0, 9)).spool().session();
    let mut others = 0;
    for _ in 0..64 {
        let next = bench.owed[1].last().unwrap() + 1;
        bench.owe(Stream::Event, range(next, next + 9)).spool();
        let (ticket, stream, covered) = bench.publish(600);
        others += u32::from(stream == Stream::Reading);
        bench.now_ms += 10;
        bench.handle(Event::PubAcked(ticket));
        bench.ack(stream, covered);
    }
    assert!((2..=8).contains(&others), "{others} of 64");
}

#[test]
fn images_go_newest_first() {
    let mut bench = Bench::new(Bench::settings());
    bench.owe(Stream::Snapshot, range(0, 2)).owe(Stream::Snapshot, range(5, 9)).spool().session();
    let mut order = Vec::new();
    while bench.asked().is_some() {
        let (ticket, _, image) = bench.publish(3_000);
        order.push(image.first());
        bench.now_ms += 20;
        bench.handle(Event::PubAcked(ticket));
        if order.len() == 2 {
            bench.owe(Stream::Snapshot, range(10, 10)).spool();
        }
    }
    order.dedup();
    assert_eq!(order.iter().max(), Some(&10));
    assert!(order[0] == 9 && order.windows(2).all(|pair| pair[1] < pair[0] || pair[1] == 10), "{order:?}");
}

#[test]
fn an_image_resumes_where_the_hub_says() {
    let mut bench = Bench::new(Bench::settings());
    bench.owe(Stream::Snapshot, range(3, 3)).spool().session();
    while bench.asked().is_some() {
        let (ticket, ..) = bench.publish(9_000);
        bench.handle(Event::PubAcked(ticket));
    }
    let missing = RangeSet::from_iter([range(4_096, 5_095)]);
    bench.handle(Event::Acked(Ack { partial: vec![PartialImage { seq: 3, missing }], ..empty_ack(Stream::Snapshot) }));
    assert!(bench.asks.is_empty(), "the word on the last part may still be on its way");
    bench.pass(2_000);
    let Some(Action::ReadPart { seq: 3, offset: 4_096, bytes_max: 1_000, .. }) = bench.asks.last() else {
        panic!("{:?}", bench.asks);
    };
}

#[test]
fn after_a_restart_an_image_goes_on_where_the_hub_has_it_to() {
    let mut bench = Bench::new(Bench::settings());
    bench.owe(Stream::Snapshot, range(3, 3)).spool().session();
    let (ticket, ..) = bench.publish(90_000);
    bench.handle(Event::PubAcked(ticket));
    // What the question below was asked for before the hub's word came is sent; then it counts.
    let missing = RangeSet::from_iter([range(60_000, 89_999)]);
    bench.handle(Event::Acked(Ack { partial: vec![PartialImage { seq: 3, missing }], ..empty_ack(Stream::Snapshot) }));
    let mut offsets = Vec::new();
    while let Some(Action::ReadPart { offset, .. }) = bench.asks.last() {
        offsets.push(*offset);
        let (ticket, ..) = bench.publish(90_000);
        bench.now_ms += 20;
        bench.handle(Event::PubAcked(ticket));
    }
    assert!(offsets[1] == 60_000 && offsets[1..].iter().all(|offset| *offset >= 60_000), "{offsets:?}");
}

#[test]
fn parts_that_a_connection_lost_are_sent_again_and_the_others_are_not() {
    let mut bench = Bench::new(Bench::settings());
    bench.owe(Stream::Snapshot, range(0, 0)).spool().session();
    let (first, ..) = bench.publish(9_000);
    bench.now_ms += 50;
    bench.handle(Event::PubAcked(first));
    while bench.asked().is_some() {
        bench.publish(9_000);
    }
    bench.handle(Event::Disconnected);
    bench.session();
    let Some(Action::ReadPart { offset, .. }) = bench.asks.last() else { panic!("{:?}", bench.asks) };
    assert_eq!(*offset, 4_096, "the second part begins where the first, acknowledged one ended");
}

#[test]
fn another_generation_of_the_hub_gets_what_the_spool_then_owes() {
    let mut bench = Bench::new(Bench::settings());
    bench.owe(Stream::Service, range(0, 9)).spool().session();
    let (ticket, stream, covered) = bench.publish(100);
    bench.handle(Event::PubAcked(ticket));
    bench.ack(stream, covered);
    assert!(bench.asks.is_empty());
    let restored = Generation::from_bytes([10; 16]);
    bench.handle(Event::Hub(HubState { generation: restored, backed_up: Vec::new(), wall_ms: None }));
    assert!(matches!(bench.actions.last(), Some(Action::SpoolHub(hub)) if hub.generation == restored));
    bench.generation = Some(restored);
    bench.owe(Stream::Service, range(0, 9)).spool();
    assert_eq!(bench.asked(), Some((Stream::Service, range(0, 9))));
}

#[test]
fn what_was_acknowledged_just_before_a_restore_is_sent_again() {
    let mut bench = Bench::new(Bench::settings());
    bench.owe(Stream::Service, range(0, 9)).spool().session();
    bench.publish(100);
    // The spool stores this and then owes it again, and both before its state is looked at.
    bench.handle(Event::Acked(Ack { have: RangeSet::from_iter([range(0, 9)]), ..empty_ack(Stream::Service) }));
    let restored = Generation::from_bytes([10; 16]);
    bench.handle(Event::Hub(HubState { generation: restored, backed_up: Vec::new(), wall_ms: None }));
    bench.generation = Some(restored);
    bench.spool();
    assert_eq!(bench.asked(), Some((Stream::Service, range(0, 9))));
}

#[test]
fn an_ack_of_an_unknown_generation_tells_the_spool_before_it_frees() {
    let mut bench = Bench::new(Bench::settings());
    bench.owe(Stream::Service, range(0, 9)).spool().session();
    bench.publish(100);
    let restored = Generation::from_bytes([10; 16]);
    let have = RangeSet::from_iter([range(0, 9)]);
    bench.handle(Event::Acked(Ack { generation: restored, have, ..empty_ack(Stream::Service) }));
    let tail = &bench.actions[bench.actions.len() - 2..];
    assert!(matches!(&tail[0], Action::SpoolHub(hub) if hub.generation == restored), "{tail:?}");
    assert!(matches!(&tail[1], Action::SpoolAck(_)), "{tail:?}");
}

#[test]
fn an_older_epoch_drains_behind_the_current_one() {
    let mut bench = Bench::new(Bench::settings());
    let mut streams = [0, 1, 2, 3].map(|_| status(&RangeSet::new()));
    streams[0] = status(&RangeSet::from_iter([range(5, 9)]));
    bench.old = vec![EpochStatus { epoch: OLD_EPOCH, streams }];
    bench.owe(Stream::Service, range(0, 1)).spool().session();
    let (_, _, covered) = bench.publish(100);
    assert_eq!(covered, range(0, 1));
    let Some(Action::Read { epoch: OLD_EPOCH, range: asked, .. }) = bench.asks.last() else {
        panic!("{:?}", bench.asks);
    };
    assert_eq!(*asked, range(5, 9));
    let (ticket, ..) = bench.publish(100);
    bench.handle(Event::PubAcked(ticket));
    bench.handle(Event::Acked(Ack {
        epoch: OLD_EPOCH,
        have: RangeSet::from_iter([range(5, 9)]),
        ..empty_ack(Stream::Service)
    }));
    assert!(matches!(bench.actions.last(), Some(Action::SpoolAck(ack)) if ack.epoch == OLD_EPOCH));
    bench.old.clear();
    bench.spool();
    assert!(bench.asks.is_empty());
}
