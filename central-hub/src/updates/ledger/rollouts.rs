//! Rollouts: made, changed by orders, and taken further by the running hub; each in one transaction.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Row, params};
use simpul_wire::NodeId;
use simpul_wire::update::{Part, Step};

use super::super::UpdateError;
use super::super::plan::{Action, Aside, Event, Lane, Progress, Rings, Rollout, State};
use super::{Change, Content, EventRow, Ledger, note};

/// Rollouts kept at most.
const ROLLOUTS_MAX: u32 = 10_000;

/// A part by its name.
pub(super) fn part(name: &str) -> Option<Part> {
    [Part::Agent, Part::Board, Part::Configuration].into_iter().find(|part| part.name() == name)
}

/// A step by its name.
pub(super) fn step(name: &str) -> Option<Step> {
    let all = [
        Step::Fetched,
        Step::Waiting,
        Step::Trial,
        Step::Confirmed,
        Step::RolledBack,
        Step::Refused,
        Step::FetchFailed,
    ];
    all.into_iter().find(|step| step.name() == name)
}

/// What a rollout is to be.
#[derive(Debug, Clone)]
pub struct NewRollout {
    /// Random.
    pub id: [u8; 16],
    /// What it replaces.
    pub part: Part,
    /// The version; empty for a configuration.
    pub version: String,
    /// Its rings.
    pub rings: Rings,
    /// From a ring's last proof until the next ring begins.
    pub soak_ms: i64,
    /// So many failures behind the first ring pause it.
    pub pause_on: u32,
    /// Its nodes; of a configuration with each one's own.
    pub nodes: Vec<(NodeId, Option<Content>)>,
}

/// A rollout with what people ask of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolloutRow {
    /// Its number.
    pub number: i64,
    /// Its id on the wire.
    pub id: [u8; 16],
    /// Who made it.
    pub made_by: String,
    /// How it is.
    pub rollout: Rollout,
}

/// What a person may order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Stop for now.
    Pause,
    /// Go on.
    Resume,
    /// End it.
    Cancel,
}

impl Order {
    fn name(self) -> &'static str {
        match self {
            Order::Pause => "pause",
            Order::Resume => "resume",
            Order::Cancel => "cancel",
        }
    }
}

/// What came of taking the open rollouts further.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Planned {
    /// Nodes to be told to look.
    pub tell: Vec<NodeId>,
    /// What someone must look at: the rollout's number and why.
    pub alarms: Vec<(i64, String)>,
    /// Whether anything changed.
    pub changed: bool,
}

impl Ledger {
    /// Make a rollout; its number.
    ///
    /// # Errors
    /// There is no such program, or a node is in another open rollout of the same part.
    pub fn start(&self, new: &NewRollout, who: &str, now_ms: i64) -> Result<i64, UpdateError> {
        self.change(|transaction| {
            if new.nodes.is_empty() {
                return Err(UpdateError::refused("no node is chosen: `simpul-hub nodes list` shows all").into());
            }
            let count: u32 = transaction.query_row("SELECT count(*) FROM rollout", [], |row| row.get(0))?;
            if count >= ROLLOUTS_MAX {
                return Err(UpdateError::refused(format!("there are {ROLLOUTS_MAX} rollouts")).into());
            }
            let platforms = platforms(transaction, new)?;
            transaction.execute(
                "INSERT INTO rollout (id, part, version, platforms, rings, soak_ms, pause_on, made_ms, made_by, state)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'running')",
                params![
                    new.id,
                    new.part.name(),
                    new.version,
                    platforms.map(|platforms| platforms.join(",")),
                    new.rings.to_string(),
                    new.soak_ms,
                    new.pause_on,
                    now_ms,
                    who
                ],
            )?;
            let number = transaction.last_insert_rowid();
            for (node, content) in &new.nodes {
                insert(transaction, (number, new.part), node, *content, now_ms)?;
            }
            let target = if new.version.is_empty() { String::new() } else { format!(" {}", new.version) };
            let what = format!(
                "started {}{target} on {} nodes, rings {}, soak {} s, pause on {}",
                new.part.name(),
                new.nodes.len(),
                new.rings,
                new.soak_ms / 1_000,
                new.pause_on
            );
            let row = EventRow { at_ms: now_ms, who: who.into(), rollout: Some(number), alarm: false, what };
            note(transaction, &row)?;
            Ok(number)
        })
    }

    /// Do what a person orders; the rollout as it is then.
    ///
    /// # Errors
    /// There is no such rollout, or it is not in a state for that.
    pub fn order(&self, number: i64, order: Order, who: &str, now_ms: i64) -> Result<RolloutRow, UpdateError> {
        self.change(|transaction| {
            let Some(mut row) = load(transaction, number)? else {
                let text = format!("there is no rollout {number}: `simpul-hub updates list` shows all");
                return Err(UpdateError::refused(text).into());
            };
            let before = row.rollout.clone();
            let reason = format!("by {who}");
            let event = match order {
                Order::Pause => Event::Pause(&reason),
                Order::Resume => Event::Resume,
                Order::Cancel => Event::Cancel,
            };
            if row.rollout.on(now_ms, event).is_empty() {
                let text = format!("rollout {number} is {}: {} changes nothing", before.state.name(), order.name());
                return Err(UpdateError::refused(text).into());
            }
            save(transaction, number, &before, &row.rollout)?;
            let what = format!("{} ordered", order.name());
            let event = EventRow { at_ms: now_ms, who: who.into(), rollout: Some(number), alarm: false, what };
            note(transaction, &event)?;
            Ok(row)
        })
    }

    /// Take every open rollout further: `work` brings in what happened. Also keeps how far the store was read.
    ///
    /// # Errors
    /// The database; nothing has changed then.
    pub fn plan(
        &self,
        now_ms: i64,
        place: Option<([u8; 16], i64)>,
        mut work: impl FnMut(&RolloutRow, &mut Rollout) -> Vec<Action>,
    ) -> Result<Planned, UpdateError> {
        self.change(|transaction| {
            let mut planned = Planned::default();
            for number in numbers(transaction, true)? {
                let Some(row) = load(transaction, number)? else { continue };
                let mut rollout = row.rollout.clone();
                let actions = work(&row, &mut rollout);
                planned.changed |= save(transaction, number, &row.rollout, &rollout)?;
                for action in actions {
                    let (alarm, what) = match action {
                        Action::Tell(node) => {
                            planned.tell.push(node);
                            continue;
                        }
                        Action::Note(what) => (false, what),
                        Action::Alarm(what) => (true, what),
                    };
                    if alarm {
                        planned.alarms.push((number, what.clone()));
                    }
                    let event = EventRow { at_ms: now_ms, who: "hub".into(), rollout: Some(number), alarm, what };
                    note(transaction, &event)?;
                }
            }
            if let Some((generation, position)) = place {
                transaction.execute(
                    "INSERT INTO place (one, generation, position) VALUES (1, ?, ?)
                     ON CONFLICT (one) DO UPDATE SET generation = excluded.generation, position = excluded.position
                     WHERE generation <> excluded.generation OR position <> excluded.position",
                    params![generation, position],
                )?;
            }
            Ok(planned)
        })
    }

    /// Number, state and reason of each rollout that something may still come of.
    ///
    /// # Errors
    /// The database.
    pub fn open_rollouts(&self) -> Result<Vec<(i64, State, String)>, UpdateError> {
        self.look(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT number, state, reason FROM rollout WHERE state IN ('running', 'paused') ORDER BY number",
            )?;
            let rows = statement.query_map([], |row| {
                let state: String = row.get(1)?;
                Ok((row.get(0)?, State::parse(&state).unwrap_or(State::Paused), row.get(2)?))
            })?;
            rows.collect()
        })
    }

    /// How far the store was read: its generation and the last event's position.
    ///
    /// # Errors
    /// The database.
    pub fn place(&self) -> Result<Option<([u8; 16], i64)>, UpdateError> {
        self.look(|connection| {
            connection
                .query_row("SELECT generation, position FROM place", [], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()
        })
    }

    /// All rollouts, newest first, without more than `max`.
    ///
    /// # Errors
    /// The database.
    pub fn rollouts(&self, max: usize) -> Result<Vec<RolloutRow>, UpdateError> {
        self.look(|connection| {
            let numbers = numbers(connection, false)?;
            numbers.into_iter().rev().take(max).filter_map(|number| load(connection, number).transpose()).collect()
        })
    }

    /// One rollout.
    ///
    /// # Errors
    /// The database.
    pub fn rollout(&self, number: i64) -> Result<Option<RolloutRow>, UpdateError> {
        self.look(|connection| load(connection, number))
    }

    /// Hashes of everything that an open rollout or a program has.
    ///
    /// # Errors
    /// The database.
    pub fn needed(&self) -> Result<Vec<[u8; 32]>, UpdateError> {
        self.look(|connection| {
            let mut statement = connection.prepare(
                "SELECT content FROM program UNION SELECT content FROM progress JOIN rollout ON number = progress.rollout
                 WHERE content IS NOT NULL AND state IN ('running', 'paused')",
            )?;
            statement.query_map([], |row| row.get(0))?.collect()
        })
    }
}

/// What there are programs for; `None`: a configuration needs none.
fn platforms(connection: &Connection, new: &NewRollout) -> Result<Option<Vec<String>>, Change> {
    if new.part == Part::Configuration {
        return Ok(None);
    }
    let mut statement =
        connection.prepare("SELECT platform FROM program WHERE part = ? AND version = ? ORDER BY platform")?;
    let found: Vec<String> = statement
        .query_map(params![new.part.name(), new.version], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    if found.is_empty() {
        let text = format!(
            "there is no {} {}: `simpul-hub updates add FILE.update` first; `simpul-hub updates list` shows all",
            new.part.name(),
            new.version
        );
        return Err(UpdateError::refused(text).into());
    }
    Ok(Some(found))
}

fn insert(
    connection: &Connection,
    (number, part): (i64, Part),
    node: &NodeId,
    content: Option<Content>,
    now_ms: i64,
) -> Result<(), Change> {
    let open: Option<i64> = connection
        .query_row(
            "SELECT rollout.number FROM progress JOIN rollout ON rollout.number = progress.rollout
             WHERE node = ? AND part = ? AND state IN ('running', 'paused')",
            params![node.as_str(), part.name()],
            |row| row.get(0),
        )
        .optional()?;
    if let Some(open) = open {
        let text = format!(
            "node {node} is in rollout {open}, which is still open: wait for its end, or `simpul-hub updates cancel {open}`"
        );
        return Err(UpdateError::refused(text).into());
    }
    let revision: Option<i64> = match part {
        Part::Configuration => Some(connection.query_row(
            "INSERT INTO revision (node, revision) VALUES (?, 1)
             ON CONFLICT (node) DO UPDATE SET revision = revision + 1 RETURNING revision",
            [node.as_str()],
            |row| row.get(0),
        )?),
        Part::Agent | Part::Board => None,
    };
    let (hash, bytes) = content.map(|content| (content.sha256, content.bytes)).unzip();
    connection.execute(
        "INSERT INTO progress (rollout, node, since_ms, revision, content, content_bytes) VALUES (?, ?, ?, ?, ?, ?)",
        params![number, node.as_str(), now_ms, revision, hash, bytes],
    )?;
    Ok(())
}

fn numbers(connection: &Connection, open: bool) -> rusqlite::Result<Vec<i64>> {
    let mut statement = connection
        .prepare_cached("SELECT number FROM rollout WHERE NOT ? OR state IN ('running', 'paused') ORDER BY number")?;
    statement.query_map([open], |row| row.get(0))?.collect()
}

fn load(connection: &Connection, number: i64) -> rusqlite::Result<Option<RolloutRow>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, part, version, platforms, rings, soak_ms, pause_on, made_ms, made_by, state, reason,
         forgiven_first, forgiven_later FROM rollout WHERE number = ?",
    )?;
    let head = statement.query_row([number], |row| head(number, row)).optional()?;
    let Some(mut row) = head else { return Ok(None) };
    let mut statement = connection.prepare_cached("SELECT platform, ring, since_ms FROM lane WHERE rollout = ?")?;
    let lanes =
        statement.query_map([number], |row| Ok((row.get(0)?, Lane { ring: row.get(1)?, since_ms: row.get(2)? })))?;
    row.rollout.lanes = lanes.collect::<rusqlite::Result<_>>()?;
    let mut statement = connection.prepare_cached(
        "SELECT node, platform, ring, reported, since_ms, detail, aside, tries FROM progress WHERE rollout = ?",
    )?;
    let mut rows = statement.query([number])?;
    while let Some(found) = rows.next()? {
        let (node, reported, aside): (String, Option<String>, String) = (found.get(0)?, found.get(3)?, found.get(6)?);
        // Ids were checked when they were written.
        let Ok(node) = node.parse() else { continue };
        let progress = Progress {
            platform: found.get(1)?,
            ring: found.get(2)?,
            reported: reported.and_then(|name| step(&name)),
            since_ms: found.get(4)?,
            detail: found.get(5)?,
            aside: Aside::parse(&aside).unwrap_or_default(),
            tries: found.get(7)?,
        };
        row.rollout.nodes.insert(node, progress);
    }
    Ok(Some(row))
}

fn head(number: i64, row: &Row<'_>) -> rusqlite::Result<RolloutRow> {
    let (which, rings, state): (String, String, String) = (row.get(1)?, row.get(4)?, row.get(9)?);
    let platforms: Option<String> = row.get(3)?;
    let bad = |what: &str| rusqlite::Error::InvalidParameterName(format!("rollout {number}: {what} cannot be read"));
    Ok(RolloutRow {
        number,
        id: row.get(0)?,
        made_by: row.get(8)?,
        rollout: Rollout {
            part: part(&which).ok_or_else(|| bad("its part"))?,
            version: row.get(2)?,
            platforms: platforms.map(|list| list.split(',').map(str::to_owned).collect()),
            rings: rings.parse().map_err(|_| bad("its rings"))?,
            soak_ms: row.get(5)?,
            pause_on: row.get(6)?,
            made_ms: row.get(7)?,
            state: State::parse(&state).ok_or_else(|| bad("its state"))?,
            reason: row.get(10)?,
            forgiven: [row.get(11)?, row.get(12)?],
            lanes: BTreeMap::new(),
            nodes: BTreeMap::new(),
        },
    })
}

/// Write what differs; whether anything did.
fn save(connection: &Connection, number: i64, before: &Rollout, after: &Rollout) -> rusqlite::Result<bool> {
    if before == after {
        return Ok(false);
    }
    let [first, later] = after.forgiven;
    connection.execute(
        "UPDATE rollout SET state = ?, reason = ?, forgiven_first = ?, forgiven_later = ? WHERE number = ?",
        params![after.state.name(), after.reason, first, later, number],
    )?;
    for (platform, lane) in after.lanes.iter().filter(|(platform, lane)| before.lanes.get(*platform) != Some(*lane)) {
        connection.execute(
            "INSERT INTO lane (rollout, platform, ring, since_ms) VALUES (?, ?, ?, ?)
             ON CONFLICT (rollout, platform) DO UPDATE SET ring = excluded.ring, since_ms = excluded.since_ms",
            params![number, platform, lane.ring, lane.since_ms],
        )?;
    }
    let mut statement = connection.prepare_cached(
        "UPDATE progress SET platform = ?, ring = ?, reported = ?, since_ms = ?, detail = ?, aside = ?, tries = ?
         WHERE rollout = ? AND node = ?",
    )?;
    for (node, progress) in after.nodes.iter().filter(|(node, progress)| before.nodes.get(*node) != Some(*progress)) {
        statement.execute(params![
            progress.platform,
            progress.ring,
            progress.reported.map(Step::name),
            progress.since_ms,
            progress.detail,
            progress.aside.name(),
            progress.tries,
            number,
            node.as_str()
        ])?;
    }
    Ok(true)
}
