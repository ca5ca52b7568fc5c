//! The board link's core: `(now, event) -> actions`, pure. Knows the order of things; leaves bytes to `port`, durability
//! to `keeper`, which condition is told to `conditions`.
//!
//! - A port that is opened is greeted, until the board says hello; a hello that differs from the configured settings is
//!   answered with them. Nothing else is said to a board of another protocol version.
//! - One numbered message is handled at a time: kept first, acknowledged after. What comes meanwhile is sent again by
//!   the board. A message that could not be kept is not acknowledged: the board keeps it.
//! - An order to the relay is sent again while nothing came of it, within the same boot of the board only.

mod incoming;

use simpul_wire::board::host::{Effect, Image, Remember, Tried, Updater};
use simpul_wire::board::{
    FrameError, Greet, Hello, Numbered, PROTOCOL_VERSION, READINGS_EVERY_MS, RelayOrder, RelayOutcome, Settings,
    ToBoard,
};
use simpul_wire::event::{BoardCondition, EventBody, EventRecord};
use simpul_wire::{Label, Stamp, Text};

use super::conditions::Conditions;
use super::describe;
use super::keeper::Report;
use super::known::{Known, Note};
use super::status::{BoardLine, BoardStatus};
use super::translate;
use crate::config::DeskConfig;
use crate::sources::readings::Sample;

/// Between two greetings: a board that is there answers within 50 ms.
const GREET_MS_MIN: u64 = 500;

/// A board that talks is greeted again this often: its hello counts what it dropped, and the clock may be right by now.
const GREET_MS: u64 = 60_000;

/// Nothing for so long: the board is silent.
const SILENT_MS: u64 = 3 * READINGS_EVERY_MS;

/// Settings that a board does not take are sent this often in a boot: each time is a write of its flash.
const CONFIGURE_MAX: u32 = 3;

/// A message that could not be kept is not tried again before this: a full disk is not emptied within a resend.
const REFUSED_MS: u64 = 5_000;

/// An order to the relay is sent again after so long; an answer takes the board as long as the load is off.
const ORDER_AGAIN_MS: u64 = 2_000;

/// And this often in all.
const ORDER_SENT_MAX: u32 = 3;

/// Orders that wait for their result: one that is done and one that the board refuses as busy.
pub(super) const ORDERS_MAX: usize = 2;

/// Messages older than this are dated as if they were so old: no board waits longer for its agent, and a broken clock
/// shall not date records into the last century.
const AGE_MS_MAX: u64 = 366 * 86_400_000;

/// What happened.
#[derive(Debug)]
pub(super) enum Event<'a> {
    /// The port was opened.
    Opened { port: String },
    /// There is no port, or it is gone.
    Closed { why: String },
    /// Whether a board waits in its boot loader, as USB shows.
    BootLoader(bool),
    /// A frame came.
    Frame(Result<(u8, &'a [u8]), FrameError>),
    /// What [`Action::Keep`] asked for is durable; with what was impossible in it.
    Kept { impossible: Vec<String> },
    /// It is not.
    NotKept { why: String },
    /// The room orders a power cycle.
    Order { id: [u8; 16], off_ms: u32 },
    /// Nobody waits for an order any more.
    OrderGone { id: [u8; 16] },
    /// The firmware's file was read, or what is wrong with it.
    Image(Result<Image, String>),
    /// Time passed.
    Tick,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Action {
    /// Write to the board.
    Send(ToBoard),
    /// Make durable and report back; one at a time.
    Keep(Keep),
    /// Make durable, and try again until it is.
    Say(Said),
    /// Measurements of now.
    Samples(Vec<Sample>),
    /// What came of an order. Kept already: its event is durable.
    Answer { id: [u8; 16], kept: bool, result: Result<String, String> },
    /// Close the port and look for it again.
    Reopen,
}

/// Something of a numbered message.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Keep {
    /// Events, and what to remember after them.
    Events(Vec<EventRecord>, Note),
    /// Totals.
    Totals(Report),
}

/// An event of the agent's own making, or one that is not acknowledged.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Said {
    pub(super) record: EventRecord,
    pub(super) note: Note,
    /// Before everything that waits.
    pub(super) urgent: bool,
}

/// The board that talks, since its last start.
#[derive(Debug)]
struct Board {
    serial: Label,
    hello: Hello,
    /// So often it was sent the settings.
    configured: u32,
    /// It was sent something that its next hello shows.
    awaited: bool,
}

/// The numbered message that is being kept.
#[derive(Debug)]
struct Busy {
    serial: Label,
    boot: u32,
    seq: u32,
    /// To remember; totals need nothing.
    note: Option<Note>,
    answer: Option<([u8; 16], Result<String, String>)>,
}

#[derive(Debug)]
struct Order {
    id: [u8; 16],
    off_ms: u32,
    boot: u32,
    sent: u32,
    sent_at_ms: u64,
}

/// The core.
#[derive(Debug)]
pub(super) struct Session {
    settings: Settings,
    desks: Vec<DeskConfig>,
    known: Known,
    conditions: Conditions,
    port: Option<String>,
    /// What talks is of another protocol version.
    foreign: bool,
    board: Option<Board>,
    busy: Option<Busy>,
    orders: Vec<Order>,
    greeted_at_ms: Option<u64>,
    heard_at_ms: u64,
    ever_heard: bool,
    /// A frame that could not be read came last at.
    noise_at_ms: Option<u64>,
    refused: Option<(u64, String)>,
    gasped: Option<Gasped>,
    update: Updater,
    status: BoardStatus,
}

/// The last gasp: at which milliseconds of which boot of the board, and how that was dated.
#[derive(Debug)]
struct Gasped {
    boot: u32,
    at_ms: u64,
    stamp: Stamp,
}

impl Session {
    pub(super) fn new(settings: Settings, desks: Vec<DeskConfig>, known: Known) -> Self {
        let told = known.condition().and_then(BoardCondition::from_number);
        Session {
            settings,
            desks,
            known,
            conditions: Conditions::new(told),
            port: None,
            foreign: false,
            board: None,
            busy: None,
            orders: Vec::new(),
            greeted_at_ms: None,
            heard_at_ms: 0,
            ever_heard: false,
            noise_at_ms: None,
            refused: None,
            gasped: None,
            update: Updater::default(),
            status: BoardStatus::default(),
        }
    }

    /// For people on site.
    pub(super) fn status(&self, now_ms: u64) -> BoardStatus {
        let worst = self.conditions.worst();
        let board = self.board.as_ref().map(|board| BoardLine {
            serial: board.serial.to_string(),
            version: describe::version(&board.hello),
            image: describe::image(board.hello.image).to_owned(),
            given_back: self
                .known
                .tried(&board.serial)
                .filter(|tried| tried.given_back)
                .map(|tried| format!("{:08x}", tried.crc32)),
            boot: board.hello.boot,
            reset: translate::reset(board.hello.reset).to_string(),
            uptime_ms: board.hello.uptime_ms,
            configured: board.hello.settings == self.settings,
            events_dropped: board.hello.events_dropped,
            frames_refused: board.hello.frames_refused,
        });
        BoardStatus {
            port: self.port.clone(),
            condition: worst.map(|(condition, _)| condition.to_string()),
            detail: worst.map_or_else(String::new, |(_, detail)| detail.to_owned()),
            board,
            heard_ms: self.ever_heard.then(|| now_ms.saturating_sub(self.heard_at_ms)),
            refused: self.refused.as_ref().map(|(_, why)| why.clone()),
            update: self.update.status(now_ms, updatable(&self.board, &self.known)),
            update_refused: self.update.is_refused(updatable(&self.board, &self.known)),
            ..self.status.clone()
        }
    }

    /// What is to be done about an event. `now` dates records; its uptime is also the time that timers run by.
    pub(super) fn handle(&mut self, now: Stamp, event: Event<'_>) -> Vec<Action> {
        let mut actions = Vec::new();
        let now_ms = now.uptime_ms;
        match event {
            Event::Opened { port } => {
                self.port = Some(port);
                self.heard_at_ms = now_ms;
                self.board = None;
                self.foreign = false;
                self.greeted_at_ms = None;
                self.conditions.clear(BoardCondition::Unplugged);
                self.greet(now, &mut actions);
            }
            Event::Closed { why } => {
                self.port = None;
                self.board = None;
                self.conditions.clear(BoardCondition::Silent);
                self.conditions.set(BoardCondition::Unplugged, why);
            }
            Event::BootLoader(true) => self.conditions.set(
                BoardCondition::BootLoader,
                "USB shows 2e8a:0003: switch its power off and on; if it comes back so, flash its firmware again",
            ),
            Event::BootLoader(false) => self.conditions.clear(BoardCondition::BootLoader),
            Event::Frame(frame) => self.frame(now, frame, &mut actions),
            Event::Kept { impossible } => self.kept(now, impossible, &mut actions),
            Event::NotKept { why } => {
                self.busy = None;
                if self.refused.is_none() {
                    tracing::warn!(why, "what the board sent could not be kept; the board keeps it");
                }
                self.refused = Some((now_ms, why));
            }
            Event::Order { id, off_ms } => self.order(now_ms, id, off_ms, &mut actions),
            Event::OrderGone { id } => self.orders.retain(|order| order.id != id),
            Event::Image(image) => {
                let trouble = image.as_ref().err().cloned();
                if self.update.image(image)
                    && let Some(why) = trouble
                {
                    tracing::warn!(why, "the board's firmware cannot be used: the board stays as it is");
                }
                self.consider_update(now, &mut actions);
            }
            Event::Tick => self.tick(now, &mut actions),
        }
        // Last: what the board waits for goes first.
        let idle = self.is_idle(now_ms);
        let effect = self.update.poll(now_ms, updatable(&self.board, &self.known), idle);
        self.effects(now, effect, &mut actions);
        if let Some((condition, detail)) = self.conditions.due(now_ms) {
            self.say_condition(now, condition, &detail, &mut actions);
        }
        actions
    }

    fn tick(&mut self, now: Stamp, actions: &mut Vec<Action>) {
        let now_ms = now.uptime_ms;
        if self.port.is_none() {
            return;
        }
        if now_ms.saturating_sub(self.heard_at_ms) >= SILENT_MS {
            // A link may lead elsewhere by now, or the device be stuck: look again.
            // Bytes that cannot be read are not silence, and told as what they are.
            if self.noise_at_ms.is_none_or(|at| now_ms.saturating_sub(at) >= SILENT_MS) {
                self.conditions.set(BoardCondition::Silent, format!("nothing for {} s", SILENT_MS / 1_000));
            }
            self.heard_at_ms = now_ms;
            self.board = None;
            actions.push(Action::Reopen);
            return;
        }
        let every_ms = if self.board.as_ref().is_some_and(|board| !board.awaited) { GREET_MS } else { GREET_MS_MIN };
        if self.greeted_at_ms.is_none_or(|at| now_ms.saturating_sub(at) >= every_ms) {
            self.greet(now, actions);
        }
        let boot = self.board.as_ref().map(|board| board.hello.boot);
        for order in self.orders.iter_mut().filter(|order| Some(order.boot) == boot) {
            if order.sent < ORDER_SENT_MAX && now_ms.saturating_sub(order.sent_at_ms) >= ORDER_AGAIN_MS {
                order.sent += 1;
                order.sent_at_ms = now_ms;
                actions.push(Action::Send(ToBoard::Relay(RelayOrder { id: order.id, off_ms: order.off_ms })));
            }
        }
    }

    /// At most one each [`GREET_MS_MIN`], or a board that answers each greeting as not greeted would keep us at it.
    fn greet(&mut self, now: Stamp, actions: &mut Vec<Action>) {
        if self.foreign || self.greeted_at_ms.is_some_and(|at| now.uptime_ms.saturating_sub(at) < GREET_MS_MIN) {
            return;
        }
        self.greeted_at_ms = Some(now.uptime_ms);
        actions.push(Action::Send(ToBoard::Greet(Greet { protocol: PROTOCOL_VERSION, wall_ms: now.wall_ms })));
    }

    /// Nothing but an update has anything to do with the board. What it cannot be rid of now (a full disk) would be lost
    /// by a restart, and an order to the relay would be interrupted.
    fn is_idle(&self, now_ms: u64) -> bool {
        let rid = |(at_ms, _): &(u64, String)| now_ms.saturating_sub(*at_ms) >= 2 * REFUSED_MS;
        self.port.is_some()
            && self.board.as_ref().is_some_and(|board| !board.awaited)
            && self.busy.is_none()
            && self.orders.is_empty()
            && self.refused.as_ref().is_none_or(rid)
    }

    fn consider_update(&mut self, now: Stamp, actions: &mut Vec<Action>) {
        let Some((hello, tried)) = updatable(&self.board, &self.known) else { return };
        let effects = self.update.hello(now.uptime_ms, hello, tried);
        self.effects(now, effects, actions);
    }

    fn effects(&mut self, now: Stamp, effects: impl IntoIterator<Item = Effect>, actions: &mut Vec<Action>) {
        for effect in effects {
            let (detail, remember) = match effect {
                Effect::Send(message) => {
                    actions.push(Action::Send(message));
                    continue;
                }
                Effect::Tell(detail, remember) => (detail, remember),
            };
            let Some(serial) = self.board.as_ref().map(|board| board.serial.clone()) else { continue };
            // What is remembered of a trial that went well, or that has begun, is no trouble.
            let trouble = match remember {
                Remember::Same => true,
                Remember::Tried(tried) => tried.is_some_and(|tried| tried.over),
            };
            match trouble {
                true => tracing::warn!(detail, "an update of the board did not succeed"),
                false => tracing::info!(detail, "update of the board"),
            }
            let note = match remember {
                Remember::Same => Note::Nothing,
                Remember::Tried(tried) => Note::Tried { serial: serial.to_string(), tried },
            };
            self.known.apply(&note);
            self.say_detail(now, serial, &detail, note, actions);
        }
    }

    fn kept(&mut self, now: Stamp, impossible: Vec<String>, actions: &mut Vec<Action>) {
        if self.refused.take().is_some() {
            tracing::info!("what the board sends is kept again");
        }
        for what in impossible {
            self.conditions.impossible(now.uptime_ms, what);
        }
        let Some(Busy { serial, boot, seq, note, answer }) = self.busy.take() else { return };
        if let Some(note) = note {
            self.known.apply(&note);
        }
        // A spare may have taken its place meanwhile, and have a message of the same number.
        if self.board.as_ref().is_some_and(|board| board.serial == serial && board.hello.boot == boot) {
            actions.push(Action::Send(ToBoard::Ack(simpul_wire::board::Ack { boot, seq })));
        }
        if let Some((id, result)) = answer {
            self.orders.retain(|order| order.id != id);
            actions.push(Action::Answer { id, kept: true, result });
        }
    }

    fn order(&mut self, now_ms: u64, id: [u8; 16], off_ms: u32, actions: &mut Vec<Action>) {
        let refused = match &self.board {
            _ if !self.settings.relay => Some("no relay at this node's board (board.relay in its configuration)"),
            None => Some("the board does not talk"),
            Some(_) if self.orders.len() >= ORDERS_MAX => Some("the board is busy"),
            Some(_) => None,
        };
        if let Some(why) = refused {
            actions.push(Action::Answer { id, kept: false, result: Err(why.to_owned()) });
            return;
        }
        let boot = self.board.as_ref().map_or(0, |board| board.hello.boot);
        self.orders.push(Order { id, off_ms, boot, sent: 1, sent_at_ms: now_ms });
        actions.push(Action::Send(ToBoard::Relay(RelayOrder { id, off_ms })));
    }

    fn say(&mut self, record: EventRecord, note: Note, urgent: bool, actions: &mut Vec<Action>) {
        actions.push(Action::Say(Said { record, note, urgent }));
    }

    /// Something worth telling that is no change of the condition.
    fn say_detail(&mut self, now: Stamp, serial: Label, detail: &str, note: Note, actions: &mut Vec<Action>) {
        let (condition, _) = self.conditions.worst().unwrap_or((BoardCondition::Good, ""));
        let body = EventBody::Board { serial: Some(serial), condition, detail: Text::clipped(detail) };
        self.say(EventRecord { stamp: now, body }, note, false, actions);
    }

    fn say_condition(&mut self, now: Stamp, condition: BoardCondition, detail: &str, actions: &mut Vec<Action>) {
        let serial = self.board.as_ref().map(|board| board.serial.clone());
        let serial = serial.or_else(|| self.known.serials().pop().map(|serial| Label::clipped(&serial)));
        match condition {
            BoardCondition::Good => tracing::info!("the board is good"),
            _ => tracing::warn!(%condition, detail, "the board's condition changed"),
        }
        let body = EventBody::Board { serial, condition, detail: Text::clipped(detail) };
        let note = Note::Condition(condition.number());
        self.known.apply(&note);
        self.say(EventRecord { stamp: now, body }, note, false, actions);
    }
}

/// The board that talks, as an update sees it.
fn updatable<'a>(board: &'a Option<Board>, known: &Known) -> Option<(&'a Hello, Option<Tried>)> {
    board.as_ref().map(|board| (&board.hello, known.tried(&board.serial)))
}

/// What came of a power cycle, in words.
fn relay(outcome: RelayOutcome) -> Result<String, String> {
    match outcome {
        RelayOutcome::Done => Ok("switched off and on again".to_owned()),
        RelayOutcome::TooLong => Err("refused by the board: longer off than it allows".to_owned()),
        RelayOutcome::TooSoon => Err("refused by the board: too soon after the last time".to_owned()),
        RelayOutcome::Busy => Err("refused by the board: another order is being done".to_owned()),
        RelayOutcome::Interrupted => Err("the board started anew while the load was off; it is on again".to_owned()),
    }
}

/// The stamp of a message with a board's time. A gasp is dated when it comes, others by their age; the line and the
/// operating system deliver both in one piece at times, and then what came of the outage would be dated before it.
fn dated(now: Stamp, message: &Numbered, gasped: Option<&Gasped>) -> Stamp {
    let stamp = aged(now, message.sent_ms.saturating_sub(message.at_ms));
    let gasp = gasped.filter(|gasp| gasp.boot == message.boot && gasp.at_ms <= message.at_ms);
    match gasp {
        Some(gasp) if gasp.stamp.boot == stamp.boot && gasp.stamp.uptime_ms > stamp.uptime_ms => gasp.stamp,
        _ => stamp,
    }
}

/// The stamp of something that happened `age_ms` ago. Uptime ends at the machine's boot, wall time does not.
fn aged(now: Stamp, age_ms: u64) -> Stamp {
    let age_ms = age_ms.min(AGE_MS_MAX);
    let wall_ms = now.wall_ms.map(|wall_ms| wall_ms.saturating_sub(i64::try_from(age_ms).unwrap_or(i64::MAX)));
    Stamp { boot: now.boot, uptime_ms: now.uptime_ms.saturating_sub(age_ms), wall_ms }
}
