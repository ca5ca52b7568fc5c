//! System packages: which programs a command needs, and Debian's packages that bring them.

use std::process::Command;

use anyhow::bail;

use crate::run::{command, found, run};

/// A program and the package that brings it.
#[derive(Debug, Clone, Copy)]
pub struct Need {
    /// Any of these will do: names to find, or paths.
    programs: &'static [&'static str],
    /// Debian's and Ubuntu's package.
    package: &'static str,
}

const fn need(programs: &'static [&'static str], package: &'static str) -> Need {
    Need { programs, package }
}

/// What a build needs: a C compiler and make for ring, SQLite and zstd.
pub const BUILD: &[Need] = &[need(&["cc"], "build-essential"), need(&["setpriv"], "util-linux")];

/// What the tests need besides: real peers and a browser.
pub const TEST: &[Need] = &[
    need(&["cc"], "build-essential"),
    need(&["setpriv"], "util-linux"),
    need(&["git"], "git"),
    need(&["python3"], "python3"),
    need(&["pip", "pip3"], "python3-pip"),
    need(&["mosquitto"], "mosquitto"),
    need(&["mosquitto_pub"], "mosquitto-clients"),
    need(&["apache2"], "apache2-bin"),
    need(&["htdigest"], "apache2-utils"),
    need(&["ffmpeg"], "ffmpeg"),
    need(&["mkfs.ext4"], "e2fsprogs"),
    need(&["losetup"], "mount"),
    need(&["eatmydata"], "eatmydata"),
    // Cards as boards have them, and their checkers.
    need(&["mkfs.vfat", "/usr/sbin/mkfs.vfat"], "dosfstools"),
    need(&["mcopy"], "mtools"),
    need(&["sfdisk", "/usr/sbin/sfdisk"], "fdisk"),
    need(&["xz"], "xz-utils"),
    need(&["zstd"], "zstd"),
    need(&["script"], "bsdutils"),
    // Labels are read back from their pictures.
    need(&["zbarimg"], "zbar-tools"),
    need(&["pdftoppm"], "poppler-utils"),
    need(&["qemu-system-arm"], "qemu-system-arm"),
    need(&["chromium", "chromium-browser", "google-chrome"], "chromium"),
    // The page's layout is tested with the letters that its styles ask for on a bare machine: others are wider.
    need(&["/usr/share/fonts/truetype/liberation/LiberationSans-Regular.ttf"], "fonts-liberation"),
];

/// What the outage and wire benches need besides: network namespaces and a shaper (`ip` and `tc`, one package).
pub const NETWORK: &[Need] = &[need(&["tc"], "iproute2")];

/// What a release needs besides the compiler from PyPI: packages, the room's page, the sources' time.
pub const DIST: &[Need] = &[
    need(&["cc"], "build-essential"),
    need(&["dpkg-deb"], "dpkg"),
    need(&["git"], "git"),
    need(&["python3"], "python3"),
    need(&["pip", "pip3"], "python3-pip"),
];

/// What its tests need: other machines' processors and libraries, a fresh Debian, the unit files' reader.
pub const DIST_TEST: &[Need] = &[
    need(&["qemu-aarch64-static", "qemu-aarch64"], "qemu-user-static"),
    need(&["/usr/arm-linux-gnueabihf/lib/ld-linux-armhf.so.3"], "libc6-armhf-cross"),
    need(&["debootstrap"], "debootstrap"),
    need(&["systemd-analyze"], "systemd"),
    need(&["minisign"], "minisign"),
];

/// What a machine needs that boots from a card: its emulator, and the makers of the card's image.
pub const MACHINE: &[Need] = &[
    need(&["qemu-system-x86_64"], "qemu-system-x86"),
    need(&["debootstrap"], "debootstrap"),
    need(&["mkfs.ext4"], "e2fsprogs"),
    need(&["mkfs.vfat", "/usr/sbin/mkfs.vfat"], "dosfstools"),
    need(&["mcopy"], "mtools"),
    need(&["sfdisk", "/usr/sbin/sfdisk"], "fdisk"),
];

/// What the demo's board needs: the emulator that runs the firmware.
pub const BOARD: &[Need] = &[need(&["qemu-system-arm"], "qemu-system-arm")];

/// Install what is missing, or say what to run.
pub fn ensure(needs: &[Need]) -> anyhow::Result<()> {
    let missing = |needs: &[Need]| -> Vec<&'static str> {
        let lacking = needs.iter().filter(|need| !need.programs.iter().any(|program| found(program)));
        lacking.map(|need| need.package).collect()
    };
    let packages = missing(needs);
    if !packages.is_empty() {
        println!("installing Debian packages: {}", packages.join(" "));
        install(&packages)?;
        let still = missing(needs);
        if !still.is_empty() {
            bail!("apt installed {}, but their programs are not there; install them by hand", still.join(" "));
        }
    }
    for (program, advice) in [
        ("node", "install Node 20.19 or later (nodejs.org, or your distribution's nodejs)"),
        ("npm", "install npm, which comes with Node"),
    ] {
        if !found(program) {
            bail!("{program} is not there: {advice}");
        }
    }
    Ok(())
}

fn install(packages: &[&'static str]) -> anyhow::Result<()> {
    let by_hand =
        format!("sudo apt-get update && sudo apt-get install -y --no-install-recommends {}", packages.join(" "));
    if !found("apt-get") {
        bail!("this is not Debian or Ubuntu; install what these packages bring there: {}", packages.join(" "));
    }
    let Some(prefix) = root_prefix() else {
        bail!("packages are missing and sudo wants a password; run this, then try again:\n  {by_hand}");
    };
    let apt = |arguments: &[&'static str]| {
        let mut all = prefix.to_vec();
        all.extend(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
        all.extend(arguments);
        run(&mut command(all[0], &all[1..]))
    };
    let mut arguments = vec!["install", "-y", "--no-install-recommends"];
    arguments.extend(packages);
    let installed = apt(&["update", "-qq"]).and_then(|()| apt(&arguments));
    installed.map_err(|error| error.context(format!("run this, then try again:\n  {by_hand}")))
}

/// What goes before a command that root runs: nothing for root, else sudo where that asks for no password.
fn root_prefix() -> Option<&'static [&'static str]> {
    if command("id", &["-u"]).output().is_ok_and(|output| output.stdout.trim_ascii() == b"0") {
        Some(&[])
    } else if command("sudo", &["-n", "true"]).output().is_ok_and(|output| output.status.success()) {
        Some(&["sudo", "-n"])
    } else {
        None
    }
}

/// What goes before `program` so that root runs it, for `purpose`.
pub fn root_words(program: &str, purpose: &str) -> anyhow::Result<&'static [&'static str]> {
    match root_prefix() {
        Some(words) => Ok(words),
        None => bail!("{program} needs root ({purpose}) and sudo wants a password: run `sudo -v` and try again"),
    }
}

/// `program` as root, for `purpose`.
pub fn as_root(program: &str, purpose: &str) -> anyhow::Result<Command> {
    Ok(match root_words(program, purpose)? {
        [sudo, rest @ ..] => {
            let mut command = command(sudo, rest);
            command.arg(program);
            command
        }
        [] => command(program, &[]),
    })
}
