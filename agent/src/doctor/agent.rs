//! Does the agent run, and does it answer?

use std::io;
use std::path::Path;

use simpul_wire::doctor::{Code, Finding, Verdict};

use super::Word;
use crate::status;

/// What came of asking.
pub(super) enum Asked {
    Word(Box<Word>),
    NotRunning,
    Silent(String),
}

pub(super) fn gather(socket: &Path) -> Asked {
    match status::ask(socket) {
        Ok(word) => Asked::Word(Box::new(word)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            Asked::NotRunning
        }
        Err(error) => Asked::Silent(error.to_string()),
    }
}

pub(super) fn judge(asked: &Asked) -> Vec<Finding> {
    vec![match asked {
        Asked::Word(word) => Code::AgentGood.finding(Verdict::Ok).with_text("version", &word.version),
        Asked::NotRunning => Code::AgentNotRunning.finding(Verdict::Fail),
        Asked::Silent(error) => Code::AgentSilent.finding(Verdict::Unknown).with_text("error", error),
    }]
}

#[cfg(test)]
mod tests {
    use super::super::testing::{told, word};
    use super::*;

    #[test]
    fn an_agent_runs_or_not_or_cannot_be_asked() {
        let directory = tempfile::tempdir().unwrap();
        assert!(matches!(gather(&directory.path().join("agent.sock")), Asked::NotRunning));
        assert_eq!(told(&judge(&Asked::NotRunning)), ["agent.not_running fail"]);
        assert_eq!(told(&judge(&Asked::Silent("denied".into()))), ["agent.silent unknown"]);
        assert_eq!(told(&judge(&Asked::Word(Box::new(word(|_| {}))))), ["agent.good ok"]);
    }
}
