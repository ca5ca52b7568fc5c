//! Counting tests from what their runners print: cargo's libtest, vitest, node's own runner, and our plain line.

/// Tests that passed and failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Passed.
    pub passed: u64,
    /// Failed.
    pub failed: u64,
    /// Marked to be ignored or skipped: house rules forbid them, so they are told.
    pub skipped: u64,
}

impl Tally {
    /// Add what one line of a runner's output says, if it is a line of results.
    pub fn read(&mut self, line: &str) {
        let line = plain(line);
        let line = line.trim();
        if let Some(rest) = line.strip_prefix("test result: ") {
            // libtest: "ok. 18 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 5.09s"
            let counts = rest.split_once(". ").map_or("", |(_, counts)| counts);
            self.add(counts.split("; "));
        } else if let Some(rest) = line.strip_prefix("Tests  ") {
            // vitest: "1 failed | 11 passed | 2 skipped (14)"
            self.add(rest.split(" (").next().unwrap_or_default().split(" | "));
        } else if line.ends_with(" failed") && line.contains(" passed, ") {
            // Ours: "4 passed, 0 failed"
            self.add(line.split(", "));
        } else if let Some((word, number)) = line.strip_prefix("\u{2139} ").and_then(|rest| rest.split_once(' ')) {
            // node --test: "ℹ pass 24", "ℹ fail 0", "ℹ skipped 0", "ℹ todo 0"
            let Ok(number) = number.parse::<u64>() else { return };
            match word {
                "pass" => self.passed += number,
                "fail" | "cancelled" => self.failed += number,
                "skipped" | "todo" => self.skipped += number,
                _ => {}
            }
        }
    }

    fn add<'a>(&mut self, items: impl Iterator<Item = &'a str>) {
        for item in items {
            let Some((number, what)) = item.trim().split_once(' ') else { continue };
            let Ok(number) = number.parse::<u64>() else { continue };
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" | "skipped" | "todo" => self.skipped += number,
                _ => {}
            }
        }
    }

    /// Both together.
    pub fn plus(self, other: Tally) -> Tally {
        Tally {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            skipped: self.skipped + other.skipped,
        }
    }
}

/// The line without its colours.
fn plain(line: &str) -> String {
    let mut text = String::new();
    let mut rest = line;
    while let Some(at) = rest.find("\u{1b}[") {
        text.push_str(&rest[..at]);
        let after = &rest[at + 2..];
        rest = after.find(|character: char| character.is_ascii_alphabetic()).map_or("", |end| &after[end + 1..]);
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_runners_closing_line_is_counted_and_nothing_else() {
        for (line, passed, failed, skipped) in [
            (
                "test result: ok. 18 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 5.09s",
                18,
                0,
                0,
            ),
            (
                "test result: FAILED. 18 passed; 2 failed; 1 ignored; 0 measured; 3 filtered out; finished in 5s",
                18,
                2,
                1,
            ),
            ("      Tests  12 passed (12)", 12, 0, 0),
            (
                "\u{1b}[2m      Tests \u{1b}[22m \u{1b}[1m\u{1b}[31m1 failed\u{1b}[39m\u{1b}[22m | \u{1b}[32m11 passed\u{1b}[39m (12)",
                11,
                1,
                0,
            ),
            ("      Tests  3 passed | 2 skipped (5)", 3, 0, 2),
            ("4 passed, 1 failed", 4, 1, 0),
            ("\u{1b}[34m\u{2139} pass 24\u{1b}[39m", 24, 0, 0),
            ("\u{2139} fail 1", 0, 1, 0),
            ("\u{2139} tests 25", 0, 0, 0),
            ("\u{2139} duration_ms 47681.48", 0, 0, 0),
            (" Test Files  4 passed (4)", 0, 0, 0),
            ("test wait::tests::a_wait ... ok", 0, 0, 0),
            ("", 0, 0, 0),
        ] {
            let mut tally = Tally::default();
            tally.read(line);
            assert_eq!(tally, Tally { passed, failed, skipped }, "{line:?}");
        }
    }
}
