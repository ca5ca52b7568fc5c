//! Images: every look is logged before the bytes leave (promise 7), and nothing on the way may keep them.

use std::sync::Arc;

use axum::extract::{Extension, Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::Web;
use super::access::Caller;
use super::error::ApiError;
use super::query::path_id;
use crate::view::model::ErrorView;

/// An image's JPEG. The look is logged under the caller's name; `Cache-Control: no-store`, so that each look is one.
#[utoipa::path(get, path = "/api/v1/snapshots/{id}/image", tag = "records",
    params(("id" = i64, Path, description = "The snapshot's id")),
    responses((status = 200, content_type = "image/jpeg", body = [u8]), (status = 404, body = ErrorView)))]
pub async fn image(
    State(web): State<Arc<Web>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let id = path_id("id", &id)?;
    let bytes = web.store.snapshot_bytes(id).await?.ok_or_else(|| {
        ApiError::not_found(format!(
            "there is no snapshot {id} (any more): images are kept for a time, see store.snapshot_retention_days"
        ))
    })?;
    web.store.log_look(caller.name.to_string(), id, web.view.now_ms()).await?;
    web.counters.look();
    Ok(([(header::CONTENT_TYPE, "image/jpeg"), (header::CACHE_CONTROL, "no-store")], bytes).into_response())
}
