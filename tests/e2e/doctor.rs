//! The doctor against real faults: each is put there, and the examination has to name it, on site and from the room.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use simpul_testkit::camera::{Behaviour, Camera};
use simpul_testkit::hub::{Hub, Place};
use simpul_testkit::loop_disk::LoopDisk;
use simpul_testkit::node::{CAMERA_PASSWORD, CAMERA_USER, Node, NodeSettings};
use simpul_testkit::pki::{Authority, Validity, write_secret};
use simpul_testkit::process::binary;
use simpul_testkit::scene::Scene;
use simpul_testkit::{ports, wait};
use simpul_tests::district::{District, Plan, VILLAGES, place};
use tokio::net::TcpListener;

/// What is promised of an examination, whatever hangs.
const EXAMINATION_MAX: Duration = Duration::from_secs(30);

/// An examination on site: exit code, what it printed.
async fn run(node: &Node, arguments: &[&str]) -> (i32, String) {
    let mut command = tokio::process::Command::new(binary("simpul-agent").unwrap());
    command.arg("doctor").arg("--config").arg(node.directory().join("agent.toml")).args(arguments);
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(EXAMINATION_MAX, command.output()).await.expect("within 30 s").unwrap();
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8(printed).unwrap();
    assert_no_secret(node, &printed);
    (output.status.code().unwrap(), printed)
}

/// Neither a password nor a token nor a line of the key.
fn assert_no_secret(node: &Node, printed: &str) {
    let key = std::fs::read_to_string(node.directory().join("node.key")).unwrap_or_default();
    let lines = key.lines().filter(|line| line.len() > 20 && !line.starts_with("-----"));
    for secret in lines.chain([CAMERA_PASSWORD, node.token()]) {
        assert!(!printed.contains(secret), "a secret was printed:\n{printed}");
    }
}

/// The same as JSON: exit code, and `id verdict` of each finding with what it follows from.
async fn examine(node: &Node) -> (i32, Vec<String>) {
    let (code, printed) = run(node, &["--json", "--language", "en"]).await;
    let document: Value = serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"));
    (code, told(document["findings"].as_array().unwrap()))
}

fn told(findings: &[Value]) -> Vec<String> {
    let id =
        |code: &Value| findings.iter().find(|it| it["code"] == *code || it["id"] == *code).map(|it| it["id"].clone());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    findings
        .iter()
        .map(|finding| {
            let said = format!("{} {}", text(&finding["id"]), text(&finding["verdict"]));
            match id(&finding["follows"]) {
                Some(cause) => format!("{said} <- {}", text(&cause)),
                None => said,
            }
        })
        .collect()
}

fn trouble(told: &[String]) -> Vec<&str> {
    let well = |line: &str| line.ends_with(" ok") || line.ends_with(" absent");
    told.iter().map(String::as_str).filter(|line| !well(line)).collect()
}

fn has(told: &[String], wanted: &str) {
    assert!(told.iter().any(|line| line == wanted), "{wanted:?} is not in {told:#?}");
}

fn id() -> String {
    place(VILLAGES[0]).id
}

/// A node whose agent does not run.
fn node(directory: &Path, authority: &Authority, hub: SocketAddr, camera: Option<&Camera>, more: &str) -> Node {
    let settings = NodeSettings { more: format!("[host]\nenabled = false\n{more}"), ..NodeSettings::default() };
    Node::prepare(directory, authority, &id(), hub, camera, &settings).unwrap()
}

fn nowhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], ports::free().unwrap()))
}

async fn camera() -> Camera {
    let scene = Scene { width: 640, height: 360, title: "DOKTER".to_owned(), seed: 1 };
    Camera::start(scene, CAMERA_USER, CAMERA_PASSWORD).await.unwrap()
}

async fn hub(directory: &Path, authority: &Authority) -> Hub {
    let places: Vec<Place> = vec![place(VILLAGES[0])];
    let mut hub = Hub::prepare(directory, authority, &places, None).unwrap();
    hub.start().await.unwrap();
    hub
}

#[tokio::test]
async fn a_healthy_node_is_well_on_site_and_from_the_room() {
    let district = District::start(&Plan { cameras: true, ..Plan::default() }).await.unwrap();
    let (node, hub) = (&district.nodes[0], &district.hub);
    wait::until("a picture at the hub", Duration::from_secs(60), || async {
        let shown = hub.node(node.id()).await.ok()??;
        shown["cameras"][0]["snapshot"].is_object().then_some(())
    })
    .await
    .unwrap();
    let (code, found) = examine(node).await;
    assert_eq!((trouble(&found), code), (vec![], 0), "{found:#?}");
    for wanted in ["agent.good ok", "hub.good ok", "camera.good ok", "certificate.good ok", "board.absent absent"] {
        has(&found, wanted);
    }
    let (code, text) = run(node, &["--language", "id"]).await;
    assert!(code == 0 && text.contains("Semua yang diperiksa baik."), "{text}");

    let path = format!("/api/v1/nodes/{}/examination", node.id());
    let sent = hub.post(&path, &json!({})).await.unwrap();
    let shown = wait::until("the examination at the hub", EXAMINATION_MAX, || async {
        let mut shown = hub.get(&format!("{path}?language=en")).await.ok()?;
        (shown["examination"]["id"] == sent["id"]).then(|| shown["examination"].take())
    })
    .await
    .unwrap();
    assert_no_secret(node, &shown.to_string());
    let found = told(shown["findings"].as_array().unwrap());
    assert_eq!(
        (trouble(&found), &shown["verdict"], &shown["omitted"]),
        (vec![], &json!("ok"), &json!(0)),
        "{found:#?}"
    );
    for wanted in ["agent.good ok", "hub.good ok", "camera.good ok"] {
        has(&found, wanted);
    }
    // The order's own result is the room's as well.
    wait::until("the order's result", EXAMINATION_MAX, || async {
        let mut shown = hub.node(node.id()).await.ok()??;
        let result = shown["last_command"].take();
        (result["id"] == sent["id"] && result["done"] == true).then_some(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn what_is_wrong_at_a_running_node_is_seen_from_the_room() {
    let district = District::start(&Plan { cameras: true, ..Plan::default() }).await.unwrap();
    let (node, hub) = (&district.nodes[0], &district.hub);
    district.cameras[0].behave(Behaviour::Black);
    wait::until("a black camera", Duration::from_secs(60), || async {
        let shown = hub.node(node.id()).await.ok()??;
        (shown["cameras"][0]["condition"] == "black").then_some(())
    })
    .await
    .unwrap();
    let path = format!("/api/v1/nodes/{}/examination", node.id());
    let sent = hub.post(&path, &json!({})).await.unwrap();
    let shown = wait::until("the examination at the hub", EXAMINATION_MAX, || async {
        let mut shown = hub.get(&path).await.ok()?;
        (shown["examination"]["id"] == sent["id"]).then(|| shown["examination"].take())
    })
    .await
    .unwrap();
    let found = told(shown["findings"].as_array().unwrap());
    assert_eq!(trouble(&found), ["camera.black warn"], "{found:#?}");
    assert_eq!(shown["findings"][0]["what"], "Gambar kamera kamera-1 hitam.");
}

#[tokio::test]
async fn a_stopped_agent_a_closed_hub_and_a_missing_board_are_told_apart() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("district").unwrap());
    let board = "[board]\nport = \"/dev/simpul-no-such-board\"\n";
    let node = node(folder.path(), &authority, nowhere(), None, board);
    let (code, found) = examine(&node).await;
    assert_eq!(code, 2);
    assert_eq!(
        trouble(&found),
        [
            "agent.not_running fail",
            "spool.missing warn <- agent.not_running",
            "hub.closed fail",
            "board.unplugged fail"
        ]
    );
    let (code, text) = run(&node, &[]).await;
    assert!(code == 2 && text.contains("GAGAL  Agen tidak berjalan.  [agent.not_running]"), "{text}");
    std::fs::write(node.directory().join("agent.toml"), "node = 7").unwrap();
    assert_eq!(run(&node, &["--json"]).await.0, 3, "a configuration that is refused");
}

#[tokio::test]
async fn another_districts_hub_is_not_believed() {
    let (folder, ours) = (tempfile::tempdir().unwrap(), Authority::new("district").unwrap());
    let theirs = Authority::new("elsewhere").unwrap();
    let hub = hub(&folder.path().join("hub"), &theirs).await;
    let node = node(&folder.path().join("node"), &ours, hub.mqtt(), None, "");
    let (code, found) = examine(&node).await;
    assert_eq!(code, 2);
    has(&found, "hub.wrong_authority fail");
    has(&found, "certificate.good ok");
}

#[tokio::test]
async fn an_own_certificate_that_is_over_or_anothers_explains_the_hubs_refusal() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("district").unwrap());
    let hub = hub(&folder.path().join("hub"), &authority).await;
    let node = node(&folder.path().join("node"), &authority, hub.mqtt(), None, "");
    let (_, found) = examine(&node).await;
    has(&found, "hub.good ok");
    let give = |identity: simpul_testkit::pki::Identity| {
        std::fs::write(node.directory().join("node.pem"), &identity.certificate_pem).unwrap();
        std::fs::remove_file(node.directory().join("node.key")).unwrap();
        write_secret(&node.directory().join("node.key"), &identity.key_pem).unwrap();
    };
    give(authority.node_valid(&id(), Validity::Expired).unwrap());
    let (code, found) = examine(&node).await;
    assert_eq!(code, 2);
    has(&found, "certificate.expired fail");
    has(&found, "hub.refuses_certificate fail <- certificate.expired");
    give(authority.node("35.12.01.2009-01").unwrap());
    let (_, found) = examine(&node).await;
    has(&found, "certificate.wrong_node fail");
    let key = authority.node(&id()).unwrap();
    std::fs::remove_file(node.directory().join("node.key")).unwrap();
    write_secret(&node.directory().join("node.key"), &key.key_pem).unwrap();
    let (_, found) = examine(&node).await;
    has(&found, "certificate.wrong_key fail");
    has(&found, "hub.unknown unknown <- certificate.wrong_key");
}

#[tokio::test]
async fn a_name_that_nobody_knows_is_told_before_what_needs_it() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("district").unwrap());
    let node = node(folder.path(), &authority, nowhere(), None, "");
    let path = node.directory().join("agent.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let line = text.lines().find(|line| line.starts_with("hubs = ")).unwrap();
    std::fs::write(&path, text.replace(line, "hubs = [\"hub.simpul.invalid:8883\"]")).unwrap();
    let (code, found) = examine(&node).await;
    assert_eq!(code, 2);
    let name = found.iter().find(|line| line.starts_with("name.")).unwrap_or_else(|| panic!("{found:#?}"));
    assert!(name.starts_with("name.not_found fail") || name.starts_with("name.timeout fail"), "{name}");
    assert!(!found.iter().any(|line| line.starts_with("hub.")), "{found:#?}");
}

#[tokio::test]
async fn a_camera_is_told_by_what_it_answers_and_its_password_is_tried_once() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("district").unwrap());
    let camera = camera().await;
    let node = node(folder.path(), &authority, nowhere(), Some(&camera), "");
    for (behaviour, expected) in [
        (Behaviour::Moving, "camera.good ok"),
        (Behaviour::Black, "camera.black warn"),
        (Behaviour::Page, "camera.no_picture fail"),
        (Behaviour::CutShort, "camera.short fail"),
        (Behaviour::Unauthorized, "camera.password fail"),
    ] {
        camera.behave(behaviour);
        let before = camera.requests();
        let (_, found) = examine(&node).await;
        has(&found, expected);
        assert!(camera.requests() - before <= 2, "one challenge and one answer: {behaviour:?}");
    }
    drop(camera);
    let (_, found) = examine(&node).await;
    has(&found, "camera.unreachable fail");
}

#[tokio::test]
async fn a_clock_that_is_years_behind_what_was_seen_is_told() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("district").unwrap());
    let node = node(folder.path(), &authority, nowhere(), None, "");
    let state = node.directory().join("sources");
    std::fs::create_dir_all(&state).unwrap();
    // The year 2050: this machine's clock is a quarter of a century behind it.
    std::fs::write(state.join("wall"), "2524608000000\n").unwrap();
    let (code, found) = examine(&node).await;
    assert_eq!(code, 2);
    has(&found, "clock.behind fail");
}

#[tokio::test]
async fn a_full_card_is_the_first_thing_that_is_told() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("district").unwrap());
    let node = node(&folder.path().join("node"), &authority, nowhere(), None, "");
    std::fs::create_dir_all(node.spool()).unwrap();
    let disk = LoopDisk::over(&node.spool(), &folder.path().join("images"), 8).unwrap();
    disk.fill(0).unwrap();
    let (code, found) = examine(&node).await;
    assert_eq!((code, found[0].as_str()), (2, "storage.full fail"), "{found:#?}");
    has(&found, "agent.not_running fail <- storage.full");
    disk.give_back().unwrap();
    let (_, found) = examine(&node).await;
    has(&found, "storage.good ok");
    assert!(!node.spool().join("examination-probe").exists());
}

#[tokio::test]
async fn whatever_hangs_the_examination_ends_in_time() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new("district").unwrap());
    // Takes connections and never says anything: a hub that hangs, and a camera that does.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let hold = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
    });
    let mut cameras = String::new();
    for number in 0..12 {
        cameras += &format!("[[cameras]]\nid = \"k{number}\"\nsnapshot_url = \"http://{address}/a.jpg\"\n");
    }
    let node = node(folder.path(), &authority, address, None, &cameras);
    let (code, found) = examine(&node).await;
    hold.abort();
    assert_eq!(code, 2);
    has(&found, "hub.silent fail");
    assert_eq!(found.iter().filter(|line| *line == "camera.unreachable fail").count(), 12, "{found:#?}");
}
