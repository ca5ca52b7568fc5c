//! The running hub's task: what nodes reported goes into the rollouts, what these decide goes out to the nodes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use simpul_clock::Clock;
use simpul_wire::NodeId;
use simpul_wire::command::{Action, Command};
use simpul_wire::event::EventBody;
use simpul_wire::update::{Part, Step};
use tokio::sync::watch;
use tokio::time::sleep;

use super::ledger::{Ledger, Planned};
use super::plan::{Event, Fleet, Seen, State};
use super::platform::BOARD_PLATFORM;
use crate::store::{Page, Store, StoreError};
use crate::view::View;
use crate::view::model::{Liveness, NodeView};
use crate::web::Commands;

/// Between two looks. A look without an open rollout is one read of some numbers.
const LOOK_EACH: Duration = Duration::from_secs(2);

/// Events read at a time, and pages in one look: a flood is caught up with over several looks.
const PAGE: usize = 10_000;
const PAGES_MAX: usize = 10;

/// A hint that waited longer is of no use: the node asks by itself.
const TTL_MS: u32 = 60_000;

/// Rollouts that wait for a person: number and why. What the wall shows.
#[derive(Debug, Clone, Default)]
pub struct Alarms(Arc<Mutex<Vec<(i64, String)>>>);

impl Alarms {
    /// Those that wait now.
    pub fn now(&self) -> Vec<(i64, String)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, alarms: Vec<(i64, String)>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = alarms;
    }
}

/// What the task works with.
pub struct Driver {
    /// The database.
    pub ledger: Arc<Ledger>,
    /// Where the nodes' events are.
    pub store: Arc<dyn Store>,
    /// How the nodes are.
    pub view: Arc<View>,
    /// The way to them.
    pub commands: Arc<dyn Commands>,
    /// The one clock.
    pub clock: Clock,
    /// For the wall.
    pub alarms: Alarms,
}

/// A step that a node reported.
#[derive(Debug, Clone)]
struct Report {
    node: NodeId,
    rollout: [u8; 16],
    step: Step,
    detail: String,
}

impl Driver {
    /// Drive until `ending`.
    pub async fn run(self, mut ending: watch::Receiver<bool>) {
        let (mut position, mut failing) = (None, false);
        loop {
            match self.look(&mut position).await {
                Ok(()) => failing = false,
                Err(error) => {
                    // Once: a disk that stays full would fill the log too.
                    if !std::mem::replace(&mut failing, true) {
                        tracing::error!(error, "rollouts cannot be driven: nobody is offered anything new meanwhile");
                    }
                }
            }
            tokio::select! {
                _ = ending.wait_for(|end| *end) => return,
                () = sleep(LOOK_EACH) => {}
            }
        }
    }

    async fn look(&self, position: &mut Option<i64>) -> Result<(), String> {
        let ledger = self.ledger.clone();
        let open = blocking(move || ledger.open_rollouts()).await?;
        let generation = *self.store.generation().as_bytes();
        let text = |error: StoreError| error.to_string();
        if open.is_empty() {
            // What comes from now on is what the next rollout can have caused.
            *position = Some(self.newest().await.map_err(text)?);
            self.alarms.set(Vec::new());
            return Ok(());
        }
        let from = match *position {
            Some(position) => position,
            None => {
                let ledger = self.ledger.clone();
                let place = blocking(move || ledger.place()).await?;
                // A restored store counts anew: everything once more, which changes nothing that is known.
                place.filter(|(of, _)| *of == generation).map_or(0, |(_, position)| position)
            }
        };
        let (reports, to) = self.reports(from).await.map_err(text)?;
        let shot = self.view.overview().await.map_err(text)?;
        let (ledger, now_ms) = (self.ledger.clone(), self.clock.wall_ms());
        let (planned, alarms) = blocking(move || {
            let nodes = &shot.overview.nodes;
            let mut fleets: BTreeMap<&str, Fleet> = BTreeMap::new();
            let planned = ledger.plan(now_ms, Some((generation, to)), |row, rollout| {
                let mut actions = Vec::new();
                for report in reports.iter().filter(|report| report.rollout == row.id) {
                    actions.extend(rollout.on(now_ms, Event::Reported(&report.node, report.step, &report.detail)));
                }
                let fleet = fleets.entry(rollout.part.name()).or_insert_with(|| fleet(nodes, rollout.part));
                actions.extend(rollout.on(now_ms, Event::Look(fleet)));
                actions
            })?;
            let paused = |(_, state, _): &(i64, State, String)| *state == State::Paused;
            let alarms = ledger.open_rollouts()?.into_iter().filter(paused).map(|(number, _, why)| (number, why));
            Ok((planned, alarms.collect()))
        })
        .await?;
        *position = Some(to);
        self.alarms.set(alarms);
        self.tell(planned).await;
        Ok(())
    }

    async fn tell(&self, planned: Planned) {
        for (number, why) in &planned.alarms {
            tracing::error!(rollout = number, "a rollout needs someone: {why}");
        }
        for node in planned.tell {
            let mut id = [0; 16];
            if getrandom::fill(&mut id).is_err() {
                return;
            }
            // Lost on the way is no harm: the node asks by itself.
            self.commands.send(&node, Command { id, ttl_ms: TTL_MS, action: Action::LookForUpdates {} }).await;
        }
    }

    async fn newest(&self) -> Result<i64, StoreError> {
        let page = Page { node: None, cursor: None, newest_first: true, limit: 1 };
        Ok(self.store.events(page).await?.first().map_or(0, |row| row.id))
    }

    /// What nodes reported behind a position, and up to where that is.
    async fn reports(&self, mut position: i64) -> Result<(Vec<Report>, i64), StoreError> {
        let mut reports = Vec::new();
        for _ in 0..PAGES_MAX {
            let page = Page { node: None, cursor: Some(position), newest_first: false, limit: PAGE };
            let rows = self.store.events(page).await?;
            let full = rows.len() >= PAGE;
            for row in rows {
                position = row.id;
                if let EventBody::Update { rollout, step, detail, .. } = row.record.body {
                    reports.push(Report { node: row.node, rollout, step, detail: detail.to_string() });
                }
            }
            if !full {
                break;
            }
        }
        Ok((reports, position))
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, super::UpdateError> + Send + 'static,
) -> Result<T, String> {
    let done = tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string())?;
    done.map_err(|error| error.to_string())
}

/// The nodes as a rollout of `part` sees them.
fn fleet(nodes: &[NodeView], part: Part) -> Fleet {
    nodes.iter().filter_map(|node| Some((node.id.parse().ok()?, seen(node, part)))).collect()
}

fn seen(node: &NodeView, part: Part) -> Seen {
    let online = node.liveness == Liveness::Live;
    // A store near its limit begins to lose what it has while an agent is being replaced.
    let near = |backlog: u64, limit: u64| limit > 0 && backlog / 9 >= limit / 10;
    let full = node.streams.iter().any(|it| near(it.backlog_bytes.unwrap_or(0), it.limit_bytes.unwrap_or(0)));
    let board = node.board.as_ref();
    let (platform, version, fit) = match part {
        Part::Board => {
            // Such as `0.1.0 pico`: other boards have no loader that could bring an image back.
            let started = board.and_then(|board| board.started.as_ref());
            let pico = started.is_some_and(|started| started.hardware.as_deref() == Some("pico"));
            let good = board.is_some_and(|board| board.condition.as_deref() == Some("good"));
            (pico.then(|| BOARD_PLATFORM.to_owned()), started.map(|started| started.firmware.clone()), good)
        }
        Part::Agent => (node.platform.clone(), node.version.clone(), true),
        Part::Configuration => (node.platform.clone(), None, true),
    };
    let heard_ms = node.last_heard_ms.unwrap_or(i64::MIN);
    Seen { online, healthy: online && !full && fit, heard_ms, platform, version }
}
