//! Real photographs for the camera tests: two that scikit-learn ships in its wheel, pinned by hash.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;

use crate::deny::pip_fetch;
use crate::run::{command, run, target};

/// The wheel is only unpacked, never installed: one for all machines.
const REQUIREMENT: &str =
    "scikit-learn==1.9.1 --hash=sha256:52a0703bbc07ad27f560fa63fa68e4c54dd735bfbbf65b4dd3c225dc7547b6df";
const PLATFORM: &[&str] =
    &["--platform", "manylinux_2_28_x86_64", "--python-version", "3.11", "--implementation", "cp", "--abi", "cp311"];
/// In the wheel, under sklearn/datasets/images.
const NAMES: [&str; 2] = ["china.jpg", "flower.jpg"];

/// The folder with the photographs, fetched if they are not there yet.
pub fn ensure() -> anyhow::Result<PathBuf> {
    let folder = target().join("test-data");
    if NAMES.iter().all(|name| folder.join(name).is_file()) {
        return Ok(folder);
    }
    let download = target().join("downloads/photographs");
    let wheel = pip_fetch(&download, REQUIREMENT, PLATFORM)?;
    let unpacked = download.join("unpacked");
    let wheel = wheel.to_string_lossy().into_owned();
    run(&mut command("python3", &["-m", "zipfile", "-e", &wheel, &unpacked.to_string_lossy()]))?;
    fs::create_dir_all(&folder)?;
    for name in NAMES {
        let from = unpacked.join("sklearn/datasets/images").join(name);
        fs::copy(&from, folder.join(name)).with_context(|| format!("cannot copy {}", from.display()))?;
    }
    fs::remove_dir_all(&download)?;
    Ok(folder)
}
