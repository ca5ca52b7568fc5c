//! What the nodes' listener ([`crate::identity::listener`]) answers about updates: what a node is offered, and its bytes,
//! from any of them on. A node is who its certificate says; it sees its own offers and nothing else.
//!
//! Bounded: downloads at once, their rate together and each one's, and how slowly one may go: something each
//! [`REST_MAX`], and [`BYTES_PER_SECOND_MIN`] on average.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{BoxStream, unfold};
use http_body_util::{Either, Full, StreamBody};
use hyper::body::Frame;
use hyper::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use simpul_clock::{Clock, Moment};
use simpul_wire::NodeId;
use simpul_wire::enrolment::{Refusal, RefusalReason};
use simpul_wire::label::Text;
use simpul_wire::update::CONTENT_PATH;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

use super::UpdateError;
use super::content::Contents;
use super::ledger::Ledger;
use super::pace::Pace;

/// Longest time in which nothing of a download moves.
pub const REST_MAX: Duration = Duration::from_secs(40);

/// Slowest download on average: 2.5 MB in 80 minutes, an eighth of a bad mobile link.
pub const BYTES_PER_SECOND_MIN: u64 = 512;

/// Bytes that go out at once.
const PIECE_BYTES: usize = 8 * 1024;

/// How long a download waits for a place among the others before it is told to come again.
const PLACE_TIME_MAX: Duration = Duration::from_secs(20);

/// What an answer's body is: there at once, or piece by piece.
pub type Body = Either<Full<Bytes>, StreamBody<BoxStream<'static, Result<Frame<Bytes>, Infallible>>>>;

/// Until when a connection may go on; a download moves it.
#[derive(Debug)]
pub struct Deadline(Mutex<Moment>);

impl Deadline {
    /// At `at`.
    pub fn new(at: Moment) -> Deadline {
        Deadline(Mutex::new(at))
    }

    /// How long until then.
    pub fn left(&self, now: Moment) -> Duration {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).since(now)
    }

    fn move_to(&self, at: Moment) {
        let mut deadline = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *deadline = at.max(*deadline);
    }
}

/// How much of the uplink updates may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// All downloads together, KiB/s; 0: as fast as the line is.
    pub rate_kib_per_s: u32,
    /// Each node, KiB/s; 0: as fast as the line is.
    pub node_rate_kib_per_s: u32,
    /// Downloads at once.
    pub downloads_max: u32,
}

/// Hands updates out.
#[derive(Debug)]
pub struct Serving {
    ledger: Arc<Ledger>,
    contents: Contents,
    clock: Clock,
    limits: Limits,
    places: Arc<Semaphore>,
    all: Mutex<Pace>,
    /// Of the nodes that download now.
    nodes: Mutex<HashMap<NodeId, Arc<Mutex<Pace>>>>,
}

/// Why a node gets nothing.
#[derive(Debug)]
pub enum NotServed {
    /// There is nothing for it at this path.
    Nothing,
    /// Refused, or the hub's own trouble.
    Refused(Refusal),
}

fn refused(reason: RefusalReason, text: &str) -> NotServed {
    NotServed::Refused(Refusal { reason, text: Text::clipped(text) })
}

fn trouble(error: &UpdateError) -> NotServed {
    tracing::error!(%error, "a node asked for an update, and the hub cannot answer");
    refused(RefusalReason::Unavailable, "the hub cannot hand out updates now: its log says why; it is asked again")
}

/// Which bytes are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Whole,
    /// From, and up to but without.
    Part(u64, u64),
    /// They begin behind the end.
    Beyond,
}

/// RFC 9110, 14.2: one range from somewhere on. Anything else that a server does not know is as if it were not there.
fn wanted(range: Option<&str>, bytes: u64) -> Wanted {
    let parsed = || {
        let (from, to) = range?.strip_prefix("bytes=")?.split_once('-')?;
        let digits =
            |text: &str| !text.is_empty() && text.len() <= 18 && text.bytes().all(|byte| byte.is_ascii_digit());
        let from: u64 = digits(from).then(|| from.parse().ok())??;
        let end = if to.is_empty() {
            bytes
        } else {
            let to: u64 = digits(to).then(|| to.parse().ok())??;
            if to < from {
                return None;
            }
            (to + 1).min(bytes)
        };
        Some(if from >= bytes { Wanted::Beyond } else { Wanted::Part(from, end) })
    };
    parsed().unwrap_or(Wanted::Whole)
}

/// The hash that a path names: exactly 64 lower-case hexadecimal digits behind [`CONTENT_PATH`].
fn named(path: &str) -> Option<[u8; 32]> {
    let name = path.strip_prefix(CONTENT_PATH)?;
    if !name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let mut hash = [0; 32];
    hex::decode_to_slice(name, &mut hash).ok()?;
    Some(hash)
}

impl Serving {
    /// From this database and folder.
    pub fn new(ledger: Arc<Ledger>, contents: Contents, clock: Clock, limits: Limits) -> Serving {
        let places = Arc::new(Semaphore::new(usize::try_from(limits.downloads_max).unwrap_or(1).max(1)));
        let all = Mutex::new(Pace::new(limits.rate_kib_per_s));
        Serving { ledger, contents, clock, limits, places, all, nodes: Mutex::default() }
    }

    /// The offers for a node, as CBOR. Blocks on the database.
    ///
    /// # Errors
    /// The hub's own trouble.
    pub fn offers(&self, node: &NodeId) -> Result<Vec<u8>, NotServed> {
        Ok(self.ledger.offers(node).map_err(|error| trouble(&error))?.0.to_vec())
    }

    /// The bytes that a path names, if this node is offered them now. Blocks on database and disk.
    ///
    /// # Errors
    /// They are not this node's, or the hub's own trouble.
    pub fn content(&self, node: &NodeId, path: &str) -> Result<Arc<Vec<u8>>, NotServed> {
        let hash = named(path).ok_or(NotServed::Nothing)?;
        let (_, contents) = self.ledger.offers(node).map_err(|error| trouble(&error))?;
        if !contents.iter().any(|content| content.sha256 == hash) {
            return Err(NotServed::Nothing);
        }
        self.contents.read(&hash).map_err(|error| trouble(&error))
    }

    /// The answer with these bytes, or those of them that `range` names.
    ///
    /// # Errors
    /// Too many download at once.
    pub async fn download(
        self: &Arc<Self>,
        node: NodeId,
        bytes: Arc<Vec<u8>>,
        range: Option<&str>,
        deadline: Arc<Deadline>,
    ) -> Result<Response<Body>, NotServed> {
        let size = bytes.len() as u64;
        let (status, from, end) = match wanted(range, size) {
            Wanted::Whole => (StatusCode::OK, 0, size),
            Wanted::Part(from, end) => (StatusCode::PARTIAL_CONTENT, from, end),
            Wanted::Beyond => {
                let mut response = Response::new(Either::Left(Full::default()));
                *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
                set(&mut response, CONTENT_RANGE, &format!("bytes */{size}"));
                return Ok(response);
            }
        };
        let Ok(Ok(place)) = timeout(PLACE_TIME_MAX, self.places.clone().acquire_owned()).await else {
            return Err(refused(RefusalReason::Busy, "too many nodes download at once: come again in a minute"));
        };
        let now = self.clock.now();
        let longest = Duration::from_secs((end - from) / BYTES_PER_SECOND_MIN) + REST_MAX;
        let pace = self.pace_of(&node);
        let download = Download {
            serving: self.clone(),
            node,
            pace,
            bytes,
            at: usize::try_from(from).unwrap_or_default(),
            end: usize::try_from(end).unwrap_or_default(),
            until: now + longest,
            deadline,
            _place: place,
        };
        download.deadline.move_to(now + REST_MAX);
        let body = unfold(download, Download::next).boxed();
        let mut response = Response::new(Either::Right(StreamBody::new(body)));
        *response.status_mut() = status;
        set(&mut response, CONTENT_TYPE, "application/octet-stream");
        set(&mut response, ACCEPT_RANGES, "bytes");
        set(&mut response, CONTENT_LENGTH, &(end - from).to_string());
        if status == StatusCode::PARTIAL_CONTENT {
            set(&mut response, CONTENT_RANGE, &format!("bytes {from}-{}/{size}", end.saturating_sub(1)));
        }
        Ok(response)
    }

    fn pace_of(&self, node: &NodeId) -> Arc<Mutex<Pace>> {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        // Only those who download now: bounded by the places.
        nodes.retain(|_, pace| Arc::strong_count(pace) > 1);
        nodes
            .entry(node.clone())
            .or_insert_with(|| Arc::new(Mutex::new(Pace::new(self.limits.node_rate_kib_per_s))))
            .clone()
    }
}

fn set(response: &mut Response<Body>, name: hyper::header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// One answer on its way.
struct Download {
    serving: Arc<Serving>,
    node: NodeId,
    pace: Arc<Mutex<Pace>>,
    bytes: Arc<Vec<u8>>,
    at: usize,
    end: usize,
    /// However steadily it goes.
    until: Moment,
    deadline: Arc<Deadline>,
    _place: OwnedSemaphorePermit,
}

impl Download {
    /// The next piece. It is asked for when the piece before has left for the kernel: that is what moves the deadline.
    async fn next(mut self) -> Option<(Result<Frame<Bytes>, Infallible>, Download)> {
        let left = self.end.saturating_sub(self.at).min(PIECE_BYTES);
        if left == 0 {
            tracing::info!(node = %self.node, bytes = self.end, "a node has downloaded an update");
            return None;
        }
        let now = self.serving.clock.now();
        if now >= self.until {
            // Nothing moves the deadline any more: the answer is cut there, and asked for from where it ended.
            return std::future::pending().await;
        }
        let take = |pace: &Mutex<Pace>| pace.lock().unwrap_or_else(PoisonError::into_inner).take(now, left);
        let wait = take(&self.pace).max(take(&self.serving.all));
        self.deadline.move_to(now + wait + REST_MAX);
        if !wait.is_zero() {
            sleep(wait).await;
        }
        let piece = self.bytes.get(self.at..self.at + left).map(Bytes::copy_from_slice)?;
        self.at += left;
        Some((Ok(Frame::data(piece)), self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_from_somewhere_on_is_known_and_any_other_is_as_if_it_were_not_there() {
        let cases = [
            (None, Wanted::Whole),
            (Some("bytes=0-"), Wanted::Part(0, 10)),
            (Some("bytes=4-"), Wanted::Part(4, 10)),
            (Some("bytes=4-5"), Wanted::Part(4, 6)),
            (Some("bytes=4-99"), Wanted::Part(4, 10)),
            (Some("bytes=9-"), Wanted::Part(9, 10)),
            (Some("bytes=10-"), Wanted::Beyond),
            (Some("bytes=999999999999999999-"), Wanted::Beyond),
            (Some("bytes=99999999999999999999-"), Wanted::Whole),
            (Some("bytes=5-4"), Wanted::Whole),
            (Some("bytes=-4"), Wanted::Whole),
            (Some("bytes=0-1,4-5"), Wanted::Whole),
            (Some("bytes=+4-"), Wanted::Whole),
            (Some("lines=4-"), Wanted::Whole),
        ];
        for (range, expected) in cases {
            assert_eq!(wanted(range, 10), expected, "{range:?}");
        }
        assert_eq!(wanted(Some("bytes=0-"), 0), Wanted::Beyond);
    }

    #[test]
    fn only_a_whole_hash_names_a_content() {
        let hash = "ab".repeat(32);
        assert_eq!(named(&format!("{CONTENT_PATH}{hash}")), Some([0xab; 32]));
        for name in [
            "",
            "ab",
            "../updates.db",
            "%2e%2e/updates.db",
            &hash.to_uppercase(),
            &format!("{hash}/"),
            &format!("/{hash}"),
            &format!("{hash}00"),
        ] {
            assert_eq!(named(&format!("{CONTENT_PATH}{name}")), None, "{name}");
        }
    }
}
