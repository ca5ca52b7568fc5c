//! What the server is told at its start, its limits, and why it may refuse to start.

use std::net::SocketAddr;
use std::path::PathBuf;

use simpul_wire::Generation;
use thiserror::Error;

/// The server's configuration.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Where it is to listen. The caller binds; this is for the logs.
    pub listen: SocketAddr,
    /// Certificates.
    pub tls: TlsFiles,
    /// Limits.
    pub limits: Limits,
    /// The store's generation, with which an oversize publish is rejected on its node's `ack` topic. `None`: such a
    /// publish is acknowledged and counted only.
    pub generation: Option<Generation>,
}

/// Where the server's certificates are, all PEM.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The CA (or CAs) of the nodes' certificates.
    pub ca_file: PathBuf,
    /// The server's own chain, its own certificate first.
    pub certificate_file: PathBuf,
    /// The server's private key.
    pub key_file: PathBuf,
    /// Serial numbers of revoked certificates, one a line in hexadecimal, `#` begins a comment. Missing: none.
    pub revoked_file: Option<PathBuf>,
}

/// Limits of the server. The wire's own (payload, topic) are not configurable.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Most connections, those without a session yet included. A large district has 852 nodes; 10,000 were measured.
    pub connections_max: usize,
    /// Most connections that have not completed TLS and CONNECT. More wait in the kernel's queue.
    pub handshakes_max: usize,
    /// How long TLS and CONNECT together may take. A slow link needs about 2 s.
    pub handshake_timeout_ms: u64,
    /// How long a packet may stay half received. 64 KiB take 26 s at 20 kbit/s.
    pub half_packet_timeout_ms: u64,
    /// Bytes of all publishes that are half received or not yet committed.
    pub pending_bytes_max: usize,
    /// Bytes queued for one session, beyond which its messages are dropped. Thousands of acknowledgements.
    pub queue_bytes_max: usize,
    /// Messages queued for one session.
    pub queue_messages_max: usize,
    /// Sessions of one node, live and offline: the agent's own, and a technician's tool or two.
    pub sessions_per_node_max: usize,
    /// Sessions of one operator's certificate.
    pub sessions_per_operator_max: usize,
    /// Most offline sessions; the one that is away longest goes first.
    pub offline_sessions_max: usize,
    /// How long an offline session is kept. Agents recover from their spool without it.
    pub session_expiry_ms: u64,
    /// Bytes of retained messages, topics included: 10,000 states of under 1 kB, several times over.
    pub retained_bytes_max: usize,
    /// Publishes waiting for intake, all connections together. Their bytes are within `pending_bytes_max`.
    pub incoming_max: usize,
    /// Messages of the hub waiting to be routed.
    pub outbox_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections_max: 12_000,
            handshakes_max: 1_024,
            handshake_timeout_ms: 10_000,
            half_packet_timeout_ms: 60_000,
            pending_bytes_max: 64 * 1024 * 1024,
            queue_bytes_max: 256 * 1024,
            queue_messages_max: 1_000,
            sessions_per_node_max: 4,
            sessions_per_operator_max: 32,
            offline_sessions_max: 20_000,
            session_expiry_ms: 24 * 3_600 * 1_000,
            retained_bytes_max: 64 * 1024 * 1024,
            incoming_max: 1_024,
            outbox_max: 4_096,
        }
    }
}

/// Why MQTT could not be started.
#[derive(Debug, Error)]
pub enum MqttError {
    /// A file could not be read.
    #[error("{what} {path}: {source}; check the path and its permissions")]
    File {
        /// Which of the files.
        what: &'static str,
        /// Its path.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A PEM file holds nothing usable.
    #[error("{what} {path}: no usable PEM in it ({reason})")]
    Pem {
        /// Which of the files.
        what: &'static str,
        /// Its path.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Certificate and key do not go together, or the CA is unusable.
    #[error("certificates unusable: {0}")]
    Tls(String),
    /// A line of the revocation list is not a serial number.
    #[error("revocation list {path}, line {line}: not a serial number in hexadecimal")]
    RevocationList {
        /// The list.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// The external broker's URL is not usable.
    #[error("broker address {0:?}: mqtts://host[:port] expected")]
    Url(String),
    /// A share group that is not usable.
    #[error("share group {0:?}: 1 to 64 letters, digits, '.', '_' or '-' expected")]
    ShareGroup(String),
}
