//! The self-test: `(now, event) -> actions`, pure. One thing after the other, what needs no hand first; each ends as
//! present, wrong or timed out, and none holds up the next.
//!
//! Decisions are made of what the board says, never of what it does not say: readings carry a reason for what is missing
//! ([`Missing`]), a relay's order has a result, a lid and a button have edges.

use std::collections::VecDeque;

use simpul_wire::Missing;
use simpul_wire::board::{
    CAGES, DESKS, DeskTotals, FromBoard, Measured, Module, NumberedBody, Reading, RelayOrder, RelayOutcome,
    SupplyState, ToBoard,
};

use super::expect::Expect;

/// Three rounds of readings: the first may be under way with other settings.
const READINGS_MS: u64 = 3 * simpul_wire::board::READINGS_EVERY_MS;

/// The load is off for so long: a relay that is heard twice.
pub const RELAY_OFF_MS: u32 = 1_000;

/// An order is sent again after so long (the same id is the same order), and given up after [`RELAY_MS`].
const RELAY_AGAIN_MS: u64 = 3_000;
const RELAY_MS: u64 = 10_000;

/// A 12 V supply and a lead battery in any state that is well, within the divider's 3 %.
pub const VOLTS_MV: std::ops::RangeInclusive<u32> = 10_000..=15_500;

/// Numbers in [`simpul_wire::metrics`].
const SUPPLY_VOLTAGE: u8 = 10;
const BATTERY_VOLTAGE: u8 = 11;
/// Received power of the first cage; the second one's is five further.
const RX_POWER: u8 = 12;
const OPTICS: u8 = 5;

/// What is tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// The voltage behind the fuse, and the comparator.
    Supply,
    /// The battery's voltage.
    Battery,
    /// The module in a cage, from 0.
    Sfp(u8),
    /// The relay.
    Relay,
    /// The lid's switch.
    Tamper,
    /// The button of a desk, from 0.
    Button(u8),
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Present,
    /// There, and not as it should be; or the board says why it is not there.
    Wrong,
    /// Nothing came.
    Timeout,
    /// Not done, for a reason that is no fault.
    Skipped,
}

/// What was seen.
#[derive(Debug, Clone, PartialEq)]
pub enum Detail {
    /// Nothing to add.
    None,
    /// A voltage.
    Millivolts(u32),
    /// A voltage that is none of a 12 V supply.
    NotTwelveVolts(u32),
    /// The voltage is there and the comparator says that the mains are gone.
    NoPowerGood(u32),
    /// The board says why it measures nothing.
    Missing(Missing),
    /// A module and the light that it receives, in nW.
    Light {
        /// Vendor and part.
        module: String,
        /// Received power.
        nanowatts: u32,
    },
    /// What came of the order.
    Relay(RelayOutcome),
    /// The lid says open when it is closed.
    LidInverted,
    /// It was opened and never closed.
    LidStaysOpen,
    /// Other desks' buttons counted, as bits.
    OtherButtons(u8),
    /// It is held down.
    Stuck,
    /// The board may be known to an agent: a press may become somebody's visit.
    NotNew,
}

/// One line of the result.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// What.
    pub what: What,
    /// How it ended.
    pub verdict: Verdict,
    /// What was seen.
    pub detail: Detail,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Say to the person, or show, what is tested now.
    Ask(What),
    /// Send.
    Send(ToBoard),
    /// Greet: the board begins a round of readings.
    Greet,
    /// A result.
    Done(Checked),
    /// All is tested.
    Finished,
}

/// How long a person has for one thing, and whether buttons may be pressed.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// For a press or a lid.
    pub hand_ms: u64,
    /// Presses count as any others do; a board that is not new may be known to an agent.
    pub press: bool,
    /// The relay's order: another one at each test.
    pub order: [u8; 16],
}

/// The core.
#[derive(Debug)]
pub struct SelfTest {
    terms: Terms,
    left: VecDeque<What>,
    finished: bool,
    current: Option<Current>,
    modules: [Option<Module>; CAGES],
    power: Option<SupplyState>,
    totals: [DeskTotals; DESKS],
    /// Held down, as bits.
    stuck: u8,
    /// Buttons that have been found well, as bits: a second press of theirs is none of the next one.
    passed: u8,
}

#[derive(Debug)]
struct Current {
    what: What,
    since_ms: u64,
    /// When the order was last sent.
    sent_ms: u64,
    /// The newest reason that something is missing.
    missing: Option<Missing>,
    lid: Lid,
}

/// What the lid has said since it was asked for.
#[derive(Debug, Clone, Copy)]
enum Lid {
    Untouched,
    Opened,
    ClosedFirst,
    OpenedLast,
}

impl SelfTest {
    /// A test of what is expected, on a board with these totals.
    pub fn new(expect: &Expect, totals: [DeskTotals; DESKS], terms: Terms) -> SelfTest {
        let bits = |bits: u8, max: usize| (0u8..).take(max).filter(move |bit| bits & (1 << bit) != 0);
        let mut left = VecDeque::new();
        left.extend(expect.supply.then_some(What::Supply));
        left.extend(expect.battery.then_some(What::Battery));
        left.extend(bits(expect.cages, CAGES).map(What::Sfp));
        left.extend(expect.relay.then_some(What::Relay));
        left.extend(expect.tamper.then_some(What::Tamper));
        left.extend(bits(expect.desks, DESKS).map(What::Button));
        let modules = [const { None }; CAGES];
        SelfTest { terms, left, finished: false, current: None, modules, power: None, totals, stuck: 0, passed: 0 }
    }

    /// Time passed, or nothing was begun yet.
    pub fn tick(&mut self, now_ms: u64) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.current.is_none() && !self.finished {
            self.begin(now_ms, &mut actions);
        }
        let Some(current) = &mut self.current else { return actions };
        let waited_ms = now_ms.saturating_sub(current.since_ms);
        let limit_ms = match current.what {
            What::Supply | What::Battery | What::Sfp(_) => READINGS_MS,
            What::Relay => RELAY_MS,
            What::Tamper | What::Button(_) => self.terms.hand_ms,
        };
        if waited_ms >= limit_ms {
            let (verdict, detail) = match (current.what, current.missing, current.lid) {
                (What::Tamper, _, Lid::Opened) => (Verdict::Wrong, Detail::LidStaysOpen),
                (What::Tamper, _, Lid::OpenedLast) => (Verdict::Wrong, Detail::LidInverted),
                (_, Some(reason), _) => (Verdict::Wrong, Detail::Missing(reason)),
                _ => (Verdict::Timeout, Detail::None),
            };
            self.end(now_ms, verdict, detail, &mut actions);
        } else if current.what == What::Relay && now_ms.saturating_sub(current.sent_ms) >= RELAY_AGAIN_MS {
            current.sent_ms = now_ms;
            actions.push(self.relay_order());
        }
        actions
    }

    /// The board said something.
    pub fn message(&mut self, now_ms: u64, message: &FromBoard) -> Vec<Action> {
        let mut actions = Vec::new();
        match message {
            FromBoard::Module(module) => {
                if let Some(known) = self.modules.get_mut(usize::from(module.cage)) {
                    *known = Some(module.clone());
                }
            }
            FromBoard::Readings(readings) => {
                if let Some((verdict, detail)) = self.read(&readings.items) {
                    self.end(now_ms, verdict, detail, &mut actions);
                }
            }
            FromBoard::Numbered(numbered) => match &numbered.body {
                NumberedBody::Power(state) => self.power = Some(*state),
                NumberedBody::Totals(totals) => {
                    let before = std::mem::replace(&mut self.totals, *totals);
                    self.pressed(now_ms, &before, &mut actions);
                }
                NumberedBody::ButtonStuck { desk, stuck } => {
                    let bit = 1u8.checked_shl((*desk).into()).unwrap_or(0);
                    self.stuck = if *stuck { self.stuck | bit } else { self.stuck & !bit };
                    if *stuck && self.is_at(What::Button(*desk)) {
                        self.end(now_ms, Verdict::Wrong, Detail::Stuck, &mut actions);
                    }
                }
                NumberedBody::Tamper { open } => self.lid(now_ms, *open, &mut actions),
                NumberedBody::RelayResult { id, outcome } if *id == self.terms.order && self.is_at(What::Relay) => {
                    let well = *outcome == RelayOutcome::Done;
                    let verdict = if well { Verdict::Present } else { Verdict::Wrong };
                    self.end(now_ms, verdict, Detail::Relay(*outcome), &mut actions);
                }
                NumberedBody::RelayResult { .. } | NumberedBody::JournalFailed => {}
            },
            FromBoard::Hello(_) | FromBoard::Gasp(_) | FromBoard::Update(_) => {}
        }
        actions
    }

    fn is_at(&self, what: What) -> bool {
        self.current.as_ref().is_some_and(|current| current.what == what)
    }

    fn begin(&mut self, now_ms: u64, actions: &mut Vec<Action>) {
        let Some(what) = self.left.pop_front() else {
            self.finished = true;
            actions.push(Action::Finished);
            return;
        };
        self.current = Some(Current { what, since_ms: now_ms, sent_ms: now_ms, missing: None, lid: Lid::Untouched });
        match what {
            What::Button(_) if !self.terms.press => {
                self.end(now_ms, Verdict::Skipped, Detail::NotNew, actions);
            }
            What::Button(desk) if self.stuck & (1 << desk) != 0 => {
                self.end(now_ms, Verdict::Wrong, Detail::Stuck, actions);
            }
            What::Supply | What::Battery | What::Sfp(_) => actions.extend([Action::Ask(what), Action::Greet]),
            What::Relay => actions.extend([Action::Ask(what), self.relay_order()]),
            What::Tamper | What::Button(_) => actions.push(Action::Ask(what)),
        }
    }

    fn end(&mut self, now_ms: u64, verdict: Verdict, detail: Detail, actions: &mut Vec<Action>) {
        let Some(current) = self.current.take() else { return };
        if let (What::Button(desk), Verdict::Present) = (current.what, verdict) {
            self.passed |= 1 << desk;
        }
        actions.push(Action::Done(Checked { what: current.what, verdict, detail }));
        self.begin(now_ms, actions);
    }

    fn relay_order(&self) -> Action {
        Action::Send(ToBoard::Relay(RelayOrder { id: self.terms.order, off_ms: RELAY_OFF_MS }))
    }

    /// A round of readings: what it decides, if anything.
    fn read(&mut self, items: &[Reading]) -> Option<(Verdict, Detail)> {
        let current = self.current.as_mut()?;
        let metric = match current.what {
            What::Supply => SUPPLY_VOLTAGE,
            What::Battery => BATTERY_VOLTAGE,
            What::Sfp(cage) => RX_POWER + OPTICS * cage,
            What::Relay | What::Tamper | What::Button(_) => return None,
        };
        let value = items.iter().find(|item| item.metric == metric)?.value;
        match value {
            // Of before the settings, or of a module that starts: a later round tells.
            Measured::Missing(reason) if matches!(reason.0, Missing::NotYet | Missing::NotSupported) => {
                current.missing = Some(reason.0);
                None
            }
            Measured::Missing(reason) => Some((Verdict::Wrong, Detail::Missing(reason.0))),
            Measured::Millivolts(mv) => Some(match current.what {
                _ if !VOLTS_MV.contains(&mv) => (Verdict::Wrong, Detail::NotTwelveVolts(mv)),
                What::Supply if matches!(self.power, Some(SupplyState::Battery | SupplyState::BatteryLow)) => {
                    (Verdict::Wrong, Detail::NoPowerGood(mv))
                }
                _ => (Verdict::Present, Detail::Millivolts(mv)),
            }),
            Measured::Nanowatts(nanowatts) => {
                let What::Sfp(cage) = current.what else { return None };
                let module = match self.modules.get(usize::from(cage)).and_then(Option::as_ref).map(|at| &at.found) {
                    Some(Ok(found)) => format!("{} {}", found.vendor, found.part),
                    _ => String::new(),
                };
                Some((Verdict::Present, Detail::Light { module, nanowatts }))
            }
            Measured::MilliCelsius(_) | Measured::Microamperes(_) => None,
        }
    }

    /// A lid that is opened says open, and closed after. One that says closed first stood open when the test began, or has
    /// the other kind of switch: then it says open at the end, and is never closed.
    fn lid(&mut self, now_ms: u64, open: bool, actions: &mut Vec<Action>) {
        let Some(current) = self.current.as_mut().filter(|current| current.what == What::Tamper) else { return };
        match (current.lid, open) {
            (Lid::Untouched, true) => current.lid = Lid::Opened,
            (Lid::Untouched, false) => current.lid = Lid::ClosedFirst,
            (Lid::ClosedFirst, true) => current.lid = Lid::OpenedLast,
            (Lid::Opened | Lid::OpenedLast, false) => self.end(now_ms, Verdict::Present, Detail::None, actions),
            (Lid::Opened | Lid::OpenedLast, true) | (Lid::ClosedFirst, false) => {}
        }
    }

    fn pressed(&mut self, now_ms: u64, before: &[DeskTotals; DESKS], actions: &mut Vec<Action>) {
        let Some(What::Button(asked)) = self.current.as_ref().map(|current| current.what) else { return };
        let desks = (0u8..).zip(before.iter().zip(&self.totals));
        let counted = desks.filter(|(_, (before, now))| before != now).fold(0u8, |bits, (desk, _)| bits | 1 << desk);
        let asked_bit = 1 << asked;
        let others = counted & !self.passed & !asked_bit;
        match (counted & asked_bit != 0, others) {
            (true, 0) => self.end(now_ms, Verdict::Present, Detail::None, actions),
            (_, 1..) => self.end(now_ms, Verdict::Wrong, Detail::OtherButtons(others), actions),
            (false, 0) => {}
        }
    }
}
