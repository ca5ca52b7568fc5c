//! What goes to the hub next, and when: pure `(now, event) -> actions`, no clock, no I/O, no async.
//!
//! Rules, most important first:
//! - The spool's *owed* sets are the only truth about what has to be sent. Everything here is derived and may be lost.
//! - A PUBACK paces ([`pace`]), the hub's acknowledgement frees. What was published and not acknowledged in time, or
//!   was on its way when a connection ended, is owed again; the hub dedupes by interval sets, so order is free.
//! - Fresh events and service records have a lane of their own ([`lanes`]); backlogs share by weight; images go newest
//!   first in parts ([`images`]); nothing that is not fresh may put more than about 0.3 s in front of an alarm.
//! - What the hub refuses is sent again, then halved down to the single record ([`suspects`]).
//!
//! One publish is asked for at a time: the driver answers [`Action::Read`] and [`Action::ReadPart`] with
//! [`Event::Sent`], and only then is the next one decided, so an alarm never waits behind decisions already made.

pub mod backoff;
pub mod budget;
pub mod images;
pub mod lanes;
pub mod pace;
pub mod suspects;

mod acks;
mod choice;
mod flights;
mod messages;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use simpul_clock::Moment;
use simpul_wire::{Epoch, Generation, RangeSet, SeqRange, Stream};

use crate::spool::{SpoolState, StreamStatus};
pub use messages::{Action, Event, Outcome, Settings, Ticket};

use backoff::{Backoff, Random};
use budget::Budget;
use images::Images;
use lanes::{Lanes, index};
use pace::{Mark, Pace};
use suspects::{Suspect, Suspects};

/// Shortest wait for the hub's acknowledgement behind a PUBACK: several commits of a busy hub.
const ACK_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest wait: a hub that is down behind a broker must not be flooded with repetitions.
const ACK_TIMEOUT_MAX: Duration = Duration::from_secs(320);

/// Longest pause between two batches that a hub may ask for: an error there must not silence a village.
const SLOW_DOWN_MAX: Duration = Duration::from_secs(60);

/// Pause after a read or a publish that failed.
const FAILED_PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    Down {
        connect_at: Moment,
    },
    Connecting,
    Up,
    /// A disconnect was ordered and is not confirmed yet.
    Leaving,
}

/// What a publish carried.
#[derive(Debug, Clone, Copy)]
enum Load {
    /// Only bytes: a state, or records that are acknowledged already.
    Bytes,
    /// As a suspect: what was sent, with the number of records in it. `refused`: it is one.
    Batch {
        sent: Suspect,
        refused: bool,
    },
    Part {
        epoch: Epoch,
        seq: u64,
        part: SeqRange,
    },
}

#[derive(Debug)]
struct Flight {
    load: Load,
    bytes: u32,
    mark: Mark,
    pub_acked_at: Option<Moment>,
}

/// The one publish that the driver prepares.
#[derive(Debug, Clone, Copy)]
struct Asked {
    ticket: Ticket,
    kind: AskedKind,
    fresh: bool,
}

#[derive(Debug, Clone, Copy)]
enum AskedKind {
    State,
    /// As a suspect: what to send. `refused`: it is one.
    Batch {
        ask: Suspect,
        refused: bool,
    },
    Part {
        epoch: Epoch,
        seq: u64,
    },
}

/// Of one stream: numbers that are not to be chosen.
#[derive(Debug, Default)]
struct Busy {
    /// On their way, or suspects.
    flying: RangeSet,
    /// Acknowledged, gone or given up, and not yet seen to leave the owed set.
    hidden: RangeSet,
    /// Not before this moment.
    hold_until: Option<Moment>,
    /// The hub has too many intervals: oldest first, nothing fresh, until then.
    oldest_first_until: Option<Moment>,
}

/// Of one epoch. A healthy node has one; a cloned or rolled-back card leaves older ones to be drained behind it.
#[derive(Debug)]
struct Work {
    epoch: Epoch,
    busy: [Busy; 4],
    images: Images,
}

/// The scheduler. See the module.
#[derive(Debug)]
pub struct Scheduler {
    settings: Settings,
    link: Link,
    next_hub: usize,
    backoff: Backoff,
    pace: Pace,
    budget: Budget,
    lanes: Lanes,
    suspects: Suspects,
    /// The current epoch first.
    works: Vec<Work>,
    flights: BTreeMap<Ticket, Flight>,
    asked: Option<Asked>,
    next_ticket: Ticket,
    spool: Option<SpoolState>,
    generation: Option<Generation>,
    progress_at: Moment,
    state_due: Moment,
    ack_timeout: Duration,
    slow_down: Duration,
    last_publish_at: Option<Moment>,
}

impl Scheduler {
    /// Begin at `now`; nothing happens before the spool's first state.
    pub fn new(now: Moment, settings: Settings) -> Self {
        let mut backoff = Backoff::new(settings.reconnect_max, Random::new(settings.seed));
        let connect_at = backoff.next_attempt(now);
        Scheduler {
            link: Link::Down { connect_at },
            next_hub: 0,
            backoff,
            pace: Pace::new(now),
            budget: Budget::new(now, settings.daily_bytes_max),
            lanes: Lanes::default(),
            suspects: Suspects::default(),
            works: Vec::new(),
            flights: BTreeMap::new(),
            asked: None,
            next_ticket: 1,
            spool: None,
            generation: None,
            progress_at: now,
            state_due: now,
            ack_timeout: ACK_TIMEOUT,
            slow_down: Duration::ZERO,
            last_publish_at: None,
            settings,
        }
    }

    /// Measured rate of the link in bytes per second, for status and readings.
    pub fn bytes_per_second(&self) -> Option<f64> {
        self.pace.bytes_per_second()
    }

    /// Bytes published and not yet acknowledged by the broker.
    pub fn in_flight_bytes(&self) -> u32 {
        self.pace.in_flight_bytes()
    }

    /// Bytes that may be in flight.
    pub fn window_bytes(&self) -> u32 {
        self.pace.window_bytes()
    }

    /// Something happened. Does bounded work and never panics.
    pub fn handle(&mut self, now: Moment, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Spool(state) => self.spool_changed(*state),
            Event::Connected => self.connected(now),
            Event::Disconnected => self.disconnected(now),
            Event::Sent(ticket, outcome) => self.sent(now, ticket, outcome, &mut actions),
            Event::PubAcked(ticket) => self.pub_acked(now, ticket),
            Event::Acked(ack) => self.acked(now, ack, &mut actions),
            Event::Hub(hub) => self.hub(now, hub, &mut actions),
            Event::AckLost => self.unhide(),
            Event::Tick => {}
        }
        self.expire(now, &mut actions);
        self.choose(now, &mut actions);
        actions
    }

    fn spool_changed(&mut self, state: SpoolState) {
        let begins = self.works.first().is_none_or(|work| work.epoch != state.epoch);
        let epochs = std::iter::once(state.epoch).chain(state.previous.iter().map(|epoch| epoch.epoch));
        let mut works = Vec::new();
        for epoch in epochs {
            let known = self.works.iter().position(|work| work.epoch == epoch);
            works.push(match known {
                Some(at) => self.works.swap_remove(at),
                None => Work { epoch, busy: Default::default(), images: Images::default() },
            });
        }
        self.works = works;
        self.suspects.retain_epochs(|epoch| self.works.iter().any(|work| work.epoch == epoch));
        for work in &mut self.works {
            for stream in Stream::ALL {
                let Some(status) = status_of(&state, work.epoch, stream) else { continue };
                let hidden = &mut work.busy[index(stream)].hidden;
                if !hidden.is_empty() {
                    *hidden = hidden.iter().flat_map(|range| status.owed.present_in(range)).collect();
                }
                if stream == Stream::Snapshot {
                    work.images.retain_owed(&status.owed);
                }
            }
        }
        if begins {
            self.lanes.session(&state);
        }
        if let Some(current) = self.works.first() {
            self.lanes.refresh(&state, |stream, within| {
                let busy = &current.busy[index(stream)];
                lanes::count_open(&state.stream(stream).owed, &busy.flying, &busy.hidden, within)
            });
        }
        self.generation = self.generation.or(state.generation);
        self.spool = Some(state);
    }

    fn work(&mut self, epoch: Epoch) -> Option<&mut Work> {
        self.works.iter_mut().find(|work| work.epoch == epoch)
    }

    fn busy(&mut self, epoch: Epoch, stream: Stream) -> Option<&mut Busy> {
        self.work(epoch).map(|work| &mut work.busy[index(stream)])
    }

    /// Nothing counts as acknowledged any more but what the spool's owed sets say.
    fn unhide(&mut self) {
        self.works.iter_mut().flat_map(|work| &mut work.busy).for_each(|busy| busy.hidden = RangeSet::new());
    }

    fn connected(&mut self, now: Moment) {
        self.link = Link::Up;
        self.backoff.connected(now);
        self.pace = Pace::new(now);
        self.progress_at = now;
        self.state_due = now;
        self.ack_timeout = ACK_TIMEOUT;
        self.slow_down = Duration::ZERO;
        self.unhide();
        for work in &mut self.works {
            work.images.session(now);
            work.busy.iter_mut().for_each(|busy| busy.hold_until = None);
        }
        if let Some(spool) = &self.spool {
            self.lanes.session(spool);
        }
    }

    fn disconnected(&mut self, now: Moment) {
        for flight in std::mem::take(&mut self.flights).into_values() {
            self.give_back(flight.load);
        }
        self.pace = Pace::new(now);
        self.next_hub = (self.next_hub + 1) % self.settings.hubs.max(1);
        self.link = Link::Down { connect_at: self.backoff.next_attempt(now) };
    }

    /// Timeouts: the hub's word, the watchdog, the moment to connect.
    fn expire(&mut self, now: Moment, actions: &mut Vec<Action>) {
        if let Link::Down { connect_at } = self.link
            && connect_at <= now
            && self.spool.is_some()
        {
            self.link = Link::Connecting;
            actions.push(Action::Connect { hub: self.next_hub });
        }
        if self.link != Link::Up {
            return;
        }
        if self.unacknowledged() && now.since(self.progress_at) >= self.settings.no_progress {
            self.link = Link::Leaving;
            actions.push(Action::Disconnect("no acknowledgement for too long"));
            return;
        }
        let timeout = self.ack_timeout;
        let late = |flight: &Flight| flight.pub_acked_at.is_some_and(|at| now.since(at) >= timeout);
        let tickets: Vec<Ticket> = self.flights.iter().filter(|(_, f)| late(f)).map(|(ticket, _)| *ticket).collect();
        let mut images_late = false;
        for work in &mut self.works {
            images_late |= work.images.expire(now, timeout);
        }
        if !tickets.is_empty() || images_late {
            self.ack_timeout = (timeout * 2).min(ACK_TIMEOUT_MAX);
        }
        for ticket in tickets {
            if let Some(flight) = self.flights.remove(&ticket) {
                self.give_back(flight.load);
            }
        }
    }

    /// Whether the broker owes a PUBACK.
    fn unacknowledged(&self) -> bool {
        self.pace.in_flight_bytes() > 0
    }

    /// When [`Event::Tick`] is due at the latest; `None`: only other events change anything.
    pub fn next_deadline(&mut self, now: Moment) -> Option<Moment> {
        match self.link {
            Link::Down { connect_at } => return self.spool.is_some().then_some(connect_at),
            Link::Connecting | Link::Leaving => return None,
            Link::Up => {}
        }
        let acks = self.flights.values().filter_map(|flight| flight.pub_acked_at).min();
        let busy = self.works.iter().flat_map(|work| &work.busy);
        let holds = busy.flat_map(|busy| [busy.hold_until, busy.oldest_first_until]).flatten();
        let images = self.works.iter().filter_map(|work| work.images.next_expiry(self.ack_timeout));
        let slow = self.last_publish_at.map(|at| at + self.slow_down).filter(|_| !self.slow_down.is_zero());
        let soonest = [
            Some(self.state_due),
            acks.map(|at| at + self.ack_timeout),
            images.min(),
            self.unacknowledged().then(|| self.progress_at + self.settings.no_progress),
            slow.filter(|at| *at > now),
            self.budget.wait_until(now),
        ];
        soonest.into_iter().flatten().chain(holds.filter(|at| *at > now)).min()
    }
}

fn status_of(spool: &SpoolState, epoch: Epoch, stream: Stream) -> Option<&StreamStatus> {
    if spool.epoch == epoch {
        return Some(spool.stream(stream));
    }
    spool.previous.iter().find(|previous| previous.epoch == epoch).map(|previous| previous.stream(stream))
}
