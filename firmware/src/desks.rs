//! Buttons of the service desks: levels in, presses out. What a press means, and that it is kept, is others' to know.
//!
//! A level counts once it has held for [`DEBOUNCE_MS`], on both edges; the time of a press runs from edge to edge, so
//! that debouncing makes no press longer. A button that is already down when it is first looked at counts nothing until
//! it was up: the board did not see that press begin, and may have counted it before a restart.

use simpul_wire::board::{DESKS, Settings};

use crate::NEVER;

/// A level counts after it has held for so long: contacts of arcade buttons bounce for up to 10 ms, worn ones for 20.
pub const DEBOUNCE_MS: u64 = 25;

/// A button that is down for so long is stuck: nobody presses for half a minute.
pub const STUCK_AFTER_MS: u64 = 30_000;

/// A shorter setting would make every press a long one: people hold a button for 100-250 ms.
pub const LONG_PRESS_MS_MIN: u16 = 300;

/// A longer setting would leave no room below [`STUCK_AFTER_MS`].
pub const LONG_PRESS_MS_MAX: u16 = 10_000;

/// What happened since the last look: one bit a desk, bit 0 is desk 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Changes {
    /// Short presses that ended.
    pub short: u8,
    /// Presses that became long ones.
    pub long: u8,
    /// Buttons that are stuck now.
    pub stuck: u8,
    /// Stuck buttons that are free again.
    pub freed: u8,
}

/// The buttons of all desks.
#[derive(Debug, Clone, Default)]
pub struct Desks {
    buttons: [Button; DESKS],
}

impl Desks {
    /// Look at all buttons: bit 0 of `pressed` is desk 0. Desks that have none (`settings.desks`) are not looked at: a
    /// pin that floats presses at random.
    pub fn update(&mut self, now_ms: u64, pressed: u8, settings: &Settings) -> Changes {
        let mut changes = Changes::default();
        let long_ms = long_ms(settings);
        for (desk, button) in self.buttons.iter_mut().enumerate() {
            let bit = 1 << desk;
            if settings.desks & bit != 0 {
                button.update(now_ms, pressed & bit != 0, long_ms, bit, &mut changes);
            } else {
                if button.stuck {
                    changes.freed |= bit;
                }
                *button = Button::default();
            }
        }
        changes
    }

    /// When to look again although no level changes; [`NEVER`] if there is no reason to.
    pub fn next_ms(&self, settings: &Settings) -> u64 {
        let long_ms = long_ms(settings);
        self.buttons.iter().map(|button| button.next_ms(long_ms)).min().unwrap_or(NEVER)
    }
}

fn long_ms(settings: &Settings) -> u64 {
    u64::from(settings.long_press_ms.clamp(LONG_PRESS_MS_MIN, LONG_PRESS_MS_MAX))
}

#[derive(Debug, Clone, Copy, Default)]
struct Button {
    /// Was looked at before.
    known: bool,
    /// The level of the last look, and since when.
    level: bool,
    level_since: u64,
    /// The debounced state, and the edge at which it began.
    down: bool,
    down_since: u64,
    /// This press was counted, or is not to be.
    counted: bool,
    stuck: bool,
}

impl Button {
    fn update(&mut self, now_ms: u64, level: bool, long_ms: u64, bit: u8, changes: &mut Changes) {
        if !self.known {
            *self = Button {
                known: true,
                level,
                level_since: now_ms,
                down: level,
                down_since: now_ms,
                counted: true,
                stuck: false,
            };
            return;
        }
        if level != self.level {
            self.level = level;
            self.level_since = now_ms;
        }
        if self.level != self.down && now_ms.saturating_sub(self.level_since) >= DEBOUNCE_MS {
            self.down = self.level;
            if self.down {
                self.down_since = self.level_since;
                self.counted = false;
            } else {
                self.released(long_ms, bit, changes);
            }
        }
        if self.down && self.level {
            let held_ms = now_ms.saturating_sub(self.down_since);
            if !self.counted && held_ms >= long_ms {
                self.counted = true;
                changes.long |= bit;
            }
            if !self.stuck && held_ms >= STUCK_AFTER_MS {
                self.stuck = true;
                changes.stuck |= bit;
            }
        }
    }

    fn released(&mut self, long_ms: u64, bit: u8, changes: &mut Changes) {
        if !self.counted {
            self.counted = true;
            let held_ms = self.level_since.saturating_sub(self.down_since);
            *(if held_ms >= long_ms { &mut changes.long } else { &mut changes.short }) |= bit;
        }
        if self.stuck {
            self.stuck = false;
            changes.freed |= bit;
        }
    }

    fn next_ms(&self, long_ms: u64) -> u64 {
        if self.level != self.down {
            self.level_since + DEBOUNCE_MS
        } else if !self.down || self.stuck {
            NEVER
        } else if !self.counted {
            self.down_since + long_ms
        } else {
            self.down_since + STUCK_AFTER_MS
        }
    }
}
