//! What a node's I/O board last said by events, in whatever order they come, and the board as the room sees it. Pure.
//!
//! Left to others: fetching events ([`super::notable`]), judging received power ([`super::optics`]).

use std::collections::BTreeMap;

use simpul_wire::event::{BoardCondition, BoardReset, EventBody, OpticsModule, PowerCondition};
use simpul_wire::reading::Value;
use simpul_wire::{Label, Missing, NodeId, Text};

use super::judges::{CAGES, Judges, rx_power};
use super::model::{
    BoardFaultView, BoardStartedView, BoardView, CageView, CommandResultView, JudgementView, LimitsView, ModuleView,
    OpticalState, OutageView, PowerView, ReadingView, StuckButtonView, TamperView,
};
use super::optics::{Level, Limits};
use super::rows;
use crate::store::LatestReading;

/// Readings older than this are stale: a board measures every 10 s and an agent sends blocks of a minute, so one lost
/// block is no reason yet and the second is.
pub const STALE_AFTER_S: u32 = 180;

/// Desks whose button is remembered: a board has eight; more is a fault that must not grow memory.
const DESKS_MAX: usize = 16;

/// When something was said: its date, and its place among what has the same date.
pub type When = (i64, i64);

/// A state that holds, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held<T> {
    value: T,
    since_ms: i64,
    newest: When,
    /// Another value was seen before `since_ms`: it reaches no further back.
    bounded: bool,
}

impl<T: PartialEq> Held<T> {
    /// Note that `value` was said.
    fn note(slot: &mut Option<Held<T>>, when: When, value: T) {
        let Some(held) = slot else {
            *slot = Some(Held { value, since_ms: when.0, newest: when, bounded: false });
            return;
        };
        let same = held.value == value;
        if when >= held.newest {
            if !same {
                (held.value, held.since_ms, held.bounded) = (value, when.0, true);
            }
            held.newest = when;
        } else if when.0 <= held.since_ms && !held.bounded {
            // Read from the newest backwards: the same again reaches further back, another one ends that.
            if same {
                held.since_ms = when.0;
            } else {
                held.bounded = true;
            }
        }
    }
}

/// The newest of something.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Newest<T> {
    when: When,
    value: T,
}

impl<T> Newest<T> {
    fn note(slot: &mut Option<Newest<T>>, when: When, value: T) {
        if slot.as_ref().is_none_or(|held| held.when <= when) {
            *slot = Some(Newest { when, value });
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Started {
    serial: Label,
    boot: u32,
    reset: BoardReset,
    version: Label,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Answer {
    id: [u8; 16],
    done: bool,
    detail: Text,
}

/// What one node's events last said of its board.
#[derive(Debug, Default)]
pub struct Said {
    serial: Option<Newest<Label>>,
    condition: Option<Held<BoardCondition>>,
    detail: Option<Newest<Text>>,
    fault: Option<Newest<(BoardCondition, Text)>>,
    started: Option<Newest<Started>>,
    tamper: Option<Held<bool>>,
    buttons: BTreeMap<Label, Option<Held<bool>>>,
    power: Option<Held<PowerCondition>>,
    outage: Option<Newest<u64>>,
    cages: [Option<Held<Found>>; CAGES as usize],
    result: Option<Newest<Answer>>,
}

/// A module, or why there is none.
type Found = Result<OpticsModule, Option<Missing>>;

impl Said {
    /// Note an event.
    pub fn note(&mut self, when: When, body: &EventBody) {
        match body {
            EventBody::Board { serial, condition, detail } => {
                if let Some(serial) = serial {
                    Newest::note(&mut self.serial, when, serial.clone());
                }
                Held::note(&mut self.condition, when, *condition);
                Newest::note(&mut self.detail, when, detail.clone());
                if *condition != BoardCondition::Good {
                    Newest::note(&mut self.fault, when, (*condition, detail.clone()));
                }
            }
            EventBody::BoardStarted { serial, boot, reset, version } => {
                Newest::note(&mut self.serial, when, serial.clone());
                let (serial, version) = (serial.clone(), version.clone());
                Newest::note(&mut self.started, when, Started { serial, boot: *boot, reset: *reset, version });
            }
            EventBody::Tamper { open } => Held::note(&mut self.tamper, when, *open),
            EventBody::ButtonStuck { desk, stuck } => {
                if self.buttons.contains_key(desk) || self.buttons.len() < DESKS_MAX {
                    Held::note(self.buttons.entry(desk.clone()).or_default(), when, *stuck);
                }
            }
            EventBody::Power { condition, outage_ms } => {
                // The machine says of itself that its voltage is low, and never that it is well again: an event, but no
                // state of the supply.
                if *condition != PowerCondition::Undervoltage {
                    Held::note(&mut self.power, when, *condition);
                }
                if let Some(outage_ms) = outage_ms {
                    Newest::note(&mut self.outage, when, *outage_ms);
                }
            }
            EventBody::Optics { cage, module, missing } => {
                if let Some(slot) = self.cages.get_mut(usize::from(*cage)) {
                    Held::note(slot, when, module.clone().ok_or(*missing));
                }
            }
            EventBody::CommandResult { id, done, detail } => {
                Newest::note(&mut self.result, when, Answer { id: *id, done: *done, detail: detail.clone() });
            }
            EventBody::ClockAnchor { .. }
            | EventBody::Loss(_)
            | EventBody::Started { .. }
            | EventBody::Stopping {}
            | EventBody::Camera { .. }
            | EventBody::Spool { .. }
            | EventBody::Link { .. }
            | EventBody::Examination { .. }
            | EventBody::Update { .. }
            | EventBody::Site { .. } => {}
        }
    }

    /// The module of a cage (`None`: there is none) and since when; `None` if nothing was ever said of that cage.
    pub fn module(&self, cage: u8) -> Option<(Option<&OpticsModule>, i64)> {
        let held = self.cages.get(usize::from(cage))?.as_ref()?;
        Some((held.value.as_ref().ok(), held.since_ms))
    }

    /// What came of the node's newest command.
    pub fn last_command(&self) -> Option<CommandResultView> {
        self.result.as_ref().map(|Newest { when, value }| CommandResultView {
            id: hex::encode(value.id),
            done: value.done,
            detail: value.detail.to_string(),
            at_ms: when.0,
        })
    }

    fn is_silent(&self) -> bool {
        self.condition.is_none()
            && self.started.is_none()
            && self.tamper.is_none()
            && self.buttons.is_empty()
            && self.cages.iter().all(Option::is_none)
    }
}

/// A node's board; `None` if nothing was ever heard of one.
pub fn view(
    node: &NodeId,
    said: Option<&Said>,
    readings: &[&LatestReading],
    judges: &Judges,
    now_ms: i64,
) -> Option<BoardView> {
    let silent = Said::default();
    let said = said.unwrap_or(&silent);
    let measured = Measured { readings, now_ms };
    let (supply_voltage, battery_voltage) = (measured.get("supply_voltage"), measured.get("battery_voltage"));
    let cages: Vec<CageView> = (0..CAGES).filter_map(|cage| cage_view(node, cage, said, &measured, judges)).collect();
    if said.is_silent() && supply_voltage.is_none() && battery_voltage.is_none() && cages.is_empty() {
        return None;
    }
    Some(BoardView {
        serial: said.serial.as_ref().map(|serial| serial.value.to_string()),
        condition: said.condition.as_ref().map(|held| held.value.to_string()),
        detail: said.detail.as_ref().map(|detail| detail.value.to_string()).filter(|detail| !detail.is_empty()),
        since_ms: said.condition.as_ref().map(|held| held.since_ms),
        last_fault: said.fault.as_ref().map(|fault| BoardFaultView {
            condition: fault.value.0.to_string(),
            detail: fault.value.1.to_string(),
            at_ms: fault.when.0,
        }),
        started: said.started.as_ref().map(started),
        tamper: said.tamper.as_ref().map(|held| TamperView { open: held.value, since_ms: held.since_ms }),
        buttons_stuck: stuck(&said.buttons),
        power: said.power.as_ref().map(|held| PowerView { condition: held.value.to_string(), since_ms: held.since_ms }),
        last_outage: said.outage.as_ref().map(|outage| OutageView { outage_ms: outage.value, ended_ms: outage.when.0 }),
        supply_voltage,
        battery_voltage,
        cages,
        stale_after_s: STALE_AFTER_S,
    })
}

struct Measured<'a> {
    readings: &'a [&'a LatestReading],
    now_ms: i64,
}

impl Measured<'_> {
    fn latest(&self, metric: &str) -> Option<&LatestReading> {
        self.readings.iter().find(|reading| reading.metric == metric).copied()
    }

    fn get(&self, metric: &str) -> Option<ReadingView> {
        self.latest(metric).map(|reading| rows::reading(reading, self.now_ms))
    }
}

fn started(started: &Newest<Started>) -> BoardStartedView {
    let Started { serial, boot, reset, version } = &started.value;
    let (firmware, hardware) = match version.split_once(' ') {
        Some((firmware, hardware)) => (firmware, Some(hardware.to_owned())),
        None => (version.as_str(), None),
    };
    BoardStartedView {
        serial: serial.to_string(),
        boot: *boot,
        reset: reset.to_string(),
        firmware: firmware.to_owned(),
        hardware,
        at_ms: started.when.0,
    }
}

fn stuck(buttons: &BTreeMap<Label, Option<Held<bool>>>) -> Vec<StuckButtonView> {
    let held = buttons.iter().filter_map(|(desk, held)| held.as_ref().map(|held| (desk, held)));
    held.filter(|(_, held)| held.value)
        .map(|(desk, held)| StuckButtonView { desk: desk.to_string(), since_ms: held.since_ms })
        .collect()
}

fn cage_view(node: &NodeId, cage: u8, said: &Said, measured: &Measured<'_>, judges: &Judges) -> Option<CageView> {
    let metric = |name: &str| measured.get(&format!("optics.{cage}.{name}"));
    let held = said.cages.get(usize::from(cage)).and_then(Option::as_ref);
    let received = measured.latest(&rx_power(cage));
    let view = CageView {
        cage,
        module: held.and_then(|held| held.value.as_ref().ok()).map(module_view),
        missing: held.and_then(|held| held.value.as_ref().err().copied().flatten()).map(|reason| reason.to_string()),
        since_ms: held.map(|held| held.since_ms),
        judgement: received.map(|reading| judgement(node, cage, reading, judges)),
        rx_power: metric("rx_power"),
        tx_power: metric("tx_power"),
        tx_bias: metric("tx_bias"),
        temperature: metric("temperature"),
        supply: metric("supply"),
    };
    let measures = [&view.rx_power, &view.tx_power, &view.tx_bias, &view.temperature, &view.supply];
    (held.is_some() || measures.into_iter().any(Option::is_some)).then_some(view)
}

fn module_view(module: &OpticsModule) -> ModuleView {
    ModuleView {
        vendor: module.vendor.to_string(),
        part: module.part.to_string(),
        serial: module.serial.to_string(),
        wavelength_nm: module.wavelength_nm,
        measures: module.measures,
    }
}

/// By the newest reading: a number is judged, darkness is a state, any other reason is not known.
fn judgement(node: &NodeId, cage: u8, newest: &LatestReading, judges: &Judges) -> JudgementView {
    let judged = judges.of(node, cage);
    let (level, limits) = match judged {
        Some((judged, limits)) => (Some(judged), limits),
        None => (None, Limits::CLASS_B_PLUS),
    };
    let state = match newest.value {
        Value::Number(_) => level.and_then(|judged| judged.level).map_or(OpticalState::Unknown, state_of),
        Value::Missing(Missing::NoLight) => OpticalState::NoLight,
        Value::Missing(_) => OpticalState::Unknown,
    };
    let known = level.filter(|judged| judged.level.is_some());
    let since_ms = match newest.value {
        Value::Number(_) => known.map(|judged| judged.since_ms),
        Value::Missing(_) => level.and_then(|judged| judged.dark_since_ms).or(Some(newest.at_ms)),
    };
    JudgementView {
        state,
        since_ms,
        before: match newest.value {
            Value::Number(_) => level.and_then(|judged| judged.before).map(state_of),
            Value::Missing(_) => known.and_then(|judged| judged.level).map(state_of),
        },
        at_ms: newest.at_ms,
        limits: LimitsView {
            critical_below_dbm: limits.critical_below_dbm,
            weak_below_dbm: limits.weak_below_dbm,
            overload_above_dbm: limits.overload_above_dbm,
            own: limits.own,
        },
    }
}

fn state_of(level: Level) -> OpticalState {
    match level {
        Level::Good => OpticalState::Good,
        Level::Weak => OpticalState::Weak,
        Level::Critical => OpticalState::Critical,
        Level::Overload => OpticalState::Overload,
    }
}

#[cfg(test)]
#[path = "board_tests.rs"]
mod tests;
