//! `simpul-agent run`: opens the spool, starts sources and uplink, and closes everything in order.
//!
//! Only wiring: what a part does is said in the part. A part that cannot start (a port in use, a certificate that is
//! missing) is reported and tried again, and the others go on: the buffer takes records whatever is wrong elsewhere.

pub(crate) mod clock;
mod connect;
mod parts;

use std::collections::HashMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sd_notify::NotifyState;
use simpul_clock::Clock;
use simpul_wire::event::{EventBody, EventRecord};
use simpul_wire::{Label, SeqRange, Stream};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::carry;
use crate::commands::{CommandDesk, Sources};
use crate::config::{BoardConfig, Config, UplinkConfig};
use crate::doctor::{Examiner, Patient};
use crate::enrolment::access::Enrolment;
use crate::enrolment::keeper;
use crate::sources::board::status::BoardStatus;
use crate::sources::board::{self, BoardCommand};
use crate::sources::camera::{self, CameraShown};
use crate::sources::host::{self, Machine};
use crate::sources::local_api;
use crate::spool::sled_disk::hardware_serial;
use crate::spool::{NewRecord, OpenReport, Spool, SpoolError};
use crate::stamper::Stamper;
use crate::status::{self, Shown};
use crate::update::in_force::InForce;
use crate::update::launch::Place;
use crate::update::{self, Health, Order};
use crate::uplink::driver::{Driver, Parts, UplinkStatus};
use crate::uplink::tls::JudgingTime;
use crate::{led, phone};

use connect::connect;
use parts::{begin, join, keep};

pub use clock::judging_time;

/// Pause before a part that could not start is tried again.
const RETRY: Duration = Duration::from_secs(10);

/// Commands on their way to the desk. A room gives a node a few a day.
const COMMANDS_MAX: usize = 16;

/// Commands on their way to one camera: one that is done and one that waits; more is someone's impatience.
const CAMERA_COMMANDS_MAX: usize = 2;

/// Commands on their way to the board: as for a camera.
const BOARD_COMMANDS_MAX: usize = 2;

/// Sources get so long to close: the local API answers what it has begun.
const SOURCES_CLOSE_MAX: Duration = Duration::from_secs(4);

/// The stopping event gets so long to reach the hub, before the goodbye.
const LAST_EVENT_MAX: Duration = Duration::from_millis(1_500);

/// The uplink's goodbye; it bounds itself at 3 s.
const UPLINK_CLOSE_MAX: Duration = Duration::from_millis(3_500);

/// Why the agent could not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The state directory cannot be made.
    #[error("state directory {directory}: {source}; make it writable for this user")]
    StateDirectory {
        /// Where it should be.
        directory: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The spool cannot be opened: its directory cannot be written to, or another agent has it.
    #[error("spool {directory}: {source}")]
    Spool {
        /// Where it is.
        directory: PathBuf,
        /// Why not.
        source: SpoolError,
    },
}

/// How it ended in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// As it was told to.
    Stopped,
    /// To be started anew: with another program or configuration.
    Restart,
}

/// What updates need to know of the start.
#[derive(Debug, Clone)]
pub struct Start {
    /// The folder of updates; nothing: there are none.
    pub updates: Option<PathBuf>,
    /// The file of the configuration.
    pub path: PathBuf,
    /// The configuration in force.
    pub in_force: InForce,
    /// Which program this is.
    pub place: Place,
}

/// Run until `stop` resolves or an update wants a restart, then close in order, within 10 s.
///
/// # Errors
/// Only when there is no buffer to run with; everything else is reported and tried again.
pub async fn run(start: Start, clock: Clock, stop: impl Future<Output = ()>) -> Result<End, RunError> {
    let config = start.in_force.config.clone();
    let directory = config.state_directory.clone();
    std::fs::create_dir_all(&directory)
        .map_err(|source| RunError::StateDirectory { directory: directory.clone(), source })?;
    let (spool, report) = Spool::open(&config.spool, clock.clone())
        .map_err(|source| RunError::Spool { directory: config.spool.directory.clone(), source })?;
    let stamper = Stamper::machine(report.boot, clock.clone(), config.clock);
    for note in &report.notes {
        tracing::warn!(%note, "found while opening the spool");
    }
    say(&spool, &stamper, started(&report)).await;

    let time = clock::judging_time(&directory, clock.clone(), config.clock);
    let agent = Agent { time, config, clock, stamper, spool, start, health: Health::default() };
    let (sources_stop, sources_stopped) = watch::channel(false);
    let (uplink_stop, uplink_stopped) = watch::channel(false);
    let (mut sources, ways, seen) = agent.sources(&sources_stopped);
    let (restart, mut restarted) = watch::channel(false);
    let (mut uplink, shown) = agent.uplink(ways, seen, restart, &uplink_stopped);
    // Outside of systemd there is nobody to tell.
    let _ = sd_notify::notify(&[NotifyState::Ready]);
    tracing::info!(node = %agent.config.node, version = %crate::version(), "the agent runs");

    let end = tokio::select! {
        () = stop => End::Stopped,
        () = wanted(&mut restarted) => End::Restart,
        () = watchdog(&agent.spool) => End::Stopped,
    };
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
    tracing::info!("stopping");
    sources_stop.send_replace(true);
    join(&mut sources, SOURCES_CLOSE_MAX, "the sources").await;
    // Let go of the status before waiting: the uplink writes it on this same thread.
    let connected = shown.borrow().up;
    agent.last_event(connected).await;
    uplink_stop.send_replace(true);
    join(&mut uplink, UPLINK_CLOSE_MAX, "the uplink").await;
    clock::save(&directory, &agent.time);
    let Agent { spool, config, .. } = agent;
    spool.close().await.map_err(|source| RunError::Spool { directory: config.spool.directory, source })?;
    tracing::info!("stopped in order");
    Ok(end)
}

/// Until a restart is wanted; without anybody who could want one never.
async fn wanted(restart: &mut watch::Receiver<bool>) {
    if restart.wait_for(|wanted| *wanted).await.is_err() {
        std::future::pending().await
    }
}

/// What is shown of the sources.
struct Seen {
    board: Option<watch::Receiver<BoardStatus>>,
    cameras: Vec<(Label, watch::Receiver<CameraShown>)>,
}

struct Agent {
    config: Config,
    clock: Clock,
    stamper: Stamper,
    spool: Spool,
    time: JudgingTime,
    start: Start,
    health: Health,
}

impl Agent {
    /// Everything that appends, but for the uplink; and the ways to what does commands.
    fn sources(&self, stop: &watch::Receiver<bool>) -> (JoinSet<()>, Sources, Seen) {
        let mut tasks = JoinSet::new();
        let (mut cameras, mut seen) = (HashMap::new(), Vec::new());
        for config in self.config.cameras.clone() {
            let (orders, commands) = mpsc::channel(CAMERA_COMMANDS_MAX);
            cameras.insert(config.id.clone(), orders);
            let (shown, looked_at) = watch::channel(CameraShown::default());
            seen.push((config.id.clone(), looked_at));
            let (spool, stamper, clock) = (self.spool.clone(), self.stamper.clone(), self.clock.clone());
            let (stop, health) = (stop.clone(), self.health.clone());
            begin(&mut tasks, async move {
                if let Err(error) = camera::run(config, spool, stamper, clock, commands, shown, stop).await {
                    health.ails("a camera");
                    tracing::error!(%error, "the camera is not polled: mend its configuration and restart the agent");
                }
            });
        }
        if let Some(config) = self.config.host.clone() {
            let machine = Machine::this(&self.config.spool.directory, &self.config.state_directory);
            let (spool, stamper, clock) = (self.spool.clone(), self.stamper.clone(), self.clock.clone());
            let stop = stop.clone();
            begin(&mut tasks, async move { host::run(&config, machine, spool, stamper, clock, stop).await });
        }
        if let Some(config) = self.config.local_api.clone() {
            let (spool, stamper, clock) = (self.spool.clone(), self.stamper.clone(), self.clock.clone());
            let stop = stop.clone();
            begin(
                &mut tasks,
                keep("the local API", self.health.clone(), stop.clone(), move || {
                    let (config, spool, stamper) = (config.clone(), spool.clone(), stamper.clone());
                    let (clock, stop) = (clock.clone(), stop.clone());
                    async move {
                        let listener = TcpListener::bind(config.listen).await?;
                        tracing::info!(address = %config.listen, "the local API listens");
                        local_api::serve(listener, &config, spool, stamper, clock, stop).await?;
                        anyhow::Ok(())
                    }
                }),
            );
        }
        let state_directory = self.config.state_directory.clone();
        begin(
            &mut tasks,
            clock::anchor(state_directory, self.spool.clone(), self.stamper.clone(), self.time.clone(), stop.clone()),
        );
        let (to_board, board) = self.board(&mut tasks, stop).unzip();
        let ways = Sources { cameras, board: to_board, ..Sources::default() };
        (tasks, ways, Seen { board, cameras: seen })
    }

    /// The board, if there is one: the way to it, and what is shown of it.
    fn board(
        &self,
        tasks: &mut JoinSet<()>,
        stop: &watch::Receiver<bool>,
    ) -> Option<(mpsc::Sender<BoardCommand>, watch::Receiver<BoardStatus>)> {
        let fetched = self.start.updates.as_deref().map(update::board_image);
        let config = BoardConfig { fetched, ..self.config.board.clone()? };
        let (orders, commands) = mpsc::channel(BOARD_COMMANDS_MAX);
        let (status, shown) = watch::channel(BoardStatus::default());
        let parts = board::Parts {
            config,
            machine: board::port::Machine::default(),
            sink: self.spool.clone(),
            stamper: self.stamper.clone(),
            clock: self.clock.clone(),
            commands,
            status,
        };
        let (stop, health) = (stop.clone(), self.health.clone());
        begin(tasks, async move {
            if let Err(error) = board::run(parts, stop).await {
                health.ails("the board");
                tracing::error!(%error, "the board is not read: mend that and restart the agent");
            }
        });
        Some((orders, shown))
    }

    /// The way to the hub, and what belongs to it; and its condition.
    fn uplink(
        &self,
        ways: Sources,
        seen: Seen,
        restart: watch::Sender<bool>,
        stop: &watch::Receiver<bool>,
    ) -> (JoinSet<()>, watch::Receiver<UplinkStatus>) {
        let mut tasks = JoinSet::new();
        let (to_desk, commands) = mpsc::channel(COMMANDS_MAX);
        let (status, shown) = watch::channel(UplinkStatus::default());
        let condition = shown.clone();
        let board = seen.board.clone();
        let shown = Shown {
            node: self.config.node.clone(),
            clock: self.clock.clone(),
            spool: self.spool.state(),
            uplink: shown,
            board: seen.board,
            cameras: seen.cameras,
            stamper: self.stamper.clone(),
        };
        let patient = Patient::this(self.config.clone(), self.clock.clone());
        let examiner = Examiner::new(patient, shown.clone());
        let expecting = self.phone(&mut tasks, &ways, &shown, &examiner, stop);
        if let Some(config) = self.config.led.clone() {
            let (shown, stop) = (shown.clone(), stop.clone());
            begin(
                &mut tasks,
                async move { led::run(config, Path::new("/sys/class/leds"), shown, expecting, stop).await },
            );
        }
        let (to_updates, orders) = update::orders();
        let updates = self.start.updates.is_some().then_some(to_updates);
        let ways = Sources { examiner: Some(examiner), updates, ..ways };
        let desk = CommandDesk::open(
            &self.config.state_directory,
            self.spool.clone(),
            self.stamper.clone(),
            self.clock.clone(),
            ways,
        );
        begin(&mut tasks, desk.run(commands, stop.clone()));

        let (spool, stamper, clock) = (self.spool.clone(), self.stamper.clone(), self.clock.clone());
        let (node, config) = (self.config.node.clone(), self.config.uplink.clone());
        let enrolment = self.enrolment();
        let (keeper_clock, seen, keeper_stop) = (clock.clone(), condition.clone(), stop.clone());
        begin(&mut tasks, keeper::run(enrolment.clone(), keeper_clock, seen, seed(), keeper_stop));
        if let Some(updates) = self.start.updates.clone() {
            let parts = self.updates(updates, &enrolment, condition.clone(), board, orders, restart);
            let stop = stop.clone();
            begin(&mut tasks, async move {
                if let Err(error) = update::run(parts, stop).await {
                    tracing::error!(%error, "there are no updates from afar: make their folder writable");
                }
            });
        }
        let driver_stop = stop.clone();
        let hardware = self.config.spool.hardware_serial.clone().or_else(hardware_serial);
        let hardware = hardware.map(|serial| Label::clipped(&serial));
        begin(
            &mut tasks,
            keep("the uplink", self.health.clone(), stop.clone(), move || {
                let (config, to_desk, status) = (config.clone(), to_desk.clone(), status.clone());
                let (spool, stamper, clock, node) = (spool.clone(), stamper.clone(), clock.clone(), node.clone());
                let (enrolment, stop, hardware) = (enrolment.clone(), driver_stop.clone(), hardware.clone());
                async move {
                    connect(&enrolment, stop, |access| {
                        Driver::new(Parts {
                            buffer: spool.clone(),
                            clock: clock.clone(),
                            stamper: stamper.clone(),
                            node: node.clone(),
                            hardware: hardware.clone(),
                            config: UplinkConfig { hubs: access.hubs, ..config.clone() },
                            tls: access.tls,
                            commands: to_desk.clone(),
                            status: status.clone(),
                            seed: seed(),
                        })
                    })
                    .await
                }
            }),
        );

        let (config, spool, clock) = (self.config.clone(), self.spool.clone(), self.clock.clone());
        let carry_stop = stop.clone();
        begin(
            &mut tasks,
            keep("the carry socket", self.health.clone(), stop.clone(), move || {
                carry::live::serve(config.clone(), spool.clone(), clock.clone(), carry_stop.clone())
            }),
        );

        let path = status::socket_path(&self.config.state_directory);
        let status_stop = stop.clone();
        begin(
            &mut tasks,
            keep("the status socket", self.health.clone(), stop.clone(), move || {
                let (path, shown, stop) = (path.clone(), shown.clone(), status_stop.clone());
                async move { status::serve(&path, shown, stop).await }
            }),
        );
        (tasks, condition)
    }

    /// What updates work with.
    fn updates(
        &self,
        updates: PathBuf,
        enrolment: &Enrolment,
        uplink: watch::Receiver<UplinkStatus>,
        board: Option<watch::Receiver<BoardStatus>>,
        orders: mpsc::Receiver<Order>,
        restart: watch::Sender<bool>,
    ) -> update::Parts {
        update::Parts {
            updates,
            path: self.start.path.clone(),
            in_force: self.start.in_force.clone(),
            place: self.start.place,
            enrolment: enrolment.clone(),
            spool: self.spool.clone(),
            stamper: self.stamper.clone(),
            clock: self.clock.clone(),
            uplink,
            board,
            orders,
            health: self.health.clone(),
            restart,
            seed: seed(),
        }
    }

    /// The page for a technician's phone, if it is configured; whether somebody is expected.
    fn phone(
        &self,
        tasks: &mut JoinSet<()>,
        ways: &Sources,
        shown: &Shown,
        examiner: &Examiner,
        stop: &watch::Receiver<bool>,
    ) -> watch::Receiver<bool> {
        let (expecting, expected) = watch::channel(false);
        let Some(config) = self.config.phone.clone() else { return expected };
        let enrolment = self.enrolment();
        let (sink, stamper, clock) = (self.spool.clone(), self.stamper.clone(), self.clock.clone());
        let (cameras, ways) = (self.config.cameras.clone(), ways.cameras.clone());
        let (shown, examiner, phone_stop) = (shown.clone(), examiner.clone(), stop.clone());
        begin(
            tasks,
            keep("the phone page", self.health.clone(), stop.clone(), move || {
                let enrolment = enrolment.clone();
                let parts = phone::Parts {
                    config: config.clone(),
                    sink: sink.clone(),
                    stamper: stamper.clone(),
                    clock: clock.clone(),
                    shown: shown.clone(),
                    examiner: examiner.clone(),
                    cameras: cameras.clone(),
                    ways: ways.clone(),
                    token: Box::new(move || enrolment.newest_token()),
                    expecting: expecting.clone(),
                };
                phone::run(parts, phone_stop.clone())
            }),
        );
        expected
    }

    fn enrolment(&self) -> Enrolment {
        let config = &self.config;
        Enrolment::new(config.node.clone(), config.enrolment.clone(), config.uplink.clone(), self.time.clone())
    }

    /// Keep that this is a stop in order; if the hub is there, give it a moment to take it.
    async fn last_event(&self, connected: bool) {
        let mut state = self.spool.state();
        if !say(&self.spool, &self.stamper, EventBody::Stopping {}).await || !connected {
            return;
        }
        let sent = state.wait_for(|state| state.stream(Stream::Event).owed.is_empty());
        let _ = tokio::time::timeout(LAST_EVENT_MAX, sent).await;
    }
}

fn started(report: &OpenReport) -> EventBody {
    EventBody::Started { version: crate::version(), clean: report.clean, new_boot: report.new_boot }
}

/// Append an event; false when it could not be kept.
async fn say(spool: &Spool, stamper: &Stamper, body: EventBody) -> bool {
    match spool.append(NewRecord::Event(EventRecord { stamp: stamper.now(), body })).await {
        Ok(_) => true,
        Err(error) => {
            tracing::warn!(%error, "an event could not be kept");
            false
        }
    }
}

/// Tell systemd's watchdog that the loop turns and the spool's writer answers; never ends.
async fn watchdog(spool: &Spool) {
    let Some(timeout) = sd_notify::watchdog_enabled() else { return std::future::pending().await };
    loop {
        tokio::time::sleep(timeout / 2).await;
        // A read of one number goes through the writer's queue: when it returns, commits return too.
        let epoch = spool.state().borrow().epoch;
        if spool.read(epoch, Stream::Event, SeqRange::one(0), 1, 1).await.is_ok() {
            let _ = sd_notify::notify(&[NotifyState::Watchdog]);
        }
    }
}

/// For the reconnect jitter: agents of one image must not draw the same numbers.
fn seed() -> u64 {
    let mut bytes = [0; 8];
    if let Err(error) = getrandom::fill(&mut bytes) {
        tracing::warn!(%error, "no random numbers from the system; the process id serves as the jitter's seed");
        return u64::from(std::process::id());
    }
    u64::from_le_bytes(bytes)
}
