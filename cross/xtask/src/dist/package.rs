//! `.deb` packages from a program and what `cross/targets` has for it. The same program gives the same bytes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};

use super::products::Product;
use crate::run::{command, root, run};

/// Scripts that dpkg runs; they are executable.
const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];

/// What goes into a package besides its inputs.
#[derive(Debug)]
pub struct Package<'a> {
    /// Whose it is.
    pub product: &'a Product,
    /// The program.
    pub program: &'a Path,
    /// The package's version.
    pub version: &'a str,
    /// The list of its parts, if there is one.
    pub parts: Option<&'a str>,
    /// The time that all files have.
    pub epoch_s: u64,
}

impl Package<'_> {
    /// Build it into `folder`; its path.
    pub fn build(&self, folder: &Path) -> anyhow::Result<PathBuf> {
        let Product { program: name, architecture, .. } = self.product;
        let stage = folder.join(format!("stage-{name}-{architecture}"));
        if stage.exists() {
            fs::remove_dir_all(&stage)?;
        }
        self.lay_out(&stage)?;
        settle(&stage, self.epoch_s)?;
        let package = folder.join(format!("{name}_{}_{architecture}.deb", self.version));
        let (from, to) = (stage.to_string_lossy(), package.to_string_lossy());
        let mut build = command("dpkg-deb", &["--root-owner-group", "-Zxz", "--build", &from, &to]);
        // The compressor cuts its input by the number of its threads: one gives the same bytes on every machine.
        build.env("SOURCE_DATE_EPOCH", self.epoch_s.to_string()).env("DPKG_DEB_THREADS_MAX", "1");
        run(build.stdout(std::process::Stdio::null()))?;
        fs::remove_dir_all(&stage)?;
        Ok(package)
    }

    fn lay_out(&self, stage: &Path) -> anyhow::Result<()> {
        let Product { program: name, .. } = self.product;
        let inputs = inputs().join(name);
        let config = if *name == "simpul-hub" { "hub.toml" } else { "agent.toml" };
        let put = |path: &str, bytes: &[u8]| -> anyhow::Result<()> {
            let path = stage.join(path);
            fs::create_dir_all(path.parent().context("a packaged file's path has no folder")?)?;
            fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
        };
        let input = |file: &str| read(&inputs.join(file));
        put(&format!("usr/bin/{name}"), &read(self.program)?)?;
        put(&format!("lib/systemd/system/{name}.service"), &input(&format!("{name}.service"))?)?;
        put(&format!("etc/simpul/{config}"), &input(config)?)?;
        if *name == "simpul-agent" {
            put("lib/udev/rules.d/60-simpul-led.rules", &input("60-simpul-led.rules")?)?;
        }
        put(&format!("usr/share/doc/{name}/README.md"), &read(&inputs_readme())?)?;
        put(&format!("usr/share/doc/{name}/copyright"), COPYRIGHT.as_bytes())?;
        if let Some(parts) = self.parts {
            put(&format!("usr/share/doc/{name}/{name}.cdx.json"), parts.as_bytes())?;
        }
        put("DEBIAN/conffiles", format!("/etc/simpul/{config}\n").as_bytes())?;
        put("DEBIAN/templates", &input("templates")?)?;
        for script in SCRIPTS {
            put(&format!("DEBIAN/{script}"), &input(script)?)?;
        }
        let control = String::from_utf8(input("control")?).context("control is not UTF-8")?;
        put("DEBIAN/control", self.control(&control)?.as_bytes())
    }

    fn control(&self, template: &str) -> anyhow::Result<String> {
        let libraries = match self.product.glibc {
            Some((major, minor)) => format!("libc6 (>= {major}.{minor}), "),
            None => String::new(),
        };
        let control = template
            .replace("@VERSION@", self.version)
            .replace("@ARCHITECTURE@", self.product.architecture)
            .replace("@LIBRARIES@", &libraries);
        if control.contains('@') && control.replace("simpul@localhost", "").contains('@') {
            bail!("control has a place that nothing fills:\n{control}");
        }
        Ok(control)
    }
}

const COPYRIGHT: &str = "Simpul is free under the Apache License 2.0 (/usr/share/common-licenses/Apache-2.0) or the MIT \
                         licence, as you choose.\nThe crates in it and their licences: the file beside this one that \
                         ends in .cdx.json.\n";

/// Where the packages' inputs are.
pub fn inputs() -> PathBuf {
    root().join("cross/targets")
}

fn inputs_readme() -> PathBuf {
    inputs().join("README.md")
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Give files and folders the modes and the time that they have in the package, whatever this machine's umask is.
fn settle(folder: &Path, epoch_s: u64) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            settle(&path, epoch_s)?;
            continue;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let in_folder = |folder: &str| path.parent().is_some_and(|parent| parent.ends_with(folder));
        let runs = in_folder("usr/bin") || (in_folder("DEBIAN") && SCRIPTS.contains(&name.as_str()));
        date(&path, if runs { 0o755 } else { 0o644 }, epoch_s)?;
    }
    date(folder, 0o755, epoch_s)
}

fn date(path: &Path, mode: u32, epoch_s: u64) -> anyhow::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(epoch_s);
    fs::File::open(path)?.set_modified(time).with_context(|| format!("cannot date {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package<'a>(product: &'a Product, program: &'a Path) -> Package<'a> {
        Package { product, program, version: "1.2.3", parts: None, epoch_s: 1_700_000_000 }
    }

    #[test]
    fn a_package_of_the_same_program_has_the_same_bytes_and_says_which_libraries_it_needs() {
        let folder = std::env::temp_dir().join(format!("simpul-package-{}", std::process::id()));
        let mut built = Vec::new();
        for inner in ["a", "another/and/deeper"] {
            let folder = folder.join(inner);
            fs::create_dir_all(&folder).unwrap();
            let program = folder.join("program");
            fs::write(&program, "#!/bin/sh\n").unwrap();
            let product = Product::named("agent-armhf").unwrap();
            built.push(fs::read(package(product, &program).build(&folder).unwrap()).unwrap());
        }
        assert!(built[0] == built[1]);
        let deb = folder.join("a/simpul-agent_1.2.3_armhf.deb");
        let told = command("dpkg-deb", &["-f", &deb.to_string_lossy(), "Depends"]).output().unwrap();
        assert!(told.stdout.starts_with(b"libc6 (>= 2.31), adduser"), "{told:?}");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_place_in_control_that_nothing_fills_is_refused() {
        let product = Product::named("agent-arm64").unwrap();
        let package = package(product, Path::new("/bin/true"));
        assert!(package.control("Version: @VERSION@\n").is_ok_and(|control| control == "Version: 1.2.3\n"));
        assert!(package.control("Depends: @MORE@\n").is_err());
    }
}
