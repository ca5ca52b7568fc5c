//! A full card under an agent: pictures thin while service records go on; filled to the last byte it answers 507 and
//! never a false 200, also after it was killed and started there; with space again, and its hub, everything arrives.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use simpul_testkit::loop_disk::LoopDisk;
use simpul_testkit::node::{CAMERA_USER, Node, NodeSettings};
use simpul_testkit::visitors::{Desk, Ledger, Offer, compare};
use simpul_testkit::wait;
use simpul_tests::district::{District, Plan};
use simpul_tests::outcome;
use tokio::task::JoinSet;

use crate::{DISK_MEBIBYTES, Figures};

/// Cameras beside the district's own one: pictures enough to fill what is left within seconds.
const MORE_CAMERAS: usize = 3;
/// What the stranger's file leaves at first: pictures fill it.
const LEFT_BYTES: u64 = 3 << 20;
/// Callers at once.
const CALLERS: usize = 4;
/// A caller's pause.
const PAUSE: Duration = Duration::from_millis(10);
/// Pictures that must be thinned while not one service record is refused.
const THINNED_MIN: u64 = 10;
/// Refusals to see on the full disk.
const REFUSALS_MIN: u64 = 20;
/// A debug build's pictures need some seconds to fill the disk.
const FILLED_MAX: Duration = Duration::from_secs(90);
/// An agent must answer so soon after its start, whatever its disk looks like.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// With space again it goes on by itself within so long.
const RECOVERY_MAX: Duration = Duration::from_secs(20);
/// Everything that waits is a few megabytes.
const DRAIN_MAX: Duration = Duration::from_secs(90);

/// What the callers heard.
#[derive(Default)]
struct Heard {
    accepted: AtomicU64,
    full: AtomicU64,
    /// Statuses that are neither 200 nor 507.
    wrong: AtomicU64,
    unanswered: AtomicU64,
    stop: AtomicBool,
}

impl Heard {
    fn full(&self) -> u64 {
        self.full.load(Ordering::SeqCst)
    }

    fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::SeqCst)
    }
}

pub async fn run() -> Result<Figures> {
    let settings = NodeSettings {
        camera_interval: "500 ms",
        camera_heartbeat: "500 ms",
        more: "[host]\nenabled = true\ninterval = \"1 s\"\n".to_owned(),
        ..NodeSettings::default()
    };
    let mut district = District::prepare(&Plan { cameras: true, settings, ..Plan::default() }).await?;
    more_cameras(&district)?;
    let disk = LoopDisk::over(district.nodes[0].directory(), &district.folder().join("images"), DISK_MEBIBYTES)?;
    // The hub stays down until the end: everything waits on the card.
    district.nodes[0].start().await?;
    let ledger = Ledger::default();
    let desk = Desk::new(&district.nodes[0], "card", &ledger)?;
    let heard = Arc::new(Heard::default());
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        callers.spawn(call(desk.clone(), Arc::clone(&heard)));
    }
    let outcome = phases(&mut district, &disk, &heard).await;
    heard.stop.store(true, Ordering::SeqCst);
    while let Some(ended) = callers.join_next().await {
        ended.context("a caller panicked")??;
    }
    let (thinned, killed_refusals) = outcome?;

    district.hub.start().await?;
    let rows = outcome::everything(&district.hub, &ledger, DRAIN_MAX).await?;
    outcome::drained(&district.nodes[0], DRAIN_MAX).await?;
    let found = compare(&ledger.entries(), &rows);
    let id = district.nodes[0].id().to_owned();
    let (images, images_lost) = images(&district, &id).await?;
    let unshown = lost_and_waiting(&district.nodes[0]).await?.0.abs_diff(images_lost);
    let full_told = outcome::event(&district.hub, &id, "condition=disk_full", ANSWER_MAX).await.is_ok();
    let good_told = outcome::event(&district.hub, &id, "condition=good", ANSWER_MAX).await.is_ok();
    ensure!(district.nodes[0].process()?.poll_ended().is_none(), "the agent ended");
    // The process ends before its disk does.
    district.nodes[0].kill();
    drop(disk);
    Ok(vec![
        ("agent_disk_accepted", heard.accepted(), "records", 500),
        ("agent_disk_refused_507", heard.full(), "requests", REFUSALS_MIN),
        ("agent_disk_refused_507_after_kill", killed_refusals, "requests", REFUSALS_MIN),
        ("agent_disk_refused_otherwise", heard.wrong.load(Ordering::SeqCst), "requests", 0),
        ("agent_disk_images_thinned_before_any_507", thinned, "images", THINNED_MIN),
        ("agent_disk_records_missing", found.missing.len() as u64, "records", 0),
        ("agent_disk_records_doubled", found.doubled.len() as u64, "records", 0),
        ("agent_disk_records_different", found.different.len() as u64, "records", 0),
        ("agent_disk_images_at_hub", images, "images", 1),
        ("agent_disk_images_shown_lost", images_lost, "images", THINNED_MIN),
        ("agent_disk_images_lost_and_not_shown", unshown, "images", 0),
        ("agent_disk_full_and_good_told", u64::from(full_told) + u64::from(good_told), "events", 2),
    ])
}

/// From room to none and back. Returns images thinned before the first refusal, and refusals after the kill.
async fn phases(district: &mut District, disk: &LoopDisk, heard: &Heard) -> Result<(u64, u64)> {
    wait::until("some pictures on the card", FILLED_MAX, || async {
        (lost_and_waiting(&district.nodes[0]).await.ok()?.1 >= 5).then_some(())
    })
    .await?;
    disk.fill(LEFT_BYTES)?;
    wait::until("pictures to be thinned", FILLED_MAX, || async {
        (lost_and_waiting(&district.nodes[0]).await.ok()?.0 >= THINNED_MIN).then_some(())
    })
    .await?;
    let thinned = if heard.full() == 0 { lost_and_waiting(&district.nodes[0]).await?.0 } else { 0 };
    println!("{thinned} images thinned, {} records accepted, {} refused", heard.accepted(), heard.full());

    // What the agent frees, the stranger takes at once.
    wait::until("the agent to refuse", FILLED_MAX, || async {
        disk.fill(0).ok()?;
        (heard.full() >= REFUSALS_MIN).then_some(())
    })
    .await?;
    let status = district.nodes[0].status().await?;
    ensure!(status["disk_full"] == true, "it refuses and does not say that its disk is full: {status}");
    println!("full: {} records accepted, {} refused", heard.accepted(), heard.full());

    // Killed and started without a byte to spare: it boots, answers, refuses.
    let node = &mut district.nodes[0];
    ensure!(node.process()?.poll_ended().is_none(), "the agent ended");
    node.kill();
    disk.fill(0)?;
    let accepted_before = heard.accepted();
    node.launch()?;
    tokio::time::timeout(ANSWER_MAX, node.wait_until_ready()).await.context("no answer after the start")??;
    let before = heard.full();
    let node = &district.nodes[0];
    wait::until("the started agent to refuse", FILLED_MAX, || async {
        disk.fill(0).ok()?;
        (heard.full() >= before + REFUSALS_MIN).then_some(())
    })
    .await?;
    let refusals = heard.full() - before;
    ensure!(node.status().await?["disk_full"] == true, "after the start it does not say that its disk is full");
    println!("killed and started: {} accepted, {refusals} refused", heard.accepted() - accepted_before);

    disk.give_back()?;
    let before = heard.accepted();
    wait::until("the agent to accept again by itself", RECOVERY_MAX, || async {
        let status = node.status().await.ok()?;
        (heard.accepted() > before + 100 && status["disk_full"] == false).then_some(())
    })
    .await?;
    let (_, waiting) = lost_and_waiting(node).await?;
    wait::until("new pictures on the card", FILLED_MAX, || async {
        (lost_and_waiting(node).await.ok()?.1 > waiting).then_some(())
    })
    .await?;
    Ok((thinned, refusals))
}

async fn call(desk: Desk, heard: Arc<Heard>) -> Result<()> {
    while !heard.stop.load(Ordering::SeqCst) {
        let counter = match desk.offer("ktp", 1).await? {
            Offer::Accepted => &heard.accepted,
            Offer::Full => &heard.full,
            Offer::Unanswered => &heard.unanswered,
            Offer::Refused(status, text) => {
                println!("refused with {status}: {text}");
                &heard.wrong
            }
        };
        counter.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// The district's one camera, several times over.
fn more_cameras(district: &District) -> Result<()> {
    let path = district.nodes[0].directory().join("agent.toml");
    let mut file = std::fs::File::options().append(true).open(path)?;
    for number in 2..2 + MORE_CAMERAS {
        writeln!(
            file,
            "\n[[cameras]]\nid = \"kamera-{number}\"\nsnapshot_url = \"{}\"\nusername = \"{CAMERA_USER}\"\n\
             password_file = \"camera.password\"\ninterval = \"500 ms\"\nheartbeat = \"500 ms\"\nsimulated = true",
            district.cameras[0].url()
        )?;
    }
    Ok(())
}

/// Images that the agent has lost, and those that wait.
async fn lost_and_waiting(node: &Node) -> Result<(u64, u64)> {
    let status = node.status().await?;
    let images: &Value = &status["streams"]["snapshot"];
    let number = |field: &str| images[field].as_u64().with_context(|| format!("no {field} in {status}"));
    Ok((number("lost_records")?, number("backlog_records")?))
}

/// Images that came to the hub, and images that it shows as lost.
async fn images(district: &District, node: &str) -> Result<(u64, u64)> {
    let (mut have, mut lost) = (0, 0);
    for ((_, stream), shown) in outcome::shown(&district.hub, node).await? {
        if stream == "snapshot" {
            have += shown.have.count();
            lost += shown.all_lost().count();
        }
    }
    Ok((have, lost))
}
