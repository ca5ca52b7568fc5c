//! Examinations: order one, and see what the newest found, in words of either language.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::{StatusCode, Uri};
use serde::{Deserialize, Serialize};
use simpul_wire::command::{Action, Command};
use simpul_words::Language;
use utoipa::ToSchema;

use super::Web;
use super::access::Caller;
use super::body::JsonBody;
use super::commands::{check_known, check_live, closing, random_id};
use super::error::ApiError;
use super::query::{Params, path_node};
use crate::view::model::{ErrorView, NodeExaminationView};

/// From receipt until it is not to be begun any more.
const TTL_MS: u32 = 30_000;

/// Examine the node. There is nothing to choose.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExaminationOrder {}

/// An examination that was ordered. What it finds is at the same address within half a minute, with this id.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExaminationSent {
    /// The order's id.
    pub id: String,
    /// The node.
    pub node: String,
    /// From receipt at the node, after so many milliseconds it is not begun any more.
    pub ttl_ms: u32,
}

/// Let a node examine itself. Only into a live session; it changes nothing there.
#[utoipa::path(post, path = "/api/v1/nodes/{id}/examination", tag = "commands",
    params(("id" = String, Path, description = "The node's id")), request_body = ExaminationOrder,
    responses((status = 202, body = ExaminationSent), (status = 400, body = ErrorView), (status = 404, body = ErrorView),
        (status = 409, body = ErrorView), (status = 503, body = ErrorView)))]
pub async fn order(
    State(web): State<Arc<Web>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    JsonBody(ExaminationOrder {}): JsonBody<ExaminationOrder>,
) -> Result<(StatusCode, Json<ExaminationSent>), ApiError> {
    let node = path_node(&id)?;
    check_live(&web, &node).await?;
    let id = random_id()?;
    let sent = hex::encode(id);
    tracing::info!(%node, command = sent, by = %caller.name, "examination ordered");
    if !web.commands.send(&node, Command { id, ttl_ms: TTL_MS, action: Action::Examine {} }).await {
        return Err(closing());
    }
    Ok((StatusCode::ACCEPTED, Json(ExaminationSent { id: sent, node: node.to_string(), ttl_ms: TTL_MS })))
}

/// What a node's newest examination found.
#[utoipa::path(get, path = "/api/v1/nodes/{id}/examination", tag = "view",
    params(("id" = String, Path, description = "The node's id"),
        ("language" = Option<String>, Query, description = "id (default) or en: the language of the sentences")),
    responses((status = 200, body = NodeExaminationView), (status = 400, body = ErrorView),
        (status = 404, body = ErrorView)))]
pub async fn newest(
    State(web): State<Arc<Web>>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Json<NodeExaminationView>, ApiError> {
    let languages = Language::ALL.map(|language| (language.code(), language));
    let language = Params::new(&uri, &["language"])?.one_of("language", &languages)?.unwrap_or_default();
    let node = path_node(&id)?;
    check_known(&web, &node).await?;
    let examination = web.view.examination(&node, language).await?;
    Ok(Json(NodeExaminationView { node: node.to_string(), examination }))
}
