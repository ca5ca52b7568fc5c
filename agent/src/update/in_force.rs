//! Which configuration is in force: the file on the node, the hub's, or the last good one; and what the hub may change.
//!
//! ```text
//! UPDATES/configuration/<first 16 hex digits of its SHA-256>.toml   the hub's, on trial or in force
//! UPDATES/configuration/last.toml                                   the file on the node, as it last reached the hub
//! ```
//!
//! - The hub's is in force while the file on the node is the one that it was judged beside: an edit on site wins.
//! - A file on the node that is refused does not end the agent: the last one that reached the hub runs (promise 6).
//! - The hub's may not change who the node is, whom it trusts, where secrets and the buffer are, or what people see of
//!   cameras: masks may be added from afar, and never taken away.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::launch::{Candidate, Launch, Remote, Trial};
use crate::config::{Config, ConfigError};
use crate::files::replace_file;

/// Where a configuration came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The file on the node.
    File,
    /// The hub; on trial, or proved.
    Hub {
        /// Its revision.
        revision: u64,
        /// Not proved yet.
        on_trial: bool,
    },
    /// The file on the node as it was: the present one is refused.
    LastGood(ConfigError),
}

/// The configuration in force.
#[derive(Debug, Clone)]
pub struct InForce {
    /// Validated.
    pub config: Config,
    /// As text.
    pub text: String,
    /// From where.
    pub origin: Origin,
    /// Why the hub's is not in force although there is one.
    pub set_aside: Option<String>,
    /// SHA-256 of the file on the node.
    pub file_sha256: [u8; 32],
}

impl InForce {
    /// In a sentence.
    pub fn why(&self, path: &Path) -> String {
        let path = path.display();
        let mut why = match &self.origin {
            Origin::File => format!("{path} is in force"),
            Origin::Hub { revision, on_trial: false } => {
                format!("revision {revision} of the hub is in force, instead of {path}; editing that file ends it")
            }
            Origin::Hub { revision, on_trial: true } => format!("revision {revision} of the hub is on trial"),
            Origin::LastGood(error) => format!("the last good one is in force, because {path} is refused: {error}"),
        };
        if let Some(aside) = &self.set_aside {
            why.push_str(&format!("; the hub's is not: {aside}"));
        }
        why
    }
}

/// SHA-256.
pub fn hash(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

fn folder(updates: &Path) -> PathBuf {
    updates.join("configuration")
}

fn remote_file(updates: &Path, sha256: &[u8; 32]) -> PathBuf {
    folder(updates).join(format!("{}.toml", hex::encode(&sha256[..8])))
}

fn last_file(updates: &Path) -> PathBuf {
    folder(updates).join("last.toml")
}

/// The configuration in force; without a folder of updates the file on the node, as it is. `trial`: one on trial counts,
/// for this start of it was counted.
///
/// # Errors
/// Nothing can be used: what is wrong with the file on the node.
pub fn load(path: &Path, updates: Option<&Path>, trial: bool) -> Result<InForce, ConfigError> {
    let Some(updates) = updates else {
        let text = Config::read(path)?;
        let config = Config::load(path)?;
        let file_sha256 = hash(text.as_bytes());
        return Ok(InForce { config, text, origin: Origin::File, set_aside: None, file_sha256 });
    };
    let read = Config::read(path);
    let file_sha256 = read.as_ref().map_or([0; 32], |text| hash(text.as_bytes()));
    let own = read.and_then(|text| Config::load(path).map(|config| (config, text)));
    // Damaged, or not to be read by whoever asks.
    let (launch, unreadable) = match Launch::load(updates) {
        Ok(launch) => (launch, None),
        Err(error) => (None, Some(format!("{}: {error}", updates.display()))),
    };
    let (config, text) = match own {
        Ok(own) => own,
        Err(error) => {
            let text = Config::read(&last_file(updates)).map_err(|_| error.clone())?;
            let config = Config::parse(&text, Config::folder(path)).map_err(|_| error.clone())?;
            return Ok(InForce { config, text, origin: Origin::LastGood(error), set_aside: None, file_sha256 });
        }
    };
    let mut in_force = InForce { config, text, origin: Origin::File, set_aside: unreadable, file_sha256 };
    let proved = |launch: &Launch| launch.configuration.map(|remote| (remote, false));
    let wanted = launch.as_ref().and_then(|launch| if trial { wanted(launch) } else { proved(launch) });
    if let Some((remote, on_trial)) = wanted {
        match remote_config(path, updates, &in_force, &remote) {
            Ok((config, text)) => {
                in_force.origin = Origin::Hub { revision: remote.revision, on_trial };
                (in_force.config, in_force.text) = (config, text);
            }
            Err(why) => in_force.set_aside = Some(why),
        }
    }
    Ok(in_force)
}

/// The hub's configuration that should be in force.
pub fn wanted(launch: &Launch) -> Option<(Remote, bool)> {
    match &launch.trial {
        Some(Trial { candidate: Candidate::Configuration(remote), .. }) => Some((*remote, true)),
        _ => launch.configuration.map(|remote| (remote, false)),
    }
}

fn remote_config(path: &Path, updates: &Path, own: &InForce, remote: &Remote) -> Result<(Config, String), String> {
    if remote.beside != own.file_sha256 {
        return Err(format!("{} was edited on the node, and wins", path.display()));
    }
    let file = remote_file(updates, &remote.sha256);
    let text = Config::read(&file).map_err(|error| error.to_string())?;
    if hash(text.as_bytes()) != remote.sha256 {
        return Err(format!("{} is damaged", file.display()));
    }
    let config = check(path, &own.config, &text)?;
    Ok((config, text))
}

/// A configuration of the hub's, if it may be taken.
///
/// # Errors
/// Why not: the validator's words, or what it may not change.
pub fn check(path: &Path, own: &Config, text: &str) -> Result<Config, String> {
    let config = Config::parse(text, Config::folder(path)).map_err(|error| error.to_string())?;
    let changed = forbidden(own, &config);
    if changed.is_empty() {
        return Ok(config);
    }
    Err(format!("it changes {}: that is done on the node", changed.join(", ")))
}

/// What `new` changes and may not, by key.
fn forbidden(own: &Config, new: &Config) -> Vec<String> {
    let mut changed: Vec<String> = Vec::new();
    let mut same = |key: &str, equal: bool| {
        if !equal {
            changed.push(key.to_owned());
        }
    };
    same("node", own.node == new.node);
    same("clock", own.clock == new.clock);
    same("state_directory", own.state_directory == new.state_directory);
    same("spool.directory", own.spool.directory == new.spool.directory);
    same("spool.hardware_serial", own.spool.hardware_serial == new.spool.hardware_serial);
    same("uplink.server_name", own.uplink.server_name == new.uplink.server_name);
    same("uplink.ca_file", own.uplink.ca_file == new.uplink.ca_file);
    same("uplink.certificate_file", own.uplink.certificate_file == new.uplink.certificate_file);
    same("uplink.key_file", own.uplink.key_file == new.uplink.key_file);
    same("enrolment.directory", own.enrolment.directory == new.enrolment.directory);
    same("enrolment.token_file", own.enrolment.token_file == new.enrolment.token_file);
    same("update.keys", own.update.keys == new.update.keys);
    let token = |config: &Config| config.local_api.as_ref().map(|api| api.token_file.clone());
    // Switched off is no secret given away.
    same("local_api.token_file", token(new).is_none() || token(own) == token(new));
    let firmware = |config: &Config| config.board.as_ref().and_then(|board| board.firmware.clone());
    same("board.firmware", firmware(new).is_none() || firmware(own) == firmware(new));
    for camera in &new.cameras {
        let known = own.cameras.iter().find(|other| other.id == camera.id);
        // Else any file that the agent can read could be tried as a password at an address of the hub's choice.
        let named = |file: &PathBuf| own.cameras.iter().any(|other| other.password_file.as_ref() == Some(file));
        if !camera.password_file.as_ref().is_none_or(named) {
            changed.push(format!("cameras.{}.password_file", camera.id));
        }
        let Some(known) = known else { continue };
        let kept = known.masks.iter().all(|mask| camera.masks.contains(mask));
        if !kept || (!known.masks.is_empty() && known.mask_resolution != camera.mask_resolution) {
            changed.push(format!("cameras.{}.masks", camera.id));
        }
    }
    changed
}

/// Keep a configuration of the hub's, to be named in the launch file after. Durable when this returns.
///
/// # Errors
/// It cannot be written.
pub fn keep(updates: &Path, text: &str) -> io::Result<[u8; 32]> {
    fs::create_dir_all(folder(updates))?;
    let sha256 = hash(text.as_bytes());
    replace_file(&remote_file(updates, &sha256), text.as_bytes())?;
    Ok(sha256)
}

/// The file on the node has reached the hub: it is the last good one.
///
/// # Errors
/// It cannot be written.
pub fn keep_last(updates: &Path, text: &str) -> io::Result<()> {
    if fs::read(last_file(updates)).is_ok_and(|kept| kept == text.as_bytes()) {
        return Ok(());
    }
    fs::create_dir_all(folder(updates))?;
    replace_file(&last_file(updates), text.as_bytes())
}

/// Delete configurations that nothing names any more.
pub fn tidy(updates: &Path, launch: &Launch) {
    let trial = wanted(launch).map(|(remote, _)| remote.sha256);
    let named = [trial, launch.configuration.map(|remote| remote.sha256)];
    let named: Vec<PathBuf> = named.into_iter().flatten().map(|sha256| remote_file(updates, &sha256)).collect();
    for entry in fs::read_dir(folder(updates)).into_iter().flatten().flatten() {
        let path = entry.path();
        if path != last_file(updates) && !named.contains(&path) {
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::launch::{Packaged, label};
    use super::*;

    const OWN: &str = "node = \"a-01\"\n[uplink]\nhubs = [\"hub:8883\"]\n[[cameras]]\nid = \"gate\"\n\
        snapshot_url = \"http://10.0.0.2/a\"\nusername = \"viewer\"\npassword_file = \"gate.password\"\n\
        masks = [{ x = 0, y = 0, width = 10, height = 10 }]\n[local_api]\ntoken_file = \"token\"\n";

    fn place() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        for secret in ["token", "gate.password", "other.password"] {
            let file = folder.path().join(secret);
            fs::write(&file, "rahasia-sekali-ini\n").unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        }
        let (path, updates) = (folder.path().join("agent.toml"), folder.path().join("updates"));
        fs::write(&path, OWN).unwrap();
        fs::create_dir(&updates).unwrap();
        (folder, path, updates)
    }

    fn packaged() -> Packaged {
        Packaged { version: Default::default(), bytes: 1, modified_s: 1, spool_format: 1 }
    }

    fn remote(revision: u64, updates: &Path, text: &str, beside: &str) -> Remote {
        let sha256 = keep(updates, text).unwrap();
        Remote { revision, sha256, beside: hash(beside.as_bytes()), rollout: [1; 16] }
    }

    #[test]
    fn what_the_hub_may_not_change_is_named() {
        let (_folder, path, _) = place();
        let own = Config::load(&path).unwrap();
        let said = |from: &str, to: &str| match check(&path, &own, &OWN.replacen(from, to, 1)) {
            Ok(_) => "taken".to_owned(),
            Err(why) => why,
        };
        let changes = |what: &str| format!("it changes {what}: that is done on the node");
        assert_eq!(said("a-01", "a-02"), changes("node"));
        assert_eq!(said("node =", "clock = \"trust\"\nnode ="), changes("clock"));
        assert_eq!(said("node =", "state_directory = \"/tmp\"\nnode ="), changes("state_directory"));
        assert_eq!(
            said("[uplink]", "[spool]\ndirectory = \"/tmp/s\"\n[uplink]"),
            changes("state_directory, spool.directory")
        );
        assert_eq!(said("[uplink]", "[uplink]\nserver_name = \"evil\""), changes("uplink.server_name"));
        assert_eq!(said("[uplink]", "[uplink]\nca_file = \"/tmp/ca.pem\""), changes("uplink.ca_file"));
        assert_eq!(said("[uplink]", "[enrolment]\ndirectory = \"/tmp\"\n[uplink]"), changes("enrolment.directory"));
        let key = "[update]\nkeys = [\"4cb5abf6ad79fbf5abbccafcc269d85cd2651ed4b885b5869f241aedf0a5ba29\"]\n[uplink]";
        assert_eq!(said("[uplink]", key), changes("update.keys"));
        assert_eq!(said("\"token\"", "\"other.password\""), changes("local_api.token_file"));
        assert_eq!(said("gate.password", "other.password"), changes("cameras.gate.password_file"));
        assert_eq!(said("masks = [{ x = 0, y = 0, width = 10, height = 10 }]", ""), changes("cameras.gate.masks"));
        assert_eq!(said("width = 10,", "width = 9,"), changes("cameras.gate.masks"));
        let bad = said("hubs = [\"hub:8883\"]", "hub = [\"hub:8883\"]");
        assert!(bad.contains("line 3") && bad.contains("did you mean hubs"), "{bad}");
        // What it is for.
        assert_eq!(said("hub:8883", "other:8883"), "taken");
        assert_eq!(said("masks = [", "masks = [{ x = 50, y = 50, width = 5, height = 5 }, "), "taken");
        assert_eq!(said("[local_api]\ntoken_file = \"token\"\n", "[host]\nenabled = false\n"), "taken");
    }

    #[test]
    fn the_hubs_is_in_force_until_somebody_edits_the_file_on_the_node() {
        let (_folder, path, updates) = place();
        let load = || super::load(&path, Some(&updates), true).unwrap();
        assert_eq!(load().origin, Origin::File);
        let mut launch = Launch::new(packaged());
        let first = OWN.replace("hub:8883", "one:8883");
        launch.configuration = Some(remote(7, &updates, &first, OWN));
        launch.save(&updates).unwrap();
        assert_eq!((load().origin, load().text), (Origin::Hub { revision: 7, on_trial: false }, first));
        let second = remote(8, &updates, &OWN.replace("hub:8883", "two:8883"), OWN);
        launch.trial = Some(Trial {
            rollout: [1; 16],
            candidate: Candidate::Configuration(second),
            from: label(7),
            to: label(8),
            starts_left: 2,
            limit_s: 900,
            floor: Default::default(),
            ailing: Vec::new(),
        });
        launch.save(&updates).unwrap();
        assert_eq!(load().config.uplink.hubs, ["two:8883"]);
        assert_eq!(super::load(&path, Some(&updates), false).unwrap().config.uplink.hubs, ["one:8883"], "not counted");
        assert!(load().why(&path).starts_with("revision 8 of the hub is on trial"));
        launch.roll_back("no hub");
        launch.save(&updates).unwrap();
        tidy(&updates, &launch);
        assert_eq!(fs::read_dir(updates.join("configuration")).unwrap().count(), 1);
        assert_eq!(load().config.uplink.hubs, ["one:8883"]);
        fs::write(&path, OWN.replace("hub:8883", "site:8883")).unwrap();
        assert_eq!(load().config.uplink.hubs, ["site:8883"]);
        assert!(load().why(&path).ends_with("was edited on the node, and wins"), "{}", load().why(&path));
    }

    #[test]
    fn a_refused_file_on_the_node_leaves_the_last_good_one_running() {
        let (_folder, path, updates) = place();
        fs::write(&path, "node = 7\n").unwrap();
        assert!(super::load(&path, Some(&updates), true).is_err(), "there is no last good one yet");
        keep_last(&updates, OWN).unwrap();
        let in_force = super::load(&path, Some(&updates), true).unwrap();
        assert_eq!(in_force.config.node.as_str(), "a-01");
        assert!(in_force.why(&path).contains("is refused") && in_force.why(&path).contains("line 1"));
        fs::remove_file(&path).unwrap();
        assert!(matches!(super::load(&path, Some(&updates), true).unwrap().origin, Origin::LastGood(_)));
        assert!(super::load(&path, None, true).is_err());
    }

    #[test]
    fn a_damaged_one_of_the_hub_is_never_taken() {
        let (_folder, path, updates) = place();
        let mut launch = Launch::new(packaged());
        let text = OWN.replace("hub:8883", "one:8883");
        launch.configuration = Some(remote(7, &updates, &text, OWN));
        launch.save(&updates).unwrap();
        let file = remote_file(&updates, &launch.configuration.unwrap().sha256);
        for damaged in [&text[..text.len() / 2], &text.replace("one", "owe")[..], ""] {
            fs::write(&file, damaged).unwrap();
            let in_force = super::load(&path, Some(&updates), true).unwrap();
            assert_eq!(in_force.config.uplink.hubs, ["hub:8883"]);
            assert!(in_force.set_aside.is_some_and(|why| why.ends_with("is damaged")));
        }
        fs::remove_file(&file).unwrap();
        assert_eq!(super::load(&path, Some(&updates), true).unwrap().origin, Origin::File);
    }
}
