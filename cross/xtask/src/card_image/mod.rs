//! The image of a real Debian that tests write onto a card and boot: made once by `make.sh`, kept in target/downloads.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use sha2::{Digest, Sha256};

use crate::run::{run, target};
use crate::system;

const RECIPE: &str = include_str!("make.sh");

/// The image, made if there is none of this recipe yet: some 200 MB on the disk, 1 to 2 minutes.
pub fn ensure() -> anyhow::Result<PathBuf> {
    let recipe: String = Sha256::digest(RECIPE).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let downloads = target().join("downloads");
    let image = downloads.join(format!("card-debian-trixie-{recipe}.img"));
    if image.is_file() {
        return Ok(image);
    }
    println!("making a card's image of Debian, once: 1 to 2 minutes");
    fs::create_dir_all(&downloads)?;
    let script = downloads.join("card-image.sh");
    fs::write(&script, RECIPE)?;
    let partial = image.with_extension("partial");
    let mirror = std::env::var("SIMPUL_DEBIAN_MIRROR").ok();
    let mut make = system::as_root("sh", "a root of its own for the card's image")?;
    make.arg(&script).arg(downloads.join("card-image")).arg(&partial).args(mirror);
    run(&mut make)?;
    fs::rename(&partial, &image).with_context(|| format!("cannot make {}", image.display()))?;
    // Recipes that are gone leave images that nobody asks for again.
    for entry in fs::read_dir(&downloads)?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("card-debian-") && entry.path() != image {
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(image)
}
