//! Answers: JSON, an exact status, and for a refusal what to do about it.

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::spool::AppendError;

/// Come back after so long when a buffer or disk is full: it drains with the uplink, at best within minutes.
const FULL_RETRY_S: u64 = 60;
/// Come back after so long when the storage recovers by itself.
const STORAGE_RETRY_S: u64 = 5;

/// A refusal. `{"error": code, "message": what is wrong and what to do}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) retry_after_s: Option<u64>,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Refusal { status, code, message: message.into(), retry_after_s: None }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", message)
    }

    pub(crate) fn key_reused() -> Self {
        let message = "the idempotency key was used before for another record; use a new key for each record and repeat \
                       a key only with the same content";
        Refusal::new(StatusCode::CONFLICT, "key_reused", message)
    }

    pub(crate) fn too_many_requests(limit_per_s: u32, retry_after_s: u64) -> Self {
        let message = format!("more than {limit_per_s} requests per second from this address; wait {retry_after_s} s");
        Refusal {
            retry_after_s: Some(retry_after_s),
            ..Refusal::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", message)
        }
    }

    pub(crate) fn storage(message: impl std::fmt::Display) -> Self {
        let message = format!("{message}; nothing was accepted, send it again");
        Refusal {
            retry_after_s: Some(STORAGE_RETRY_S),
            ..Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "storage", message)
        }
    }

    pub(crate) fn full(message: impl std::fmt::Display) -> Self {
        let message = format!("{message}; nothing was accepted, send it again later");
        Refusal { retry_after_s: Some(FULL_RETRY_S), ..Refusal::new(StatusCode::INSUFFICIENT_STORAGE, "full", message) }
    }
}

impl From<AppendError> for Refusal {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::AtLimit { .. } | AppendError::DiskFull(_) => Refusal::full(error),
            AppendError::KeyReused => Refusal::key_reused(),
            AppendError::TooLarge(message) => Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message),
            AppendError::Storage(_) | AppendError::Closed => Refusal::storage(error),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = Json(json!({ "error": self.code, "message": self.message }));
        let mut response = (self.status, body).into_response();
        let mut set = |name: HeaderName, value: HeaderValue| response.headers_mut().insert(name, value);
        if let Some(seconds) = self.retry_after_s {
            set(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            set(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
