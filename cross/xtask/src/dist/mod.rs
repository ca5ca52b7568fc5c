//! `cargo xtask dist`: programs for all machines, packages, lists of parts, sums and signatures.
//!
//! This file is the command; each step has a file of its own. What goes into the packages is in `cross/targets`.

mod build;
mod foreign;
mod inspect;
mod order;
mod package;
mod products;
mod reproduce;
mod rooted;
mod sbom;
mod sign;
mod trial;
mod update;
mod zig;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;

use build::{Place, source_date_epoch_s};
use inspect::Findings;
use package::Package;
use products::{ALL, NAMES, Product};
use sign::Signer;
use update::UpdateSigner;
use zig::Zig;

pub use foreign::{build_agent_of_this_machine, build_all as build_agents, run_command as foreign_command};
pub use order::as_linker;
pub use rooted::packages;
pub use trial::{as_it_ships as shipping_package, of_this_machine as trial_package};

use crate::run::{Stages, cargo, root, run, target};
use crate::{page, report, system};

/// What `cargo xtask dist` takes.
#[derive(Debug, Args)]
#[command(after_help = "\
Without options: everything, in about 15 minutes on two cores. Files end up in target/shipping:
  PROGRAM_VERSION_ARCHITECTURE            the program itself, stripped
  PROGRAM_VERSION_ARCHITECTURE.deb        the same as a Debian package
  PROGRAM_VERSION_ARCHITECTURE.cdx.json   what is in it (CycloneDX)
  PROGRAM_VERSION_ARCHITECTURE.update     an agent as nodes take it from their hub; with --update-key alone
  SHA256SUMS, *.minisig, simpul.pub       sums, a signature of each file, the key to verify them with

A release:
  minisign -G -s /media/key/simpul.key    once, on a disk that is kept apart
  cargo xtask dist --check-reproducible --key /media/key/simpul.key
  minisign -V -p simpul.pub -m SHA256SUMS && sha256sum -c SHA256SUMS

cross/targets/README.md says the same at more length.")]
pub struct Arguments {
    /// Only this one; may be given several times. Default: all of them.
    #[arg(long = "target", value_name = "NAME", value_parser = NAMES)]
    targets: Vec<String>,
    /// The minisign secret key to sign with; outside of the repository. Default: a key that proves nothing.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The key that signs agents for remote updates (docs/updates.md); outside of the repository. Default: there are no
    /// update files.
    #[arg(long, value_name = "FILE")]
    update_key: Option<PathBuf>,
    /// Build every chosen program once more in another folder, and fail if a byte differs. Doubles the time.
    #[arg(long)]
    check_reproducible: bool,
    /// Run what `cargo xtask test` runs of this: agents built, one of them twice, and run under qemu-user against a hub;
    /// packages installed, upgraded, removed and purged in a fresh Debian.
    #[arg(long, conflicts_with_all = ["targets", "key", "update_key", "check_reproducible"])]
    test: bool,
    /// Record anew which functions an agent at work calls, and put the list into cross/targets/simpul-agent/order.txt.
    /// For root; 10 minutes. Worth it after large changes of the agent, when its memory has grown.
    #[arg(long, conflicts_with_all = ["targets", "key", "check_reproducible", "test"])]
    record_order: bool,
}

/// A product that is ready.
struct Shipped {
    product: &'static Product,
    findings: Findings,
    package_bytes: u64,
}

/// `cargo xtask dist`.
pub fn command_alone(arguments: &Arguments) -> anyhow::Result<()> {
    match (arguments.test, arguments.record_order) {
        (true, _) => test(),
        (_, true) => record_order(),
        _ => release(arguments),
    }
}

/// The order of the agent's functions, from an agent of this machine.
fn record_order() -> anyhow::Result<()> {
    let mut stages = Stages::new(3);
    stages.next("system packages");
    system::ensure(system::DIST)?;
    system::ensure(system::TEST)?;
    stages.next("the agent as it ships");
    build_agent_of_this_machine()?;
    stages.next("its functions, under load");
    order::record(foreign::agent_of_this_machine()?)
}

/// The tests of all this, without the others.
fn test() -> anyhow::Result<()> {
    let mut stages = Stages::new(4);
    stages.next("programs of the tests");
    run(&mut cargo(&["build", "-p", "simpul-agent", "-p", "simpul-hub", "-p", "simpul-tests", "--bins"]))?;
    stages.next("agents as they ship, one of them built twice");
    build_agents()?;
    stages.next("agents for other machines, under qemu-user");
    run(&mut foreign_command()?)?;
    stages.next("packages in a fresh Debian");
    let failed = packages()?.failed;
    if failed > 0 {
        bail!("{failed} of the packages' tests failed");
    }
    println!("{:.1} min in all", stages.minutes());
    Ok(())
}

fn release(arguments: &Arguments) -> anyhow::Result<()> {
    let chosen: Vec<&'static Product> = match arguments.targets.as_slice() {
        [] => ALL.iter().collect(),
        names => ALL.iter().filter(|product| names.iter().any(|name| name == product.name)).collect(),
    };
    // Before anything takes minutes: whether the key is one.
    let signer = Signer::open(arguments.key.as_deref())?;
    let updates = arguments.update_key.as_deref().map(UpdateSigner::open).transpose()?;
    let with_page = chosen.iter().any(|product| product.has_page());
    let mut stages =
        Stages::new(3 + usize::from(with_page) + chosen.len() * (1 + usize::from(arguments.check_reproducible)));
    stages.next("system packages");
    system::ensure(system::DIST)?;
    stages.next("the C compiler for all machines");
    let zig = Zig::ensure()?;
    if with_page {
        stages.next("the room's page: packages and build");
        page::build()?;
    }
    let folder = folder()?;
    let epoch_s = source_date_epoch_s();
    let (mut shipped, mut files) = (Vec::new(), Vec::new());
    for product in chosen {
        stages.next(&format!("{}: {}", product.name, product.triple));
        let program = build::build(product, &zig, &Place::here())?;
        if arguments.check_reproducible {
            stages.next(&format!("{}: once more, in another folder", product.name));
            reproduce::check(product, &zig, &program)?;
        }
        shipped.push(ship(product, &program, &folder, epoch_s, &mut files)?);
    }
    stages.next("sums and signatures");
    if let Some(updates) = &updates {
        for Shipped { product, .. } in &shipped {
            files.extend(updates.sign(product, &folder)?);
        }
    }
    files.sort();
    signer.sign_all(&folder, &files, epoch_s)?;
    tell(&shipped, &folder)?;
    println!("{:.1} min in all", stages.minutes());
    Ok(())
}

/// Look at a program, list its parts, and pack it; add the names of the files to `files`.
fn ship(
    product: &'static Product,
    program: &Path,
    folder: &Path,
    epoch_s: u64,
    files: &mut Vec<String>,
) -> anyhow::Result<Shipped> {
    let findings = inspect::inspect(product, program, &[&root(), &build::registry_sources()?])?;
    let parts = sbom::list(product)?;
    let stem = product.file_stem();
    fs::copy(program, folder.join(&stem)).with_context(|| format!("cannot copy {}", program.display()))?;
    fs::write(folder.join(format!("{stem}.cdx.json")), &parts)?;
    let package =
        Package { product, program, version: Product::version(), parts: Some(&parts), epoch_s }.build(folder)?;
    files.extend([stem.clone(), format!("{stem}.cdx.json"), format!("{stem}.deb")]);
    Ok(Shipped { product, findings, package_bytes: fs::metadata(package)?.len() })
}

/// Where the files end up; emptied, so that sums and folder always agree.
fn folder() -> anyhow::Result<PathBuf> {
    let folder = target().join("shipping");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

/// Print what there is, append the sizes to the report, and fail if something is not as promised.
fn tell(shipped: &[Shipped], folder: &Path) -> anyhow::Result<()> {
    println!("\n{:<14} {:<32} {:>12} {:>12} {:>12}  glibc", "target", "triple", "bytes", "of", ".deb bytes");
    let (mut lines, mut problems) = (String::new(), Vec::new());
    for Shipped { product, findings, package_bytes } in shipped {
        let of = product.bytes_max.map_or_else(|| "-".to_owned(), |max| max.to_string());
        let glibc = match findings.glibc {
            Some((major, minor)) => format!(">= {major}.{minor}"),
            None => "none: static".to_owned(),
        };
        let (name, bytes) = (product.name, findings.bytes);
        println!("{name:<14} {:<32} {bytes:>12} {of:>12} {package_bytes:>12}  {glibc}", product.triple);
        let figure = name.replace('-', "_");
        let command = format!("cargo xtask dist --target {name}");
        lines += &report::bytes_line(&format!("{figure}_bytes"), bytes, product.bytes_max, &command);
        lines += &report::bytes_line(&format!("{figure}_deb_bytes"), *package_bytes, None, &command);
        problems.extend(findings.problems.iter().map(|problem| format!("{name} {problem}")));
    }
    report::append("dist", &lines)?;
    println!("\n{}", folder.display());
    if !problems.is_empty() {
        bail!("not to be shipped: {}", problems.join("; "));
    }
    Ok(())
}
