//! From the push of a service desk's button to the committed record in the hub: emulated board, real agent and hub on
//! loopback. The clock runs from the moment at which the button goes down, so the press itself is in it
//! ([`HOLD`], by the board's clock), until the hub's API has the record; the hub is asked each [`LOOK_EVERY`].
//!
//! `SIMPUL_BOARD_PRESSES` shortens a run for trying it out.
#![expect(clippy::disallowed_methods, reason = "a bench measures the machine's own time")]

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use simpul_testkit::report::Report;
use simpul_tests::village_board::Village;

/// A press as people do it: 60 to 150 ms.
const HOLD: Duration = Duration::from_millis(60);
/// Between two looks at the hub: small beside what is measured.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// A press that takes longer than this is lost.
const LOST_AFTER: Duration = Duration::from_secs(30);
const PRESSES: usize = 500;

/// Wait until the hub has another record behind `cursor`; the new cursor.
async fn next_record(village: &Village, cursor: Option<i64>) -> Result<Option<i64>> {
    let begun = Instant::now();
    loop {
        let (rows, next) = village.district.hub.rows("/api/v1/service-records", cursor).await?;
        match rows.len() {
            0 if begun.elapsed() > LOST_AFTER => bail!("a press is not at the hub after {LOST_AFTER:?}"),
            0 => tokio::time::sleep(LOOK_EVERY).await,
            1 => {
                let last = rows[0]["id"].as_i64().context("a record's id")?;
                return Ok(next.or(Some(last)));
            }
            more => bail!("{more} records of one press"),
        }
    }
}

fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    sorted[(sorted.len() - 1) * percent / 100].as_secs_f64() * 1_000.0
}

async fn bench(presses: usize) -> Result<()> {
    let village = Village::start(None).await?;
    let (mut took, mut cursor) = (Vec::with_capacity(presses), None);
    for _ in 0..presses {
        let begun = Instant::now();
        let (pressed, committed) = tokio::join!(village.board.press(0, HOLD), async {
            let next = next_record(&village, cursor).await?;
            anyhow::Ok((next, begun.elapsed()))
        });
        pressed?;
        let (next, elapsed) = committed?;
        cursor = next;
        took.push(elapsed);
    }
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
