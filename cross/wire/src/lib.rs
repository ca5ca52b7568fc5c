//! What crosses machines in Simpul, as `no_std` types: ids, units, records, batches, acknowledgements, topics.
//!
//! Village devices live for years beside newer hubs and older ones, so two rules hold for all of it: **unknown fields
//! are skipped** and **numbers are never reused**. `docs/protocol/simpul-v1.cddl` is the same in CDDL; the golden
//! bytes in `tests/golden.rs` pin every number.
//!
//! | direction | topic | payload |
//! |---|---|---|
//! | agent -> hub | `simpul/v1/<node>/up/<stream>` | [`batch`]: header, then records, reading blocks or an image part |
//! | agent -> hub | `simpul/v1/<node>/state` (retained, last will) | [`state::AgentState`] |
//! | hub -> agent | `simpul/v1/<node>/ack` (never retained) | [`ack::Downlink`] |
//! | hub -> agent | `simpul/v1/<node>/cmd` (live sessions only) | [`command::Command`] |
//!
//! How a node gets its certificate (over HTTPS, before there is any MQTT) is [`enrolment`]; how it gets a new program or
//! configuration is [`update`]; what a technician's laptop may ask by a certificate of its own is [`technician`].
//!
//! The I/O board's link to its agent is [`board`]; it needs no heap and is all that firmware takes of this crate.
//!
//! Decoders are bounded: a 64 KiB input never allocates a megabyte, whatever it claims ([`limits`]). Nothing here
//! panics on foreign bytes, reads a clock, or does I/O.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "alloc")]
extern crate alloc;

#[cfg(feature = "board")]
pub mod board;
pub mod limits;
pub mod metrics;
pub mod units;

#[cfg(feature = "alloc")]
pub mod ack;
#[cfg(feature = "alloc")]
pub mod batch;
#[cfg(feature = "alloc")]
pub mod checksum;
#[cfg(feature = "alloc")]
pub mod column;
#[cfg(feature = "alloc")]
pub mod command;
#[cfg(feature = "zstd")]
pub mod compress;
#[cfg(feature = "alloc")]
pub mod doctor;
#[cfg(feature = "alloc")]
pub mod enrolment;
#[cfg(feature = "alloc")]
pub mod error;
#[cfg(feature = "alloc")]
pub mod event;
#[cfg(feature = "alloc")]
pub mod ids;
#[cfg(feature = "alloc")]
pub mod image;
#[cfg(feature = "alloc")]
pub mod label;
#[cfg(feature = "alloc")]
pub mod ranges;
#[cfg(feature = "alloc")]
pub mod reading;
#[cfg(feature = "alloc")]
pub mod service;
#[cfg(feature = "alloc")]
pub mod stamp;
#[cfg(feature = "alloc")]
pub mod state;
#[cfg(feature = "alloc")]
pub mod stream;
#[cfg(feature = "alloc")]
pub mod technician;
#[cfg(feature = "alloc")]
pub mod topic;
#[cfg(feature = "alloc")]
pub mod update;

#[cfg(feature = "alloc")]
pub use error::WireError;
#[cfg(feature = "alloc")]
pub use ids::{Epoch, Generation, NodeId};
#[cfg(feature = "alloc")]
pub use label::{Label, Text};
#[cfg(feature = "alloc")]
pub use ranges::{RangeSet, SeqRange};
#[cfg(feature = "alloc")]
pub use stamp::Stamp;
#[cfg(feature = "alloc")]
pub use stream::Stream;
pub use units::{Missing, Unit};
