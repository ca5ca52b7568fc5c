//! The way to the hub: a pure scheduler and a thin MQTT adapter.
//!
//! ```text
//! spool -- state --> driver -- events --> scheduler (what goes next, and when)
//!                      ^  '--- actions <-----'
//!                      '--> mqtt (one connection) ==TLS==> hub
//! ```
//!
//! [`scheduler`] decides everything and does nothing: no clock, no I/O, no async. [`driver`] reads the spool, seals
//! batches and carries events to and fro. [`mqtt`] is one MQTT connection, [`tls`] its trust. Nothing here knows a
//! source; the spool alone owns the records, so what a connection loses is simply owed again.

pub mod buffer;
pub mod driver;
pub mod mqtt;
pub mod scheduler;
pub mod tls;

pub(crate) use driver::run_length;
