//! Cargo for one product: the same bytes whatever folder it is built in.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use super::order;
use super::products::Product;
use super::zig::{self, Zig};
use crate::report::git;
use crate::run::{cargo, command, found, root, run, target};

/// zstd of a program with a budget, which had 386 kB of it: what any frame needs to be read, once and not in a second
/// copy for other processors or for speed (the `thin` of its Rust crate, but with its errors' texts), and of its ways to
/// search that of level 1, the only one that writes (cross/wire/src/compress.rs).
const ZSTD_SMALL: &str = " -DHUF_FORCE_DECOMPRESS_X1=1 -DZSTD_FORCE_DECOMPRESS_SEQUENCES_SHORT=1 -DZSTD_NO_INLINE=1 \
    -DDYNAMIC_BMI2=0 -DZSTD_EXCLUDE_DFAST_BLOCK_COMPRESSOR -DZSTD_EXCLUDE_GREEDY_BLOCK_COMPRESSOR \
    -DZSTD_EXCLUDE_LAZY_BLOCK_COMPRESSOR -DZSTD_EXCLUDE_LAZY2_BLOCK_COMPRESSOR \
    -DZSTD_EXCLUDE_BTLAZY2_BLOCK_COMPRESSOR -DZSTD_EXCLUDE_BTOPT_BLOCK_COMPRESSOR \
    -DZSTD_EXCLUDE_BTULTRA_BLOCK_COMPRESSOR";

/// Sources and the folder to build them into.
#[derive(Debug, Clone)]
pub struct Place {
    /// The workspace's root.
    pub sources: PathBuf,
    /// Cargo's target folder.
    pub target: PathBuf,
}

impl Place {
    /// This workspace.
    pub fn here() -> Place {
        Place { sources: root(), target: target() }
    }
}

/// Build it; where the program is.
pub fn build(product: &Product, zig: &Zig, place: &Place) -> anyhow::Result<PathBuf> {
    add_target(product.triple)?;
    order::notice(product, place)?;
    run(&mut build_command(product, zig, place)?)?;
    Ok(place.target.join(product.triple).join("dist").join(product.program))
}

fn build_command(product: &Product, zig: &Zig, place: &Place) -> anyhow::Result<Command> {
    let mut build = cargo(&["build", "--locked", "--profile", "dist", "--package", product.program]);
    build.args(["--target", product.triple, "--target-dir"]).arg(&place.target).current_dir(&place.sources);
    let compiler = zig.compiler(product)?;
    let crates = registry_sources()?;
    // Source files may be told in assertions, of C too; all C is in other crates. C's sanitizers are zig's default.
    // Nothing unwinds through C: without tables for that, 16 kB less.
    let unwinding = "-fno-unwind-tables -fno-asynchronous-unwind-tables";
    let small = if product.bytes_max.is_some() { ZSTD_SMALL } else { "" };
    let c_flags = format!("-ffile-prefix-map={}=/crates -fno-sanitize=all {unwinding}{small}", crates.display());
    let mut rust_flags: Vec<String> = [(crates.as_path(), "/crates"), (place.sources.as_path(), "/simpul")]
        .iter()
        .map(|(path, name)| format!("--remap-path-prefix={}={name}", path.display()))
        .collect();
    let linker = if product.glibc.is_none() {
        // Rust brings all of a static program, its linker too: nothing of the machine gets in. Relative relocations
        // packed: 176 kB otherwise, of which a board's memory has its share.
        for flag in ["-Clinker-flavor=ld.lld", "-Clink-self-contained=yes", "-Clink-arg=-zpack-relative-relocs"] {
            rust_flags.push(flag.to_owned());
        }
        // Names that tell one instance of a generic function from another, for the order.
        rust_flags.push("-Csymbol-mangling-version=v0".to_owned());
        order::linker(product, place, &mut build)?
    } else {
        compiler.clone()
    };
    let lower = product.triple.replace('-', "_");
    // Encoded: a folder's name may have a blank. Replaces what .cargo/config.toml says for a target.
    build
        .env(format!("CC_{lower}"), compiler)
        .env(format!("AR_{lower}"), zig.archiver()?)
        .env(format!("CFLAGS_{lower}"), c_flags)
        .env(format!("CARGO_TARGET_{}_LINKER", lower.to_uppercase()), linker)
        .env("CARGO_ENCODED_RUSTFLAGS", rust_flags.join("\x1f"))
        .env_remove("RUSTFLAGS")
        .env("SOURCE_DATE_EPOCH", source_date_epoch_s().to_string())
        .env("ZIG_GLOBAL_CACHE_DIR", zig::cache())
        .env("ZIG_LOCAL_CACHE_DIR", zig::cache());
    Ok(build)
}

/// Where cargo keeps the sources of other crates.
pub fn registry_sources() -> anyhow::Result<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")));
    Ok(home.context("neither CARGO_HOME nor HOME is set: where are cargo's crates?")?.join("registry/src"))
}

/// The time that files of a release have: that of the commit, or what the environment says.
pub fn source_date_epoch_s() -> u64 {
    let said = std::env::var("SOURCE_DATE_EPOCH").ok().or_else(|| git(&["log", "-1", "--format=%ct"]));
    // Outside of a repository any fixed time will do: the same sources then still give the same bytes.
    said.and_then(|seconds| seconds.parse().ok()).unwrap_or(0)
}

fn add_target(triple: &str) -> anyhow::Result<()> {
    // Without rustup the distribution brings the targets; the build says if it does not.
    if !found("rustup") {
        return Ok(());
    }
    run(&mut command("rustup", &["--quiet", "target", "add", triple])).with_context(|| {
        format!(
            "Rust's library for {triple} could not be fetched; run this, then try again:\n  rustup target add {triple}"
        )
    })
}
