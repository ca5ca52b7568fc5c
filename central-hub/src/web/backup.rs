//! A backup of the running hub. Only for somebody on its machine: the folder is one of that machine.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Web;
use super::access::Caller;
use super::body::JsonBody;
use super::error::ApiError;
use crate::view::model::{BackupView, ErrorView};

/// Where to write the backup.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BackupOrder {
    /// A folder on the hub's machine, absolute; empty, or that of an earlier backup (its images are not copied again).
    pub directory: String,
}

/// Write a consistent copy while the hub goes on; answers when it is whole.
#[utoipa::path(post, path = "/api/v1/backup", tag = "operations", request_body = BackupOrder,
    responses((status = 200, body = BackupView), (status = 400, body = ErrorView), (status = 403, body = ErrorView),
        (status = 409, body = ErrorView)))]
pub async fn backup(
    State(web): State<Arc<Web>>,
    Extension(caller): Extension<Caller>,
    JsonBody(order): JsonBody<BackupOrder>,
) -> Result<Json<BackupView>, ApiError> {
    if !caller.on_machine() {
        let message = "backups are made on the hub's own machine: run `simpul-hub backup DIR` there";
        return Err(ApiError::new(StatusCode::FORBIDDEN, "on_the_machine_only", message));
    }
    let directory = PathBuf::from(&order.directory);
    if !directory.is_absolute() {
        let message = format!("directory = {:?}: an absolute path is allowed", order.directory);
        return Err(ApiError::parameter(message));
    }
    let Ok(_one) = web.backup.try_lock() else {
        let message = "a backup is being made already: wait for it";
        return Err(ApiError::new(StatusCode::CONFLICT, "busy", message));
    };
    tracing::info!(directory = %directory.display(), by = %caller.name, "backup begins");
    let report = web.store.backup(directory.clone()).await.map_err(|error| {
        tracing::error!(%error, "the backup failed");
        // The reason names the folder that the caller named, and the caller is on this machine.
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "backup_failed", error.to_string())
    })?;
    tracing::info!(directory = %directory.display(), bytes = report.bytes, images = report.images, "backup is whole");
    web.view.refresh().await;
    let directory = order.directory;
    Ok(Json(BackupView { directory, bytes: report.bytes, images: report.images, at_ms: report.at_ms }))
}
