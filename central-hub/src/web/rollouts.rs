//! Remote updates: how far they are, and the two orders that cannot wait for the command line. Who begins one, with what
//! and where, is the command line's alone: whoever has a token could otherwise configure every node anew.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::{StatusCode, Uri};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Web;
use super::access::Caller;
use super::body::JsonBody;
use super::error::ApiError;
use super::query::{Params, path_id};
use crate::updates::UpdateError;
use crate::updates::ledger::{Ledger, Order, RolloutRow};
use crate::view::model::{ErrorView, RolloutDetailView, RolloutView};
use crate::view::rollouts::{detail, view};

/// Rollouts shown at once, newest first.
const ROLLOUTS_MAX: usize = 50;

/// There is nothing to choose.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RolloutOrder {}

/// The newest 50 rollouts, newest first. None on a hub without a CA of its own.
#[utoipa::path(get, path = "/api/v1/rollouts", tag = "view",
    responses((status = 200, body = Vec<RolloutView>), (status = 400, body = ErrorView)))]
pub async fn rollouts(State(web): State<Arc<Web>>, uri: Uri) -> Result<Json<Vec<RolloutView>>, ApiError> {
    Params::new(&uri, &[])?;
    if web.updates.is_none() {
        return Ok(Json(Vec::new()));
    }
    let rows = with_ledger(&web, |ledger| ledger.rollouts(ROLLOUTS_MAX)).await?;
    Ok(Json(rows.iter().map(view).collect()))
}

/// One rollout, node by node.
#[utoipa::path(get, path = "/api/v1/rollouts/{id}", tag = "view",
    params(("id" = i64, Path, description = "The rollout's number")),
    responses((status = 200, body = RolloutDetailView), (status = 400, body = ErrorView),
        (status = 404, body = ErrorView)))]
pub async fn rollout(
    State(web): State<Arc<Web>>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Json<RolloutDetailView>, ApiError> {
    Params::new(&uri, &[])?;
    Ok(Json(detail(&known(&web, path_id("id", &id)?).await?)))
}

/// Stop a rollout for now: nobody gets it any more; who tries it finishes that.
#[utoipa::path(post, path = "/api/v1/rollouts/{id}/pause", tag = "commands",
    params(("id" = i64, Path, description = "The rollout's number")), request_body = RolloutOrder,
    responses((status = 200, body = RolloutView), (status = 400, body = ErrorView), (status = 404, body = ErrorView),
        (status = 409, body = ErrorView)))]
pub async fn pause(
    State(web): State<Arc<Web>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    JsonBody(RolloutOrder {}): JsonBody<RolloutOrder>,
) -> Result<Json<RolloutView>, ApiError> {
    order(&web, &caller, &id, Order::Pause).await
}

/// Let a paused rollout go on, over what has failed so far.
#[utoipa::path(post, path = "/api/v1/rollouts/{id}/resume", tag = "commands",
    params(("id" = i64, Path, description = "The rollout's number")), request_body = RolloutOrder,
    responses((status = 200, body = RolloutView), (status = 400, body = ErrorView), (status = 404, body = ErrorView),
        (status = 409, body = ErrorView)))]
pub async fn resume(
    State(web): State<Arc<Web>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    JsonBody(RolloutOrder {}): JsonBody<RolloutOrder>,
) -> Result<Json<RolloutView>, ApiError> {
    order(&web, &caller, &id, Order::Resume).await
}

async fn order(web: &Web, caller: &Caller, id: &str, order: Order) -> Result<Json<RolloutView>, ApiError> {
    let number = path_id("id", id)?;
    known(web, number).await?;
    let (who, now_ms) = (format!("api:{}", caller.name), web.view.now_ms());
    tracing::info!(rollout = number, ?order, by = %caller.name, "a rollout was given an order");
    let row = with_ledger(web, move |ledger| ledger.order(number, order, &who, now_ms)).await?;
    Ok(Json(view(&row)))
}

async fn known(web: &Web, number: i64) -> Result<RolloutRow, ApiError> {
    let none = || ApiError::not_found(format!("there is no rollout {number}: see /api/v1/rollouts"));
    if web.updates.is_none() {
        return Err(none());
    }
    with_ledger(web, move |ledger| ledger.rollout(number)).await?.ok_or_else(none)
}

async fn with_ledger<T: Send + 'static>(
    web: &Web,
    work: impl FnOnce(&Ledger) -> Result<T, UpdateError> + Send + 'static,
) -> Result<T, ApiError> {
    let broken = |detail: String| {
        tracing::error!(detail, "the database of updates failed for the page");
        let message = "the hub's updates could not be read: its log says why";
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "store", message)
    };
    let Some(ledger) = web.updates.clone() else { return Err(broken("there is none".into())) };
    let done = tokio::task::spawn_blocking(move || work(&ledger)).await.map_err(|error| broken(error.to_string()))?;
    done.map_err(|error| match error {
        UpdateError::Refused(message) => ApiError::new(StatusCode::CONFLICT, "not_now", message),
        other => broken(other.to_string()),
    })
}
