//! The village daemon. Data flows one way: [`sources`] -> [`spool`] -> [`uplink`] -> hub; acknowledgements and commands
//! are the only two things that return.
//!
//! A source knows the spool's [`spool::Spool::append`] and nothing of the uplink; the uplink knows the spool and nothing
//! of the sources. Time comes in through [`stamper`] and `simpul_clock`.

pub mod carry;
pub mod cli;
pub mod commands;
pub mod config;
pub mod doctor;
pub mod enrolment;
pub mod files;
pub mod led;
pub mod phone;
pub mod run;
pub mod sources;
pub mod spool;
pub mod stamper;
pub mod status;
pub mod update;
pub mod uplink;

/// This program's version, as the hub shows it.
pub fn version() -> simpul_wire::Label {
    simpul_wire::Label::clipped(env!("CARGO_PKG_VERSION"))
}
