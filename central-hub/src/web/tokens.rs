//! Named tokens, until there are accounts: one line each in a file of mode 0600, `NAME SHA256 CREATED_MS`.
//!
//! A token is 256 random bits, so its plain SHA-256 is enough to keep (nothing can be guessed from it), and comparing
//! takes the same time whatever matches. The file is read again when it changes: a revoked token ends within a second.

use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use sha2::{Digest, Sha256};
use simpul_clock::{Clock, Moment};
use subtle::ConstantTimeEq;

/// Tokens of one hub: a room, a few offices, some programs. Each request compares with all of them.
const TOKENS_MAX: usize = 1_000;

/// Largest file: [`TOKENS_MAX`] lines of at most 115 bytes.
const FILE_BYTES_MAX: u64 = 128 * 1024;

/// How old the knowledge of the file may be.
const CHECK_EACH: Duration = Duration::from_secs(1);

/// What a token begins with, so that people and secret scanners recognise one.
const PREFIX: &str = "simpul_";

/// Why tokens could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file or its folder.
    #[error("tokens file {path}: {source}; correct web.tokens_file or the file's rights")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Others could read it.
    #[error("tokens file {path} has mode {mode:03o}: only its owner may read it; run `chmod 600 {path}`")]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A line is not a token.
    #[error(
        "tokens file {path}, line {line}: NAME SHA256 CREATED_MS is expected; remove the line and add the token again"
    )]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// The name.
    #[error("token name {0:?}: 1 to 32 letters, digits, '.', '_' or '-' are allowed, but not \"local\"")]
    Name(String),
    /// The name is taken.
    #[error("there is a token named {0} already: revoke it first, or choose another name")]
    Taken(String),
    /// No such token.
    #[error("there is no token named {0}: `simpul-hub token list` shows all of them")]
    Unknown(String),
    /// Too many.
    #[error("there are {TOKENS_MAX} tokens: revoke some first")]
    TooMany,
    /// No randomness.
    #[error("the system gave no randomness: {0}")]
    Random(String),
}

/// A token as the file knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenEntry {
    /// Its name: who it is in the log of looks.
    pub name: String,
    /// SHA-256 of the token.
    pub sha256: [u8; 32],
    /// When it was made, Unix milliseconds.
    pub created_ms: i64,
}

/// The tokens of a file, followed while the hub runs.
#[derive(Debug)]
pub struct Tokens {
    path: PathBuf,
    clock: Clock,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    checked: Moment,
    identity: Option<FileIdentity>,
    /// Whether a token is asked for. Once true it stays so: a file that vanishes locks, it does not open.
    required: bool,
    entries: Vec<TokenEntry>,
}

/// Changes whenever the file is written or replaced.
type FileIdentity = (u64, u64, i64, i64);

impl Tokens {
    /// Read the file, if there is one.
    pub fn open(path: PathBuf, clock: Clock) -> Result<Tokens, TokenError> {
        let identity = identity(&path);
        let entries = read(&path)?;
        let known =
            Known { checked: clock.now(), identity, required: entries.is_some(), entries: entries.unwrap_or_default() };
        Ok(Tokens { path, clock, known: Mutex::new(known) })
    }

    /// Whether a token is asked for: there is, or was, a tokens file.
    pub fn required(&self) -> bool {
        self.with(|known| known.required)
    }

    /// How many tokens there are.
    pub fn count(&self) -> usize {
        self.with(|known| known.entries.len())
    }

    /// The name of a token, if it is one.
    pub fn name_of(&self, token: &str) -> Option<String> {
        let hash: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        self.with(|known| {
            let mut name = None;
            for entry in &known.entries {
                // Every entry is compared, so the time says nothing about which one fits.
                if bool::from(entry.sha256.ct_eq(&hash)) {
                    name = Some(entry.name.clone());
                }
            }
            name
        })
    }

    /// Whether a token of this name is there (still).
    pub fn knows(&self, name: &str) -> bool {
        self.with(|known| known.entries.iter().any(|entry| entry.name == name))
    }

    fn with<T>(&self, look: impl FnOnce(&Known) -> T) -> T {
        let mut known = self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let now = self.clock.now();
        if now.since(known.checked) >= CHECK_EACH {
            known.checked = now;
            self.follow(&mut known);
        }
        look(&known)
    }

    fn follow(&self, known: &mut Known) {
        let identity = identity(&self.path);
        if identity == known.identity {
            return;
        }
        known.identity = identity;
        known.entries = match read(&self.path) {
            Ok(Some(entries)) => {
                known.required = true;
                entries
            }
            Ok(None) => Vec::new(),
            Err(error) => {
                tracing::error!(%error, "the tokens file cannot be read: nobody gets in until it is mended");
                known.required = true;
                Vec::new()
            }
        };
    }
}

fn identity(path: &Path) -> Option<FileIdentity> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.ino(), metadata.len(), metadata.mtime(), metadata.mtime_nsec()))
}

/// The entries of a tokens file; `None` if there is no file.
pub fn read(path: &Path) -> Result<Option<Vec<TokenEntry>>, TokenError> {
    let io = |source| TokenError::Io { path: path.into(), source };
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(error)),
    };
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(TokenError::Mode { path: path.into(), mode });
    }
    if metadata.len() > FILE_BYTES_MAX {
        return Err(TokenError::TooMany);
    }
    let text = std::fs::read_to_string(path).map_err(io)?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.is_empty());
    let entries =
        lines.map(|(index, line)| entry(line).ok_or_else(|| TokenError::Line { path: path.into(), line: index + 1 }));
    entries.collect::<Result<_, _>>().map(Some)
}

fn entry(line: &str) -> Option<TokenEntry> {
    let mut words = line.split(' ');
    let (name, hash, created) = (words.next()?, words.next()?, words.next()?);
    let sha256 = hex::decode(hash).ok()?.try_into().ok()?;
    (words.next().is_none() && valid_name(name))
        .then(|| Some(TokenEntry { name: name.into(), sha256, created_ms: created.parse().ok()? }))?
}

fn valid_name(name: &str) -> bool {
    (1..=32).contains(&name.len())
        && name != "local"
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// Make a token and add it to the file; returns it, for the only time.
pub fn add(path: &Path, name: &str, now_ms: i64) -> Result<String, TokenError> {
    if !valid_name(name) {
        return Err(TokenError::Name(name.into()));
    }
    let mut entries = read(path)?.unwrap_or_default();
    if entries.iter().any(|entry| entry.name == name) {
        return Err(TokenError::Taken(name.into()));
    }
    if entries.len() >= TOKENS_MAX {
        return Err(TokenError::TooMany);
    }
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|error| TokenError::Random(error.to_string()))?;
    let token = format!("{PREFIX}{}", hex::encode(random));
    let sha256 = Sha256::digest(token.as_bytes()).into();
    entries.push(TokenEntry { name: name.into(), sha256, created_ms: now_ms });
    write(path, &entries)?;
    Ok(token)
}

/// Take a token out of the file.
pub fn revoke(path: &Path, name: &str) -> Result<(), TokenError> {
    let mut entries = read(path)?.unwrap_or_default();
    let before = entries.len();
    entries.retain(|entry| entry.name != name);
    if entries.len() == before {
        return Err(TokenError::Unknown(name.into()));
    }
    write(path, &entries)
}

/// Replace the file whole: a power cut leaves the old one or the new one.
fn write(path: &Path, entries: &[TokenEntry]) -> Result<(), TokenError> {
    let io = |source| TokenError::Io { path: path.into(), source };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let temporary = path.with_extension("new");
    match std::fs::remove_file(&temporary) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(io(error)),
        _ => {}
    }
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary).map_err(io)?;
    for entry in entries {
        writeln!(file, "{} {} {}", entry.name, hex::encode(entry.sha256), entry.created_ms).map_err(io)?;
    }
    file.sync_all().map_err(io)?;
    std::fs::rename(&temporary, path).map_err(io)?;
    std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(io)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn a_token_is_known_by_name_until_it_is_revoked() {
        let folder = folder();
        let path = folder.path().join("tokens");
        let clock = Clock::held(0);
        let token = add(&path, "room", 7).unwrap();
        let tokens = Tokens::open(path.clone(), clock.clone()).unwrap();
        assert_eq!(tokens.name_of(&token).as_deref(), Some("room"));
        assert_eq!(tokens.name_of(&token[..token.len() - 1]), None);
        revoke(&path, "room").unwrap();
        clock.advance(CHECK_EACH);
        assert_eq!(tokens.name_of(&token), None);
        assert!(tokens.required(), "without tokens nobody gets in, not everybody");
    }

    #[test]
    fn a_tokens_file_that_vanishes_locks_and_does_not_open() {
        let folder = folder();
        let path = folder.path().join("tokens");
        let clock = Clock::held(0);
        add(&path, "room", 7).unwrap();
        let tokens = Tokens::open(path.clone(), clock.clone()).unwrap();
        std::fs::remove_file(&path).unwrap();
        clock.advance(CHECK_EACH);
        assert!(tokens.required());
    }

    #[test]
    fn the_file_is_the_owners_alone_and_holds_no_token() {
        let folder = folder();
        let path = folder.path().join("tokens");
        let token = add(&path, "room", 7).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains(token.trim_start_matches(PREFIX)), "{text}");
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        let path_text = path.display();
        let expected =
            format!("tokens file {path_text} has mode 644: only its owner may read it; run `chmod 600 {path_text}`");
        assert_eq!(read(&path).unwrap_err().to_string(), expected);
    }

    #[test]
    fn bad_names_are_refused_with_what_is_allowed() {
        let folder = folder();
        let path = folder.path().join("tokens");
        for name in ["", "a b", "local", "ä", &"x".repeat(33)] {
            let expected =
                format!("token name {name:?}: 1 to 32 letters, digits, '.', '_' or '-' are allowed, but not \"local\"");
            assert_eq!(add(&path, name, 0).unwrap_err().to_string(), expected);
        }
        add(&path, "a", 0).unwrap();
        let taken = "there is a token named a already: revoke it first, or choose another name";
        assert_eq!(add(&path, "a", 0).unwrap_err().to_string(), taken);
        let unknown = "there is no token named b: `simpul-hub token list` shows all of them";
        assert_eq!(revoke(&path, "b").unwrap_err().to_string(), unknown);
    }
}
