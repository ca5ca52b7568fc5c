//! `simpul-agent doctor`: examine this node and print what was found, in words or as JSON (docs/doctor.md).

use std::path::Path;

use simpul_clock::Clock;
use simpul_wire::doctor::Verdict;
use simpul_words::Language;
use simpul_words::findings::{document, text};

use super::{Failure, load, out, runtime};
use crate::doctor::{Patient, Source, examine};

pub(super) fn run(config: &Path, as_json: bool, language: Option<Language>) -> Result<(), Failure> {
    let language = language.unwrap_or_else(|| Language::from_environment(|name| std::env::var(name).ok()));
    let config = load(config)?;
    let node = config.node.to_string();
    let patient = Patient::this(config, Clock::machine());
    let cannot = |why: Failure| match why {
        Failure::Failed(why) => Failure::CannotExamine(why),
        other => other,
    };
    let runtime = runtime().map_err(cannot)?;
    let report = runtime.block_on(examine(patient, Source::Socket, None));
    // What still hangs (a name server, a card) must not hold the answer up.
    runtime.shutdown_background();
    if as_json {
        super::json(&document(&node, &report, language)).map_err(cannot)?;
    } else {
        out(&text(&node, &report, language)).map_err(cannot)?;
    }
    match report.worst() {
        Verdict::Ok | Verdict::Absent => Ok(()),
        Verdict::Warn | Verdict::Unknown => Err(Failure::Found(1)),
        Verdict::Fail => Err(Failure::Found(2)),
    }
}
