//! Clock anchors, and the wall time that is kept for a boot without a clock.

use std::path::{Path, PathBuf};
use std::time::Duration;

use simpul_clock::Clock;
use simpul_wire::event::EventBody;
use tokio::sync::watch;

use super::say;
use crate::config::ClockTrust;
use crate::files::replace_file;
use crate::spool::Spool;
use crate::stamper::Stamper;
use crate::uplink::tls::JudgingTime;

/// How often the clocks are looked at: a step is noticed within it.
const LOOK: Duration = Duration::from_secs(5);

fn file(directory: &Path) -> PathBuf {
    directory.join("wall")
}

/// With the wall time that was saved last.
pub fn judging_time(directory: &Path, clock: Clock, trust: ClockTrust) -> JudgingTime {
    let text = std::fs::read_to_string(file(directory)).unwrap_or_default();
    JudgingTime::new(clock, trust, text.trim().parse().unwrap_or_default())
}

/// Save what was seen of the wall time.
pub fn save(directory: &Path, time: &JudgingTime) {
    let Some(wall_ms) = time.seen_ms() else { return };
    if let Err(error) = replace_file(&file(directory), format!("{wall_ms}\n").as_bytes()) {
        tracing::warn!(%error, "the wall time could not be saved; certificates may look too new after the next boot");
    }
}

/// Look at the clocks, append anchors, save the wall time with each.
pub async fn anchor(
    directory: PathBuf,
    spool: Spool,
    stamper: Stamper,
    time: JudgingTime,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        if let Some(anchor) = stamper.look() {
            if let EventBody::ClockAnchor { wall_ms, .. } = anchor {
                time.saw(wall_ms);
                save(&directory, &time);
            }
            say(&spool, &stamper, anchor).await;
        }
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}
