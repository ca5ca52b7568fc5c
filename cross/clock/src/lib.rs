//! The one clock of the workspace.
//!
//! Everything that needs time takes a [`Clock`] (or the time itself) as an argument; `clippy.toml` refuses
//! `SystemTime::now` and `Instant::now` elsewhere. Monotonic time drives timers and ages; wall time only labels.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A moment on this process's monotonic clock: time since the clock was made. Never goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(Duration);

impl Moment {
    /// The moment at which the clock was made.
    pub const ZERO: Moment = Moment(Duration::ZERO);

    /// A moment `milliseconds` after the clock was made.
    pub const fn from_millis(milliseconds: u64) -> Self {
        Moment(Duration::from_millis(milliseconds))
    }

    /// Milliseconds since the clock was made.
    pub fn as_millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }

    /// Time passed since `earlier`; zero when `earlier` is later than this.
    pub fn since(self, earlier: Moment) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl std::ops::Add<Duration> for Moment {
    type Output = Moment;
    fn add(self, rhs: Duration) -> Moment {
        Moment(self.0.saturating_add(rhs))
    }
}

/// Monotonic and wall time, of the machine or held by a test. Clones share the same time.
#[derive(Debug, Clone)]
pub struct Clock(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Machine { origin: Instant },
    Held(Arc<HeldTime>),
}

#[derive(Debug)]
struct HeldTime {
    monotonic_ms: AtomicU64,
    wall_ms: AtomicI64,
}

impl Clock {
    /// The machine's own clock; its [`Moment::ZERO`] is this call.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    pub fn machine() -> Self {
        Clock(Kind::Machine { origin: Instant::now() })
    }

    /// A clock that stands still until [`Clock::advance`] or [`Clock::set_wall_ms`] moves it.
    pub fn held(wall_ms: i64) -> Self {
        Clock(Kind::Held(Arc::new(HeldTime { monotonic_ms: AtomicU64::new(0), wall_ms: AtomicI64::new(wall_ms) })))
    }

    /// Now, monotonic.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    pub fn now(&self) -> Moment {
        match &self.0 {
            Kind::Machine { origin } => Moment(Instant::now().saturating_duration_since(*origin)),
            Kind::Held(time) => Moment::from_millis(time.monotonic_ms.load(Ordering::SeqCst)),
        }
    }

    /// Now, as Unix time in milliseconds (UTC). May be wrong or jump: label with it, never time with it.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    pub fn wall_ms(&self) -> i64 {
        match &self.0 {
            Kind::Machine { .. } => match SystemTime::now().duration_since(UNIX_EPOCH) {
                Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
                Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
            },
            Kind::Held(time) => time.wall_ms.load(Ordering::SeqCst),
        }
    }

    /// Move a held clock, monotonic and wall together. No effect on the machine's clock.
    pub fn advance(&self, by: Duration) {
        if let Kind::Held(time) = &self.0 {
            let milliseconds = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
            time.monotonic_ms.fetch_add(milliseconds, Ordering::SeqCst);
            time.wall_ms.fetch_add(i64::try_from(milliseconds).unwrap_or(i64::MAX), Ordering::SeqCst);
        }
    }

    /// Set a held clock's wall time alone, as a wrong clock would jump. No effect on the machine's clock.
    pub fn set_wall_ms(&self, wall_ms: i64) {
        if let Kind::Held(time) = &self.0 {
            time.wall_ms.store(wall_ms, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_clock_moves_only_when_told() {
        let clock = Clock::held(1_000);
        let other = clock.clone();
        clock.advance(Duration::from_millis(250));
        assert_eq!((other.now().as_millis(), other.wall_ms()), (250, 1_250));
        other.set_wall_ms(5);
        assert_eq!((clock.now().as_millis(), clock.wall_ms()), (250, 5));
    }

    #[test]
    fn the_machines_moments_never_go_back() {
        let clock = Clock::machine();
        let first = clock.now();
        assert!(clock.now() >= first);
    }
}
