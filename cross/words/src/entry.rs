//! One text of the catalogue, and how its `{name}` places are checked (while compiling) and filled.

use std::fmt::{self, Display, Write};

/// A text as it stands in the catalogue; for tests and for lists of codes.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// `Area.Name`.
    pub key: &'static str,
    /// In Indonesian.
    pub indonesian: &'static str,
    /// In English.
    pub english: &'static str,
    /// The names of its places.
    pub places: &'static [&'static str],
}

/// Whether `text` has each of `places` at least once as `{place}`, and no other brace.
pub const fn places_match(text: &str, places: &[&str]) -> bool {
    let bytes = text.as_bytes();
    // 16: more places than that are not a sentence any more.
    let mut seen = [false; 16];
    if places.len() > seen.len() {
        return false;
    }
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'}' {
            return false;
        }
        if bytes[at] == b'{' {
            let mut end = at + 1;
            while end < bytes.len() && bytes[end] != b'}' {
                end += 1;
            }
            if end == bytes.len() {
                return false;
            }
            let mut which = 0;
            while which < places.len() && !is_at(bytes, at + 1, end, places[which].as_bytes()) {
                which += 1;
            }
            if which == places.len() {
                return false;
            }
            seen[which] = true;
            at = end;
        }
        at += 1;
    }
    let mut which = 0;
    while which < places.len() {
        if !seen[which] {
            return false;
        }
        which += 1;
    }
    true
}

const fn is_at(bytes: &[u8], start: usize, end: usize, name: &[u8]) -> bool {
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

/// Write `text` with its places filled. What fills a place is never looked at for places itself.
pub fn fill(text: &str, places: &[(&str, &dyn Display)], out: &mut dyn Write) -> fmt::Result {
    let mut rest = text;
    while let Some((before, from_place)) = rest.split_once('{') {
        out.write_str(before)?;
        let Some((name, after)) = from_place.split_once('}') else { return out.write_str(from_place) };
        if let Some((_, value)) = places.iter().find(|(known, _)| *known == name) {
            write!(out, "{value}")?;
        }
        rest = after;
    }
    out.write_str(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_have_to_be_the_same_and_closed() {
        assert!(places_match("plain", &[]));
        assert!(places_match("{a} then {b}, {a}", &["a", "b"]));
        for (text, places) in [
            ("{a}", &[] as &[&str]),
            ("none", &["a"]),
            ("{a} {ab}", &["a"]),
            ("{a", &["a"]),
            ("a}", &[]),
            ("{}", &["a"]),
            ("{a}", &["a", "b"]),
        ] {
            assert!(!places_match(text, places), "{text} {places:?}");
        }
    }

    #[test]
    fn what_fills_a_place_is_not_filled_again() {
        let mut out = String::new();
        fill("{a}-{b}.", &[("a", &"{b}"), ("b", &7)], &mut out).expect("a String takes all");
        assert_eq!(out, "{b}-7.");
    }
}
