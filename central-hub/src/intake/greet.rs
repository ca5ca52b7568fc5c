//! What a node hears when its session begins (or when it still believes in another generation of the hub): who the hub
//! is, what its backup holds, and everything it has of the node's recent epochs. An agent that was told otherwise by an
//! earlier generation then knows what to send again.

use std::sync::Arc;

use simpul_clock::Clock;
use simpul_wire::NodeId;
use simpul_wire::ack::{Ack, BackedUp, Downlink, HubState};
use tokio::sync::mpsc;

use crate::mqtt::Outbox;
use crate::store::{Store, StoreError};

/// Streams whose intervals are told at most: an agent holds its present epoch and perhaps one or two before it.
const STREAMS_MAX: usize = 16;

/// Greet one node after the other until the line ends.
pub(super) async fn run(
    store: Arc<dyn Store>,
    outbox: Outbox,
    mut to_greet: mpsc::Receiver<NodeId>,
    clock: Clock,
    clock_synchronised: bool,
) {
    while let Some(node) = to_greet.recv().await {
        let wall_ms = clock_synchronised.then(|| clock.wall_ms());
        match greeting(&*store, &node, wall_ms).await {
            Ok(messages) => {
                for message in messages {
                    super::send(&outbox, &node, &message).await;
                }
            }
            // The node asks again with its next state.
            Err(error) => tracing::warn!(%node, %error, "could not greet"),
        }
    }
}

async fn greeting(store: &dyn Store, node: &NodeId, wall_ms: Option<i64>) -> Result<Vec<Downlink>, StoreError> {
    let generation = store.generation();
    let backed_up = store.backed_up(node.clone()).await?;
    let backed_up = backed_up.into_iter().map(|(epoch, stream, ranges)| BackedUp { epoch, stream, ranges }).collect();
    let mut messages = vec![Downlink::Hub(HubState { generation, backed_up, wall_ms })];
    let mut streams = store.streams(Some(node.clone())).await?;
    streams.sort_by_key(|row| std::cmp::Reverse(row.last_received_ms));
    messages.extend(streams.into_iter().take(STREAMS_MAX).map(|row| {
        Downlink::Ack(Ack {
            generation,
            epoch: row.epoch,
            stream: row.stream,
            have: row.have,
            rejected: Vec::new(),
            partial: Vec::new(),
            slow_down_ms: 0,
        })
    }));
    Ok(messages)
}
