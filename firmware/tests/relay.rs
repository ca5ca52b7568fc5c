//! The relay: what is done, what is refused, what is said again.

use simpul_firmware::relay::{Answer, INTERVAL_MS, OFF_MS_MAX, OFF_MS_MIN, OrderId, REMEMBERED, Relay};
use simpul_wire::board::{RelayOrder, RelayOutcome};

fn order(number: u8, off_ms: u32) -> RelayOrder {
    RelayOrder { id: id(number), off_ms }
}

fn id(number: u8) -> OrderId {
    [number; 16]
}

/// A relay that has done order 1 from time 0 to 5,000.
fn done() -> Relay {
    let mut relay = Relay::default();
    assert_eq!(relay.order(0, &order(1, 5_000), true), Answer::Keep);
    relay.kept(0, id(1));
    assert_eq!(relay.update(5_000), Some(id(1)));
    relay
}

#[test]
fn the_load_is_on_after_the_start_and_goes_off_only_when_the_order_is_kept() {
    let mut relay = Relay::default();
    assert!(!relay.is_energised());
    assert_eq!(relay.order(10, &order(1, 5_000), true), Answer::Keep);
    assert!(!relay.is_energised());
    relay.kept(20, id(2));
    assert!(!relay.is_energised(), "another order was kept");
    relay.kept(30, id(1));
    assert!(relay.is_energised());
    assert_eq!(relay.update(5_029), None);
    assert!(relay.is_energised());
    assert_eq!(relay.update(5_030), Some(id(1)));
    assert!(!relay.is_energised());
}

#[test]
fn the_same_id_again_does_nothing_and_tells_the_same() {
    let mut relay = Relay::default();
    assert_eq!(relay.order(0, &order(1, 5_000), true), Answer::Keep);
    assert_eq!(relay.order(1, &order(1, 5_000), true), Answer::UnderWay);
    relay.kept(2, id(1));
    assert_eq!(relay.order(3, &order(1, 9_000), true), Answer::UnderWay);
    assert_eq!(relay.update(5_002), Some(id(1)));
    assert_eq!(relay.order(999_999, &order(1, 5_000), true), Answer::Tell(RelayOutcome::Done));
    assert!(!relay.is_energised());
}

#[test]
fn another_order_meanwhile_is_refused_as_busy() {
    let mut relay = Relay::default();
    assert_eq!(relay.order(0, &order(1, 5_000), true), Answer::Keep);
    assert_eq!(relay.order(1, &order(2, 5_000), true), Answer::Tell(RelayOutcome::Busy));
    relay.kept(2, id(1));
    assert_eq!(relay.order(3, &order(3, 5_000), true), Answer::Tell(RelayOutcome::Busy));
    assert_eq!(relay.update(5_002), Some(id(1)));
}

#[test]
fn longer_than_the_limit_is_refused() {
    let mut relay = Relay::default();
    assert_eq!(relay.order(0, &order(1, OFF_MS_MAX + 1), true), Answer::Tell(RelayOutcome::TooLong));
    assert_eq!(relay.order(0, &order(2, u32::MAX), true), Answer::Tell(RelayOutcome::TooLong));
    assert_eq!(relay.order(0, &order(3, OFF_MS_MAX), true), Answer::Keep);
}

#[test]
fn where_no_relay_is_wired_every_time_is_too_long() {
    assert_eq!(Relay::default().order(0, &order(1, 1), false), Answer::Tell(RelayOutcome::TooLong));
}

#[test]
fn a_time_within_the_bounce_is_made_longer() {
    let mut relay = Relay::default();
    assert_eq!(relay.order(0, &order(1, 0), true), Answer::Keep);
    relay.kept(0, id(1));
    assert_eq!(relay.update(u64::from(OFF_MS_MIN) - 1), None);
    assert_eq!(relay.update(u64::from(OFF_MS_MIN)), Some(id(1)));
}

#[test]
fn too_soon_after_the_last_time_is_refused_and_stays_refused_for_that_id() {
    let mut relay = done();
    let free_ms = 5_000 + INTERVAL_MS;
    assert_eq!(relay.order(free_ms - 1, &order(2, 5_000), true), Answer::Tell(RelayOutcome::TooSoon));
    assert_eq!(relay.order(free_ms, &order(2, 5_000), true), Answer::Tell(RelayOutcome::TooSoon));
    assert_eq!(relay.order(free_ms, &order(3, 5_000), true), Answer::Keep);
}

#[test]
fn an_order_that_was_under_way_at_a_restart_was_interrupted_and_the_interval_runs() {
    let mut relay = Relay::new(0, Some(id(1)));
    assert!(!relay.is_energised());
    assert_eq!(relay.order(1, &order(1, 5_000), true), Answer::Tell(RelayOutcome::Interrupted));
    assert_eq!(relay.order(2, &order(2, 5_000), true), Answer::Tell(RelayOutcome::TooSoon));
    assert_eq!(relay.order(INTERVAL_MS, &order(3, 5_000), true), Answer::Keep);
}

#[test]
fn the_last_orders_are_remembered() {
    let mut relay = done();
    for number in 2..2 + REMEMBERED as u8 - 1 {
        assert_eq!(relay.order(6_000, &order(number, 1), true), Answer::Tell(RelayOutcome::TooSoon));
    }
    assert_eq!(relay.order(6_000, &order(1, 1), true), Answer::Tell(RelayOutcome::Done));
}
