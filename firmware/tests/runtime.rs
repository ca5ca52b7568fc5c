//! The runtime's pins: which level means what, and what a pin that cannot be read does.

mod support;

use embedded_hal_mock::eh1::MockError;
use embedded_hal_mock::eh1::digital::{Mock, State, Transaction};
use simpul_firmware::kept::Kept;
use simpul_firmware::runtime::{Parts, Runtime};
use simpul_firmware::update::NoSlots;
use simpul_wire::board::{JournalState, Settings};
use support::{Adc, BoardEnd, Cages, Dog, Journal, start};

const POLLS: usize = 400;

/// So many looks at a pin that has one level.
fn level(state: State, looks: usize) -> Vec<Transaction> {
    vec![Transaction::get(state); looks]
}

#[test]
fn levels_mean_what_the_table_says_and_an_unreadable_pin_keeps_its_last_one() {
    // Desk 0: free, then pressed (low) for 100 looks of which 30 in the middle fail and would say free, then free.
    let free = level(State::High, POLLS);
    let failing = Transaction::get(State::High).with_error(MockError::Io(std::io::ErrorKind::Other));
    let mut pressed = level(State::High, 10);
    pressed.extend(level(State::Low, 50));
    pressed.extend(vec![failing; 30]);
    pressed.extend(level(State::Low, 20));
    pressed.extend(level(State::High, POLLS - 110));
    let mut buttons: [Mock; 8] = core::array::from_fn(|desk| Mock::new(if desk == 0 { &pressed } else { &free }));
    let mut tamper = Mock::new(&level(State::Low, POLLS));
    let mut power_good = Mock::new(&level(State::High, POLLS));
    let mut relay = Mock::new(&vec![Transaction::set(State::Low); POLLS]);
    // No agent has greeted: a flash a second.
    let lit = |now_ms: usize| if now_ms < 128 { State::High } else { State::Low };
    let mut light = Mock::new(&(0..POLLS).map(|now_ms| Transaction::set(lit(now_ms))).collect::<Vec<_>>());

    let (journal, dog) = (Journal::default(), Dog::default());
    let kept = Kept { settings: Settings { desks: 0xFF, ..Settings::default() }, ..Kept::default() };
    let parts = Parts {
        buttons: buttons.clone(),
        tamper: tamper.clone(),
        power_good: power_good.clone(),
        relay: relay.clone(),
        light: light.clone(),
        line: BoardEnd::default(),
        measure: Adc(Default::default()),
        journal: journal.clone(),
        optics: Cages,
        watchdog: dog.clone(),
        slots: NoSlots,
    };
    let mut runtime = Runtime::new(0, start(JournalState::Good, kept), parts);
    for now_ms in 0..POLLS as u64 {
        runtime.poll(now_ms);
    }
    buttons.iter_mut().chain([&mut tamper, &mut power_good, &mut relay, &mut light]).for_each(Mock::done);
    assert_eq!(dog.0.get() as usize, POLLS, "the watchdog is fed once a poll");
    let totals = journal.read().expect("kept").totals;
    assert_eq!((totals[0].short, totals[0].long), (1, 0), "one press, although its pin failed within it");
    assert!(totals[1..].iter().all(|desk| desk.short == 0 && desk.long == 0), "{totals:?}");
}
