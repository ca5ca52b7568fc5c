//! Records of the `service` stream: what village staff and citizens did. Never evicted.

use minicbor::{Decode, Encode};

use crate::units::numbered;
use crate::{Label, Stamp};

/// One record of the `service` stream.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct ServiceRecord {
    /// When it was accepted.
    #[n(0)]
    pub stamp: Stamp,
    /// The caller's idempotency key, or one that the agent made: unique for ever on this node.
    #[n(1)]
    pub key: Label,
    /// Where it came from.
    #[n(2)]
    pub origin: Origin,
    /// Made by a simulator: shown as SIMULASI, never counted with real ones.
    #[n(3)]
    #[cbor(default)]
    pub simulated: bool,
    /// What happened.
    #[n(4)]
    pub body: ServiceBody,
}

numbered! {
    /// Where a service record came from.
    Origin {
        /// The local API on the village LAN.
        1 Api "api",
        /// The I/O board's buttons.
        2 Board "board",
    }
}

/// What happened at a service desk.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum ServiceBody {
    /// A counter moved: `delta` more served (negative for an undo).
    #[n(1)]
    #[cbor(map)]
    Count {
        /// Service code, such as `ktp`.
        #[n(0)]
        service: Label,
        /// Desk, when there are several.
        #[n(1)]
        desk: Option<Label>,
        /// How many more.
        #[n(2)]
        delta: i64,
        /// The source's cumulative total after it, when it keeps one.
        #[n(3)]
        total: Option<u64>,
    },
    /// A visit ended (served, left, referred). No names: personal fields come sealed, in a record of their own.
    #[n(2)]
    #[cbor(map)]
    Visit {
        /// Service code.
        #[n(0)]
        service: Label,
        /// Desk, when there are several.
        #[n(1)]
        desk: Option<Label>,
        /// Queue ticket.
        #[n(2)]
        ticket: Option<Label>,
        /// Seconds from arrival to call, if known.
        #[n(3)]
        waited_s: Option<u32>,
        /// Seconds from call to end, if known.
        #[n(4)]
        served_s: Option<u32>,
        /// How it ended.
        #[n(5)]
        outcome: VisitOutcome,
    },
}

numbered! {
    /// How a visit ended.
    VisitOutcome {
        /// Served.
        1 Served "served",
        /// Did not come when called.
        2 NoShow "no show",
        /// Cancelled or left.
        3 Cancelled "cancelled",
        /// Sent on to another desk or agency.
        4 Referred "referred",
    }
}

impl ServiceBody {
    /// The service's code.
    pub fn service(&self) -> &Label {
        match self {
            ServiceBody::Count { service, .. } | ServiceBody::Visit { service, .. } => service,
        }
    }
}
