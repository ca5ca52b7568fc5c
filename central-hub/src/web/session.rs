//! Signing in on the page: a token for a cookie that scripts cannot read and other sites cannot send.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::{StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse};
use serde::Deserialize;
use utoipa::ToSchema;

use super::Web;
use super::access::{COOKIE, COOKIE_AGE_S, Caller};
use super::body::JsonBody;
use super::error::ApiError;
use crate::view::model::{ErrorView, SessionView};

/// A token to sign in with.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// The token, as `simpul-hub token add` printed it.
    pub token: String,
}

/// Sign in: sets the page's cookie.
#[utoipa::path(post, path = "/api/v1/session", tag = "access", request_body = SignIn,
    responses((status = 200, body = SessionView), (status = 401, body = ErrorView)))]
pub async fn sign_in(
    State(web): State<Arc<Web>>,
    JsonBody(sign_in): JsonBody<SignIn>,
) -> Result<impl IntoResponse, ApiError> {
    let token = sign_in.token.trim();
    let Some(name) = web.tokens.name_of(token) else {
        web.counters.unauthorized();
        let message = "this token is not known: it may have been revoked; `simpul-hub token list` shows the names";
        return Err(ApiError::new(StatusCode::UNAUTHORIZED, "unknown_token", message));
    };
    // A known token is of our own alphabet, so it needs no quoting here.
    let cookie = cookie(token, COOKIE_AGE_S, web.https);
    Ok((AppendHeaders([(header::SET_COOKIE, cookie)]), Json(SessionView { name, token_required: true })))
}

/// Who is signed in.
#[utoipa::path(get, path = "/api/v1/session", tag = "access",
    responses((status = 200, body = SessionView), (status = 401, body = ErrorView)))]
pub async fn session(State(web): State<Arc<Web>>, Extension(caller): Extension<Caller>) -> Json<SessionView> {
    Json(SessionView { name: caller.name.to_string(), token_required: web.tokens.required() })
}

/// Sign out: takes the cookie back.
#[utoipa::path(delete, path = "/api/v1/session", tag = "access", responses((status = 204)))]
pub async fn sign_out(State(web): State<Arc<Web>>) -> impl IntoResponse {
    (StatusCode::NO_CONTENT, AppendHeaders([(header::SET_COOKIE, cookie("", 0, web.https))]))
}

fn cookie(token: &str, age_s: u32, https: bool) -> String {
    let secure = if https { "; Secure" } else { "" };
    format!("{COOKIE}={token}; Path=/; Max-Age={age_s}; HttpOnly; SameSite=Strict{secure}")
}
