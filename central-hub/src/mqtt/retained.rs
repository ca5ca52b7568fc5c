//! Retained messages: one a topic, bounded in bytes, read by cursor so that a replay of 10,000 of them never sits in
//! a queue.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::registry::range_of;
use super::session::Message;
use super::topic::matches;

/// Messages in one step of a replay: they wait in the session's queue together.
const STEP_MESSAGES: usize = 16;

/// Topics looked at in one step, matching or not: bounds how long the store is locked.
const STEP_TOPICS: usize = 1_024;

/// What a retained message takes besides its topic (twice) and payload, about.
const OVERHEAD_BYTES: usize = 128;

/// The store.
#[derive(Debug)]
pub(crate) struct Retained {
    messages: BTreeMap<String, Arc<Message>>,
    bytes: usize,
    bytes_max: usize,
}

fn size(message: &Message) -> usize {
    2 * message.topic.len() + message.payload.len() + OVERHEAD_BYTES
}

impl Retained {
    pub(crate) fn new(bytes_max: usize) -> Retained {
        Retained { messages: BTreeMap::new(), bytes: 0, bytes_max }
    }

    /// Keep a message, or forget the topic if its payload is empty. False if there is no room.
    pub(crate) fn set(&mut self, message: &Arc<Message>) -> bool {
        if let Some(former) = self.messages.remove(&message.topic) {
            self.bytes -= size(&former);
        }
        if message.payload.is_empty() {
            return true;
        }
        if self.bytes + size(message) > self.bytes_max {
            return false;
        }
        self.bytes += size(message);
        self.messages.insert(message.topic.clone(), message.clone());
        true
    }

    /// Messages under `filter` behind topic `after`, a few at a time, and where to go on (`None`: that was all).
    pub(crate) fn step(&self, filter: &str, after: Option<&str>) -> (Vec<Arc<Message>>, Option<String>) {
        let (from, prefix) = range_of(filter, after);
        let mut found = Vec::new();
        for (looked, (topic, message)) in self.messages.range::<str, _>((from, Bound::Unbounded)).enumerate() {
            if !topic.starts_with(prefix) {
                break;
            }
            if matches(filter, topic) {
                found.push(message.clone());
            }
            if found.len() >= STEP_MESSAGES || looked + 1 >= STEP_TOPICS {
                return (found, Some(topic.clone()));
            }
        }
        (found, None)
    }

    pub(crate) fn len(&self) -> usize {
        self.messages.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(topic: &str, payload: &str) -> Arc<Message> {
        Arc::new(Message { topic: topic.into(), payload: payload.to_owned().into() })
    }

    fn all(store: &Retained, filter: &str) -> Vec<String> {
        let (mut topics, mut after) = (Vec::new(), None);
        loop {
            let (found, next) = store.step(filter, after.as_deref());
            assert!(found.len() <= STEP_MESSAGES);
            topics.extend(found.iter().map(|message| message.topic.clone()));
            match next {
                Some(topic) => after = Some(topic),
                None => return topics,
            }
        }
    }

    #[test]
    fn a_cursor_sees_every_matching_message_once() {
        let mut store = Retained::new(1 << 20);
        for index in 0..3_000 {
            assert!(store.set(&message(&format!("simpul/v1/{index:04}/state"), "x")));
            if index % 100 == 0 {
                assert!(store.set(&message(&format!("simpul/v1/{index:04}/up/event"), "x")));
            }
        }
        assert_eq!(all(&store, "simpul/v1/+/state").len(), 3_000);
        assert_eq!(all(&store, "simpul/v1/#").len(), 3_030);
        assert_eq!(all(&store, "simpul/v1/0100/#").len(), 2);
        assert_eq!(all(&store, "simpul/v1/0100/state"), ["simpul/v1/0100/state"]);
        assert_eq!(all(&store, "simpul/v1/0100/state/#"), ["simpul/v1/0100/state"]);
        assert_eq!(all(&store, "simpul/v1/01"), [""; 0]);
    }

    #[test]
    fn an_empty_payload_forgets_and_a_full_store_refuses() {
        let mut store = Retained::new(2 * (OVERHEAD_BYTES + 3));
        assert!(store.set(&message("a", "1")));
        assert!(store.set(&message("b", "1")));
        assert!(!store.set(&message("c", "1")));
        assert!(store.set(&message("a", "2")), "replacing needs no more room");
        assert!(store.set(&message("a", "")));
        assert!(store.set(&message("c", "1")));
        assert_eq!((store.len(), all(&store, "#").len()), (2, 2));
    }
}
