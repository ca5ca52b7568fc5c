//! Stamps for records: boot number and uptime always, wall time only while the machine's clock can be believed; and
//! the clock anchors by which the hub dates everything else.
//!
//! Uptime counts through suspend (`CLOCK_BOOTTIME`, clock_gettime(2)). The wall clock is believed while the system
//! says that it is synchronised, or while it agrees with the hub's. Leaves to others: appending the anchors.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use simpul_clock::Clock;
use simpul_wire::Stamp;
use simpul_wire::event::EventBody;

use crate::config::ClockTrust;

/// systemd-timesyncd touches it on its first synchronisation; systemd-time-wait-sync does for every other daemon that
/// sets the kernel's status (systemd-time-wait-sync.service(8)). It is gone after a boot.
pub(crate) const SYNCHRONISED_FILE: &str = "/run/systemd/timesync/synchronized";

/// A clock that differs from the hub's by no more than this agrees with it: latency of a slow link included.
const AGREES_MS: i64 = 2_000;

/// The hub's time is believed for so long after it was heard: a crystal of 50 ppm drifts 4 s in it.
const HUB_HEARD_MS: u64 = 24 * 3_600_000;

/// After the hub's first word in a session its latest one is awaited for so long: an older one may have waited at the
/// broker.
const HUB_SETTLES_MS: u64 = 5_000;

/// An anchor at least this often.
const ANCHOR_INTERVAL_MS: u64 = 3_600_000;

/// A wall clock that moved by more than this against uptime was set: a new anchor.
const STEP_MS: i64 = 1_000;

/// Largest error of a clock that the system calls synchronised; NTP over a village's link stays well below.
const SYSTEM_ERROR_MS: u32 = 500;

/// Largest error of a time that came from the hub in a message: half a slow round trip and its queue.
const HUB_ERROR_MS: u32 = 2_500;

/// Makes stamps. Clones share boot number and trust.
#[derive(Debug, Clone)]
pub struct Stamper {
    boot: u32,
    clock: Clock,
    machine: bool,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    believed: AtomicBool,
    anchors: Mutex<Anchors>,
}

impl Stamper {
    /// A stamper whose uptime is `clock`'s and whose wall time is always believed: for tests and simulations.
    pub fn new(boot: u32, clock: Clock) -> Self {
        Self::with(boot, clock, false, ClockTrust::Trust)
    }

    /// The machine's stamper. `boot` comes from the spool's witness.
    pub fn machine(boot: u32, clock: Clock, trust: ClockTrust) -> Self {
        Self::with(boot, clock, true, trust)
    }

    fn with(boot: u32, clock: Clock, machine: bool, trust: ClockTrust) -> Self {
        let believed = AtomicBool::new(trust == ClockTrust::Trust);
        let anchors = Mutex::new(Anchors::new(trust));
        Stamper { boot, clock, machine, shared: Arc::new(Shared { believed, anchors }) }
    }

    /// A stamp of now.
    pub fn now(&self) -> Stamp {
        let believed = self.shared.believed.load(Ordering::Relaxed);
        let wall_ms = believed.then(|| self.clock.wall_ms());
        Stamp { boot: self.boot, uptime_ms: self.uptime_ms(), wall_ms }
    }

    fn uptime_ms(&self) -> u64 {
        if !self.machine {
            return self.clock.now().as_millis();
        }
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let milliseconds = time.tv_sec.saturating_mul(1000).saturating_add(time.tv_nsec / 1_000_000);
        u64::try_from(milliseconds).unwrap_or_default()
    }

    /// The hub told its time.
    pub fn hub_says(&self, wall_ms: i64) {
        let uptime_ms = self.uptime_ms();
        self.anchors(|anchors| anchors.hub_says(uptime_ms, wall_ms));
    }

    /// Look at the clocks; to be called every few seconds. Returns an anchor when one is due, with the wall time when
    /// that may be saved.
    pub fn look(&self) -> Option<EventBody> {
        let synchronised = self.machine && PathBuf::from(SYNCHRONISED_FILE).exists();
        let (uptime_ms, wall_ms) = (self.uptime_ms(), self.clock.wall_ms());
        let seen = self.anchors(|anchors| anchors.look(uptime_ms, wall_ms, synchronised));
        self.shared.believed.store(seen.believed, Ordering::Relaxed);
        seen.anchor
    }

    fn anchors<T>(&self, f: impl FnOnce(&mut Anchors) -> T) -> T {
        // A panic while it was held cannot leave it half changed: plain assignments only.
        f(&mut self.shared.anchors.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What is known of the clocks: pure.
#[derive(Debug)]
struct Anchors {
    trust: ClockTrust,
    /// The hub's wall time minus uptime: the largest heard, because every delay makes it smaller.
    hub: Option<HubTime>,
    last: Option<Anchor>,
}

#[derive(Debug, Clone, Copy)]
struct HubTime {
    offset_ms: i64,
    first_heard_ms: u64,
    heard_ms: u64,
}

#[derive(Debug, Clone, Copy)]
struct Anchor {
    uptime_ms: u64,
    offset_ms: i64,
    error_ms: u32,
}

struct Seen {
    believed: bool,
    anchor: Option<EventBody>,
}

impl Anchors {
    fn new(trust: ClockTrust) -> Self {
        Anchors { trust, hub: None, last: None }
    }

    fn hub_says(&mut self, uptime_ms: u64, wall_ms: i64) {
        let offset_ms = offset(uptime_ms, wall_ms);
        self.hub = Some(match self.hub {
            Some(known) => HubTime { offset_ms: known.offset_ms.max(offset_ms), heard_ms: uptime_ms, ..known },
            None => HubTime { offset_ms, first_heard_ms: uptime_ms, heard_ms: uptime_ms },
        });
    }

    fn look(&mut self, uptime_ms: u64, wall_ms: i64, synchronised: bool) -> Seen {
        let offset_ms = offset(uptime_ms, wall_ms);
        let hub = self.hub.filter(|hub| {
            uptime_ms.saturating_sub(hub.heard_ms) < HUB_HEARD_MS
                && uptime_ms.saturating_sub(hub.first_heard_ms) >= HUB_SETTLES_MS
        });
        let agrees = hub.is_some_and(|hub| offset_ms.saturating_sub(hub.offset_ms).abs() <= AGREES_MS);
        let (believed, best) = if synchronised || self.trust == ClockTrust::Trust {
            (true, Some((offset_ms, SYSTEM_ERROR_MS)))
        } else if agrees {
            (true, Some((offset_ms, HUB_ERROR_MS)))
        } else {
            (false, hub.map(|hub| (hub.offset_ms, HUB_ERROR_MS)))
        };
        let due = best.filter(|(offset_ms, error_ms)| match self.last {
            None => true,
            Some(last) => {
                uptime_ms.saturating_sub(last.uptime_ms) >= ANCHOR_INTERVAL_MS
                    || offset_ms.saturating_sub(last.offset_ms).abs() > STEP_MS
                    || *error_ms < last.error_ms
            }
        });
        let anchor = due.map(|(offset_ms, error_ms)| {
            self.last = Some(Anchor { uptime_ms, offset_ms, error_ms });
            let wall_ms = offset_ms.saturating_add(i64::try_from(uptime_ms).unwrap_or(i64::MAX));
            EventBody::ClockAnchor { wall_ms, error_ms }
        });
        Seen { believed, anchor }
    }
}

fn offset(uptime_ms: u64, wall_ms: i64) -> i64 {
    wall_ms.saturating_sub(i64::try_from(uptime_ms).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WALL: i64 = 1_790_000_000_000;

    fn look(anchors: &mut Anchors, uptime_ms: u64, wall_ms: i64, synchronised: bool) -> (bool, Option<(i64, u32)>) {
        let seen = anchors.look(uptime_ms, wall_ms, synchronised);
        let anchor = seen.anchor.map(|body| match body {
            EventBody::ClockAnchor { wall_ms, error_ms } => (wall_ms, error_ms),
            other => panic!("{other:?} is no anchor"),
        });
        (seen.believed, anchor)
    }

    #[test]
    fn a_board_without_a_clock_has_no_wall_time() {
        let mut anchors = Anchors::new(ClockTrust::Auto);
        assert_eq!(look(&mut anchors, 60_000, 60_000, false), (false, None));
    }

    #[test]
    fn synchronising_gives_an_anchor_at_once_then_hourly_and_after_a_step() {
        let mut anchors = Anchors::new(ClockTrust::Auto);
        assert_eq!(look(&mut anchors, 10_000, WALL, true), (true, Some((WALL, SYSTEM_ERROR_MS))));
        assert_eq!(look(&mut anchors, 20_000, WALL + 10_000, true), (true, None));
        assert_eq!(look(&mut anchors, 30_000, WALL + 21_500, true).1, Some((WALL + 21_500, SYSTEM_ERROR_MS)));
        assert_eq!(look(&mut anchors, 3_630_000, WALL + 3_621_500, true).1, Some((WALL + 3_621_500, SYSTEM_ERROR_MS)));
        assert_eq!(look(&mut anchors, 3_640_000, WALL + 3_631_500, true).1, None);
    }

    #[test]
    fn the_hubs_time_anchors_a_board_whose_own_clock_is_wrong_and_stamps_stay_undated() {
        let mut anchors = Anchors::new(ClockTrust::Auto);
        // One that waited at the broker for an hour comes first.
        anchors.hub_says(100_000, WALL - 3_600_000);
        anchors.hub_says(100_200, WALL);
        assert_eq!(look(&mut anchors, 101_000, 5, false), (false, None), "the latest is awaited");
        assert_eq!(look(&mut anchors, 106_000, 5_000, false), (false, Some((WALL + 5_800, HUB_ERROR_MS))));
    }

    #[test]
    fn a_clock_that_agrees_with_the_hub_is_believed_for_a_day() {
        let mut anchors = Anchors::new(ClockTrust::Auto);
        anchors.hub_says(0, WALL);
        assert_eq!(look(&mut anchors, 6_000, WALL + 7_500, false), (true, Some((WALL + 7_500, HUB_ERROR_MS))));
        let day = HUB_HEARD_MS as i64;
        assert!(!look(&mut anchors, HUB_HEARD_MS, WALL + day, false).0);
    }

    #[test]
    fn the_machines_uptime_is_the_kernels() {
        let stamper = Stamper::machine(7, Clock::held(WALL), ClockTrust::Trust);
        let text = std::fs::read_to_string("/proc/uptime").unwrap();
        let uptime_s: f64 = text.split(' ').next().unwrap().parse().unwrap();
        let stamp = stamper.now();
        assert!((stamp.uptime_ms as f64 / 1000.0 - uptime_s).abs() < 2.0, "{stamp:?}, {uptime_s}");
        assert_eq!((stamp.boot, stamp.wall_ms), (7, Some(WALL)));
    }
}
