//! Every receiver's judgement, followed from the store's minutes ([`super::optics`] judges, this file fetches).
//!
//! A minute is folded for good once a newer one has begun; the newest one is folded anew with each of its readings. Data
//! that comes later for a minute that is folded already (a backlog behind the present) does not change the judgement.
//! **Start.** The first look folds the last `WINDOW_MS` before the newest reading, or since the module is in its cage
//! if that is shorter: after a restart the judgement is the one from before it, unless a level was entered longer ago
//! than that and the power has stayed within the hysteresis since.

use std::collections::BTreeMap;

use simpul_wire::NodeId;
use simpul_wire::event::OpticsModule;
use simpul_wire::reading::Value;

use super::notable::Notable;
use super::optics::{Judged, Limits, Minute};
use crate::store::{LatestReading, RollupPoint, Step, Store, StoreError};

/// How far back the first look goes: 360 minutes of one receiver are read in half a millisecond or so, which a district
/// of 850 nodes can afford at the hub's start.
const WINDOW_MS: i64 = 6 * 3_600_000;

const MINUTE_MS: i64 = 60_000;

/// Cages of one board, as in the well-known metrics (`optics.0`, `optics.1`).
pub const CAGES: u8 = 2;

/// The metric of a cage's received power.
pub fn rx_power(cage: u8) -> String {
    format!("optics.{cage}.rx_power")
}

/// The cage whose received power this metric is.
fn cage_of(metric: &str) -> Option<u8> {
    (0..CAGES).find(|cage| metric == rx_power(*cage))
}

/// All receivers.
#[derive(Debug, Default)]
pub struct Judges(BTreeMap<(NodeId, u8), Receiver>);

/// One receiver.
#[derive(Debug)]
struct Receiver {
    limits: Limits,
    /// When its module came into the cage; nothing before it is its.
    begin_ms: Option<i64>,
    /// The newest reading that was looked at.
    newest_ms: i64,
    /// Up to here, exclusive, minutes are folded for good.
    closed_to_ms: Option<i64>,
    closed: Judged,
    shown: Judged,
}

impl Judges {
    /// A receiver's judgement and the limits it was made by; `None` if it never gave a reading.
    pub fn of(&self, node: &NodeId, cage: u8) -> Option<(Judged, Limits)> {
        // A map by two keys wants both owned: a district has a few hundred of these, once a second.
        self.0.get(&(node.clone(), cage)).map(|receiver| (receiver.shown, receiver.limits))
    }

    /// Judge what came since the last call.
    pub async fn follow(
        &mut self,
        store: &dyn Store,
        latest: &[LatestReading],
        notable: &Notable,
    ) -> Result<(), StoreError> {
        for reading in latest {
            let Some(cage) = cage_of(&reading.metric) else { continue };
            let module = notable.of(&reading.node).and_then(|said| said.board.module(cage));
            let (found, since_ms) = module.map_or((None, None), |(found, since_ms)| (found, Some(since_ms)));
            let limits = Limits::of(found.and_then(|module: &OpticsModule| module.receive_limits.as_ref()));
            let key = (reading.node.clone(), cage);
            let receiver = match self.0.get_mut(&key) {
                Some(receiver) if receiver.limits == limits && receiver.begin_ms == since_ms => receiver,
                _ => self.0.entry(key).insert_entry(Receiver::new(limits, since_ms)).into_mut(),
            };
            if receiver.newest_ms != reading.at_ms {
                receiver.look(store, reading, cage).await?;
            }
        }
        Ok(())
    }
}

impl Receiver {
    fn new(limits: Limits, begin_ms: Option<i64>) -> Receiver {
        let (closed, shown) = (Judged::default(), Judged::default());
        Receiver { limits, begin_ms, newest_ms: i64::MIN, closed_to_ms: None, closed, shown }
    }

    async fn look(&mut self, store: &dyn Store, newest: &LatestReading, cage: u8) -> Result<(), StoreError> {
        let open_ms = newest.at_ms.div_euclid(MINUTE_MS) * MINUTE_MS;
        // The minute in which the module came holds readings of the one before it too.
        let first_own_ms = self.begin_ms.map(|begin_ms| (begin_ms.div_euclid(MINUTE_MS) + 1) * MINUTE_MS);
        let earliest_ms = (open_ms - WINDOW_MS).max(first_own_ms.unwrap_or(i64::MIN));
        let from_ms = self.closed_to_ms.map_or(earliest_ms, |closed_to_ms| closed_to_ms.max(earliest_ms));
        let end_ms = open_ms + MINUTE_MS;
        let points = if from_ms < end_ms {
            store.readings(newest.node.clone(), rx_power(cage), Step::Minute, from_ms, end_ms).await?
        } else {
            Vec::new()
        };
        let mut shown = self.closed;
        for minute in points.iter().map(minute) {
            shown = shown.then(minute, &self.limits);
            if minute.at_ms < open_ms {
                self.closed = shown;
            }
        }
        if self.closed_to_ms.is_none_or(|closed_to_ms| closed_to_ms < open_ms) {
            self.closed_to_ms = Some(open_ms);
        }
        if shown.level.is_none()
            && let Value::Number(dbm) = newest.value
            && self.begin_ms.is_none_or(|begin_ms| begin_ms <= newest.at_ms)
        {
            // Right after a module came: better its one reading than a minute of silence.
            shown = shown.then(Minute { at_ms: newest.at_ms, power_dbm: Some((dbm, dbm)) }, &self.limits);
        }
        (self.shown, self.newest_ms) = (shown, newest.at_ms);
        Ok(())
    }
}

fn minute(point: &RollupPoint) -> Minute {
    Minute { at_ms: point.at_ms, power_dbm: (point.count > 0).then_some((point.min, point.max)) }
}

#[cfg(test)]
#[path = "judges_tests.rs"]
mod tests;
