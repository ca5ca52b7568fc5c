//! Publishes from the question to the PUBACK: what was asked for, what left, what has to be sent again.

use simpul_clock::Moment;
use simpul_wire::{SeqRange, Stream};

use super::lanes::index;
use super::suspects::Suspect;
use super::{Action, AskedKind, FAILED_PAUSE, Flight, Link, Load, Outcome, Scheduler, Ticket};

impl Scheduler {
    /// A publish did not make it: what it carried is owed again.
    pub(super) fn give_back(&mut self, load: Load) {
        match load {
            Load::Bytes => {}
            Load::Part { epoch, seq, part } => {
                if let Some(work) = self.work(epoch) {
                    work.images.lost(seq, part);
                }
            }
            Load::Batch { sent, refused: true } => self.suspect(sent),
            Load::Batch { sent, refused: false } => self.land(sent),
        }
    }

    /// It is not on its way any more.
    pub(super) fn land(&mut self, sent: Suspect) {
        if let Some(busy) = self.busy(sent.epoch, sent.stream) {
            busy.flying.remove(sent.range);
        }
    }

    pub(super) fn suspect(&mut self, suspect: Suspect) {
        let Some(busy) = self.busy(suspect.epoch, suspect.stream) else { return };
        busy.flying.insert(suspect.range);
        if let Some(back) = self.suspects.push(suspect) {
            self.land(back);
        }
    }

    pub(super) fn sent(&mut self, now: Moment, ticket: Ticket, outcome: Outcome, actions: &mut Vec<Action>) {
        let Some(asked) = self.asked.take_if(|asked| asked.ticket == ticket) else { return };
        let (load, bytes) = match (asked.kind, outcome) {
            (kind, Outcome::Gone) => return self.gone(kind),
            (kind, Outcome::TooLarge { covered, records }) => return self.too_large(kind, covered, records, actions),
            (AskedKind::State, Outcome::State { bytes }) => (Load::Bytes, bytes),
            (AskedKind::Batch { ask, refused }, Outcome::Batch { covered, records, bytes }) => {
                let sent = Suspect { range: covered, records_max: records, ..ask };
                self.part_of(ask, refused, sent);
                (Load::Batch { sent, refused }, bytes)
            }
            (AskedKind::Part { epoch, seq }, Outcome::Part { offset, length, image_length, bytes }) => {
                match SeqRange::with_count(u64::from(offset), u64::from(length)).zip(self.work(epoch)) {
                    Some((part, work)) => {
                        work.images.sent(seq, part, image_length);
                        (Load::Part { epoch, seq, part }, bytes)
                    }
                    None => (Load::Bytes, bytes),
                }
            }
            // A failure, or an answer to another question.
            (kind, _) => return self.failed(now, kind),
        };
        if self.link != Link::Up {
            return self.give_back(load);
        }
        if !self.unacknowledged() {
            self.progress_at = now;
        }
        let mark = self.pace.sent(now, bytes);
        self.flights.insert(ticket, Flight { load, bytes, mark, pub_acked_at: None });
        self.last_publish_at = Some(now);
        self.budget.spend(now, bytes);
        let stream = match load {
            Load::Batch { sent, .. } => sent.stream,
            Load::Part { .. } => Stream::Snapshot,
            Load::Bytes => return,
        };
        let waiting = Stream::ALL.map(|stream| self.open(now, stream).is_some());
        self.lanes.charge(stream, bytes, asked.fresh, waiting);
    }

    /// Only `sent` of `ask` went out: the rest of a suspect is a suspect of its own, else it is owed as before.
    pub(super) fn part_of(&mut self, ask: Suspect, refused: bool, sent: Suspect) {
        self.land(ask);
        if let Some(busy) = self.busy(sent.epoch, sent.stream) {
            busy.flying.insert(sent.range);
        }
        let rest = sent.range.last().checked_add(1).and_then(|first| SeqRange::new(first, ask.range.last()));
        if let Some(range) = rest.filter(|_| refused) {
            // How many are left is not known here; the spool says it when they are read.
            self.suspect(Suspect { range, records_max: ask.records_max.max(sent.records_max).max(1), ..ask });
        }
    }

    /// The spool has nothing there: hidden until its owed set says so too.
    fn gone(&mut self, kind: AskedKind) {
        let (epoch, stream, range) = match kind {
            AskedKind::State => return,
            AskedKind::Batch { ask, .. } => (ask.epoch, ask.stream, ask.range),
            AskedKind::Part { epoch, seq } => (epoch, Stream::Snapshot, SeqRange::one(seq)),
        };
        let Some(work) = self.work(epoch) else { return };
        if stream == Stream::Snapshot {
            work.images.done(range);
        }
        let busy = &mut work.busy[index(stream)];
        busy.flying.remove(range);
        busy.hidden.insert(range);
    }

    fn failed(&mut self, now: Moment, kind: AskedKind) {
        // A spool that fails to read recovers by itself within seconds; trying at once would only add to its trouble.
        let pause = now + FAILED_PAUSE;
        let (epoch, stream) = match kind {
            AskedKind::State => {
                self.state_due = pause;
                return;
            }
            AskedKind::Batch { ask, refused } => {
                self.give_back(Load::Batch { sent: ask, refused });
                (ask.epoch, ask.stream)
            }
            AskedKind::Part { epoch, .. } => (epoch, Stream::Snapshot),
        };
        if let Some(busy) = self.busy(epoch, stream) {
            busy.hold_until = Some(pause);
        }
    }

    pub(super) fn pub_acked(&mut self, now: Moment, ticket: Ticket) {
        let Some(flight) = self.flights.get_mut(&ticket).filter(|flight| flight.pub_acked_at.is_none()) else { return };
        flight.pub_acked_at = Some(now);
        self.pace.delivered(now, flight.bytes, flight.mark);
        self.progress_at = now;
        match flight.load {
            Load::Batch { .. } => return,
            Load::Part { epoch, seq, .. } => {
                if let Some(work) = self.work(epoch) {
                    work.images.delivered(now, seq);
                }
            }
            Load::Bytes => {}
        }
        self.flights.remove(&ticket);
    }
}
