//! Rollouts against a running hub and a real agent.

use super::*;

#[tokio::test]
async fn a_running_hub_gives_a_live_node_its_turn_and_a_restarted_one_remembers() {
    let mut district = Enrolling::start(LIFE_SECONDS).await;
    let _node = district.enrolled(NODE).await;
    let file = district.folder.path().join("all.toml");
    std::fs::write(&file, "node = \"@NODE@\"\n").unwrap();
    let started = ["updates", "start", "--configuration", path(&file), "--nodes", "all", "--rings", "1,all"];
    assert_eq!(district.hub.command(&started).await.unwrap().trim(), "1");
    wait::until("the node's turn", SOON, || turn(&district.hub)).await.unwrap();
    district.hub.kill();
    district.hub.start().await.unwrap();
    let again = wait::until("the node's turn after a restart", SOON, || turn(&district.hub)).await.unwrap();
    assert!(again.contains("ring 1"), "{again}");
}

/// The node's line, once it is its turn; an agent that knows configurations may be further already.
async fn turn(hub: &Hub) -> Option<String> {
    let text = hub.command(&["updates", "show", "1"]).await.ok()?;
    let platform = simpul_wire::update::THIS_PLATFORM;
    let line = text.lines().find(|line| line.starts_with(NODE) && line.contains(platform))?;
    (!line.contains("planned")).then(|| line.to_owned())
}
