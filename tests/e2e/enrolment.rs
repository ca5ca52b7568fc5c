//! From a token to a record at the hub, and everything that may go wrong between: real agents, a real hub, its own CA.

mod clocks;
mod kills;
mod life;
mod refusals;
mod technicians;
mod updates;
mod watching;

use std::path::Path;
use std::time::Duration;

use simpul_testkit::hub::Hub;
use simpul_testkit::node::Node;
use simpul_testkit::visitors::{Desk, Ledger};
use simpul_testkit::wait;

/// Seconds are promised; a debug build beside a compiler gets some more.
pub(super) const SOON: Duration = Duration::from_secs(30);

/// Longer than any test.
pub(super) const LIFE_SECONDS: u32 = 34_300_800;

/// The node of most tests.
pub(super) const NODE: &str = "35.12.01.2001-01";

const VILLAGES: &str =
    "code,name,kecamatan\n35.12.01.2001,Pategalan,Jatibanteng\n35.12.01.2002,Semambung,Jatibanteng\n";

/// A district with two registered nodes and its hub's process, in a folder of its own.
pub(super) struct Enrolling {
    pub(super) hub: Hub,
    pub(super) folder: tempfile::TempDir,
}

impl Enrolling {
    pub(super) async fn start(certificate_seconds: u32) -> Enrolling {
        let folder = tempfile::Builder::new().prefix("simpul-").tempdir().unwrap();
        let mut hub = Hub::prepare_enrolling(&folder.path().join("hub"), certificate_seconds).await.unwrap();
        let list = folder.path().join("villages.csv");
        std::fs::write(&list, VILLAGES).unwrap();
        let added = hub.command(&["nodes", "import", "--register", path(&list)]).await.unwrap();
        assert!(added.contains(NODE) && added.contains("35.12.01.2002-01"), "{added}");
        hub.start().await.unwrap();
        Enrolling { hub, folder }
    }

    pub(super) fn bare(&self, id: &str) -> Node {
        Node::prepare_bare(&self.folder.path().join(id), id).unwrap()
    }

    pub(super) async fn token(&self, id: &str) -> String {
        self.hub.command(&["nodes", "token", id]).await.unwrap().trim().to_owned()
    }

    /// A node that is enrolled, runs and is connected.
    async fn enrolled(&self, id: &str) -> Node {
        let mut node = self.bare(id);
        node.give_token(&self.token(id).await).unwrap();
        node.start().await.unwrap();
        connected(&node).await;
        node
    }
}

pub(super) fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

async fn connected(node: &Node) {
    wait::until("a session with the hub", SOON, || async { is_up(node).await.then_some(()) }).await.unwrap();
}

async fn is_up(node: &Node) -> bool {
    node.command(&["status", "--json"])
        .await
        .ok()
        .and_then(|text| serde_json::from_str::<serde_json::Value>(&text).ok())
        .is_some_and(|status| status["uplink"]["up"] == true)
}

/// A record goes all the way.
async fn record_arrives(hub: &Hub, node: &Node, name: &str) {
    let ledger = Ledger::default();
    let key = Desk::new(node, name, &ledger).unwrap().count("ktp", 1).await.unwrap();
    wait::until("the record at the hub", SOON, || async {
        let (rows, _) = hub.rows("/api/v1/service-records", None).await.ok()?;
        rows.iter().any(|row| row["key"] == key.as_str()).then_some(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_token_becomes_a_certificate_a_record_and_nothing_that_is_good_again() {
    let district = Enrolling::start(LIFE_SECONDS).await;
    let mut node = district.bare(NODE);
    node.start().await.unwrap();
    node.process().unwrap().wait_for_line("put the token of `simpul-hub nodes token` into", SOON).await.unwrap();
    // While it runs: a technician plugs the card in first and brings the token later.
    node.give_token(&district.token(NODE).await).unwrap();
    connected(&node).await;
    record_arrives(&district.hub, &node, "first").await;
    let token_file = node.token_file();
    wait::until("the token's deletion", SOON, || async { (!token_file.exists()).then_some(()) }).await.unwrap();
    // It comes back by its certificate alone.
    node.stop().await.unwrap();
    node.start().await.unwrap();
    connected(&node).await;
    record_arrives(&district.hub, &node, "second").await;
    let listed = district.hub.command(&["nodes", "list"]).await.unwrap();
    assert!(listed.lines().any(|line| line.starts_with(NODE) && line.contains("certificate to")), "{listed}");
    assert!(district.hub.node(NODE).await.unwrap().is_some_and(|node| node["village_name"] == "Pategalan"));
}
