//! The whole firmware without its pins: `step(now_ms, inputs) -> outputs`.
//!
//! A step does a bounded amount of work, reads no clock and never panics. Its caller ([`crate::runtime`], or a test)
//! does what the outputs say and brings what came of it with the next inputs. Steps may come as often or as seldom as
//! one likes; [`Outputs::next_ms`] is when the next one is due if no input changes.
//!
//! **A press.** Buttons -> total in memory -> [`Outputs::keep`] -> [`Inputs::kept`] -> totals in the outbox -> agent.
//! The total that is sent is the one that was written. If the journal cannot be written, totals go on in memory and are
//! sent all the same, the agent is told once, and every hello says so ([`JournalState::Unreachable`]): a citizen who
//! pressed was served, and a count that a power cut may take back is better than none. The agent can tell, since totals of
//! a later boot are then smaller.
//!
//! **A boot** is in the journal before the first frame: two starts never number their messages alike. (If the journal
//! cannot be written they may: the hello says that, too.)

use simpul_wire::board::{
    DESKS, DeskTotals, FrameError, FromBoard, Hardware, Hello, ImageState, JournalState, PROTOCOL_VERSION, RelayOrder,
    RelayOutcome, ResetReason, Settings, ToBoard,
};

use crate::NEVER;
use crate::desks::{self, Desks};
use crate::kept::Kept;
use crate::light::Light;
use crate::outbox::{Event, Link, Next, Outbox};
use crate::relay::{Answer, Relay};
use crate::sampling::{Sample, Sampled, Sampling};
use crate::supply::Supply;
use crate::tamper::Tamper;

/// A journal that failed is tried again after so long, or at the next press.
pub const KEEP_AGAIN_AFTER_MS: u64 = 10_000;

/// What a board knows of itself at the start.
#[derive(Debug, Clone)]
pub struct Start {
    /// What hardware it is.
    pub hardware: Hardware,
    /// The firmware's version: major, minor, patch.
    pub firmware: [u8; 3],
    /// The chip's own serial.
    pub serial: [u8; 8],
    /// Why it started.
    pub reset: ResetReason,
    /// How the journal was found.
    pub journal: JournalState,
    /// What was in it (its boot number is that of the last start); the default if there was nothing.
    pub kept: Kept,
}

/// The world as a step sees it.
#[derive(Debug, Clone, Default)]
pub struct Inputs {
    /// Buttons that are down: bit 0 is desk 0.
    pub buttons: u8,
    /// The lid is open.
    pub tamper_open: bool,
    /// The mains are there.
    pub power_good: bool,
    /// A frame that came, or why it was refused.
    pub received: Option<Result<ToBoard, FrameError>>,
    /// What came of the last [`Outputs::keep`]: whether it was written.
    pub kept: Option<bool>,
    /// What came of the last [`Outputs::sample`].
    pub sampled: Option<Sampled>,
    /// The last frame is out: another one may be sent.
    pub line_free: bool,
}

/// What a step wants done, in this order.
#[derive(Debug, Clone)]
pub struct Outputs {
    /// The relay's coil has current: the load is off.
    pub relay_energised: bool,
    /// A frame to send. One that comes although the line is not free is a gasp, and cuts off the frame that is being sent.
    pub send: Option<FromBoard>,
    /// Write this to the journal and tell by [`Inputs::kept`]. No other comes before that.
    pub keep: Option<Kept>,
    /// Measure this and tell by [`Inputs::sampled`]. No other comes before that.
    pub sample: Option<Sample>,
    /// What the status light says.
    pub light: Light,
    /// When the next step is due if no input changes before.
    pub next_ms: u64,
}

/// The board.
#[derive(Debug, Clone)]
pub struct Node {
    start: Start,
    image: ImageState,
    desks: Desks,
    tamper: Tamper,
    supply: Supply,
    relay: Relay,
    outbox: Outbox,
    sampling: Sampling,
    kept: Kept,
    journal: Journal,
    greeted: bool,
    frames_refused: u32,
    /// What is on the line: a gasp that cuts it off has it sent again.
    sending: Sending,
}

/// How far the journal is.
#[derive(Debug, Clone)]
struct Journal {
    /// `Node::kept` has something that was not written.
    changed: bool,
    /// When the change that is to be written was made.
    changed_ms: u64,
    /// Not before this time: the last try failed.
    not_before_ms: u64,
    /// What is being written, and when it was so.
    writing: Option<(u64, Kept)>,
    /// Totals as they may be sent, once there are any.
    totals: Option<[DeskTotals; DESKS]>,
    failing: bool,
    told: bool,
}

#[derive(Debug, Clone, Copy)]
enum Sending {
    /// Nothing, or a frame that no one misses.
    Unrepeated,
    Hello,
    Numbered,
    Module(u8),
}

impl Node {
    /// A board that starts now.
    pub fn new(now_ms: u64, start: Start) -> Node {
        let mut kept = start.kept;
        kept.boot = kept.boot.wrapping_add(1);
        let mut outbox = Outbox::new(kept.boot);
        if let Some(id) = kept.relay_pending {
            outbox.event(now_ms, Event::RelayResult { id, outcome: RelayOutcome::Interrupted });
        }
        Node {
            desks: Desks::default(),
            tamper: Tamper::default(),
            supply: Supply::default(),
            relay: Relay::new(now_ms, kept.relay_pending),
            outbox,
            sampling: Sampling::new(now_ms),
            kept,
            journal: Journal {
                changed: true,
                changed_ms: now_ms,
                not_before_ms: 0,
                writing: None,
                totals: None,
                failing: false,
                told: false,
            },
            greeted: false,
            frames_refused: 0,
            sending: Sending::Unrepeated,
            image: ImageState::NoLoader,
            start,
        }
    }

    /// The settings that the board works by.
    pub fn settings(&self) -> &Settings {
        &self.kept.settings
    }

    /// How the running image came to run, for the hello; one is said when it changes. [`ImageState::NoLoader`] until told.
    pub fn set_image(&mut self, now_ms: u64, image: ImageState) {
        if self.image != image {
            self.image = image;
            self.outbox.hello_again(now_ms);
        }
    }

    /// Whether an agent that speaks this protocol has greeted.
    pub fn is_linked(&self) -> bool {
        self.outbox.link() == Link::Linked
    }

    /// Whether this image has shown since its start that it does its duty: an agent understands it, and its journal was
    /// written.
    pub fn is_proven(&self) -> bool {
        self.is_linked() && self.journal.totals.is_some() && !self.journal.failing
    }

    /// One step. `now_ms` is the time since the board's start, in ms, and never goes back.
    #[inline(never)]
    pub fn step(&mut self, now_ms: u64, inputs: &Inputs) -> Outputs {
        // First of all: everything below may take its time.
        let supply = self.supply.update(now_ms, inputs.power_good);
        if supply.gasp {
            self.outbox.gasp(now_ms);
        }
        if let Some((at_ms, state)) = supply.state {
            self.outbox.event(at_ms, Event::Power(state));
        }
        if let Some(written) = inputs.kept {
            self.written(now_ms, written);
        }
        match &inputs.received {
            Some(Ok(message)) => self.received(now_ms, message),
            Some(Err(_)) => self.frames_refused = self.frames_refused.saturating_add(1),
            None => {}
        }
        let desks = self.desks.update(now_ms, inputs.buttons, &self.kept.settings);
        self.pressed(now_ms, desks);
        if let Some((at_ms, open)) = self.tamper.update(now_ms, inputs.tamper_open) {
            self.outbox.event(at_ms, Event::Tamper { open });
        }
        if let Some(id) = self.relay.update(now_ms) {
            self.outbox.event(now_ms, Event::RelayResult { id, outcome: RelayOutcome::Done });
        }
        if let Some(sampled) = &inputs.sampled {
            self.sampling.answered(sampled);
            if let Sampled::Voltages { battery, .. } = sampled {
                self.supply.measured(*battery, &self.kept.settings);
            }
        }
        let keep = self.keep(now_ms);
        let sample = self.sampling.next_sample(now_ms, &self.kept.settings);
        let send = self.send(now_ms, inputs.line_free);
        Outputs {
            relay_energised: self.relay.is_energised(),
            send,
            keep,
            sample,
            light: self.light(),
            next_ms: self.next_ms(now_ms),
        }
    }

    #[inline(never)]
    fn pressed(&mut self, now_ms: u64, changes: desks::Changes) {
        for (desk, totals) in (0u8..).zip(&mut self.kept.totals) {
            let bit = 1 << desk;
            if changes.short & bit != 0 {
                totals.short = totals.short.saturating_add(1);
            }
            if changes.long & bit != 0 {
                totals.long = totals.long.saturating_add(1);
            }
            if changes.stuck & bit != 0 {
                self.outbox.event(now_ms, Event::ButtonStuck { desk, stuck: true });
            }
            if changes.freed & bit != 0 {
                self.outbox.event(now_ms, Event::ButtonStuck { desk, stuck: false });
            }
        }
        if changes.short | changes.long != 0 {
            self.changed(now_ms);
        }
    }

    #[inline(never)]
    fn received(&mut self, now_ms: u64, message: &ToBoard) {
        match message {
            ToBoard::Greet(greet) => {
                self.greeted = true;
                self.outbox.greeted(now_ms, greet.protocol);
                self.sampling.greeted(now_ms);
                // A new agent, or one that lost its memory, needs totals to count from.
                if let Some(totals) = self.journal.totals
                    && !self.outbox.has_totals()
                {
                    self.outbox.totals(now_ms, totals);
                }
            }
            // Of an agent that did not greet, or speaks another protocol, nothing is understood.
            _ if self.outbox.link() != Link::Linked => {}
            ToBoard::Ack(ack) => {
                if let Some(Event::RelayResult { id, .. }) = self.outbox.acknowledged(ack)
                    && self.kept.relay_pending == Some(id)
                    && self.relay.under_way() != Some(id)
                {
                    self.kept.relay_pending = None;
                    self.changed(now_ms);
                }
            }
            ToBoard::Relay(order) => self.ordered(now_ms, order),
            ToBoard::Configure(settings) => {
                if self.kept.settings != *settings {
                    self.kept.settings = *settings;
                    self.changed(now_ms);
                }
            }
            // `crate::update`'s.
            ToBoard::UpdateBegin(_) | ToBoard::UpdateData(_) | ToBoard::UpdateApply(_) => {}
        }
    }

    #[inline(never)]
    fn ordered(&mut self, now_ms: u64, order: &RelayOrder) {
        match self.relay.order(now_ms, order, self.kept.settings.relay) {
            Answer::UnderWay => {}
            Answer::Tell(outcome) => self.outbox.event(now_ms, Event::RelayResult { id: order.id, outcome }),
            Answer::Keep => {
                self.kept.relay_pending = Some(order.id);
                self.changed(now_ms);
            }
        }
    }

    fn changed(&mut self, now_ms: u64) {
        self.journal.changed = true;
        self.journal.changed_ms = now_ms;
        self.journal.not_before_ms = 0;
    }

    #[inline(never)]
    fn keep(&mut self, now_ms: u64) -> Option<Kept> {
        let journal = &mut self.journal;
        if journal.writing.is_some() || !journal.changed || now_ms < journal.not_before_ms {
            return None;
        }
        journal.changed = false;
        journal.writing = Some((journal.changed_ms, self.kept));
        Some(self.kept)
    }

    #[inline(never)]
    fn written(&mut self, now_ms: u64, written: bool) {
        let Some((at_ms, kept)) = self.journal.writing.take() else { return };
        self.journal.failing = !written;
        if !written {
            self.journal.changed = true;
            self.journal.not_before_ms = now_ms + KEEP_AGAIN_AFTER_MS;
            if !self.journal.told {
                self.journal.told = true;
                self.outbox.event(now_ms, Event::JournalFailed);
            }
        }
        if self.journal.totals != Some(kept.totals) {
            self.journal.totals = Some(kept.totals);
            self.outbox.totals(at_ms, kept.totals);
        }
        if let Some(id) = kept.relay_pending {
            self.relay.kept(now_ms, id);
        }
    }

    #[inline(never)]
    fn send(&mut self, now_ms: u64, line_free: bool) -> Option<FromBoard> {
        if let Some(gasp) = self.outbox.next_gasp(line_free) {
            if !line_free {
                self.cut_off(now_ms);
            }
            self.sending = Sending::Unrepeated;
            return Some(FromBoard::Gasp(gasp));
        }
        // Until the boot's number is in the journal, two starts could number alike.
        if !line_free || self.journal.totals.is_none() {
            return None;
        }
        let next = match self.outbox.next(now_ms) {
            Some(Next::Hello) => Some((Sending::Hello, FromBoard::Hello(self.hello(now_ms)))),
            Some(Next::Numbered(numbered)) => Some((Sending::Numbered, FromBoard::Numbered(numbered))),
            None if self.outbox.link() == Link::Linked => self.next_unnumbered(),
            None => None,
        };
        let (sending, frame) = next?;
        self.sending = sending;
        Some(frame)
    }

    #[inline(never)]
    fn next_unnumbered(&mut self) -> Option<(Sending, FromBoard)> {
        if let Some(module) = self.sampling.next_module() {
            return Some((Sending::Module(module.cage), FromBoard::Module(module)));
        }
        self.sampling.next_readings().map(|readings| (Sending::Unrepeated, FromBoard::Readings(readings)))
    }

    /// The gasp takes the line from the frame that has it.
    fn cut_off(&mut self, now_ms: u64) {
        match self.sending {
            Sending::Hello => self.outbox.hello_again(now_ms),
            Sending::Numbered => self.outbox.resend(now_ms),
            Sending::Module(cage) => self.sampling.module_again(cage),
            Sending::Unrepeated => {}
        }
    }

    fn hello(&self, now_ms: u64) -> Hello {
        Hello {
            protocol: PROTOCOL_VERSION,
            hardware: self.start.hardware,
            firmware: self.start.firmware,
            serial: self.start.serial,
            boot: self.kept.boot,
            reset: self.start.reset,
            uptime_ms: now_ms,
            greeted: self.greeted,
            events_dropped: self.outbox.events_dropped(),
            frames_refused: self.frames_refused,
            journal: if self.journal.failing { JournalState::Unreachable } else { self.start.journal },
            settings: self.kept.settings,
            image: self.image,
        }
    }

    fn light(&self) -> Light {
        match self.outbox.link() {
            Link::Stranger => Light::Fault,
            _ if self.journal.failing => Light::Fault,
            _ if self.supply.is_out() => Light::Battery,
            Link::Ungreeted => Light::Waiting,
            Link::Linked => Light::Good,
        }
    }

    #[inline(never)]
    fn next_ms(&self, now_ms: u64) -> u64 {
        let journal = &self.journal;
        let keep_ms = if journal.changed && journal.writing.is_none() { journal.not_before_ms } else { NEVER };
        let frames = self.outbox.link() == Link::Linked && self.sampling.has_frames();
        [
            self.desks.next_ms(&self.kept.settings),
            self.tamper.next_ms(),
            self.supply.next_ms(),
            self.relay.next_ms(),
            self.outbox.next_ms(now_ms),
            self.sampling.next_ms(),
            keep_ms,
            if frames { now_ms } else { NEVER },
            self.light().next_ms(now_ms),
        ]
        .into_iter()
        .fold(NEVER, u64::min)
    }
}
