//! Every code that can be found has its texts, in both languages, and no text is for a code that there is not.

use std::collections::BTreeSet;

use simpul_wire::doctor::Code;
use simpul_words::Language;
use simpul_words::findings::{self, FindingText};

fn texts(finding: &FindingText, language: Language) -> Vec<&'static str> {
    [Some(finding.what(language)), finding.why(language), finding.act(language)].into_iter().flatten().collect()
}

#[test]
fn every_code_has_its_texts_and_every_text_its_code() {
    let codes: BTreeSet<&str> = Code::ALL.iter().map(|code| code.text()).collect();
    let said: Vec<&str> = findings::all().map(|finding| finding.id).collect();
    assert_eq!(codes, said.iter().copied().collect());
    assert_eq!(codes.len(), said.len(), "a code has two texts");
}

#[test]
fn only_what_is_well_or_not_there_comes_without_advice() {
    for finding in findings::all() {
        let well = finding.id.ends_with(".good") || finding.id.ends_with(".absent");
        for language in Language::ALL {
            assert_eq!(finding.act(language).is_none(), well, "{}", finding.id);
            assert_eq!(finding.why(language).is_none(), well, "{}", finding.id);
        }
    }
}

#[test]
fn texts_are_whole_sentences_in_two_languages() {
    for finding in findings::all() {
        let pairs = texts(finding, Language::Indonesian).into_iter().zip(texts(finding, Language::English));
        for (indonesian, english) in pairs {
            assert_ne!(indonesian, english, "{}", finding.id);
            for text in [indonesian, english] {
                let whole = text.trim() == text && text.ends_with('.') && !text.contains("  ");
                assert!(whole, "{}: {text:?}", finding.id);
            }
        }
    }
}

#[test]
fn every_place_is_said_in_both_languages() {
    for finding in findings::all() {
        for place in finding.places {
            for language in Language::ALL {
                let said = texts(finding, language).iter().any(|text| text.contains(&format!("{{{place}}}")));
                assert!(said, "{}: {place} in {}", finding.id, language.code());
            }
        }
    }
}
