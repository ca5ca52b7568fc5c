//! Ranges that a hub refused, on their way to the single bad record: sent again, then halved, until it stands alone.
//! Leaves to others: what to do with the single record.

use std::collections::VecDeque;

use simpul_wire::ack::RejectReason;
use simpul_wire::{Epoch, SeqRange, Stream};

/// Suspects at a time. Halving a batch of 1,024 keeps at most 11; more than 256 means that whole streams are refused,
/// and then the rest may as well wait in the backlog for its turn.
const SUSPECTS_MAX: usize = 256;

/// A range to send by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suspect {
    /// The epoch.
    pub epoch: Epoch,
    /// The stream.
    pub stream: Stream,
    /// The numbers.
    pub range: SeqRange,
    /// Records to send of it; what is left becomes a suspect of its own.
    pub records_max: u32,
    /// It was sent again after a bad checksum.
    pub repeated: bool,
}

/// What to do about a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Send this.
    Again(Suspect),
    /// It stands alone: refused for good, or parked.
    Final,
}

/// Decide about a refused publish: what was sent, with how many records in it.
pub fn judge(sent: Suspect, reason: RejectReason) -> Verdict {
    if reason == RejectReason::BadChecksum && !sent.repeated {
        return Verdict::Again(Suspect { repeated: true, ..sent });
    }
    if sent.records_max > 1 {
        // The half has not been sent by itself yet: a bad checksum of it gets its own repetition.
        return Verdict::Again(Suspect { records_max: sent.records_max / 2, repeated: false, ..sent });
    }
    Verdict::Final
}

/// The suspects, last in first out: depth first keeps them few.
#[derive(Debug, Default)]
pub struct Suspects(VecDeque<Suspect>);

impl Suspects {
    /// Add one. Returns the one that had to go back into the backlog for it.
    pub fn push(&mut self, suspect: Suspect) -> Option<Suspect> {
        self.0.push_back(suspect);
        if self.0.len() > SUSPECTS_MAX { self.0.pop_front() } else { None }
    }

    /// Take the next one that is not `held`.
    pub fn pop_unless(&mut self, held: impl Fn(&Suspect) -> bool) -> Option<Suspect> {
        let at = self.0.iter().rposition(|suspect| !held(suspect))?;
        self.0.remove(at)
    }

    /// Forget those of epochs that the spool no longer has.
    pub fn retain_epochs(&mut self, known: impl Fn(Epoch) -> bool) {
        self.0.retain(|suspect| known(suspect.epoch));
    }
}
