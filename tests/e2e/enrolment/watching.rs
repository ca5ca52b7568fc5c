//! A laptop beside a node: the examination through the hub, the acceptance, and what is said when there is no hub.

use simpul_testkit::camera::Camera;
use simpul_testkit::node::{CAMERA_PASSWORD, CAMERA_USER};
use simpul_testkit::pki::write_secret;
use simpul_testkit::scene::Scene;

use super::technicians::Laptop;
use super::*;

/// Readings are committed once a minute: then the first one comes.
const ACCEPTED_MAX: Duration = Duration::from_secs(180);

/// A node that measures itself and has a camera.
async fn with_camera(district: &Enrolling) -> (Node, Camera) {
    let scene = Scene { width: 640, height: 360, title: "SERAH TERIMA".to_owned(), seed: 1 };
    let camera = Camera::start(scene, CAMERA_USER, CAMERA_PASSWORD).await.unwrap();
    let node = district.bare(NODE);
    write_secret(&node.directory().join("camera.password"), CAMERA_PASSWORD).unwrap();
    let config = node.directory().join("agent.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let text = text.replace("[host]\nenabled = false\n", "[host]\ninterval = \"1 s\"\n");
    let cameras = format!(
        "\n[[cameras]]\nid = \"kamera-1\"\nsnapshot_url = \"{}\"\nusername = \"{CAMERA_USER}\"\n\
         password_file = \"camera.password\"\ninterval = \"1 s\"\nheartbeat = \"30 s\"\nsimulated = true\n",
        camera.url()
    );
    std::fs::write(&config, text + &cameras).unwrap();
    (node, camera)
}

#[tokio::test]
async fn a_node_is_watched_from_its_token_to_a_signed_acceptance_and_a_bast() {
    let district = Enrolling::start(LIFE_SECONDS).await;
    let laptop = Laptop::logged_in(&district, "budi", "thinkpad").await;
    let said = laptop.run(&["watch", "35.12.01.2001-09"]).await;
    assert!(said.code == 6 && said.text.contains("there is no node 35.12.01.2001-09"), "{said:?}");
    let (mut node, camera) = with_camera(&district).await;
    let said = laptop.run(&["watch", NODE, "--once"]).await;
    assert!(said.code == 1 && said.text.contains("the first hello"), "{said:?}");

    let mut watching =
        laptop.begin(&["watch", NODE, "--bast", path(&laptop.folder.join("bast.pdf")), "--note", "rak kiri"]);
    watching.wait_for_line("Waiting for the first hello", SOON).await.unwrap();
    node.give_token(&district.token(NODE).await).unwrap();
    node.start().await.unwrap();
    for line in ["[OK] Hello", "[OK] Picture of kamera-1: 640 x 360", "[OK] Reading"] {
        watching
            .wait_for_line(line, ACCEPTED_MAX)
            .await
            .unwrap_or_else(|error| panic!("{error}: {}", watching.log_text()));
    }
    let ended = watching.wait_for_end(ACCEPTED_MAX).await.unwrap();
    let log = watching.log_text();
    assert!(ended.success() && log.contains("Acceptance number 1 is kept at the hub"), "{log}");
    assert!(log.contains(&format!("hardware simulasi-{NODE}")), "{log}");

    let listed = district.hub.command(&["acceptances", "list"]).await.unwrap();
    assert!(listed.contains(NODE) && listed.contains("budi/thinkpad"), "{listed}");
    let pictures = laptop.folder.join("pictures");
    let shown = district.hub.command(&["acceptances", "show", "1", "--pictures", path(&pictures)]).await.unwrap();
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((&shown["signature_holds"], &shown["note"]), (&true.into(), &"rak kiri".into()), "{shown:#}");
    assert_eq!((&shown["hardware"], &shown["village"]), (&format!("simulasi-{NODE}").into(), &"Pategalan".into()));
    let sha256 = shown["pictures"][0]["sha256"].as_str().unwrap();
    assert!(camera.served().iter().any(|served| served == sha256), "the picture is one that the camera gave");
    let jpeg = std::fs::read(pictures.join(format!("{sha256}.jpg"))).unwrap();
    let bast = std::fs::read(laptop.folder.join("bast.pdf")).unwrap();
    let holds = |part: &[u8]| bast.windows(part.len()).any(|window| window == part);
    assert!(bast.starts_with(b"%PDF-") && holds(&jpeg) && holds(format!("simulasi-{NODE}").as_bytes()));
    // A changed record is not what was signed.
    let database = district.hub.directory().join("data/identity/registry.db");
    let database = rusqlite::Connection::open(database).unwrap();
    database.execute("UPDATE acceptance SET record = replace(hex(record), '72616B', '52414B')", []).unwrap_err();
    let record: Vec<u8> = database.query_row("SELECT record FROM acceptance", [], |row| row.get(0)).unwrap();
    let at = record.windows(8).position(|window| window == b"rak kiri").unwrap();
    let mut changed = record;
    changed[at] = b'R';
    database.execute("UPDATE acceptance SET record = ?", [changed]).unwrap();
    let shown = district.hub.command(&["acceptances", "show", "1"]).await.unwrap();
    assert!(shown.contains("\"signature_holds\": false"), "{shown}");
    let events = district.hub.command(&["technicians", "events"]).await.unwrap();
    for what in ["picture", "examine", "acceptance"] {
        assert!(events.lines().any(|line| line.contains(what) && line.contains(NODE)), "{what}: {events}");
    }
}

#[tokio::test]
async fn a_laptops_doctor_says_what_the_nodes_own_says_and_what_is_so_when_nobody_answers() {
    let mut district = Enrolling::start(LIFE_SECONDS).await;
    let laptop = Laptop::logged_in(&district, "budi", "thinkpad").await;
    // Its token was used by somebody else: the hub knows why it is not there.
    let said = laptop.run(&["doctor", NODE]).await;
    assert!(said.code == 3 && said.text.contains("not connected to the hub now"), "{said:?}");
    assert!(said.text.contains("The hub has never heard this node"), "{said:?}");

    let (mut node, camera) = with_camera(&district).await;
    node.give_token(&district.token(NODE).await).unwrap();
    node.start().await.unwrap();
    connected(&node).await;
    drop(camera);
    // The agent says what it saw itself lately: it has to miss the camera first.
    wait::until("the camera's trouble in the room", SOON, || async {
        let shown = district.hub.node(NODE).await.ok()??;
        (shown["cameras"][0]["condition"] == "unreachable").then_some(())
    })
    .await
    .unwrap();
    let said = laptop.run(&["doctor", NODE, "--json"]).await;
    assert_eq!(said.code, 2, "{said:?}");
    let document: serde_json::Value = serde_json::from_str(&said.text).unwrap();
    let verdicts = |document: &serde_json::Value| -> Vec<String> {
        let findings = document["findings"].as_array().unwrap();
        findings
            .iter()
            .map(|it| format!("{} {}", it["id"].as_str().unwrap(), it["verdict"].as_str().unwrap()))
            .collect()
    };
    assert!(verdicts(&document).contains(&"camera.unreachable fail".to_owned()), "{document:#}");
    let said = laptop.run(&["doctor", NODE]).await;
    assert!(said.code == 2 && said.text.contains("FAILED") && said.text.contains("[camera.unreachable]"), "{said:?}");

    // On the node itself: the same, by the agent's own words and code.
    let config = node.directory().join("agent.toml");
    let agent = simpul_testkit::process::binary("simpul-agent").unwrap();
    let here = ["doctor", "--here", "--agent", path(&agent), "--config", path(&config), "--json"];
    let said = laptop.run(&here).await;
    assert_eq!(said.code, 2, "{said:?}");
    let on_site: serde_json::Value = serde_json::from_str(&said.text).unwrap();
    assert!(verdicts(&on_site).contains(&"camera.unreachable fail".to_owned()), "{on_site:#}");
    let said = laptop.run(&["doctor", "--here", "--agent", "/nowhere/simpul-agent"]).await;
    assert!(said.code == 3 && said.text.contains("/nowhere/simpul-agent cannot be run"), "{said:?}");

    district.hub.stop().await.unwrap();
    let said = laptop.run(&["doctor", NODE]).await;
    assert!(said.code == 3 && said.text.contains("does not answer") && said.text.contains("--here"), "{said:?}");
}
