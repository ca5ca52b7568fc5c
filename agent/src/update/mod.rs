//! Updates from afar: the program, the configuration, the board's firmware. Whatever goes wrong, the node starts.
//!
//! ```text
//! UPDATES/launch               what is started next (launch, launcher)
//! UPDATES/a, b/simpul-agent    the slots
//! UPDATES/configuration/       the hub's, and the last good file of the node (in_force)
//! UPDATES/incoming/            downloads (fetch)
//! UPDATES/board.img            what the board is to run
//! UPDATES/notes                floors, and what has been answered (notes)
//! ```
//!
//! `core` decides what is asked, fetched and put on trial, `judge` whether a program is taken, `calm` whether now is a
//! moment for a restart, `proof` whether a trial has succeeded: all pure. `trial` carries a trial to its end, `prepare` makes
//! a download ready for one, `hub` is where both come from; this file is the loop around them.
//!
//! The order on the card: content, then the slot, then the launch file, then the restart. Until the launch file is
//! replaced, nothing has happened; after it, a start on trial is counted. docs/adr/0008-updates.md.

mod calm;
mod core;
mod fetch;
mod health;
mod hub;
pub mod in_force;
pub mod install;
mod judge;
pub mod launch;
pub mod launcher;
mod notes;
mod prepare;
mod proof;
mod trial;

use std::future::{Future, pending};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use simpul_clock::{Clock, Moment};
use simpul_wire::event::{EventBody, EventRecord};
use simpul_wire::update::{Offers, Part, Step, Version};
use simpul_wire::{Stream, Text};
use tokio::sync::{mpsc, oneshot, watch};

use self::core::{Action, BoardSeen, Core, Event, Facts, Job, Told};
use self::fetch::fetch;
pub use self::health::Health;
use self::hub::{Hub, look};
use self::in_force::{InForce, Origin};
use self::install::Trouble;
use self::launch::{Candidate, Launch, Packaged, Place, STARTS_MAX, Trial, label};
use self::notes::Notes;
use self::prepare::Prepared;
use crate::enrolment::access::Enrolment;
use crate::sources::board::status::BoardStatus;
use crate::sources::told;
use crate::spool::{self, NewRecord, Spool};
use crate::stamper::Stamper;
use crate::uplink::driver::UplinkStatus;

/// Where all of it is for the packaged configuration.
pub const UPDATES: &str = "/var/lib/simpul/updates";

/// How often the core is told that time passed.
const TICK: Duration = Duration::from_secs(1);

/// The same for whoever wants a look.
const ORDERS_MAX: usize = 4;

/// An order to look for updates now, and who wants to know what came of it.
pub type Order = oneshot::Sender<Result<String, String>>;

/// The way for orders.
pub fn orders() -> (mpsc::Sender<Order>, mpsc::Receiver<Order>) {
    mpsc::channel(ORDERS_MAX)
}

/// Where the board's image ends up.
pub fn board_image(updates: &Path) -> PathBuf {
    updates.join("board.img")
}

/// What updates work with.
pub struct Parts {
    /// The folder.
    pub updates: PathBuf,
    /// The file of the configuration on the node.
    pub path: PathBuf,
    /// What is in force.
    pub in_force: InForce,
    /// Which program this is.
    pub place: Place,
    /// The identity, and the way to the hub.
    pub enrolment: Enrolment,
    /// Where events go; what is counted at the desks.
    pub spool: Spool,
    /// Dates records.
    pub stamper: Stamper,
    /// Drives timers.
    pub clock: Clock,
    /// Whether the hub acknowledges.
    pub uplink: watch::Receiver<UplinkStatus>,
    /// The board, if one is configured.
    pub board: Option<watch::Receiver<BoardStatus>>,
    /// Orders of the hub.
    pub orders: mpsc::Receiver<Order>,
    /// Whether the parts work.
    pub health: Health,
    /// Becomes true when the agent is to end in order and be started anew.
    pub restart: watch::Sender<bool>,
    /// Of the jitter.
    pub seed: u64,
}

impl Parts {
    /// Append an event; false when it could not be kept.
    async fn say(&self, told: Told) -> bool {
        self.append(told).await.is_some()
    }

    async fn append(&self, told: Told) -> Option<u64> {
        let Told { rollout, part, to, from, step, why } = told;
        let (name, is) = (part.name(), step.name());
        match step {
            Step::RolledBack | Step::Refused => tracing::warn!(%from, %to, why, "update of the {name}: {is}"),
            _ => tracing::info!(%from, %to, why, "update of the {name}: {is}"),
        }
        let body = EventBody::Update { rollout, part, to, from, step, detail: Text::clipped(&why) };
        let record = NewRecord::Event(EventRecord { stamp: self.stamper.now(), body });
        match self.spool.append(record).await {
            Ok(appended) => Some(appended.range.first()),
            Err(error) => {
                tracing::warn!(%error, "a step of an update could not be kept");
                None
            }
        }
    }
}

type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What goes on beside the loop: one at a time, as the core wants it.
enum Done {
    Looked(Result<Box<Offers>, String>),
    Fetched(Result<(), Trouble>),
    Prepared(Result<Prepared, Trouble>),
}

struct Updates {
    parts: Parts,
    launch: Launch,
    work: Option<Work<Done>>,
    prepared: Option<Prepared>,
    waiting: Vec<Order>,
    served_at: Option<Moment>,
    served: u64,
    began: Moment,
    last_kept: bool,
}

/// Prove what is on trial, then look for more, until `stop` becomes true.
///
/// # Errors
/// The folder cannot be made or written: there are no updates then, and everything else goes on.
pub async fn run(parts: Parts, mut stop: watch::Receiver<bool>) -> std::io::Result<()> {
    std::fs::create_dir_all(&parts.updates)?;
    let packaged = Packaged { version: launcher::own_version(), bytes: 0, modified_s: 0, spool_format: spool::FORMAT };
    // Damaged: the launcher has set it aside and told it.
    let launch = Launch::load(&parts.updates).ok().flatten().unwrap_or_else(|| Launch::new(packaged));
    let served = parts.spool.state().borrow().stream(Stream::Service).next_seq;
    let began = parts.clock.now();
    let mut updates = Updates {
        parts,
        launch,
        work: None,
        prepared: None,
        waiting: Vec::new(),
        served_at: None,
        served,
        began,
        last_kept: false,
    };
    let mut notes = Notes::load(&updates.parts.updates);
    updates.settle_start();
    updates.tell_ended(&mut notes).await;
    if let Origin::LastGood(error) = &updates.parts.in_force.origin {
        let (to, from, why) = (label("refused"), label("last"), error.to_string());
        updates
            .parts
            .say(Told { rollout: [0; 16], part: Part::Configuration, to, from, step: Step::RolledBack, why })
            .await;
    }
    if updates.launch.trial.is_some() {
        tokio::select! {
            () = told(&mut stop) => return Ok(()),
            proved = updates.prove() => if !proved {
                updates.parts.restart.send_replace(true);
                return Ok(());
            },
        }
        updates.tell_ended(&mut notes).await;
    }
    in_force::tidy(&updates.parts.updates, &updates.launch);
    updates.serve(notes, stop).await;
    Ok(())
}

impl Updates {
    fn save_launch(&self) -> bool {
        match self.launch.save(&self.parts.updates) {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(%error, "what is started next cannot be written");
                false
            }
        }
    }

    async fn serve(&mut self, notes: Notes, mut stop: watch::Receiver<bool>) {
        let config = self.parts.in_force.config.update.clone();
        let mut core = Core::new(self.parts.clock.now(), config, notes, self.parts.seed);
        fetch::tidy(&self.parts.updates, self.unfinished().as_ref());
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            let event = tokio::select! {
                () = told(&mut stop) => return,
                Some(order) = self.parts.orders.recv() => {
                    self.waiting.push(order);
                    Event::Ordered
                }
                done = ended(&mut self.work) => match done {
                    Done::Looked(looked) => Event::Looked(looked),
                    Done::Fetched(fetched) => Event::Fetched(fetched),
                    Done::Prepared(Ok(prepared)) => {
                        let crc32 = if let Prepared::Board(_, crc32) = &prepared { *crc32 } else { 0 };
                        self.prepared = Some(prepared);
                        Event::Prepared(Ok(crc32))
                    }
                    Done::Prepared(Err(trouble)) => Event::Prepared(Err(trouble)),
                },
                _ = tick.tick() => Event::Tick,
            };
            self.look_around();
            let before = core.notes.clone();
            let facts = self.facts();
            let actions = core.handle(&facts, event);
            // Told before it is remembered as told; remembered before it is acted on.
            for action in &actions {
                if let Action::Say(told) = action {
                    self.parts.say(told.clone()).await;
                }
            }
            self.remember(&core.notes, &before);
            for action in actions {
                match self.act(action) {
                    Ok(false) => {}
                    Ok(true) => {
                        self.parts.restart.send_replace(true);
                        return;
                    }
                    Err(why) => {
                        let before = core.notes.clone();
                        for action in core.handle(&facts, Event::NotCommitted(why)) {
                            if let Action::Say(told) = action {
                                self.parts.say(told).await;
                            }
                        }
                        self.remember(&core.notes, &before);
                    }
                }
            }
        }
    }

    fn remember(&self, notes: &Notes, before: &Notes) {
        if notes != before
            && let Err(error) = notes.save(&self.parts.updates)
        {
            tracing::error!(%error, "what is remembered of updates cannot be written");
        }
    }

    /// The newest download is not begun anew after a restart; there is one at a time.
    fn unfinished(&self) -> Option<[u8; 32]> {
        let entries = std::fs::read_dir(self.parts.updates.join("incoming")).ok()?;
        let newest = entries.flatten().max_by_key(|entry| entry.metadata().and_then(|data| data.modified()).ok())?;
        let name = newest.file_name();
        let mut sha256 = [0; 32];
        hex::decode_to_slice(name.to_str()?.strip_suffix(".part")?, &mut sha256).ok()?;
        Some(sha256)
    }

    /// Whether people are served, and whether the file on the node has reached the hub.
    fn look_around(&mut self) {
        let now = self.parts.clock.now();
        let next = self.parts.spool.state().borrow().stream(Stream::Service).next_seq;
        if next != self.served {
            (self.served, self.served_at) = (next, Some(now));
        }
        let acknowledged = self.parts.uplink.borrow().last_ack_at.is_some();
        let proved = acknowledged && now.since(self.began) >= self.parts.in_force.config.update.trial / 15;
        if !self.last_kept && proved && self.parts.in_force.origin == Origin::File {
            self.last_kept = true;
            if let Err(error) = in_force::keep_last(&self.parts.updates, &self.parts.in_force.text) {
                tracing::warn!(%error, "the last good configuration could not be kept");
            }
        }
    }

    fn facts(&self) -> Facts {
        let now = self.parts.clock.now();
        let revision = match self.parts.in_force.origin {
            Origin::Hub { revision, .. } => revision,
            Origin::File | Origin::LastGood(_) => 0,
        };
        let zone_minutes = i64::from(self.parts.in_force.config.update.zone_minutes);
        let minute_of_day =
            self.parts.stamper.now().wall_ms.and_then(|wall_ms| {
                u16::try_from((wall_ms.div_euclid(60_000) + zone_minutes).rem_euclid(24 * 60)).ok()
            });
        Facts {
            now,
            running: launcher::own_version(),
            configuration: (revision, in_force::hash(self.parts.in_force.text.as_bytes())),
            quiet_for: self.served_at.map(|at| now.since(at)),
            minute_of_day,
            board: self.board(),
        }
    }

    fn board(&self) -> BoardSeen {
        let Some(board) = &self.parts.in_force.config.board else { return BoardSeen::None };
        if board.firmware.is_some() {
            return BoardSeen::ByHand;
        }
        let Some(shown) = &self.parts.board else { return BoardSeen::None };
        let shown = shown.borrow();
        let Some(line) = &shown.board else { return BoardSeen::Silent };
        let Some(runs) = line.version.split(' ').next().and_then(|version| version.parse::<Version>().ok()) else {
            return BoardSeen::Silent;
        };
        let update = shown.update.clone().unwrap_or_default();
        BoardSeen::Talks {
            runs,
            confirmed: line.is_settled(),
            given_back: line.given_back.as_ref().and_then(|crc32| u32::from_str_radix(crc32, 16).ok()),
            refuses: shown.update_refused,
            update,
        }
    }

    /// True: the agent is to be started anew. An error: it could not be put on trial.
    fn act(&mut self, action: Action) -> Result<bool, String> {
        match action {
            // Told already.
            Action::Say(_) => {}
            Action::Answer(answer) => {
                for order in self.waiting.drain(..) {
                    // Nobody waits any more: the hub learns it by the events.
                    let _ = order.send(answer.clone());
                }
            }
            Action::Look => {
                let enrolment = self.parts.enrolment.clone();
                self.work = Some(Box::pin(async move { Done::Looked(look(&enrolment).await) }));
            }
            Action::Fetch(wanted) => {
                fetch::tidy(&self.parts.updates, Some(&wanted.sha256));
                let (enrolment, updates) = (self.parts.enrolment.clone(), self.parts.updates.clone());
                self.work = Some(Box::pin(async move {
                    let source = Hub(enrolment);
                    Done::Fetched(fetch(&source, &updates, wanted).await.map(drop))
                }));
            }
            Action::Prepare(job) => {
                if let Job::Program { manifest, .. } = &job
                    && manifest.part == Part::Agent
                {
                    // Before the slot is touched: what is half written is named by nothing.
                    self.launch.empty(self.launch.free_slot());
                    self.save_launch();
                }
                let prepare = self.preparation(job);
                self.work = Some(Box::pin(async move {
                    let prepared = tokio::task::spawn_blocking(prepare).await;
                    Done::Prepared(prepared.unwrap_or_else(|error| Err(Trouble::Passing(error.to_string()))))
                }));
            }
            Action::Commit(job) => return self.commit(&job),
            Action::DropImage => {
                let _ = std::fs::remove_file(board_image(&self.parts.updates));
            }
        }
        Ok(false)
    }

    /// True: the agent is to be started anew.
    fn commit(&mut self, job: &Job) -> Result<bool, String> {
        let candidate = match (self.prepared.take(), job) {
            (Some(Prepared::Board(bytes, _)), _) => {
                let written = crate::files::replace_file(&board_image(&self.parts.updates), &bytes);
                written.map_err(|error| format!("the board's image cannot be written: {error}"))?;
                fetch::tidy(&self.parts.updates, None);
                return Ok(false);
            }
            (Some(Prepared::Program(place, program)), Job::Program { .. }) => {
                match place {
                    Place::A => self.launch.a = Some(program),
                    Place::B => self.launch.b = Some(program),
                    Place::Packaged => {}
                }
                Candidate::Program(place)
            }
            (Some(Prepared::Configuration(sha256)), Job::Configuration { offer, .. }) => {
                Candidate::Configuration(launch::Remote {
                    revision: offer.revision,
                    sha256,
                    beside: self.parts.in_force.file_sha256,
                    rollout: offer.rollout,
                })
            }
            _ => return Ok(false),
        };
        let floor = match job {
            Job::Program { manifest, .. } => manifest.floor,
            Job::Configuration { .. } => Version::default(),
        };
        self.launch.trial = Some(Trial {
            rollout: job.rollout(),
            candidate,
            from: job.from().clone(),
            to: job.to(),
            starts_left: STARTS_MAX,
            limit_s: u32::try_from(self.parts.in_force.config.update.trial.as_secs()).unwrap_or(u32::MAX),
            floor,
            ailing: self.parts.health.ailing(),
        });
        if !self.save_launch() {
            self.launch.trial = None;
            return Err("what is started next cannot be written".into());
        }
        fetch::tidy(&self.parts.updates, None);
        tracing::info!(to = %job.to(), "the agent ends and is started anew with its new {}", job.part().name());
        Ok(true)
    }
}

async fn ended<T>(work: &mut Option<Work<T>>) -> T {
    match work {
        Some(running) => {
            let value = running.as_mut().await;
            *work = None;
            value
        }
        None => pending().await,
    }
}
