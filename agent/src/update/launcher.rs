//! The first thing that `run` does, before the configuration is read: which program is it to be, and that one's start.
//!
//! systemd starts the packaged program. It counts a start on trial (durably, before it is made), looks whether the slot
//! still holds what was put there, sets the alarm, and becomes that program: `exec` keeps the process, so systemd's
//! notification and watchdog go on. A slot's program that is started this way only learns where it runs from.
//!
//! The alarm is the last resort against a program on trial that runs and does nothing: the kernel keeps it over `exec`
//! (alarm(2)) and ends the process, whatever that does. Whoever proves itself cancels it.
//!
//! Nothing here may end the agent: what cannot be read or written is told on standard error, and the package runs.

use std::ffi::{CString, OsString};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{alarm, execv};
use sha2::{Digest, Sha256};
use simpul_wire::update::Version;

use super::launch::{Launch, Packaged, Place};
use crate::spool;

/// The alarm comes by this part of the trial, and a second, after its end: a program that works ends its trial itself.
const ALARM_GRACE: u32 = 15;

/// Starts that are tried in one go: two slots, then the package.
const TRIES_MAX: usize = 3;

/// The file of a slot's program.
pub fn program_file(updates: &Path, place: Place) -> Option<PathBuf> {
    place.folder().map(|folder| updates.join(folder).join("simpul-agent"))
}

/// This program's version.
pub fn own_version() -> Version {
    // A test holds the package's version to this form.
    env!("CARGO_PKG_VERSION").parse().unwrap_or_default()
}

/// Become the program that is to run; returns where this one runs from if that is this one already.
pub fn start(updates: &Path, arguments: impl Iterator<Item = OsString>) -> Place {
    let own = std::env::current_exe().ok();
    if let Some(place) = own.as_deref().and_then(|own| slot_of(updates, own)) {
        return place;
    }
    if !updates.is_dir() {
        return Place::Packaged;
    }
    let arguments: Vec<_> = arguments.collect();
    match own.map_or_else(|| Err(io::Error::other("this program's own file is not known")), |own| packaged(&own)) {
        Ok(packaged) => become_what_is_next(updates, packaged, &arguments),
        Err(error) => tell(&format!("the packaged program cannot be looked at: {error}")),
    }
    Place::Packaged
}

/// The slot that a file lies in.
fn slot_of(updates: &Path, own: &Path) -> Option<Place> {
    let updates = updates.canonicalize().ok()?;
    let own = own.parent()?;
    [Place::A, Place::B].into_iter().find(|place| place.folder().is_some_and(|folder| updates.join(folder) == own))
}

/// What the packaged program is told by.
///
/// # Errors
/// Its file cannot be looked at.
fn packaged(own: &Path) -> io::Result<Packaged> {
    let metadata = fs::metadata(own)?;
    Ok(Packaged {
        version: own_version(),
        bytes: metadata.size(),
        modified_s: metadata.mtime(),
        spool_format: spool::FORMAT,
    })
}

/// Returns when the package is what is next.
fn become_what_is_next(updates: &Path, packaged: Packaged, arguments: &[OsString]) {
    let before = match Launch::load(updates) {
        Ok(before) => before,
        Err(error) => {
            tell(&format!("{error}: the packaged program runs, and updates begin anew"));
            // Once: the next start finds none.
            let _ = fs::rename(updates.join("launch"), updates.join("launch.damaged"));
            None
        }
    };
    let mut launch = before.clone().unwrap_or_else(|| Launch::new(packaged));
    launch.see_package(packaged);
    launch.count_start();
    if before.as_ref() != Some(&launch)
        && let Err(error) = launch.save(updates)
    {
        tell(&format!("{}: {error}: nothing goes on trial at this start", updates.display()));
        // A start that cannot be counted is not made: a full card must not become a loop.
        launch.trial = None;
    }
    for _ in 0..TRIES_MAX {
        let place = launch.next();
        if let Some(trial) = &launch.trial {
            alarm::set(trial.limit_s.saturating_add(trial.limit_s / ALARM_GRACE).saturating_add(1));
        }
        let Some(file) = program_file(updates, place) else { return };
        // Only returns when it did not work.
        let why = match check(&file, launch.program(place).map(|program| program.sha256)) {
            Ok(()) => execute(&file, arguments),
            Err(why) => why,
        };
        tell(&format!("{} cannot be started: {why}", file.display()));
        launch.broken(place, &format!("cannot be started: {why}"));
        alarm::cancel();
        if let Err(error) = launch.save(updates) {
            tell(&format!("{}: {error}", updates.display()));
        }
    }
}

/// Become a program; why not, if that returns. Not by `Command`: glibc's `execvp` behind it gives what the kernel cannot
/// execute to a shell, line by line.
fn execute(file: &Path, arguments: &[OsString]) -> String {
    let words = std::iter::once(file.as_os_str()).chain(arguments.iter().map(OsString::as_os_str));
    let words: Result<Vec<CString>, _> = words.map(|word| CString::new(word.as_bytes())).collect();
    match words {
        // The first is the file itself.
        Ok(words) => match words.first().map(|file| execv(file, &words)) {
            Some(Err(error)) => io::Error::from(error).to_string(),
            _ => "no program".into(),
        },
        Err(error) => error.to_string(),
    }
}

/// Whether a slot holds what was put there.
fn check(file: &Path, sha256: Option<[u8; 32]>) -> Result<(), String> {
    let sha256 = sha256.ok_or("the slot is empty")?;
    match hash(file) {
        Ok(found) if found == sha256 => Ok(()),
        Ok(_) => Err("it is not the program that was put there".into()),
        Err(error) => Err(error.to_string()),
    }
}

/// SHA-256 of a file. Blocking: a tenth of a second for a program on a small machine.
///
/// # Errors
/// It cannot be read.
pub fn hash(file: &Path) -> io::Result<[u8; 32]> {
    let mut file = File::open(file)?;
    let mut sum = Sha256::new();
    let mut bytes = vec![0; 64 * 1024];
    loop {
        match file.read(&mut bytes)? {
            0 => return Ok(sum.finalize().into()),
            length => sum.update(&bytes[..length]),
        }
    }
}

/// The log does not run yet.
fn tell(what: &str) {
    use std::io::Write;
    // Nobody may read it; that must not matter.
    let _ = writeln!(io::stderr(), "simpul-agent: {what}");
}

/// Whether this start was counted as one on trial: the alarm goes with it, and stays over exec.
pub fn is_counted() -> bool {
    match alarm::cancel() {
        Some(left_s) => {
            alarm::set(left_s.max(1));
            true
        }
        None => false,
    }
}

/// What is on trial has proved itself: it is not ended by the alarm.
pub fn cancel_alarm() {
    alarm::cancel();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packages_version_is_three_numbers() {
        assert_eq!(own_version().to_string(), env!("CARGO_PKG_VERSION"));
    }
}
