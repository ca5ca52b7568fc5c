//! The board that is bought through the whole chain: the Pico's image and loader as they are shipped, a real agent that
//! updates it as its configuration says, a real hub.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use serde_json::Value;
use simpul_clock::{Clock, Moment};
use simpul_testkit::board::{PicoBoard, pico_image};
use simpul_testkit::process::binary;
use simpul_testkit::wait;
use simpul_tests::outcome;
use simpul_tests::village_board::Village;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

/// A press as people do it.
const SHORT: Duration = Duration::from_millis(60);
/// Seconds are promised; a debug build beside a compiler gets some more.
const SOON: Duration = Duration::from_secs(20);
/// Transfer and installation take six seconds of the board's, and a watchdog eight: an emulator beside a compiler takes
/// several times that.
const UPDATED: Duration = Duration::from_secs(120);
/// What `cargo xtask test` builds the next image as.
const NEXT: &str = "9.8.7";

/// The next image as an agent sends it.
fn next_image() -> Vec<u8> {
    fs::read(pico_image("pico-next.img").unwrap()).unwrap()
}

/// The next image as version 9.8.8, which hangs as soon as it is started.
fn hanging_image() -> Vec<u8> {
    const HEADER_BYTES: usize = 20;
    /// Where the active slot is in the chip's memory.
    const ACTIVE: u32 = 0x1001_0000;
    let mut file = next_image();
    let word = |file: &[u8], at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
    let reset = (word(&file, HEADER_BYTES + 4) & !1) - ACTIVE;
    let at = HEADER_BYTES + reset as usize;
    // WFI, and back to it.
    file[at..at + 4].copy_from_slice(&[0x30, 0xbf, 0xfd, 0xe7]);
    file[11] = 8;
    let crc32 = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&file[HEADER_BYTES..]);
    file[16..20].copy_from_slice(&crc32.to_le_bytes());
    file
}

/// As a technician does it: copy the file to where the configuration says, and start the agent anew. (It would look by
/// itself within a minute.)
async fn give(village: &mut Village<PicoBoard>, image: &[u8]) {
    fs::write(village.firmware(), image).unwrap();
    village.district.nodes[0].stop().await.unwrap();
    village.district.nodes[0].start().await.unwrap();
}

async fn until_on_site(village: &Village<PicoBoard>, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let last = std::sync::Mutex::new(String::new());
    let found = wait::until(what, UPDATED, || async {
        let said = village.on_site().await;
        *last.lock().unwrap() = format!("{said:?}");
        said.ok().filter(&wanted)
    });
    match found.await {
        Ok(said) => said,
        Err(error) => panic!("{error}: {}\n{}", last.lock().unwrap(), village.board.log()),
    }
}

/// So many presses at desk 1 that the hub shows `total` then, and never fewer on the way.
async fn press(village: &Village<PicoBoard>, times: u32, total: i64) {
    let before = total - i64::from(times);
    for _ in 0..times {
        village.board.press(0, SHORT).await.unwrap();
    }
    wait::until("the presses at the hub", SOON, || async {
        let shown = village.service("ktp").await.ok()?["counted_by_button"].as_i64().unwrap_or(0);
        assert!((before..=total).contains(&shown), "{shown} of {total}");
        (shown == total).then_some(())
    })
    .await
    .unwrap();
}

/// What the hub was told of the board's updates.
async fn told(village: &Village<PicoBoard>, text: &str) {
    wait::until(text, SOON, || async {
        let (rows, _) = village.district.hub.rows("/api/v1/events", None).await.ok()?;
        rows.iter()
            .any(|row| row["kind"] == "board" && row["detail"].as_str().is_some_and(|said| said.contains(text)))
            .then_some(())
    })
    .await
    .unwrap();
}

/// A time in the board's seconds and in this machine's.
struct Took {
    board_s: f64,
    real_s: f64,
}

impl Took {
    fn since(clock: &Clock, begun: Moment, from_board_ms: f64, board_ms: f64) -> Took {
        Took { board_s: (board_ms - from_board_ms) / 1_000.0, real_s: clock.now().since(begun).as_secs_f64() }
    }
}

impl std::fmt::Display for Took {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.1} s of the board's, {:.1} s of this machine's", self.board_s, self.real_s)
    }
}

fn version(said: &Value) -> &str {
    said["board"]["version"].as_str().unwrap_or_default()
}

fn boot(said: &Value) -> u64 {
    said["board"]["boot"].as_u64().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_presses_on_the_board_that_is_bought_are_a_hundred_at_the_hub() {
    let village = Village::start_pico().await.unwrap();
    let (clock, before) = (Clock::machine(), village.board.let_pass(0).await.unwrap());
    let begun = clock.now();
    press(&village, 100, 100).await;
    let took = Took::since(&clock, begun, before.board_ms, village.board.let_pass(0).await.unwrap().board_ms);
    println!("100 presses on the Pico are 100 at the hub after {took}");
    outcome::nothing_lost(&village.district.hub, village.district.nodes[0].id()).await.unwrap();
}

/// `simpul board` on a bench, with somebody who presses each button once when asked to.
async fn tested_on_a_bench(board: &PicoBoard) -> anyhow::Result<()> {
    let mut command = Command::new(binary("simpul")?);
    command.args(["board", "--language", "en", "--wait", "120", "--expect", "buttons=2", "--image"]);
    command.arg(pico_image("pico.uf2")?).arg("--port").arg(board.tty());
    let mut child = command.stderr(Stdio::piped()).stdin(Stdio::null()).kill_on_drop(true).spawn()?;
    let mut lines = BufReader::new(child.stderr.take().context("a pipe")?).lines();
    let mut said = String::new();
    while let Some(line) = lines.next_line().await? {
        for desk in [0, 1] {
            if line.ends_with(&format!("PRESS button {}", desk + 1)) {
                board.press(desk, SHORT).await?;
            }
        }
        said.push_str(&line);
        said.push('\n');
    }
    anyhow::ensure!(child.wait().await?.success() && said.contains("button 2: present"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_pressed_on_a_bench_is_nobodys_visit() {
    let village = Village::start_pico_after(tested_on_a_bench).await.unwrap();
    // The first press after the bench's is the first at the hub.
    press(&village, 1, 1).await;
    press(&village, 2, 3).await;
    outcome::nothing_lost(&village.district.hub, village.district.nodes[0].id()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_agent_updates_the_board_and_one_that_hangs_is_taken_back_and_told() {
    let mut village = Village::start_pico().await.unwrap();
    press(&village, 3, 3).await;
    let said = village.on_site().await.unwrap();
    assert!(!version(&said).contains(NEXT), "{said}");
    let serial = said["board"]["serial"].clone();

    give(&mut village, &next_image()).await;
    let (clock, before) = (Clock::machine(), village.board.let_pass(0).await.unwrap());
    let begun = clock.now();
    let said = until_on_site(&village, "the next firmware, confirmed", |said| {
        version(said).contains(NEXT) && said["board"]["image"] == "confirmed"
    })
    .await;
    let after = village.board.let_pass(0).await.unwrap();
    println!("updated and confirmed within {}", Took::since(&clock, begun, before.board_ms, after.board_ms));
    assert_eq!(after.restarts - before.restarts, 1, "one restart, into the new image: {said}");
    assert_eq!(said["board"]["reset"], "software", "{said}");
    assert_eq!(said["board"]["serial"], serial, "{said}");
    told(&village, &format!("firmware {NEXT} confirmed")).await;
    press(&village, 2, 5).await;

    give(&mut village, &hanging_image()).await;
    let (begun, before) = (clock.now(), village.board.let_pass(0).await.unwrap());
    let said = until_on_site(&village, "the firmware before, given back", |said| {
        version(said).contains(NEXT) && said["board"]["image"].as_str().is_some_and(|image| image.contains("came back"))
    })
    .await;
    let after = village.board.let_pass(0).await.unwrap();
    println!("sent, hung and taken back within {}", Took::since(&clock, begun, before.board_ms, after.board_ms));
    assert_eq!(said["board"]["reset"], "watchdog", "{said}");
    told(&village, &format!("the board went back to {NEXT}: 9.8.8 did not confirm itself")).await;
    // Not again, also by an agent that starts anew.
    village.district.nodes[0].stop().await.unwrap();
    village.district.nodes[0].start().await.unwrap();
    let said = until_on_site(&village, "an update that is not tried again", |said| {
        said["update"].as_str().is_some_and(|update| update.contains("not tried again"))
    })
    .await;
    assert!(said["board"]["given_back"].is_string(), "{said}");
    press(&village, 2, 7).await;
    assert_eq!(village.board.log(), "");
    outcome::nothing_lost(&village.district.hub, village.district.nodes[0].id()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_whose_power_is_cut_in_the_middle_of_the_transfer_begins_again_and_ends_well() {
    let mut village = Village::start_pico().await.unwrap();
    press(&village, 4, 4).await;
    give(&mut village, &next_image()).await;
    let percent = |said: &Value| -> Option<u32> {
        said["update"].as_str()?.split_once("is sent, ")?.1.strip_suffix(" %")?.parse().ok()
    };
    let sent_to = until_on_site(&village, "half a transfer", |said| percent(said).is_some_and(|sent| sent >= 30)).await;
    village.board.kill();
    assert!(percent(&sent_to).is_some_and(|sent| sent < 100), "{sent_to}");
    village.board.power_on().await.unwrap();
    let clock = Clock::machine();
    let (begun, before) = (clock.now(), village.board.let_pass(0).await.unwrap());
    // The board that was there is there, with its total, and counts on while it is sent the image again. (A button that is
    // down when it first looks counts nothing.)
    village.board.let_pass(300).await.unwrap();
    press(&village, 1, 5).await;
    let again = until_on_site(&village, "another start", |said| boot(said) > boot(&sent_to)).await;
    if boot(&again) == boot(&sent_to) + 1 {
        assert_eq!(version(&again), version(&sent_to), "{again}");
        assert_eq!(again["board"]["image"], "confirmed", "{again}");
    }
    println!("power cut at {} %; then {} runs", percent(&sent_to).unwrap(), version(&again));
    let said = until_on_site(&village, "the next firmware, confirmed", |said| {
        version(said).contains(NEXT) && said["board"]["image"] == "confirmed"
    })
    .await;
    let after = village.board.let_pass(0).await.unwrap();
    println!(
        "updated and confirmed after the cut within {}",
        Took::since(&clock, begun, before.board_ms, after.board_ms)
    );
    assert_eq!(after.restarts, 1, "one restart since the power came, into the new image: {said}");
    press(&village, 2, 7).await;
    assert_eq!(village.board.log(), "");
    outcome::nothing_lost(&village.district.hub, village.district.nodes[0].id()).await.unwrap();
}
