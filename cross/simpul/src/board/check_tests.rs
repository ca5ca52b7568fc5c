//! The self-test's core against a table of what a board may say.

use simpul_wire::Missing;
use simpul_wire::board::*;

use super::check::*;
use super::expect::Expect;

const ORDER: [u8; 16] = [9; 16];
const HAND_MS: u64 = 60_000;

struct Bench {
    test: SelfTest,
    now_ms: u64,
    asked: Vec<What>,
    sent: Vec<ToBoard>,
    done: Vec<Checked>,
    finished: bool,
}

impl Bench {
    fn new(expect: &str) -> Bench {
        Bench::with(expect, true)
    }

    fn with(expect: &str, press: bool) -> Bench {
        let terms = Terms { hand_ms: HAND_MS, press, order: ORDER };
        let test = SelfTest::new(&Expect::parse(expect).unwrap(), [DeskTotals::default(); DESKS], terms);
        let (asked, sent, done) = (Vec::new(), Vec::new(), Vec::new());
        let mut bench = Bench { test, now_ms: 5_000, asked, sent, done, finished: false };
        bench.after(0);
        bench
    }

    fn take(&mut self, actions: Vec<Action>) {
        for action in actions {
            assert!(!self.finished, "{action:?} after the end");
            match action {
                Action::Ask(what) => self.asked.push(what),
                Action::Send(message) => self.sent.push(message),
                Action::Greet => {}
                Action::Done(checked) => self.done.push(checked),
                Action::Finished => self.finished = true,
            }
        }
    }

    fn after(&mut self, ms: u64) {
        self.now_ms += ms;
        let actions = self.test.tick(self.now_ms);
        self.take(actions);
    }

    fn hears(&mut self, message: FromBoard) {
        let actions = self.test.message(self.now_ms, &message);
        self.take(actions);
    }

    fn hears_numbered(&mut self, body: NumberedBody) {
        self.hears(FromBoard::Numbered(Numbered { boot: 2, seq: 1, at_ms: 0, sent_ms: 0, body }));
    }

    fn reads(&mut self, metric: u8, value: Measured) {
        let items = [Reading { metric, value }].into_iter().collect();
        self.hears(FromBoard::Readings(Readings { at_ms: 0, items }));
    }

    /// Totals after these presses: desk and how many in all.
    fn totals(&mut self, presses: &[(usize, u32)]) {
        let mut totals = [DeskTotals::default(); DESKS];
        for (desk, short) in presses {
            totals[*desk].short = *short;
        }
        self.hears_numbered(NumberedBody::Totals(totals));
    }

    /// The one result so far.
    fn only(&self) -> (Verdict, Detail) {
        assert_eq!(self.done.len(), 1, "{:?}", self.done);
        (self.done[0].verdict, self.done[0].detail.clone())
    }
}

fn missing(reason: Missing) -> Measured {
    reason.into()
}

#[test]
fn volts_are_judged_and_a_reason_is_told() {
    for (value, wanted) in [
        (Measured::Millivolts(12_600), (Verdict::Present, Detail::Millivolts(12_600))),
        (Measured::Millivolts(0), (Verdict::Wrong, Detail::NotTwelveVolts(0))),
        (Measured::Millivolts(24_000), (Verdict::Wrong, Detail::NotTwelveVolts(24_000))),
        (missing(Missing::Unreadable), (Verdict::Wrong, Detail::Missing(Missing::Unreadable))),
    ] {
        for (expect, metric) in [("supply", 10), ("battery", 11)] {
            let mut bench = Bench::new(expect);
            bench.reads(metric, value);
            assert_eq!(bench.only(), wanted, "{expect}");
            assert!(bench.finished);
        }
    }
}

#[test]
fn a_voltage_without_power_good_is_wrong() {
    let mut bench = Bench::new("supply");
    bench.hears_numbered(NumberedBody::Power(SupplyState::Battery));
    bench.reads(10, Measured::Millivolts(12_000));
    assert_eq!(bench.only(), (Verdict::Wrong, Detail::NoPowerGood(12_000)));
}

#[test]
fn a_module_ends_for_its_own_reason_and_an_unwired_cage_waits_for_the_settings() {
    for reason in [Missing::NoModule, Missing::NoDiagnostics, Missing::NoLight, Missing::BusStuck, Missing::BadChecksum]
    {
        let mut bench = Bench::new("sfp=2");
        bench.reads(12, missing(reason));
        assert_eq!(bench.only(), (Verdict::Wrong, Detail::Missing(reason)));
        assert_eq!(bench.done[0].what, What::Sfp(0));
        assert_eq!(bench.asked, [What::Sfp(0), What::Sfp(1)]);
    }
    let mut bench = Bench::new("sfp");
    bench.reads(12, missing(Missing::NotSupported));
    bench.after(10_000);
    assert!(bench.done.is_empty());
    bench.reads(12, Measured::Nanowatts(15_000));
    assert_eq!(bench.only(), (Verdict::Present, Detail::Light { module: String::new(), nanowatts: 15_000 }));
    let mut bench = Bench::new("sfp");
    bench.reads(12, missing(Missing::NotYet));
    bench.after(30_000);
    assert_eq!(bench.only(), (Verdict::Wrong, Detail::Missing(Missing::NotYet)));
    let mut bench = Bench::new("sfp");
    bench.after(30_000);
    assert_eq!(bench.only(), (Verdict::Timeout, Detail::None));
}

#[test]
fn the_relay_is_ordered_again_and_told_by_its_outcome() {
    for outcome in [RelayOutcome::Done, RelayOutcome::TooLong, RelayOutcome::TooSoon, RelayOutcome::Interrupted] {
        let mut bench = Bench::new("relay");
        // Somebody else's order.
        bench.hears_numbered(NumberedBody::RelayResult { id: [1; 16], outcome: RelayOutcome::Done });
        assert!(bench.done.is_empty());
        bench.after(3_000);
        bench.hears_numbered(NumberedBody::RelayResult { id: ORDER, outcome });
        let verdict = if outcome == RelayOutcome::Done { Verdict::Present } else { Verdict::Wrong };
        assert_eq!(bench.only(), (verdict, Detail::Relay(outcome)));
        assert_eq!(bench.sent.len(), 2);
        assert_eq!(bench.sent[0], bench.sent[1], "the same order");
    }
    let mut bench = Bench::new("relay");
    for _ in 0..20 {
        bench.after(1_000);
    }
    assert_eq!(bench.only(), (Verdict::Timeout, Detail::None));
    assert_eq!(bench.sent.len(), 4, "0, 3, 6 and 9 s");
}

#[test]
fn a_lid_is_opened_and_closed_or_told_for_what_it_does() {
    let present = (Verdict::Present, Detail::None);
    for (edges, wanted) in [
        (&[true, false][..], present.clone()),
        // It stood open at the start.
        (&[false, true, false], present),
        (&[true], (Verdict::Wrong, Detail::LidStaysOpen)),
        (&[false, true], (Verdict::Wrong, Detail::LidInverted)),
        (&[false], (Verdict::Timeout, Detail::None)),
        (&[], (Verdict::Timeout, Detail::None)),
    ] {
        let mut bench = Bench::new("tamper");
        for open in edges {
            bench.hears_numbered(NumberedBody::Tamper { open: *open });
        }
        bench.after(HAND_MS);
        assert_eq!(bench.only(), wanted, "{edges:?}");
    }
}

#[test]
fn each_button_is_asked_for_and_crossed_or_joined_ones_are_named() {
    let mut bench = Bench::new("buttons=3");
    assert_eq!(bench.asked, [What::Button(0)]);
    bench.totals(&[(0, 1)]);
    // Pressed twice: none of the next one.
    bench.totals(&[(0, 2)]);
    assert_eq!((bench.done.len(), bench.asked.len()), (1, 2));
    bench.totals(&[(0, 2), (2, 1)]);
    assert_eq!(bench.done[1].detail, Detail::OtherButtons(0b100), "crossed");
    bench.totals(&[(0, 2), (1, 1), (2, 2)]);
    let verdicts: Vec<_> = bench.done.iter().map(|checked| checked.verdict).collect();
    assert_eq!(verdicts, [Verdict::Present, Verdict::Wrong, Verdict::Wrong]);
    assert_eq!(bench.done[2].detail, Detail::OtherButtons(0b10), "joined");
    assert!(bench.finished);

    let mut bench = Bench::new("buttons=2");
    bench.after(HAND_MS - 1);
    assert!(bench.done.is_empty());
    bench.after(1);
    assert_eq!(bench.only(), (Verdict::Timeout, Detail::None));
    bench.hears_numbered(NumberedBody::ButtonStuck { desk: 1, stuck: true });
    assert_eq!((bench.done[1].verdict, &bench.done[1].detail), (Verdict::Wrong, &Detail::Stuck));
}

#[test]
fn no_button_is_asked_for_where_a_press_may_become_a_visit() {
    let bench = Bench::with("buttons=2", false);
    assert!(bench.finished && bench.asked.is_empty());
    assert!(bench.done.iter().all(|checked| checked.verdict == Verdict::Skipped));
}

#[test]
fn what_needs_no_hand_comes_first() {
    let mut bench = Bench::new("buttons=1,tamper,relay,sfp,battery,supply");
    for _ in 0..300 {
        bench.after(1_000);
    }
    let order = [What::Supply, What::Battery, What::Sfp(0), What::Relay, What::Tamper, What::Button(0)];
    assert_eq!(bench.asked, order);
    assert!(bench.finished && bench.done.iter().all(|checked| checked.verdict == Verdict::Timeout));
}
