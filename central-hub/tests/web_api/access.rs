//! Who gets in, how, and what is refused.

use reqwest::{Method, StatusCode};
use serde_json::json;
use simpul_hub::web::tokens;

use super::fake::NOW_MS;
use super::hub::{Hub, Options, answer, error};

async fn with_tokens() -> (Hub, Vec<String>) {
    Hub::start(Options { tokens: vec!["room", "office"], ..Options::default() }).await
}

const UNAUTHORIZED: &str = "a token is needed: send `Authorization: Bearer TOKEN`, or sign in on the page; \
                            `simpul-hub token add NAME` makes one";

#[tokio::test]
async fn a_hub_without_tokens_is_open_to_its_own_machine_as_local() {
    let hub = Hub::open().await;
    let (status, session) = hub.get("/api/v1/session").await;
    assert_eq!((status, session), (StatusCode::OK, json!({ "name": "local", "token_required": false })));
}

#[tokio::test]
async fn with_tokens_everything_that_holds_data_needs_one() {
    let (hub, tokens) = with_tokens().await;
    for path in ["/api/v1/overview", "/api/v1/snapshots/42/image", "/api/v1/live", "/metrics", "/api/v1/openapi.json"] {
        let refused = error(hub.get(path).await);
        assert_eq!(refused, (401, "unauthorized".into(), UNAUTHORIZED.into()), "{path}");
        let bad = hub.request(Method::GET, path).bearer_auth("simpul_0000");
        assert_eq!(error(answer(bad).await).0, 401, "{path}");
        let good = hub.request(Method::GET, path).bearer_auth(&tokens[0]).send().await.unwrap();
        assert_eq!(good.status(), StatusCode::OK, "{path}");
    }
    for path in ["/healthz", "/readyz"] {
        assert_eq!(hub.get(path).await.0, StatusCode::OK, "{path}");
    }
    // The page itself is public, or nobody could sign in on it; this build may have none.
    assert_ne!(hub.get("/").await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_page_signs_in_with_a_cookie_that_scripts_and_other_sites_cannot_use() {
    let (hub, tokens) = with_tokens().await;
    let sign_in = hub.request(Method::POST, "/api/v1/session").json(&json!({ "token": tokens[1] }));
    let response = sign_in.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let cookie = response.headers()["set-cookie"].to_str().unwrap().to_owned();
    let expected = format!("simpul_session={}; Path=/; Max-Age=7776000; HttpOnly; SameSite=Strict", tokens[1]);
    assert_eq!(cookie, expected);
    let pair = cookie.split(';').next().unwrap();
    let signed_in = hub.request(Method::GET, "/api/v1/session").header("cookie", format!("other=1; {pair}"));
    assert_eq!(answer(signed_in).await.1, json!({ "name": "office", "token_required": true }));
    let sign_out = hub.request(Method::DELETE, "/api/v1/session").send().await.unwrap();
    assert!(sign_out.headers()["set-cookie"].to_str().unwrap().contains("simpul_session=; Path=/; Max-Age=0;"));
}

#[tokio::test]
async fn an_unknown_token_does_not_sign_in() {
    let (hub, _) = with_tokens().await;
    let refused = hub.request(Method::POST, "/api/v1/session").json(&json!({ "token": "simpul_guess" }));
    assert_eq!(
        error(answer(refused).await),
        (
            401,
            "unknown_token".into(),
            "this token is not known: it may have been revoked; `simpul-hub token list` shows the names".into()
        )
    );
}

#[tokio::test]
async fn a_revoked_token_ends_within_a_second() {
    let (hub, tokens) = with_tokens().await;
    tokens::revoke(&hub.tokens_file, "room").unwrap();
    hub.clock.advance(std::time::Duration::from_secs(1));
    for (token, expected) in [(&tokens[0], 401), (&tokens[1], 200)] {
        let request = hub.request(Method::GET, "/api/v1/usage").bearer_auth(token);
        assert_eq!(answer(request).await.0.as_u16(), expected);
    }
}

#[tokio::test]
async fn another_sites_name_that_resolves_to_loopback_is_refused() {
    let hub = Hub::open().await;
    for (host, expected) in [
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example:8470", 421),
        ("localhost:8470", 200),
        ("[::1]:8470", 200),
    ] {
        let request = hub.request(Method::GET, "/api/v1/usage").header("host", host);
        assert_eq!(answer(request).await.0.as_u16(), expected, "{host}");
    }
    let refused = error(answer(hub.request(Method::GET, "/").header("host", "evil.example")).await);
    let message = "Host = \"evil.example\": localhost, 127.0.0.1 or [::1] is allowed on a hub that listens on loopback";
    assert_eq!(refused, (421, "wrong_host".into(), message.into()));
}

#[tokio::test]
async fn a_change_from_another_sites_page_is_refused() {
    let hub = Hub::open().await;
    let backup = |origin: &str| {
        hub.request(Method::POST, "/api/v1/backup").header("origin", origin).json(&json!({ "directory": "/b" }))
    };
    let refused = error(answer(backup("https://evil.example")).await);
    let message = "Origin = \"https://evil.example\": only this hub's own page may change anything";
    assert_eq!(refused, (403, "wrong_origin".into(), message.into()));
    assert_eq!(answer(backup("null")).await.0, StatusCode::FORBIDDEN);
    assert_eq!(answer(backup(&hub.url)).await.0, StatusCode::OK);
}

#[tokio::test]
async fn every_look_at_an_image_is_logged_under_the_tokens_name_and_kept_by_nobody() {
    let (hub, tokens) = with_tokens().await;
    let image = |token: &str| hub.request(Method::GET, "/api/v1/snapshots/42/image").bearer_auth(token).send();
    let response = image(&tokens[0]).await.unwrap();
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert_eq!(response.headers()["content-type"], "image/jpeg");
    assert_eq!(response.bytes().await.unwrap(), "JPEG");
    image(&tokens[1]).await.unwrap();
    let looks = hub.store.looks.lock().unwrap().clone();
    assert_eq!(looks, [("room".into(), 42, NOW_MS), ("office".into(), 42, NOW_MS)]);
}

#[tokio::test]
async fn every_answer_forbids_frames_sniffing_and_foreign_scripts() {
    let hub = Hub::open().await;
    for path in ["/", "/api/v1/overview", "/api/v1/nowhere", "/metrics"] {
        let response = hub.request(Method::GET, path).send().await.unwrap();
        let headers = response.headers();
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["cross-origin-resource-policy"], "same-origin", "{path}");
        assert!(headers.get("access-control-allow-origin").is_none(), "{path}");
    }
}
