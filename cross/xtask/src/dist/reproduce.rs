//! Builds a product twice, in two folders, and compares the bytes.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::build::{Place, build};
use super::products::Product;
use super::zig::Zig;
use crate::page;
use crate::run::{command, root, target};

/// Build `product` once more in a copy of the sources elsewhere; fails when `first` is not what that gives.
pub fn check(product: &Product, zig: &Zig, first: &Path) -> anyhow::Result<()> {
    // Another depth and another length: both show where a path gets into the bytes.
    let folder = target().join("reproduce/in a folder of another name");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    copy_sources(&folder)?;
    let place = Place { sources: folder.clone(), target: folder.join("elsewhere") };
    let second = build(product, zig, &place)?;
    let outcome = compare(product, first, &second);
    // Hundreds of megabytes; kept only while there is something to look at.
    if outcome.is_ok() {
        fs::remove_dir_all(&folder)?;
    }
    outcome
}

fn compare(product: &Product, first: &Path, second: &Path) -> anyhow::Result<()> {
    let read = |path: &Path| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let (one, other) = (read(first)?, read(second)?);
    if one == other {
        println!("{}: two builds in two folders, {} bytes, all equal", product.name, one.len());
        return Ok(());
    }
    let at = one.iter().zip(&other).position(|(one, other)| one != other).unwrap_or(one.len().min(other.len()));
    bail!(
        "{}: two builds differ, first at byte {at} ({} and {} bytes); compare {} with {} (`diffoscope` shows where)",
        product.name,
        one.len(),
        other.len(),
        first.display(),
        second.display()
    )
}

/// What git has or would have, and the built page, which it has not.
fn copy_sources(to: &Path) -> anyhow::Result<()> {
    let output = command("git", &["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).output()?;
    if !output.status.success() {
        bail!("the sources are no git repository: {}", String::from_utf8_lossy(&output.stderr));
    }
    let mut files: Vec<PathBuf> = String::from_utf8_lossy(&output.stdout).split('\0').map(PathBuf::from).collect();
    collect(&page::folder().join("dist"), &mut files)?;
    for file in files.iter().filter(|file| !file.as_os_str().is_empty()) {
        let (from, to) = (root().join(file), to.join(file));
        // Deleted, but not yet for git.
        if !from.is_file() {
            continue;
        }
        fs::create_dir_all(to.parent().context("a source's path has no folder")?)?;
        fs::copy(&from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
    }
    Ok(())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if let Ok(inner) = path.strip_prefix(root()) {
            files.push(inner.to_owned());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builds_that_differ_are_told_with_the_first_byte_that_does() {
        let folder = std::env::temp_dir().join(format!("simpul-reproduce-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        for (name, text) in [("a", "12345"), ("b", "12x45"), ("c", "1234")] {
            fs::write(folder.join(name), text).unwrap();
        }
        let product = Product::named("agent-amd64").unwrap();
        let compared = |other: &str| compare(product, &folder.join("a"), &folder.join(other));
        assert!(compared("a").is_ok());
        assert!(compared("b").unwrap_err().to_string().contains("first at byte 2 (5 and 5 bytes)"));
        assert!(compared("c").unwrap_err().to_string().contains("first at byte 4 (5 and 4 bytes)"));
        fs::remove_dir_all(&folder).unwrap();
    }
}
