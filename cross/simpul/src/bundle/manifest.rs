//! A node bundle's manifest, `bundle.toml`: for which node it is, and each file with its length and SHA-256.
//!
//! ```toml
//! format = 1
//! node = "35.12.07.2003-01"
//! village = "Banyuglugur"
//!
//! [[file]]
//! role = "config"        # config: agent.toml; token: the enrolment token (or identity: the
//!                        # identity file made ahead); agent: a .deb or the static binary;
//!                        # secret: a password or token that agent.toml names; any number to SECRETS_MAX
//! name = "agent.toml"
//! bytes = 1204
//! sha256 = "…"
//! ```

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use simpul_wire::NodeId;

use super::problem::Problem;

/// The manifest's file name.
pub const MANIFEST: &str = "bundle.toml";
/// The one format there is.
pub const FORMAT: u32 = 1;
/// Passwords and tokens of one node: 16 cameras and the local API have one each.
pub const SECRETS_MAX: usize = 17;
/// A village's name is shown on a label and in a list; longer ones are mistakes.
pub const VILLAGE_LETTERS_MAX: usize = 60;

/// What a file of the bundle is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The agent's configuration.
    Config,
    /// The enrolment token, `simpul1...`: a secret.
    Token,
    /// Instead of a token: the node's identity, made ahead (`simpul bundle ahead`): a secret.
    Identity,
    /// The agent: a Debian package or the static binary.
    Agent,
    /// A password or token that the configuration names: it lies beside it, under its own name.
    Secret,
}

impl Role {
    /// What a bundle has: one of each, and either a token or an identity; [`Role::Secret`] is besides.
    pub const ALL: [Role; 4] = [Role::Config, Role::Token, Role::Identity, Role::Agent];

    /// As in the manifest.
    pub fn name(self) -> &'static str {
        match self {
            Role::Config => "config",
            Role::Token => "token",
            Role::Identity => "identity",
            Role::Agent => "agent",
            Role::Secret => "secret",
        }
    }

    /// The largest such file: a configuration and a token are text for people; the agent is 5 MB, its package less.
    pub fn bytes_max(self) -> u64 {
        match self {
            Role::Config => 256 << 10,
            Role::Token | Role::Secret => 4 << 10,
            Role::Identity => 64 << 10,
            Role::Agent => 64 << 20,
        }
    }
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// What it is.
    pub role: Role,
    /// Its name beside the manifest.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256 in lower-case hex.
    pub sha256: String,
}

/// The manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// The node's id.
    pub node: String,
    /// Where it will stand, for people.
    pub village: String,
    /// The files.
    #[serde(rename = "file")]
    pub files: Vec<Entry>,
}

impl Manifest {
    /// Read and check a manifest: what is wrong is said with its key.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        #[derive(Deserialize)]
        struct Format {
            format: Option<u32>,
        }
        let wrong = |what: String| Problem::Manifest { what };
        // The format comes first: a newer one may have keys that this program does not know.
        let format: Format = toml::from_str(text).map_err(|error| wrong(error.message().to_owned()))?;
        if let Some(format) = format.format.filter(|format| *format != FORMAT) {
            return Err(Problem::NewerFormat { format });
        }
        let manifest: Manifest = toml::from_str(text).map_err(|error| wrong(error.message().to_owned()))?;
        NodeId::from_str(&manifest.node).map_err(|error| wrong(format!("node: {error}")))?;
        check_village(&manifest.village)?;
        let has = |role: Role| manifest.files.iter().any(|entry| entry.role == role);
        for role in Role::ALL {
            let is_spared = match role {
                Role::Token => has(Role::Identity),
                Role::Identity | Role::Secret => true,
                Role::Config | Role::Agent => false,
            };
            match manifest.files.iter().filter(|entry| entry.role == role).count() {
                1 => {}
                0 if is_spared => {}
                0 => return Err(Problem::FileMissing { name: role.name().into() }),
                _ => return Err(wrong(format!("file: role = \"{}\" twice", role.name()))),
            }
        }
        if has(Role::Token) && has(Role::Identity) {
            return Err(wrong("file: role = \"token\" + \"identity\"".into()));
        }
        let secrets = manifest.files.iter().filter(|entry| entry.role == Role::Secret);
        if secrets.clone().count() > SECRETS_MAX {
            return Err(wrong(format!("file: role = \"secret\": > {SECRETS_MAX}")));
        }
        // FAT does not tell case apart, and on the node they lie beside the configuration.
        let mut names = vec!["agent.toml".to_owned()];
        for entry in secrets {
            let name = entry.name.to_ascii_lowercase();
            if names.contains(&name) {
                return Err(wrong(format!("file: name = {:?}", entry.name)));
            }
            names.push(name);
        }
        for entry in &manifest.files {
            if !is_plain_name(&entry.name) {
                return Err(wrong(format!("file: name = {:?}", entry.name)));
            }
            if entry.bytes > entry.role.bytes_max() {
                return Err(Problem::FileTooLarge { name: entry.name.clone(), limit_bytes: entry.role.bytes_max() });
            }
        }
        Ok(manifest)
    }
}

/// A village's name is one line of visible letters.
pub fn check_village(village: &str) -> Result<(), Problem> {
    let letters = village.chars().count();
    if village.trim() != village
        || !(1..=VILLAGE_LETTERS_MAX).contains(&letters)
        || village.chars().any(char::is_control)
    {
        return Err(Problem::Manifest { what: format!("village: {village:?}") });
    }
    Ok(())
}

/// A name that stays in its folder on every system, and survives FAT.
pub fn is_plain_name(name: &str) -> bool {
    (1..=120).contains(&name.len())
        && !name.starts_with('.')
        && name != MANIFEST
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'+' | b'~'))
}
