//! What events and readings make of a board.

use simpul_wire::Unit;

use super::*;

const NOW_MS: i64 = 1_700_000_000_000;

fn node() -> NodeId {
    "35.12.07.2003-01".parse().unwrap()
}

fn label(text: &str) -> Label {
    text.parse().unwrap()
}

fn condition(condition: BoardCondition, detail: &str) -> EventBody {
    EventBody::Board { serial: Some(label("e66118")), condition, detail: detail.parse().unwrap() }
}

/// Events with their times in order; the order they are told in is the caller's.
fn said<'a>(events: impl IntoIterator<Item = &'a (i64, EventBody)>) -> Said {
    let mut said = Said::default();
    for (at_ms, body) in events {
        said.note((*at_ms, *at_ms), body);
    }
    said
}

fn seen(said: &Said, readings: &[LatestReading]) -> Option<BoardView> {
    let readings: Vec<&LatestReading> = readings.iter().collect();
    view(&node(), Some(said), &readings, &Judges::default(), NOW_MS)
}

fn reading(metric: &str, unit: Unit, value: Value) -> LatestReading {
    LatestReading { node: node(), metric: metric.into(), unit, at_ms: NOW_MS - 9_000, value }
}

fn module() -> OpticsModule {
    OpticsModule {
        vendor: label("ACME"),
        part: label("GPON-OLT"),
        serial: label("S1"),
        wavelength_nm: 1_490,
        measures: true,
        receive_limits: None,
    }
}

/// A day of one board.
fn day() -> Vec<(i64, EventBody)> {
    let power = |condition, outage_ms| EventBody::Power { condition, outage_ms };
    let optics = |module: Option<OpticsModule>, missing| EventBody::Optics { cage: 1, module, missing };
    vec![
        (10, condition(BoardCondition::Silent, "nothing for 30 s")),
        (20, condition(BoardCondition::Good, "")),
        (
            21,
            EventBody::BoardStarted {
                serial: label("e66118"),
                boot: 7,
                reset: BoardReset::Brownout,
                version: label("0.1.0 pico"),
            },
        ),
        (30, EventBody::Tamper { open: true }),
        (31, EventBody::ButtonStuck { desk: label("loket-2"), stuck: true }),
        (32, EventBody::ButtonStuck { desk: label("loket-1"), stuck: true }),
        (40, EventBody::ButtonStuck { desk: label("loket-1"), stuck: false }),
        (50, power(PowerCondition::Battery, None)),
        (51, power(PowerCondition::BatteryLow, None)),
        (60, power(PowerCondition::Mains, Some(10_000))),
        (70, power(PowerCondition::Undervoltage, None)),
        (80, optics(None, Some(Missing::BadChecksum))),
        (81, optics(Some(module()), None)),
        (90, condition(BoardCondition::FrameTooLong, "300 bytes without an end")),
        (91, condition(BoardCondition::Good, "")),
        (92, condition(BoardCondition::Good, "")),
        (95, EventBody::CommandResult { id: [0xab; 16], done: false, detail: "too soon".parse().unwrap() }),
    ]
}

#[test]
fn a_board_is_what_its_newest_events_say_each_with_its_date() {
    let said = said(&day());
    let board = seen(&said, &[]).unwrap();
    assert_eq!((board.serial.as_deref(), board.condition.as_deref()), (Some("e66118"), Some("good")));
    assert_eq!((board.since_ms, board.detail), (Some(91), None));
    let fault = board.last_fault.unwrap();
    assert_eq!((fault.condition.as_str(), fault.at_ms), ("frame_too_long", 90));
    let started = board.started.unwrap();
    assert_eq!((started.firmware.as_str(), started.hardware.as_deref()), ("0.1.0", Some("pico")));
    assert_eq!((started.reset.as_str(), started.boot, started.at_ms), ("brownout", 7, 21));
    let tamper = board.tamper.unwrap();
    assert_eq!((tamper.open, tamper.since_ms), (true, 30));
    let stuck: Vec<_> = board.buttons_stuck.iter().map(|stuck| (stuck.desk.as_str(), stuck.since_ms)).collect();
    assert_eq!(stuck, [("loket-2", 31)]);
    let command = said.last_command().unwrap();
    assert_eq!((command.id, command.done, command.at_ms), ("ab".repeat(16), false, 95));
}

#[test]
fn the_machines_own_undervoltage_does_not_hide_what_the_board_says_of_its_supply() {
    let board = seen(&said(&day()), &[]).unwrap();
    let power = board.power.unwrap();
    assert_eq!((power.condition.as_str(), power.since_ms), ("mains", 60));
    let outage = board.last_outage.unwrap();
    assert_eq!((outage.outage_ms, outage.ended_ms), (10_000, 60));
}

#[test]
fn events_may_come_in_either_order() {
    let day = day();
    let text = |said: &Said| format!("{:?}", seen(said, &[]).unwrap());
    assert_eq!(text(&said(day.iter().rev())), text(&said(&day)));
    // A backlog that arrives behind the present.
    let (late, present) = day.split_at(13);
    assert_eq!(text(&said(present.iter().chain(late))), text(&said(&day)));
}

#[test]
fn a_state_that_is_said_again_holds_since_it_was_said_first() {
    let tamper = |open| EventBody::Tamper { open };
    let events = [(1, tamper(true)), (2, tamper(false)), (3, tamper(true)), (4, tamper(true)), (5, tamper(true))];
    for told in [said(&events), said(events.iter().rev())] {
        assert_eq!(seen(&told, &[]).unwrap().tamper.unwrap().since_ms, 3);
    }
}

#[test]
fn every_condition_of_the_board_is_told_by_its_own_word() {
    for each in BoardCondition::ALL {
        let board = seen(&said(&[(1, condition(*each, "why"))]), &[]).unwrap();
        assert_eq!(board.condition.as_deref(), Some(each.text()));
        assert_eq!(board.last_fault.is_some(), *each != BoardCondition::Good);
    }
}

#[test]
fn a_node_without_a_board_has_none() {
    let camera_only = said(&[
        (1, EventBody::Stopping {}),
        (2, EventBody::Power { condition: PowerCondition::Undervoltage, outage_ms: None }),
    ]);
    assert!(seen(&camera_only, &[reading("cpu_used", Unit::Percent, Value::Number(3.0))]).is_none());
    assert!(view(&node(), None, &[], &Judges::default(), NOW_MS).is_none());
}

#[test]
fn a_cage_is_shown_by_its_readings_or_its_module_and_otherwise_not() {
    let dark = reading("optics.0.rx_power", Unit::DecibelMilliwatts, Value::Missing(Missing::NoLight));
    let sent = reading("optics.0.tx_power", Unit::DecibelMilliwatts, Value::Number(2.25));
    let board = seen(&said(&day()), &[dark, sent]).unwrap();
    let [first, second] = &board.cages[..] else { panic!("{:?}", board.cages) };
    assert_eq!((first.cage, second.cage), (0, 1));
    assert!(first.module.is_none() && first.missing.is_none() && first.since_ms.is_none());
    let received = first.rx_power.as_ref().unwrap();
    assert_eq!((received.value, received.missing.as_deref(), received.age_s), (None, Some("no light"), 9));
    assert_eq!(first.tx_power.as_ref().unwrap().value, Some(2.25));
    assert!(first.temperature.is_none(), "never measured is not missing for a reason");
    let module = second.module.as_ref().unwrap();
    assert_eq!((module.vendor.as_str(), module.wavelength_nm, second.since_ms), ("ACME", 1_490, Some(81)));
    assert!(second.judgement.is_none());
}

#[test]
fn an_empty_cage_says_why_it_is_empty() {
    for reason in [Missing::NoModule, Missing::BadChecksum, Missing::NotSupported, Missing::BusStuck] {
        let event = EventBody::Optics { cage: 0, module: None, missing: Some(reason) };
        let board = seen(&said(&[(1, event)]), &[]).unwrap();
        assert_eq!(board.cages[0].missing.as_deref(), Some(reason.text()));
    }
    let beyond = EventBody::Optics { cage: 2, module: None, missing: None };
    assert!(seen(&said(&[(1, beyond)]), &[]).is_none(), "a board has two cages");
}

#[test]
fn no_light_is_a_state_and_every_other_reason_is_unknown() {
    for (value, expected) in [
        (Value::Missing(Missing::NoLight), OpticalState::NoLight),
        (Value::Missing(Missing::NoModule), OpticalState::Unknown),
        (Value::Missing(Missing::NoDiagnostics), OpticalState::Unknown),
        (Value::Missing(Missing::OutOfRange), OpticalState::Unknown),
    ] {
        let board = seen(&Said::default(), &[reading("optics.0.rx_power", Unit::DecibelMilliwatts, value)]).unwrap();
        let judgement = board.cages[0].judgement.as_ref().unwrap();
        assert_eq!((judgement.state, judgement.limits.own), (expected, false), "{value:?}");
    }
}

#[test]
fn a_desk_more_than_a_board_can_have_is_not_remembered() {
    let stuck = |desk: usize| (desk as i64, EventBody::ButtonStuck { desk: label(&format!("d{desk}")), stuck: true });
    let events: Vec<_> = (0..100).map(stuck).collect();
    assert_eq!(seen(&said(&events), &[]).unwrap().buttons_stuck.len(), DESKS_MAX);
}
