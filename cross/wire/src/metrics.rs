//! Well-known metrics: names that travel as one or two bytes instead of as text in every block.
//!
//! A name that is not in here travels as text and means the same. A hub that does not know a number refuses the batch
//! as unsupported and the agent keeps it for a newer one, so a number is only given out together with a hub release.

/// Number and name. Numbers are never reused; the first 24 take one byte.
pub const KNOWN: &[(u8, &str)] = &[
    (0, "cpu_used"),
    (1, "memory_used"),
    (2, "disk_free"),
    (3, "card_written"),
    (4, "card_sync"),
    (5, "temperature"),
    (6, "undervoltage"),
    (7, "link_received"),
    (8, "link_sent"),
    (9, "link_carrier"),
    (10, "supply_voltage"),
    (11, "battery_voltage"),
    (12, "optics.0.rx_power"),
    (13, "optics.0.tx_power"),
    (14, "optics.0.tx_bias"),
    (15, "optics.0.temperature"),
    (16, "optics.0.supply"),
    (17, "optics.1.rx_power"),
    (18, "optics.1.tx_power"),
    (19, "optics.1.tx_bias"),
    (20, "optics.1.temperature"),
    (21, "optics.1.supply"),
];

/// The number of a well-known name.
pub fn number(name: &str) -> Option<u8> {
    KNOWN.iter().find(|(_, known)| *known == name).map(|(number, _)| *number)
}

/// The well-known name of a number.
pub fn name(number: u8) -> Option<&'static str> {
    KNOWN.iter().find(|(known, _)| *known == number).map(|(_, name)| *name)
}
