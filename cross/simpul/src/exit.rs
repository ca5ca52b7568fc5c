//! How a command ends: the exit code, and what is said last.

use std::process::ExitCode;

use simpul_words::{Ask, Language, Words};

use crate::{board, bundle, card, hub, list};

/// Why a command did not do what was asked.
#[derive(Debug)]
pub enum Exit {
    /// The command line lacks something (said by clap before it comes this far).
    Usage,
    /// Said already.
    Failed,
    /// Said already; with an exit code of the command's own.
    Code(u8),
    /// The technician pressed another key than `y`.
    Stopped,
    /// There was a question and no terminal.
    NoTerminal,
    /// The image or the card.
    Card(card::problem::Problem),
    /// The boards' firmware, or that there is none to do.
    Board(board::problem::Problem),
    /// The bundle.
    Bundle(bundle::problem::Problem),
    /// The list of nodes or the label.
    List(list::problem::Problem),
    /// The hub, or the way to it.
    Hub(hub::problem::Problem),
}

impl Exit {
    /// The exit code; `--help` lists them.
    pub fn code(&self) -> u8 {
        match self {
            Exit::Failed => 1,
            Exit::Code(code) => *code,
            Exit::Usage => 2,
            Exit::Card(problem) => {
                if problem.is_refusal() {
                    3
                } else {
                    1
                }
            }
            Exit::Board(board::problem::Problem::Expect { .. }) => 2,
            // After the work.
            Exit::Board(board::problem::Problem::Report { .. }) => 1,
            Exit::Board(_) => 3,
            Exit::Stopped | Exit::NoTerminal => 4,
            Exit::Bundle(_) | Exit::List(_) => 5,
            Exit::Hub(_) => 6,
        }
    }

    /// Say it on stderr, and end.
    pub fn end(&self, language: Language) -> ExitCode {
        match self {
            Exit::Usage | Exit::Failed | Exit::Code(_) => {}
            Exit::Stopped => eprintln!("{}", Ask::Stopped.text(language)),
            Exit::NoTerminal => eprintln!("{}", Ask::NoTerminal.text(language)),
            Exit::Card(problem) => eprintln!("{}", problem.say(language)),
            Exit::Board(problem) => eprintln!("{}", problem.say(language)),
            Exit::Bundle(problem) => eprintln!("{}", problem.say(language)),
            Exit::List(problem) => eprintln!("{}", problem.say(language)),
            Exit::Hub(problem) => eprintln!("{}", problem.say(language)),
        }
        ExitCode::from(self.code())
    }
}

impl From<card::problem::Problem> for Exit {
    fn from(problem: card::problem::Problem) -> Self {
        Exit::Card(problem)
    }
}

impl From<board::problem::Problem> for Exit {
    fn from(problem: board::problem::Problem) -> Self {
        Exit::Board(problem)
    }
}

impl From<bundle::problem::Problem> for Exit {
    fn from(problem: bundle::problem::Problem) -> Self {
        Exit::Bundle(problem)
    }
}

impl From<list::problem::Problem> for Exit {
    fn from(problem: list::problem::Problem) -> Self {
        Exit::List(problem)
    }
}

impl From<hub::problem::Problem> for Exit {
    fn from(problem: hub::problem::Problem) -> Self {
        Exit::Hub(problem)
    }
}
