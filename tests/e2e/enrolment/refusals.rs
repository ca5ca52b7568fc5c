//! What is refused: each with a sentence of its own at the node, and at the hub.

use super::*;

/// What `simpul-agent enrol` says when it fails.
async fn refused(node: &Node) -> String {
    node.command(&["enrol"]).await.expect_err("it was enrolled").to_string()
}

#[tokio::test]
async fn each_wrong_token_is_refused_with_its_own_message_on_both_sides() {
    let district = Enrolling::start(LIFE_SECONDS).await;
    let (first, second) = (district.bare(NODE), district.bare("35.12.01.2002-01"));
    assert!(refused(&first).await.contains("there is no token"));

    let token = district.token(NODE).await;
    second.give_token(&token).unwrap();
    assert!(refused(&second).await.contains("belongs to another node: it is for 35.12.01.2001-01"), "by itself");
    first.give_token(&token[..60]).unwrap();
    assert!(refused(&first).await.contains("cut short"));
    let mut slipped = token.clone();
    slipped.replace_range(100..101, if &token[100..101] == "0" { "1" } else { "0" });
    first.give_token(&slipped).unwrap();
    assert!(refused(&first).await.contains("mistyped"));
    first.give_token(&token).unwrap();
    assert!(first.command(&["enrol"]).await.unwrap().contains("is enrolled"));
    assert!(first.command(&["enrol"]).await.unwrap().contains("enrolled already, with this token"));

    // Stolen: the same token, on another card.
    let thief = Node::prepare_bare(&district.folder.path().join("thief"), NODE).unwrap();
    thief.give_token(&token).unwrap();
    let said = refused(&thief).await;
    assert!(said.contains("has been used already, with another key"), "{said}");

    // An older token, after a newer one was made.
    let older = district.token("35.12.01.2002-01").await;
    district.token("35.12.01.2002-01").await;
    second.give_token(&older).unwrap();
    let said = refused(&second).await;
    assert!(said.contains("was withdrawn"), "{said}");

    let events = district.hub.command(&["nodes", "events"]).await.unwrap();
    for reason in ["UsedToken", "Revoked"] {
        assert!(events.lines().any(|line| line.contains(reason) && line.contains("127.0.0.1")), "{reason}: {events}");
    }
    let log = std::fs::read_to_string(district.hub.directory().join("hub.log")).unwrap();
    assert!(log.contains("enrolment refused: the enrolment token has been used already"), "{log}");
    for secret in [&token, &older] {
        assert!(!log.contains(&secret[20..40]) && !events.contains(&secret[20..40]), "a token stands in the log");
    }
}

#[tokio::test]
async fn a_hub_of_another_district_is_refused_by_the_node_and_knows_no_token_of_ours() {
    let ours = Enrolling::start(LIFE_SECONDS).await;
    let theirs = Enrolling::start(LIFE_SECONDS).await;
    let node = ours.bare(NODE);
    let mut token: simpul_wire::enrolment::EnrolmentToken = ours.token(NODE).await.parse().unwrap();
    let foreign: simpul_wire::enrolment::EnrolmentToken = theirs.token(NODE).await.parse().unwrap();
    // Somebody sits at our hub's address.
    token.addresses.clone_from(&foreign.addresses);
    node.give_token(&token.to_string()).unwrap();
    let said = refused(&node).await;
    assert!(said.contains("this hub belongs to another district"), "{said}");
    // Their CA, our secret.
    token.authority = foreign.authority;
    node.give_token(&token.to_string()).unwrap();
    let said = refused(&node).await;
    assert!(said.contains("does not know this enrolment token"), "{said}");
    let events = theirs.hub.command(&["nodes", "events"]).await.unwrap();
    assert!(events.contains("UnknownToken"), "{events}");
    assert!(!node.directory().join("identity/identity.cbor").exists());
}

#[tokio::test]
async fn a_revoked_node_is_cut_off_at_once_and_comes_back_by_a_new_token_alone() {
    let district = Enrolling::start(LIFE_SECONDS).await;
    let mut node = district.enrolled(NODE).await;
    let other = district.enrolled("35.12.01.2002-01").await;
    let said = district.hub.command(&["nodes", "revoke", NODE]).await.unwrap();
    assert!(said.contains("1 certificates revoked"), "{said}");
    let line = node.process().unwrap().wait_for_line("the connection to the hub ended", SOON).await.unwrap();
    println!("{line}");
    node.process().unwrap().wait_for_line("certificate was revoked", SOON).await.unwrap();
    assert!(!is_up(&node).await);
    assert!(is_up(&other).await, "the neighbour stays");
    // Also over a restart of the hub.
    let mut district = district;
    district.hub.stop().await.unwrap();
    district.hub.start().await.unwrap();
    connected(&other).await;
    assert!(!is_up(&node).await);
    node.give_token(&district.token(NODE).await).unwrap();
    connected(&node).await;
    record_arrives(&district.hub, &node, "back").await;
}

#[tokio::test]
async fn a_ca_key_that_others_can_read_stops_the_hub_from_starting() {
    use std::os::unix::fs::PermissionsExt;
    let mut district = Enrolling::start(LIFE_SECONDS).await;
    district.hub.stop().await.unwrap();
    let key = district.hub.directory().join("data/pki/ca-1.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    district.hub.launch().unwrap();
    let ended = district.hub.process().unwrap().wait_for_end(SOON).await.unwrap();
    assert!(!ended.success());
    let log = district.hub.process().unwrap().log_text();
    assert!(log.contains("has mode 644: only its owner may read it"), "{log}");
}
