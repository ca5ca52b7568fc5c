//! The board alone: its real image in the emulator, with the test in the agent's place at the other end of the line.
#![allow(clippy::unwrap_used, reason = "a test's helpers may panic like the test itself")]

mod counting;
mod cuts;
mod greeting;
mod line;
mod optics;
mod peer;
mod relay;
mod supply;
