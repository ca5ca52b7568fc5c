//! What can be wrong with a list of nodes, and with what is made of it; each with its own text and what to do.

use std::fmt;
use std::io;

use simpul_words::{Label, Language, Words};

/// Why a list is refused.
#[derive(Debug)]
#[allow(missing_docs, reason = "the texts of the same name say it")]
pub enum Problem {
    Unreadable { file: String, error: io::Error },
    NotACsv { file: String, line: u64, what: String },
    NoColumn { file: String, column: &'static str },
    Empty { file: String },
    TooLong { file: String, limit: usize },
    BadNode { line: u64, node: String },
    BadVillage { line: u64 },
    BadSerial { line: u64, serial: String },
    Twice { node: String, line: u64, first: u64 },
    Unknown { node: String, line: u64, nearest: Option<String> },
    Unwritable { path: String, error: io::Error },
    OneLabelOnly { path: String },
    UnknownKind { path: String },
    TooMuchForQr { node: String },
    OtherNode { path: String, wanted: String, found: String },
    StateDamaged { path: String },
}

impl Problem {
    /// The problem, and what to do about it.
    pub fn say(&self, language: Language) -> String {
        match self {
            Problem::Unreadable { file, error } => Label::Unreadable { file, error }.text(language),
            Problem::NotACsv { file, line, what } => Label::NotACsv { file, line, what }.text(language),
            Problem::NoColumn { file, column } => Label::NoColumn { file, column }.text(language),
            Problem::Empty { file } => Label::Empty { file }.text(language),
            Problem::TooLong { file, limit } => {
                Label::TooLong { file, limit: &language.integer(*limit as u64) }.text(language)
            }
            Problem::BadNode { line, node } => Label::BadNode { line, node }.text(language),
            Problem::BadVillage { line } => Label::BadVillage { line }.text(language),
            Problem::BadSerial { line, serial } => Label::BadSerial { line, serial }.text(language),
            Problem::Twice { node, line, first } => Label::Twice { node, line, first }.text(language),
            Problem::Unknown { node, line, nearest: Some(nearest) } => {
                Label::UnknownNear { node, line, nearest }.text(language)
            }
            Problem::Unknown { node, line, nearest: None } => Label::Unknown { node, line }.text(language),
            Problem::Unwritable { path, error } => Label::Unwritable { path, error }.text(language),
            Problem::OneLabelOnly { path } => Label::OneLabelOnly { path }.text(language),
            Problem::UnknownKind { path } => Label::UnknownKind { path }.text(language),
            Problem::TooMuchForQr { node } => Label::TooMuchForQr { node }.text(language),
            Problem::OtherNode { path, wanted, found } => Label::OtherNode { path, wanted, found }.text(language),
            Problem::StateDamaged { path } => Label::StateDamaged { path }.text(language),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.say(Language::English))
    }
}

impl std::error::Error for Problem {}
