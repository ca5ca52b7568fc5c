//! Tokens and backups on the command line.

use reqwest::{Client, StatusCode};

use super::hub::Home;

#[tokio::test]
async fn a_token_locks_a_running_hub_and_its_end_locks_its_owner_out() {
    let home = Home::new("127.0.0.1:0", "");
    let hub = home.start().await;
    let client = Client::new();
    let ask = |token: &str| {
        let request = client.get(format!("{}/api/v1/usage", hub.web)).bearer_auth(token);
        async move { request.send().await.unwrap().status() }
    };
    let soon = |token: String, wanted: StatusCode| {
        let ask = &ask;
        async move {
            let what = format!("{wanted}");
            let look = || async { (ask(&token).await == wanted).then_some(()) };
            simpul_testkit::wait::until(&what, std::time::Duration::from_secs(20), look).await.unwrap();
        }
    };
    assert_eq!(ask("").await, StatusCode::OK, "open to this machine at first");
    assert_eq!(
        home.command(&["token", "list"]).await.done(),
        "There are no tokens: the hub is open to this machine, on loopback only.\n"
    );
    let token = home.command(&["token", "add", "room"]).await.done().trim().to_owned();
    assert!(token.starts_with("simpul_") && token.len() == 71, "{token}");
    soon(String::new(), StatusCode::UNAUTHORIZED).await;
    soon(token.clone(), StatusCode::OK).await;
    assert!(home.command(&["token", "list"]).await.done().starts_with("room "));
    home.command(&["token", "revoke", "room"]).await.done();
    soon(token, StatusCode::UNAUTHORIZED).await;
    assert_eq!(home.command(&["token", "list"]).await.done(), "There are no tokens left: nobody gets in.\n");
    let unknown = home.command(&["token", "revoke", "room"]).await.refused();
    assert_eq!(unknown, "simpul-hub: there is no token named room: `simpul-hub token list` shows all of them");
}

#[tokio::test]
async fn a_stopped_hub_is_backed_up_from_its_folder() {
    let home = Home::new("127.0.0.1:0", "");
    let backup = home.path("backup");
    let nothing = home.command(&["backup", backup.to_str().unwrap()]).await.refused();
    let expected = format!(
        "simpul-hub: there is no store in {}: is it the right --data or --config?",
        home.path("data").display()
    );
    assert_eq!(nothing, expected);
    drop(home.start().await);
    let said = home.command(&["backup", backup.to_str().unwrap()]).await.done();
    assert!(said.starts_with(&format!("backed up the stopped hub into {}: ", backup.display())), "{said}");
    let used = home.path("hub.toml");
    let refused = home.command(&["backup", used.to_str().unwrap()]).await.refused();
    assert!(refused.starts_with("simpul-hub: no backup was made: "), "{refused}");
}

#[tokio::test]
async fn the_api_document_can_be_printed_without_a_hub() {
    let home = Home::new("127.0.0.1:0", "");
    let document: serde_json::Value = serde_json::from_str(&home.command(&["openapi"]).await.done()).unwrap();
    assert!(document["paths"]["/api/v1/overview"].is_object());
}
