//! Packages of programs that are built already, for the tests that install them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use super::package::Package;
use super::products::{ALL, Product};
use crate::run::target;

/// The date that files of such a package have.
const EPOCH_S: u64 = 1_700_000_000;

/// A package of a debug or release build for this machine, of `version`, into `folder`.
pub fn of_this_machine(name: &str, profile: &str, version: &str, folder: &Path) -> anyhow::Result<PathBuf> {
    let product = ALL.iter().find(|product| product.program == name && product.architecture == "amd64");
    let mut product: Product = *product.with_context(|| format!("there is no {name} for amd64"))?;
    // The build's library is this machine's own.
    product.glibc = Some((2, 36));
    let program = target().join(profile).join(name);
    Package { product: &product, program: &program, version, parts: None, epoch_s: EPOCH_S }.build(folder)
}

/// A package of the agent as it ships, which is built already, into `folder`.
pub fn as_it_ships(folder: &Path) -> anyhow::Result<PathBuf> {
    let product = Product::named("agent-amd64").context("there is no agent-amd64")?;
    let program = target().join(product.triple).join("dist").join(product.program);
    ensure!(program.is_file(), "{} is not there: `cargo xtask dist --target agent-amd64`", program.display());
    fs::create_dir_all(folder)?;
    Package { product, program: &program, version: Product::version(), parts: None, epoch_s: EPOCH_S }.build(folder)
}
