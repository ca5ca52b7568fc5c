//! One record from a node's MQTT client to the API, over a restart and a restore.

use serde_json::Value;

use super::hub::{Home, Hub, STOP_MAX};
use super::node::Node;

const NODE: &str = "35.12.07.2003-01";

async fn get(hub: &Hub, path: &str) -> Value {
    reqwest::get(format!("{}{path}", hub.web)).await.unwrap().json().await.unwrap()
}

async fn keys(hub: &Hub) -> Vec<String> {
    let page = get(hub, "/api/v1/service-records?limit=1000").await;
    page["rows"].as_array().unwrap().iter().map(|row| row["key"].as_str().unwrap().to_owned()).collect()
}

async fn stop(mut hub: Hub) {
    hub.process.terminate();
    let status = hub.process.wait_for_end(STOP_MAX).await.unwrap();
    assert_eq!(status.code(), Some(0), "{}", hub.process.log_tail());
    assert_eq!(hub.process.complaints(), Vec::<String>::new(), "a healthy run logs no warning");
}

#[tokio::test]
async fn a_count_arrives_once_is_live_and_survives_restart_and_restore() {
    let home = Home::new("127.0.0.1:0", "");
    let hub = home.start().await;
    let mut live = reqwest::get(format!("{}/api/v1/live", hub.web)).await.unwrap();
    let mut node = Node::connect(&home.authority, NODE, hub.mqtt_port).await;
    node.count(0).await;
    node.count(1).await;
    node.count(0).await;
    assert_eq!(keys(&hub).await, ["key-0", "key-1"]);
    let mut heard = String::new();
    while !heard.contains("event: changed") {
        let chunk = live.chunk().await.unwrap().expect("the stream goes on");
        heard += std::str::from_utf8(&chunk).unwrap();
    }
    assert!(heard.contains(NODE), "{heard}");
    let shown = get(&hub, &format!("/api/v1/nodes/{NODE}")).await;
    assert_eq!((&shown["connected"], &shown["liveness"]), (&Value::Bool(true), &Value::from("live")));
    let metrics = reqwest::get(format!("{}/metrics", hub.web)).await.unwrap().text().await.unwrap();
    for line in
        ["simpul_hub_intake_records_total 2", "simpul_hub_intake_duplicates_total 1", "simpul_hub_mqtt_sessions 1"]
    {
        assert!(metrics.lines().any(|have| have == line), "{line} is not in\n{metrics}");
    }

    let backup = home.path("backup");
    let said = home.command(&["backup", backup.to_str().unwrap()]).await.done();
    assert!(said.starts_with("backed up the running hub into "), "{said}");
    node.count(2).await;
    stop(hub).await;

    let hub = home.start().await;
    assert_eq!(keys(&hub).await, ["key-0", "key-1", "key-2"]);
    let generation = get(&hub, "/api/v1/overview").await["hub"]["generation"].clone();
    let refused = home.command(&["restore", backup.to_str().unwrap()]).await.refused();
    assert!(refused.contains("a hub is running on "), "{refused}");
    stop(hub).await;

    let refused = home.command(&["restore", backup.to_str().unwrap()]).await.refused();
    assert!(refused.contains("is not empty"), "{refused}");
    let said = home.command(&["restore", "--force", backup.to_str().unwrap()]).await.done();
    assert!(said.starts_with("restored 2 service records, 0 events and 0 of 0 images from "), "{said}");
    let hub = home.start().await;
    assert_eq!(keys(&hub).await, ["key-0", "key-1"]);
    assert_ne!(get(&hub, "/api/v1/overview").await["hub"]["generation"], generation);
    // The node sends again what the backup lacks.
    Node::connect(&home.authority, NODE, hub.mqtt_port).await.count(2).await;
    assert_eq!(keys(&hub).await, ["key-0", "key-1", "key-2"]);
    stop(hub).await;
}
