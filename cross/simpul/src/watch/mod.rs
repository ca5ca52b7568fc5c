//! `simpul watch`: see a node come up, from the laptop that stands beside it, and record that it was accepted.
//!
//! Each line comes when the hub knows it: the first hello, the first reading, each camera's first picture (drawn in the
//! terminal, if it has the colours), what the node's own examination finds. Once all is green, an acceptance with serials,
//! place and hashes of the pictures is signed with this laptop's key and kept at the hub, and a hand-over protocol (BAST)
//! is written as a PDF. [`steps`] judges, purely; here is what moves.

mod bast;
mod picture;
mod steps;

use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};
use simpul_clock::{Clock, Moment};
use simpul_wire::NodeId;
use simpul_wire::doctor::{Report, Verdict};
use simpul_wire::enrolment::RefusalReason;
use simpul_wire::technician::{AcceptanceKept, NodeFacts, PictureFact};
use simpul_words::findings::text;
use simpul_words::{Language, Watch, Words};

use crate::exit::Exit;
use crate::hub::Hub;
use crate::hub::problem::Problem;
use bast::{Protocol, local};
use steps::{Action, Steps};

/// Columns and lines of a picture: what fits the smallest terminal with the lines above it.
const COLUMNS: usize = 76;
const LINES: usize = 20;

/// Pause before the hub is asked again after it did not answer.
const RETRY: Duration = Duration::from_secs(5);

/// Attempts to hand an acceptance in: between them the node may have been examined again by somebody else.
const ATTEMPTS_MAX: u32 = 3;

/// What was asked for.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The node.
    pub node: String,
    /// The BAST's PDF.
    pub bast: Option<PathBuf>,
    /// The technician's note.
    pub note: String,
    /// Give up after so many minutes.
    pub minutes_max: Option<u64>,
    /// Look once, accept nothing.
    pub once: bool,
}

struct Session<'a> {
    hub: Hub,
    node: NodeId,
    request: &'a Request,
    language: Language,
    clock: &'a Clock,
    steps: Steps,
    pictures: Vec<(String, u16, u16, Vec<u8>)>,
    attempts: u32,
}

/// Run `simpul watch`.
pub fn run(request: &Request, language: Language, clock: &Clock) -> Result<(), Exit> {
    let node: NodeId = request.node.parse().map_err(|_| Problem::NoNode { node: request.node.clone() })?;
    let hub = Hub::open()?;
    let steps = Steps::default();
    let mut session = Session { hub, node, request, language, clock, steps, pictures: Vec::new(), attempts: 0 };
    session.run()
}

impl Session<'_> {
    fn say(&self, words: Watch<'_>) {
        println!("{}", words.text(self.language));
    }

    fn run(&mut self) -> Result<(), Exit> {
        let until = self.request.minutes_max.map(|minutes| self.clock.now() + Duration::from_secs(minutes * 60));
        let first = self.hub.facts(&self.node, None)?;
        let place = format!("{} ({})", first.name, first.village);
        self.say(Watch::Watching { node: &self.node, place: &place });
        let mut facts = first;
        let mut away = false;
        loop {
            if let Some(kept) = self.step(&facts)? {
                self.say(Watch::AllGreen { number: &kept.number });
                return Ok(());
            }
            if self.request.once || until.is_some_and(|until| self.clock.now() >= until) {
                return self.missing(&facts);
            }
            facts = match self.hub.facts(&self.node, Some(facts.seen)) {
                Ok(facts) => {
                    away = false;
                    facts
                }
                Err(problem) if problem.passes() => {
                    if !std::mem::replace(&mut away, true) {
                        eprintln!("{}", problem.say(self.language));
                    }
                    std::thread::sleep(RETRY);
                    continue;
                }
                Err(problem) => return Err(problem.into()),
            };
        }
    }

    /// Do what the facts call for; the acceptance, once it is kept.
    fn step(&mut self, facts: &NodeFacts) -> Result<Option<AcceptanceKept>, Exit> {
        for action in self.steps.see(self.clock.now(), facts) {
            match action {
                Action::Refused(refusal) => {
                    let at = local(refusal.at_ms, facts.utc_offset_minutes, self.language);
                    self.say(Watch::RefusedAt { at: &at, text: &refusal.text });
                }
                Action::Hello => self.hello(facts),
                Action::Gone => self.say(Watch::Gone),
                Action::Reading(reading) => {
                    let value = format!("{} {}", self.language.number(reading.value, 2), reading.unit);
                    self.say(Watch::Reading { metric: &reading.metric, value: &value });
                }
                Action::Picture(picture) => self.picture(&picture, facts)?,
                Action::NoPicture(camera, condition) => {
                    self.say(Watch::NoPicture { camera: &camera, condition: &condition });
                }
                Action::Examine if self.request.once => {}
                Action::Examine => self.examine()?,
                Action::Found(report) => self.found(&report),
                Action::Accept if self.request.once => {}
                Action::Accept => {
                    if let Some(kept) = self.accept(facts)? {
                        return Ok(Some(kept));
                    }
                }
            }
        }
        Ok(None)
    }

    fn hello(&self, facts: &NodeFacts) {
        let unknown = || steps::label("-");
        let at = local(facts.first_heard_ms.unwrap_or_default(), facts.utc_offset_minutes, self.language);
        self.say(Watch::Hello {
            at: &at,
            version: &facts.version.clone().unwrap_or_else(unknown),
            hardware: &facts.hardware.clone().unwrap_or_else(unknown),
            board: &facts.board.clone().unwrap_or_else(unknown),
        });
    }

    fn picture(&mut self, picture: &PictureFact, facts: &NodeFacts) -> Result<(), Exit> {
        let jpeg = self.hub.picture(&self.node, picture.snapshot)?;
        if Sha256::digest(&jpeg)[..] != picture.sha256 {
            return Err(Problem::BadAnswer { what: "SHA-256".into() }.into());
        }
        let at = local(picture.at_ms, facts.utc_offset_minutes, self.language);
        self.say(Watch::Picture {
            camera: &picture.camera,
            wide: &picture.width,
            high: &picture.height,
            bytes: &self.language.bytes(jpeg.len() as u64),
            at: &at,
        });
        let colours = picture::has_colours(std::io::stdout().is_terminal(), |name| std::env::var(name).ok());
        if let Some(drawn) = picture::draw(&jpeg, COLUMNS, LINES).filter(|_| colours) {
            print!("{drawn}");
        }
        self.pictures.push((picture.camera.to_string(), picture.width, picture.height, jpeg));
        Ok(())
    }

    fn examine(&mut self) -> Result<(), Exit> {
        let now: Moment = self.clock.now();
        match self.hub.examine(&self.node) {
            Ok(ordered) => {
                self.steps.ordered(now, &ordered);
                self.say(Watch::Examining);
            }
            // Its session ended this moment.
            Err(Problem::Refused(refusal)) if refusal.reason == RefusalReason::NodeOffline => {
                self.steps.not_ordered(now);
            }
            Err(problem) if problem.passes() => self.steps.not_ordered(now),
            Err(problem) => return Err(problem.into()),
        }
        Ok(())
    }

    fn found(&self, report: &Report) {
        match report.worst() {
            Verdict::Ok | Verdict::Absent => self.say(Watch::ExaminedWell),
            _ => print!("{}", text(self.node.as_str(), report, self.language)),
        }
    }

    fn accept(&mut self, facts: &NodeFacts) -> Result<Option<AcceptanceKept>, Exit> {
        let Some(acceptance) = self.steps.acceptance(facts, self.hub.laptop(), &self.request.note) else {
            return Ok(None);
        };
        match self.hub.accept(&acceptance) {
            Ok(kept) => {
                let path = self.protocol(facts, &acceptance, &kept)?;
                self.say(Watch::Accepted { number: &kept.number, path: &path.display() });
                Ok(Some(kept))
            }
            Err(Problem::Refused(refusal))
                if refusal.reason == RefusalReason::DoesNotFit && self.attempts < ATTEMPTS_MAX =>
            {
                self.attempts += 1;
                Ok(None)
            }
            Err(problem) => Err(problem.into()),
        }
    }

    fn protocol(
        &self,
        facts: &NodeFacts,
        acceptance: &simpul_wire::technician::Acceptance,
        kept: &AcceptanceKept,
    ) -> Result<PathBuf, Exit> {
        let default = || PathBuf::from(format!("BAST-{}-{}.pdf", self.node, kept.number));
        let path = self.request.bast.clone().unwrap_or_else(default);
        let sha256 = hex::encode(Sha256::digest(acceptance.to_vec()));
        let protocol = Protocol {
            acceptance,
            kept,
            sha256: &sha256,
            pictures: &self.pictures,
            utc_offset_minutes: facts.utc_offset_minutes,
        };
        write(&path, &bast::draw(&protocol, self.language))?;
        Ok(path)
    }

    fn missing(&self, facts: &NodeFacts) -> Result<(), Exit> {
        let names = [Watch::MissingHello, Watch::MissingReading, Watch::MissingPicture, Watch::MissingExamination];
        let missing = self.steps.missing(facts);
        let missing: Vec<String> = names
            .iter()
            .zip(missing)
            .filter(|(_, missing)| *missing)
            .map(|(name, _)| name.text(self.language))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        self.say(Watch::Missing { what: &missing.join(", ") });
        Err(Exit::Failed)
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Problem> {
    fs::write(path, bytes).map_err(|error| Problem::File { path: path.display().to_string(), error })
}

/// A picture for tests: 16 x 16, the left half red, the right half blue.
#[cfg(test)]
fn red_and_blue() -> Vec<u8> {
    let row = [[255, 0, 0]; 8].into_iter().chain([[0, 0, 255]; 8]).flatten();
    let pixels: Vec<u8> = row.collect::<Vec<u8>>().repeat(16);
    let mut jpeg = Vec::new();
    let encoder = jpeg_encoder::Encoder::new(&mut jpeg, 95);
    encoder.encode(&pixels, 16, 16, jpeg_encoder::ColorType::Rgb).expect("a picture");
    jpeg
}
