//! The emulated board's image: built by the cargo that is at hand, once a process.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, bail};
use object::{Object, ObjectSymbol};

use crate::process::target_directory;

/// The chip's instruction set, as rustc calls it.
const TARGET: &str = "thumbv7m-none-eabi";
/// The board's package in the workspace `firmware/boards`.
const PACKAGE: &str = "simpul-lm3s6965";
/// Part of the symbol of the word that counts the board's milliseconds (`clock.rs` of the board).
const UPTIME_SYMBOL: &str = "MILLISECONDS_LOW";

/// A built image.
#[derive(Debug, Clone)]
pub(super) struct Image {
    /// The ELF file.
    pub(super) path: PathBuf,
    /// Address of the word that counts milliseconds since the board's start.
    pub(super) uptime_address: u32,
}

/// Build the image unless this process did, and return the path of its ELF file. Blocks for as long as cargo takes: a few
/// milliseconds when nothing changed.
///
/// Fails if the target cannot be added (`rustup target add thumbv7m-none-eabi`) or the board cannot be built.
pub fn image() -> anyhow::Result<PathBuf> {
    built().map(|image| image.path)
}

/// As [`image`], with what the rig needs to know of the image.
pub(super) fn built() -> anyhow::Result<Image> {
    static BUILT: OnceLock<Result<Image, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| build().map_err(|error| format!("{error:#}")));
    built.clone().map_err(anyhow::Error::msg)
}

fn build() -> anyhow::Result<Image> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let boards = here.ancestors().nth(2).unwrap_or(here).join("firmware/boards");
    // Of its own, beside the workspace's: the same that `cargo xtask firmware` uses.
    let target = target_directory()?.join("boards");
    add_target()?;
    let output = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()))
        .args(["build", "--quiet", "--locked", "--release", "--package", PACKAGE, "--target", TARGET, "--target-dir"])
        .arg(&target)
        .current_dir(&boards)
        .output()
        .context("cannot run cargo")?;
    if !output.status.success() {
        bail!("cannot build {PACKAGE} in {}:\n{}", boards.display(), String::from_utf8_lossy(&output.stderr));
    }
    let path = target.join(TARGET).join("release").join(PACKAGE);
    let uptime_address = uptime_address(&path).with_context(|| format!("cannot use {}", path.display()))?;
    Ok(Image { path, uptime_address })
}

/// A toolchain without rustup has its targets from its distribution: then the build itself says what is missing.
fn add_target() -> anyhow::Result<()> {
    let Ok(listed) = Command::new("rustup").args(["target", "list", "--installed"]).output() else { return Ok(()) };
    if String::from_utf8_lossy(&listed.stdout).lines().any(|line| line.trim() == TARGET) {
        return Ok(());
    }
    let added = Command::new("rustup").args(["target", "add", TARGET]).output().context("cannot run rustup")?;
    if !added.status.success() {
        bail!("`rustup target add {TARGET}` failed:\n{}", String::from_utf8_lossy(&added.stderr));
    }
    Ok(())
}

fn uptime_address(elf: &Path) -> anyhow::Result<u32> {
    let bytes = std::fs::read(elf)?;
    let file = object::File::parse(bytes.as_slice())?;
    let symbol = file.symbols().find(|symbol| symbol.name().is_ok_and(|name| name.contains(UPTIME_SYMBOL)));
    let symbol =
        symbol.with_context(|| format!("no symbol {UPTIME_SYMBOL}: the rig reads the board's time from it"))?;
    u32::try_from(symbol.address()).context("an address of more than 32 bits")
}
