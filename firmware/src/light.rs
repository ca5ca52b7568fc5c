//! The status light: one LED, told apart by rhythm alone, for the technician at the cabinet.

use crate::NEVER;

/// What the light says. The more urgent one wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Light {
    /// Quick blinking (4 a second): the journal fails, or the agent speaks another protocol. Someone must come.
    Fault,
    /// A flash each 4 s: the battery carries.
    Battery,
    /// A flash a second: no agent has greeted.
    Waiting,
    /// Steady: all is well.
    Good,
}

impl Light {
    /// Period and time lit within it, in ms. Periods are powers of two: a chip without division has a mask instead.
    const fn rhythm(self) -> (u64, u64) {
        match self {
            Light::Fault => (256, 128),
            Light::Battery => (4_096, 64),
            Light::Waiting => (1_024, 128),
            Light::Good => (1_024, 1_024),
        }
    }

    /// Whether the LED is lit at this time.
    pub const fn is_lit(self, now_ms: u64) -> bool {
        let (period_ms, lit_ms) = self.rhythm();
        now_ms & (period_ms - 1) < lit_ms
    }

    /// When the LED changes; [`NEVER`] if it does not.
    pub const fn next_ms(self, now_ms: u64) -> u64 {
        let (period_ms, lit_ms) = self.rhythm();
        if lit_ms == period_ms {
            return NEVER;
        }
        let within_ms = now_ms & (period_ms - 1);
        now_ms - within_ms + if within_ms < lit_ms { lit_ms } else { period_ms }
    }
}
