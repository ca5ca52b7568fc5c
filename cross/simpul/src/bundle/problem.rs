//! What can be wrong with a node bundle, each with its own text and what to do.

use std::fmt;
use std::io;

use simpul_words::{Bundle, Language, Words};

/// Why a bundle is refused. Never holds what is in a file.
#[derive(Debug)]
#[allow(missing_docs, reason = "the texts of the same name say it")]
pub enum Problem {
    Unreadable { name: String, error: io::Error },
    NotABundle { path: String },
    Manifest { what: String },
    NewerFormat { format: u32 },
    FileMissing { name: String },
    FileTooLarge { name: String, limit_bytes: u64 },
    FileDiffers { name: String },
    NotAToken { name: String },
    NotAnIdentity { name: String },
    OthersIdentity { name: String, node: String },
    NotAnAgent { name: String },
    NotASecret { name: String },
    NotAConfig { name: String, what: String },
    Unwritable { path: String, error: io::Error },
    AlreadyThere { path: String },
}

impl Problem {
    /// The problem, and what to do about it.
    pub fn say(&self, language: Language) -> String {
        match self {
            Problem::Unreadable { name, error } => Bundle::Unreadable { name, error }.text(language),
            Problem::NotABundle { path } => Bundle::NotABundle { path }.text(language),
            Problem::Manifest { what } => Bundle::Manifest { what }.text(language),
            Problem::NewerFormat { format } => Bundle::NewerFormat { format }.text(language),
            Problem::FileMissing { name } => Bundle::FileMissing { name }.text(language),
            Problem::FileTooLarge { name, limit_bytes } => {
                Bundle::FileTooLarge { name, limit: &language.bytes(*limit_bytes) }.text(language)
            }
            Problem::FileDiffers { name } => Bundle::FileDiffers { name }.text(language),
            Problem::NotAToken { name } => Bundle::NotAToken { name }.text(language),
            Problem::NotAnIdentity { name } => Bundle::NotAnIdentity { name }.text(language),
            Problem::OthersIdentity { name, node } => Bundle::OthersIdentity { name, node }.text(language),
            Problem::NotAnAgent { name } => Bundle::NotAnAgent { name }.text(language),
            Problem::NotASecret { name } => Bundle::NotASecret { name }.text(language),
            Problem::NotAConfig { name, what } => Bundle::NotAConfig { name, what }.text(language),
            Problem::Unwritable { path, error } => Bundle::Unwritable { path, error }.text(language),
            Problem::AlreadyThere { path } => Bundle::AlreadyThere { path }.text(language),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.say(Language::English))
    }
}

impl std::error::Error for Problem {}
