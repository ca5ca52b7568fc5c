//! The room's page: npm packages and the build, each only when its sources changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::Context;

use crate::run::{command, root, run};
use crate::system;

/// `cargo xtask ui`.
pub fn command_alone() -> anyhow::Result<()> {
    system::ensure(system::BUILD)?;
    build()
}

/// Where the page lives.
pub fn folder() -> PathBuf {
    root().join("central-hub/ui")
}

/// npm in the page's folder.
pub fn npm(arguments: &[&str]) -> Command {
    let mut npm = command("npm", arguments);
    npm.current_dir(folder());
    npm
}

/// Packages and page, as far as they are out of date.
pub fn build() -> anyhow::Result<()> {
    let folder = folder();
    npm_packages(&folder)?;
    let built = modified(&folder.join("dist/index.html"));
    let newest = newest_source(&folder)?;
    if built.is_some_and(|built| built >= newest) {
        println!("the page is up to date: {}", folder.join("dist").display());
        return Ok(());
    }
    run(&mut npm(&["run", "build"]))
}

/// A folder's npm packages, as its lock file has them.
pub fn npm_packages(folder: &Path) -> anyhow::Result<()> {
    // npm writes this file last: older than the lock file means that the packages are not those of the lock file.
    let installed = modified(&folder.join("node_modules/.package-lock.json"));
    let lock = folder.join("package-lock.json");
    let locked = modified(&lock).with_context(|| format!("{} is not there", lock.display()))?;
    if installed.is_some_and(|installed| installed >= locked) {
        return Ok(());
    }
    run(command("npm", &["ci", "--no-audit", "--no-fund"]).current_dir(folder))
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

/// The newest change among everything that the page is built from.
fn newest_source(folder: &Path) -> anyhow::Result<SystemTime> {
    let mut newest = SystemTime::UNIX_EPOCH;
    let mut waiting = vec![folder.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if matches!(name.as_ref(), "node_modules" | "dist" | "tests" | "test-results") || name.starts_with('.') {
                continue;
            }
            newest = newest.max(entry.metadata()?.modified()?);
            if entry.file_type()?.is_dir() {
                waiting.push(entry.path());
            }
        }
    }
    Ok(newest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_source_is_newer_and_a_changed_build_is_not() {
        let folder = std::env::temp_dir().join(format!("simpul-xtask-{}", std::process::id()));
        for inner in ["src/lib", "dist", "node_modules/x"] {
            fs::create_dir_all(folder.join(inner)).unwrap();
        }
        let at = |path: &str, seconds: u64| {
            let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
            let path = folder.join(path);
            fs::write(&path, "x").unwrap();
            fs::File::options().append(true).open(&path).unwrap().set_modified(time).unwrap();
        };
        let far = 4_000_000_000;
        at("src/lib/a.ts", far);
        at("dist/index.html", far + 100);
        at("node_modules/x/y.js", far + 100);
        let newest = newest_source(&folder).unwrap();
        assert_eq!(newest, SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(far));
        fs::remove_dir_all(&folder).unwrap();
    }
}
