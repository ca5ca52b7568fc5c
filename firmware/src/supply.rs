//! Mains and battery: the power-good level and the battery's voltage in, changes of the supply out.
//!
//! Loss of the mains counts at once, for there may be no time left; its return counts once it has held for
//! [`RETURN_AFTER_MS`], so a flickering mains is one outage and one gasp. Whether the battery is nearly empty is told only
//! while it carries: on mains it is being charged. The supply's own voltage is a reading and decides nothing: the
//! power-good comparator is quicker than any sampling.

use simpul_wire::Missing;
use simpul_wire::board::{Settings, SupplyState};

use crate::NEVER;

/// The mains are back after they have held for so long: longer than the tries of a reclosing breaker look like
/// flicker, shorter than anyone waits.
pub const RETURN_AFTER_MS: u64 = 2_000;

/// The battery is good again when it is so much above the limit: its voltage rises by 2-4 % when the load goes down.
pub const BATTERY_HYSTERESIS_PERCENT: u32 = 5;

/// What happened to the supply.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Changes {
    /// The mains went just now, after they had been there: the dying gasp is due.
    pub gasp: bool,
    /// The new state and the time at which it began.
    pub state: Option<(u64, SupplyState)>,
}

/// The supply.
#[derive(Debug, Clone, Default)]
pub struct Supply {
    carrier: Carrier,
    /// Since when the mains are there, while that is not believed yet.
    good_since: Option<u64>,
    /// By the last measurement and hysteresis.
    battery_low: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Carrier {
    /// Nothing known since the start.
    #[default]
    Unknown,
    Mains,
    /// `since`: if the board saw the mains go. `low`: what was told last.
    Battery {
        since: Option<u64>,
        low: bool,
    },
}

impl Supply {
    /// Take the power-good level. At most one change of state a call.
    pub fn update(&mut self, now_ms: u64, power_good: bool) -> Changes {
        if !power_good {
            let seen_good = self.good_since.take().is_some() || self.carrier == Carrier::Mains;
            return match self.carrier {
                Carrier::Battery { since, low } => self.battery(now_ms, since, low),
                Carrier::Unknown | Carrier::Mains => {
                    self.carrier = Carrier::Battery { since: seen_good.then_some(now_ms), low: false };
                    Changes { gasp: seen_good, state: Some((now_ms, SupplyState::Battery)) }
                }
            };
        }
        if self.carrier == Carrier::Mains {
            return Changes::default();
        }
        let good_since = *self.good_since.get_or_insert(now_ms);
        if now_ms.saturating_sub(good_since) < RETURN_AFTER_MS {
            return Changes::default();
        }
        let outage_ms = match self.carrier {
            Carrier::Battery { since: Some(since), .. } => Some(good_since.saturating_sub(since)),
            _ => None,
        };
        self.carrier = Carrier::Mains;
        self.good_since = None;
        Changes { gasp: false, state: Some((good_since, SupplyState::Mains { outage_ms })) }
    }

    fn battery(&mut self, now_ms: u64, since: Option<u64>, low: bool) -> Changes {
        if low == self.battery_low {
            return Changes::default();
        }
        self.carrier = Carrier::Battery { since, low: self.battery_low };
        let state = if self.battery_low { SupplyState::BatteryLow } else { SupplyState::Battery };
        Changes { gasp: false, state: Some((now_ms, state)) }
    }

    /// Take a measurement of the battery in mV. What could not be measured changes nothing.
    pub fn measured(&mut self, battery: Result<u32, Missing>, settings: &Settings) {
        let limit_mv = u32::from(settings.battery_low_mv);
        let Ok(battery_mv) = battery else { return };
        if battery_mv < limit_mv {
            self.battery_low = true;
        } else if battery_mv >= limit_mv + limit_mv * BATTERY_HYSTERESIS_PERCENT / 100 {
            self.battery_low = false;
        }
    }

    /// Whether the mains are gone.
    pub fn is_out(&self) -> bool {
        matches!(self.carrier, Carrier::Battery { .. })
    }

    /// When to look again although the level does not change; [`NEVER`] if there is no reason to.
    pub fn next_ms(&self) -> u64 {
        self.good_since.map_or(NEVER, |since| since + RETURN_AFTER_MS)
    }
}
