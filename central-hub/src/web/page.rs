//! The room's page, embedded at build time. Files with a hash in their name never change and are kept by browsers;
//! `index.html` is asked for each time, so that an update shows at the next load.

use axum::body::Body;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use super::error::ApiError;

include!(concat!(env!("OUT_DIR"), "/page_files.rs"));

/// Shown in a build that has no page.
const NO_PAGE: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Simpul</title>\
    <h1>No page in this build</h1><p>Run <code>cargo xtask ui</code> and build the hub again. \
    The API is there: <a href=\"/api/v1/overview\">/api/v1/overview</a>.</p>\
    <p lang=\"id\">Halaman belum dibangun: jalankan <code>cargo xtask ui</code>, lalu bangun ulang hub.</p></html>\n";

/// A file of the page; what is no file is the page itself, which routes on its own.
pub async fn page(method: Method, uri: Uri) -> Result<Response, ApiError> {
    let path = uri.path().trim_start_matches('/');
    if path.starts_with("api/") {
        return Err(ApiError::not_found(format!("{} is not part of the API: see /api/v1/openapi.json", uri.path())));
    }
    if !matches!(method, Method::GET | Method::HEAD) {
        return Err(method_not_allowed().await);
    }
    respond(FILES, path)
}

/// A route that is there, with another method.
pub async fn method_not_allowed() -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "this method is not allowed here: see /api/v1/openapi.json",
    )
}

fn respond(files: &'static [(&'static str, &'static [u8])], path: &str) -> Result<Response, ApiError> {
    let find = |path: &str| files.iter().find(|(name, _)| *name == path);
    if let Some((name, bytes)) = find(path).filter(|(name, _)| *name != "index.html") {
        let cache = if name.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
        return Ok(file(name, cache, bytes));
    }
    // By kind, not by a dot: node ids have dots, and the page has paths with node ids in them.
    let is_file = path.starts_with("assets/") || content_type(path) != UNKNOWN_TYPE;
    if is_file && path != "index.html" {
        return Err(ApiError::not_found(format!("there is no file /{path}")));
    }
    Ok(match find("index.html") {
        Some((name, bytes)) => file(name, "no-cache", bytes),
        None => (StatusCode::NOT_FOUND, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], NO_PAGE).into_response(),
    })
}

fn file(name: &str, cache: &'static str, bytes: &'static [u8]) -> Response {
    let headers = [(header::CONTENT_TYPE, content_type(name)), (header::CACHE_CONTROL, cache)];
    (headers, Body::from(Bytes::from_static(bytes))).into_response()
}

const UNKNOWN_TYPE: &str = "application/octet-stream";

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "geojson" => "application/geo+json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => UNKNOWN_TYPE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUILT: &[(&str, &[u8])] = &[("index.html", b"<page>"), ("assets/a-1b2c.js", b"js"), ("favicon.svg", b"svg")];

    fn check(path: &str) -> (u16, String, String) {
        let response = respond(BUILT, path).unwrap_or_else(IntoResponse::into_response);
        let get = |name| response.headers().get(name).map_or("", |value: &header::HeaderValue| value.to_str().unwrap());
        (response.status().as_u16(), get(header::CONTENT_TYPE).into(), get(header::CACHE_CONTROL).into())
    }

    #[test]
    fn hashed_files_are_kept_and_the_page_is_asked_for_again() {
        let script = "text/javascript; charset=utf-8".to_owned();
        let kept = "public, max-age=31536000, immutable".to_owned();
        assert_eq!(check("assets/a-1b2c.js"), (200, script, kept));
        for page in ["", "index.html", "nodes/35.12.07.2003-01"] {
            assert_eq!(check(page), (200, "text/html; charset=utf-8".into(), "no-cache".into()), "{page}");
        }
        assert_eq!(check("favicon.svg"), (200, "image/svg+xml".into(), "no-cache".into()));
    }

    #[test]
    fn a_missing_file_is_not_answered_with_the_page() {
        assert_eq!(check("assets/gone.js").0, 404);
    }

    #[test]
    fn a_build_without_a_page_says_how_to_make_one() {
        let response = respond(&[], "").unwrap();
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
    }
}
