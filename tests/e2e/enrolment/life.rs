//! A certificate's life: renewed in time, renewed after its end, and through a change of the CA, without a visit.

use super::*;

fn identity(node: &Node) -> Vec<u8> {
    std::fs::read(node.directory().join("identity/identity.cbor")).unwrap()
}

#[tokio::test]
async fn a_spare_whose_certificate_has_expired_in_the_cupboard_renews_itself() {
    // Long enough to connect once; its renewal at two thirds is prevented by stopping it.
    let district = Enrolling::start(20).await;
    let mut node = district.enrolled(NODE).await;
    record_arrives(&district.hub, &node, "before").await;
    node.stop().await.unwrap();
    let before = identity(&node);
    let kept: simpul_agent::enrolment::store::Kept = minicbor_of(&before);
    let clock = simpul_clock::Clock::machine();
    let end_ms = i64::try_from(kept.identity.validity.to_s).unwrap() * 1_000 + 1_500;
    wait::until("the certificate's end", Duration::from_secs(60), || async {
        (clock.wall_ms() > end_ms).then_some(())
    })
    .await
    .unwrap();
    node.start().await.unwrap();
    record_arrives(&district.hub, &node, "after").await;
    assert_ne!(identity(&node), before);
    // And again, in time and while it runs: a longer life would take longer.
    node.process()
        .unwrap()
        .wait_for_line("this node's certificate was renewed", Duration::from_secs(60))
        .await
        .unwrap();
}

fn minicbor_of(bytes: &[u8]) -> simpul_agent::enrolment::store::Kept {
    // The check sum's four bytes stand behind.
    minicbor::decode(&bytes[..bytes.len() - 4]).unwrap()
}

#[tokio::test]
async fn the_ca_is_changed_without_a_visit_and_nobody_is_left_behind() {
    let district = Enrolling::start(LIFE_SECONDS).await;
    let hub = &district.hub;
    let mut node = district.enrolled(NODE).await;
    let mut away = district.enrolled("35.12.01.2002-01").await;
    away.stop().await.unwrap();

    hub.command(&["ca", "rotate"]).await.unwrap();
    let refused = hub.command(&["ca", "activate"]).await.unwrap_err().to_string();
    assert!(refused.contains("do not know CA 2 yet"), "{refused}");
    node.process().unwrap().wait_for_line("the hub told of new CAs", SOON).await.unwrap();
    away.start().await.unwrap();
    wait::until("everybody to know the next CA", SOON, || async { hub.command(&["ca", "activate"]).await.ok() })
        .await
        .unwrap();

    // The hub shows a certificate of the next CA within a second; nodes renew because it says so.
    for node in [&mut node, &mut away] {
        node.process().unwrap().wait_for_line("this node's certificate was renewed", SOON).await.unwrap();
        node.stop().await.unwrap();
        node.start().await.unwrap();
        connected(node).await;
    }
    wait::until("nobody to need the old CA", SOON, || async { hub.command(&["ca", "retire"]).await.ok() })
        .await
        .unwrap();
    let shown = hub.command(&["ca", "show"]).await.unwrap();
    assert!(shown.contains("CA 1  retired") && shown.contains("CA 2  current"), "{shown}");
    for (name, node) in [("near", &mut node), ("away", &mut away)] {
        node.stop().await.unwrap();
        node.start().await.unwrap();
        record_arrives(hub, node, name).await;
    }
}

#[tokio::test]
async fn an_enrolled_node_is_examined_by_the_identity_that_it_uses() {
    let district = Enrolling::start(LIFE_SECONDS).await;
    let said = |examination: anyhow::Result<String>| {
        let text = examination.unwrap_or_else(|error| format!("{error:#}"));
        ["certificate.file", "certificate.good", "hub.good"].map(|id| text.contains(&format!("\"id\": \"{id}\"")))
    };
    let examine = ["doctor", "--json", "--language", "en"];
    // Without a certificate and without a token.
    let bare = district.bare("35.12.01.2002-01");
    assert_eq!(said(bare.command(&examine).await), [true, false, false]);
    // The hub's address is only in what was kept at enrolment.
    let node = district.enrolled(NODE).await;
    assert_eq!(said(node.command(&examine).await), [false, true, true]);
}
