//! Reading values by key: each method takes a key of the table, falls back to its default and notes a problem
//! instead of failing, so that one run lists everything that is wrong.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use simpul_wire::enrolment::{ADDRESSES_MAX, Address};
use toml::{Table, Value};

use super::Problem;
use super::keys::KEYS;
use crate::updates::key::PublicKey;

/// The raw file while it is being validated.
pub struct Reader {
    table: Table,
    folder: PathBuf,
    data_directory: PathBuf,
    problems: Vec<Problem>,
}

/// Update keys at once: the one in use, the next one, and one of another maker, with one to spare.
const UPDATE_KEYS_MAX: usize = 4;

const CORRECT: &str = "correct it";

impl Reader {
    /// Check the names of all keys and find the data directory, which other defaults begin at.
    pub fn new(table: Table, folder: &Path, data_directory: &Option<PathBuf>) -> Reader {
        let mut reader = Reader { table, folder: folder.into(), data_directory: PathBuf::new(), problems: Vec::new() };
        reader.check_names();
        reader.data_directory = match data_directory {
            Some(directory) => directory.clone(),
            None => reader.path("data_directory").unwrap_or_default(),
        };
        reader
    }

    /// The problems that were found.
    pub fn problems(self) -> Vec<Problem> {
        self.problems
    }

    /// The data directory.
    pub fn data_directory(&self) -> PathBuf {
        self.data_directory.clone()
    }

    fn check_names(&mut self) {
        let mut unknown = Vec::new();
        for (name, value) in &self.table {
            match value {
                Value::Table(section) if KEYS.iter().any(|key| in_section(key.path, name)) => {
                    let full = section.keys().map(|key| format!("{name}.{key}"));
                    unknown.extend(full.filter(|full| KEYS.iter().all(|key| key.path != full)));
                }
                _ if KEYS.iter().any(|key| key.path == name) => {}
                _ => unknown.push(name.clone()),
            }
        }
        for key in unknown {
            let hint = hint(&key, KEYS.iter().map(|key| key.path).chain(sections()));
            self.problems.push(Problem::UnknownKey { key, hint });
        }
    }

    fn raw(&self, path: &str) -> Option<Value> {
        let value = match path.split_once('.') {
            Some((section, name)) => self.table.get(section)?.as_table()?.get(name)?,
            None => self.table.get(path)?,
        };
        Some(value.clone())
    }

    /// The value as written, else the default. Keys that other code asks for are in the table: a test goes through it.
    fn value(&self, path: &str) -> Option<Value> {
        self.raw(path).or_else(|| {
            let default = KEYS.iter().find(|key| key.path == path)?.default?;
            format!("x = {default}").parse::<Table>().ok()?.remove("x")
        })
    }

    /// Whether the file sets it.
    pub fn is_set(&self, path: &str) -> bool {
        self.raw(path).is_some()
    }

    /// Note that the value of `path` is not allowed.
    pub fn refuse(&mut self, path: &str, allowed: &str, advice: &str) {
        let value = self.value(path).map_or_else(|| "(not set)".into(), |value| value.to_string());
        self.refuse_value(path, &value, allowed, advice);
    }

    /// The same, with the value given.
    pub fn refuse_value(&mut self, path: &str, value: &str, allowed: &str, advice: &str) {
        self.problems.push(Problem::Value {
            key: path.into(),
            value: value.into(),
            allowed: allowed.into(),
            advice: advice.into(),
        });
    }

    /// Note that keys do not go together.
    pub fn together(&mut self, keys: &str, advice: &str) {
        self.problems.push(Problem::Together { keys: keys.into(), advice: advice.into() });
    }

    /// A text.
    pub fn text(&mut self, path: &str) -> Option<String> {
        match self.value(path)? {
            Value::String(text) if !text.is_empty() => Some(text),
            _ => {
                self.refuse(path, "a text in quotes is allowed", CORRECT);
                None
            }
        }
    }

    /// A path; relative ones begin at the file's folder.
    pub fn path(&mut self, path: &str) -> Option<PathBuf> {
        let text = self.text(path)?;
        Some(self.folder.join(text))
    }

    /// A path, else `name` in the data directory.
    pub fn path_or_data(&mut self, path: &str, name: &str) -> PathBuf {
        self.path(path).unwrap_or_else(|| self.data_directory.join(name))
    }

    /// An address with a port.
    pub fn address(&mut self, path: &str) -> SocketAddr {
        let text = self.text(path).unwrap_or_default();
        text.parse().unwrap_or_else(|_| {
            self.refuse(path, "an IP address and a port such as 127.0.0.1:8470 or [::1]:8470 is allowed", CORRECT);
            SocketAddr::from(([127, 0, 0, 1], 0))
        })
    }

    /// `mqtts://host[:port]`.
    pub fn broker(&mut self, key: &str, url: &str) -> Option<String> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
        let rest = url.strip_prefix("mqtts://").map(|rest| rest.strip_suffix('/').unwrap_or(rest));
        let valid = rest.is_some_and(|rest| {
            let port = rest.rsplit_once(':').map(|(_, port)| port).filter(|port| !port.ends_with(']'));
            !rest.is_empty()
                && !rest.starts_with(':')
                && rest.chars().all(allowed)
                && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port != 0))
        });
        if !valid {
            let allowed = "mqtts://host or mqtts://host:port is allowed (TLS always; user and password are not used)";
            self.refuse_value(key, &format!("{url:?}"), allowed, CORRECT);
        }
        valid.then(|| url.to_owned())
    }

    /// `http://` to a loopback address.
    pub fn loopback_url(&mut self, path: &str) -> Option<SocketAddr> {
        let text = self.text(path)?;
        let rest = text.strip_prefix("http://").map(|rest| rest.strip_suffix('/').unwrap_or(rest));
        let address =
            rest.and_then(|rest| rest.parse::<SocketAddr>().ok()).filter(|address| address.ip().is_loopback());
        if address.is_none() {
            self.refuse(
                path,
                "only http://127.0.0.1:port or http://[::1]:port is allowed",
                "leave it out: only the demo sets it",
            );
        }
        address
    }

    /// A number of bytes, at least `min`.
    pub fn bytes(&mut self, path: &str, min: u64) -> u64 {
        let parsed = match self.value(path) {
            Some(Value::Integer(bytes)) => u64::try_from(bytes).ok(),
            Some(Value::String(text)) => parse_bytes(&text),
            _ => None,
        };
        match parsed {
            Some(bytes) if bytes >= min => bytes,
            _ => {
                let allowed =
                    format!("at least {} MiB is allowed, such as \"200 GiB\" or a number of bytes", min >> 20);
                self.refuse(path, &allowed, CORRECT);
                min
            }
        }
    }

    /// A whole number from `min` to `max`.
    pub fn whole(&mut self, path: &str, min: u32, max: u32) -> u32 {
        let value = self.value(path).and_then(|value| value.as_integer()).and_then(|value| u32::try_from(value).ok());
        match value {
            Some(value) if (min..=max).contains(&value) => value,
            _ => {
                self.refuse(path, &format!("a whole number from {min} to {max} is allowed"), CORRECT);
                min
            }
        }
    }

    /// One of some words; the first one when it is not.
    pub fn one_of(&mut self, path: &str, words: &[&'static str]) -> &'static str {
        let text = self.text(path);
        match words.iter().find(|word| Some(**word) == text.as_deref()) {
            Some(word) => word,
            None => {
                if text.is_some() {
                    self.refuse(path, &format!("{} is allowed", words.join(" or ")), CORRECT);
                }
                words.first().copied().unwrap_or_default()
            }
        }
    }

    /// An Indonesian time zone, as minutes east of UTC.
    pub fn timezone(&mut self, path: &str) -> i32 {
        match self.text(path).as_deref() {
            Some("WIB") => 420,
            Some("WITA") => 480,
            Some("WIT") => 540,
            Some(_) => {
                self.refuse(path, "WIB, WITA or WIT is allowed", CORRECT);
                420
            }
            None => 420,
        }
    }

    /// A list of at most eight addresses `host:port`.
    pub fn addresses(&mut self, path: &str) -> Vec<Address> {
        let list = self.value(path).and_then(|value| value.as_array().cloned());
        let parsed: Option<Vec<Address>> = list.and_then(|list| {
            list.iter()
                .map(|item| {
                    let text = item.as_str()?;
                    let (host, port) = text.rsplit_once(':')?;
                    let fits = !host.is_empty()
                        && !host.contains(['/', '@', ' '])
                        && port.parse::<u16>().is_ok_and(|port| port > 0);
                    fits.then(|| text.parse().ok())?
                })
                .collect()
        });
        match parsed {
            Some(list) if list.len() <= ADDRESSES_MAX => list,
            _ => {
                self.refuse(path, "a list of at most 8 \"host:port\" is allowed", CORRECT);
                Vec::new()
            }
        }
    }

    /// A list of at most four public keys for updates.
    pub fn update_keys(&mut self, path: &str) -> Vec<PublicKey> {
        let list = self.value(path).and_then(|value| value.as_array().cloned());
        let parsed: Option<Vec<PublicKey>> =
            list.and_then(|list| list.iter().map(|item| item.as_str()?.parse().ok()).collect());
        match parsed {
            Some(list) if list.len() <= UPDATE_KEYS_MAX => list,
            _ => {
                let allowed = "a list of at most 4 keys of 64 hexadecimal digits is allowed";
                self.refuse(path, allowed, "take what `simpul-hub updates key generate` printed");
                Vec::new()
            }
        }
    }

    /// A list of tables of texts; keys that are not in `names` are noted.
    pub fn tables(&mut self, path: &str, names: &[&'static str]) -> Vec<Table> {
        let value = self.value(path);
        let tables: Option<Vec<Table>> = value
            .as_ref()
            .and_then(Value::as_array)
            .and_then(|list| list.iter().map(|item| item.as_table().cloned()).collect());
        let Some(tables) = tables else {
            self.refuse(path, "a list of tables is allowed", "see `simpul-hub config print-defaults`");
            return Vec::new();
        };
        for (index, table) in tables.iter().enumerate() {
            for (name, value) in table {
                let key = format!("{path}[{index}].{name}");
                if !names.contains(&name.as_str()) {
                    let hint = hint(name, names.iter().copied());
                    self.problems.push(Problem::UnknownKey { key, hint });
                } else if !value.is_str() {
                    self.refuse_value(
                        &key,
                        &value.to_string(),
                        "a text in quotes is allowed (codes are text)",
                        CORRECT,
                    );
                }
            }
        }
        tables
    }
}

fn in_section(path: &str, section: &str) -> bool {
    path.split_once('.').is_some_and(|(of, _)| of == section)
}

fn sections() -> impl Iterator<Item = &'static str> {
    KEYS.iter().filter_map(|key| key.path.split_once('.').map(|(section, _)| section))
}

/// The nearest valid name, if one is near enough to be a slip of the fingers.
fn hint<'a>(key: &str, valid: impl Iterator<Item = &'a str>) -> String {
    let slips_max = key.len().max(3) / 3;
    let near = valid
        .map(|name| (strsim::damerau_levenshtein(key, name), name))
        .filter(|(slips, _)| *slips <= slips_max)
        .min_by_key(|(slips, _)| *slips);
    match near {
        Some((_, name)) => format!("did you mean {name}?"),
        None => "remove it, or see `simpul-hub config print-defaults` for all keys".into(),
    }
}

fn parse_bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    let shift = match text[digits..].trim() {
        "" | "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        "TiB" => 40,
        _ => return None,
    };
    number.checked_mul(1 << shift)
}
