//! From the push of a service desk's button to the committed record in the hub: emulated board, real agent and hub on
//! loopback. The clock runs from the moment at which the button goes down, so the press itself is in it
//! ([`HOLD`], by the board's clock), until the hub's API has the record; the hub is asked each [`LOOK_EVERY`].
//!
//! `SIMPUL_BOARD_PRESSES` shortens a run for trying it out.
#![expect(clippy::disallowed_methods, reason = "a bench measures the machine's own time")]

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use simpul_testkit::report::Report;
use simpul_tests::village_board::Village;

/// A press as people do it: 60 to 150 ms.
const HOLD: Duration = Duration::from_millis(60);
/// Between two looks at the hub: small beside what is measured.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// A press that takes longer than this is lost.
const LOST_AFTER: Duration = Duration::from_secs(30);
const PRESSES: usize = 500;

/// Wait until the hub's newest record is another one than `before`; its key.
async fn next_record(village: &Village, before: Option<&str>) -> Result<String> {
    let begun = Instant::now();
    while begun.elapsed() < LOST_AFTER {
        let newest = village.district.hub.get("/api/v1/service-records?order=newest_first&limit=1").await?;
        match newest["rows"][0]["key"].as_str() {
            Some(key) if before != Some(key) => return Ok(key.to_owned()),
            _ => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
    bail!("a press is not at the hub after {LOST_AFTER:?}")
}

fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    sorted[(sorted.len() - 1) * percent / 100].as_secs_f64() * 1_000.0
}

async fn bench(presses: usize) -> Result<()> {
    let village = Village::start(None).await?;
    let (mut took, mut newest) = (Vec::with_capacity(presses), None);
    for _ in 0..presses {
        let begun = Instant::now();
        let (pressed, committed) = tokio::join!(village.board.press(0, HOLD), async {
            let key = next_record(&village, newest.as_deref()).await?;
            anyhow::Ok((key, begun.elapsed()))
        });
        pressed?;
        let (key, elapsed) = committed?;
        newest = Some(key);
        took.push(elapsed);
    }
    let counted = village.service("ktp").await?["counted_by_button"].as_u64();
    ensure!(counted == Some(presses as u64), "{presses} presses, {counted:?} counted");
    took.sort_unstable();
    let n = presses as u64;
    let mut report = Report::new("board", "cargo xtask bench board", None);
    report.figure("press_to_commit_p99_ms", percentile(&took, 99), "ms", n).goal("<= 500");
    report.figure("press_to_commit_p50_ms", percentile(&took, 50), "ms", n);
    report.figure("press_to_commit_max_ms", percentile(&took, 100), "ms", n);
    report.finish()?;
    Ok(())
}

fn main() -> Result<()> {
    let presses = std::env::var("SIMPUL_BOARD_PRESSES").ok().and_then(|text| text.parse().ok()).unwrap_or(PRESSES);
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(bench(presses))
}
