//! From a publish to something that the store can commit: decode and validate, pure. Never fails: what cannot be read
//! becomes [`Content::Aside`] with its reason, so that it is kept, counted, shown and refused by name.

use bytes::Bytes;
use simpul_wire::ack::RejectReason;
use simpul_wire::batch::{Batch, Body};
use simpul_wire::state::AgentState;
use simpul_wire::topic::Topic;
use simpul_wire::{Epoch, NodeId, SeqRange, Stream, WireError};

use crate::store::{Content, Records, Upload};

/// Decode one publish. `None`: the topic is not one that carries data to the hub.
pub fn admit(node: &NodeId, topic: &str, payload: &Bytes, received_ms: i64) -> Option<Upload> {
    let content = match Topic::parse(topic)? {
        Topic::Up(owner, stream) if owner == *node => {
            batch(node, stream, payload).unwrap_or_else(|refusal| refusal.aside(topic, payload))
        }
        Topic::State(owner) if owner == *node => {
            // An empty retained state is how a broker's operator deletes one: nothing to store.
            if payload.is_empty() {
                return None;
            }
            match AgentState::from_slice(payload) {
                Ok(state) => Content::State(state),
                Err(error) => Refusal { placed: None, error, reason: None }.aside(topic, payload),
            }
        }
        _ => return None,
    };
    Some(Upload { node: node.clone(), received_ms, content })
}

struct Refusal {
    placed: Option<(Epoch, Stream, SeqRange)>,
    error: WireError,
    /// Set where the error's kind does not tell the reason.
    reason: Option<RejectReason>,
}

impl Refusal {
    fn aside(self, topic: &str, payload: &Bytes) -> Content {
        let reason = self.reason.unwrap_or(match self.error {
            WireError::BadChecksum => RejectReason::BadChecksum,
            WireError::Unsupported(_) => RejectReason::Unsupported,
            WireError::TooLarge { .. } => RejectReason::TooLarge,
            _ => RejectReason::Malformed,
        });
        Content::Aside {
            topic: topic.to_owned(),
            placed: self.placed,
            reason,
            detail: self.error.to_string(),
            payload: payload.clone(),
        }
    }
}

fn batch(node: &NodeId, stream: Stream, payload: &Bytes) -> Result<Content, Refusal> {
    let batch = Batch::open(payload).map_err(|refused| Refusal {
        placed: refused.placed,
        error: refused.error,
        reason: None,
    })?;
    let header = &batch.header;
    let placed = Some((header.epoch, header.stream, header.range));
    let wrong = |reason, what: String| Refusal { placed, error: WireError::Invalid(what), reason };
    if header.node != *node {
        // Not placed: the range belongs to another node's numbers, and this one must not be told to drop its own.
        return Err(Refusal {
            placed: None,
            error: WireError::Invalid(format!("the header's node is {}, the topic's is {node}", header.node)),
            reason: Some(RejectReason::WrongNode),
        });
    }
    if header.stream != stream {
        return Err(wrong(None, format!("the header's stream is {}, the topic's is {stream}", header.stream)));
    }
    let (epoch, range) = (header.epoch, header.range);
    let body = batch.decode().map_err(|error| Refusal { placed, error, reason: None })?;
    let records = match body {
        Body::Service(records) => Records::Service(records),
        Body::Event(records) => Records::Event(records),
        Body::Reading(blocks) => Records::Reading(blocks),
        Body::Image(part) => return Ok(Content::Part { epoch, seq: range.first(), part }),
    };
    Ok(Content::Batch { epoch, range, raw: payload.slice_ref(batch.body), records })
}

#[cfg(test)]
mod tests {
    use super::*;
    use simpul_wire::batch::seal;
    use simpul_wire::error::to_vec;
    use simpul_wire::event::{EventBody, EventRecord};
    use simpul_wire::{Label, Stamp};

    fn node() -> NodeId {
        "35.12.07.2003-01".parse().unwrap()
    }

    fn payload(owner: &str) -> Vec<u8> {
        let record = EventRecord {
            stamp: Stamp { boot: 1, uptime_ms: 2, wall_ms: None },
            body: EventBody::Started { version: Label::clipped("0.1"), clean: true, new_boot: true },
        };
        let range = SeqRange::with_count(9, 1).unwrap();
        seal(&owner.parse().unwrap(), Epoch::from_bytes([1; 16]), Stream::Event, range, &[to_vec(&record)])
    }

    fn check(topic: &str, payload: Vec<u8>, expected: &str) {
        let upload = admit(&node(), topic, &payload.into(), 5);
        let found = match upload.map(|upload| upload.content) {
            None => "nothing".to_owned(),
            Some(Content::Aside { placed, reason, detail, .. }) => {
                format!(
                    "{reason} {} {detail}",
                    placed.map_or("nowhere".to_owned(), |(_, stream, range)| format!("{stream} {range}"))
                )
            }
            Some(Content::Batch { range, .. }) => format!("batch {range}"),
            Some(other) => format!("{other:?}"),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn a_good_batch_is_admitted_with_its_range() {
        check("simpul/v1/35.12.07.2003-01/up/event", payload("35.12.07.2003-01"), "batch 9..=9");
    }

    #[test]
    fn a_batch_under_another_nodes_name_is_refused_without_a_range() {
        check(
            "simpul/v1/35.12.07.2003-01/up/event",
            payload("35.12.07.2003-010"),
            "wrong_node nowhere invalid: the header's node is 35.12.07.2003-010, the topic's is 35.12.07.2003-01",
        );
    }

    #[test]
    fn a_batch_on_another_streams_topic_is_refused_by_range() {
        check(
            "simpul/v1/35.12.07.2003-01/up/service",
            payload("35.12.07.2003-01"),
            "malformed event 9..=9 invalid: the header's stream is event, the topic's is service",
        );
    }

    #[test]
    fn a_flipped_bit_is_a_bad_checksum_with_the_range() {
        let mut bytes = payload("35.12.07.2003-01");
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        check("simpul/v1/35.12.07.2003-01/up/event", bytes, "bad_checksum event 9..=9 checksum does not fit the bytes");
    }

    #[test]
    fn a_newer_version_is_unsupported_with_the_range() {
        let mut bytes = payload("35.12.07.2003-01");
        bytes[1] = 2;
        check(
            "simpul/v1/35.12.07.2003-01/up/event",
            bytes,
            "unsupported event 9..=9 unsupported: batch version 2, this program knows 1",
        );
    }

    #[test]
    fn topics_that_carry_nothing_to_the_hub_are_ignored() {
        check("simpul/v1/35.12.07.2003-01/ack", payload("35.12.07.2003-01"), "nothing");
        check("simpul/v1/35.12.07.2003-02/up/event", payload("35.12.07.2003-01"), "nothing");
        check("simpul/v1/35.12.07.2003-01/state", Vec::new(), "nothing");
    }

    #[test]
    fn an_unreadable_state_is_kept_aside() {
        let upload = admit(&node(), "simpul/v1/35.12.07.2003-01/state", &Bytes::from_static(b"\xff\xff"), 5);
        assert!(matches!(
            upload.unwrap().content,
            Content::Aside { reason: RejectReason::Malformed, placed: None, .. }
        ));
    }
}
