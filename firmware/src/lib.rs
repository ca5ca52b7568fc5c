//! The I/O board's firmware: counts at the service desks, measures optics and supply, switches the relay, and tells its
//! agent, through power cuts and a cable that comes and goes.
//!
//! # Shape
//!
//! ```text
//! pins, ADC, I2C --Inputs--> node: desks, supply, tamper, relay, outbox --Outputs--> relay pin, UART, journal
//! ```
//!
//! - `node`: `step(now_ms, inputs) -> outputs`, pure, bounded work a step, no clock and no pins. Everything that a
//!   test of the whole firmware needs is in there.
//! - `runtime`: the thin loop around it, generic over `embedded-hal` and `embedded-io`: reads pins, runs the drivers,
//!   writes the journal, feeds bytes.
//! - `drivers`: one chip a file.
//! - `journal`: totals, boot number and settings, kept over a power cut at any byte.
//! - `update`: a new image over the link, and what the loader does with it.
//! - `boards/*`: pins, clocks and shims of real hardware only; the one place for `unsafe`.
//!
//! # Order of promises
//!
//! A press is **in the journal before it is sent**, so a total that the agent acknowledged can never go back. A press
//! whose journal entry was not finished was never accepted. The dying gasp goes before everything, also before the
//! frame that is being sent.
#![no_std]
#![forbid(unsafe_code)]

pub mod desks;
pub mod drivers;
pub mod journal;
pub mod kept;
pub mod light;
pub mod node;
pub mod outbox;
pub mod relay;
pub mod runtime;
pub mod sampling;
pub mod supply;
pub mod tamper;
pub mod update;

/// The time at which something is due that is not due at all.
pub const NEVER: u64 = u64::MAX;

#[cfg(test)]
extern crate std;
