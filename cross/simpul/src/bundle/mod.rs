//! `simpul bundle`: all that makes one card one node, in a folder or one `.tar`.
//!
//! A bundle has a manifest ([`manifest`]) and three files: the agent's configuration, the enrolment token (or an
//! identity made ahead), and the agent (a Debian package or the static binary); besides, the passwords and tokens that the
//! configuration names. Each is named in the manifest with its length and SHA-256, and none is used before it fits.
//! `simpul bundle make` makes one out of the files, `simpul bundle check` says whether one is whole.
//!
//! Token, identity and passwords are secrets: read from files, held in memory that is wiped, written to the card, in no
//! message.

mod make;
mod manifest;
pub mod problem;

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};
use simpul_wire::enrolment::KeptIdentity;
use zeroize::Zeroizing;

pub use make::{Sources, make, private_file};
pub use manifest::{Entry, MANIFEST, Manifest, Role, check_village};
use problem::Problem;

/// Every enrolment token begins so.
const TOKEN_PREFIX: &str = "simpul1";
/// A manifest of three files is some 600 bytes; each secret adds 150.
const MANIFEST_BYTES_MAX: u64 = 64 << 10;
/// A folder's worth of strangers in a `.tar`, and it is no bundle.
const TAR_ENTRIES_MAX: usize = 64;

/// Gives a file of the bundle, if it is there and not longer than allowed.
type Source<'s> = &'s mut dyn FnMut(&str, u64) -> Result<Option<Zeroizing<Vec<u8>>>, Problem>;

/// A checked bundle.
pub struct Bundle {
    /// The manifest.
    pub manifest: Manifest,
    /// The agent's configuration.
    pub config: Vec<u8>,
    /// What the node comes into the district with.
    pub credential: Credential,
    /// The agent, and its file name.
    pub agent: Vec<u8>,
    /// The agent's file name.
    pub agent_name: String,
    /// Passwords and tokens that the configuration names, by their names beside it.
    pub secrets: Vec<(String, Zeroizing<Vec<u8>>)>,
}

/// How a node comes into the district: both are secrets.
pub enum Credential {
    /// By its enrolment token, which it exchanges for a certificate.
    Token(Zeroizing<Vec<u8>>),
    /// By an identity file that was made ahead: where there is no uplink on the day.
    Identity(Zeroizing<Vec<u8>>),
}

impl std::fmt::Debug for Bundle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bundle").field("node", &self.manifest.node).finish_non_exhaustive()
    }
}

/// The machine an agent is for, as Debian calls it.
pub fn machine_of(agent_name: &str, agent: &[u8]) -> Option<&'static str> {
    const MACHINES: [(&str, [u8; 2]); 4] =
        [("arm64", [0xB7, 0]), ("armhf", [0x28, 0]), ("amd64", [0x3E, 0]), ("riscv64", [0xF3, 0])];
    let named = |name: &str| agent_name.ends_with(&format!("_{name}.deb"));
    let is_elf = agent.starts_with(b"\x7FELF");
    MACHINES
        .into_iter()
        .find(|(name, number)| if is_elf { agent.get(18..20) == Some(number) } else { named(name) })
        .map(|(name, _)| name)
}

/// Whether `agent` is a Debian package (an `ar` archive).
pub fn is_package(agent: &[u8]) -> bool {
    agent.starts_with(b"!<arch>\ndebian-binary")
}

impl Bundle {
    /// Read and check the bundle at `path`, a folder or a `.tar`.
    pub fn read(path: &Path) -> Result<Self, Problem> {
        let shown = path.display().to_string();
        let unreadable = |error| Problem::Unreadable { name: shown.clone(), error };
        if fs::metadata(path).map_err(unreadable)?.is_dir() {
            Self::from_files(&mut |name, bytes_max| match File::open(path.join(name)) {
                Ok(file) => read_limited(file, name, bytes_max).map(Some),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(Problem::Unreadable { name: name.to_owned(), error }),
            })
        } else {
            Self::from_files(&mut |name, bytes_max| from_tar(path, name, bytes_max))
        }
        .map_err(|problem| match problem {
            Problem::FileMissing { name } if name == MANIFEST => Problem::NotABundle { path: shown.clone() },
            other => other,
        })
    }

    fn from_files(file: Source<'_>) -> Result<Self, Problem> {
        let mut file = |name: &str, bytes_max: u64| {
            file(name, bytes_max)?.ok_or_else(|| Problem::FileMissing { name: name.to_owned() })
        };
        let text = file(MANIFEST, MANIFEST_BYTES_MAX)?;
        let text = std::str::from_utf8(&text).map_err(|_| Problem::Manifest { what: "UTF-8".into() })?;
        let manifest = Manifest::parse(text)?;
        let mut checked = |entry: &Entry| {
            let bytes = file(&entry.name, entry.role.bytes_max())?;
            if bytes.len() as u64 != entry.bytes || !entry.sha256.eq_ignore_ascii_case(&sha256(&bytes)) {
                return Err(Problem::FileDiffers { name: entry.name.clone() });
            }
            check_content(entry.role, &entry.name, &bytes)?;
            Ok((entry.name.clone(), bytes))
        };
        let one = |role: Role| {
            let missing = || Problem::FileMissing { name: role.name().into() };
            manifest.files.iter().find(|entry| entry.role == role).ok_or_else(missing)
        };
        let (_, config) = checked(one(Role::Config)?)?;
        let credential = if manifest.files.iter().any(|entry| entry.role == Role::Identity) {
            let (name, bytes) = checked(one(Role::Identity)?)?;
            let kept = KeptIdentity::from_file(&bytes).map_err(|_| Problem::NotAnIdentity { name: name.clone() })?;
            if kept.node.as_str() != manifest.node {
                return Err(Problem::OthersIdentity { name, node: kept.node.to_string() });
            }
            Credential::Identity(bytes)
        } else {
            Credential::Token(checked(one(Role::Token)?)?.1)
        };
        let (agent_name, agent) = checked(one(Role::Agent)?)?;
        let secrets = manifest.files.iter().filter(|entry| entry.role == Role::Secret);
        let secrets = secrets.map(checked).collect::<Result<_, _>>()?;
        Ok(Bundle { config: config.to_vec(), credential, agent: agent.to_vec(), agent_name, secrets, manifest })
    }
}

/// Refuse what cannot be what its role says: a swapped pair of files is found here and not in the village.
fn check_content(role: Role, name: &str, bytes: &[u8]) -> Result<(), Problem> {
    let name = || name.to_owned();
    match role {
        Role::Token => {
            let token = bytes.trim_ascii();
            let visible = token.iter().all(u8::is_ascii_graphic);
            if !token.starts_with(TOKEN_PREFIX.as_bytes()) || token.len() <= TOKEN_PREFIX.len() || !visible {
                return Err(Problem::NotAToken { name: name() });
            }
        }
        Role::Secret => {
            // As the agent reads them: one line of text.
            let text = std::str::from_utf8(bytes).map(str::trim_end).unwrap_or_default();
            if text.is_empty() || text.contains(char::is_control) {
                return Err(Problem::NotASecret { name: name() });
            }
        }
        Role::Identity => {
            KeptIdentity::from_file(bytes).map_err(|_| Problem::NotAnIdentity { name: name() })?;
        }
        Role::Agent => {
            if !is_package(bytes) && !bytes.starts_with(b"\x7FELF") {
                return Err(Problem::NotAnAgent { name: name() });
            }
        }
        Role::Config => {
            let text =
                std::str::from_utf8(bytes).map_err(|_| Problem::NotAConfig { name: name(), what: "UTF-8".into() })?;
            let parsed: Result<toml::Table, _> = toml::from_str(text);
            // The parser's own words only: they may not show the line, which may hold a camera's password.
            parsed.map_err(|error| Problem::NotAConfig { name: name(), what: error.message().to_owned() })?;
        }
    }
    Ok(())
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn read_limited(reader: impl Read, name: &str, bytes_max: u64) -> Result<Zeroizing<Vec<u8>>, Problem> {
    let mut bytes = Zeroizing::new(Vec::new());
    let read = reader.take(bytes_max + 1).read_to_end(&mut bytes);
    read.map_err(|error| Problem::Unreadable { name: name.to_owned(), error })?;
    if bytes.len() as u64 > bytes_max {
        return Err(Problem::FileTooLarge { name: name.to_owned(), limit_bytes: bytes_max });
    }
    Ok(bytes)
}

fn from_tar(path: &Path, name: &str, bytes_max: u64) -> Result<Option<Zeroizing<Vec<u8>>>, Problem> {
    let not_a_bundle = || Problem::NotABundle { path: path.display().to_string() };
    let unreadable = |error| Problem::Unreadable { name: path.display().to_string(), error };
    let mut archive = tar::Archive::new(File::open(path).map_err(unreadable)?);
    for entry in archive.entries().map_err(|_| not_a_bundle())?.take(TAR_ENTRIES_MAX) {
        let entry = entry.map_err(|_| not_a_bundle())?;
        let found = entry.path().map_err(|_| not_a_bundle())?;
        let is_it = found.strip_prefix("./").unwrap_or(&found) == Path::new(name);
        if is_it && entry.header().entry_type().is_file() {
            return read_limited(entry, name, bytes_max).map(Some);
        }
    }
    Ok(None)
}
