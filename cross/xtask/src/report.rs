//! Figures of builds, appended to `target/reports` in the form that the benches use (`tests/support` has it as a type).

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::Context;

use crate::run::{command, target};

/// One figure in bytes, as a line.
pub fn bytes_line(name: &str, bytes: u64, max: Option<u64>, command: &str) -> String {
    let goal = max.map_or_else(|| "null".to_owned(), |max| format!("\"<= {max}\""));
    format!(
        "{{\"name\":\"{name}\",\"value\":{bytes}.0,\"unit\":\"bytes\",\"n\":1,\"seed\":null,\"commit\":\"{}\",\
         \"baseline\":null,\"ratio\":null,\"goal\":{goal},\"command\":\"{command}\"}}\n",
        commit()
    )
}

/// Append lines to the report of an area.
pub fn append(area: &str, lines: &str) -> anyhow::Result<()> {
    let reports = target().join("reports");
    fs::create_dir_all(&reports)?;
    let path = reports.join(format!("{area}.jsonl"));
    append_bytes(&path, lines.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
}

fn append_bytes(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    fs::File::options().create(true).append(true).open(path)?.write_all(bytes)
}

/// The commit at hand, with `+` when the work tree differs from it; `unknown` outside a repository.
fn commit() -> String {
    let Some(head) = git(&["rev-parse", "--short=12", "HEAD"]) else { return "unknown".to_owned() };
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|status| !status.is_empty());
    if changed { format!("{head}+") } else { head }
}

/// What git says; nothing outside a repository.
pub fn git(arguments: &[&str]) -> Option<String> {
    let output = command("git", arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
