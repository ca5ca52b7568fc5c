//! Topics: `simpul/v1/<node>/...`. The one place that knows their spelling.

use alloc::format;
use alloc::string::String;

use crate::{NodeId, Stream};

/// What every topic begins with.
pub const PREFIX: &str = "simpul/v1/";

/// A topic, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Topic {
    /// `up/<stream>`: batches, agent -> hub.
    Up(NodeId, Stream),
    /// `ack`: acknowledgements, hub -> agent.
    Ack(NodeId),
    /// `cmd`: commands, hub -> agent.
    Command(NodeId),
    /// `state`: the agent's state, retained.
    State(NodeId),
}

impl Topic {
    /// Take a topic apart; `None` if it is not one of Simpul's.
    pub fn parse(topic: &str) -> Option<Self> {
        let (node, rest) = topic.strip_prefix(PREFIX)?.split_once('/')?;
        let node: NodeId = node.parse().ok()?;
        match rest {
            "ack" => Some(Topic::Ack(node)),
            "cmd" => Some(Topic::Command(node)),
            "state" => Some(Topic::State(node)),
            _ => Some(Topic::Up(node, rest.strip_prefix("up/")?.parse().ok()?)),
        }
    }

    /// Whose topic it is.
    pub fn node(&self) -> &NodeId {
        match self {
            Topic::Up(node, _) | Topic::Ack(node) | Topic::Command(node) | Topic::State(node) => node,
        }
    }
}

impl core::fmt::Display for Topic {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Topic::Up(node, stream) => write!(f, "{PREFIX}{node}/up/{stream}"),
            Topic::Ack(node) => write!(f, "{PREFIX}{node}/ack"),
            Topic::Command(node) => write!(f, "{PREFIX}{node}/cmd"),
            Topic::State(node) => write!(f, "{PREFIX}{node}/state"),
        }
    }
}

/// All topics of one node, as a filter.
pub fn node_filter(node: &NodeId) -> String {
    format!("{PREFIX}{node}/#")
}
