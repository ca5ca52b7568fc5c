//! What the Rust programs of Simpul say to people: one catalogue, Indonesian and English.
//!
//! Each area of the catalogue is an enum (`catalogue/*.rs`); a text is a variant, its places are the variant's fields:
//!
//! ```
//! use simpul_words::{Common, Language, Words};
//! let text = Common::Seconds { n: &Language::Indonesian.number(12.5, 1) }.text(Language::Indonesian);
//! assert_eq!(text, "12,5 dtk");
//! ```
//!
//! So an unknown text, a forgotten place, a place that one language lacks, or a missing language does not compile. What
//! the compiler cannot see (a text that nobody says, one said in English twice) is a test in `tests/catalogue.rs`.
//! To add a text: a variant in its area's file. To add an area: a file and a line below.
//!
//! What an examination finds has its texts by code: [`findings`].
//!
//! Numbers, bytes and durations are written as the language does in [`Language`]'s functions: pass the result in.
//! Left to others: the room's page has its own catalogue; `--help` is the command line's own.

mod catalogue;
mod entry;
pub mod findings;
mod language;
mod macros;
mod number;

pub use catalogue::*;
pub use entry::Entry;
pub use language::Language;

#[doc(hidden)]
pub mod internal {
    //! What the macro's expansion needs.
    pub use crate::entry::{fill, places_match};
}

/// Something that can be said in every language.
pub trait Words {
    /// The text's name, `Area.Name`: stable, for logs and machines.
    fn key(&self) -> &'static str;

    /// Write the text in `language`, its places filled.
    fn write(&self, language: Language, out: &mut dyn std::fmt::Write) -> std::fmt::Result;

    /// The text in `language`, its places filled.
    fn text(&self, language: Language) -> String {
        let mut text = String::new();
        // Writing into a String fails only when a place's own Display does; what was written by then is still said.
        let _ = self.write(language, &mut text);
        text
    }
}
