//! The relay that takes a load (an ONT, a switch) off its supply and on again, by order of the agent.
//!
//! The load hangs on the closed contact: whatever happens to the board, a relay that is not energised leaves it on. An
//! order is in the journal before the load goes off and stays there until the agent knows what came of it, so a board
//! that starts anew meanwhile says so instead of doing it twice. If the journal cannot be written the order is done
//! all the same: a broken memory chip must not take away the remote restart.

use simpul_wire::board::{RelayOrder, RelayOutcome};

use crate::NEVER;

/// Longest time off: an ONT's capacitors are empty after 10 s, and a cabinet's cameras should not be gone for long.
pub const OFF_MS_MAX: u32 = 60_000;

/// Shortest time off: less than this is within the relay's own bounce, and the load would not notice.
pub const OFF_MS_MIN: u32 = 100;

/// Time from the load's return to the next order: what was switched needs as long to start, and an agent that loses its
/// mind must not pulse it.
pub const INTERVAL_MS: u64 = 60_000;

/// So many orders are remembered with their outcome: the agent does one at a time and repeats only the last.
pub const REMEMBERED: usize = 4;

/// An order's id.
pub type OrderId = [u8; 16];

/// What an order leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It is being done: its outcome follows.
    UnderWay,
    /// Tell this outcome, now or again.
    Tell(RelayOutcome),
    /// Write the id to the journal, then call [`Relay::kept`].
    Keep,
}

/// The relay.
#[derive(Debug, Clone, Default)]
pub struct Relay {
    doing: Doing,
    past: [Option<(OrderId, RelayOutcome)>; REMEMBERED],
    /// No order before this time.
    free_at_ms: u64,
}

#[derive(Debug, Clone, Copy, Default)]
enum Doing {
    #[default]
    Nothing,
    /// On its way into the journal.
    Keeping { id: OrderId, off_ms: u32 },
    /// The load is off.
    Off { id: OrderId, until_ms: u64 },
}

impl Relay {
    /// The relay after a start: the load is on. `pending` is the order that the journal had: it was interrupted, and the
    /// interval to the next one runs from now.
    pub fn new(now_ms: u64, pending: Option<OrderId>) -> Relay {
        let mut relay = Relay::default();
        if let Some(id) = pending {
            relay.remember(id, RelayOutcome::Interrupted);
            relay.free_at_ms = now_ms + INTERVAL_MS;
        }
        relay
    }

    /// Take an order. Where no relay is wired, every time off is too long. A refusal is remembered like every outcome: to
    /// try again takes a new id.
    pub fn order(&mut self, now_ms: u64, order: &RelayOrder, wired: bool) -> Answer {
        if let Some((_, outcome)) = self.past.iter().flatten().find(|(id, _)| *id == order.id) {
            return Answer::Tell(*outcome);
        }
        let refused = match self.doing {
            Doing::Keeping { id, .. } | Doing::Off { id, .. } if id == order.id => return Answer::UnderWay,
            Doing::Keeping { .. } | Doing::Off { .. } => RelayOutcome::Busy,
            Doing::Nothing if !wired || order.off_ms > OFF_MS_MAX => RelayOutcome::TooLong,
            Doing::Nothing if now_ms < self.free_at_ms => RelayOutcome::TooSoon,
            Doing::Nothing => {
                self.doing = Doing::Keeping { id: order.id, off_ms: order.off_ms.max(OFF_MS_MIN) };
                return Answer::Keep;
            }
        };
        self.remember(order.id, refused);
        Answer::Tell(refused)
    }

    /// The journal is done with this id, well or not: the load goes off.
    pub fn kept(&mut self, now_ms: u64, kept: OrderId) {
        match self.doing {
            Doing::Keeping { id, off_ms } if id == kept => {
                self.doing = Doing::Off { id, until_ms: now_ms + u64::from(off_ms) };
            }
            _ => {}
        }
    }

    /// Let time pass; the id of the order that is done now.
    pub fn update(&mut self, now_ms: u64) -> Option<OrderId> {
        match self.doing {
            Doing::Off { id, until_ms } if now_ms >= until_ms => {
                self.doing = Doing::Nothing;
                self.free_at_ms = now_ms + INTERVAL_MS;
                self.remember(id, RelayOutcome::Done);
                Some(id)
            }
            _ => None,
        }
    }

    /// Whether the coil has current, that is: the load is off.
    pub fn is_energised(&self) -> bool {
        matches!(self.doing, Doing::Off { .. })
    }

    /// The order that is being done.
    pub fn under_way(&self) -> Option<OrderId> {
        match self.doing {
            Doing::Nothing => None,
            Doing::Keeping { id, .. } | Doing::Off { id, .. } => Some(id),
        }
    }

    /// When to look again; [`NEVER`] if there is no reason to.
    pub fn next_ms(&self) -> u64 {
        match self.doing {
            Doing::Off { until_ms, .. } => until_ms,
            Doing::Nothing | Doing::Keeping { .. } => NEVER,
        }
    }

    /// The oldest one is forgotten.
    fn remember(&mut self, id: OrderId, outcome: RelayOutcome) {
        self.past.rotate_right(1);
        if let Some(first) = self.past.first_mut() {
            *first = Some((id, outcome));
        }
    }
}
