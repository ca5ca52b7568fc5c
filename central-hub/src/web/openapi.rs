//! The OpenAPI document: made from the handlers and the view's types, so it cannot describe another API.

use axum::Json;
use utoipa::OpenApi;

use super::{
    api, backup, carry, commands, demo, examination, export, health, images, live, metrics, rollouts, session,
};
use crate::view::model::{Overview, Rows};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Simpul hub",
        description = "Times are Unix milliseconds UTC, ages seconds; unknown is null, never 0. Sign in with \
                       `Authorization: Bearer TOKEN`, or with the page's cookie (POST /api/v1/session)."
    ),
    paths(
        api::overview,
        api::node,
        api::service_records,
        api::events,
        api::snapshots,
        api::readings,
        api::latest_readings,
        api::streams,
        api::aside,
        api::usage,
        backup::backup,
        carry::carry,
        commands::power_cycle,
        demo::board,
        demo::fibre,
        document,
        examination::newest,
        examination::order,
        export::service_records_csv,
        health::healthz,
        health::readyz,
        images::image,
        live::live,
        metrics::metrics,
        rollouts::pause,
        rollouts::resume,
        rollouts::rollout,
        rollouts::rollouts,
        session::sign_in,
        session::session,
        session::sign_out,
    ),
    components(schemas(Overview, Rows<crate::view::model::EventView>))
)]
struct Document;

/// The document.
pub fn openapi() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

/// This document.
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "operations", responses((status = 200, body = Object)))]
pub async fn document() -> Json<utoipa::openapi::OpenApi> {
    Json(openapi())
}
