//! Live events: what changed, at most once a second for everybody together, and a heartbeat so that a page knows that
//! its data is old before anybody believes it. Bounded per client and in clients.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use simpul_clock::Clock;
use simpul_wire::NodeId;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep_until};

use super::Web;
use super::access::Caller;
use super::error::ApiError;
use crate::view::model::{ErrorView, LiveEvent};

/// Changes are told this often at most: a wall reads the overview for each, and that is shared for a second anyway.
const PAUSE: Duration = Duration::from_secs(1);

/// Without a change a heartbeat comes this often.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// Events kept for a slow client: 16 s at one a second. Who is further behind is closed, comes back by itself and
/// reads everything.
const BEHIND_MAX: usize = 16;

/// Pages that watch at once: a room has a dozen screens and a district a few hundred desks, of which few watch.
const CLIENTS_MAX: usize = 128;

/// Nodes named in one event; beyond, every node counts as changed.
const NODES_MAX: usize = 1_000;

/// The events as they go out, for every client.
#[derive(Debug)]
pub struct Feed {
    events: broadcast::Sender<Bytes>,
    places: Arc<Semaphore>,
}

impl Default for Feed {
    fn default() -> Self {
        Feed { events: broadcast::channel(BEHIND_MAX).0, places: Arc::new(Semaphore::new(CLIENTS_MAX)) }
    }
}

impl Feed {
    /// Clients now.
    pub fn clients(&self) -> usize {
        CLIENTS_MAX - self.places.available_permits()
    }
}

/// Changes that were not told yet.
#[derive(Debug, Default)]
struct Pending {
    nodes: BTreeSet<NodeId>,
    all: bool,
}

impl Pending {
    fn is_empty(&self) -> bool {
        self.nodes.is_empty() && !self.all
    }

    fn note(&mut self, node: NodeId) {
        if self.nodes.len() < NODES_MAX || self.nodes.contains(&node) {
            self.nodes.insert(node);
        } else {
            self.all = true;
        }
    }

    /// What to say now.
    fn take(&mut self, now_ms: i64) -> LiveEvent {
        if self.is_empty() {
            return LiveEvent::Heartbeat { now_ms };
        }
        let Pending { nodes, all } = std::mem::take(self);
        let nodes = if all { Vec::new() } else { nodes.iter().map(NodeId::to_string).collect() };
        LiveEvent::Changed { nodes, all, now_ms }
    }
}

/// Turn changes into events until told to stop.
pub async fn pump(
    web: Arc<Web>,
    mut changes: broadcast::Receiver<NodeId>,
    clock: Clock,
    mut stop: watch::Receiver<bool>,
) {
    let mut pending = Pending::default();
    let mut next_change = Instant::now();
    let mut next_heartbeat = next_change + HEARTBEAT;
    let mut open = true;
    loop {
        let wake = if pending.is_empty() { next_heartbeat } else { next_change };
        // In this order: a stream of changes must not keep the event that tells of them waiting.
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return,
            () = sleep_until(wake) => {
                let event = pending.take(clock.wall_ms());
                // Nobody watching is fine.
                let _ = web.feed.events.send(encode(&event));
                let now = Instant::now();
                (next_change, next_heartbeat) = (now + PAUSE, now + HEARTBEAT);
            }
            change = changes.recv(), if open => match change {
                Ok(node) => pending.note(node),
                Err(RecvError::Lagged(_)) => pending.all = true,
                Err(RecvError::Closed) => open = false,
            }
        }
    }
}

fn encode(event: &LiveEvent) -> Bytes {
    let name = match event {
        LiveEvent::Changed { .. } => "changed",
        LiveEvent::Heartbeat { .. } => "heartbeat",
    };
    // A LiveEvent is texts and numbers: it always has a JSON form.
    let data = serde_json::to_string(event).unwrap_or_default();
    format!("event: {name}\ndata: {data}\n\n").into()
}

/// What a client's stream holds: dropped with it.
struct Client {
    web: Arc<Web>,
    caller: Caller,
    events: broadcast::Receiver<Bytes>,
    first: Option<Bytes>,
    _place: OwnedSemaphorePermit,
}

impl Client {
    /// The next event; `None` ends the stream: the hub stops, the client is too far behind, or its token has ended.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        let mut stop = self.web.stop.clone();
        let event = tokio::select! {
            event = self.events.recv() => event.ok()?,
            _ = stop.wait_for(|stop| *stop) => return None,
        };
        self.caller.is_admitted(&self.web.tokens).then_some(event)
    }
}

/// Live events, as server-sent events named by their `type`.
#[utoipa::path(get, path = "/api/v1/live", tag = "view",
    responses((status = 200, body = LiveEvent, content_type = "text/event-stream"),
        (status = 401, body = ErrorView), (status = 503, body = ErrorView)))]
pub async fn live(State(web): State<Arc<Web>>, Extension(caller): Extension<Caller>) -> Result<Response, ApiError> {
    let Ok(place) = web.feed.places.clone().try_acquire_owned() else {
        let message = format!("{CLIENTS_MAX} pages watch already: close some, or ask again later");
        return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_viewers", message));
    };
    let client = Client {
        events: web.feed.events.subscribe(),
        // At once, so that a page knows that it is connected; EventSource comes back after 2 s when cut.
        first: Some(
            [&b"retry: 2000\n"[..], &encode(&LiveEvent::Heartbeat { now_ms: web.view.now_ms() })].concat().into(),
        ),
        _place: place,
        caller,
        web,
    };
    let events = stream::unfold(client, |mut client| async move {
        let event = client.next().await?;
        Some((Ok::<_, Infallible>(event), client))
    });
    let headers = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from_stream(events)).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(number: usize) -> NodeId {
        format!("node-{number}").parse().unwrap()
    }

    #[test]
    fn changes_of_one_second_are_one_event() {
        let mut pending = Pending::default();
        for number in [2, 1, 2] {
            pending.note(node(number));
        }
        let event = encode(&pending.take(5));
        let text = std::str::from_utf8(&event).unwrap();
        let expected = "event: changed\ndata: {\"type\":\"changed\",\"nodes\":[\"node-1\",\"node-2\"],\"all\":false,\"now_ms\":5}\n\n";
        assert_eq!(text, expected);
        assert!(matches!(pending.take(6), LiveEvent::Heartbeat { now_ms: 6 }));
    }

    #[test]
    fn more_changed_nodes_than_an_event_names_are_all_nodes() {
        let mut pending = Pending::default();
        (0..=NODES_MAX).for_each(|number| pending.note(node(number)));
        assert!(matches!(pending.take(0), LiveEvent::Changed { nodes, all: true, .. } if nodes.is_empty()));
    }
}
