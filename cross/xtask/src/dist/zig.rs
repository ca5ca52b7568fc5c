//! The C compiler and linker for all products: zig, from PyPI, pinned by hash.
//!
//! One pinned compiler instead of each machine's own: a build elsewhere gives the same bytes. It brings musl's headers,
//! and stubs of the old glibc that a distribution's newer one cannot link against.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::products::Product;
use crate::deny::pip_fetch;
use crate::run::{command, run, target};

/// The wheel for x86_64 Linux, 101 MB; unpacked 410 MB.
const REQUIREMENT: &str =
    "ziglang==0.17.1 --hash=sha256:ea6cc5d87b033cf0aedfbc8f9549a908cae6c50ac31f1698188fa48a74524b54";
const VERSION: &str = "0.17.1";

/// zig, unpacked.
#[derive(Debug)]
pub struct Zig {
    folder: PathBuf,
}

impl Zig {
    /// The one that is there, else fetched.
    pub fn ensure() -> anyhow::Result<Zig> {
        let folder = target().join("tools").join(format!("zig-{VERSION}"));
        let zig = Zig { folder };
        if zig.program().is_file() {
            return Ok(zig);
        }
        if !cfg!(all(target_arch = "x86_64", target_os = "linux")) {
            bail!("releases are built on x86_64 Linux: zig is pinned for that; run this there");
        }
        println!("fetching zig {VERSION} (101 MB)");
        let download = target().join("downloads/zig");
        let wheel = pip_fetch(&download, REQUIREMENT, &[])?;
        let unpacked = download.join("unpacked");
        run(&mut command("python3", &["-m", "zipfile", "-e", &wheel.to_string_lossy(), &unpacked.to_string_lossy()]))?;
        let inside = unpacked.join("ziglang");
        executable(&inside.join("zig"))?;
        if zig.folder.exists() {
            fs::remove_dir_all(&zig.folder)?;
        }
        fs::create_dir_all(target().join("tools"))?;
        // Last, and at once: a folder with this name is whole.
        fs::rename(&inside, &zig.folder).with_context(|| format!("cannot make {}", zig.folder.display()))?;
        fs::remove_dir_all(&download)?;
        Ok(zig)
    }

    fn program(&self) -> PathBuf {
        self.folder.join("zig")
    }

    /// A C compiler and linker for a product, as one program without arguments.
    pub fn compiler(&self, product: &Product) -> anyhow::Result<PathBuf> {
        // Build scripts and rustc name the target in their own words, which zig does not know.
        let script = format!(
            "#!/bin/sh\nfor word; do shift; case \"$word\" in --target=*|-march=*) ;; *) set -- \"$@\" \"$word\" ;; esac; done\n\
             exec '{}' cc -target {}{} \"$@\"\n",
            self.program().display(),
            product.zig,
            // What rustc's target has; zig's own default includes NEON.
            if product.architecture == "armhf" { " -mcpu=generic+v7a+vfp3d16-neon" } else { "" },
        );
        self.script(&format!("cc-{}", product.zig), &script)
    }

    /// `ar` for any target.
    pub fn archiver(&self) -> anyhow::Result<PathBuf> {
        self.script("ar", &format!("#!/bin/sh\nexec '{}' ar \"$@\"\n", self.program().display()))
    }

    fn script(&self, name: &str, text: &str) -> anyhow::Result<PathBuf> {
        let path = self.folder.join(format!("simpul-{name}"));
        // Cargo builds anew what a changed compiler would touch: leave one alone that is right.
        if fs::read_to_string(&path).is_ok_and(|there| there == text) {
            return Ok(path);
        }
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        executable(&path)?;
        Ok(path)
    }
}

/// Where zig keeps what it compiles once: start files, stubs, its runtime.
pub fn cache() -> PathBuf {
    target().join("tools/zig-cache")
}

fn executable(path: &Path) -> anyhow::Result<()> {
    let permissions = fs::Permissions::from_mode(0o755);
    fs::set_permissions(path, permissions).with_context(|| format!("cannot make {} executable", path.display()))
}
