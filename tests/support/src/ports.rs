//! Loopback ports for programs that are told their port in a configuration file and keep it over a restart.
//!
//! Below Linux's range of ephemeral ports (32768 and up), so that no outgoing connection of the machine takes one
//! while its program is down.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::bail;

const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// How far this process has come.
static USED: AtomicU16 = AtomicU16::new(0);

/// A port that nobody listens on now and that this process has not given out before.
pub fn free() -> anyhow::Result<u16> {
    // Two test programs at once begin at different places; they meet only after a hundred ports.
    let start = u16::try_from(u64::from(std::process::id()) * 101 % u64::from(COUNT))?;
    for _ in 0..COUNT {
        let step = USED.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + (start + step % COUNT) % COUNT;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("all ports from {FIRST} on are taken")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_given_out_once() {
        let (first, second) = (free().unwrap(), free().unwrap());
        assert_ne!(first, second);
        assert!((FIRST..FIRST + COUNT).contains(&first));
    }
}
