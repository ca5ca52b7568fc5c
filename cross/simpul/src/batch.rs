//! `simpul batch LIST.csv --image IMAGE --to DEVICE`: a box of nodes in a row.
//!
//! For each line of the list the next card is asked for, written with its bundle, and read back. What was done is in
//! `LIST.state` beside the list, replaced as a whole and synced after each step, so a power cut costs the card that was in
//! the reader and nothing else. At the end, or when it is stopped: `LIST.report.csv`, and `LIST.labels.pdf` of the
//! finished ones.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use simpul_clock::Clock;
use simpul_words::{Ask, Label, Language, Words};

use crate::ask::{Answer, ask};
use crate::bundle::Bundle;
use crate::exit::Exit;
use crate::list::problem::Problem;
use crate::list::{self, Node};
use crate::{card, label};

/// What was asked for.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The list of nodes.
    pub list: PathBuf,
    /// Codes that there are.
    pub known: Option<PathBuf>,
    /// The image for every card.
    pub image: PathBuf,
    /// The reader's device, or a file whose name gets `-NODE` before its extension (for tests and trials).
    pub to: PathBuf,
    /// More than 256 GB is meant.
    pub allow_large: bool,
    /// Do not ask.
    pub yes: bool,
}

/// How far a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Step {
    /// Its card is being written, or was when the power went.
    Writing,
    /// Its card is finished.
    Done,
    /// The technician skipped it.
    Skipped,
    /// Its card failed.
    Failed,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct State {
    steps: BTreeMap<String, Step>,
}

impl State {
    fn read(path: &Path) -> Result<Self, Problem> {
        match fs::read(path) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes).map_err(|_| Problem::StateDamaged { path: path.display().to_string() })
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(State::default()),
            Err(error) => Err(Problem::Unreadable { file: path.display().to_string(), error }),
        }
    }

    fn set(&mut self, path: &Path, node: &str, step: Step) -> Result<(), Problem> {
        self.steps.insert(node.to_owned(), step);
        let bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        replace(path, &bytes).map_err(|error| Problem::Unwritable { path: path.display().to_string(), error })
    }
}

/// The file as it was or as it shall be, never in between.
pub fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let new = beside(path, "new");
    let mut file = File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    #[cfg(unix)]
    File::open(path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")))?.sync_all()?;
    Ok(())
}

fn beside(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}

/// Run `simpul batch`.
pub fn run(request: &Request, language: Language, clock: &Clock) -> Result<(), Exit> {
    let nodes = list::read(&request.list, request.known.as_deref())?;
    // All bundles before the first card: a wrong one is no surprise at the seventh.
    let mut bundles = Vec::new();
    for node in &nodes {
        let path = list::bundle_of(&request.list, node);
        let found = Bundle::read(&path)?.manifest.node;
        if found != node.node {
            return Err(
                Problem::OtherNode { path: path.display().to_string(), wanted: node.node.clone(), found }.into()
            );
        }
        bundles.push(path);
    }
    let state_path = beside(&request.list, "state");
    let mut state = State::read(&state_path)?;
    let done_before = nodes.iter().filter(|node| state.steps.get(&node.node) == Some(&Step::Done)).count();
    if done_before > 0 {
        let (done, total) = (language.integer(done_before as u64), language.integer(nodes.len() as u64));
        eprintln!("{}", Label::Resumed { done: &done, total: &total }.text(language));
    }
    let mut failed = false;
    for (index, (node, bundle)) in nodes.iter().zip(&bundles).enumerate() {
        match state.steps.get(&node.node) {
            Some(Step::Done | Step::Skipped) => continue,
            Some(Step::Writing) => eprintln!("{}", Label::InterruptedBefore { node: &node.node }.text(language)),
            Some(Step::Failed) | None => {}
        }
        let left = language.integer((nodes.len() - index) as u64);
        let question = Ask::NextCard { node: &node.node, village: &node.village, left: &left }.text(language);
        let answer = if request.yes { Answer::Yes } else { ask(&question) };
        match answer {
            Answer::Yes => {}
            Answer::Skip => {
                state.set(&state_path, &node.node, Step::Skipped)?;
                continue;
            }
            Answer::No => break,
            Answer::Nobody => return Err(Exit::NoTerminal),
        }
        state.set(&state_path, &node.node, Step::Writing)?;
        match write(request, node, bundle, language, clock) {
            Ok(()) => state.set(&state_path, &node.node, Step::Done)?,
            Err(exit) => {
                state.set(&state_path, &node.node, Step::Failed)?;
                exit.end(language);
                eprintln!("{}", Label::CardFailed { node: &node.node }.text(language));
                failed = true;
            }
        }
    }
    report(request, &nodes, &state, language)?;
    if failed { Err(Exit::Failed) } else { Ok(()) }
}

fn write(request: &Request, node: &Node, bundle: &Path, language: Language, clock: &Clock) -> Result<(), Exit> {
    let is_file = !crate::platform::is_device(&request.to);
    let to = if is_file {
        let stem = request.to.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let extension = request.to.extension().map(|end| format!(".{}", end.to_string_lossy())).unwrap_or_default();
        request.to.with_file_name(format!("{stem}-{}{extension}", node.node))
    } else {
        request.to.clone()
    };
    let request = card::Request {
        image: Some(request.image.clone()),
        to: Some(to),
        node: Some(bundle.to_owned()),
        only_node: false,
        allow_large: request.allow_large,
        // The question was asked with the node's name; a second one would be answered without reading.
        yes: true,
    };
    card::run(&request, language, clock)
}

fn report(request: &Request, nodes: &[Node], state: &State, language: Language) -> Result<(), Exit> {
    let path = beside(&request.list, "report.csv");
    let unwritable = |error: std::io::Error| Problem::Unwritable { path: path.display().to_string(), error };
    let mut csv = csv::Writer::from_writer(Vec::new());
    let mut row = |fields: [&str; 4]| csv.write_record(fields).map_err(std::io::Error::from).map_err(unwritable);
    row(["node", "village", "serial", "result"])?;
    let (mut done, mut skipped) = (Vec::new(), 0_u64);
    for node in nodes {
        let result = match state.steps.get(&node.node) {
            Some(Step::Done) => {
                done.push(node.clone());
                "done"
            }
            Some(Step::Skipped) => {
                skipped += 1;
                "skipped"
            }
            Some(Step::Failed) => "failed",
            Some(Step::Writing) => "interrupted",
            None => "open",
        };
        row([&node.node, &node.village, node.serial.as_deref().unwrap_or_default(), result])?;
    }
    let bytes = csv.into_inner().map_err(|error| unwritable(error.into_error()))?;
    replace(&path, &bytes).map_err(unwritable)?;
    if !done.is_empty() {
        let bundles: Vec<_> = done.iter().map(|node| Some(list::bundle_of(&request.list, node))).collect();
        let links = label::links(&done, &bundles)?;
        label::make(&done, &links, 0, &beside(&request.list, "labels.pdf"), language)?;
    }
    let left = nodes.len() as u64 - done.len() as u64 - skipped;
    let said = Label::BatchDone {
        done: &language.integer(done.len() as u64),
        skipped: &language.integer(skipped),
        left: &language.integer(left),
        report: &path.display(),
    };
    eprintln!("{}", said.text(language));
    Ok(())
}
