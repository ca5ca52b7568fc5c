//! What a phone gets: one page, made by `build.rs` out of `page/` and the catalogue, and the headers of every answer.

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;

/// Compressed already; every browser of the last twenty years takes that.
const PAGE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/phone.html.gz"));
/// Its script and its style by their hashes, itself, and nobody else.
const POLICY: &str = env!("SIMPUL_PHONE_POLICY");

/// The page.
pub fn page() -> Response {
    let mut response = Response::new(Body::from(PAGE));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}

/// What every answer says: keep nothing, guess nothing, tell nobody.
pub fn close(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}
