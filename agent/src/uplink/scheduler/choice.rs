//! The next publish: lanes in order, within window, budget and the hub's wishes.

use simpul_clock::Moment;
use simpul_wire::limits::RECORDS_MAX;
use simpul_wire::{Epoch, SeqRange, Stream};

use super::images::PartAsk;
use super::lanes::{first_open, index};
use super::suspects::Suspect;
use super::{Action, Asked, AskedKind, Link, Scheduler, Work, status_of};

/// Publishes that wait for a PUBACK, of those that are not fresh. Small records on a fast link would else be hundreds.
const PUBLISHES_MAX: usize = 24;

/// The same with fresh ones: below the adapter's channel (64) and the server's window (128).
const PUBLISHES_FRESH_MAX: usize = 40;

/// Publishes that wait for the hub's word. Behind a broker a hub may stand still: 512 publishes are some minutes.
const UNCONFIRMED_MAX: usize = 512;

/// The same with fresh ones.
const UNCONFIRMED_FRESH_MAX: usize = 640;

/// Most bytes of records in one publish: below the wire's payload limit even where nothing can be compressed.
const BATCH_BYTES_MAX: u32 = 60_000;

/// What can go next of a stream.
#[derive(Debug, Clone, Copy)]
pub(super) enum Open {
    Range { epoch: Epoch, stream: Stream, range: SeqRange },
    Part { epoch: Epoch, part: PartAsk },
}

impl Scheduler {
    /// Decide on the next publish, if one may go.
    pub(super) fn choose(&mut self, now: Moment, actions: &mut Vec<Action>) {
        if self.link != Link::Up || self.asked.is_some() || self.spool.is_none() {
            return;
        }
        if self.state_due <= now {
            self.state_due = now + self.settings.state_interval;
            let ticket = self.ask(AskedKind::State, true);
            actions.push(Action::PublishState { ticket });
            return;
        }
        if !self.slow_down.is_zero() && self.last_publish_at.is_some_and(|at| at + self.slow_down > now) {
            return;
        }
        let waiting = self.flights.values().filter(|flight| flight.pub_acked_at.is_none()).count();
        let unconfirmed = self.flights.len();
        let fresh_fits = self.pace.fits_fresh() && waiting < PUBLISHES_FRESH_MAX && unconfirmed < UNCONFIRMED_FRESH_MAX;
        let others_fit =
            self.pace.fits(self.pace.publish_bytes()) && waiting < PUBLISHES_MAX && unconfirmed < UNCONFIRMED_MAX;
        let pause = self.lanes.fresh_must_pause();
        let chosen = fresh_fits && !pause && self.fresh(now, actions)
            || others_fit && (self.suspected(now, actions) || self.fair(now, pause, actions));
        if !chosen && pause && fresh_fits {
            self.fresh(now, actions);
        }
    }

    fn ask(&mut self, kind: AskedKind, fresh: bool) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.asked = Some(Asked { ticket, kind, fresh });
        ticket
    }

    fn read(&mut self, open: Open, fresh: bool, actions: &mut Vec<Action>) {
        let bytes_max = self.pace.publish_bytes().min(BATCH_BYTES_MAX) as usize;
        let (epoch, stream, range) = match open {
            Open::Range { epoch, stream, range } => (epoch, stream, range),
            Open::Part { epoch, part } => {
                let PartAsk { seq, offset, bytes_max } = part;
                let ticket = self.ask(AskedKind::Part { epoch, seq }, fresh);
                actions.push(Action::ReadPart { ticket, epoch, seq, offset, bytes_max: bytes_max as usize });
                return;
            }
        };
        if let Some(busy) = self.busy(epoch, stream) {
            busy.flying.insert(range);
        }
        let ask = Suspect { epoch, stream, range, records_max: RECORDS_MAX as u32, repeated: false };
        let ticket = self.ask(AskedKind::Batch { ask, refused: false }, fresh);
        actions.push(Action::Read { ticket, epoch, stream, range, bytes_max, records_max: RECORDS_MAX });
    }

    /// The reserved lane.
    fn fresh(&mut self, now: Moment, actions: &mut Vec<Action>) -> bool {
        let open = [Stream::Event, Stream::Service].into_iter().find_map(|stream| self.open_fresh(now, stream));
        let Some(open) = open else { return false };
        self.read(open, true, actions);
        true
    }

    fn open_fresh(&self, now: Moment, stream: Stream) -> Option<Open> {
        let work = self.works.first()?;
        let busy = &work.busy[index(stream)];
        if busy.hold_until.is_some_and(|until| until > now) || busy.oldest_first_until.is_some_and(|until| until > now)
        {
            return None;
        }
        let status = self.spool.as_ref()?.stream(stream);
        let within = SeqRange::new(self.lanes.fresh_from(stream), status.next_seq)?;
        let range = first_open(&status.owed, &busy.flying, &busy.hidden, within)?;
        Some(Open::Range { epoch: work.epoch, stream, range })
    }

    fn suspected(&mut self, now: Moment, actions: &mut Vec<Action>) -> bool {
        let works = &self.works;
        let held = |suspect: &Suspect| {
            let work = works.iter().find(|work| work.epoch == suspect.epoch);
            let until = work.and_then(|work| work.busy[index(suspect.stream)].hold_until);
            until.is_some_and(|until| until > now)
        };
        let Some(ask) = self.suspects.pop_unless(held) else { return false };
        let Suspect { epoch, stream, range, records_max, .. } = ask;
        let ticket = self.ask(AskedKind::Batch { ask, refused: true }, false);
        let bytes_max = BATCH_BYTES_MAX as usize;
        let records_max = records_max.max(1) as usize;
        actions.push(Action::Read { ticket, epoch, stream, range, bytes_max, records_max });
        true
    }

    /// The backlogs, by weight; `pause`: without the streams that have had their turns in the reserved lane.
    fn fair(&mut self, now: Moment, pause: bool, actions: &mut Vec<Action>) -> bool {
        let metered_out = self.budget.wait_until(now).is_some();
        for stream in self.lanes.fair_order() {
            let urgent = matches!(stream, Stream::Event | Stream::Service);
            if metered_out && !urgent || pause && urgent && self.open_fresh(now, stream).is_some() {
                continue;
            }
            if let Some(open) = self.open(now, stream) {
                self.read(open, false, actions);
                return true;
            }
        }
        false
    }

    /// What goes next of a stream: of readings the present first, of images the newest first, else the oldest first;
    /// older epochs behind the current one.
    pub(super) fn open(&self, now: Moment, stream: Stream) -> Option<Open> {
        let fresh = if stream == Stream::Reading { self.open_fresh(now, stream) } else { None };
        fresh.or_else(|| self.works.iter().find_map(|work| self.open_of(now, work, stream)))
    }

    fn open_of(&self, now: Moment, work: &Work, stream: Stream) -> Option<Open> {
        let (epoch, busy) = (work.epoch, &work.busy[index(stream)]);
        if busy.hold_until.is_some_and(|until| until > now) {
            return None;
        }
        let owed = &status_of(self.spool.as_ref()?, epoch, stream)?.owed;
        if stream == Stream::Snapshot {
            let part = work.images.next(owed, &busy.hidden, self.pace.publish_bytes())?;
            return Some(Open::Part { epoch, part });
        }
        let all = SeqRange::new(owed.first()?, owed.last()?)?;
        let range = first_open(owed, &busy.flying, &busy.hidden, all)?;
        Some(Open::Range { epoch, stream, range })
    }
}
