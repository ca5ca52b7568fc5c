//! `simpul bundle make`: a bundle out of its files.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::manifest::{FORMAT, is_plain_name};
use super::problem::Problem;
use super::{Bundle, Entry, MANIFEST, Manifest, Role, check_content, read_limited, sha256};

/// The files a bundle is made of, and for which node.
#[derive(Debug, Clone)]
pub struct Sources {
    /// The node's id.
    pub node: String,
    /// Where it will stand.
    pub village: String,
    /// The agent's configuration.
    pub config: PathBuf,
    /// A file with the enrolment token, or with an identity that was made ahead.
    pub credential: (Role, PathBuf),
    /// The agent.
    pub agent: PathBuf,
    /// Files with the passwords and tokens that the configuration names, called as it calls them.
    pub secrets: Vec<PathBuf>,
}

/// Make the bundle at `to`: a `.tar` if it is called so, else a new folder. What is there already stays.
pub fn make(sources: &Sources, to: &Path) -> Result<Bundle, Problem> {
    let mut files: Vec<(Entry, Zeroizing<Vec<u8>>)> = Vec::new();
    let one =
        [(Role::Config, &sources.config), (sources.credential.0, &sources.credential.1), (Role::Agent, &sources.agent)];
    for (role, path) in one.into_iter().chain(sources.secrets.iter().map(|path| (Role::Secret, path))) {
        let shown = path.display().to_string();
        let file = File::open(path).map_err(|error| Problem::Unreadable { name: shown.clone(), error })?;
        let bytes = read_limited(file, &shown, role.bytes_max())?;
        check_content(role, &shown, &bytes)?;
        let name = match role {
            Role::Config => "agent.toml".to_owned(),
            Role::Token => "enrolment.token".to_owned(),
            Role::Identity => "identity.cbor".to_owned(),
            Role::Agent | Role::Secret => {
                path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
            }
        };
        if !is_plain_name(&name) {
            return Err(Problem::Manifest { what: format!("file: name = {name:?}") });
        }
        files.push((Entry { role, name, bytes: bytes.len() as u64, sha256: sha256(&bytes) }, bytes));
    }
    let manifest = Manifest {
        format: FORMAT,
        node: sources.node.clone(),
        village: sources.village.clone(),
        files: files.iter().map(|(entry, _)| entry.clone()).collect(),
    };
    let text = toml::to_string(&manifest).map_err(|error| Problem::Manifest { what: error.to_string() })?;
    Manifest::parse(&text)?;
    write(to, &text, &files)?;
    Bundle::read(to)
}

fn write(to: &Path, manifest: &str, files: &[(Entry, Zeroizing<Vec<u8>>)]) -> Result<(), Problem> {
    let shown = to.display().to_string();
    let unwritable = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => Problem::AlreadyThere { path: shown.clone() },
        _ => Problem::Unwritable { path: shown.clone(), error },
    };
    let all = || {
        std::iter::once((MANIFEST, manifest.as_bytes()))
            .chain(files.iter().map(|(entry, bytes)| (entry.name.as_str(), bytes.as_slice())))
    };
    if to.extension().is_some_and(|extension| extension == "tar") {
        let mut archive = tar::Builder::new(private_file(to).map_err(unwritable)?);
        for (name, bytes) in all() {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o600);
            archive.append_data(&mut header, name, bytes).map_err(unwritable)?;
        }
        archive.into_inner().and_then(|file| file.sync_all()).map_err(unwritable)
    } else {
        fs::create_dir(to).map_err(unwritable)?;
        for (name, bytes) in all() {
            let mut file = private_file(&to.join(name)).map_err(unwritable)?;
            file.write_all(bytes).and_then(|()| file.sync_all()).map_err(unwritable)?;
        }
        Ok(())
    }
}

/// A new file that only its owner may read: it may hold the token.
pub fn private_file(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
