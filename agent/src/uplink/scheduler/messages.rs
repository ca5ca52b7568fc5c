//! What goes in and out of the scheduler: settings, events, actions.

use std::time::Duration;

use simpul_wire::ack::{Ack, HubState};
use simpul_wire::{Epoch, SeqRange, Stream};

use crate::spool::SpoolState;

/// Names one publish.
pub type Ticket = u64;

/// What the scheduler needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How many hub addresses there are.
    pub hubs: usize,
    /// How often the agent says how it is.
    pub state_interval: Duration,
    /// Longest window of the reconnect jitter.
    pub reconnect_max: Duration,
    /// No acknowledgement for so long with something in flight: connect anew.
    pub no_progress: Duration,
    /// Bytes a day; `None`: unmetered.
    pub daily_bytes_max: Option<u64>,
    /// Seed of the jitter.
    pub seed: u64,
}

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// The spool's state changed (or is there for the first time).
    Spool(Box<SpoolState>),
    /// CONNACK and SUBACK came.
    Connected,
    /// The connection ended, or could not be made.
    Disconnected,
    /// The answer to [`Action::Read`] or [`Action::ReadPart`].
    Sent(Ticket, Outcome),
    /// The broker acknowledged a publish: it paces, and frees nothing.
    PubAcked(Ticket),
    /// The hub acknowledged, or refused.
    Acked(Ack),
    /// The hub said what it is.
    Hub(HubState),
    /// The spool could not store an acknowledgement: what it named is owed still.
    AckLost,
    /// [`super::Scheduler::next_deadline`] has come.
    Tick,
}

/// What became of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Published.
    Batch {
        /// The numbers in it.
        covered: SeqRange,
        /// Records in it (blocks of readings).
        records: u32,
        /// Bytes on the wire.
        bytes: u32,
    },
    /// A part of an image was published.
    Part {
        /// Byte positions.
        offset: u32,
        /// Bytes of the image in it.
        length: u32,
        /// Length of the whole image.
        image_length: u32,
        /// Bytes on the wire.
        bytes: u32,
    },
    /// The node's state was published.
    State {
        /// Bytes on the wire.
        bytes: u32,
    },
    /// The spool no longer has it.
    Gone,
    /// Over the limit of a payload: nothing was published.
    TooLarge {
        /// The numbers in it.
        covered: SeqRange,
        /// Records in it.
        records: u32,
    },
    /// The spool or the connection failed; nothing was published.
    Failed,
}

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Connect to this of the addresses.
    Connect {
        /// Index into the addresses.
        hub: usize,
    },
    /// Drop the connection; answer with [`Event::Disconnected`].
    Disconnect(&'static str),
    /// Read from the spool, seal, publish.
    Read {
        /// To answer with.
        ticket: Ticket,
        /// The epoch.
        epoch: Epoch,
        /// The stream.
        stream: Stream,
        /// The numbers.
        range: SeqRange,
        /// Bytes of records at most (one record always).
        bytes_max: usize,
        /// Records at most.
        records_max: usize,
    },
    /// Read a part of an image, seal, publish.
    ReadPart {
        /// To answer with.
        ticket: Ticket,
        /// The epoch.
        epoch: Epoch,
        /// The image.
        seq: u64,
        /// Where the part begins.
        offset: u32,
        /// Bytes of the image at most.
        bytes_max: usize,
    },
    /// Publish the node's state.
    PublishState {
        /// To answer with.
        ticket: Ticket,
    },
    /// Tell the spool.
    SpoolAck(Ack),
    /// Tell the spool.
    SpoolHub(HubState),
}
