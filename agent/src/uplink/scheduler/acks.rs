//! What the hub says: acknowledgements, refusals, missing parts, another generation.

use std::time::Duration;

use simpul_clock::Moment;
use simpul_wire::ack::{Ack, HubState, PartialImage, RejectReason, Rejected};
use simpul_wire::{Epoch, Generation, RangeSet, SeqRange, Stream};

use super::lanes::index;
use super::suspects::{Suspect, Verdict, judge};
use super::{ACK_TIMEOUT, Action, AskedKind, Busy, Load, SLOW_DOWN_MAX, Scheduler, status_of};

/// How long a stream waits after a refusal that sending again cannot mend.
const HOLD: Duration = Duration::from_secs(60);

impl Scheduler {
    /// The hub said what it is.
    pub(super) fn hub(&mut self, now: Moment, hub: HubState, actions: &mut Vec<Action>) {
        self.progress_at = now;
        self.change_generation(hub.generation);
        actions.push(Action::SpoolHub(hub));
    }

    /// With another generation nothing is acknowledged any more; the spool says what is owed again.
    fn change_generation(&mut self, generation: Generation) -> bool {
        let changed = self.generation != Some(generation);
        self.generation = Some(generation);
        if changed {
            self.unhide();
        }
        changed
    }

    /// The hub acknowledged, or refused.
    pub(super) fn acked(&mut self, now: Moment, ack: Ack, actions: &mut Vec<Action>) {
        self.progress_at = now;
        self.ack_timeout = ACK_TIMEOUT;
        self.slow_down = Duration::from_millis(u64::from(ack.slow_down_ms)).min(SLOW_DOWN_MAX);
        if self.change_generation(ack.generation) {
            // The hub's state was lost on the way: the acknowledgement says the same.
            actions.push(Action::SpoolHub(HubState {
                generation: ack.generation,
                backed_up: Vec::new(),
                wall_ms: None,
            }));
        }
        let place = Place { epoch: ack.epoch, stream: ack.stream };
        let mut finals = Vec::new();
        self.confirm(place, &ack.have);
        for rejected in &ack.rejected {
            self.refused(now, place, rejected.clone(), &mut finals);
        }
        if ack.stream == Stream::Snapshot {
            self.partial(now, ack.epoch, &ack.partial);
        }
        if !ack.have.is_empty() || !finals.is_empty() {
            actions.push(Action::SpoolAck(Ack { rejected: finals, partial: Vec::new(), ..ack }));
        }
    }

    fn partial(&mut self, now: Moment, epoch: Epoch, partial: &[PartialImage]) {
        let Self { spool, works, .. } = self;
        let Some(status) = spool.as_ref().and_then(|spool| status_of(spool, epoch, Stream::Snapshot)) else { return };
        let Some(work) = works.iter_mut().find(|work| work.epoch == epoch) else { return };
        for image in partial {
            work.images.partial(now, image.seq, &image.missing, &status.owed);
        }
    }

    /// The hub has these.
    fn confirm(&mut self, place: Place, have: &RangeSet) {
        let Self { spool, works, flights, .. } = self;
        let Some(status) = spool.as_ref().and_then(|spool| status_of(spool, place.epoch, place.stream)) else { return };
        let Some(work) = works.iter_mut().find(|work| work.epoch == place.epoch) else { return };
        let busy = &mut work.busy[index(place.stream)];
        for range in have.iter() {
            for present in status.owed.present_in(range) {
                busy.hidden.insert(present);
            }
            if place.stream == Stream::Snapshot {
                work.images.done(range);
            }
        }
        let Busy { flying, hidden, .. } = busy;
        let done = |range| status.owed.present_in(range).iter().all(|part| hidden.contains_range(*part));
        flights.retain(|_, flight| match flight.load {
            Load::Batch { sent, .. } if place.is_of(&sent) && done(sent.range) => {
                flying.remove(sent.range);
                flight.load = Load::Bytes;
                // Without its PUBACK it still counts for the pace.
                flight.pub_acked_at.is_none()
            }
            _ => true,
        });
    }

    fn refused(&mut self, now: Moment, place: Place, rejected: Rejected, finals: &mut Vec<Rejected>) {
        let Rejected { range, reason } = rejected;
        let Some(busy) = self.busy(place.epoch, place.stream) else { return };
        match reason {
            RejectReason::WrongNode => busy.hold_until = Some(now + HOLD),
            RejectReason::TooManyIntervals => busy.oldest_first_until = Some(now + HOLD),
            _ if place.stream == Stream::Snapshot => {
                return self.refused_image(place.epoch, range.first(), reason, finals);
            }
            _ => {}
        }
        for load in self.take(place, range) {
            match (load, reason) {
                (_, RejectReason::WrongNode | RejectReason::TooManyIntervals) => self.give_back(load),
                (Load::Batch { sent, .. }, _) => self.pursue(sent, reason, finals),
                _ => {}
            }
        }
    }

    /// Take the loads that touch `within` out of their flights; their bytes still count until the PUBACK.
    fn take(&mut self, place: Place, within: SeqRange) -> Vec<Load> {
        let mut taken = Vec::new();
        self.flights.retain(|_, flight| match flight.load {
            Load::Batch { sent, .. } if place.is_of(&sent) && sent.range.intersection(&within).is_some() => {
                taken.push(std::mem::replace(&mut flight.load, Load::Bytes));
                flight.pub_acked_at.is_none()
            }
            _ => true,
        });
        taken
    }

    fn pursue(&mut self, sent: Suspect, reason: RejectReason, finals: &mut Vec<Rejected>) {
        self.land(sent);
        match judge(sent, reason) {
            Verdict::Again(suspect) => self.suspect(suspect),
            Verdict::Final => {
                if let Some(busy) = self.busy(sent.epoch, sent.stream) {
                    busy.hidden.insert(sent.range);
                }
                finals.push(Rejected { range: sent.range, reason });
            }
        }
    }

    fn refused_image(&mut self, epoch: Epoch, seq: u64, reason: RejectReason, finals: &mut Vec<Rejected>) {
        let Some(work) = self.work(epoch) else { return };
        let mendable = matches!(reason, RejectReason::BadChecksum | RejectReason::BadImageHash);
        if mendable && work.images.restart(seq) {
            return;
        }
        work.images.done(SeqRange::one(seq));
        work.busy[index(Stream::Snapshot)].hidden.insert(SeqRange::one(seq));
        finals.push(Rejected { range: SeqRange::one(seq), reason });
    }

    /// The driver found a publish too large before it left.
    pub(super) fn too_large(&mut self, kind: AskedKind, covered: SeqRange, records: u32, actions: &mut Vec<Action>) {
        let mut finals = Vec::new();
        let reason = RejectReason::TooLarge;
        let (epoch, stream) = match kind {
            AskedKind::State => return,
            AskedKind::Part { epoch, seq } => {
                self.refused_image(epoch, seq, reason, &mut finals);
                (epoch, Stream::Snapshot)
            }
            AskedKind::Batch { ask, refused } => {
                let sent = Suspect { range: covered, records_max: records, ..ask };
                self.part_of(ask, refused, sent);
                self.pursue(sent, reason, &mut finals);
                (ask.epoch, ask.stream)
            }
        };
        // A refusal of our own is put down to the hub that we talk to: the spool knows its generation.
        let Some(generation) = self.generation.filter(|_| !finals.is_empty()) else { return };
        actions.push(Action::SpoolAck(Ack {
            generation,
            epoch,
            stream,
            have: RangeSet::new(),
            rejected: finals,
            partial: Vec::new(),
            slow_down_ms: 0,
        }));
    }
}

/// Which numbers an acknowledgement speaks of.
#[derive(Debug, Clone, Copy)]
struct Place {
    epoch: Epoch,
    stream: Stream,
}

impl Place {
    fn is_of(&self, sent: &Suspect) -> bool {
        self.epoch == sent.epoch && self.stream == sent.stream
    }
}
