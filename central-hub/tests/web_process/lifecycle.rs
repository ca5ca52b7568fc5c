//! Start, stop, and what keeps a hub from starting.

use reqwest::{Certificate, Client, StatusCode};

use super::hub::{Home, START_MAX, STOP_MAX};

#[tokio::test]
async fn a_hub_says_how_it_is_and_ends_in_order_on_sigterm() {
    let home = Home::new("127.0.0.1:0", "");
    assert_eq!(
        home.command(&["config", "check"]).await.done(),
        format!("{}: valid\n", home.path("hub.toml").display())
    );
    let stopped = home.command(&["status"]).await.unready();
    assert_eq!(stopped, format!("no hub is running on {}\n", home.path("data").display()));
    let mut hub = home.start().await;
    let status = home.command(&["status"]).await.done();
    assert!(status.contains("takes records\n") && status.contains("0 sessions\n"), "{status}");
    let json = home.command(&["status", "--json"]).await.done();
    assert!(serde_json::from_str::<serde_json::Value>(&json).unwrap()["nodes"].is_array());
    // A page that watches must not keep the hub from ending.
    let _live = reqwest::get(format!("{}/api/v1/live", hub.web)).await.unwrap();
    hub.process.terminate();
    let ended = hub.process.wait_for_end(STOP_MAX).await.unwrap();
    assert_eq!(ended.code(), Some(0), "{}", hub.process.log_tail());
    assert_eq!(hub.process.complaints(), Vec::<String>::new());
    assert!(!home.path("data/console.sock").exists());
}

#[tokio::test]
async fn a_killed_hub_starts_again_over_its_own_leftovers() {
    let home = Home::new("127.0.0.1:0", "");
    let mut hub = home.start().await;
    hub.process.kill();
    assert!(home.path("data/console.sock").exists(), "the leftover this test is about");
    drop(hub);
    let hub = home.start().await;
    assert_eq!(reqwest::get(format!("{}/readyz", hub.web)).await.unwrap().status(), StatusCode::OK);
    assert!(home.command(&["status"]).await.done().contains("takes records"), "its console is a new one");
}

#[tokio::test]
async fn a_second_hub_on_the_same_folder_is_refused() {
    let home = Home::new("127.0.0.1:0", "");
    let _first = home.start().await;
    let refused = home.command(&[]).await.refused();
    let data = home.path("data");
    let expected =
        format!("simpul-hub: a hub is running on {}: stop it first (`systemctl stop simpul-hub`)", data.display());
    assert_eq!(refused, expected);
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let home = Home::new(&address, "");
    let expected = format!(
        "simpul-hub: web.listen = {address}: Address already in use (os error 98); is another hub running, or another \
         program on this port?"
    );
    assert_eq!(home.command(&[]).await.refused(), expected);
}

#[tokio::test]
async fn beyond_loopback_a_hub_wants_https_and_a_token() {
    let home = Home::new("0.0.0.0:0", "");
    let refused = home.command(&["config", "check"]).await.refused();
    assert!(refused.contains("without HTTPS only a loopback address such as 127.0.0.1:8470 is allowed"), "{refused}");

    let home = Home::new("0.0.0.0:0", "certificate_file = \"hub.crt\"\nkey_file = \"hub.key\"");
    let no_token = "simpul-hub: web.listen = 0.0.0.0:0: beyond loopback at least one token is needed; run `simpul-hub \
                    token add NAME` first";
    for command in [&["config", "check"][..], &["run"]] {
        assert_eq!(home.command(command).await.refused(), no_token);
    }
    let token = home.command(&["token", "add", "room"]).await.done();
    let hub = home.start().await;
    let ca = Certificate::from_pem(home.authority.certificate_pem().as_bytes()).unwrap();
    let client = Client::builder().tls_certs_only([ca]).build().unwrap();
    let url = format!("{}/api/v1/session", hub.web);
    assert_eq!(client.get(&url).send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    let known = client.get(&url).bearer_auth(token.trim()).send().await.unwrap();
    assert_eq!(known.headers()["strict-transport-security"], "max-age=31536000");
    assert_eq!(known.json::<serde_json::Value>().await.unwrap()["name"], "room");
    // The console needs none: only the hub's user can open it.
    assert!(home.command(&["status"]).await.done().contains("takes records"));
}

#[tokio::test]
async fn a_certificate_that_is_missing_is_named_and_nothing_stays_behind() {
    let home = Home::new("127.0.0.1:0", "");
    std::fs::remove_file(home.path("ca.crt")).unwrap();
    let mut process = home.launch();
    let ended = process.wait_for_end(START_MAX).await.unwrap();
    assert_eq!(ended.code(), Some(1));
    let log = process.log_text();
    assert!(log.contains(&format!("{}: No such file or directory", home.path("ca.crt").display())), "{log}");
    assert_eq!(log.matches("No such file").count(), 1, "said once: {log}");
    let check = home.command(&["config", "check"]).await.refused();
    assert!(check.starts_with("simpul-hub: mqtt.ca_file = "), "{check}");
}
