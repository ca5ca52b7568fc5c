//! Probes for a service manager: alive, and ready to take records.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::Web;

/// Whether the hub can do its work.
#[derive(Debug, Serialize, ToSchema)]
pub struct Readiness {
    /// Whether it can.
    pub ready: bool,
    /// Why not, one reason each.
    pub reasons: Vec<String>,
}

/// The process is alive.
#[utoipa::path(get, path = "/healthz", tag = "operations", responses((status = 200, body = String)))]
pub async fn healthz() -> &'static str {
    "alive\n"
}

/// The store can be written and publishes can come in; 503 with the reasons if not.
#[utoipa::path(get, path = "/readyz", tag = "operations",
    responses((status = 200, body = Readiness), (status = 503, body = Readiness)))]
pub async fn readyz(State(web): State<Arc<Web>>) -> Response {
    let mut reasons = Vec::new();
    match web.view.usage().await {
        Ok(usage) if usage.withholding => {
            reasons
                .push("the store cannot commit: acknowledgements are withheld, agents keep their records".to_owned());
        }
        Ok(_) => {}
        Err(error) => {
            tracing::warn!(%error, "not ready");
            reasons.push("the store does not answer: the hub's log says why".to_owned());
        }
    }
    if !web.view.vitals().mqtt_ready() {
        reasons.push("MQTT is not ready: publishes cannot come in".to_owned());
    }
    if *web.stop.borrow() {
        reasons.push("the hub is stopping".to_owned());
    }
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready: reasons.is_empty(), reasons })).into_response()
}
