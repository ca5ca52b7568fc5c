//! What the compiler cannot see in the catalogue: texts that nobody says, empty ones, ones without a translation.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use simpul_words::{AREAS, Entry};

fn entries() -> impl Iterator<Item = &'static Entry> {
    AREAS.iter().copied().flatten()
}

/// All sources that may say something, in Rust or in the phone's page: the catalogue's own folder defines, it does not say.
fn sources() -> String {
    fn gather(folder: &Path, into: &mut String) {
        for entry in fs::read_dir(folder).expect("a folder of the workspace").flatten() {
            let path = entry.path();
            let name = entry.file_name();
            if path.is_dir() {
                if name != "target" && name != "catalogue" && name != "node_modules" {
                    gather(&path, into);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") || folder.ends_with("phone/page") {
                into.push_str(&fs::read_to_string(&path).expect("a source"));
                into.push('\n');
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut text = String::new();
    for folder in ["agent/src", "central-hub/src", "cross"] {
        gather(&root.join(folder), &mut text);
    }
    text
}

#[test]
fn every_text_is_said_somewhere_as_area_and_name() {
    let sources = sources();
    let said: BTreeSet<&str> =
        sources.split(|letter: char| !(letter.is_alphanumeric() || letter == ':' || letter == '_')).collect();
    // The phone's page says `Area.Name`.
    let page: BTreeSet<&str> =
        sources.split(|letter: char| !(letter.is_alphanumeric() || letter == '.' || letter == '_')).collect();
    let unsaid: Vec<_> = entries()
        .map(|entry| entry.key)
        .filter(|key| !said.contains(key.replace('.', "::").as_str()) && !page.contains(key))
        .collect();
    assert!(unsaid.is_empty(), "nobody says these (write Area::Name where it is said, or delete it): {unsaid:?}");
}

#[test]
fn every_text_says_something_without_stray_spaces() {
    for entry in entries() {
        for text in [entry.indonesian, entry.english] {
            assert!(!text.trim().is_empty() && text.trim() == text && !text.contains("  "), "{}: {text:?}", entry.key);
        }
    }
}

#[test]
fn a_sentence_is_translated() {
    for entry in entries() {
        let words = entry.indonesian.split_whitespace().filter(|word| !word.contains('{')).count();
        assert!(words < 3 || entry.indonesian != entry.english, "{}: the same in both languages", entry.key);
    }
}

#[test]
fn both_languages_end_a_sentence_alike() {
    for entry in entries() {
        let ends = |text: &str| text.chars().last().filter(char::is_ascii_punctuation);
        assert_eq!(ends(entry.indonesian), ends(entry.english), "{}", entry.key);
    }
}

#[test]
fn no_name_is_used_twice() {
    let mut seen = BTreeSet::new();
    for entry in entries() {
        assert!(seen.insert(entry.key), "{}", entry.key);
    }
}
