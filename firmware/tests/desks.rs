//! The buttons: what is a press, what is not.

use simpul_firmware::desks::{Changes, DEBOUNCE_MS, Desks, LONG_PRESS_MS_MIN, STUCK_AFTER_MS};
use simpul_wire::board::Settings;

const ALL: Settings = Settings { long_press_ms: 1_500, desks: 0xFF, cages: 0, battery_low_mv: 0, relay: false };

/// Play levels of desk 0, `(level, for so many ms)`, a look each ms; every change with its time.
fn play_with(settings: Settings, script: &[(bool, u64)]) -> Vec<(u64, Changes)> {
    let mut desks = Desks::default();
    let mut now_ms = 0;
    let mut seen = Vec::new();
    for (level, for_ms) in script {
        for _ in 0..*for_ms {
            let changes = desks.update(now_ms, u8::from(*level), &settings);
            if changes != Changes::default() {
                seen.push((now_ms, changes));
            }
            now_ms += 1;
        }
    }
    seen
}

fn play(script: &[(bool, u64)]) -> Vec<(u64, Changes)> {
    play_with(ALL, script)
}

const SHORT: Changes = Changes { short: 1, long: 0, stuck: 0, freed: 0 };
const LONG: Changes = Changes { short: 0, long: 1, stuck: 0, freed: 0 };
const STUCK: Changes = Changes { short: 0, long: 0, stuck: 1, freed: 0 };
const FREED: Changes = Changes { short: 0, long: 0, stuck: 0, freed: 1 };

#[test]
fn a_short_press_counts_once_when_it_ends() {
    assert_eq!(play(&[(false, 100), (true, 200), (false, 100)]), [(300 + DEBOUNCE_MS, SHORT)]);
}

#[test]
fn a_press_shorter_than_the_debouncing_does_not_count() {
    assert_eq!(play(&[(false, 100), (true, DEBOUNCE_MS), (false, 100)]), []);
    assert_eq!(play(&[(false, 100), (true, DEBOUNCE_MS + 1), (false, 100)]).len(), 1);
}

#[test]
fn a_contact_that_bounces_on_both_edges_is_one_press() {
    let bounce = [(true, 3), (false, 2), (true, 1), (false, 4), (true, 5), (false, 1)];
    let mut script = vec![(false, 100)];
    script.extend(bounce);
    script.push((true, 200));
    script.extend(bounce.map(|(level, ms)| (!level, ms)));
    script.push((false, 100));
    assert_eq!(play(&script).iter().map(|(_, changes)| *changes).collect::<Vec<_>>(), [SHORT]);
}

#[test]
fn a_long_press_counts_once_when_it_is_long_and_not_at_its_end() {
    assert_eq!(play(&[(false, 100), (true, 5_000), (false, 100)]), [(1_600, LONG)]);
}

#[test]
fn a_press_that_ends_just_before_it_is_long_is_short() {
    assert_eq!(play(&[(false, 100), (true, 1_499), (false, 100)]), [(1_599 + DEBOUNCE_MS, SHORT)]);
    assert_eq!(play(&[(false, 100), (true, 1_501), (false, 100)]), [(1_600, LONG)]);
}

#[test]
fn a_press_that_became_long_between_two_looks_is_long() {
    let mut desks = Desks::default();
    let mut look = |now_ms, level: bool| desks.update(now_ms, u8::from(level), &ALL);
    for (now_ms, level) in [(0, false), (10, true), (40, true), (1_600, false)] {
        assert_eq!(look(now_ms, level), Changes::default());
    }
    assert_eq!(look(1_640, false), LONG);
}

#[test]
fn a_stuck_button_is_told_once_and_once_more_when_it_is_free() {
    let seen = play(&[(false, 100), (true, 2 * STUCK_AFTER_MS), (false, 1_000)]);
    let end = 100 + 2 * STUCK_AFTER_MS;
    assert_eq!(seen, [(1_600, LONG), (100 + STUCK_AFTER_MS, STUCK), (end + DEBOUNCE_MS, FREED)]);
}

#[test]
fn a_button_that_was_down_at_the_start_counts_nothing_but_can_be_stuck() {
    assert_eq!(play(&[(true, 2_000), (false, 100)]), []);
    let seen = play(&[(true, STUCK_AFTER_MS + 1), (false, 100), (true, 100), (false, 100)]);
    assert_eq!(seen.iter().map(|(_, changes)| *changes).collect::<Vec<_>>(), [STUCK, FREED, SHORT]);
}

#[test]
fn all_desks_count_at_the_same_time() {
    let mut desks = Desks::default();
    let mut seen = Changes::default();
    for now_ms in 0..500 {
        let pressed = if (100..200).contains(&now_ms) { 0b1010_0101 } else { 0 };
        seen.short |= desks.update(now_ms, pressed, &ALL).short;
    }
    assert_eq!(seen.short, 0b1010_0101);
}

#[test]
fn a_desk_without_a_button_is_not_looked_at() {
    let none = Settings { desks: 0b1111_1110, ..ALL };
    assert_eq!(play_with(none, &[(false, 100), (true, 100), (false, 100), (true, 40_000), (false, 100)]), []);
}

#[test]
fn a_desk_that_loses_its_button_while_it_is_stuck_is_free() {
    let mut desks = Desks::default();
    for now_ms in 0..STUCK_AFTER_MS + 100 {
        desks.update(now_ms, 1, &ALL);
    }
    let none = Settings { desks: 0, ..ALL };
    assert_eq!(desks.update(STUCK_AFTER_MS + 100, 1, &none), FREED);
    assert_eq!(desks.update(STUCK_AFTER_MS + 101, 1, &none), Changes::default());
}

#[test]
fn a_setting_that_would_make_every_press_long_is_not_taken_at_its_word() {
    let zero = Settings { long_press_ms: 0, ..ALL };
    let script = [(false, 100), (true, u64::from(LONG_PRESS_MS_MIN) - 50), (false, 100)];
    assert_eq!(play_with(zero, &script).iter().map(|(_, changes)| *changes).collect::<Vec<_>>(), [SHORT]);
}
