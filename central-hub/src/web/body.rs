//! JSON bodies: bounded, of the right kind, with the error naming what is wrong.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::error::ApiError;

/// Largest body: the API takes a token, a path or a switch; 16 KiB is far above each.
const BODY_BYTES_MAX: usize = 16 * 1024;

/// How long it may take to arrive.
const BODY_TIME_MAX: Duration = Duration::from_secs(10);

/// A JSON body.
#[derive(Debug)]
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request<Body>, _: &S) -> Result<Self, ApiError> {
        // A page elsewhere can make a browser send a form or plain text here, but not JSON without our consent (CORS).
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("");
        if kind.split(';').next().unwrap_or("").trim() != "application/json" {
            return Err(ApiError::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "not_json",
                format!("content-type = {kind:?}: application/json is allowed"),
            ));
        }
        let read = timeout(BODY_TIME_MAX, to_bytes(request.into_body(), BODY_BYTES_MAX)).await;
        let bytes = read.ok().and_then(Result::ok).ok_or_else(|| {
            ApiError::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_large",
                "the body has more than 16384 bytes, ended early or took too long",
            )
        })?;
        serde_json::from_slice(&bytes).map(JsonBody).map_err(|error| {
            ApiError::new(StatusCode::BAD_REQUEST, "bad_body", format!("the body is not what is expected: {error}"))
        })
    }
}
