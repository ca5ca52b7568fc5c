//! The session, event by event.

use simpul_wire::Stamp;
use simpul_wire::board::*;
use simpul_wire::event::{BoardCondition, BoardReset, EventBody, PowerCondition};

use super::known::{Known, Note};
use super::session::{Action, Event, Keep, Session};
use crate::config::{DeskConfig, LongPress};

const SETTINGS: Settings = Settings { long_press_ms: 1_500, desks: 0b1, cages: 0b1, battery_low_mv: 0, relay: true };
const WALL_MS: i64 = 1_790_000_000_000;
const SERIAL: [u8; 8] = [0xe6, 0x60, 0x38, 0xb7, 0x13, 0x2c, 0x11, 0x2f];

struct Bench {
    session: Session,
    now_ms: u64,
}

fn hello() -> Hello {
    Hello {
        protocol: PROTOCOL_VERSION,
        hardware: Hardware::Pico,
        firmware: [0, 1, 0],
        serial: SERIAL,
        boot: 7,
        reset: ResetReason::PowerOn,
        uptime_ms: 20_000,
        greeted: true,
        events_dropped: 0,
        frames_refused: 0,
        journal: JournalState::Good,
        settings: SETTINGS,
        image: ImageState::NoLoader,
    }
}

fn numbered(seq: u32, body: NumberedBody) -> FromBoard {
    FromBoard::Numbered(Numbered { boot: 7, seq, at_ms: 10_000, sent_ms: 10_500, body })
}

fn totals(short: u32) -> NumberedBody {
    let mut totals = [DeskTotals::default(); DESKS];
    totals[0].short = short;
    NumberedBody::Totals(totals)
}

impl Bench {
    /// A board that was known before, on a port that was just opened and greeted.
    fn new() -> Bench {
        let mut known = Known::default();
        known.apply(&Note::Started { serial: hex::encode(SERIAL), boot: 7 });
        known.apply(&Note::Condition(BoardCondition::Good.number()));
        Bench::with(known)
    }

    fn with(known: Known) -> Bench {
        let desk = DeskConfig {
            button: 0,
            service: "ktp".parse().unwrap(),
            desk: Some("1".parse().unwrap()),
            long_press: LongPress::NoShow,
        };
        let mut bench = Bench { session: Session::new(SETTINGS, vec![desk], known), now_ms: 100_000 };
        let actions = bench.event(Event::Opened { port: "/dev/x".to_owned() });
        assert_eq!(actions, [greet(bench.now())]);
        bench
    }

    fn now(&self) -> Stamp {
        Stamp { boot: 3, uptime_ms: self.now_ms, wall_ms: Some(WALL_MS + self.now_ms as i64) }
    }

    fn event(&mut self, event: Event<'_>) -> Vec<Action> {
        let now = self.now();
        self.session.handle(now, event)
    }

    fn hear(&mut self, message: &FromBoard) -> Vec<Action> {
        let mut bytes = [0; ENCODED_BYTES_MAX];
        let length = message.encode(&mut bytes).unwrap();
        let mut reader = FrameReader::default();
        let mut actions = Vec::new();
        for byte in &bytes[..length] {
            if let Some(frame) = reader.push(*byte) {
                actions.extend(self.session.handle(self.now(), Event::Frame(frame)));
            }
        }
        actions
    }

    fn hello(&mut self, hello: Hello) -> Vec<Action> {
        self.hear(&FromBoard::Hello(hello))
    }

    /// Let time pass, as the task does.
    fn wait(&mut self, ms: u64) -> Vec<Action> {
        let mut actions = Vec::new();
        for _ in 0..ms / 250 {
            self.now_ms += 250;
            actions.extend(self.event(Event::Tick));
        }
        actions
    }

    fn refused(&mut self, error: FrameError) -> Vec<Action> {
        self.event(Event::Frame(Err(error)))
    }
}

fn greet(now: Stamp) -> Action {
    Action::Send(ToBoard::Greet(Greet { protocol: PROTOCOL_VERSION, wall_ms: now.wall_ms }))
}

fn ack(seq: u32) -> Action {
    Action::Send(ToBoard::Ack(Ack { boot: 7, seq }))
}

fn is_greet(action: &Action) -> bool {
    matches!(action, Action::Send(ToBoard::Greet(_)))
}

/// The events that are told.
fn told(actions: &[Action]) -> Vec<EventBody> {
    let events = actions.iter().filter_map(|action| match action {
        Action::Say(said) => Some(said.record.body.clone()),
        _ => None,
    });
    events.collect()
}

/// The conditions that are told.
fn conditions(actions: &[Action]) -> Vec<BoardCondition> {
    let conditions = told(actions).into_iter().filter_map(|body| match body {
        EventBody::Board { condition, .. } => Some(condition),
        _ => None,
    });
    conditions.collect()
}

fn kept(actions: &[Action]) -> Keep {
    match actions {
        [Action::Keep(keep)] => keep.clone(),
        other => panic!("something to keep was expected: {other:?}"),
    }
}

#[test]
fn a_port_is_greeted_twice_a_second_until_the_board_says_hello_and_then_each_minute() {
    let mut bench = Bench::new();
    assert_eq!(bench.wait(2_000).iter().filter(|action| is_greet(action)).count(), 4);
    assert_eq!(bench.hello(hello()), []);
    assert_eq!(bench.wait(10_000), []);
    let later: Vec<Action> = (0..11)
        .flat_map(|_| {
            bench.hear(&FromBoard::Readings(Readings { at_ms: 1, items: Default::default() }));
            bench.wait(10_000)
        })
        .collect();
    assert_eq!(later.iter().filter(|action| is_greet(action)).count(), 2, "{later:?}");
    assert_eq!(later.len(), 2);
}

#[test]
fn a_board_that_is_not_greeted_is_greeted_and_one_that_always_says_so_does_not_keep_us_at_it() {
    let mut bench = Bench::new();
    let strange = Hello { greeted: false, ..hello() };
    let mut greetings = 0;
    for _ in 0..100 {
        greetings += bench.hello(strange.clone()).iter().filter(|action| is_greet(action)).count();
        bench.now_ms += 10;
    }
    assert_eq!(greetings, 1, "the first was at the opening, half a second before");
}

#[test]
fn a_board_without_a_clock_gets_no_time() {
    let mut bench = Bench::new();
    bench.now_ms += 500;
    let undated = Stamp { wall_ms: None, ..bench.now() };
    let actions = bench.session.handle(undated, Event::Tick);
    assert_eq!(actions, [Action::Send(ToBoard::Greet(Greet { protocol: PROTOCOL_VERSION, wall_ms: None }))]);
}

#[test]
fn settings_that_differ_are_sent_confirmed_and_given_up_after_three_times() {
    let mut bench = Bench::new();
    let other = Hello { settings: Settings::default(), ..hello() };
    assert_eq!(bench.hello(other.clone()), [Action::Send(ToBoard::Configure(SETTINGS))]);
    assert!(bench.wait(500).iter().any(is_greet), "its next hello shows whether it took them");
    assert_eq!(bench.hello(hello()), []);
    assert!(bench.session.status(0).board.unwrap().configured);
    let mut sent = 0;
    for _ in 0..10 {
        sent += bench.hello(other.clone()).len();
        bench.now_ms += 100;
    }
    assert_eq!(sent, 3, "each is a write of its flash");
    assert!(!bench.session.status(0).board.unwrap().configured);
}

#[test]
fn a_start_is_told_once_dated_by_the_boards_uptime() {
    let mut bench = Bench::with(Known::default());
    let actions = bench.hello(Hello { reset: ResetReason::Brownout, ..hello() });
    let [Action::Say(said)] = actions.as_slice() else { panic!("{actions:?}") };
    let expected = EventBody::BoardStarted {
        serial: "e66038b7132c112f".parse().unwrap(),
        boot: 7,
        reset: BoardReset::Brownout,
        version: "0.1.0 pico".parse().unwrap(),
    };
    assert_eq!(said.record.body, expected);
    assert_eq!(said.record.stamp.uptime_ms, 80_000);
    assert_eq!(said.record.stamp.wall_ms, Some(WALL_MS + 80_000));
    assert_eq!(bench.hello(hello()), []);
    assert_eq!(told(&bench.hello(Hello { boot: 8, ..hello() })).len(), 1);
    assert_eq!(told(&bench.hello(Hello { serial: [9; 8], boot: 8, ..hello() })).len(), 1, "a spare");
}

#[test]
fn a_numbered_message_is_acknowledged_when_it_is_kept_and_not_before() {
    let mut bench = Bench::new();
    bench.hello(hello());
    let Keep::Totals(report) = kept(&bench.hear(&numbered(4, totals(12)))) else { panic!() };
    assert_eq!((report.totals[0].short, report.from_zero), (12, false));
    assert_eq!((report.at.uptime_ms, report.at.wall_ms), (99_500, Some(WALL_MS + 99_500)), "half a second ago");
    assert_eq!(bench.hear(&numbered(4, totals(12))), [], "sent again while it is being kept");
    assert_eq!(bench.hear(&numbered(5, totals(13))), [], "one at a time");
    assert_eq!(bench.event(Event::Kept { impossible: vec![] }), [ack(4)]);
}

#[test]
fn what_cannot_be_kept_is_not_acknowledged_and_rests_before_the_next_try() {
    let mut bench = Bench::new();
    bench.hello(hello());
    kept(&bench.hear(&numbered(4, totals(12))));
    assert_eq!(bench.event(Event::NotKept { why: "full".to_owned() }), []);
    assert_eq!(bench.session.status(0).refused.as_deref(), Some("full"));
    bench.now_ms += 4_999;
    assert_eq!(bench.hear(&numbered(4, totals(12))), []);
    bench.now_ms += 1;
    kept(&bench.hear(&numbered(4, totals(12))));
    assert_eq!(bench.event(Event::Kept { impossible: vec![] }), [ack(4)]);
    assert_eq!(bench.session.status(0).refused, None);
}

#[test]
fn an_event_that_comes_again_after_a_lost_acknowledgement_is_not_kept_again() {
    let mut bench = Bench::new();
    bench.hello(hello());
    let open = numbered(4, NumberedBody::Tamper { open: true });
    let Keep::Events(records, note) = kept(&bench.hear(&open)) else { panic!() };
    assert_eq!((records[0].body.clone(), records[0].stamp.uptime_ms), (EventBody::Tamper { open: true }, 99_500));
    assert_eq!(bench.event(Event::Kept { impossible: vec![] }), [ack(4)]);
    assert_eq!(bench.hear(&open), [ack(4)]);
    // And after a restart, by what was remembered.
    let mut known = Known::default();
    known.apply(&Note::Started { serial: hex::encode(SERIAL), boot: 7 });
    known.apply(&note);
    let mut bench = Bench::with(known);
    bench.hello(hello());
    assert_eq!(bench.hear(&open), [ack(4)]);
}

#[test]
fn every_event_of_the_board_has_its_event() {
    let mains = NumberedBody::Power(SupplyState::Mains { outage_ms: Some(5) });
    let power = |condition, outage_ms| EventBody::Power { condition, outage_ms };
    let stuck = |desk: &str| EventBody::ButtonStuck { desk: desk.parse().unwrap(), stuck: true };
    let table = [
        (mains, power(PowerCondition::Mains, Some(5))),
        (NumberedBody::Power(SupplyState::Battery), power(PowerCondition::Battery, None)),
        (NumberedBody::Power(SupplyState::BatteryLow), power(PowerCondition::BatteryLow, None)),
        (NumberedBody::Tamper { open: false }, EventBody::Tamper { open: false }),
        (NumberedBody::ButtonStuck { desk: 0, stuck: true }, stuck("1")),
        (NumberedBody::ButtonStuck { desk: 200, stuck: true }, stuck("button 201")),
    ];
    let mut bench = Bench::new();
    bench.hello(hello());
    for (seq, (body, expected)) in (1..).zip(table) {
        let Keep::Events(records, _) = kept(&bench.hear(&numbered(seq, body))) else { panic!() };
        assert_eq!(records[0].body, expected);
        assert_eq!(bench.event(Event::Kept { impossible: vec![] }), [ack(seq)]);
    }
}

#[test]
fn a_message_of_a_board_that_did_not_say_who_it_is_waits_for_its_hello() {
    let mut bench = Bench::new();
    bench.now_ms += 1_000;
    assert_eq!(bench.hear(&numbered(1, totals(3))), [greet(bench.now())]);
    bench.hello(hello());
    // Another boot than the hello's: it started anew, or a spare took its place.
    bench.now_ms += 1_000;
    let other = FromBoard::Numbered(Numbered { boot: 8, seq: 1, at_ms: 0, sent_ms: 0, body: totals(3) });
    assert_eq!(bench.hear(&other), [greet(bench.now())]);
}

#[test]
fn a_spare_that_took_the_boards_place_gets_no_acknowledgement_of_the_others() {
    let mut bench = Bench::new();
    bench.hello(hello());
    kept(&bench.hear(&numbered(4, totals(12))));
    bench.event(Event::Closed { why: "gone".to_owned() });
    bench.event(Event::Opened { port: "/dev/x".to_owned() });
    bench.hello(Hello { serial: [9; 8], ..hello() });
    assert_eq!(bench.event(Event::Kept { impossible: vec![] }), []);
}

#[test]
fn messages_are_dated_by_their_age_and_never_before_the_machine_was_there() {
    let mut bench = Bench::new();
    bench.hello(hello());
    for (seq, at_ms, sent_ms, uptime_ms, age_ms) in [
        (1, 0, 70_000, 30_000, 70_000),
        (2, 0, 7_200_000, 0, 7_200_000),
        (3, 9, 5, 100_000, 0),
        (4, 0, u64::MAX, 0, 366 * 86_400_000_i64),
    ] {
        let body = NumberedBody::Tamper { open: true };
        let message = FromBoard::Numbered(Numbered { boot: 7, seq, at_ms, sent_ms, body });
        let Keep::Events(records, _) = kept(&bench.hear(&message)) else { panic!() };
        assert_eq!(records[0].stamp.uptime_ms, uptime_ms, "message {seq}");
        assert_eq!(records[0].stamp.wall_ms, Some(WALL_MS + 100_000 - age_ms), "message {seq}");
        bench.event(Event::Kept { impossible: vec![] });
    }
}

#[test]
fn a_gasp_goes_before_everything_and_once_also_when_nobody_said_hello() {
    let mut bench = Bench::new();
    let gasp = FromBoard::Gasp(Gasp { boot: 7, at_ms: 5 });
    let actions = bench.hear(&gasp);
    let [Action::Say(said)] = actions.as_slice() else { panic!("{actions:?}") };
    assert!(said.urgent);
    assert_eq!(said.record.body, EventBody::Power { condition: PowerCondition::DyingGasp, outage_ms: None });
    assert_eq!(bench.hear(&gasp), []);
    assert_eq!(bench.hear(&FromBoard::Gasp(Gasp { boot: 7, at_ms: 6 })).len(), 1);
}

/// Both frames often arrive in one read: the later message's age must not put it in front of the gasp, or the room shows
/// the dying gasp of a node that lives on its battery.
#[test]
fn what_follows_a_gasp_is_not_dated_before_it() {
    let mut bench = Bench::new();
    bench.hello(Hello { boot: 7, ..hello() });
    let actions = bench.hear(&FromBoard::Gasp(Gasp { boot: 7, at_ms: 50_000 }));
    let [Action::Say(gasp)] = actions.as_slice() else { panic!("{actions:?}") };
    let battery = |seq, at_ms| {
        let body = NumberedBody::Power(SupplyState::Battery);
        FromBoard::Numbered(Numbered { boot: 7, seq, at_ms, sent_ms: 50_040, body })
    };
    let Keep::Events(records, _) = kept(&bench.hear(&battery(3, 50_000))) else { panic!() };
    assert_eq!(records[0].stamp, gasp.record.stamp);
    bench.event(Event::Kept { impossible: vec![] });
    let Keep::Events(records, _) = kept(&bench.hear(&battery(4, 49_999))) else { panic!() };
    assert!(records[0].stamp.uptime_ms < gasp.record.stamp.uptime_ms, "it did happen before");
}

#[test]
fn a_module_is_told_when_it_changes_also_across_a_restart() {
    let missing = |reason| FromBoard::Module(Module { cage: 0, found: Err(MissingNumber(reason)) });
    let (none, stuck) = (missing(simpul_wire::Missing::NoModule), missing(simpul_wire::Missing::BusStuck));
    let mut bench = Bench::new();
    assert_eq!(bench.hear(&none), [], "whose it is is not known yet");
    bench.hello(hello());
    let actions = bench.hear(&none);
    let [Action::Say(said)] = actions.as_slice() else { panic!("{actions:?}") };
    assert_eq!(bench.hear(&none), []);
    let mut known = Known::default();
    known.apply(&Note::Started { serial: hex::encode(SERIAL), boot: 7 });
    known.apply(&said.note);
    let mut bench = Bench::with(known);
    bench.hello(hello());
    assert_eq!(bench.hear(&none), []);
    assert_eq!(told(&bench.hear(&stuck)).len(), 1);
}

#[test]
fn silence_is_told_after_thirty_seconds_and_the_port_is_opened_anew() {
    let mut bench = Bench::new();
    bench.hello(hello());
    assert!(!bench.wait(29_750).contains(&Action::Reopen));
    let actions = bench.wait(2_000);
    assert!(actions.contains(&Action::Reopen), "{actions:?}");
    assert_eq!(conditions(&actions), [BoardCondition::Silent]);
    assert_eq!(bench.session.status(0).condition.as_deref(), Some("silent"));
    bench.event(Event::Opened { port: "/dev/x".to_owned() });
    bench.hello(hello());
    assert_eq!(conditions(&bench.wait(10_000)), [BoardCondition::Good]);
}

#[test]
fn noise_is_no_silence() {
    let mut bench = Bench::new();
    let mut all = Vec::new();
    for _ in 0..100 {
        all.extend(bench.refused(FrameError::BadChecksum));
        all.extend(bench.wait(500));
    }
    assert_eq!(conditions(&all), [BoardCondition::BadFrame]);
    assert!(all.contains(&Action::Reopen));
}

#[test]
fn a_port_that_is_gone_and_a_boot_loader_are_told() {
    let mut bench = Bench::new();
    bench.hello(hello());
    bench.event(Event::Closed { why: "the port is gone".to_owned() });
    assert_eq!(conditions(&bench.wait(5_000)), [BoardCondition::Unplugged]);
    bench.event(Event::BootLoader(true));
    assert_eq!(conditions(&bench.wait(20_000)), [BoardCondition::BootLoader]);
    bench.event(Event::BootLoader(false));
    bench.event(Event::Opened { port: "/dev/x".to_owned() });
    bench.hello(hello());
    assert_eq!(conditions(&bench.wait(20_000)), [BoardCondition::Good]);
}

#[test]
fn a_board_of_another_protocol_hears_nothing_and_is_told() {
    let mut bench = Bench::new();
    bench.now_ms += 1_000;
    let mut actions = bench.hello(Hello { protocol: 2, greeted: false, ..hello() });
    // A hello whose rest is another version's as well.
    actions.extend(bench.event(Event::Frame(Ok((0x01, &[2, 99, 98, 97])))));
    actions.extend(bench.hear(&numbered(1, totals(3))));
    actions.extend(bench.hear(&FromBoard::Gasp(Gasp { boot: 7, at_ms: 5 })));
    actions.extend(bench.wait(5_000));
    assert_eq!(conditions(&actions), [BoardCondition::WrongProtocol]);
    assert_eq!(actions.len(), 1, "{actions:?}");
    assert_eq!(bench.session.status(0).frames_refused, 0, "it is no noise");
    bench.hello(hello());
    assert_eq!(conditions(&bench.wait(5_000)), [BoardCondition::Good], "it was updated");
}

#[test]
fn frames_that_cannot_be_read_are_told_when_they_repeat() {
    for (error, condition) in [
        (FrameError::TooLong, BoardCondition::FrameTooLong),
        (FrameError::UnknownKind(0x7e), BoardCondition::UnknownMessage),
        (FrameError::BadBody(0x02), BoardCondition::UnknownMessage),
        (FrameError::BadStuffing, BoardCondition::BadFrame),
        (FrameError::TooShort, BoardCondition::BadFrame),
    ] {
        let mut bench = Bench::new();
        bench.hello(hello());
        bench.refused(error);
        bench.refused(error);
        assert_eq!(conditions(&bench.wait(5_000)), [], "{error}");
        bench.refused(error);
        assert_eq!(conditions(&bench.wait(5_000)), [condition], "{error}");
        assert_eq!(bench.session.status(0).frames_refused, 3);
    }
}

#[test]
fn an_unknown_kind_with_a_good_checksum_is_counted_and_no_silence() {
    let mut bench = Bench::new();
    bench.hello(hello());
    for _ in 0..8 {
        bench.event(Event::Frame(Ok((0x7e, &[1]))));
        assert!(!bench.wait(10_000).contains(&Action::Reopen));
    }
    assert_eq!(bench.session.status(0).frames_refused, 8);
}

#[test]
fn a_journal_that_failed_is_told_until_the_board_starts_with_a_good_one() {
    let mut bench = Bench::new();
    bench.hello(Hello { journal: JournalState::Damaged, ..hello() });
    assert_eq!(conditions(&bench.wait(5_000)), [BoardCondition::JournalDamaged]);
    let Keep::Events(records, note) = kept(&bench.hear(&numbered(1, NumberedBody::JournalFailed))) else { panic!() };
    assert!(matches!(records[0].body, EventBody::Board { condition: BoardCondition::JournalFailed, .. }));
    bench.event(Event::Kept { impossible: vec![] });
    bench.hello(Hello { journal: JournalState::Damaged, ..hello() });
    assert_eq!(conditions(&bench.wait(5_000)), [], "told already, and the worse of the two");
    // A restart of the agent does not make it good.
    let mut known = Known::default();
    known.apply(&Note::Started { serial: hex::encode(SERIAL), boot: 7 });
    known.apply(&note);
    let mut bench = Bench::with(known);
    bench.hello(hello());
    assert_eq!(conditions(&bench.wait(5_000)), [BoardCondition::JournalFailed]);
    bench.hello(Hello { boot: 8, ..hello() });
    assert_eq!(conditions(&bench.wait(5_000)), [BoardCondition::Good]);
    bench.hello(Hello { boot: 9, journal: JournalState::Unreachable, ..hello() });
    assert_eq!(conditions(&bench.wait(10_000)), [BoardCondition::JournalFailed]);
}

#[test]
fn events_that_the_board_dropped_are_told_once() {
    let mut bench = Bench::new();
    let actions = bench.hello(Hello { events_dropped: 3, ..hello() });
    let [EventBody::Board { condition: BoardCondition::Good, detail, .. }] = &told(&actions)[..] else { panic!() };
    assert!(detail.starts_with("3 of its events were dropped"), "{detail}");
    assert_eq!(bench.hello(Hello { events_dropped: 3, ..hello() }), []);
    assert_eq!(told(&bench.hello(Hello { events_dropped: 5, ..hello() })).len(), 1);
}

#[test]
fn readings_become_samples_and_impossible_ones_a_condition() {
    let mut bench = Bench::new();
    let reading = |value| Reading { metric: 10, value: Measured::Millivolts(value) };
    let frame = |value| {
        let items = [reading(value), Reading { metric: 99, value: Measured::Millivolts(1) }].into_iter().collect();
        FromBoard::Readings(Readings { at_ms: 1, items })
    };
    assert_eq!(bench.hear(&frame(12_000)), [], "of a board that did not say hello");
    bench.hello(hello());
    let actions = bench.hear(&frame(12_000));
    let [Action::Samples(samples)] = actions.as_slice() else { panic!("{actions:?}") };
    assert_eq!((samples.len(), samples[0].metric.as_str()), (1, "supply_voltage"));
    bench.hear(&frame(61_000));
    assert_eq!(conditions(&bench.wait(5_000)), [BoardCondition::ImpossibleValue]);
    assert_eq!(bench.session.status(0).readings[0].value, "61.000 V");
}

#[test]
fn an_order_is_sent_answered_after_its_result_is_kept_and_its_event_is_the_result() {
    let mut bench = Bench::new();
    bench.hello(hello());
    let id = [5; 16];
    let order = Action::Send(ToBoard::Relay(RelayOrder { id, off_ms: 5_000 }));
    assert_eq!(bench.event(Event::Order { id, off_ms: 5_000 }), std::slice::from_ref(&order));
    let again = bench.wait(20_000);
    assert_eq!(again, [order.clone(), order], "twice more, and no endless");
    let result = NumberedBody::RelayResult { id, outcome: RelayOutcome::Done };
    let Keep::Events(records, _) = kept(&bench.hear(&numbered(1, result))) else { panic!() };
    let detail = "switched off and on again".parse().unwrap();
    assert_eq!(records[0].body, EventBody::CommandResult { id, done: true, detail });
    let answer = Action::Answer { id, kept: true, result: Ok("switched off and on again".to_owned()) };
    assert_eq!(bench.event(Event::Kept { impossible: vec![] }), [ack(1), answer]);
}

#[test]
fn an_order_is_not_sent_to_a_board_that_started_anew_since() {
    let mut bench = Bench::new();
    bench.hello(hello());
    bench.event(Event::Order { id: [5; 16], off_ms: 5_000 });
    bench.hello(Hello { boot: 8, ..hello() });
    assert!(!bench.wait(20_000).iter().any(|action| matches!(action, Action::Send(ToBoard::Relay(_)))));
}

#[test]
fn orders_that_cannot_be_done_are_answered_at_once() {
    let refused = |actions: Vec<Action>| match &actions[..] {
        [Action::Answer { kept: false, result: Err(why), .. }] => why.clone(),
        other => panic!("{other:?}"),
    };
    let order = |number| Event::Order { id: [number; 16], off_ms: 1 };
    let mut bench = Bench::new();
    assert_eq!(refused(bench.event(order(1))), "the board does not talk");
    bench.hello(hello());
    bench.event(order(1));
    bench.event(order(2));
    assert_eq!(refused(bench.event(order(3))), "the board is busy");
    bench.event(Event::OrderGone { id: [1; 16] });
    assert_eq!(bench.event(order(3)).len(), 1);
    let without = Settings { relay: false, ..SETTINGS };
    bench.session = Session::new(without, Vec::new(), Known::default());
    assert!(refused(bench.event(order(1))).starts_with("no relay"));
}

#[test]
fn a_board_that_is_well_makes_no_event_at_all_after_a_restart_of_the_agent() {
    let mut bench = Bench::new();
    let mut all = bench.hello(hello());
    for _ in 0..60 {
        all.extend(bench.hear(&FromBoard::Readings(Readings { at_ms: 1, items: Default::default() })));
        all.extend(bench.wait(10_000));
    }
    assert_eq!(told(&all), []);
}

#[test]
fn an_update_waits_while_something_is_kept_and_goes_behind_its_acknowledgement() {
    let mut bench = Bench::new();
    let image = super::image::Image::parse(&super::image::tests::file([0, 2, 0], &[1; 300])).unwrap();
    let begin = Action::Send(ToBoard::UpdateBegin(image.begin));
    assert_eq!(bench.event(Event::Image(Ok(image))), [], "nobody is there");
    let loader = Hello { image: ImageState::Confirmed, ..hello() };
    assert_eq!(bench.hello(loader.clone()), std::slice::from_ref(&begin));
    kept(&bench.hear(&numbered(1, totals(1))));
    assert_eq!(bench.hear(&FromBoard::Update(UpdateState::Receiving { next: 0 })), []);
    assert_eq!(bench.wait(2_000), []);
    let piece = UpdateData { offset: 0, bytes: [1; 128].into_iter().collect() };
    let piece = Action::Send(ToBoard::UpdateData(piece));
    assert_eq!(bench.event(Event::Kept { impossible: vec![] }), [ack(1), piece.clone()]);
    // Nor while a full disk leaves something with the board, which a restart would lose; nor during a power cycle.
    kept(&bench.hear(&numbered(2, totals(2))));
    bench.event(Event::NotKept { why: "full".to_owned() });
    assert_eq!(bench.wait(9_000), []);
    assert_eq!(bench.wait(1_000), std::slice::from_ref(&piece), "it was the last one");
    bench.event(Event::Order { id: [5; 16], off_ms: 1 });
    assert!(!bench.wait(3_000).contains(&piece));
    bench.event(Event::OrderGone { id: [5; 16] });
    bench.now_ms += 1_000;
    bench.event(Event::Tick);
    // What goes on trial is remembered with its event.
    bench.hear(&FromBoard::Update(UpdateState::Receiving { next: 300 }));
    let actions = bench.hear(&FromBoard::Update(UpdateState::Verified));
    let [Action::Say(said)] = actions.as_slice() else { panic!("{actions:?}") };
    assert!(matches!(&said.note, Note::Tried { tried: Some(tried), .. } if tried.boot == 7 && tried.trials == 1));
    assert_eq!(conditions(&actions), [BoardCondition::Good]);
}
