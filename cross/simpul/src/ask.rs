//! Questions at the terminal: one key, never a secret, and never a wait where nobody can answer.

use std::io::IsTerminal;

use console::{Key, Term};

/// What was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// `y`, or `--yes`.
    Yes,
    /// `s`: skip this one.
    Skip,
    /// Any other key.
    No,
    /// There is no terminal to ask at.
    Nobody,
}

/// Ask `question` at the terminal.
pub fn ask(question: &str) -> Answer {
    let terminal = Term::stderr();
    // Both: a program whose input is a pipe must not take its answer from the keyboard behind its back.
    if !std::io::stdin().is_terminal() || !terminal.is_term() {
        return Answer::Nobody;
    }
    eprintln!("{question}");
    match terminal.read_key() {
        Ok(Key::Char('y' | 'Y')) => Answer::Yes,
        Ok(Key::Char('s' | 'S')) => Answer::Skip,
        Ok(_) => Answer::No,
        Err(_) => Answer::Nobody,
    }
}
