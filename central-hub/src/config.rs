//! Configuration: raw TOML -> validated [`Config`], once. Everything behind this file trusts the values.
//!
//! All problems of a file are found in one go, each naming key, value, what is allowed and what to do.

mod keys;
mod read;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

pub use keys::print_defaults;
use simpul_wire::enrolment::Address;

use crate::updates::key::PublicKey;
use crate::updates::listener::Limits;
use crate::view::registry::{RegisteredNode, Registry, RegistryError};
use read::Reader;

/// Where the configuration is looked for when the command line names none.
pub const DEFAULT_FILE: &str = "/etc/simpul/hub.toml";

/// The whole configuration, validated.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the hub keeps everything.
    pub data_directory: PathBuf,
    /// The district's UTC offset in minutes.
    pub utc_offset_minutes: i32,
    /// When the hub's own clock is believed.
    pub clock: ClockTrust,
    /// Where publishes come from.
    pub mqtt: MqttConfig,
    /// Page and API.
    pub web: WebConfig,
    /// How nodes get certificates.
    pub enrolment: EnrolmentConfig,
    /// Remote updates.
    pub updates: UpdatesConfig,
    /// Limits of the store.
    pub store: StoreConfig,
    /// The nodes to expect.
    pub registry: Registry,
    /// The demo's fibre switch, if there is one; always loopback.
    pub fibre_control: Option<SocketAddr>,
}

/// When the hub's own clock is believed: only then does it hand out time to nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockTrust {
    /// Only when systemd-timesyncd says that it is synchronised.
    Auto,
    /// Always: with another time service, and in demos and tests.
    Trust,
}

/// systemd-timesyncd makes this file when the clock is synchronised (systemd-timesyncd.service(8)).
const SYNCHRONISED_FILE: &str = "/run/systemd/timesync/synchronized";

impl ClockTrust {
    /// Whether the clock is believed now.
    pub fn is_synchronised(self) -> bool {
        self == ClockTrust::Trust || Path::new(SYNCHRONISED_FILE).exists()
    }
}

/// Where publishes come from.
#[derive(Debug, Clone)]
pub struct MqttConfig {
    /// The hub's own server, or another broker.
    pub side: MqttSide,
    /// PEM file: who signs the nodes, and the broker.
    pub ca_file: PathBuf,
    /// PEM file: the hub's certificate.
    pub certificate_file: PathBuf,
    /// PEM file: its key.
    pub key_file: PathBuf,
    /// Serial numbers of revoked certificates.
    pub revoked_file: Option<PathBuf>,
}

/// Which side of MQTT the hub is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MqttSide {
    /// The server.
    Embedded(SocketAddr),
    /// A client of this broker, `mqtts://host[:port]`.
    External {
        /// The broker.
        url: String,
        /// The `$share` group of all hubs of one store.
        share_group: String,
    },
}

/// Page and API.
#[derive(Debug, Clone)]
pub struct WebConfig {
    /// Address.
    pub listen: SocketAddr,
    /// Certificate chain and key for HTTPS; `None`: plain HTTP, on loopback only.
    pub https: Option<(PathBuf, PathBuf)>,
    /// Named tokens.
    pub tokens_file: PathBuf,
}

/// How nodes get certificates.
#[derive(Debug, Clone)]
pub struct EnrolmentConfig {
    /// Where the listener is; `None`: there is none.
    pub listen: Option<SocketAddr>,
    /// Where nodes find the listener.
    pub addresses: Vec<Address>,
    /// Where nodes find MQTT.
    pub hubs: Vec<Address>,
    /// How long a node's certificate holds.
    pub certificate_seconds: u64,
}

/// What may be rolled out, and how much of the uplink it takes.
#[derive(Debug, Clone)]
pub struct UpdatesConfig {
    /// Whose signatures are taken.
    pub keys: Vec<PublicKey>,
    /// How fast nodes download.
    pub limits: Limits,
}

/// Limits of the store.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// Bytes of disk.
    pub budget_bytes_max: u64,
    /// Days that images are kept after they were taken.
    pub snapshot_retention_days: u32,
}

/// What the command line says instead of the file.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `--data DIR`.
    pub data_directory: Option<PathBuf>,
    /// `--mqtt mqtts://host`.
    pub mqtt: Option<String>,
}

/// What is wrong with one key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Nobody knows this key.
    #[error("unknown key {key}: {hint}")]
    UnknownKey {
        /// The key with its section.
        key: String,
        /// The nearest valid name, or where to read all of them.
        hint: String,
    },
    /// The value is not allowed.
    #[error("{key} = {value}: {allowed}; {advice}")]
    Value {
        /// The key with its section.
        key: String,
        /// The value as it was written.
        value: String,
        /// What is allowed.
        allowed: String,
        /// What to do.
        advice: String,
    },
    /// Keys that need or exclude one another.
    #[error("{keys}: {advice}")]
    Together {
        /// The keys.
        keys: String,
        /// What to do.
        advice: String,
    },
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error(
        "cannot read {path}: {source}; name another file with --config, or make one with `simpul-hub config print-defaults`"
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{path} is not valid TOML: {detail}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and what.
        detail: String,
    },
    /// Values are wrong: all of them are listed.
    #[error("{path} is refused:{}", lines(.problems))]
    Invalid {
        /// The file, or the command line.
        path: PathBuf,
        /// Every problem.
        problems: Vec<Problem>,
    },
    /// The list of nodes could not be read.
    #[error(transparent)]
    Nodes(#[from] RegistryError),
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("\n  {problem}")).collect()
}

impl Config {
    /// Read `file`, or [`DEFAULT_FILE`] if that exists, or take the defaults.
    pub fn load(file: Option<&Path>, overrides: &Overrides) -> Result<Config, ConfigError> {
        let default = Path::new(DEFAULT_FILE);
        let path = file.unwrap_or(default);
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if file.is_none() && error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(source) => return Err(ConfigError::Unreadable { path: path.into(), source }),
        };
        Config::parse(&text, path, overrides)
    }

    /// Validate `text`, which came from `path`: relative paths begin at its folder.
    pub fn parse(text: &str, path: &Path, overrides: &Overrides) -> Result<Config, ConfigError> {
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| ConfigError::Syntax {
            path: path.into(),
            detail: error.to_string().trim_end().into(),
        })?;
        let mut reader = Reader::new(table, path.parent().unwrap_or(Path::new("")), &overrides.data_directory);
        let mqtt = mqtt(&mut reader, overrides);
        let web = web(&mut reader);
        if mqtt.side == MqttSide::Embedded(web.listen) && web.listen.port() != 0 {
            reader.together("mqtt.listen, web.listen", "give them different ports");
        }
        let enrolment = enrolment(&mut reader);
        let updates = UpdatesConfig {
            keys: reader.update_keys("updates.keys"),
            limits: Limits {
                rate_kib_per_s: reader.whole("updates.rate_kib_per_second", 64, 1 << 20),
                node_rate_kib_per_s: reader.whole("updates.node_rate_kib_per_second", 8, 1 << 20),
                downloads_max: reader.whole("updates.downloads_max", 1, 64),
            },
        };
        let store = StoreConfig {
            // The floor holds a database, its journal and a day of images of one node.
            budget_bytes_max: reader.bytes("store.budget_bytes_max", 1 << 28),
            snapshot_retention_days: reader.whole("store.snapshot_retention_days", 1, 365),
        };
        let utc_offset_minutes = reader.timezone("timezone");
        let clock =
            if reader.one_of("clock", &["auto", "trust"]) == "trust" { ClockTrust::Trust } else { ClockTrust::Auto };
        let fibre_control = reader.loopback_url("demo.fibre_control");
        let listed = nodes(&mut reader);
        let nodes_file = reader.path("nodes.file");
        let data_directory = reader.data_directory();
        let problems = reader.problems();
        if !problems.is_empty() {
            return Err(ConfigError::Invalid { path: path.into(), problems });
        }
        let mut registry = match nodes_file {
            Some(file) => Registry::read_csv(&file)?,
            None => Registry::default(),
        };
        for node in listed {
            registry.insert(node)?;
        }
        Ok(Config {
            data_directory,
            utc_offset_minutes,
            clock,
            mqtt,
            web,
            enrolment,
            updates,
            store,
            registry,
            fibre_control,
        })
    }
}

fn mqtt(reader: &mut Reader, overrides: &Overrides) -> MqttConfig {
    let listens = reader.is_set("mqtt.listen");
    let listen = reader.address("mqtt.listen");
    let share_group = reader.text("mqtt.share_group").unwrap_or_default();
    if share_group.parse::<simpul_wire::NodeId>().is_err() {
        let allowed = "1 to 64 letters, digits, '.', '_' or '-' are allowed";
        reader.refuse("mqtt.share_group", allowed, "use the same name on all hubs of one store");
    }
    let external = match &overrides.mqtt {
        Some(url) => reader.broker("--mqtt", url),
        None => {
            let url = reader.text("mqtt.external_url");
            if url.is_some() && listens {
                reader.together("mqtt.listen, mqtt.external_url", "set one of them: own server or other broker");
            }
            url.and_then(|url| reader.broker("mqtt.external_url", &url))
        }
    };
    MqttConfig {
        side: external.map_or(MqttSide::Embedded(listen), |url| MqttSide::External { url, share_group }),
        ca_file: reader.path_or_data("mqtt.ca_file", "pki/ca.pem"),
        certificate_file: reader.path_or_data("mqtt.certificate_file", "pki/hub.pem"),
        key_file: reader.path_or_data("mqtt.key_file", "pki/hub.key"),
        revoked_file: reader.path("mqtt.revoked_file"),
    }
}

fn enrolment(reader: &mut Reader) -> EnrolmentConfig {
    let listen = reader.is_set("enrolment.listen").then(|| reader.address("enrolment.listen"));
    let addresses = reader.addresses("enrolment.addresses");
    let hubs = reader.addresses("enrolment.hubs");
    if listen.is_some() {
        if addresses.is_empty() || hubs.is_empty() {
            let advice = "with a listener write both: where nodes find it, and where they find MQTT";
            reader.together("enrolment.addresses, enrolment.hubs", advice);
        }
        for key in ["mqtt.ca_file", "mqtt.certificate_file", "mqtt.key_file"] {
            if reader.is_set(key) && !reader.is_set("mqtt.external_url") {
                let advice = "leave it out: the hub's own CA, which enrols the nodes, makes it in DATA/pki";
                reader.together(&format!("enrolment.listen, {key}"), advice);
            }
        }
    }
    let certificate_seconds = u64::from(reader.whole("enrolment.certificate_seconds", 10, 157_680_000));
    EnrolmentConfig { listen, addresses, hubs, certificate_seconds }
}

fn web(reader: &mut Reader) -> WebConfig {
    let listen = reader.address("web.listen");
    let https = match (reader.path("web.certificate_file"), reader.path("web.key_file")) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => {
            reader.together("web.certificate_file, web.key_file", "set both, or neither");
            None
        }
    };
    if https.is_none() && !listen.ip().is_loopback() {
        reader.refuse(
            "web.listen",
            "without HTTPS only a loopback address such as 127.0.0.1:8470 is allowed",
            "set web.certificate_file and web.key_file and add a token with `simpul-hub token add NAME`, or listen on loopback",
        );
    }
    WebConfig { listen, https, tokens_file: reader.path_or_data("web.tokens_file", "tokens") }
}

fn nodes(reader: &mut Reader) -> Vec<RegisteredNode> {
    let mut nodes = Vec::new();
    for (index, table) in reader.tables("nodes.list", keys::NODE_KEYS).into_iter().enumerate() {
        let get = |name: &str| table.get(name).and_then(toml::Value::as_str).unwrap_or("");
        match RegisteredNode::parse(get("id"), get("name"), get("village_code"), get("village_name")) {
            Ok(node) => nodes.push(node),
            Err(field) => reader.refuse_value(
                &format!("nodes.list[{index}].{}", field.name),
                &format!("{:?}", field.value),
                field.allowed,
                "correct it as it stands on the node's label",
            ),
        }
    }
    nodes
}
