//! Who may publish and subscribe where. The identity is the certificate's common name, compared by equality: node
//! `x-1` has no rights under `x-10`.
//!
//! | identity | publish, last will | subscribe |
//! |---|---|---|
//! | node `A` | `simpul/v1/A/up/<stream>`, `simpul/v1/A/state` | filters under `simpul/v1/A/` |
//! | operator `ops.<name>` | nothing | filters under `simpul/v1/` |

use simpul_wire::NodeId;
use simpul_wire::topic::{PREFIX, Topic};

/// Certificates whose common name begins with this belong to people and tools at the hub: they read, never write.
pub(crate) const OPERATOR_PREFIX: &str = "ops.";

/// Whom a certificate speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Identity {
    Node(NodeId),
    /// The whole common name.
    Operator(String),
}

impl Identity {
    /// From a certificate's common name; `None` if it is neither a node's nor an operator's.
    pub(crate) fn from_common_name(name: &str) -> Option<Identity> {
        // An operator's name follows the same alphabet, so that it is safe in logs.
        let node: NodeId = name.parse().ok()?;
        if name.starts_with(OPERATOR_PREFIX) {
            return Some(Identity::Operator(name.to_owned()));
        }
        Some(Identity::Node(node))
    }

    pub(crate) fn name(&self) -> &str {
        match self {
            Identity::Node(node) => node.as_str(),
            Identity::Operator(name) => name,
        }
    }

    pub(crate) fn node(&self) -> Option<&NodeId> {
        match self {
            Identity::Node(node) => Some(node),
            Identity::Operator(_) => None,
        }
    }

    /// Whether it may publish on `topic`, itself or by its last will.
    pub(crate) fn may_publish(&self, topic: &str) -> bool {
        match (self, Topic::parse(topic)) {
            (Identity::Node(own), Some(Topic::Up(node, _) | Topic::State(node))) => *own == node,
            _ => false,
        }
    }

    /// Whether it may subscribe to `filter` (well formed).
    pub(crate) fn may_subscribe(&self, filter: &str) -> bool {
        let Some(rest) = filter.strip_prefix(PREFIX) else { return false };
        match self {
            Identity::Node(own) => rest.split_once('/').is_some_and(|(node, _)| node == own.as_str()),
            Identity::Operator(_) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(name: &str) -> Identity {
        Identity::from_common_name(name).unwrap()
    }

    #[test]
    fn a_laptops_certificate_speaks_for_nobody_here() {
        let laptop: simpul_wire::enrolment::Laptop = "budi/thinkpad".parse().unwrap();
        assert_eq!(Identity::from_common_name(&laptop.common_name()), None);
    }

    #[test]
    fn a_node_may_use_its_own_topics_and_no_others() {
        let a = identity("35.12.07.2003-01");
        for own in ["up/service", "up/event", "up/reading", "up/snapshot", "state"] {
            assert!(a.may_publish(&format!("simpul/v1/35.12.07.2003-01/{own}")), "{own}");
        }
        for refused in [
            "simpul/v1/35.12.07.2003-010/up/event",
            "simpul/v1/35.12.07.2003-0/up/event",
            "simpul/v1/35.12.07.2003-02/state",
            "simpul/v1/35.12.07.2003-01/ack",
            "simpul/v1/35.12.07.2003-01/cmd",
            "simpul/v1/35.12.07.2003-01/up/other",
            "simpul/v1/35.12.07.2003-01/up",
            "simpul/v1//up/event",
            "simpul/v2/35.12.07.2003-01/up/event",
            "$SYS/35.12.07.2003-01/state",
            "elsewhere",
        ] {
            assert!(!a.may_publish(refused), "{refused}");
        }
        for own in ["#", "ack", "cmd", "+", "up/+", "up/#"] {
            assert!(a.may_subscribe(&format!("simpul/v1/35.12.07.2003-01/{own}")), "{own}");
        }
        for refused in [
            "#",
            "+/#",
            "simpul/#",
            "simpul/v1/#",
            "simpul/v1/+/ack",
            "simpul/v1/+/#",
            "simpul/v1/35.12.07.2003-010/#",
            "simpul/v1/35.12.07.2003-0/#",
            "simpul/v1/35.12.07.2003-01",
            "$SYS/#",
            "$share/g/simpul/v1/35.12.07.2003-01/#",
        ] {
            assert!(!a.may_subscribe(refused), "{refused}");
        }
    }

    #[test]
    fn an_operator_reads_everything_and_writes_nothing() {
        let operator = identity("ops.room");
        assert!(operator.may_subscribe("simpul/v1/#"));
        assert!(operator.may_subscribe("simpul/v1/+/state"));
        assert!(!operator.may_subscribe("#"));
        assert!(!operator.may_publish("simpul/v1/ops.room/up/event"));
        assert!(!operator.may_publish("simpul/v1/35.12.07.2003-01/cmd"));
    }

    #[test]
    fn a_common_name_out_of_the_alphabet_is_nobody() {
        for name in ["", "a/b", "a b", "#", "-a", "ops./x"] {
            assert_eq!(Identity::from_common_name(name), None, "{name:?}");
        }
    }
}
