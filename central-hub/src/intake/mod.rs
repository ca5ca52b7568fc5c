//! decode -> validate -> commit -> acknowledge, in the order of arrival.
//!
//! A group is whatever waits, at most 256 publishes, with no timer: under load groups grow and share one
//! fsync, at rest a publish is alone and quick. While one group is being committed the next one is decoded.
//!
//! A publish's receipt (its PUBACK) and the acknowledgement to the agent both follow the commit (promise 2). When the
//! store cannot commit (its disk is full), the group is held and tried again: nothing is acknowledged, the bounded
//! queue in front of it fills, and senders wait. Dedupe is the store's, because it belongs to the transaction.

mod acks;
mod admit;
mod counters;
mod greet;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use simpul_clock::Clock;
use simpul_wire::NodeId;
use simpul_wire::ack::Downlink;
use simpul_wire::topic::Topic;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::mqtt::{Incoming, Outbox, Outgoing, Publish, Receipt, Transport};
use crate::store::{Content, Outcome, Store, StoreError, Upload};

pub use counters::{Counters, CountersView};

/// Publishes in one commit at most: about where an fsync's cost per record has flattened out while the wait of the last
/// one stays within tens of milliseconds.
const GROUP_MAX: usize = 256;

/// Groups under way at once: one in the store, one decoded behind it.
const GROUPS_IN_FLIGHT_MAX: usize = 2;

/// Pause before a failed commit is tried again: quick enough that a freed disk is noticed by whoever freed it.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Nodes that something new is known of; a receiver that lags takes all nodes as changed.
pub type Live = broadcast::Sender<NodeId>;

/// What intake works with.
#[derive(Clone)]
pub struct Intake {
    /// Where records become durable.
    pub store: Arc<dyn Store>,
    /// The hub's clock.
    pub clock: Clock,
    /// Told after each commit.
    pub live: Live,
    /// Told of everything.
    pub counters: Arc<Counters>,
    /// The hub's own clock is synchronised: only then may it hand out time.
    pub clock_synchronised: bool,
}

/// A payload that came on a stick instead of over MQTT.
#[derive(Debug)]
pub struct Carried {
    /// Whose it is: the node that sealed the file.
    pub node: NodeId,
    /// The topic that it would have been published on.
    pub topic: String,
    /// The payload.
    pub payload: Bytes,
    /// Told what came of it, after its commit; dropped when the hub stops before that.
    pub answer: oneshot::Sender<Outcome>,
}

/// Whoever waits for a commit.
enum Answer {
    Receipt(Receipt),
    Outcome(oneshot::Sender<Outcome>),
}

impl Answer {
    fn give(self, outcome: &Outcome) {
        match self {
            Answer::Receipt(receipt) => receipt.done(),
            // An import that was given up: what it brought is committed all the same.
            Answer::Outcome(answer) => drop(answer.send(outcome.clone())),
        }
    }
}

/// A publish that waits for its commit.
struct Waiting {
    node: NodeId,
    topic: String,
    payload: Bytes,
    received_ms: i64,
    answer: Answer,
}

/// A group after its commit; `None` outcomes: given up, because the hub stops.
struct Finished {
    waiting: Vec<Waiting>,
    outcomes: Option<Vec<Outcome>>,
    greetings: Vec<NodeId>,
}

impl Intake {
    /// Run until the transport ends, then finish what was begun. `stop` only ends the wait for a store that cannot
    /// commit: what it holds then stays unacknowledged, and the agents send it again.
    pub async fn run(self, transport: Transport, stop: watch::Receiver<bool>) {
        let nothing = mpsc::channel(1).1;
        self.run_with(transport, nothing, stop).await;
    }

    /// As [`Intake::run`], also with what comes on sticks: it fills the groups of what comes by fibre, and never delays it
    /// by more than one.
    pub async fn run_with(
        self,
        transport: Transport,
        mut carried: mpsc::Receiver<Carried>,
        stop: watch::Receiver<bool>,
    ) {
        let Transport { mut incoming, outbox } = transport;
        // One line of greetings: 10,000 agents that reconnect after a restart must not become 10,000 queries at once.
        let (greet, to_greet) = mpsc::channel(1_024);
        let greeter =
            greet::run(self.store.clone(), outbox.clone(), to_greet, self.clock.clone(), self.clock_synchronised);
        let committer = async move {
            let mut buffer = Vec::with_capacity(GROUP_MAX);
            let mut groups = FuturesOrdered::new();
            let (mut open, mut carrying) = (true, true);
            while open || !groups.is_empty() {
                tokio::select! {
                    biased;
                    Some(finished) = groups.next(), if !groups.is_empty() => {
                        self.finish(finished, &outbox, &greet).await;
                    }
                    count = incoming.recv_many(&mut buffer, GROUP_MAX), if open && groups.len() < GROUPS_IN_FLIGHT_MAX => {
                        open = count > 0;
                        let mut group = Vec::with_capacity(count);
                        self.take(&mut buffer, &greet, &mut group);
                        // What came while these were decoded shares their fsync.
                        while group.len() < GROUP_MAX && let Ok(next) = incoming.try_recv() {
                            buffer.push(next);
                            self.take(&mut buffer, &greet, &mut group);
                        }
                        self.fill(&mut group, &mut carried);
                        if !group.is_empty() {
                            groups.push_back(self.commit(group, stop.clone()));
                        }
                    }
                    next = carried.recv(), if carrying && open && groups.len() < GROUPS_IN_FLIGHT_MAX => {
                        carrying = next.is_some();
                        let mut group: Vec<_> = next.and_then(|next| self.admit_carried(next)).into_iter().collect();
                        self.fill(&mut group, &mut carried);
                        if !group.is_empty() {
                            groups.push_back(self.commit(group, stop.clone()));
                        }
                    }
                }
            }
        };
        tokio::join!(greeter, committer);
    }

    /// Sort what came: publishes to commit; sessions to greet or to announce.
    fn take(&self, buffer: &mut Vec<Incoming>, greet: &mpsc::Sender<NodeId>, group: &mut Vec<(Waiting, Upload)>) {
        for incoming in buffer.drain(..) {
            match incoming {
                Incoming::Publish(publish) => group.extend(self.admit(publish)),
                Incoming::Connected(node) => {
                    tracing::debug!(%node, "session began");
                    // Full: the node's own state, sent each interval, asks again where it matters.
                    let _ = greet.try_send(node.clone());
                    let _ = self.live.send(node);
                }
                Incoming::Disconnected(node, reason) => {
                    tracing::debug!(%node, reason, "session ended");
                    let _ = self.live.send(node);
                }
            }
        }
    }

    fn admit(&self, publish: Publish) -> Option<(Waiting, Upload)> {
        self.counters.publish();
        let Publish { node, topic, payload, receipt, .. } = publish;
        let received_ms = self.clock.wall_ms();
        match admit::admit(&node, &topic, &payload, received_ms) {
            Some(upload) => {
                let answer = Answer::Receipt(receipt);
                Some((Waiting { node, topic, payload, received_ms, answer }, upload))
            }
            None => {
                self.counters.ignored();
                receipt.done();
                None
            }
        }
    }

    /// Add what waits of sticks to a group.
    fn fill(&self, group: &mut Vec<(Waiting, Upload)>, carried: &mut mpsc::Receiver<Carried>) {
        while group.len() < GROUP_MAX
            && let Ok(next) = carried.try_recv()
        {
            group.extend(self.admit_carried(next));
        }
    }

    fn admit_carried(&self, carried: Carried) -> Option<(Waiting, Upload)> {
        let Carried { node, topic, payload, answer } = carried;
        let received_ms = self.clock.wall_ms();
        let upload = admit::admit(&node, &topic, &payload, received_ms)?;
        Some((Waiting { node, topic, payload, received_ms, answer: Answer::Outcome(answer) }, upload))
    }

    async fn commit(&self, group: Vec<(Waiting, Upload)>, mut stop: watch::Receiver<bool>) -> Finished {
        let (waiting, mut uploads): (Vec<_>, Vec<_>) = group.into_iter().unzip();
        let greetings = self.strangers(&uploads);
        let mut failures = 0u32;
        loop {
            let begun = self.clock.now();
            let error = match self.store.commit(uploads).await {
                Ok(outcomes) => {
                    self.counters.committed(self.clock.now().since(begun), &outcomes);
                    if failures > 0 {
                        tracing::info!(failures, "the store commits again");
                    }
                    return Finished { waiting, outcomes: Some(outcomes), greetings };
                }
                Err(error) => error,
            };
            self.counters.failed();
            if failures == 0 {
                tracing::error!(%error, "cannot commit: acknowledgements are withheld, agents keep their records; free disk space or see the store's own message");
            }
            failures = failures.saturating_add(1);
            let stopped = matches!(error, StoreError::Closed)
                || tokio::time::timeout(RETRY_PAUSE, stop.wait_for(|stop| *stop)).await.is_ok();
            if stopped {
                return Finished { waiting, outcomes: None, greetings };
            }
            // The store took the uploads; what came is still here, and decoding is cheap beside a failed commit.
            let again =
                |waiting: &Waiting| admit::admit(&waiting.node, &waiting.topic, &waiting.payload, waiting.received_ms);
            uploads = waiting.iter().filter_map(again).collect();
        }
    }

    /// Nodes whose last word on the hub's generation is another one: they must hear what this store has.
    fn strangers(&self, uploads: &[Upload]) -> Vec<NodeId> {
        let generation = self.store.generation();
        let strange = uploads.iter().filter(|upload| match &upload.content {
            Content::State(state) => state.online && state.generation != Some(generation),
            _ => false,
        });
        strange.map(|upload| upload.node.clone()).collect()
    }

    async fn finish(&self, finished: Finished, outbox: &Outbox, greet: &mpsc::Sender<NodeId>) {
        let Finished { waiting, outcomes, greetings } = finished;
        let Some(outcomes) = outcomes else { return };
        let mut acks = acks::Acks::default();
        let mut last = None;
        for (waiting, outcome) in waiting.into_iter().zip(&outcomes) {
            acks.add(&waiting.node, outcome);
            waiting.answer.give(outcome);
            if last.as_ref() != Some(&waiting.node) {
                let _ = self.live.send(waiting.node.clone());
                last = Some(waiting.node);
            }
        }
        for (node, message) in acks.into_messages(self.store.generation()) {
            send(outbox, &node, &message).await;
        }
        for node in greetings {
            let _ = greet.try_send(node);
        }
    }
}

/// QoS 0 and never retained: an acknowledgement is only worth something to the session that waits for it.
async fn send(outbox: &Outbox, node: &NodeId, message: &Downlink) {
    let topic = Topic::Ack(node.clone()).to_string();
    outbox.publish(Outgoing { topic, payload: message.to_vec().into(), qos: 0, retain: false }).await;
}

#[cfg(test)]
mod tests;
