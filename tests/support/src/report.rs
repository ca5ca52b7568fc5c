//! Figures of benches and fault runs: one JSON line each in `target/reports/<area>.jsonl`, and the same as a table.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;
use serde::Serialize;

use crate::process::target_directory;

/// One figure.
#[derive(Debug, Clone, Serialize)]
pub struct Figure {
    /// A stable name with its unit last, such as `ack_p99_ms`.
    pub name: String,
    /// The value.
    pub value: f64,
    /// Its unit.
    pub unit: String,
    /// How many samples, rounds or records it stands on.
    pub n: u64,
    /// The seed that repeats it; null where nothing was random.
    pub seed: Option<u64>,
    /// The commit that was measured, with `+` when the work tree differed from it.
    pub commit: String,
    /// What it was compared with, in the same unit.
    pub baseline: Option<f64>,
    /// `value / baseline`.
    pub ratio: Option<f64>,
    /// The goal, as text: `<= 50`.
    pub goal: Option<String>,
    /// The command that repeats it.
    pub command: String,
}

/// The figures of one run.
#[derive(Debug)]
pub struct Report {
    area: String,
    command: String,
    commit: String,
    seed: Option<u64>,
    figures: Vec<Figure>,
}

impl Report {
    /// A report for `area` (the file's name), by `command`.
    pub fn new(area: &str, command: &str, seed: Option<u64>) -> Self {
        Report { area: area.to_owned(), command: command.to_owned(), commit: commit(), seed, figures: Vec::new() }
    }

    /// Add a figure; set `baseline` and `goal` on what this returns.
    pub fn figure(&mut self, name: &str, value: f64, unit: &str, n: u64) -> &mut Figure {
        self.figures.push(Figure {
            name: name.to_owned(),
            value,
            unit: unit.to_owned(),
            n,
            seed: self.seed,
            commit: self.commit.clone(),
            baseline: None,
            ratio: None,
            goal: None,
            command: self.command.clone(),
        });
        let last = self.figures.len() - 1;
        &mut self.figures[last]
    }

    /// The table.
    pub fn table(&self) -> String {
        let mut table = format!(
            "{:<32} {:>14} {:<12} {:>9}  {:>12} {:>7}  goal\n",
            "name", "value", "unit", "n", "baseline", "ratio"
        );
        for figure in &self.figures {
            let optional = |value: Option<f64>| value.map_or("-".to_owned(), number);
            table.push_str(&format!(
                "{:<32} {:>14} {:<12} {:>9}  {:>12} {:>7}  {}\n",
                figure.name,
                number(figure.value),
                figure.unit,
                figure.n,
                optional(figure.baseline),
                optional(figure.ratio),
                figure.goal.as_deref().unwrap_or("-")
            ));
        }
        table
    }

    /// Print the table and append the lines to the report file; where that is.
    pub fn finish(&self) -> anyhow::Result<PathBuf> {
        print!("{}", self.table());
        let directory = target_directory()?.join("reports");
        fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
        let path = directory.join(format!("{}.jsonl", self.area));
        let mut lines = String::new();
        for figure in &self.figures {
            lines.push_str(&serde_json::to_string(figure)?);
            lines.push('\n');
        }
        let file = OpenOptions::new().create(true).append(true).open(&path);
        // One write: lines of two runs at once stay whole.
        let written = file.and_then(|mut file| file.write_all(lines.as_bytes()));
        written.with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}

impl Figure {
    /// Compare with `baseline`, in the same unit.
    pub fn against(&mut self, baseline: f64) -> &mut Self {
        self.baseline = Some(baseline);
        self.ratio = (baseline != 0.0).then(|| self.value / baseline);
        self
    }

    /// State the goal, such as `>= 0.7`.
    pub fn goal(&mut self, goal: &str) -> &mut Self {
        self.goal = Some(goal.to_owned());
        self
    }
}

fn number(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e15 { format!("{value:.0}") } else { format!("{value:.3}") }
}

/// The commit at hand, `unknown` outside a repository.
fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(head) = git(&["rev-parse", "--short=12", "HEAD"]) else { return "unknown".to_owned() };
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|status| !status.is_empty());
    if changed { format!("{head}+") } else { head }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_one_line_with_the_agreed_names() {
        let mut report = Report::new("test", "cargo xtask bench spool", Some(7));
        report.figure("spool_append_ratio", 0.75, "ratio", 11).against(1.5).goal(">= 0.7");
        let line = serde_json::to_string(&report.figures[0]).unwrap();
        let commit = &report.commit;
        assert_eq!(
            line,
            format!(
                "{{\"name\":\"spool_append_ratio\",\"value\":0.75,\"unit\":\"ratio\",\"n\":11,\"seed\":7,\
                 \"commit\":\"{commit}\",\"baseline\":1.5,\"ratio\":0.5,\"goal\":\">= 0.7\",\
                 \"command\":\"cargo xtask bench spool\"}}"
            )
        );
        assert!(report.table().contains("spool_append_ratio"), "{}", report.table());
    }

    #[test]
    fn a_baseline_of_zero_gives_no_ratio() {
        let mut report = Report::new("test", "c", None);
        assert_eq!(report.figure("x", 1.0, "s", 1).against(0.0).ratio, None);
    }
}
