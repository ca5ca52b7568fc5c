//! Embeds the room's page: a table of the files under `ui/dist`, made by `cargo xtask ui`.
//!
//! A debug build without them serves a page that says so; a release build without them fails, unless
//! `SIMPUL_WITHOUT_PAGE=1` says that none is wanted.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dist = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("ui/dist");
    // So that there is something to watch before the page is built: cargo reruns us each time for a path that is missing.
    // A source tree that cannot be written is fine: then there is no page to come.
    if fs::create_dir_all(&dist).is_ok() {
        println!("cargo::rerun-if-changed={}", dist.display());
    }
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=SIMPUL_WITHOUT_PAGE");
    let mut files = Vec::new();
    collect(&dist, &mut files)?;
    files.sort();
    if files.is_empty() && env::var("PROFILE")? == "release" && env::var_os("SIMPUL_WITHOUT_PAGE").is_none() {
        return Err("central-hub/ui/dist is empty: run `cargo xtask ui` first, or set SIMPUL_WITHOUT_PAGE=1".into());
    }
    let mut table = String::from("/// The page's files by path.\nstatic FILES: &[(&str, &[u8])] = &[\n");
    for file in &files {
        let name = file.strip_prefix(&dist)?.to_str().ok_or("a file's name under ui/dist is not UTF-8")?;
        let path = file.to_str().ok_or("the source tree's path is not UTF-8")?;
        writeln!(table, "    ({name:?}, include_bytes!({path:?})),")?;
    }
    table += "];\n";
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("page_files.rs"), table)?;
    Ok(())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), files)?;
        } else {
            files.push(entry.path());
        }
    }
    Ok(())
}
