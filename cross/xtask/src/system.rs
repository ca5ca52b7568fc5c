//! System packages: which programs a command needs, and Debian's packages that bring them.

use anyhow::bail;

use crate::run::{command, found, run};

/// A program and the package that brings it.
#[derive(Debug, Clone, Copy)]
pub struct Need {
    /// Any of these will do.
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
    need(&["chromium", "chromium-browser", "google-chrome"], "chromium"),
];

/// What the footprint bench needs besides: the static build.
pub const MUSL: &[Need] = &[need(&["musl-gcc"], "musl-tools")];

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

fn install(packages: &[&str]) -> anyhow::Result<()> {
    let by_hand =
        format!("sudo apt-get update && sudo apt-get install -y --no-install-recommends {}", packages.join(" "));
    if !found("apt-get") {
        bail!("this is not Debian or Ubuntu; install what these packages bring there: {}", packages.join(" "));
    }
    let root = command("id", &["-u"]).output().is_ok_and(|output| output.stdout.starts_with(b"0"));
    let prefix: &[&str] = if root {
        &[]
    } else if command("sudo", &["-n", "true"]).output().is_ok_and(|output| output.status.success()) {
        &["sudo", "-n"]
    } else {
        bail!("packages are missing and sudo wants a password; run this, then try again:\n  {by_hand}");
    };
    let apt = |arguments: &[&str]| {
        let all: Vec<&str> = prefix
            .iter()
            .copied()
            .chain(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"])
            .chain(arguments.iter().copied())
            .collect();
        run(&mut command(all[0], &all[1..]))
    };
    let mut arguments = vec!["install", "-y", "--no-install-recommends"];
    arguments.extend(packages);
    let installed = apt(&["update", "-qq"]).and_then(|()| apt(&arguments));
    installed.map_err(|error| error.context(format!("run this, then try again:\n  {by_hand}")))
}
