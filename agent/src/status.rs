//! What the agent shows of itself on site: one JSON document on a Unix socket in its state directory.
//!
//! A socket and no file: nothing is written to the card, and a reader knows at once whether an agent runs. Leaves to
//! others: printing it (`cli`).

use std::io::{self, Read};
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use simpul_clock::{Clock, Moment};
use simpul_wire::{Label, NodeId, Stream};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixListener;
use tokio::sync::watch;

use crate::sources::board::status::BoardStatus;
use crate::sources::camera::CameraShown;
use crate::spool::SpoolState;
use crate::stamper::Stamper;
use crate::uplink::driver::UplinkStatus;

/// A reader gets so long to take the document.
const WRITE_MAX: Duration = Duration::from_secs(2);

/// Largest document that a reader takes: a hundred times a full one.
const DOCUMENT_BYTES_MAX: u64 = 256 * 1024;

/// The document. A reader takes its board as JSON: typed reading of it would be 30 KB of the agent's 6 MiB.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status<B = BoardStatus> {
    /// The node.
    pub node: String,
    /// The agent's version.
    pub version: String,
    /// The spool's epoch.
    pub epoch: String,
    /// The hub's generation, once heard.
    pub generation: Option<String>,
    /// The disk is full and the ballast is spent.
    pub disk_full: bool,
    /// The way to the hub.
    pub uplink: Link,
    /// The streams, most urgent first.
    pub streams: Vec<StreamLine>,
    /// The I/O board; nothing: none is configured.
    #[serde(default = "none")]
    pub board: Option<B>,
    /// The cameras.
    #[serde(default)]
    pub cameras: Vec<CameraLine>,
    /// The wall clock is believed: something set it, or it agrees with the hub's; nothing: an older agent does not say.
    #[serde(default)]
    pub clock_believed: Option<bool>,
}

/// One camera.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CameraLine {
    /// Its id.
    pub camera: String,
    /// Its condition; nothing: not known since the start.
    pub condition: Option<String>,
    /// More about it, for people.
    pub detail: String,
    /// For so long it is not asked, so that it does not lock us out.
    pub paused_s: Option<u64>,
}

fn none<B>() -> Option<B> {
    None
}

/// The way to the hub.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Link {
    /// A session is up.
    pub up: bool,
    /// The hub that is, or was last, talked to.
    pub hub: String,
    /// Up, or down, for so long.
    pub since_s: u64,
    /// Age of the hub's last acknowledgement; nothing: none since the start.
    pub last_ack_s: Option<u64>,
    /// Sessions since the start.
    pub sessions: u64,
    /// Why the last connection (attempt) ended.
    pub last_error: Option<String>,
    /// Records that the hub refused for good since the start.
    pub refused_records: u64,
    /// Commands that could not be read or taken since the start.
    pub commands_dropped: u64,
    /// Measured rate of the link, bytes per second.
    pub bytes_per_second: Option<u64>,
}

/// One stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StreamLine {
    /// Its name.
    pub stream: String,
    /// Records that the hub has not acknowledged.
    pub backlog_records: u64,
    /// Their bytes.
    pub backlog_bytes: u64,
    /// The limit in bytes.
    pub limit_bytes: u64,
    /// Records lost for ever.
    pub lost_records: u64,
    /// The next sequence number.
    pub next_seq: u64,
}

/// Put the document together: all but the cameras and the clock.
fn status(node: &NodeId, spool: &SpoolState, uplink: &UplinkStatus, board: Option<BoardStatus>, now: Moment) -> Status {
    let streams = Stream::ALL.into_iter().map(|stream| {
        let status = spool.stream(stream);
        let (backlog_records, backlog_bytes) = spool.backlog(stream);
        StreamLine {
            stream: stream.name().to_string(),
            backlog_records,
            backlog_bytes,
            limit_bytes: status.limit_bytes,
            lost_records: status.lost_records,
            next_seq: status.next_seq,
        }
    });
    Status {
        node: node.to_string(),
        version: crate::version().to_string(),
        epoch: spool.epoch.to_string(),
        generation: spool.generation.map(|generation| generation.to_string()),
        disk_full: spool.disk_full,
        uplink: Link {
            up: uplink.up,
            hub: uplink.hub.clone(),
            since_s: now.since(uplink.since).as_secs(),
            last_ack_s: uplink.last_ack_at.map(|at| now.since(at).as_secs()),
            sessions: uplink.sessions,
            last_error: uplink.last_error.clone(),
            refused_records: uplink.refused_records,
            commands_dropped: uplink.commands_dropped,
            bytes_per_second: uplink.bytes_per_second.map(|rate| rate as u64),
        },
        streams: streams.collect(),
        board,
        cameras: Vec::new(),
        clock_believed: None,
    }
}

/// The socket's path.
pub fn socket_path(state_directory: &Path) -> PathBuf {
    state_directory.join("agent.sock")
}

/// What the document is put together from.
#[derive(Debug, Clone)]
pub struct Shown {
    /// The node.
    pub node: NodeId,
    /// Ages are by it.
    pub clock: Clock,
    /// The buffer.
    pub spool: watch::Receiver<SpoolState>,
    /// The way to the hub.
    pub uplink: watch::Receiver<UplinkStatus>,
    /// The board, if one is configured.
    pub board: Option<watch::Receiver<BoardStatus>>,
    /// Each camera, by its id.
    pub cameras: Vec<(Label, watch::Receiver<CameraShown>)>,
    /// Whether the clock is believed is by it.
    pub stamper: Stamper,
}

impl Shown {
    /// The document, as of now.
    pub fn document(&self) -> Status {
        let board = self.board.as_ref().map(|board| board.borrow().clone());
        let now = self.clock.now();
        let cameras = self.cameras.iter().map(|(camera, shown)| {
            let shown = shown.borrow();
            CameraLine {
                camera: camera.to_string(),
                condition: shown.condition.map(|condition| condition.to_string()),
                detail: shown.detail.clone(),
                paused_s: shown.paused_until.map(|until| until.since(now).as_secs()).filter(|left_s| *left_s > 0),
            }
        });
        Status {
            cameras: cameras.collect(),
            clock_believed: Some(self.stamper.now().wall_ms.is_some()),
            ..status(&self.node, &self.spool.borrow(), &self.uplink.borrow(), board, now)
        }
    }
}

/// Answer every connection with the document, until `shutdown` becomes true.
///
/// # Errors
/// When the socket cannot be made (the path may be longer than the 107 bytes that sockets allow).
pub async fn serve(path: &Path, shown: Shown, mut shutdown: watch::Receiver<bool>) -> io::Result<()> {
    // One of a run before this one; the spool's lock is what keeps two agents apart.
    if let Err(error) = std::fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let listener = UnixListener::bind(path)?;
    loop {
        let accepted = tokio::select! {
            _ = shutdown.wait_for(|stop| *stop) => break,
            accepted = listener.accept() => accepted,
        };
        let Ok((mut stream, _)) = accepted else {
            // Out of file descriptors: they come back.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let text = serde_json::to_vec(&shown.document()).unwrap_or_default();
        // One reader at a time is enough; one that does not read is dropped.
        let _ = tokio::time::timeout(WRITE_MAX, async { stream.write_all(&text).await }).await;
    }
    std::fs::remove_file(path)
}

/// Ask a running agent.
///
/// # Errors
/// `ConnectionRefused` or `NotFound` when none runs; `InvalidData` when what answers is none.
pub fn ask(path: &Path) -> io::Result<Status<Value>> {
    let stream = BlockingStream::connect(path)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut text = Vec::new();
    stream.take(DOCUMENT_BYTES_MAX).read_to_end(&mut text)?;
    serde_json::from_slice(&text).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}
