//! Delivery as the wire shows it: who is spoken to, what is repeated, what is dropped, what a gasp cuts off.

use std::collections::BTreeSet;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use simpul_firmware::kept::Kept;
use simpul_firmware::node::{Inputs, Node, Start};
use simpul_firmware::outbox::{EVENTS_MAX, HELLO_TO_STRANGER_EVERY_MS};
use simpul_firmware::sampling::{Sample, Sampled};
use simpul_firmware::tamper::DEBOUNCE_MS;
use simpul_wire::Missing;
use simpul_wire::board::{
    Ack, FromBoard, Greet, HELLO_EVERY_MS, Hardware, Hello, JournalState, Numbered, NumberedBody, PROTOCOL_VERSION,
    RESEND_AFTER_MS, RelayOrder, ResetReason, Settings, SupplyState, ToBoard,
};

const SETTINGS: Settings = Settings { long_press_ms: 1_500, desks: 0xFF, cages: 0, battery_low_mv: 0, relay: true };

/// A node with a journal that answers at once, no modules, and a wire that is always free.
struct Bench {
    node: Node,
    now_ms: u64,
    inputs: Inputs,
    journal_works: bool,
    /// An agent acknowledges at once.
    acknowledges: bool,
    energised: bool,
    sent: Vec<(u64, FromBoard)>,
    next_ms: u64,
}

impl Bench {
    fn new() -> Bench {
        let kept = Kept { settings: SETTINGS, ..Kept::default() };
        let (hardware, firmware, serial) = (Hardware::Lm3s6965, [0, 1, 0], [7; 8]);
        let (reset, journal) = (ResetReason::PowerOn, JournalState::Good);
        Bench {
            node: Node::new(0, Start { hardware, firmware, serial, reset, journal, kept }),
            now_ms: 0,
            inputs: Inputs { power_good: true, line_free: true, ..Inputs::default() },
            journal_works: true,
            acknowledges: false,
            energised: false,
            sent: Vec::new(),
            next_ms: 0,
        }
    }

    fn greeted() -> Bench {
        let mut bench = Bench::new();
        bench.run(10);
        bench.hear(greet(PROTOCOL_VERSION));
        bench.acknowledges = true;
        bench.hear(greet(PROTOCOL_VERSION));
        bench.run(5_000);
        bench.acknowledges = false;
        bench.sent.clear();
        bench
    }

    fn step(&mut self) {
        let outputs = self.node.step(self.now_ms, &self.inputs);
        self.inputs.received = None;
        self.inputs.kept = outputs.keep.map(|_| self.journal_works);
        self.inputs.sampled = outputs.sample.map(|sample| match sample {
            Sample::Voltages => Sampled::Voltages { supply: Ok(12_000), battery: Err(Missing::NotSupported) },
            Sample::Module { cage } => Sampled::Module { cage, found: Err(Missing::NoModule) },
            Sample::Optics { cage } => Sampled::Optics { cage, measured: [Missing::NoModule.into(); 5] },
        });
        self.energised = outputs.relay_energised;
        if let Some(frame) = outputs.send {
            if let (true, FromBoard::Numbered(Numbered { boot, seq, .. })) = (self.acknowledges, &frame) {
                self.inputs.received = Some(Ok(ToBoard::Ack(Ack { boot: *boot, seq: *seq })));
            }
            self.sent.push((self.now_ms, frame));
        }
        self.next_ms = outputs.next_ms;
    }

    /// Until nothing is left to answer in this millisecond.
    fn settle(&mut self) {
        loop {
            self.step();
            let answers = self.inputs.received.is_some() || self.inputs.kept.is_some() || self.inputs.sampled.is_some();
            if !answers && self.next_ms > self.now_ms {
                return;
            }
        }
    }

    fn run(&mut self, for_ms: u64) {
        for _ in 0..for_ms {
            self.settle();
            self.now_ms += 1;
        }
    }

    fn hear(&mut self, message: ToBoard) {
        self.inputs.received = Some(Ok(message));
        self.settle();
    }

    fn press(&mut self) {
        self.inputs.buttons = 1;
        self.run(100);
        self.inputs.buttons = 0;
        self.run(100);
    }

    fn numbered(&self) -> Vec<Numbered> {
        let of = |(_, frame): &(u64, FromBoard)| match frame {
            FromBoard::Numbered(numbered) => Some(numbered.clone()),
            _ => None,
        };
        self.sent.iter().filter_map(of).collect()
    }

    fn hello(&mut self) -> Hello {
        self.hear(greet(PROTOCOL_VERSION));
        let of = |(_, frame): &(u64, FromBoard)| match frame {
            FromBoard::Hello(hello) => Some(hello.clone()),
            _ => None,
        };
        self.sent.iter().rev().find_map(of).expect("a hello")
    }
}

fn greet(protocol: u16) -> ToBoard {
    ToBoard::Greet(Greet { protocol, wall_ms: None })
}

fn is_hello(frame: &FromBoard) -> bool {
    matches!(frame, FromBoard::Hello(_))
}

/// Short presses of desk 0.
fn shorts(body: &NumberedBody) -> Option<u32> {
    match body {
        NumberedBody::Totals(totals) => Some(totals[0].short),
        _ => None,
    }
}

#[test]
fn nothing_is_sent_before_the_boot_is_in_the_journal() {
    let mut node = Bench::new().node;
    let inputs = Inputs { power_good: true, line_free: true, ..Inputs::default() };
    for now_ms in 0..5_000 {
        assert_eq!(node.step(now_ms, &inputs).send, None);
    }
    let kept = Inputs { kept: Some(true), ..inputs };
    assert!(matches!(node.step(5_000, &kept).send, Some(FromBoard::Hello(Hello { boot: 1, greeted: false, .. }))));
}

#[test]
fn an_agent_that_did_not_greet_hears_a_hello_each_second_and_nothing_else() {
    let mut bench = Bench::new();
    bench.press();
    bench.run(4 * HELLO_EVERY_MS);
    assert_eq!(bench.sent.iter().map(|(at_ms, _)| *at_ms).collect::<Vec<_>>(), [0, 1_000, 2_000, 3_000, 4_000]);
    assert!(bench.sent.iter().all(|(_, frame)| is_hello(frame)), "{:?}", bench.sent);
}

#[test]
fn a_stranger_hears_hellos_only_and_is_not_obeyed_until_the_right_agent_greets() {
    let mut bench = Bench::greeted();
    bench.hear(greet(PROTOCOL_VERSION + 1));
    bench.press();
    bench.hear(ToBoard::Relay(RelayOrder { id: [1; 16], off_ms: 1_000 }));
    bench.hear(ToBoard::Configure(Settings::default()));
    bench.run(2 * HELLO_TO_STRANGER_EVERY_MS - 150);
    assert!(!bench.energised);
    assert_eq!(*bench.node.settings(), SETTINGS);
    assert!(bench.sent.iter().all(|(_, frame)| is_hello(frame)), "{:?}", bench.sent);
    assert_eq!(bench.sent.len(), 3, "the answer, and two more: {:?}", bench.sent);
    bench.hear(greet(PROTOCOL_VERSION));
    assert!(matches!(bench.numbered()[..], [Numbered { body: NumberedBody::Totals(_), .. }]));
}

#[test]
fn an_order_before_the_greeting_is_not_obeyed() {
    let order = ToBoard::Relay(RelayOrder { id: [1; 16], off_ms: 1_000 });
    let mut bench = Bench::new();
    bench.run(100);
    bench.hear(order.clone());
    bench.run(10);
    assert!(!bench.energised);
    bench.hear(greet(PROTOCOL_VERSION));
    bench.hear(order);
    bench.run(10);
    assert!(bench.energised);
}

#[test]
fn what_is_not_acknowledged_is_sent_again_with_its_number_and_no_other_acknowledgement_counts() {
    let mut bench = Bench::greeted();
    bench.press();
    let first = bench.numbered()[0].clone();
    bench.hear(ToBoard::Ack(Ack { boot: first.boot + 1, seq: first.seq }));
    bench.hear(ToBoard::Ack(Ack { boot: first.boot, seq: first.seq + 1 }));
    bench.run(2 * RESEND_AFTER_MS);
    let sent = bench.numbered();
    assert_eq!(sent.len(), 3);
    for (again, numbered) in (0u64..).zip(&sent) {
        assert_eq!(*numbered, Numbered { sent_ms: first.sent_ms + again * RESEND_AFTER_MS, ..first.clone() });
    }
    bench.hear(ToBoard::Ack(Ack { boot: first.boot, seq: first.seq }));
    bench.run(5 * RESEND_AFTER_MS);
    assert_eq!(bench.numbered().len(), 3);
}

#[test]
fn totals_that_wait_are_replaced_and_events_take_turns_with_them() {
    let mut bench = Bench::greeted();
    for _ in 0..6 {
        bench.press();
    }
    bench.inputs.tamper_open = true;
    bench.run(100);
    bench.acknowledges = true;
    bench.run(1_000);
    let bodies: Vec<_> = bench.numbered().into_iter().map(|numbered| numbered.body).collect();
    assert_eq!(bodies.iter().filter_map(shorts).collect::<BTreeSet<_>>(), BTreeSet::from([1, 6]), "{bodies:?}");
    let tamper = bodies.iter().position(|body| *body == NumberedBody::Tamper { open: true }).expect("the lid");
    let last = bodies.iter().position(|body| shorts(body) == Some(6)).expect("the last totals");
    assert!(tamper < last, "{bodies:?}");
}

#[test]
fn the_oldest_events_are_dropped_and_counted() {
    let mut bench = Bench::greeted();
    let changes = EVENTS_MAX as u64 + 5;
    for change in 0..changes {
        bench.inputs.tamper_open = change % 2 == 0;
        bench.run(DEBOUNCE_MS + 1);
    }
    // One is under way, the ring is full.
    assert_eq!(bench.hello().events_dropped, 4);
    bench.sent.clear();
    bench.acknowledges = true;
    bench.run(2_000);
    let bodies = bench.numbered().into_iter().map(|numbered| numbered.body);
    let lids: Vec<_> = bodies.filter(|body| matches!(body, NumberedBody::Tamper { .. })).collect();
    let expected: Vec<_> =
        std::iter::once(0).chain(5..changes).map(|number| NumberedBody::Tamper { open: number % 2 == 0 }).collect();
    assert_eq!(lids, expected);
}

#[test]
fn presses_count_on_without_the_journal_and_that_is_told_once_and_in_each_hello() {
    let mut bench = Bench::greeted();
    bench.journal_works = false;
    bench.acknowledges = true;
    bench.press();
    bench.press();
    bench.run(30_000);
    let bodies: Vec<_> = bench.numbered().into_iter().map(|numbered| numbered.body).collect();
    assert_eq!(bodies.iter().filter(|body| **body == NumberedBody::JournalFailed).count(), 1);
    assert!(bodies.iter().any(|body| shorts(body) == Some(2)));
    assert_eq!(bench.hello().journal, JournalState::Unreachable);
    bench.journal_works = true;
    bench.run(11_000);
    assert_eq!(bench.hello().journal, JournalState::Good);
}

#[test]
fn an_order_is_done_without_the_journal() {
    let mut bench = Bench::greeted();
    bench.journal_works = false;
    bench.hear(ToBoard::Relay(RelayOrder { id: [1; 16], off_ms: 1_000 }));
    bench.run(10);
    assert!(bench.energised);
}

#[test]
fn a_greeting_is_answered_with_a_hello_and_totals_to_count_from() {
    let mut bench = Bench::greeted();
    bench.hear(greet(PROTOCOL_VERSION));
    let sent: Vec<_> = bench.sent.iter().map(|(_, frame)| frame).collect();
    assert!(matches!(sent[..2], [FromBoard::Hello(_), FromBoard::Numbered(_)]), "{sent:?}");
}

#[test]
fn greetings_without_end_do_not_stop_numbered_messages() {
    let mut bench = Bench::greeted();
    for _ in 0..100 {
        bench.inputs.received = Some(Ok(greet(PROTOCOL_VERSION)));
        bench.step();
        bench.now_ms += 1;
    }
    assert!(bench.numbered().len() >= 40, "{} of 100", bench.numbered().len());
}

#[test]
fn what_the_gasp_cut_off_is_sent_again_behind_it() {
    for hello in [false, true] {
        let mut bench = Bench::greeted();
        if hello {
            bench.inputs.received = Some(Ok(greet(PROTOCOL_VERSION)));
            bench.step();
            assert!(is_hello(&bench.sent[0].1));
        } else {
            bench.press();
            assert_eq!(bench.numbered().len(), 1);
        }
        bench.inputs.line_free = false;
        bench.inputs.power_good = false;
        let outputs = bench.node.step(bench.now_ms, &Inputs { received: None, ..bench.inputs.clone() });
        let gasp = outputs.send.expect("the gasp");
        assert!(matches!(gasp, FromBoard::Gasp(_)));
        let outputs = bench.node.step(bench.now_ms, &bench.inputs);
        assert_eq!(outputs.send, None, "the second gasp cuts nothing off");
        bench.inputs.line_free = true;
        let cut_off = bench.sent.pop().expect("what was cut off").1;
        bench.sent.clear();
        bench.settle();
        assert_eq!(bench.sent[0].1, gasp);
        let again = |(_, frame): &(u64, FromBoard)| match (frame, &cut_off) {
            (FromBoard::Hello(_), FromBoard::Hello(_)) => true,
            (FromBoard::Numbered(again), FromBoard::Numbered(first)) => again.seq == first.seq,
            _ => false,
        };
        assert!(bench.sent.iter().any(again), "{:?}", bench.sent);
        bench.acknowledges = true;
        bench.run(1_100);
        assert!(bench.numbered().iter().any(|numbered| numbered.body == NumberedBody::Power(SupplyState::Battery)));
    }
}

/// Play the same ten minutes of edges, looking each millisecond or only when told to.
fn play(seed: u64, each_ms: bool) -> Vec<(u64, FromBoard)> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut bench = Bench::greeted();
    bench.acknowledges = true;
    let start_ms = bench.now_ms;
    while bench.now_ms < start_ms + 600_000 {
        match random.random_range(0..4) {
            0 => bench.inputs.power_good = !bench.inputs.power_good,
            1 => bench.inputs.tamper_open = !bench.inputs.tamper_open,
            2 => bench.hear(ToBoard::Relay(RelayOrder { id: random.random(), off_ms: random.random_range(0..70_000) })),
            _ => bench.inputs.buttons ^= 1 << random.random_range(0..8),
        }
        let edge_ms = bench.now_ms + random.random_range(1..4_000);
        while bench.now_ms < edge_ms {
            bench.settle();
            let next_ms = if each_ms { bench.now_ms + 1 } else { bench.next_ms };
            bench.now_ms = next_ms.min(edge_ms);
        }
    }
    bench.sent
}

#[test]
fn who_looks_only_when_told_to_sees_the_same_as_who_always_looks() {
    for seed in 0..5 {
        let (always, told) = (play(seed, true), play(seed, false));
        assert!(always.len() > 100);
        for (one, other) in always.iter().zip(&told) {
            assert_eq!(one, other, "seed {seed}");
        }
        assert_eq!(always.len(), told.len(), "seed {seed}");
    }
}
