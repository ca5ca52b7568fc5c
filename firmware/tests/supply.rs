//! Mains, battery and lid.

use simpul_firmware::supply::{Changes, RETURN_AFTER_MS, Supply};
use simpul_firmware::tamper::{DEBOUNCE_MS, Tamper};
use simpul_wire::Missing;
use simpul_wire::board::{Settings, SupplyState};

/// Play levels of power-good, `(level, for so many ms)`, a look each ms; every change with its time.
fn play(script: &[(bool, u64)]) -> Vec<(u64, Changes)> {
    let mut supply = Supply::default();
    let mut now_ms = 0;
    let mut seen = Vec::new();
    for (level, for_ms) in script {
        for _ in 0..*for_ms {
            let changes = supply.update(now_ms, *level);
            if changes != Changes::default() {
                seen.push((now_ms, changes));
            }
            now_ms += 1;
        }
    }
    seen
}

fn state(at_ms: u64, state: SupplyState) -> Changes {
    Changes { gasp: false, state: Some((at_ms, state)) }
}

fn gasp(at_ms: u64) -> Changes {
    Changes { gasp: true, state: Some((at_ms, SupplyState::Battery)) }
}

#[test]
fn mains_at_the_start_are_told_without_an_outage() {
    assert_eq!(play(&[(true, 5_000)]), [(RETURN_AFTER_MS, state(0, SupplyState::Mains { outage_ms: None }))]);
}

#[test]
fn the_gasp_comes_with_the_first_look_at_a_loss() {
    let seen = play(&[(true, 5_000), (false, 1)]);
    assert_eq!(seen.last(), Some(&(5_000, gasp(5_000))));
}

#[test]
fn a_return_is_told_with_the_outage_from_loss_to_return() {
    let seen = play(&[(true, 5_000), (false, 60_000), (true, 5_000)]);
    let back = state(65_000, SupplyState::Mains { outage_ms: Some(60_000) });
    assert_eq!(seen[1..], [(5_000, gasp(5_000)), (65_000 + RETURN_AFTER_MS, back)]);
}

#[test]
fn a_mains_that_flickers_is_one_outage_and_one_gasp() {
    let mut script = vec![(true, 5_000)];
    for _ in 0..20 {
        script.extend([(false, 30), (true, 1_900)]);
    }
    script.push((true, 1_000));
    let seen = play(&script);
    assert_eq!(seen.iter().filter(|(_, changes)| changes.gasp).count(), 1);
    let outage_ms = 20 * 1_930 - 1_900;
    let back = state(5_000 + outage_ms, SupplyState::Mains { outage_ms: Some(outage_ms) });
    assert_eq!(seen.last().map(|(_, changes)| *changes), Some(back));
}

#[test]
fn a_board_that_starts_on_its_battery_does_not_gasp_and_knows_no_length_of_the_outage() {
    let seen = play(&[(false, 1_000), (true, 5_000)]);
    let back = state(1_000, SupplyState::Mains { outage_ms: None });
    assert_eq!(seen, [(0, state(0, SupplyState::Battery)), (1_000 + RETURN_AFTER_MS, back)]);
}

#[test]
fn a_low_battery_is_told_once_and_is_good_again_five_percent_higher() {
    let settings = Settings { battery_low_mv: 10_000, ..Settings::default() };
    let mut supply = Supply::default();
    let mut now_ms = 0;
    let mut look = |battery| {
        supply.measured(battery, &settings);
        now_ms += 1;
        supply.update(now_ms, false).state.map(|(_, state)| state)
    };
    let script = [
        (Ok(12_000), Some(SupplyState::Battery)),
        (Ok(10_000), None),
        (Ok(9_999), Some(SupplyState::BatteryLow)),
        (Ok(9_000), None),
        (Ok(10_499), None),
        (Err(Missing::Timeout), None),
        (Ok(10_500), Some(SupplyState::Battery)),
        (Ok(10_001), None),
        (Ok(9_999), Some(SupplyState::BatteryLow)),
    ];
    for (step, (battery, told)) in script.into_iter().enumerate() {
        assert_eq!(look(battery), told, "step {step}");
    }
}

#[test]
fn a_low_battery_is_not_told_on_mains_but_at_the_loss() {
    let settings = Settings { battery_low_mv: 10_000, ..Settings::default() };
    let mut supply = Supply::default();
    supply.measured(Ok(9_000), &settings);
    for now_ms in 0..3_000 {
        let told = supply.update(now_ms, true).state.map(|(_, state)| state);
        assert!(matches!(told, None | Some(SupplyState::Mains { .. })));
    }
    assert_eq!(supply.update(3_000, false), gasp(3_000));
    assert_eq!(supply.update(3_001, false), state(3_001, SupplyState::BatteryLow));
}

#[test]
fn without_a_battery_none_is_low() {
    let mut supply = Supply::default();
    supply.measured(Ok(0), &Settings::default());
    supply.update(0, false);
    assert_eq!(supply.update(1, false), Changes::default());
}

#[test]
fn a_lid_that_is_opened_and_closed_is_told_with_the_time_of_the_edge() {
    let mut tamper = Tamper::default();
    let mut seen = Vec::new();
    for now_ms in 0..1_000 {
        // Closed, bouncing, open from 210, closed from 500.
        let open = matches!(now_ms, 200..=205 | 210..=499);
        seen.extend(tamper.update(now_ms, open).map(|change| (now_ms, change)));
    }
    assert_eq!(seen, [(210 + DEBOUNCE_MS, (210, true)), (500 + DEBOUNCE_MS, (500, false))]);
}

#[test]
fn a_lid_that_is_open_at_the_start_is_told_and_a_closed_one_not() {
    for (open, told) in [(true, 1), (false, 0)] {
        let mut tamper = Tamper::default();
        assert_eq!((0..1_000).filter_map(|now_ms| tamper.update(now_ms, open)).count(), told);
    }
}
