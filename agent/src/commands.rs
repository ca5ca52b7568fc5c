//! Commands of the hub: done once, within their time to live, and answered by an event.
//!
//! Ids are written to a small file before a command is begun, so that the same id again is the same command also after
//! a reboot. A command that a restart interrupted is answered as such, never begun again. Leaves to others: receiving
//! them ([`crate::uplink`]), doing them (the sources).

mod known;

use std::collections::HashMap;
use std::future::Future;
use std::path::Path;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};
use simpul_clock::{Clock, Moment};
use simpul_wire::command::{Action, Command};
use simpul_wire::event::{EventBody, EventRecord};
use simpul_wire::{Label, Text};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::doctor::Examiner;
use crate::sources::board::{BoardAnswer, BoardCommand};
use crate::sources::{CameraAction, CameraCommand, told};
use crate::spool::NewRecord;
use crate::stamper::Stamper;
use crate::update::Order;
use crate::uplink::buffer::Buffer;
use known::{Known, KnownIds};

/// Commands that are being done at a time; each waits for a camera or the board at most.
const RUNNING_MAX: usize = 8;

/// Longest time to live: a command is for someone who waits for its result.
const TTL_MAX: Duration = Duration::from_secs(600);

/// The ways to the sources that do commands.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// To each camera, by its id.
    pub cameras: HashMap<Label, mpsc::Sender<CameraCommand>>,
    /// To the board; nothing: there is none.
    pub board: Option<mpsc::Sender<BoardCommand>>,
    /// Who examines the node; nothing: nobody does.
    pub examiner: Option<Examiner>,
    /// Who looks for updates; nothing: nobody does.
    pub updates: Option<mpsc::Sender<Order>>,
}

/// Does commands.
pub struct CommandDesk<B> {
    buffer: B,
    stamper: Stamper,
    clock: Clock,
    sources: Sources,
    ids: KnownIds,
}

/// What came of a command.
struct Ended {
    id: [u8; 16],
    /// Its result is in the spool already.
    kept: bool,
    result: Result<String, String>,
}

impl<B: Buffer> CommandDesk<B> {
    /// Known ids are kept in `directory`.
    pub fn open(directory: &Path, buffer: B, stamper: Stamper, clock: Clock, sources: Sources) -> Self {
        CommandDesk { buffer, stamper, clock, sources, ids: KnownIds::open(directory) }
    }

    /// Do what comes, until `shutdown` becomes true.
    pub async fn run(mut self, mut commands: mpsc::Receiver<(Command, Moment)>, mut shutdown: watch::Receiver<bool>) {
        for id in self.ids.unfinished() {
            if self.answer(id, Err("interrupted by a restart".to_string())).await {
                self.finish(id);
            }
        }
        let mut running = JoinSet::new();
        loop {
            tokio::select! {
                () = told(&mut shutdown) => return,
                Some(ended) = running.join_next() => {
                    if let Ok(Ended { id, kept, result }) = ended && (kept || self.answer(id, result).await) {
                        self.finish(id);
                    }
                }
                command = commands.recv(), if running.len() < RUNNING_MAX => {
                    let Some((command, received_at)) = command else { return };
                    self.begin(command, received_at, &mut running).await;
                }
            }
        }
    }

    async fn begin(&mut self, command: Command, received_at: Moment, running: &mut JoinSet<Ended>) {
        match self.ids.remember(command.id) {
            Ok(Known::New) => {}
            Ok(Known::Before) => {
                tracing::info!(id = hex::encode(command.id), "a command came again; it is answered already");
                return;
            }
            Err(error) => {
                // What cannot be remembered is not begun: after a crash it could be done twice.
                tracing::warn!(%error, "a command cannot be remembered and is refused");
                self.answer(command.id, Err(format!("cannot be remembered: {error}"))).await;
                return;
            }
        }
        let ttl = Duration::from_millis(u64::from(command.ttl_ms)).min(TTL_MAX);
        let left = (received_at + ttl).since(self.clock.now());
        let id = command.id;
        tracing::info!(id = hex::encode(id), action = ?command.action, "a command from the hub");
        let (camera, action) = match command.action {
            Action::SnapshotNow { camera } => (camera, CameraAction::SnapshotNow),
            Action::ConfirmView { camera } => (camera, CameraAction::ConfirmView),
            Action::PowerCycle { off_ms } => {
                let board = self.sources.board.clone();
                running.spawn(order_board(board, id, off_ms, left).boxed());
                return;
            }
            Action::LookForUpdates {} => {
                let updates = self.sources.updates.clone();
                running.spawn(ended(id, async move { look_for_updates(updates, left).await }));
                return;
            }
            Action::Examine {} => {
                let (examiner, buffer, stamper) =
                    (self.sources.examiner.clone(), self.buffer.clone(), self.stamper.clone());
                running.spawn(ended(id, async move { examine(examiner, &buffer, &stamper, id, left).await }));
                return;
            }
        };
        let source = self.sources.cameras.get(&camera).cloned();
        running.spawn(ended(id, async move { order(source, camera, action, left).await }));
    }

    async fn answer(&self, id: [u8; 16], result: Result<String, String>) -> bool {
        let done = result.is_ok();
        let detail = Text::clipped(&result.unwrap_or_else(|why| why));
        let body = EventBody::CommandResult { id, done, detail };
        let record = NewRecord::Event(EventRecord { stamp: self.stamper.now(), body });
        match self.buffer.append(record).await {
            Ok(_) => true,
            Err(error) => {
                tracing::warn!(%error, "a command's result could not be kept; it is told after the next start");
                false
            }
        }
    }

    fn finish(&mut self, id: [u8; 16]) {
        if let Err(error) = self.ids.finish(id) {
            tracing::warn!(%error, "a command's end could not be noted; its result may be told twice");
        }
    }
}

/// Hand a command to its camera and wait for what came of it.
/// A command whose result is still to be kept. In a box, so that all commands are one task to the runtime.
fn ended(
    id: [u8; 16],
    work: impl Future<Output = Result<String, String>> + Send + 'static,
) -> BoxFuture<'static, Ended> {
    work.map(move |result| Ended { id, kept: false, result }).boxed()
}

async fn order(
    source: Option<mpsc::Sender<CameraCommand>>,
    camera: Label,
    action: CameraAction,
    left: Duration,
) -> Result<String, String> {
    if left.is_zero() {
        return Err("expired before it could be begun".to_string());
    }
    let Some(source) = source else { return Err(format!("no camera {camera} at this node")) };
    let (reply, answer) = oneshot::channel();
    source.try_send(CameraCommand { camera, action, reply }).map_err(|_| "the camera is busy".to_string())?;
    match tokio::time::timeout(left, answer).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err("the camera's task ended".to_string()),
        Err(_) => Err("expired before the camera was done".to_string()),
    }
}

/// Hand a power cycle to the board and wait for what came of it. The board keeps the result itself, before it lets the
/// board forget it; one that comes after this gave up is told as well, and is the truth.
async fn order_board(board: Option<mpsc::Sender<BoardCommand>>, id: [u8; 16], off_ms: u32, left: Duration) -> Ended {
    let failed = |why: &str| Ended { id, kept: false, result: Err(why.to_string()) };
    if left.is_zero() {
        return failed("expired before it could be begun");
    }
    let Some(board) = board else { return failed("no board at this node") };
    let (reply, answer) = oneshot::channel();
    if board.try_send(BoardCommand { id, off_ms, reply }).is_err() {
        return failed("the board is busy");
    }
    // The time to live is for the beginning; the load's time off comes on top.
    match tokio::time::timeout(left + Duration::from_millis(u64::from(off_ms)), answer).await {
        Ok(Ok(BoardAnswer { kept, result })) => Ended { id, kept, result },
        Ok(Err(_)) => failed("the board's task ended"),
        Err(_) => failed("expired before the board answered"),
    }
}

/// Have the hub asked for updates, and say what it offers.
async fn look_for_updates(updates: Option<mpsc::Sender<Order>>, left: Duration) -> Result<String, String> {
    if left.is_zero() {
        return Err("expired before it could be begun".to_string());
    }
    let Some(updates) = updates else { return Err("nobody looks for updates here".to_string()) };
    let (reply, answer) = oneshot::channel();
    updates.try_send(reply).map_err(|_| "it is being looked already, or something is on trial".to_string())?;
    match tokio::time::timeout(left, answer).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err("the agent is about to be started anew".to_string()),
        Err(_) => Err("expired before the hub had answered".to_string()),
    }
}

/// Examine the node and keep what was found, as an event of its own, before the result.
async fn examine<B: Buffer>(
    examiner: Option<Examiner>,
    buffer: &B,
    stamper: &Stamper,
    id: [u8; 16],
    left: Duration,
) -> Result<String, String> {
    if left.is_zero() {
        return Err("expired before it could be begun".to_string());
    }
    let Some(examiner) = examiner else { return Err("nobody examines here".to_string()) };
    let report = examiner.examine(id).await.ok_or("an examination is being made")?;
    let verdict = report.worst();
    let body = EventBody::Examination { verdict, report: report.seal() };
    let record = NewRecord::Event(EventRecord { stamp: stamper.now(), body });
    buffer.append(record).await.map_err(|error| format!("what was found cannot be kept: {error}"))?;
    Ok(format!("{verdict}: {} findings", report.findings.len()))
}

#[cfg(test)]
mod tests;
