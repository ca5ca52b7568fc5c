//! What is asked, fetched, prepared and put on trial, and when: `(facts, event) -> actions`, pure.
//!
//! One update is under way at a time: the program first (a configuration may need it), then the configuration, then the
//! board. Every download begins with a fresh look at the offers, so that one that was withdrawn is not fetched on.

use std::time::Duration;

use simpul_clock::Moment;
use simpul_wire::Label;
use simpul_wire::update::{
    CONFIGURATION_BYTES_MAX, ConfigurationOffer, Manifest, Offers, Part, ProgramOffer, Step, Version,
};

use super::calm;
use super::fetch::Wanted;
use super::install::Trouble;
use super::judge::{Bench, judge, short_hash};
use super::launch::label;
use super::notes::{BoardJob, Notes};
use crate::config::UpdateConfig;

/// The first pause after a failure; doubled each time, up to the longest, and never longer than the ordinary one.
const PAUSE_MIN: Duration = Duration::from_secs(15);
const PAUSE_MAX: Duration = Duration::from_secs(3_600);

/// The first look comes within so long after the start: a district that powers up does not ask in one second.
const FIRST_LOOK: Duration = Duration::from_secs(60);

/// An update that is under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Job {
    /// A program, signed and judged.
    Program {
        /// The rollout.
        rollout: [u8; 16],
        /// What was signed.
        manifest: Manifest,
        /// What it replaces.
        from: Label,
        /// The beginning of the manifest's SHA-256, if it is a downgrade.
        downgrade: Option<[u8; 8]>,
    },
    /// A configuration.
    Configuration {
        /// As it was offered.
        offer: ConfigurationOffer,
        /// What it replaces.
        from: Label,
    },
}

impl Job {
    /// Its rollout.
    pub fn rollout(&self) -> [u8; 16] {
        match self {
            Job::Program { rollout, .. } => *rollout,
            Job::Configuration { offer, .. } => offer.rollout,
        }
    }

    /// What it replaces.
    pub fn part(&self) -> Part {
        match self {
            Job::Program { manifest, .. } => manifest.part,
            Job::Configuration { .. } => Part::Configuration,
        }
    }

    /// Its version or revision.
    pub fn to(&self) -> Label {
        match self {
            Job::Program { manifest, .. } => label(manifest.version),
            Job::Configuration { offer, .. } => label(offer.revision),
        }
    }

    /// What it replaces.
    pub fn from(&self) -> &Label {
        match self {
            Job::Program { from, .. } | Job::Configuration { from, .. } => from,
        }
    }

    /// Its content.
    pub fn wanted(&self) -> Wanted {
        match self {
            Job::Program { manifest, .. } => Wanted {
                sha256: manifest.content_sha256,
                bytes: u64::from(manifest.content_bytes),
                more_bytes: u64::from(manifest.installed_bytes),
            },
            Job::Configuration { offer, .. } => Wanted {
                sha256: offer.content_sha256,
                bytes: u64::from(offer.content_bytes),
                more_bytes: u64::from(offer.content_bytes),
            },
        }
    }
}

/// A step to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The rollout.
    pub rollout: [u8; 16],
    /// What.
    pub part: Part,
    /// To which version or revision.
    pub to: Label,
    /// From which.
    pub from: Label,
    /// How far.
    pub step: Step,
    /// Why.
    pub why: String,
}

/// The board, as an update sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BoardSeen {
    /// None is configured.
    None,
    /// Its image is named in the configuration.
    ByHand,
    /// Not heard yet.
    Silent,
    /// It talks.
    Talks {
        /// What it runs.
        runs: Version,
        /// That has confirmed itself.
        confirmed: bool,
        /// The image that it gave back.
        given_back: Option<u32>,
        /// How its update stands, in words.
        update: String,
        /// It will not take the image that it was handed.
        refuses: bool,
    },
}

/// What decisions are made by.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Now.
    pub now: Moment,
    /// The version of this program.
    pub running: Version,
    /// Revision and SHA-256 of the configuration in force; revision 0: the file on the node.
    pub configuration: (u64, [u8; 32]),
    /// The last service record was made so long ago.
    pub quiet_for: Option<Duration>,
    /// The time of day.
    pub minute_of_day: Option<u16>,
    /// The board.
    pub board: BoardSeen,
}

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// Time passed.
    Tick,
    /// The hub wants it to look.
    Ordered,
    /// What the hub offers.
    Looked(Result<Box<Offers>, String>),
    /// The content is there.
    Fetched(Result<(), Trouble>),
    /// It may be put on trial; of a board's image: its CRC-32.
    Prepared(Result<u32, Trouble>),
    /// It could not be put on trial: the card cannot be written.
    NotCommitted(String),
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Ask the hub.
    Look,
    /// Answer whoever ordered a look.
    Answer(Result<String, String>),
    /// Fetch the content.
    Fetch(Wanted),
    /// Unpack, validate.
    Prepare(Job),
    /// Tell the hub.
    Say(Told),
    /// Put it on trial; the last thing that this run does, unless it is the board's.
    Commit(Job),
    /// The board's image is of no more use.
    DropImage,
}

#[derive(Debug)]
enum Stage {
    Looking,
    Fetching(Job),
    Preparing(Job),
    Waiting { job: Job, since: Moment, crc32: u32 },
    Committed(Job),
}

/// The core.
#[derive(Debug)]
pub struct Core {
    config: UpdateConfig,
    /// What survives a restart; to be saved after each event that changed it.
    pub notes: Notes,
    stage: Option<Stage>,
    look_at: Moment,
    pause: Duration,
    ordered: bool,
    draw: u64,
}

impl Core {
    /// Begins with a look soon.
    pub fn new(now: Moment, config: UpdateConfig, notes: Notes, seed: u64) -> Core {
        let pause = PAUSE_MIN.min(config.look_every);
        let mut core = Core { config, notes, stage: None, look_at: now, pause, ordered: false, draw: seed };
        core.look_at = now + FIRST_LOOK.min(core.config.look_every).mul_f64(core.random());
        core
    }

    /// From 0 to 1 (SplitMix64).
    fn random(&mut self) -> f64 {
        self.draw = self.draw.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.draw;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) as f64 / u64::MAX as f64
    }

    /// What is to be done about an event.
    pub fn handle(&mut self, facts: &Facts, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Tick => {}
            Event::Ordered => match &self.stage {
                None => (self.ordered, self.look_at) = (true, facts.now),
                Some(Stage::Looking) => self.ordered = true,
                Some(_) => actions.push(Action::Answer(Ok("an update is under way".into()))),
            },
            Event::Looked(Ok(offers)) => self.looked(facts, &offers, &mut actions),
            Event::Looked(Err(why)) => {
                self.stage = None;
                self.answer(Err(why), &mut actions);
                self.rest(facts.now);
            }
            Event::Fetched(Ok(())) => {
                if let Some(Stage::Fetching(job)) = self.stage.take() {
                    self.say(&job, Step::Fetched, "", &mut actions);
                    actions.push(Action::Prepare(job.clone()));
                    self.stage = Some(Stage::Preparing(job));
                }
            }
            Event::Fetched(Err(trouble)) | Event::Prepared(Err(trouble)) => self.failed(facts, trouble, &mut actions),
            Event::NotCommitted(why) => {
                match &self.stage {
                    Some(Stage::Committed(Job::Program { downgrade: Some(hash), .. })) => self.notes.unspend(hash),
                    Some(Stage::Committed(job)) if job.part() == Part::Board => self.notes.board = None,
                    _ => {}
                }
                self.failed(facts, Trouble::Passing(why), &mut actions);
            }
            Event::Prepared(Ok(crc32)) => {
                if let Some(Stage::Preparing(job)) = self.stage.take() {
                    self.stage = Some(Stage::Waiting { job, since: facts.now, crc32 });
                }
            }
        }
        // The board's is its own matter from then on; all else ends with a start anew.
        let with_board = |stage: &mut Stage| matches!(stage, Stage::Committed(job) if job.part() == Part::Board);
        if let Some(Stage::Committed(_)) = self.stage.take_if(with_board) {
            self.look_at = facts.now + self.config.look_every;
        }
        self.watch_board(facts, &mut actions);
        self.commit_if_calm(facts, &mut actions);
        if self.stage.is_none() && facts.now >= self.look_at {
            self.stage = Some(Stage::Looking);
            actions.push(Action::Look);
        }
        actions
    }

    fn answer(&mut self, answer: Result<String, String>, actions: &mut Vec<Action>) {
        if std::mem::take(&mut self.ordered) {
            actions.push(Action::Answer(answer));
        }
    }

    /// The next look after a failure.
    fn rest(&mut self, now: Moment) {
        self.look_at = now + self.pause.mul_f64(0.5 + 0.5 * self.random());
        self.pause = (self.pause * 2).min(PAUSE_MAX).min(self.config.look_every);
    }

    fn failed(&mut self, facts: &Facts, trouble: Trouble, actions: &mut Vec<Action>) {
        let stage = self.stage.take();
        let Some(Stage::Fetching(job) | Stage::Preparing(job) | Stage::Committed(job)) = stage else { return };
        match trouble {
            Trouble::Passing(why) => {
                self.say(&job, Step::FetchFailed, &why, actions);
                self.rest(facts.now);
            }
            Trouble::Final(why) => {
                self.refuse(&job, &why, actions);
                self.look_at = facts.now;
            }
        }
    }

    fn refuse(&mut self, job: &Job, why: &str, actions: &mut Vec<Action>) {
        if let Job::Configuration { offer, .. } = job {
            self.notes.revision = self.notes.revision.max(offer.revision);
        }
        self.say(job, Step::Refused, why, actions);
    }

    /// A step is told once, until another one of its rollout is.
    fn say(&mut self, job: &Job, step: Step, why: &str, actions: &mut Vec<Action>) {
        let (rollout, part) = (job.rollout(), job.part());
        self.tell(Told { rollout, part, to: job.to(), from: job.from().clone(), step, why: why.into() }, actions);
    }

    fn tell(&mut self, told: Told, actions: &mut Vec<Action>) {
        if self.notes.is_news(&told.rollout, told.part, told.step) {
            self.notes.told(&told.rollout, told.part, told.step);
            actions.push(Action::Say(told));
        }
    }

    fn looked(&mut self, facts: &Facts, offers: &Offers, actions: &mut Vec<Action>) {
        self.stage = None;
        let job = self.choose(facts, offers, actions);
        let found = match &job {
            Some(job) => format!("{} {} is fetched", job.part().name(), job.to()),
            None if actions.iter().any(|action| matches!(action, Action::Say(told) if told.step == Step::Refused)) => {
                "what is offered is refused: the node's events say why".to_owned()
            }
            None => "nothing new".to_owned(),
        };
        self.answer(Ok(found), actions);
        match job {
            Some(job) => {
                actions.push(Action::Fetch(job.wanted()));
                self.stage = Some(Stage::Fetching(job));
            }
            None => {
                self.pause = PAUSE_MIN.min(self.config.look_every);
                // The interval with a fifth of jitter.
                self.look_at = facts.now + self.config.look_every.mul_f64(0.9 + 0.2 * self.random());
            }
        }
    }

    /// The first offer that is to be taken; what is refused or runs already is told.
    fn choose(&mut self, facts: &Facts, offers: &Offers, actions: &mut Vec<Action>) -> Option<Job> {
        let agent = offers
            .agent
            .as_ref()
            .and_then(|offer| self.program(offer, Part::Agent, Some(facts.running), label(facts.running), actions));
        let configuration = || offers.configuration.as_ref();
        agent
            .or_else(|| configuration().and_then(|offer| self.configuration(facts, offer, actions)))
            .or_else(|| offers.board.as_ref().and_then(|offer| self.board(facts, offer, actions)))
    }

    fn program(
        &mut self,
        offer: &ProgramOffer,
        part: Part,
        running: Option<Version>,
        from: Label,
        actions: &mut Vec<Action>,
    ) -> Option<Job> {
        let rollout = offer.rollout;
        if self.notes.is_answered(&rollout) {
            return None;
        }
        let notes = &self.notes;
        let spent = |manifest: &[u8; 8]| notes.is_spent(manifest);
        let bench = Bench { keys: &self.config.keys, part, running, floor: notes.floor(part), spent: &spent };
        match judge(&offer.signed, &bench) {
            Ok(manifest) if running == Some(manifest.version) => {
                let told = Told {
                    rollout,
                    part,
                    to: label(manifest.version),
                    from,
                    step: Step::Confirmed,
                    why: "runs already".into(),
                };
                self.tell(told, actions);
                None
            }
            Ok(manifest) => {
                let older = running.is_some_and(|running| manifest.version < running);
                let downgrade = older.then(|| short_hash(&offer.signed.manifest));
                Some(Job::Program { rollout, manifest, from, downgrade })
            }
            Err(refusal) => {
                // Its version only if it is the signer's word.
                let to = Manifest::from_slice(&offer.signed.manifest).map(|manifest| label(manifest.version));
                let to = to.unwrap_or_default();
                tracing::warn!(part = part.name(), %refusal, "an update is refused");
                self.tell(Told { rollout, part, to, from, step: Step::Refused, why: refusal.to_string() }, actions);
                None
            }
        }
    }

    fn configuration(&mut self, facts: &Facts, offer: &ConfigurationOffer, actions: &mut Vec<Action>) -> Option<Job> {
        if self.notes.is_answered(&offer.rollout) {
            return None;
        }
        let (revision, sha256) = facts.configuration;
        let job = Job::Configuration { offer: offer.clone(), from: label(revision) };
        if sha256 == offer.content_sha256 {
            self.notes.revision = self.notes.revision.max(offer.revision);
            self.say(&job, Step::Confirmed, "is in force already", actions);
            return None;
        }
        let judged = self.notes.revision;
        let refusal = if offer.revision <= judged {
            format!("revision {} is not newer than {judged}, the last that this node judged", offer.revision)
        } else if offer.content_bytes > CONFIGURATION_BYTES_MAX {
            format!("{} bytes, at most {CONFIGURATION_BYTES_MAX}: this is no configuration", offer.content_bytes)
        } else {
            return Some(job);
        };
        tracing::warn!(refusal, "a configuration is refused");
        self.say(&job, Step::Refused, &refusal, actions);
        None
    }

    fn board(&mut self, facts: &Facts, offer: &ProgramOffer, actions: &mut Vec<Action>) -> Option<Job> {
        let under_way = self.notes.board.as_ref().is_some_and(|job| job.rollout == offer.rollout);
        if self.notes.is_answered(&offer.rollout) || under_way {
            return None;
        }
        let (runs, refusal) = match &facts.board {
            // Whether it is older than what runs there can only be said once it has spoken.
            BoardSeen::Silent => return None,
            BoardSeen::None => (None, Some("this node has no board ([board] in its configuration)")),
            BoardSeen::ByHand => (None, Some("board.firmware in the node's configuration names the board's image")),
            BoardSeen::Talks { runs, .. } => (Some(*runs), None),
        };
        let from = runs.map(label).unwrap_or_default();
        if let Some(why) = refusal {
            let to = Manifest::from_slice(&offer.signed.manifest).map(|manifest| label(manifest.version));
            let (rollout, part, step) = (offer.rollout, Part::Board, Step::Refused);
            self.tell(Told { rollout, part, to: to.unwrap_or_default(), from, step, why: why.into() }, actions);
            return None;
        }
        self.program(offer, Part::Board, runs, from, actions)
    }

    fn commit_if_calm(&mut self, facts: &Facts, actions: &mut Vec<Action>) {
        let Some(Stage::Waiting { job, since, crc32 }) = &self.stage else { return };
        let moment = calm::Moment {
            waited: facts.now.since(*since),
            quiet_for: facts.quiet_for,
            minute_of_day: facts.minute_of_day,
        };
        let (job, crc32) = (job.clone(), *crc32);
        if let Some(why) = calm::holds(&self.config.not_between, moment) {
            self.say(&job, Step::Waiting, why, actions);
            return;
        }
        self.stage = Some(Stage::Committed(job.clone()));
        if let Job::Program { rollout, manifest, from, downgrade } = &job {
            if let Some(hash) = downgrade {
                self.notes.spend(*hash);
            }
            if manifest.part == Part::Board {
                self.notes.board = Some(BoardJob {
                    rollout: *rollout,
                    from: from.clone(),
                    to: manifest.version,
                    crc32,
                    floor: manifest.floor,
                });
            }
        }
        actions.push(Action::Commit(job));
    }

    /// What the board makes of the image that it was handed.
    fn watch_board(&mut self, facts: &Facts, actions: &mut Vec<Action>) {
        let Some(job) = self.notes.board.clone() else { return };
        let BoardSeen::Talks { runs, confirmed, given_back, update, refuses } = &facts.board else { return };
        let there = *runs == job.to;
        let (step, why) = if there && *confirmed {
            (Step::Confirmed, "")
        } else if there {
            (Step::Trial, "")
        } else if *given_back == Some(job.crc32) {
            (Step::RolledBack, update.as_str())
        } else if *refuses {
            (Step::Refused, update.as_str())
        } else {
            return;
        };
        let BoardJob { rollout, from, to, floor, .. } = job;
        self.tell(Told { rollout, part: Part::Board, to: label(to), from, step, why: why.into() }, actions);
        if step.is_final() {
            self.notes.board = None;
            if step == Step::Confirmed {
                self.notes.board_floor = self.notes.board_floor.max(floor);
            } else {
                actions.push(Action::DropImage);
            }
        }
    }
}

#[cfg(test)]
#[path = "core_tests.rs"]
mod tests;
