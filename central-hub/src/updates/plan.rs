//! Who gets an update when: `(now, event) -> actions`. Pure; the database keeps what this decides.
//!
//! Nodes are taken in rings (one, ten, all), for each platform apart: a *lane*. A lane's next ring begins when every node
//! of the ring before has proved the update and time to notice trouble (the soak) has passed since the last of them.
//!
//! - The rings before the last take only nodes that are online and healthy. The last takes everybody.
//! - A node that does not fetch for [`PATIENCE_MS`] is set aside: another one takes its place, it gets its turn later.
//! - A place that nobody can take holds a ring up for [`PATIENCE_MS`]; after that, those who proved it are enough.
//! - A node that had the update and fell silent for [`SILENT_MS`] counts as failed until it speaks.
//! - One failure in the first ring, or `pause_on` later, pauses the rollout: nobody gets it any more until a person
//!   says so. Those who failed are not asked again.
//! - The last ring waits [`LAST_RING_MS`] for nodes that are away; then the rollout ends and says how many it left.

mod decide;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use simpul_wire::NodeId;
use simpul_wire::update::{Part, Step};

const HOUR_MS: i64 = 3_600_000;

/// A node that does not get further for so long holds up nobody.
pub const PATIENCE_MS: i64 = 24 * HOUR_MS;

/// A trial ends after 15 minutes, and an agent that was rolled back says so at once: hours of silence are another thing.
pub const SILENT_MS: i64 = 6 * HOUR_MS;

/// How long the last ring waits for nodes that are away.
pub const LAST_RING_MS: i64 = 30 * 24 * HOUR_MS;

/// Rings of a rollout at most.
pub const RINGS_MAX: usize = 8;

/// How many nodes of each platform have an update after a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// So many more.
    Nodes(u32),
    /// All of them.
    All,
}

/// The rings of a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rings(Vec<Size>);

impl Rings {
    /// A ring's size; `None` behind the last.
    pub fn get(&self, ring: u32) -> Option<Size> {
        self.0.get(usize::try_from(ring).ok()?).copied()
    }

    /// How many.
    pub fn count(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }
}

impl fmt::Display for Rings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, size) in self.0.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { "," })?;
            match size {
                Size::Nodes(count) => write!(f, "{count}")?,
                Size::All => f.write_str("all")?,
            }
        }
        Ok(())
    }
}

impl FromStr for Rings {
    type Err = String;

    fn from_str(text: &str) -> Result<Rings, String> {
        let wrong = || format!("{text:?}: at most {RINGS_MAX} growing numbers, and `all` at the end, such as 1,10,all");
        let (mut sizes, mut last) = (Vec::new(), 0);
        for part in text.split(',') {
            if sizes.last() == Some(&Size::All) || sizes.len() >= RINGS_MAX {
                return Err(wrong());
            }
            if part == "all" {
                sizes.push(Size::All);
                continue;
            }
            let count = part.parse().ok().filter(|count: &u32| *count > last && *count <= 100_000).ok_or_else(wrong)?;
            last = count;
            sizes.push(Size::Nodes(count));
        }
        Ok(Rings(sizes))
    }
}

/// Whether a rollout goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It does.
    Running,
    /// It waits for a person.
    Paused,
    /// Everybody has it, or was waited for long enough.
    Finished,
    /// A person ended it.
    Cancelled,
}

impl State {
    /// Its name for programs.
    pub fn name(self) -> &'static str {
        match self {
            State::Running => "running",
            State::Paused => "paused",
            State::Finished => "finished",
            State::Cancelled => "cancelled",
        }
    }

    /// By its name.
    pub fn parse(name: &str) -> Option<State> {
        [State::Running, State::Paused, State::Finished, State::Cancelled]
            .into_iter()
            .find(|state| state.name() == name)
    }

    /// Whether anything may still come of it.
    pub fn is_open(self) -> bool {
        matches!(self, State::Running | State::Paused)
    }
}

/// Why a node is out of its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Aside {
    /// It is not.
    #[default]
    No,
    /// It did not get further for a long time.
    Behind,
    /// It had the update and fell silent.
    Silent,
    /// It runs this version already.
    Already,
}

impl Aside {
    /// Its name for programs.
    pub fn name(self) -> &'static str {
        match self {
            Aside::No => "no",
            Aside::Behind => "behind",
            Aside::Silent => "silent",
            Aside::Already => "already",
        }
    }

    /// By its name.
    pub fn parse(name: &str) -> Option<Aside> {
        [Aside::No, Aside::Behind, Aside::Silent, Aside::Already].into_iter().find(|aside| aside.name() == name)
    }
}

/// How far one node is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    /// Its lane, once it is known.
    pub platform: Option<String>,
    /// The ring that it is offered the update in.
    pub ring: Option<u32>,
    /// The furthest step that it reported.
    pub reported: Option<Step>,
    /// When it came to where it is, Unix milliseconds by the hub's clock.
    pub since_ms: i64,
    /// What it said of that.
    pub detail: String,
    /// Why it is out of its turn.
    pub aside: Aside,
    /// How often it was set aside.
    pub tries: u32,
}

impl Progress {
    /// Where it is, in one word for programs.
    pub fn standing(&self) -> &'static str {
        match (self.reported, self.aside, self.ring) {
            (Some(step), Aside::No, _) => step.name(),
            (_, Aside::No, None) => "planned",
            (None, Aside::No, Some(_)) => "offered",
            (_, aside, _) => aside.name(),
        }
    }

    /// Whether nothing more is to come of it.
    pub fn is_done(&self) -> bool {
        self.aside == Aside::Already || self.reported.is_some_and(Step::is_final)
    }

    fn has_failed(&self) -> bool {
        self.aside == Aside::Silent || matches!(self.reported, Some(Step::RolledBack | Step::Refused))
    }

    /// Whether it has the content, and may be trying it.
    fn holds_it(&self) -> bool {
        matches!(self.reported, Some(Step::Fetched | Step::Waiting | Step::Trial))
    }

    /// Whether the hub offers it the update, in a rollout of this state. One that tries it is told so to the end.
    pub fn is_offered(&self, state: State) -> bool {
        let trying = self.reported == Some(Step::Trial);
        self.ring.is_some()
            && !self.is_done()
            && (trying && state.is_open() || state == State::Running && self.aside != Aside::Silent)
    }
}

/// How far a lane is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lane {
    /// Its ring; behind the last one it is done.
    pub ring: u32,
    /// When that began.
    pub since_ms: i64,
}

/// A rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollout {
    /// What it replaces.
    pub part: Part,
    /// The version to come to; empty for a configuration.
    pub version: String,
    /// What there is a program for; `None`: for every platform (a configuration).
    pub platforms: Option<Vec<String>>,
    /// Its rings.
    pub rings: Rings,
    /// From a ring's last proof until the next ring begins.
    pub soak_ms: i64,
    /// So many failures behind the first ring pause it.
    pub pause_on: u32,
    /// When it was made.
    pub made_ms: i64,
    /// Whether it goes on.
    pub state: State,
    /// Why it is as it is.
    pub reason: String,
    /// Failures in the first ring, and behind it, that a person has gone on over.
    pub forgiven: [u32; 2],
    /// By platform.
    pub lanes: BTreeMap<String, Lane>,
    /// Its nodes.
    pub nodes: BTreeMap<NodeId, Progress>,
}

/// A node as the hub sees it now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    /// In touch.
    pub online: bool,
    /// In touch, and nothing is wrong with it that an update would hide or worsen.
    pub healthy: bool,
    /// When it was last heard, Unix milliseconds.
    pub heard_ms: i64,
    /// What this part of it runs on.
    pub platform: Option<String>,
    /// Which version of this part it runs.
    pub version: Option<String>,
}

/// All nodes, as seen for one part.
pub type Fleet = BTreeMap<NodeId, Seen>;

/// What happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// A node's event of this rollout was committed; perhaps not for the first time, perhaps late.
    Reported(&'a NodeId, Step, &'a str),
    /// Time passed.
    Look(&'a Fleet),
    /// A person stops it.
    Pause(&'a str),
    /// A person lets it go on, whatever failed so far.
    Resume,
    /// A person ends it.
    Cancel,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Tell the node to look for updates.
    Tell(NodeId),
    /// Write down, for people.
    Note(String),
    /// The same, and someone must look at it.
    Alarm(String),
}
