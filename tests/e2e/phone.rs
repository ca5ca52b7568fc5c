//! The phone page as a technician uses it: a real agent with a synthetic camera, Chromium at a phone's size, touches; and
//! what comes of it at the hub.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use simpul_testkit::node::NodeSettings;
use simpul_testkit::process::binary;
use simpul_testkit::{ports, wait};
use simpul_tests::district::{District, Plan};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

/// An examination, a browser's start, and a camera beside a compiler.
const WALK_MAX: Duration = Duration::from_secs(120);
const SOON: Duration = Duration::from_secs(30);

fn screenshots() -> PathBuf {
    let built = binary("simpul-agent").unwrap();
    built.ancestors().nth(2).unwrap().join("phone-screenshots")
}

#[tokio::test]
async fn a_technician_examines_masks_and_accepts_with_a_phone() {
    let port = ports::free().unwrap();
    let more = format!("[host]\nenabled = false\n\n[phone]\nlisten = \"127.0.0.1:{port}\"\n");
    let settings = NodeSettings { more, camera_heartbeat: "1 s", ..NodeSettings::default() };
    let district = District::start(&Plan { cameras: true, settings, ..Plan::default() }).await.unwrap();
    let (node, hub) = (&district.nodes[0], &district.hub);

    // Nothing listens without a code.
    let page = format!("http://127.0.0.1:{port}/");
    assert!(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err());
    let said = node.command(&["phone-code"]).await.unwrap();
    let (host, code) = said.lines().find_map(|line| line.trim().split_once(&format!(":{port}/#"))).unwrap();
    assert_eq!(host, "http://simpul-35-12-01-2001-01.local");
    assert!(code.starts_with("SIMPUL:1:35.12.01.2001-01:"), "{said}");
    wait::until("the page", SOON, || async { tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok() })
        .await
        .unwrap();

    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pictures = screenshots();
    std::fs::create_dir_all(&pictures).unwrap();
    let mut browser = tokio::process::Command::new("node")
        .arg(tests.join("phone/walk.mjs"))
        .args([&page, code])
        .arg(&pictures)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("node must be installed");
    let mut answers = browser.stdin.take().unwrap();
    let mut lines = BufReader::new(browser.stdout.take().unwrap()).lines();
    let walk = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            match line.as_str() {
                // The browser decodes the picture that the hub has.
                "masked" => {
                    let shown = wait::until("a masked picture at the hub", SOON, || async {
                        let mut shown = hub.node(node.id()).await.ok()??;
                        let snapshot = shown["cameras"][0]["snapshot"].take();
                        let percent = snapshot["masked_percent"].as_u64()?;
                        (percent > 0 && percent < 100).then_some(snapshot)
                    })
                    .await
                    .unwrap();
                    let path = format!("/api/v1/snapshots/{}/image", shown["id"]);
                    let jpeg = hub.get_bytes(&path).await.unwrap();
                    let file = pictures.join("at-the-hub.jpg");
                    std::fs::write(&file, jpeg).unwrap();
                    answers.write_all(format!("{}\n", file.display()).as_bytes()).await.unwrap();
                }
                said => println!("{said}"),
            }
        }
        browser.wait().await.unwrap()
    };
    let ended = tokio::time::timeout(WALK_MAX, walk).await.expect("the walk ends in time");
    assert!(ended.success(), "the walk failed; see above and {}", pictures.display());

    // The room sees who did what, and the page is gone.
    wait::until("the acceptance at the hub", SOON, || async {
        let (events, _) = hub.rows("/api/v1/events", None).await.ok()?;
        let told: Vec<_> = events.iter().filter(|event| event["kind"] == "site").collect();
        let has = |part: &str| told.iter().any(|event| event["detail"].as_str().is_some_and(|it| it.contains(part)));
        let all = [
            "act=code_made",
            "act=opened",
            "act=looked camera=kamera-1",
            "act=masked camera=kamera-1",
            "act=accepted who=Sari <b>Teknisi</b>",
        ];
        all.iter().all(|part| has(part)).then_some(())
    })
    .await
    .unwrap();
    wait::until("the page to close", SOON, || async {
        tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err().then_some(())
    })
    .await
    .unwrap();
}
