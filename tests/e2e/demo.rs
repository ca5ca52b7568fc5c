//! The demo as a newcomer runs it: one URL, and nothing is left however it ends.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use simpul_testkit::process::{Launch, Process, binary};
use simpul_testkit::wait;

const READY_MAX: Duration = Duration::from_secs(120);
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
    // Hub, three agents, the janitor.
    assert_eq!(processes_of(&folder.path().join("tmp")).len(), 5);
    simpul_testkit::install_crypto();
    let client = reqwest::Client::new();
    let overview: serde_json::Value =
        client.get(format!("{url}api/v1/overview")).send().await.unwrap().json().await.unwrap();
    assert_eq!(overview["demo"], true);
    assert_eq!(overview["nodes"].as_array().unwrap().len(), 3);
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

#[tokio::test]
async fn a_killed_demo_leaves_nothing() {
    let (folder, mut process, _) = demo().await;
    process.kill();
    nothing_is_left(folder.path()).await;
}

#[tokio::test]
async fn a_crashed_part_ends_the_demo_and_leaves_nothing() {
    let (folder, mut process, _) = demo().await;
    let agents = processes_of(&folder.path().join("tmp"));
    let agent = agents
        .iter()
        .find(|path| fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim() == "simpul-agent"));
    let id: i32 = agent.unwrap().file_name().unwrap().to_string_lossy().parse().unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_raw(id).unwrap(), rustix::process::Signal::KILL).unwrap();
    assert!(!process.wait_for_end(GONE_MAX).await.unwrap().success());
    assert!(
        process.log_text().contains("simpul-agent") || process.log_text().contains("agent 35."),
        "{}",
        process.log_text()
    );
    nothing_is_left(folder.path()).await;
}
