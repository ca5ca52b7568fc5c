//! A fetched program into a slot: unpacked, compared, synced, and asked who it is, before anything names it. Blocking.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use sha2::{Digest, Sha256};
use simpul_clock::Clock;
use simpul_wire::update::Manifest;
use zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer};

use super::judge::AGENT_PLATFORM;
use super::launch::Program;
use super::launcher::own_version;
use crate::spool;

/// Largest window of a frame: 8 MiB, which the highest ordinary level takes for a program of 6 MB. It is what unpacking
/// takes of memory.
const WINDOW_LOG_MAX: u32 = 23;

/// A piece of what is packed, and of what is unpacked.
const PIECE_BYTES: usize = 64 * 1024;

/// A program that is asked who it is answers at once; a small machine with a slow card gets more.
const ANSWER_MAX: Duration = Duration::from_secs(20);

/// Between two looks whether it has answered.
const ANSWER_LOOK: Duration = Duration::from_millis(20);

/// Free space that is left beside: the spool's ballast is not for this.
const SPARE_BYTES: u64 = 16 * 1024 * 1024;

/// Why it was not installed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// For now: it is tried again.
    #[error("{0}")]
    Passing(String),
    /// It will never do.
    #[error("{0}")]
    Final(String),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Trouble::Passing(error.to_string())
    }
}

/// Whether so many bytes fit beside what else wants room.
///
/// # Errors
/// They do not, or the disk cannot be asked.
pub fn room_for(folder: &Path, bytes: u64) -> Result<(), Trouble> {
    let there = rustix::fs::statvfs(folder).map_err(io::Error::from)?;
    let free = there.f_bavail.saturating_mul(there.f_frsize);
    if free >= bytes.saturating_add(SPARE_BYTES) {
        return Ok(());
    }
    Err(Trouble::Passing(format!("{bytes} bytes do not fit: {free} are free, and {SPARE_BYTES} stay so")))
}

/// Unpack `content` to `folder`'s program and try it.
///
/// # Errors
/// Why it is not there.
pub fn install(
    content: &Path,
    folder: &Path,
    manifest: &Manifest,
    formats: &[u16],
    clock: &Clock,
) -> Result<Program, Trouble> {
    fs::create_dir_all(folder)?;
    room_for(folder, u64::from(manifest.installed_bytes))?;
    let (new, file) = (folder.join("simpul-agent.new"), folder.join("simpul-agent"));
    // Not one that a power cut left: its mode would stay.
    remove(&new)?;
    remove(&file)?;
    let mut out = OpenOptions::new().write(true).create_new(true).mode(0o755).open(&new)?;
    let unpacked = unpack(File::open(content)?, &mut out, manifest);
    let synced = unpacked.and_then(|()| out.sync_all().map_err(Trouble::from));
    // Closed before it is started: a file that is open for writing is "busy".
    drop(out);
    if let Err(trouble) = synced {
        remove(&new)?;
        return Err(trouble);
    }
    fs::rename(&new, &file)?;
    File::open(folder)?.sync_all()?;
    if let Some(above) = folder.parent() {
        File::open(above)?.sync_all()?;
    }
    ask(&file, manifest, formats, clock)?;
    Ok(Program { version: manifest.version, sha256: manifest.installed_sha256 })
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn unpack(mut packed: impl Read, out: &mut impl Write, manifest: &Manifest) -> Result<(), Trouble> {
    let bad = |what: String| Trouble::Final(format!("the program cannot be unpacked: {what}"));
    let zstd = |code| bad(zstd_safe::get_error_name(code).to_owned());
    let mut context = DCtx::create();
    context.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX)).map_err(zstd)?;
    let (mut from, mut to) = (vec![0; PIECE_BYTES], vec![0; PIECE_BYTES]);
    let (mut sum, mut length) = (Sha256::new(), 0u64);
    let mut ended = false;
    loop {
        let read = packed.read(&mut from)?;
        if read == 0 {
            break;
        }
        let mut input = InBuffer::around(&from[..read]);
        loop {
            if ended {
                return Err(bad("something stands behind its end".into()));
            }
            let mut output = OutBuffer::around(&mut to[..]);
            ended = context.decompress_stream(&mut output, &mut input).map_err(zstd)? == 0;
            let written = output.pos();
            length += written as u64;
            // Before it is written: a frame that unpacks to gigabytes costs one piece.
            if length > u64::from(manifest.installed_bytes) {
                return Err(bad(format!("more than the {} bytes of its manifest", manifest.installed_bytes)));
            }
            sum.update(&to[..written]);
            out.write_all(&to[..written])?;
            let more = input.pos < read || written == PIECE_BYTES;
            if !more || (ended && input.pos == read) {
                break;
            }
        }
    }
    let sum: [u8; 32] = sum.finalize().into();
    if !ended || length != u64::from(manifest.installed_bytes) {
        return Err(bad(format!("{length} of the {} bytes of its manifest", manifest.installed_bytes)));
    }
    if sum != manifest.installed_sha256 {
        return Err(bad("it is not what its manifest says".into()));
    }
    Ok(())
}

/// What a program says when it is asked who it is (`simpul-agent introduce`): version, platform, the format of the spool
/// that it writes.
pub fn introduction() -> String {
    format!("simpul-agent {} {AGENT_PLATFORM} spool {}\n", own_version(), spool::FORMAT)
}

/// Ask a program who it is: what cannot even do that here does not go on trial. One that writes a format of the spool
/// that those who may follow it (`formats`: the newest that each reads) cannot read is refused: what it wrote on trial would be lost to them.
fn ask(file: &Path, manifest: &Manifest, formats: &[u16], clock: &Clock) -> Result<(), Trouble> {
    let fails = |why: String| Trouble::Final(format!("the program cannot be started here: {why}"));
    let mut command = Command::new(file);
    command.arg("introduce").env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let since = clock.now();
    let mut child = loop {
        match command.spawn() {
            Ok(child) => break child,
            // Another thread's child holds the file open until it has become its own program.
            Err(error)
                if error.kind() == io::ErrorKind::ExecutableFileBusy && clock.now().since(since) < ANSWER_MAX =>
            {
                std::thread::sleep(ANSWER_LOOK);
            }
            Err(error) => return Err(fails(error.to_string())),
        }
    };
    let status = loop {
        match child.try_wait()? {
            Some(status) => break status,
            None if clock.now().since(since) >= ANSWER_MAX => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(fails(format!("it did not answer within {} s", ANSWER_MAX.as_secs())));
            }
            None => std::thread::sleep(ANSWER_LOOK),
        }
    };
    let mut said = String::new();
    if let Some(out) = child.stdout.take() {
        // A line: what is longer is none.
        let _ = out.take(256).read_to_string(&mut said);
    }
    if !status.success() {
        return Err(fails(format!("{status}")));
    }
    let words: Vec<&str> = said.split_whitespace().collect();
    let ["simpul-agent", version, _, "spool", format, ..] = words[..] else {
        return Err(fails("it does not say who it is".into()));
    };
    if version != manifest.version.to_string() {
        return Err(Trouble::Final(format!("signed as {}, and it says that it is {version}", manifest.version)));
    }
    let format: u16 = format.parse().map_err(|_| fails("it does not say what it writes".into()))?;
    match formats.iter().min() {
        Some(read) if format > *read => Err(Trouble::Final(format!(
            "it writes the spool's format {format}, and a program that may have to follow it reads up to {read}: install \
             a version between them first"
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::judge::tests::{manifest, version};
    use super::*;
    use simpul_wire::update::Part;

    pub(in super::super) fn pack(bytes: &[u8]) -> Vec<u8> {
        let mut out = vec![0; zstd_safe::compress_bound(bytes.len())];
        let length = zstd_safe::compress(out.as_mut_slice(), bytes, 3).unwrap();
        out.truncate(length);
        out
    }

    fn of(program: &[u8]) -> Manifest {
        Manifest {
            installed_bytes: program.len() as u32,
            installed_sha256: Sha256::digest(program).into(),
            ..manifest(Part::Agent, 6)
        }
    }

    fn said(packed: &[u8], manifest: &Manifest) -> String {
        let folder = tempfile::tempdir().unwrap();
        let content = folder.path().join("content");
        fs::write(&content, packed).unwrap();
        match install(&content, &folder.path().join("a"), manifest, &[1, 1], &Clock::machine()) {
            Ok(program) => format!("installed {}", program.version),
            Err(trouble) => trouble.to_string(),
        }
    }

    #[test]
    fn only_what_its_manifest_says_is_installed_and_only_if_it_can_say_who_it_is() {
        let script = |body: &str| format!("#!/bin/sh\n{body}\n").into_bytes();
        let good = script("echo simpul-agent 0.6.0 x86_64-linux spool 1 and more");
        let whole = pack(&good);
        assert_eq!(said(&whole, &of(&good)), "installed 0.6.0");
        let other = script("echo simpul-agent 0.6.0 x86_64-linux spool 1 and none");
        let cannot = "the program cannot be unpacked: ";
        assert_eq!(said(&pack(&other), &of(&good)), format!("{cannot}it is not what its manifest says"));
        assert_eq!(said(b"no frame", &of(&good)), format!("{cannot}Unknown frame descriptor"));
        for length in 0..whole.len() {
            assert!(said(&whole[..length], &of(&good)).starts_with(cannot), "cut at {length}");
        }
        let behind = [&whole[..], &[0]].concat();
        assert_eq!(said(&behind, &of(&good)), format!("{cannot}something stands behind its end"));
        let bomb = pack(&vec![0; 40 << 20]);
        assert!(bomb.len() < 10_000);
        let more = format!("{cannot}more than the {} bytes of its manifest", good.len());
        assert_eq!(said(&bomb, &of(&good)), more);
        let fails = "the program cannot be started here: ";
        for (program, expected) in [
            (script("exit 3"), format!("{fails}exit status: 3")),
            (script("echo hello"), format!("{fails}it does not say who it is")),
            (b"\x7fELF of another machine".to_vec(), format!("{fails}Exec format error (os error 8)")),
            (
                script("echo simpul-agent 0.7.0 x86_64-linux spool 1"),
                "signed as 0.6.0, and it says that it is 0.7.0".to_owned(),
            ),
            (
                script("echo simpul-agent 0.6.0 x86_64-linux spool 2"),
                "it writes the spool's format 2, and a program that may have to follow it reads up to 1: install a version \
                 between them first"
                    .to_owned(),
            ),
        ] {
            assert_eq!(said(&pack(&program), &of(&program)), expected);
        }
        assert_eq!(version(6).to_string(), "0.6.0");
    }

    #[test]
    fn this_program_would_install_itself() {
        let said = introduction();
        let words: Vec<&str> = said.split_whitespace().collect();
        assert!(matches!(words[..], ["simpul-agent", _, AGENT_PLATFORM, "spool", _]), "{said}");
    }

    #[test]
    fn what_does_not_fit_is_not_begun() {
        let folder = tempfile::tempdir().unwrap();
        assert!(room_for(folder.path(), 1_000).is_ok());
        let full = room_for(folder.path(), u64::MAX / 2).unwrap_err().to_string();
        assert!(full.contains("do not fit"), "{full}");
    }
}
