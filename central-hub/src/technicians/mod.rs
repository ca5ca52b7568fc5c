//! What technicians' laptops ask (`simpul_wire::technician`): which nodes there are and how each is, an examination, a
//! node's token or bundle, and to keep that a node was accepted.
//!
//! Reads go through [`View`]; the store itself is only asked to hand out an image and to log the look. Whoever asks was
//! let in by `identity::listener`, which also moves the bytes. Every deed is kept with who, what and when.

pub mod acceptance;
mod facts;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hyper::Method;
use simpul_clock::Clock;
use simpul_wire::NodeId;
use simpul_wire::command::{Action, Command};
use simpul_wire::enrolment::{RefusalReason, RenewRequest};
use simpul_wire::technician::{
    ACCEPTANCES_PATH, ExaminationOrdered, IssuedToken, LISTED_MAX, ListedNode, NODES_PATH, NodeList, WAIT_S,
};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::identity::issue::{Issuing, NotIssued, Visitor, refused_laptop};
use crate::identity::ledger::DeedRow;
use crate::identity::listener::{Answer, Asked, Desk};
use crate::store::{Store, StoreError};
use crate::view::View;
use crate::view::model::{Liveness, NodeView};
use crate::web::Commands;

/// From receipt until an examination is not to be begun any more: somebody waits in front of a laptop.
const EXAMINE_TTL_MS: u32 = 30_000;

/// Between two looks while a laptop waits for news: the overview is made once a second for everybody, so that waiting
/// laptops cost no read of their own. What is waited for (silence, a refusal) has no event of its own.
const LOOK_EACH: Duration = Duration::from_secs(1);

/// No answer hangs longer than this beyond what it waits.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(20);

/// Messages.
const CBOR: &str = "application/cbor";

/// Answers laptops.
pub struct TechnicianDesk {
    /// What the room sees.
    pub view: Arc<View>,
    /// For images, and to log who looked at one.
    pub store: Arc<dyn Store>,
    /// The way to the nodes.
    pub commands: Arc<dyn Commands>,
    /// The registry.
    pub issuing: Arc<Issuing>,
    /// Time.
    pub clock: Clock,
    /// True when the hub stops: nobody waits for news any more.
    pub ending: watch::Receiver<bool>,
}

impl Desk for TechnicianDesk {
    fn answer(&self, visitor: Visitor, asked: Asked) -> BoxFuture<'_, Result<Answer, NotIssued>> {
        async move {
            let time_max = ANSWER_TIME_MAX + Duration::from_secs(WAIT_S);
            let late =
                |_| refused_laptop(&visitor.laptop, RefusalReason::Busy, "the hub is too busy: ask again in a minute");
            timeout(time_max, self.decide(&visitor, asked)).await.map_err(late)?
        }
        .boxed()
    }
}

fn message(bytes: Vec<u8>) -> Answer {
    Answer { content_type: CBOR, bytes: bytes.into() }
}

/// The value of `name` in a query.
fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
}

impl TechnicianDesk {
    async fn decide(&self, visitor: &Visitor, asked: Asked) -> Result<Answer, NotIssued> {
        let refused = |reason, text: &str| refused_laptop(&visitor.laptop, reason, text);
        let is_get = asked.method == Method::GET;
        if asked.path == NODES_PATH && is_get {
            return self.list(visitor, &asked.query).await;
        }
        if asked.path == ACCEPTANCES_PATH && asked.method == Method::POST {
            return acceptance::keep(self, visitor, &asked.body).await.map(message);
        }
        let nothing =
            || refused(RefusalReason::NotFound, "this hub does not know that request: is it older than this program?");
        let rest = asked.path.strip_prefix(NODES_PATH).and_then(|rest| rest.strip_prefix('/')).ok_or_else(nothing)?;
        let (id, what) = rest.split_once('/').unwrap_or((rest, ""));
        let node: NodeId = id.parse().map_err(|_| refused(RefusalReason::NotFound, "that is no node's id"))?;
        match (what.split_once('/').unwrap_or((what, "")), is_get) {
            (("", ""), true) => self.facts(visitor, &node, &asked.query).await,
            (("examination", ""), false) => self.examine(visitor, &node).await,
            (("snapshots", id), true) => {
                let id = id.parse().map_err(|_| nothing())?;
                self.picture(visitor, &node, id).await
            }
            (("token", ""), false) => {
                let token =
                    self.issue(visitor, move |issuing, visitor, now_ms| issuing.token_for(visitor, &node, now_ms));
                let token = token.await?;
                Ok(message(IssuedToken { expires_s: token.expires_s, text: token.to_string() }.to_vec()))
            }
            (("bundle", ""), false) => {
                let request = RenewRequest::from_slice(&asked.body).map_err(|error| {
                    refused(RefusalReason::BadRequest, &format!("the request cannot be read ({error}): update simpul"))
                })?;
                let ahead = move |issuing: &Issuing, visitor: &Visitor, now_ms| {
                    issuing.ahead_for(visitor, &node, &request.request, now_ms)
                };
                Ok(message(self.issue(visitor, ahead).await?.to_vec()))
            }
            _ => Err(nothing()),
        }
    }

    /// Signing and fsync: not on the thread that moves bytes.
    async fn issue<T: Send + 'static>(
        &self,
        visitor: &Visitor,
        work: impl FnOnce(&Issuing, &Visitor, i64) -> Result<T, NotIssued> + Send + 'static,
    ) -> Result<T, NotIssued> {
        let (issuing, who, now_ms) = (self.issuing.clone(), visitor.clone(), self.clock.wall_ms());
        let done = tokio::task::spawn_blocking(move || work(&issuing, &who, now_ms)).await;
        done.map_err(|error| self.unavailable(visitor, &error))?
    }

    async fn note(&self, deed: DeedRow) {
        let issuing = self.issuing.clone();
        // Noted or not is in the log; the laptop's answer does not depend on it.
        let _ = tokio::task::spawn_blocking(move || issuing.note_deed(&deed)).await;
    }

    fn unavailable(&self, visitor: &Visitor, error: &dyn std::fmt::Display) -> NotIssued {
        tracing::error!(%error, laptop = %visitor.laptop, "a laptop's request failed");
        refused_laptop(&visitor.laptop, RefusalReason::Unavailable, "the hub cannot answer now: its log says why")
    }

    async fn list(&self, visitor: &Visitor, query: &str) -> Result<Answer, NotIssued> {
        let shot = self.view.overview().await.map_err(|error| self.unavailable(visitor, &error))?;
        let after = parameter(query, "after").unwrap_or_default();
        let mut rest = shot.overview.nodes.iter().skip_while(|node| node.id.as_str() <= after);
        let listed = rest.by_ref().take(LISTED_MAX).filter_map(listed);
        let nodes: Vec<ListedNode> = listed.collect();
        Ok(message(NodeList { nodes, more: rest.next().is_some() }.to_vec()))
    }

    async fn facts(&self, visitor: &Visitor, node: &NodeId, query: &str) -> Result<Answer, NotIssued> {
        let seen: Option<u64> = parameter(query, "seen").and_then(|seen| seen.parse().ok());
        let until = self.clock.now() + Duration::from_secs(WAIT_S);
        let mut ending = self.ending.clone();
        loop {
            let facts = facts::of(self, visitor, node).await?;
            if seen != Some(facts.seen) || self.clock.now() >= until || *ending.borrow() {
                return Ok(message(facts.to_vec()));
            }
            tokio::select! {
                () = sleep(LOOK_EACH) => {}
                _ = ending.wait_for(|end| *end) => {}
            }
        }
    }

    /// The node as the room has it; refused when there is no such node.
    async fn known(&self, visitor: &Visitor, node: &NodeId) -> Result<NodeView, NotIssued> {
        let shot = self.view.overview().await.map_err(|error| self.unavailable(visitor, &error))?;
        let known = shot.overview.nodes.iter().find(|known| known.id == node.as_str()).cloned();
        known.ok_or_else(|| {
            let text = format!("there is no node {node}: `simpul-hub nodes list` shows all");
            refused_laptop(&visitor.laptop, RefusalReason::NotFound, &text)
        })
    }

    async fn examine(&self, visitor: &Visitor, node: &NodeId) -> Result<Answer, NotIssued> {
        let known = self.known(visitor, node).await?;
        // The session as it is now; behind an external broker the node's own word.
        if !self.view.vitals().connected(node).unwrap_or(known.liveness == Liveness::Live) {
            let text = format!("node {node} has no open session: it cannot be asked from here; examine it on site");
            return Err(refused_laptop(&visitor.laptop, RefusalReason::NodeOffline, &text));
        }
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|error| self.unavailable(visitor, &error))?;
        self.note(visitor.deed(self.clock.wall_ms(), "examine", node.as_str(), &hex::encode(id))).await;
        let command = Command { id, ttl_ms: EXAMINE_TTL_MS, action: Action::Examine {} };
        if !self.commands.send(node, command).await {
            return Err(self.unavailable(visitor, &"the hub is stopping"));
        }
        Ok(message(ExaminationOrdered { id, ttl_ms: EXAMINE_TTL_MS }.to_vec()))
    }

    async fn picture(&self, visitor: &Visitor, node: &NodeId, id: i64) -> Result<Answer, NotIssued> {
        let bytes = self.picture_bytes(visitor, node, id).await?.map(|(_, bytes)| bytes);
        let bytes = bytes.ok_or_else(|| {
            refused_laptop(&visitor.laptop, RefusalReason::NotFound, "there is no such picture of this node (any more)")
        })?;
        Ok(Answer { content_type: "image/jpeg", bytes })
    }

    /// A picture of this node with its SHA-256. The look is logged before the bytes leave (promise 7).
    async fn picture_bytes(
        &self,
        visitor: &Visitor,
        node: &NodeId,
        id: i64,
    ) -> Result<Option<(String, Bytes)>, NotIssued> {
        let failed = |error: StoreError| self.unavailable(visitor, &error);
        let Some(row) = self.view.snapshot(node, id).await.map_err(failed)? else { return Ok(None) };
        let Some(bytes) = self.store.snapshot_bytes(id).await.map_err(failed)? else { return Ok(None) };
        let now_ms = self.clock.wall_ms();
        self.store.log_look(visitor.laptop.common_name(), id, now_ms).await.map_err(failed)?;
        self.note(visitor.deed(now_ms, "picture", node.as_str(), &format!("{} {id}", row.camera))).await;
        Ok(Some((row.sha256, bytes)))
    }
}

fn listed(node: &NodeView) -> Option<ListedNode> {
    Some(ListedNode {
        node: node.id.parse().ok()?,
        name: facts::clipped(node.name.as_deref()),
        village: facts::clipped(node.village_name.as_deref()),
        liveness: facts::liveness(node.liveness),
        last_heard_ms: node.last_heard_ms,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_querys_parameters_are_found_by_their_whole_name() {
        assert_eq!(parameter("seen=5&after=a-1", "seen"), Some("5"));
        assert_eq!(parameter("seen=5&after=a-1", "after"), Some("a-1"));
        assert_eq!(parameter("unseen=5", "seen"), None);
        assert_eq!(parameter("", "seen"), None);
    }
}
