//! Topic names and filters (MQTT 3.1.1, section 4.7): are they well formed, and does one match the other.
//!
//! Leaves who may use which topic to [`super::acl`], and Simpul's own topics to `simpul_wire::topic`.

/// Longest topic or filter in bytes. Simpul's own need under 100; the protocol would allow 65,535, for each of
/// which a subscription would hold memory.
pub(crate) const TOPIC_BYTES_MAX: usize = 512;

/// A topic name as a publish may carry it: not empty, no wildcard, no NUL, within [`TOPIC_BYTES_MAX`].
pub(crate) fn name_is_valid(topic: &str) -> bool {
    !topic.is_empty() && topic.len() <= TOPIC_BYTES_MAX && !topic.contains(['+', '#', '\0'])
}

/// A topic filter as a subscription may carry it: `#` only alone on the last level, `+` only alone on a level.
pub(crate) fn filter_is_valid(filter: &str) -> bool {
    if filter.is_empty() || filter.len() > TOPIC_BYTES_MAX || filter.contains('\0') {
        return false;
    }
    let mut levels = filter.split('/').peekable();
    while let Some(level) = levels.next() {
        match level {
            "#" if levels.peek().is_some() => return false,
            "#" | "+" => {}
            _ if level.contains(['+', '#']) => return false,
            _ => {}
        }
    }
    true
}

/// Whether a topic name falls under a filter. `simpul/#` also matches `simpul` (4.7.1-2), and a filter that begins
/// with a wildcard matches no topic that begins with `$` (4.7.2-1).
pub(crate) fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut topic_levels = topic.split('/');
    let mut filter_levels = filter.split('/');
    loop {
        match (filter_levels.next(), topic_levels.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(_)) => {}
            (Some(wanted), Some(level)) if wanted == level => {}
            _ => return false,
        }
    }
}

/// The levels of a filter before its first wildcard, as text with the closing slash: every topic under the filter
/// begins with it, apart from the parent that `#` also matches.
pub(crate) fn literal_prefix(filter: &str) -> &str {
    match filter.find(['+', '#']) {
        Some(at) => &filter[..at],
        None => filter,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_match_as_section_4_7_says() {
        let table = [
            ("sport/tennis/player1/#", "sport/tennis/player1", true),
            ("sport/tennis/player1/#", "sport/tennis/player1/ranking", true),
            ("sport/tennis/player1/#", "sport/tennis/player10", false),
            ("sport/#", "sport", true),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("+", "finance", true),
            ("+", "/finance", false),
            ("/+", "/finance", true),
            ("+/+", "/finance", true),
            ("#", "a/b", true),
            ("#", "$SYS/uptime", false),
            ("+/uptime", "$SYS/uptime", false),
            ("$SYS/#", "$SYS/uptime", true),
            ("a/b", "a/b", true),
            ("a/b", "a/b/c", false),
            ("a/b/c", "a/b", false),
            ("a//b", "a//b", true),
            ("a/+/b", "a//b", true),
            // A codec in use elsewhere panics on a first character of several bytes.
            ("+/x", "é/x", true),
            ("é/#", "é/x", true),
            ("#", "日本", true),
        ];
        for (filter, topic, expected) in table {
            assert_eq!(matches(filter, topic), expected, "{filter} against {topic}");
        }
    }

    #[test]
    fn filters_and_names_are_checked() {
        for good in ["#", "+", "+/#", "a/+/b", "/", "a//b", "$SYS/#"] {
            assert!(filter_is_valid(good), "{good}");
        }
        for bad in ["", "a/#/b", "a#", "a/b+", "+a", "a\0b", "##"] {
            assert!(!filter_is_valid(bad), "{bad:?}");
        }
        for bad in ["", "a/+", "#", "a\0"] {
            assert!(!name_is_valid(bad), "{bad:?}");
        }
        assert!(name_is_valid("simpul/v1/35.12.07.2003-01/state"));
        assert!(!name_is_valid(&"x".repeat(TOPIC_BYTES_MAX + 1)));
    }
}
