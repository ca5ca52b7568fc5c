//! The demo as a newcomer runs it: one URL, and nothing is left however it ends.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use simpul_testkit::process::{Launch, Process, binary};
use simpul_testkit::wait;

const READY_MAX: Duration = Duration::from_secs(120);
/// Light is judged once a minute is whole, and then a debug build on a busy machine takes its time.
const SHOWN_MAX: Duration = Duration::from_secs(150);
const GONE_MAX: Duration = Duration::from_secs(20);

/// The demo with a temporary folder of its own, so that what it leaves can be seen.
async fn demo() -> (tempfile::TempDir, Process, String) {
    let folder = tempfile::tempdir().unwrap();
    let temporary = folder.path().join("tmp");
    fs::create_dir(&temporary).unwrap();
    let launch = Launch::new("the demo", &binary("simpul-demo").unwrap(), &folder.path().join("log"))
        .environment("TMPDIR", &temporary.to_string_lossy());
    let mut process = launch.start().unwrap();
    let line = process.wait_for_line("http://127.0.0.1:", READY_MAX).await.unwrap();
    (folder, process, line.trim().to_owned())
}

/// Programs whose working files are in `folder`: those that name it on their command line.
fn processes_of(folder: &Path) -> Vec<PathBuf> {
    let name = folder.to_string_lossy().into_owned();
    let entries = fs::read_dir("/proc").unwrap().filter_map(Result::ok).map(|entry| entry.path());
    entries
        .filter(|path| {
            let line = fs::read(path.join("cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(&name)
        })
        .collect()
}

async fn nothing_is_left(folder: &Path) {
    let temporary = folder.join("tmp");
    wait::until("no process and no file of the demo", GONE_MAX, || async {
        let empty = fs::read_dir(&temporary).unwrap().next().is_none();
        (empty && processes_of(&temporary).is_empty()).then_some(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn the_demo_prints_one_url_that_serves_and_sigterm_leaves_nothing() {
    let (folder, mut process, url) = demo().await;
    assert_eq!(process.log_text().matches("http://").count(), 1, "{}", process.log_text());
    // Hub, four agents, the board, the janitor.
    assert_eq!(processes_of(&folder.path().join("tmp")).len(), 7);
    simpul_testkit::install_crypto();
    let client = reqwest::Client::new();
    let overview: serde_json::Value =
        client.get(format!("{url}api/v1/overview")).send().await.unwrap().json().await.unwrap();
    assert_eq!(overview["demo"], true);
    assert_eq!(overview["nodes"].as_array().unwrap().len(), 4);
    let switch = serde_json::json!({ "node": "35.12.01.2001-01", "cut": true });
    let switched = client.post(format!("{url}api/v1/demo/fibre")).json(&switch).send().await.unwrap();
    assert_eq!(switched.status(), 200);
    wait::until("the page's data to show the cut", GONE_MAX, || async {
        let request = client.get(format!("{url}api/v1/overview")).send().await.ok()?;
        let overview: serde_json::Value = request.json().await.ok()?;
        let node = &overview["nodes"][0];
        (node["fibre_cut"] == true && node["liveness"] != "live").then_some(())
    })
    .await
    .unwrap();
    process.terminate();
    assert!(process.wait_for_end(GONE_MAX).await.unwrap().success());
    nothing_is_left(folder.path()).await;
}

/// What is pressed on the page is done to the firmware, and what it says of it is shown on the page.
#[tokio::test]
async fn the_fourth_nodes_board_obeys_the_page_and_is_shown() {
    const NODE: &str = "35.12.01.2004-01";
    let (folder, mut process, url) = demo().await;
    simpul_testkit::install_crypto();
    let (client, url) = (&reqwest::Client::new(), &url);
    let order = |mut order: serde_json::Value| {
        order["node"] = NODE.into();
        let request = client.post(format!("{url}api/v1/demo/board")).json(&order);
        async move { assert_eq!(request.send().await.unwrap().status(), 200, "{order}") }
    };
    let last = &std::sync::Mutex::new(serde_json::Value::Null);
    let shown = |what: &'static str, is_shown: fn(&serde_json::Value, &serde_json::Value) -> bool| async move {
        let wanted = wait::until(what, SHOWN_MAX, move || async move {
            let request = client.get(format!("{url}api/v1/overview")).send().await.ok()?;
            let overview: serde_json::Value = request.json().await.ok()?;
            let node = overview["nodes"].as_array()?.iter().find(|node| node["id"] == NODE)?;
            *last.lock().unwrap() = node.clone();
            is_shown(node, &overview["services"]).then_some(())
        });
        wanted.await.map_err(|error| format!("{error}; the node was last shown as {:#}", last.lock().unwrap()))
    };
    shown("a good board with good light", |node, _| {
        node["board"]["condition"] == "good" && node["board"]["cages"][0]["judgement"]["state"] == "good"
    })
    .await
    .unwrap();
    for _ in 0..3 {
        order(serde_json::json!({ "action": "press", "desk": 2 })).await;
    }
    shown("three presses, counted by the button and marked", |_, services| {
        let services = services.as_array().into_iter().flatten();
        let mut here = services.filter(|service| service["village_code"] == "35.12.01.2004");
        here.any(|service| {
            service["service"] == "kk"
                && service["counted_by_button"] == 3
                && service["counted_by_api"] == 0
                && service["simulated"] == true
        })
    })
    .await
    .unwrap();
    order(serde_json::json!({ "action": "mains_off" })).await;
    order(serde_json::json!({ "action": "open_lid" })).await;
    order(serde_json::json!({ "action": "fade_light" })).await;
    shown("battery and an open lid", |node, _| {
        node["board"]["power"]["condition"] == "battery" && node["board"]["tamper"]["open"] == true
    })
    .await
    .unwrap();
    shown("critical light", |node, _| node["board"]["cages"][0]["judgement"]["state"] == "critical").await.unwrap();
    process.terminate();
    assert!(process.wait_for_end(GONE_MAX).await.unwrap().success());
    nothing_is_left(folder.path()).await;
}

#[tokio::test]
async fn a_killed_demo_leaves_nothing() {
    let (folder, mut process, _) = demo().await;
    process.kill();
    nothing_is_left(folder.path()).await;
}

/// Kill one process of the demo that is called `program`; its end is the demo's, which says `name`.
async fn a_crash_of(program: &str, name: &str) {
    let (folder, mut process, _) = demo().await;
    let parts = processes_of(&folder.path().join("tmp"));
    let part = parts.iter().find(|path| fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim() == program));
    let id: i32 = part.unwrap().file_name().unwrap().to_string_lossy().parse().unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_raw(id).unwrap(), rustix::process::Signal::KILL).unwrap();
    assert!(!process.wait_for_end(GONE_MAX).await.unwrap().success());
    assert!(process.log_text().contains(name), "{}", process.log_text());
    nothing_is_left(folder.path()).await;
}

#[tokio::test]
async fn a_crashed_agent_ends_the_demo_and_leaves_nothing() {
    a_crash_of("simpul-agent", "agent 35.").await;
}

#[tokio::test]
async fn a_crashed_board_ends_the_demo_and_leaves_nothing() {
    a_crash_of("qemu-system-arm", "the board ended").await;
}
