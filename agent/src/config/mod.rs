//! Configuration: TOML -> validated [`Config`], once. Everything behind this folder trusts the values.
//!
//! `schema` names every key once, with its doc, default and example; `read` turns TOML into values and collects
//! what is wrong; `build` puts them together and checks what several keys say together; `values` are the
//! notations (durations, sizes); `secret` reads secrets, which are only ever in files of their own.
//!
//! A bad file is refused whole, with everything that is wrong in it, so that a technician mends it in one go; keeping
//! the last good one is the caller's.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use simpul_wire::board::Settings;
use simpul_wire::{Label, NodeId};

mod board;
mod build;
mod read;
mod schema;
mod secret;
mod update;
mod values;

pub use read::{ConfigError, Problem};
pub use schema::print_defaults;
pub use secret::{Secret, SecretError, read_secret};

/// Largest configuration file in bytes: a hundred times a full one; more is the wrong file.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// The whole configuration, validated.
#[derive(Debug, Clone)]
pub struct Config {
    /// This node's id; must equal the certificate's common name.
    pub node: NodeId,
    /// When the machine's wall clock is believed.
    pub clock: ClockTrust,
    /// Where sources keep the little they must remember over a restart. Default: `sources` beside the spool.
    pub state_directory: PathBuf,
    /// The buffer.
    pub spool: SpoolConfig,
    /// The way to the hub.
    pub uplink: UplinkConfig,
    /// How this node gets its certificate.
    pub enrolment: EnrolmentConfig,
    /// Cameras.
    pub cameras: Vec<CameraConfig>,
    /// The HTTP API on the village LAN; `None`: off.
    pub local_api: Option<LocalApiConfig>,
    /// The page that a technician opens with a phone; `None`: off.
    pub phone: Option<PhoneConfig>,
    /// The machine's LED; `None`: off.
    pub led: Option<LedConfig>,
    /// The machine itself; `None`: off.
    pub host: Option<HostConfig>,
    /// The I/O board; `None`: there is none.
    pub board: Option<BoardConfig>,
    /// Updates from afar.
    pub update: UpdateConfig,
}

/// When the machine's wall clock is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockTrust {
    /// Only while the kernel says that it is synchronised.
    Auto,
    /// Always: for demos and tests.
    Trust,
}

/// The buffer and its limits in bytes, chosen per stream (promise 4).
#[derive(Debug, Clone)]
pub struct SpoolConfig {
    /// Where it lives.
    pub directory: PathBuf,
    /// `service`: at the limit the API answers 507. Default 64 MiB.
    pub service_bytes_max: u64,
    /// `event`: oldest first. Default 16 MiB.
    pub event_bytes_max: u64,
    /// `reading`: rolled up, then oldest first. Default 64 MiB.
    pub reading_bytes_max: u64,
    /// `snapshot`: thinned, then oldest first. Default 1 GiB.
    pub snapshot_bytes_max: u64,
    /// Acknowledged `service` and `event` records kept for a rewound hub. Default 16 MiB.
    pub kept_bytes_max: u64,
    /// The same in time. Default 48 h.
    pub kept_for: Duration,
    /// A real file that is deleted on a full disk, so that the spool can reopen and drain. Default 4 MiB.
    pub ballast_bytes: u64,
    /// The machine's hardware serial that the epoch is bound to; `None`: read from the device tree, the machine id or DMI.
    pub hardware_serial: Option<String>,
}

/// The way to the hub.
#[derive(Debug, Clone)]
pub struct UplinkConfig {
    /// Hub addresses `host:port`, tried in turn; empty: those that the hub told at enrolment.
    pub hubs: Vec<String>,
    /// The name in the hub's certificate; `None`: the host of the address.
    pub server_name: Option<String>,
    /// PEM file with the district's CA, or two of them.
    pub ca_file: PathBuf,
    /// PEM file with this node's certificate.
    pub certificate_file: PathBuf,
    /// PEM file with this node's key.
    pub key_file: PathBuf,
    /// How often the agent says how it is. Default 30 s.
    pub state_interval: Duration,
    /// Longest pause between attempts to connect; full jitter below it. Default 60 s.
    pub reconnect_max: Duration,
    /// No acknowledgement for so long with something in flight: connect anew. Default 60 s.
    pub no_progress: Duration,
    /// Bytes a day on this link; `None`: unmetered. Events and service records go first and are never held back.
    pub daily_bytes_max: Option<u64>,
}

/// How this node gets its certificate, and keeps it fresh.
#[derive(Debug, Clone)]
pub struct EnrolmentConfig {
    /// Where key, certificate and CAs are kept.
    pub directory: PathBuf,
    /// Where the token is looked for.
    pub token_file: PathBuf,
    /// How often the hub is asked for new CAs and addresses. Default 24 h.
    pub check_interval: Duration,
}

/// A camera.
#[derive(Debug, Clone)]
pub struct CameraConfig {
    /// Its own id.
    pub id: Label,
    /// Where its snapshots are, or its ONVIF device service to ask for that.
    pub address: CameraAddress,
    /// User name for HTTP Digest.
    pub username: Option<String>,
    /// File with the password, mode 0600.
    pub password_file: Option<PathBuf>,
    /// Time between polls. Default 60 s.
    pub interval: Duration,
    /// An unchanged scene is still stored this often. Default 15 min.
    pub heartbeat: Duration,
    /// Bytes of one image at most. Default 4 MiB.
    pub image_bytes_max: u32,
    /// Masks to burn in, in thousandths of width and height.
    pub masks: Vec<Mask>,
    /// Resolution for which the masks were drawn; another one masks everything until someone confirms.
    pub mask_resolution: Option<(u16, u16)>,
    /// Identical bodies in a row that mean frozen. Default 5.
    pub frozen_after: u32,
    /// Marks records as made by a simulator.
    pub simulated: bool,
    /// Where the camera's confirmed view is kept over a restart.
    pub state_directory: PathBuf,
}

/// How to get at a camera's snapshots.
#[derive(Debug, Clone)]
pub enum CameraAddress {
    /// A snapshot URL (`http` or `https`).
    Snapshot(String),
    /// An ONVIF device service URL to ask for the snapshot URI (profile by token, else the first).
    Onvif {
        /// Device service URL, such as `http://192.168.1.64/onvif/device_service`.
        device: String,
        /// Profile token.
        profile: Option<String>,
    },
}

/// A rectangle in thousandths of the image's width and height.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mask {
    /// Left edge.
    pub x: u16,
    /// Upper edge.
    pub y: u16,
    /// Width.
    pub width: u16,
    /// Height.
    pub height: u16,
}

/// The HTTP API on the village LAN.
#[derive(Debug, Clone)]
pub struct LocalApiConfig {
    /// Where to listen. Default 127.0.0.1:8480.
    pub listen: SocketAddr,
    /// File with the bearer token, mode 0600.
    pub token_file: PathBuf,
    /// Largest body in bytes. Default 16 KiB.
    pub body_bytes_max: usize,
    /// Requests per second and client, sustained; bursts of ten times as many. Default 20.
    pub requests_per_second_max: u32,
    /// Where the last totals of cumulative counters are kept over a restart.
    pub state_directory: PathBuf,
}

/// Updates from afar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateConfig {
    /// Public keys (Ed25519) of which one must have signed a program; none: programs are not taken.
    pub keys: Vec<[u8; 32]>,
    /// Times of day at which nothing is restarted, in minutes from midnight; a pair may go over midnight.
    pub not_between: Vec<(u16, u16)>,
    /// The node's zone, in minutes east of UTC.
    pub zone_minutes: u16,
    /// How often the hub is asked. Default 1 h.
    pub look_every: Duration,
    /// So long something new may run without having proved itself. Default 15 min.
    pub trial: Duration,
}

/// The page that a technician opens with a phone.
#[derive(Debug, Clone)]
pub struct PhoneConfig {
    /// Where to listen while a code is open. Default 0.0.0.0:8481.
    pub listen: SocketAddr,
    /// An unused code opens for so long, of running time. Default 14 d.
    pub open_for: Duration,
    /// Where the code's hash is kept over a restart.
    pub state_directory: PathBuf,
}

/// The machine's LED.
#[derive(Debug, Clone)]
pub struct LedConfig {
    /// Its name in `/sys/class/leds`; `None`: the one that shows the activity of a Pi's card (`ACT` or `led0`).
    pub name: Option<String>,
}

/// The machine itself.
#[derive(Debug, Clone)]
pub struct HostConfig {
    /// Time between samples. Default 10 s.
    pub interval: Duration,
}

/// The I/O board.
#[derive(Debug, Clone)]
pub struct BoardConfig {
    /// Where it is connected.
    pub port: BoardPort,
    /// The desks whose buttons count, by button.
    pub desks: Vec<DeskConfig>,
    /// What the board is told to work by.
    pub settings: Settings,
    /// Image that the board is updated with; nothing: it is not.
    pub firmware: Option<PathBuf>,
    /// Where an image from the hub is, if one came: used if `firmware` names none. Not a key: the agent says it.
    pub fetched: Option<PathBuf>,
    /// Marks records as made by a simulator.
    pub simulated: bool,
    /// Where totals and what was heard last are kept over a restart.
    pub state_directory: PathBuf,
}

/// Where the board is connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BoardPort {
    /// The USB serial device whose vendor is Raspberry Pi; no other is ever written to.
    Auto,
    /// This one; a link to it is followed at each opening.
    Path(PathBuf),
}

/// A desk with a button.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeskConfig {
    /// The button, from 0.
    pub button: u8,
    /// Service code that it counts for.
    pub service: Label,
    /// Desk, when there are several.
    pub desk: Option<Label>,
    /// What a long press means.
    pub long_press: LongPress,
}

/// What a long press means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LongPress {
    /// Who was called did not come: a visit that ended so.
    NoShow,
    /// The press before it was a mistake: one less.
    Undo,
    /// Nothing.
    Ignore,
}

impl Config {
    /// Read and validate a file. Relative paths in it are relative to its folder.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with line, key, value and what is allowed; secrets are never printed.
    pub fn load(path: &Path) -> Result<Config, ConfigError> {
        Config::parse(&Config::read(path)?, Config::folder(path)).map_err(|error| error.of_file(path))
    }

    /// A file's text, as it is.
    ///
    /// # Errors
    /// It cannot be read, or is no configuration by its size.
    pub fn read(path: &Path) -> Result<String, ConfigError> {
        let unreadable = |what: String| ConfigError::unreadable(path, what);
        let size = std::fs::metadata(path).map_err(|error| unreadable(error.to_string()))?.len();
        if size > FILE_BYTES_MAX {
            return Err(unreadable(format!("{size} bytes, at most {FILE_BYTES_MAX}: this is no configuration")));
        }
        std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))
    }

    /// What relative paths in a file are relative to.
    pub fn folder(path: &Path) -> &Path {
        match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        }
    }

    /// Validate a configuration's text; relative paths are relative to `folder`.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(text: &str, folder: &Path) -> Result<Config, ConfigError> {
        build::config(text, folder)
    }
}
