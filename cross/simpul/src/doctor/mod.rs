//! `simpul doctor`: what is wrong with a node, why, and what to do. The examination is the agent's own, whichever way it is
//! asked: through the hub (`simpul doctor NODE`), or on the node itself (`simpul doctor --here`), and its texts and exit
//! codes are the agent's too.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use simpul_clock::Clock;
use simpul_wire::NodeId;
use simpul_wire::doctor::{Report, Verdict};
use simpul_wire::enrolment::RefusalReason;
use simpul_wire::technician::NodeFacts;
use simpul_words::findings::{document, text};
use simpul_words::{Hub, Language, Watch, Words};

use crate::exit::Exit;
use crate::hub;
use crate::hub::problem::Problem;

/// From the order to the report at the hub: 30 s of examination, and a slow uplink.
const REPORT_TIME_MAX: Duration = Duration::from_secs(90);

/// "It cannot examine", as the agent's doctor has it.
const CANNOT: u8 = 3;

/// What was asked for.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The node; none: the one that this runs on.
    pub node: Option<String>,
    /// The agent's program, on the node.
    pub agent: Option<PathBuf>,
    /// Its configuration.
    pub config: Option<PathBuf>,
    /// As JSON.
    pub json: bool,
}

/// Run `simpul doctor`.
pub fn run(request: &Request, language: Language, clock: &Clock) -> Result<(), Exit> {
    let Some(node) = &request.node else { return here(request, language) };
    let cannot = |problem: Problem| {
        eprintln!("{}", problem.say(language));
        Exit::Code(CANNOT)
    };
    let node: NodeId = node.parse().map_err(|_| cannot(Problem::NoNode { node: node.clone() }))?;
    let hub = hub::Hub::open().map_err(cannot)?;
    let report = match examine(&hub, &node, clock) {
        Ok(report) => report,
        Err(problem) => {
            if is_unknown(&problem)
                && let Some(near) = hub.nearest(&node)
            {
                let meant = Hub::MeantNode { node: &near }.text(language);
                eprintln!("{}\n{meant}", problem.say(language));
                return Err(Exit::Code(CANNOT));
            }
            let exit = cannot(problem);
            // What the hub knows of it all the same: since when it is silent, and why it may not come in.
            if let Ok(facts) = hub.facts(&node, None) {
                eprintln!("{}", last_word(&facts, language));
            }
            return Err(exit);
        }
    };
    if request.json {
        println!("{:#}", document(node.as_str(), &report, language));
    } else {
        print!("{}", text(node.as_str(), &report, language));
    }
    match report.worst() {
        Verdict::Ok | Verdict::Absent => Ok(()),
        Verdict::Warn | Verdict::Unknown => Err(Exit::Code(1)),
        Verdict::Fail => Err(Exit::Code(2)),
    }
}

/// Let a node examine itself, and wait for what it finds.
///
/// # Errors
/// The hub could not be asked or refuses, or nothing came in time.
pub fn examine(hub: &hub::Hub, node: &NodeId, clock: &Clock) -> Result<Report, Problem> {
    let ordered = hub.examine(node)?;
    let until = clock.now() + REPORT_TIME_MAX;
    let mut seen = None;
    while clock.now() < until {
        let facts = hub.facts(node, seen)?;
        seen = Some(facts.seen);
        let report = facts.examination.and_then(|made| made.report.open().ok());
        if let Some(report) = report.filter(|report| report.id == Some(ordered.id)) {
            return Ok(report);
        }
    }
    Err(Problem::NoReport { node: node.to_string() })
}

fn is_unknown(problem: &Problem) -> bool {
    matches!(problem, Problem::Refused(refusal) if refusal.reason == RefusalReason::NotFound)
}

/// What the hub last heard of a node that cannot be examined.
fn last_word(facts: &NodeFacts, language: Language) -> String {
    let mut said = match facts.last_heard_ms {
        Some(ms) => Watch::LastHeard { at: &language.moment(ms.div_euclid(1_000)) }.text(language),
        None => Watch::NeverHeard.text(language),
    };
    if let Some(refusal) = &facts.refusal {
        let at = language.moment(refusal.at_ms.div_euclid(1_000));
        said.push('\n');
        said.push_str(&Watch::RefusedAt { at: &at, text: &refusal.text }.text(language));
    }
    said
}

/// The agent's own doctor, on this machine: its output and its exit code as they are.
fn here(request: &Request, language: Language) -> Result<(), Exit> {
    let agent = request.agent.clone().unwrap_or_else(|| "simpul-agent".into());
    let mut command = Command::new(&agent);
    command.arg("doctor").args(["--language", language.code()]);
    if let Some(config) = &request.config {
        command.arg("--config").arg(config);
    }
    if request.json {
        command.arg("--json");
    }
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Exit::Code(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(CANNOT))),
        Err(error) => {
            eprintln!("{}", Watch::NoAgent { agent: &agent.display(), error: &error }.text(language));
            Err(Exit::Code(CANNOT))
        }
    }
}
