//! One budget of bytes for all connections together: publishes that are half received, or received and not yet
//! committed. Without it, a few hundred half packets take as much memory as they like.
//!
//! A connection that gets no grant stops reading and is woken when bytes come back. Leaves to the connection how long
//! it may sit on a half packet.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Waker;

/// The budget; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Budget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limit_bytes: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    used_bytes: usize,
    /// By connection, so that each waits once.
    waiting: BTreeMap<u64, Waker>,
}

/// Bytes taken from the budget; they return when it is dropped.
#[derive(Debug)]
pub(crate) struct Grant {
    budget: Budget,
    bytes: usize,
}

impl Budget {
    pub(crate) fn new(limit_bytes: usize) -> Budget {
        Budget(Arc::new(Inner { limit_bytes, state: Mutex::default() }))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes in use.
    pub(crate) fn used_bytes(&self) -> usize {
        self.state().used_bytes
    }

    /// Take `bytes`; if they are not there, `waker` is woken when some came back.
    pub(crate) fn take(&self, bytes: usize, connection: u64, waker: &Waker) -> Option<Grant> {
        let mut state = self.state();
        if state.used_bytes + bytes > self.0.limit_bytes {
            state.waiting.insert(connection, waker.clone());
            return None;
        }
        state.waiting.remove(&connection);
        state.used_bytes += bytes;
        drop(state);
        Some(Grant { budget: self.clone(), bytes })
    }

    /// The connection no longer waits.
    pub(crate) fn forget(&self, connection: u64) {
        self.state().waiting.remove(&connection);
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        let woken = {
            let mut state = self.budget.state();
            state.used_bytes = state.used_bytes.saturating_sub(self.bytes);
            if state.waiting.is_empty() { BTreeMap::new() } else { std::mem::take(&mut state.waiting) }
        };
        woken.into_values().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_and_wake_who_waits() {
        let budget = Budget::new(100);
        let (waker, count) = counting_waker();
        let first = budget.take(60, 1, &waker).unwrap();
        assert!(budget.take(50, 2, &waker).is_none());
        assert!(budget.take(50, 2, &waker).is_none());
        assert_eq!(budget.used_bytes(), 60);
        drop(first);
        assert_eq!(count.load(std::sync::atomic::Ordering::SeqCst), 1, "woken once, though asked twice");
        let _all = budget.take(100, 2, &waker).unwrap();
        assert_eq!(budget.used_bytes(), 100);
    }

    fn counting_waker() -> (Waker, Arc<std::sync::atomic::AtomicUsize>) {
        struct Count(Arc<std::sync::atomic::AtomicUsize>);
        impl std::task::Wake for Count {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            }
        }
        let count = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        (Waker::from(Arc::new(Count(count.clone()))), count)
    }
}
