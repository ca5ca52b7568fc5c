//! Orders to a node: only into a live session, never kept for later. What comes of one returns as an event of the node
//! ([`crate::view::model::CommandResultView`]). Every order is in the hub's log with who gave it.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use simpul_wire::NodeId;
use simpul_wire::command::{Action, Command};
use utoipa::ToSchema;

use super::Web;
use super::access::Caller;
use super::body::JsonBody;
use super::error::ApiError;
use super::query::path_node;
use crate::view::model::{ErrorView, Liveness};

/// How long what hangs on the relay is off when the order does not say: media converters and ONTs lose their memory
/// within a few seconds.
const OFF_MS_DEFAULT: u32 = 10_000;

/// Longest time off: beyond a minute it is no restart any more, and a village would be without its fibre on purpose.
const OFF_MS_MAX: u32 = 60_000;

/// From receipt until it is not to be begun any more: somebody waits in front of the page for it.
const TTL_MS: u32 = 30_000;

/// The way to the nodes.
pub trait Commands: Send + Sync + 'static {
    /// Send a command into a node's live session. False when nothing can be sent any more: the hub is stopping.
    fn send<'a>(&'a self, node: &'a NodeId, command: Command) -> BoxFuture<'a, bool>;
}

/// Switch what hangs on the board's relay off and on again.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PowerCycleOrder {
    /// Milliseconds off: 1 to 60000, 10000 if it is left out.
    #[serde(default)]
    pub off_ms: Option<u32>,
}

/// An order that was sent. Its result comes as the node's event and as `last_command` with the same id, or not at all
/// when the session broke: then it was not done, or its result is on its way.
#[derive(Debug, Serialize, ToSchema)]
pub struct CommandSent {
    /// The command's id.
    pub id: String,
    /// The node.
    pub node: String,
    /// Milliseconds off.
    pub off_ms: u32,
    /// From receipt at the node, after so many milliseconds it is not begun any more.
    pub ttl_ms: u32,
}

/// Switch what hangs on the node's relay (the fibre's converter, the camera) off and on again. Only into a live session.
#[utoipa::path(post, path = "/api/v1/nodes/{id}/commands/power-cycle", tag = "commands",
    params(("id" = String, Path, description = "The node's id")), request_body = PowerCycleOrder,
    responses((status = 202, body = CommandSent), (status = 400, body = ErrorView), (status = 404, body = ErrorView),
        (status = 409, body = ErrorView), (status = 503, body = ErrorView)))]
pub async fn power_cycle(
    State(web): State<Arc<Web>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    JsonBody(order): JsonBody<PowerCycleOrder>,
) -> Result<(StatusCode, Json<CommandSent>), ApiError> {
    let node = path_node(&id)?;
    let off_ms = order.off_ms.unwrap_or(OFF_MS_DEFAULT);
    if !(1..=OFF_MS_MAX).contains(&off_ms) {
        let message = format!("off_ms = {off_ms}: a whole number from 1 to {OFF_MS_MAX} is allowed");
        return Err(ApiError::parameter(message));
    }
    check_live(&web, &node).await?;
    let id = random_id()?;
    let sent = hex::encode(id);
    tracing::info!(%node, command = sent, off_ms, by = %caller.name, "power cycle ordered");
    if !web.commands.send(&node, Command { id, ttl_ms: TTL_MS, action: Action::PowerCycle { off_ms } }).await {
        return Err(closing());
    }
    Ok((StatusCode::ACCEPTED, Json(CommandSent { id: sent, node: node.to_string(), off_ms, ttl_ms: TTL_MS })))
}

/// Nothing can be sent any more.
pub(super) fn closing() -> ApiError {
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "closing", "the hub is stopping: ask again in a minute")
}

/// How live a node is by its own word, a second old at most; refused when there is no such node.
pub(super) async fn check_known(web: &Web, node: &NodeId) -> Result<Liveness, ApiError> {
    let shot = web.view.overview().await?;
    let known = shot.overview.nodes.iter().find(|known| known.id == node.as_str());
    known.map(|known| known.liveness).ok_or_else(|| {
        ApiError::not_found(format!("no node {node} is registered or was ever heard from: see /api/v1/overview"))
    })
}

/// A command that waited for a node would be done when nobody expects it any more.
pub(super) async fn check_live(web: &Web, node: &NodeId) -> Result<(), ApiError> {
    let liveness = check_known(web, node).await?;
    // The session as it is now; behind an external broker the node's own word.
    if web.view.vitals().connected(node).unwrap_or(liveness == Liveness::Live) {
        return Ok(());
    }
    let message = format!(
        "node {node} has no open session: nothing was sent, and nothing is kept for later; order it again once the node is live, or switch it on site"
    );
    Err(ApiError::new(StatusCode::CONFLICT, "node_offline", message))
}

pub(super) fn random_id() -> Result<[u8; 16], ApiError> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|error| {
        tracing::error!(%error, "no random numbers from the system");
        let message = "the hub's machine gives no random numbers: its log says why";
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "no_random", message)
    })?;
    Ok(id)
}
