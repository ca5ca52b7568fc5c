//! Installs, upgrades, removes and purges the packages in a fresh Debian, and looks at what is left each time.
//!
//! Needs root: by sudo where that asks for no password. The fresh Debian is made once and kept as an archive.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};

use super::package::inputs;
use super::trial;
use crate::run::{root, run, shown, target};
use crate::system;
use crate::tally::Tally;

/// Debian's release of the fresh root: the oldest that is still supported and has this glibc's programs of a debug build.
const RELEASE: &str = "bookworm";

/// A root with packages in it. Removed when it goes.
struct Rooted {
    folder: PathBuf,
}

/// Every part; how many passed and failed.
pub fn packages() -> anyhow::Result<Tally> {
    system::ensure(system::DIST_TEST)?;
    let archive = fresh_debian()?;
    let folder = target().join("rooted");
    let mut tally = Tally::default();
    for (name, part) in [("simpul-agent", agent as fn(&Rooted, &Path) -> anyhow::Result<()>), ("simpul-hub", hub)] {
        let rooted = Rooted::unpack(&archive, &folder.join("root"))?;
        match part(&rooted, &folder) {
            Ok(()) => {
                tally.passed += 1;
                println!("{name}: installed, upgraded, removed and purged as promised");
            }
            Err(error) => {
                tally.failed += 1;
                println!("FAILED: the package {name}: {error:#}");
            }
        }
    }
    Ok(tally)
}

/// The archive of a fresh Debian, made if it is not there.
fn fresh_debian() -> anyhow::Result<PathBuf> {
    let archive = target().join(format!("downloads/debian-{RELEASE}.tar"));
    if archive.is_file() {
        return Ok(archive);
    }
    let folder = target().join("downloads/debootstrap");
    let path = folder.to_string_lossy().into_owned();
    as_root("rm", &["-rf", "--one-file-system", &path])?;
    println!("making a fresh Debian ({RELEASE}), once: 1 to 2 minutes");
    let mirror = std::env::var("SIMPUL_DEBIAN_MIRROR").ok();
    let mut words = vec!["--variant=minbase", "--include=debconf", RELEASE, &path];
    words.extend(mirror.as_deref());
    as_root("debootstrap", &words)?;
    let partial = archive.with_extension("partial");
    as_root("tar", &["-cf", &partial.to_string_lossy(), "-C", &path, "."])?;
    fs::rename(&partial, &archive).with_context(|| format!("cannot make {}", archive.display()))?;
    as_root("rm", &["-rf", "--one-file-system", &path])?;
    Ok(archive)
}

fn as_root(program: &str, words: &[&str]) -> anyhow::Result<()> {
    let mut command = system::as_root(program, "a root of its own")?;
    run(command.args(words))
}

impl Rooted {
    fn unpack(archive: &Path, folder: &Path) -> anyhow::Result<Rooted> {
        let rooted = Rooted { folder: folder.to_owned() };
        rooted.remove()?;
        fs::create_dir_all(folder)?;
        as_root("tar", &["-xf", &archive.to_string_lossy(), "-C", &folder.to_string_lossy()])?;
        Ok(rooted)
    }

    fn remove(&self) -> anyhow::Result<()> {
        as_root("rm", &["-rf", "--one-file-system", &self.folder.to_string_lossy()])
    }

    /// Run a line of shell inside; what it said on both outputs. Fails when the line does.
    fn shell(&self, line: &str) -> anyhow::Result<String> {
        let mut command = system::as_root("chroot", "a root of its own")?;
        let folder = self.folder.to_string_lossy();
        let line = format!("exec 2>&1; {line}");
        command.args([&folder, "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"]);
        command.args(["DEBIAN_FRONTEND=noninteractive", "sh", "-ec", &line]);
        let output = command.output().with_context(|| format!("cannot run {}", shown(&command)))?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(output.status.success(), "inside the fresh Debian, `{line}` failed ({}):\n{said}", output.status);
        Ok(said)
    }

    /// Put a package into it and install it over what is there, keeping changed configuration.
    fn install(&self, package: &Path) -> anyhow::Result<String> {
        let name = package.file_name().context("a package's path has no name")?.to_string_lossy().into_owned();
        let inside = self.folder.join("var/tmp").join(&name);
        as_root("cp", &[&package.to_string_lossy(), &inside.to_string_lossy()])?;
        // No terminal to ask at: dpkg must not have to ask.
        self.shell(&format!("dpkg --install /var/tmp/{name} </dev/null"))
    }

    fn is_there(&self, path: &str) -> anyhow::Result<bool> {
        Ok(self.shell(&format!("if [ -e {path} ]; then echo yes; else echo no; fi"))?.trim() == "yes")
    }

    fn expect(&self, path: &str, there: bool, when: &str) -> anyhow::Result<()> {
        let found = self.is_there(path)?;
        let (is, should) = if found { ("is", "should not be") } else { ("is not", "should be") };
        ensure!(found == there, "{path} {is} there and {should}, {when}");
        Ok(())
    }
}

impl Drop for Rooted {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            println!("{} could not be removed: {error:#}", self.folder.display());
        }
    }
}

/// A package of the program that the tests use; two versions differ in nothing else.
fn package(name: &str, version: &str, folder: &Path) -> anyhow::Result<PathBuf> {
    trial::of_this_machine(name, "debug", version, folder)
}

fn agent(rooted: &Rooted, folder: &Path) -> anyhow::Result<()> {
    let first = package("simpul-agent", "0.0.1", folder)?;
    let said = rooted.install(&first)?;
    ensure!(said.contains("node: missing"), "a fresh installation does not say what is missing:\n{said}");
    rooted.shell("test \"$(stat -c %U:%a /var/lib/simpul)\" = simpul:750")?;
    ensure!(rooted.shell("simpul-agent run || echo code $?")?.contains("code 3"), "no configuration is not code 3");
    verify_unit(rooted, "simpul-agent")?;
    life(rooted, folder, "simpul-agent", "agent.toml", "/var/lib/simpul")
}

fn hub(rooted: &Rooted, folder: &Path) -> anyhow::Result<()> {
    let first = package("simpul-hub", "0.0.1", folder)?;
    let said = rooted.install(&first)?;
    ensure!(said.contains("ca_file"), "a fresh installation does not say what is missing:\n{said}");
    rooted.shell("test \"$(stat -c %U:%a /var/lib/simpul-hub)\" = simpul-hub:700")?;
    verify_unit(rooted, "simpul-hub")?;
    life(rooted, folder, "simpul-hub", "hub.toml", "/var/lib/simpul-hub")
}

/// From the installed first version on: change, upgrade, remove, purge with both answers.
fn life(rooted: &Rooted, folder: &Path, name: &str, config: &str, data: &str) -> anyhow::Result<()> {
    let config = format!("/etc/simpul/{config}");
    let kept = format!("{data}/kept");
    let enabled = format!("/etc/systemd/system/multi-user.target.wants/{name}.service");
    // Inside of a chroot a link to the unit hangs in the air: ask for the link itself.
    rooted.shell(&format!("test -L {enabled}"))?;
    rooted.shell(&format!("echo '# mine' >>{config}; echo x >{kept}"))?;

    let second = package(name, "0.0.2", folder)?;
    rooted.install(&second)?;
    rooted.shell(&format!("grep -q '# mine' {config}"))?;
    rooted.expect(&kept, true, "after an upgrade")?;
    rooted.shell(&format!("test \"$(dpkg-query -W -f '${{Version}}' {name})\" = 0.0.2"))?;

    rooted.shell(&format!("dpkg --remove {name}"))?;
    rooted.expect(&format!("/usr/bin/{name}"), false, "after a removal")?;
    rooted.expect(&config, true, "after a removal")?;
    rooted.expect(&kept, true, "after a removal")?;

    let said = rooted.shell(&format!("dpkg --purge {name}"))?;
    ensure!(said.contains(&format!("kept {data}")), "a purge does not say what it kept:\n{said}");
    rooted.expect(&config, false, "after a purge")?;
    rooted.expect(&kept, true, "after a purge that nobody answered")?;
    rooted.expect(&enabled, false, "after a purge")?;

    rooted.install(&second)?;
    rooted.expect(&kept, true, "after a new installation")?;
    rooted.shell(&format!("echo '{name} {name}/purge-data boolean true' | debconf-set-selections"))?;
    rooted.shell(&format!("dpkg --purge {name}"))?;
    rooted.expect(data, false, "after a purge that was told to delete")
}

/// systemd's own reader on the unit, with the root's files as its files.
fn verify_unit(rooted: &Rooted, name: &str) -> anyhow::Result<()> {
    let unit = inputs().join(name).join(format!("{name}.service"));
    // Reading a root that is not its own needs root. A root without systemd has no other units: empty ones stand in.
    for other in ["sysinit", "basic", "shutdown", "network", "network-online", "multi-user"] {
        rooted.shell(&format!("printf '[Unit]\\n' >/lib/systemd/system/{other}.target"))?;
    }
    for other in ["system.slice", "-.slice"] {
        rooted.shell(&format!("printf '[Unit]\\n' >/lib/systemd/system/{other}"))?;
    }
    let mut command = system::as_root("systemd-analyze", "reading the units of another root")?;
    command.arg("verify").arg("--man=no").arg(format!("--root={}", rooted.folder.display()));
    command.arg(format!("/lib/systemd/system/{name}.service"));
    let output = command.output().context("cannot run systemd-analyze")?;
    let said = String::from_utf8_lossy(&output.stderr);
    // Other units are not complete in a root without systemd: only what is said of this one counts.
    let ours: Vec<&str> = said.lines().filter(|line| line.contains(name)).collect();
    if !ours.is_empty() {
        bail!("systemd-analyze verify: {}", ours.join("; "));
    }
    let mut command = crate::run::command("systemd-analyze", &["security", "--offline=true", "--threshold=30"]);
    let output = command.arg(&unit).current_dir(root()).output().context("cannot run systemd-analyze")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let last = said.lines().rev().find(|line| line.contains("exposure")).unwrap_or_default().trim().to_owned();
    ensure!(output.status.success(), "{name}.service is open wider than 3.0: {last}\n{said}");
    println!("{name}.service: {last}");
    Ok(())
}
