//! What the agent must learn: hellos, numbered messages until they are acknowledged, the dying gasp before everything.
//!
//! One numbered message is under way at a time, and again each [`RESEND_AFTER_MS`] until its acknowledgement. Totals
//! wait in one place, where newer replace older; events wait in a ring of [`EVENTS_MAX`], where the oldest is dropped and
//! counted. Totals and events take turns, so neither waits for more than one of the other. A message gets its number
//! when it is first sent: numbers go up on the line without holes.
//!
//! What may be in totals (only what the journal has) is decided in [`crate::node`]; what else is sent, in
//! [`crate::sampling`].

use simpul_wire::board::{
    Ack, DESKS, DeskTotals, Gasp, HELLO_EVERY_MS, Numbered, NumberedBody, PROTOCOL_VERSION, RESEND_AFTER_MS,
    RelayOutcome, SupplyState,
};

use crate::NEVER;
use crate::relay::OrderId;

/// Events that wait at most. A day of flickering mains without an agent makes more than fit any board; this holds the
/// end of it, and 40 bytes an event.
pub const EVENTS_MAX: usize = 16;

/// Hellos to an agent of another protocol: it may be replaced by the right one at any time, but need not be flooded.
pub const HELLO_TO_STRANGER_EVERY_MS: u64 = 10_000;

/// A gasp is not acknowledged, so it goes out twice: one disturbed byte must not cost it. Both take 3 ms.
pub const GASPS: u8 = 2;

/// An event: what [`NumberedBody`] says besides totals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The supply changed.
    Power(SupplyState),
    /// The lid was opened or closed.
    Tamper {
        /// Open now.
        open: bool,
    },
    /// A button is stuck, or free again.
    ButtonStuck {
        /// Desk, from 0.
        desk: u8,
        /// Stuck now.
        stuck: bool,
    },
    /// What came of an order to the relay.
    RelayResult {
        /// The order's id.
        id: OrderId,
        /// What came of it.
        outcome: RelayOutcome,
    },
    /// The journal cannot be written.
    JournalFailed,
}

impl From<Event> for NumberedBody {
    fn from(event: Event) -> Self {
        match event {
            Event::Power(state) => NumberedBody::Power(state),
            Event::Tamper { open } => NumberedBody::Tamper { open },
            Event::ButtonStuck { desk, stuck } => NumberedBody::ButtonStuck { desk, stuck },
            Event::RelayResult { id, outcome } => NumberedBody::RelayResult { id, outcome },
            Event::JournalFailed => NumberedBody::JournalFailed,
        }
    }
}

/// What to send next.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// A hello.
    Hello,
    /// A numbered message.
    Numbered(Numbered),
}

/// How board and agent stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// No agent has greeted since the start.
    Ungreeted,
    /// The agent speaks this protocol.
    Linked,
    /// The agent speaks another protocol: nothing but hellos.
    Stranger,
}

/// The outbox.
#[derive(Debug, Clone)]
pub struct Outbox {
    boot: u32,
    link: Link,
    hello_at_ms: u64,
    seq: u32,
    under_way: Option<UnderWay>,
    totals: Option<Totals>,
    events: Ring,
    /// The last numbered message was totals: an event goes first.
    events_turn: bool,
    /// The last frame was a hello: something else goes first, or greetings without end would stop everything.
    hello_was_last: bool,
    gasp_at_ms: u64,
    gasps_left: u8,
}

#[derive(Debug, Clone, Copy)]
struct UnderWay {
    seq: u32,
    at_ms: u64,
    body: Body,
    due_ms: u64,
}

#[derive(Debug, Clone, Copy)]
enum Body {
    Totals([DeskTotals; DESKS]),
    Event(Event),
}

#[derive(Debug, Clone, Copy)]
struct Totals {
    at_ms: u64,
    totals: [DeskTotals; DESKS],
}

impl Outbox {
    /// An empty outbox; `boot` goes into every message.
    pub fn new(boot: u32) -> Outbox {
        Outbox {
            boot,
            link: Link::Ungreeted,
            hello_at_ms: 0,
            seq: 0,
            under_way: None,
            totals: None,
            events: Ring::default(),
            events_turn: true,
            hello_was_last: false,
            gasp_at_ms: 0,
            gasps_left: 0,
        }
    }

    /// How board and agent stand.
    pub fn link(&self) -> Link {
        self.link
    }

    /// Events that were dropped since the start.
    pub fn events_dropped(&self) -> u32 {
        self.events.dropped
    }

    /// The agent greeted: answer, and whatever is under way goes out again at once.
    pub fn greeted(&mut self, now_ms: u64, protocol: u16) {
        self.link = if protocol == PROTOCOL_VERSION { Link::Linked } else { Link::Stranger };
        self.hello_at_ms = now_ms;
        self.resend(now_ms);
    }

    /// Totals to deliver; they replace those that wait, not those that are under way.
    pub fn totals(&mut self, at_ms: u64, totals: [DeskTotals; DESKS]) {
        self.totals = Some(Totals { at_ms, totals });
    }

    /// Whether totals wait or are under way.
    pub fn has_totals(&self) -> bool {
        self.totals.is_some() || matches!(self.under_way, Some(UnderWay { body: Body::Totals(_), .. }))
    }

    /// An event to deliver. One that waits already is not told twice: an agent that repeats its order to the relay must
    /// not push everything else out.
    pub fn event(&mut self, at_ms: u64, event: Event) {
        let waits = matches!(event, Event::RelayResult { .. })
            && (self.events.contains(&event)
                || matches!(self.under_way, Some(UnderWay { body: Body::Event(sent), .. }) if sent == event));
        if !waits {
            self.events.push(at_ms, event);
        }
    }

    /// The mains are going.
    pub fn gasp(&mut self, now_ms: u64) {
        self.gasp_at_ms = now_ms;
        self.gasps_left = GASPS;
    }

    /// The agent has a message durably: the event that it was, if it was one. Any other number is of no interest: late,
    /// or of another boot.
    pub fn acknowledged(&mut self, ack: &Ack) -> Option<Event> {
        if ack.boot != self.boot {
            return None;
        }
        match self.under_way.take_if(|under_way| under_way.seq == ack.seq)?.body {
            Body::Event(event) => Some(event),
            Body::Totals(_) => None,
        }
    }

    /// The numbered message was cut off, or its reader is new: send it again without waiting.
    pub fn resend(&mut self, now_ms: u64) {
        if let Some(under_way) = &mut self.under_way {
            under_way.due_ms = now_ms;
        }
    }

    /// Say hello again: the last one was cut off.
    pub fn hello_again(&mut self, now_ms: u64) {
        self.hello_at_ms = now_ms;
    }

    /// The gasp, if one is due. It is taken as sent. The first one waits for nothing, the others for the line.
    pub fn next_gasp(&mut self, line_free: bool) -> Option<Gasp> {
        if self.link == Link::Stranger {
            self.gasps_left = 0;
        }
        if self.gasps_left == 0 || (self.gasps_left < GASPS && !line_free) {
            return None;
        }
        self.gasps_left -= 1;
        Some(Gasp { boot: self.boot, at_ms: self.gasp_at_ms })
    }

    /// What is due now, after the gasp. It is taken as sent.
    pub fn next(&mut self, now_ms: u64) -> Option<Next> {
        let hello_due = now_ms >= self.hello_at_ms;
        if hello_due && !self.hello_was_last {
            return Some(self.hello(now_ms));
        }
        self.hello_was_last = false;
        match self.numbered(now_ms) {
            Some(numbered) => Some(Next::Numbered(numbered)),
            None => hello_due.then(|| self.hello(now_ms)),
        }
    }

    fn hello(&mut self, now_ms: u64) -> Next {
        self.hello_was_last = true;
        self.hello_at_ms = match self.link {
            Link::Ungreeted => now_ms + HELLO_EVERY_MS,
            Link::Stranger => now_ms + HELLO_TO_STRANGER_EVERY_MS,
            Link::Linked => NEVER,
        };
        Next::Hello
    }

    fn numbered(&mut self, now_ms: u64) -> Option<Numbered> {
        if self.link != Link::Linked {
            return None;
        }
        if self.under_way.is_none() {
            let (at_ms, body) = self.take_waiting()?;
            self.seq += 1;
            self.under_way = Some(UnderWay { seq: self.seq, at_ms, body, due_ms: now_ms });
        }
        let under_way = self.under_way.as_mut().filter(|under_way| now_ms >= under_way.due_ms)?;
        under_way.due_ms = now_ms + RESEND_AFTER_MS;
        let body = match under_way.body {
            Body::Totals(totals) => NumberedBody::Totals(totals),
            Body::Event(event) => event.into(),
        };
        Some(Numbered { boot: self.boot, seq: under_way.seq, at_ms: under_way.at_ms, sent_ms: now_ms, body })
    }

    fn take_waiting(&mut self) -> Option<(u64, Body)> {
        if self.totals.is_none() || (self.events_turn && !self.events.is_empty()) {
            self.events_turn = false;
            return self.events.pop().map(|(at_ms, event)| (at_ms, Body::Event(event)));
        }
        self.events_turn = true;
        self.totals.take().map(|waiting| (waiting.at_ms, Body::Totals(waiting.totals)))
    }

    /// When something is due; [`NEVER`] if nothing is.
    pub fn next_ms(&self, now_ms: u64) -> u64 {
        if self.gasps_left > 0 {
            return now_ms;
        }
        let numbered_ms = match (self.link, &self.under_way) {
            (Link::Linked, Some(under_way)) => under_way.due_ms,
            (Link::Linked, None) if self.totals.is_some() || !self.events.is_empty() => now_ms,
            _ => NEVER,
        };
        numbered_ms.min(self.hello_at_ms)
    }
}

/// Events in order of their happening.
#[derive(Debug, Clone, Default)]
struct Ring {
    places: [Option<(u64, Event)>; EVENTS_MAX],
    /// Of the oldest.
    first: usize,
    length: usize,
    dropped: u32,
}

impl Ring {
    fn push(&mut self, at_ms: u64, event: Event) {
        if self.length == EVENTS_MAX {
            self.pop();
            self.dropped = self.dropped.saturating_add(1);
        }
        if let Some(place) = self.places.get_mut((self.first + self.length) % EVENTS_MAX) {
            *place = Some((at_ms, event));
            self.length += 1;
        }
    }

    fn pop(&mut self) -> Option<(u64, Event)> {
        let oldest = self.places.get_mut(self.first)?.take()?;
        self.first = (self.first + 1) % EVENTS_MAX;
        self.length -= 1;
        Some(oldest)
    }

    fn contains(&self, event: &Event) -> bool {
        self.places.iter().flatten().any(|(_, waiting)| waiting == event)
    }

    fn is_empty(&self) -> bool {
        self.length == 0
    }
}
