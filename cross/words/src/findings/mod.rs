//! What an examination's findings mean: what is so, why that probably is, and what to do, by the text id of the code
//! (`simpul_wire::doctor::Code`). The same texts on site, in the hub's page, and in the technicians' handbook.

mod board;
mod camera;
mod certificate;
mod hub;
mod machine;
mod network;
mod report;
mod say;

use crate::Language;

#[cfg(feature = "json")]
pub use report::document;
pub use report::text;
pub use say::{Said, say, say_verdict};

/// The texts of one code. What is well needs no reason and no advice.
#[derive(Debug, Clone, Copy)]
pub struct FindingText {
    /// The code's text id.
    pub id: &'static str,
    /// The places that its texts may have: the finding's parameters.
    pub places: &'static [&'static str],
    what: [&'static str; 2],
    why: Option<[&'static str; 2]>,
    act: Option<[&'static str; 2]>,
}

impl FindingText {
    /// What is so; with its places.
    pub fn what(&self, language: Language) -> &'static str {
        pick(self.what, language)
    }

    /// Why that probably is; with its places.
    pub fn why(&self, language: Language) -> Option<&'static str> {
        self.why.map(|why| pick(why, language))
    }

    /// What to do; with its places.
    pub fn act(&self, language: Language) -> Option<&'static str> {
        self.act.map(|act| pick(act, language))
    }
}

fn pick([indonesian, english]: [&'static str; 2], language: Language) -> &'static str {
    match language {
        Language::Indonesian => indonesian,
        Language::English => english,
    }
}

/// Every code's texts.
pub fn all() -> impl Iterator<Item = &'static FindingText> {
    [machine::TEXTS, network::TEXTS, certificate::TEXTS, hub::TEXTS, board::TEXTS, camera::TEXTS].into_iter().flatten()
}

/// The texts of a code.
pub fn of(id: &str) -> Option<&'static FindingText> {
    all().find(|text| text.id == id)
}

/// Whether `text` has places of `places` only, each closed.
pub(crate) const fn places_known(text: &str, places: &[&str]) -> bool {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'}' {
            return false;
        }
        if bytes[at] == b'{' {
            let start = at + 1;
            while at < bytes.len() && bytes[at] != b'}' {
                at += 1;
            }
            let mut which = 0;
            while which < places.len() && !is_within(bytes, start, at, places[which].as_bytes()) {
                which += 1;
            }
            if at == bytes.len() || which == places.len() {
                return false;
            }
        }
        at += 1;
    }
    true
}

const fn is_within(bytes: &[u8], start: usize, end: usize, name: &[u8]) -> bool {
    if end - start != name.len() {
        return false;
    }
    let mut offset = 0;
    while offset < name.len() {
        if bytes[start + offset] != name[offset] {
            return false;
        }
        offset += 1;
    }
    true
}

/// ```text
/// findings! {
///     "storage.low" (free) {
///         what id "Tersisa {free}." en "{free} left.";
///         why id "..." en "...";
///         act id "..." en "...";
///     }
/// }
/// ```
macro_rules! findings {
    ($(
        $id:literal ( $($place:ident),* ) {
            what id $what_id:literal en $what_en:literal;
            $( why id $why_id:literal en $why_en:literal; act id $act_id:literal en $act_en:literal; )?
        }
    )*) => {
        pub(super) const TEXTS: &[super::FindingText] = &[ $( super::FindingText {
            id: $id,
            places: &[ $(stringify!($place)),* ],
            what: [$what_id, $what_en],
            why: super::findings!(@optional $($why_id, $why_en)?),
            act: super::findings!(@optional $($act_id, $act_en)?),
        } ),* ];
        const _: () = {
            let mut at = 0;
            while at < TEXTS.len() {
                let text = TEXTS[at];
                assert!(super::known(&text), "a finding's text has a place that the finding does not have");
                at += 1;
            }
        };
    };
    (@optional) => { None };
    (@optional $id:literal, $en:literal) => { Some([$id, $en]) };
}
pub(crate) use findings;

pub(crate) const fn known(text: &FindingText) -> bool {
    let rest = match (text.why, text.act) {
        (Some(why), Some(act)) => [why, act],
        _ => [[""; 2]; 2],
    };
    places_known(text.what[0], text.places)
        && places_known(text.what[1], text.places)
        && places_known(rest[0][0], text.places)
        && places_known(rest[0][1], text.places)
        && places_known(rest[1][0], text.places)
        && places_known(rest[1][1], text.places)
}
