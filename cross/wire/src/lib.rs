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
//! Decoders are bounded: a 64 KiB input never allocates a megabyte, whatever it claims ([`limits`]). Nothing here
//! panics on foreign bytes, reads a clock, or does I/O.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod ack;
pub mod batch;
pub mod checksum;
pub mod column;
pub mod command;
#[cfg(feature = "zstd")]
pub mod compress;
pub mod error;
pub mod event;
pub mod ids;
pub mod image;
pub mod label;
pub mod limits;
pub mod metrics;
pub mod ranges;
pub mod reading;
pub mod service;
pub mod stamp;
pub mod state;
pub mod stream;
pub mod topic;
pub mod units;

pub use error::WireError;
pub use ids::{Epoch, Generation, NodeId};
pub use label::{Label, Text};
pub use ranges::{RangeSet, SeqRange};
pub use stamp::Stamp;
pub use stream::Stream;
pub use units::{Missing, Unit};
