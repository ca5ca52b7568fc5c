//! The lid's switch: debounced level in, openings and closings out.

use crate::NEVER;

/// A level counts after it has held for so long: longer than a contact bounces when a lorry passes, shorter than any
/// hand.
pub const DEBOUNCE_MS: u64 = 50;

/// The lid. Until its first level has held, it counts as closed: so an open lid is told at the start, a closed one not.
#[derive(Debug, Clone, Default)]
pub struct Tamper {
    open: bool,
    /// Since when the level differs from `open`.
    differs_since: Option<u64>,
}

impl Tamper {
    /// Take a level; the new state if the lid was opened or closed, and the time of the edge.
    pub fn update(&mut self, now_ms: u64, open: bool) -> Option<(u64, bool)> {
        if open == self.open {
            self.differs_since = None;
            return None;
        }
        let since = *self.differs_since.get_or_insert(now_ms);
        if now_ms.saturating_sub(since) < DEBOUNCE_MS {
            return None;
        }
        self.open = open;
        self.differs_since = None;
        Some((since, open))
    }

    /// When to look again although the level does not change; [`NEVER`] if there is no reason to.
    pub fn next_ms(&self) -> u64 {
        self.differs_since.map_or(NEVER, |since| since + DEBOUNCE_MS)
    }
}
