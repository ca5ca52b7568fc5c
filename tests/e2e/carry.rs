//! A backlog goes by stick while there is no fibre; when the fibre is back, nothing is doubled and the node's buffer
//! empties by acknowledgement alone.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use simpul_testkit::camera::Camera;
use simpul_testkit::hub::Hub;
use simpul_testkit::node::{CAMERA_PASSWORD, CAMERA_USER, Node};
use simpul_testkit::pki::write_secret;
use simpul_testkit::scene::Scene;
use simpul_testkit::visitors::{Desk, Ledger, compare};
use simpul_testkit::wait;

use crate::enrolment::{Enrolling, LIFE_SECONDS, NODE, SOON, path};

const RECORDS: usize = 300;

/// A node that has its certificate and has never had a session: its hub stands still before it starts.
async fn offline(district: &mut Enrolling) -> Node {
    let node = district.bare(NODE);
    node.give_token(&district.token(NODE).await).unwrap();
    node.command(&["enrol"]).await.unwrap();
    district.hub.stop().await.unwrap();
    node
}

async fn counted(node: &Node, name: &str, ledger: &Ledger, records: usize) {
    let desk = Desk::new(node, name, ledger).unwrap();
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let desk = desk.clone();
        callers.spawn(async move {
            for _ in 0..records / 10 {
                desk.count("ktp", 1).await.unwrap();
            }
        });
    }
    callers.join_all().await;
}

async fn backlog(node: &Node, stream: &str) -> Option<u64> {
    let status: Value = serde_json::from_str(&node.command(&["status", "--json"]).await.ok()?).ok()?;
    let line = status["streams"].as_array()?.iter().find(|line| line["stream"] == stream)?.clone();
    line["backlog_records"].as_u64()
}

/// The carry files on a stick; nothing else may lie there.
fn files(stick: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(stick.join("simpul-carry")).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<PathBuf> = entries.collect();
    assert!(files.iter().all(|file| file.extension().is_some_and(|it| it == "carry")), "{files:?}");
    files
}

async fn import(hub: &Hub, file: &Path) -> anyhow::Result<Value> {
    let text = hub.command(&["carry", "import", "--json", path(file)]).await?;
    Ok(serde_json::from_str(text.lines().next().unwrap_or_default())?)
}

fn of(report: &Value, stream: &str, what: &str) -> u64 {
    let rows = report["streams"].as_array().unwrap();
    rows.iter().find(|row| row["stream"] == stream).map_or(0, |row| row[what].as_u64().unwrap())
}

async fn service_rows(hub: &Hub) -> Vec<Value> {
    hub.rows("/api/v1/service-records", None).await.unwrap().0
}

#[tokio::test]
async fn a_backlog_goes_by_stick_and_the_fibre_brings_nothing_twice() {
    let mut district = Enrolling::start(LIFE_SECONDS).await;
    let mut node = offline(&mut district).await;
    let scene = Scene { width: 640, height: 360, title: "DESA PATEGALAN".to_owned(), seed: 7 };
    let camera = Camera::start(scene, CAMERA_USER, CAMERA_PASSWORD).await.unwrap();
    let config = node.directory().join("agent.toml");
    let without_camera = fs::read_to_string(&config).unwrap();
    write_secret(&node.directory().join("camera.password"), CAMERA_PASSWORD).unwrap();
    let with_camera = format!(
        "{without_camera}\n[[cameras]]\nid = \"kamera-1\"\nsnapshot_url = \"{}\"\nusername = \"{CAMERA_USER}\"\n\
         password_file = \"camera.password\"\ninterval = \"1 s\"\nheartbeat = \"1 s\"\nsimulated = true\n",
        camera.url()
    );
    fs::write(&config, with_camera).unwrap();
    node.start().await.unwrap();
    let ledger = Ledger::default();
    counted(&node, "stick", &ledger, RECORDS).await;
    wait::until("two images in the buffer", SOON, || async { (backlog(&node, "snapshot").await? >= 2).then_some(()) })
        .await
        .unwrap();

    // While the agent runs; twice, as somebody does who is not sure.
    let stick = district.folder.path().join("stick");
    fs::create_dir(&stick).unwrap();
    let said = node.command(&["spool", "carry", path(&stick), "--json"]).await.unwrap();
    let said: Value = serde_json::from_str(&said).unwrap();
    let images = said["carried"]["records"][3].as_u64().unwrap();
    assert_eq!((said["carried"]["records"][0].as_u64(), images >= 2), (Some(RECORDS as u64), true), "{said}");
    assert!(backlog(&node, "service").await.unwrap() >= RECORDS as u64, "an export frees nothing");
    let [file] = &files(&stick)[..] else { panic!("one file") };
    let bytes = fs::read(file).unwrap();
    for (key, _) in ledger.entries().iter().take(3) {
        assert!(
            !bytes.windows(key.len()).any(|window| window == key.as_bytes()),
            "a record lies on the stick in clear"
        );
    }
    fs::write(&config, &without_camera).unwrap();
    node.stop().await.unwrap();

    // The hub was never spoken to by this node.
    district.hub.start().await.unwrap();
    let hub = &district.hub;
    let report = import(hub, file).await.unwrap();
    println!("{report}");
    assert_eq!((report["whole"].as_bool(), report["node"].as_str()), (Some(true), Some(NODE)));
    assert_eq!(of(&report, "service", "new"), RECORDS as u64);
    assert_eq!((of(&report, "snapshot", "new"), of(&report, "snapshot", "missing")), (images, 0));
    assert_eq!(compare(&ledger.entries(), &service_rows(hub).await), Default::default());
    let shown = hub.rows("/api/v1/snapshots", None).await.unwrap().0.len() as u64;
    assert_eq!(shown, images);
    let again = import(hub, &stick.join("simpul-carry")).await.unwrap();
    let counts =
        ["service", "event", "snapshot"].map(|stream| (of(&again, stream, "new"), of(&again, stream, "rejected")));
    assert_eq!(counts, [(0, 0); 3], "the same file again");
    assert_eq!((of(&again, "service", "had"), of(&again, "snapshot", "had")), (RECORDS as u64, images));

    // The fibre is back.
    node.start().await.unwrap();
    let late = Ledger::default();
    counted(&node, "fibre", &late, 10).await;
    for stream in ["service", "snapshot"] {
        wait::until("the buffer to empty", SOON, || async { (backlog(&node, stream).await? == 0).then_some(()) })
            .await
            .unwrap();
    }
    let mut all = ledger.entries();
    all.extend(late.entries());
    assert_eq!(compare(&all, &service_rows(hub).await), Default::default());
    let metrics = String::from_utf8(hub.get_bytes("/metrics").await.unwrap()).unwrap();
    println!("{}", metrics.lines().filter(|line| line.contains("duplicate")).collect::<Vec<_>>().join("\n"));
}

#[tokio::test]
async fn a_dead_nodes_card_is_carried_into_a_hub_that_stands_still() {
    let mut district = Enrolling::start(LIFE_SECONDS).await;
    let mut node = offline(&mut district).await;
    node.start().await.unwrap();
    let ledger = Ledger::default();
    counted(&node, "card", &ledger, 100).await;
    let stick = district.folder.path().join("stick");
    fs::create_dir(&stick).unwrap();
    let root = node.directory().to_owned();
    let refused = node.command(&["spool", "carry", path(&stick), "--root", path(&root)]).await.unwrap_err().to_string();
    assert!(refused.contains("an agent runs on this spool"), "{refused}");
    node.kill();
    let before = tree(&node.spool());
    let said = node.command(&["spool", "carry", path(&stick), "--root", path(&root)]).await.unwrap();
    assert!(said.contains("100 service records"), "{said}");
    assert_eq!(tree(&node.spool()), before, "nothing on the card is written");
    let [file] = &files(&stick)[..] else { panic!("one file") };
    let report = import(&district.hub, file).await.unwrap();
    assert_eq!((of(&report, "service", "new"), of(&report, "service", "missing")), (100, 0), "{report}");
    // It was not dead after all.
    district.hub.start().await.unwrap();
    node.start().await.unwrap();
    wait::until("the buffer to empty", SOON, || async { (backlog(&node, "service").await? == 0).then_some(()) })
        .await
        .unwrap();
    assert_eq!(compare(&ledger.entries(), &service_rows(&district.hub).await), Default::default());
    // And of a stopped node, by its own configuration, the rest: there is none.
    node.stop().await.unwrap();
    let said = node.command(&["spool", "carry", path(&stick)]).await;
    let said = said.unwrap_or_else(|error| error.to_string());
    assert!(said.contains("0 service records") || said.contains("nothing waits"), "{said}");
}

/// All files of a folder, with their bytes.
fn tree(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { all.extend(tree(&path)) } else { all.push((path.clone(), fs::read(&path).unwrap())) }
    }
    all.sort();
    all
}

#[tokio::test]
async fn what_is_wrong_with_a_file_is_said_in_its_own_words() {
    let mut district = Enrolling::start(LIFE_SECONDS).await;
    let mut node = offline(&mut district).await;
    node.start().await.unwrap();
    counted(&node, "words", &Ledger::default(), 20).await;
    let stick = district.folder.path().join("stick");
    fs::create_dir(&stick).unwrap();
    let missing = node.command(&["spool", "carry", "/nowhere/at/all"]).await.unwrap_err().to_string();
    assert!(missing.contains("is the stick mounted?"), "{missing}");
    node.command(&["spool", "carry", path(&stick)]).await.unwrap();
    let [file] = &files(&stick)[..] else { panic!("one file") };
    let good = fs::read(file).unwrap();
    district.hub.start().await.unwrap();
    // The node has a session now, and may have sent everything: what is refused is refused all the same.
    let hub = &district.hub;
    let with = |bytes: &[u8]| {
        let path = district.folder.path().join("broken.carry");
        fs::write(&path, bytes).unwrap();
        path
    };
    let mut flipped = good.clone();
    let place = flipped.len() - 40;
    flipped[place] ^= 1;
    let version = good.windows(15).position(|window| window == b"simpul-carry 1 ").unwrap() + 13;
    let mut newer = good.clone();
    newer[version] = b'7';
    let mut renamed = good.clone();
    let name = good.windows(NODE.len()).position(|window| window == NODE.as_bytes()).unwrap();
    renamed[name + NODE.len() - 1] = b'2';
    for (bytes, expected) in [
        (&good[..good.len() / 2], "cut short"),
        (&flipped[..], "cut short"),
        (&newer[..], "has version 7 of the carry format"),
        (&renamed[..], "header was changed after it was made"),
        (&b"not one at all"[..], "this is not a carry file"),
    ] {
        let refused = import(hub, &with(bytes)).await.unwrap_err().to_string();
        assert!(refused.contains(expected), "{expected}: {refused}");
    }
    let other = Enrolling::start(LIFE_SECONDS).await;
    let refused = import(&other.hub, file).await.unwrap_err().to_string();
    assert!(refused.contains("the file is for another hub: for the carry key age1"), "{refused}");
    hub.command(&["nodes", "revoke", NODE]).await.unwrap();
    let refused = import(hub, file).await.unwrap_err().to_string();
    assert!(refused.contains("was revoked: nothing is taken"), "{refused}");
    // A certificate that this hub's CA never signed, though the file is sealed for it.
    let key = hub.command(&["carry", "key"]).await.unwrap();
    let mut stranger = other.bare(NODE);
    stranger.give_token(&other.token(NODE).await).unwrap();
    stranger.start().await.unwrap();
    counted(&stranger, "stranger", &Ledger::default(), 10).await;
    stranger.kill();
    let theirs = district.folder.path().join("theirs");
    fs::create_dir(&theirs).unwrap();
    stranger.command(&["spool", "carry", path(&theirs), "--to", key.trim()]).await.unwrap();
    let refused = import(hub, &files(&theirs)[0]).await.unwrap_err().to_string();
    assert!(refused.contains("is not one of this district"), "{refused}");
}

/// A small file system in memory. Needs root.
struct Tmpfs(PathBuf);

impl Tmpfs {
    fn over(path: &Path, bytes: u64) -> Tmpfs {
        fs::create_dir_all(path).unwrap();
        let made = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "none", self::path(path)])
            .status();
        assert!(made.unwrap().success(), "mounting a tmpfs needs root");
        Tmpfs(path.to_owned())
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // What is left over goes with the machine.
        let _ = std::process::Command::new("umount").arg(&self.0).status();
    }
}

#[tokio::test]
async fn a_stick_without_space_is_refused_before_anything_is_written_and_a_full_one_is_told() {
    use simpul_agent::carry::stick::Stick;
    let mut district = Enrolling::start(LIFE_SECONDS).await;
    let mut node = offline(&mut district).await;
    node.start().await.unwrap();
    counted(&node, "small", &Ledger::default(), 10).await;
    let stick = Tmpfs::over(&district.folder.path().join("small"), 256 * 1024);
    let refused = node.command(&["spool", "carry", path(&stick.0)]).await.unwrap_err().to_string();
    assert!(refused.contains("about 2 MB are needed, 0 MB are free"), "{refused}");
    assert_eq!(fs::read_dir(&stick.0).unwrap().count(), 0);
    // It fills while it is written to: somebody else's files, or an estimate that was too small.
    let mut full = Stick::begin(&stick.0, &NODE.parse().unwrap(), 0).unwrap();
    let error = (0..10).find_map(|_| full.write(&[7; 64 * 1024]).err()).unwrap().to_string();
    assert!(error.contains("the stick is full"), "{error}");
    assert!(stick.0.join(format!("simpul-carry/{NODE}.partial")).exists());
    // A killed exporter leaves that; the next one has its space again.
    drop(full);
    let next = Stick::begin(&stick.0, &NODE.parse().unwrap(), 200 * 1024).unwrap();
    assert_eq!(fs::read_dir(stick.0.join("simpul-carry")).unwrap().count(), 1);
    next.give_up();
    assert_eq!(fs::read_dir(stick.0.join("simpul-carry")).unwrap().count(), 0);
}
