//! Where records come from; each source yields records to the spool through [`Sink`] and knows nothing else of it.

use std::future::Future;
use std::time::Duration;

use simpul_wire::Label;
use tokio::sync::{oneshot, watch};
use tokio::time::{Interval, MissedTickBehavior};

use crate::config::Mask;
use crate::spool::{AppendError, Appended, NewRecord, Spool, SpoolState};
use crate::stamper::Stamper;

pub mod board;
pub mod camera;
pub(crate) mod connections;
pub mod host;
pub mod local_api;
pub mod readings;
mod totals;

/// What a source needs of the spool; in tests a fake stands in. Clones share it.
pub trait Sink: Clone + Send + Sync + 'static {
    /// Append; returns when durable (see [`Spool::append`]).
    fn append(&self, record: NewRecord) -> impl Future<Output = Result<Appended, AppendError>> + Send;

    /// What the spool holds, for a status.
    fn state(&self) -> watch::Receiver<SpoolState>;
}

impl Sink for Spool {
    async fn append(&self, record: NewRecord) -> Result<Appended, AppendError> {
        Spool::append(self, record).await
    }

    fn state(&self) -> watch::Receiver<SpoolState> {
        Spool::state(self)
    }
}

/// A command for a camera's task.
#[derive(Debug)]
pub struct CameraCommand {
    /// The camera's id.
    pub camera: Label,
    /// What to do.
    pub action: CameraAction,
    /// What came of it, or why not: text for people.
    pub reply: oneshot::Sender<Result<String, String>>,
}

/// What a camera can be told to do.
#[derive(Debug)]
pub enum CameraAction {
    /// Poll now and store the image whether the scene changed or not.
    SnapshotNow,
    /// Someone looked: the view is right, masks apply as configured.
    ConfirmView,
    /// Fetch a picture for somebody who aims the camera, as it is and without masks; it is stored nowhere.
    Aim(oneshot::Sender<Vec<u8>>),
    /// These masks were drawn on site: they apply beside the configured ones, in place of those drawn before.
    Mask(Vec<Mask>),
}

/// So long after a moment of the uptime its timers fire: a stamp is cut to whole milliseconds, a timer rounds them up.
const AFTER: Duration = Duration::from_millis(5);

/// Ticks each `period`, just after the whole periods of the uptime: sources that look at their open minute by them find it
/// over at the same moment, and the spool commits their blocks together.
fn ticks(stamper: &Stamper, period: Duration) -> Interval {
    let period_ms = period.as_millis().max(1) as u64;
    let into_ms = stamper.now().uptime_ms % period_ms;
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks.reset_after(Duration::from_millis(period_ms - into_ms) + AFTER);
    ticks
}

/// Resolves when `shutdown` becomes true, or when nobody is left who could say so.
pub(crate) async fn told(shutdown: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone: the program ends.
    let _ = shutdown.wait_for(|stop| *stop).await;
}
