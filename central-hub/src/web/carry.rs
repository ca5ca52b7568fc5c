//! A carry file, streamed in: by `simpul-hub carry import` over the console, or by whoever has a token. Who sealed it the
//! file itself proves.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, BodyDataStream};
use axum::extract::{Extension, Request, State};
use axum::http::{StatusCode, header};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, Stream};
use tokio::time::timeout;

use super::Web;
use super::access::Caller;
use super::error::ApiError;
use crate::carry::{CarryError, CarryView};
use crate::view::model::ErrorView;

/// How long the next piece may take: a stick that is slow is, a laptop that was closed is not waited for.
const PIECE_TIME_MAX: Duration = Duration::from_secs(60);

/// Take a carry file; answers when what is whole of it is committed.
#[utoipa::path(post, path = "/api/v1/carry", tag = "operations",
    request_body(content = String, content_type = "application/octet-stream", description = "The file, as it is"),
    responses((status = 200, body = CarryView), (status = 409, body = ErrorView), (status = 415, body = ErrorView),
        (status = 422, body = ErrorView), (status = 503, body = ErrorView)))]
pub async fn carry(
    State(web): State<Arc<Web>>,
    Extension(caller): Extension<Caller>,
    request: Request<Body>,
) -> Result<Json<CarryView>, ApiError> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("");
    if kind != "application/octet-stream" {
        let message = format!("content-type = {kind:?}: application/octet-stream is allowed");
        return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_a_file", message));
    }
    let Some(importer) = web.carry.get() else {
        return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "this hub takes no carry files"));
    };
    let mut body = request.into_body().into_data_stream();
    let Ok(_one) = web.carrying.try_lock() else {
        drain(&mut body).await;
        let message = "a carry file is being taken already: wait for it";
        return Err(ApiError::new(StatusCode::CONFLICT, "busy", message));
    };
    tracing::info!(by = %caller.name, "a carry file is brought");
    let taken = importer.import(Box::pin(pieces(&mut body))).await;
    match taken {
        Ok(view) => {
            drain(&mut body).await;
            web.view.refresh().await;
            Ok(Json(view))
        }
        Err(error) => {
            tracing::warn!(by = %caller.name, code = error.code(), %error, "a carry file was refused");
            drain(&mut body).await;
            let status = match error {
                CarryError::Hub(_) => StatusCode::SERVICE_UNAVAILABLE,
                _ => StatusCode::UNPROCESSABLE_ENTITY,
            };
            Err(ApiError::new(status, error.code(), error.to_string()))
        }
    }
}

fn pieces(body: &mut BodyDataStream) -> impl Stream<Item = Result<Bytes, String>> + '_ {
    stream::unfold(body, |body| async move {
        let piece = match timeout(PIECE_TIME_MAX, body.next()).await {
            Ok(Some(piece)) => piece.map_err(|error| error.to_string()),
            Ok(None) => return None,
            Err(_) => Err(format!("nothing came for {PIECE_TIME_MAX:?}")),
        };
        Some((piece, body))
    })
}

/// Whoever still sends reads no answer: take the rest, so that a refusal arrives.
async fn drain(body: &mut BodyDataStream) {
    while let Ok(Some(Ok(_))) = timeout(PIECE_TIME_MAX, body.next()).await {}
}
