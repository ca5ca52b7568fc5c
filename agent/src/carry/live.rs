//! From the running spool: the agent seals into a socket of its own, whoever asked writes. The agent touches no stick,
//! and what leaves it is sealed.
//!
//! ```text
//! asks:     carry 1 (all|records) BYTES_MAX (KEY|-)\n
//! answers:  [length u32 BE, bytes]* of the carry file, [0 u32], {"records": ...} or {"error": "..."}
//! ```

use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use simpul_wire::limits::IMAGE_PART_BYTES_MAX;
use simpul_wire::{SeqRange, Stream};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

use super::credentials::Credentials;
use super::pack::{BATCH_BYTES_MAX, ORDER, Owed, Packer};
use super::{Carried, CarryError, Wish};
use crate::config::Config;
use crate::spool::Spool;
use simpul_clock::Clock;

/// A question is one line.
const QUESTION_BYTES_MAX: u64 = 256;

/// Whoever asks gets so long to ask, and to take each block: a stick may stall for long, one that was pulled does not
/// come back.
const ASK_MAX: Duration = Duration::from_secs(5);
const TAKE_MAX: Duration = Duration::from_secs(120);

/// Largest block: a chunk or two.
const BLOCK_BYTES_MAX: usize = 1024 * 1024;

/// Longest summary.
const SUMMARY_BYTES_MAX: u64 = 16 * 1024;

#[derive(Serialize, Deserialize)]
struct Summary {
    #[serde(default)]
    carried: Option<Carried>,
    #[serde(default)]
    error: Option<String>,
}

/// The socket's path.
pub fn socket_path(state_directory: &Path) -> PathBuf {
    state_directory.join("carry.sock")
}

/// Answer one after the other until `shutdown` becomes true.
///
/// # Errors
/// When the socket cannot be made.
pub async fn serve(config: Config, spool: Spool, clock: Clock, mut shutdown: watch::Receiver<bool>) -> io::Result<()> {
    let path = socket_path(&config.state_directory);
    // One of a run before this one; the spool's lock is what keeps two agents apart.
    if let Err(error) = std::fs::remove_file(&path)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    let answering = async {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                // Out of file descriptors: they come back.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            if let Err(error) = answer(stream, &config, &spool, &clock).await {
                tracing::warn!(%error, "a carry file was not taken to its end");
            }
        }
    };
    tokio::select! {
        _ = shutdown.wait_for(|stop| *stop) => {}
        () = answering => {}
    }
    std::fs::remove_file(&path)
}

async fn answer(stream: UnixStream, config: &Config, spool: &Spool, clock: &Clock) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut question = String::new();
    let mut asked = (&mut stream).take(QUESTION_BYTES_MAX);
    tokio::time::timeout(ASK_MAX, asked.read_line(&mut question)).await.map_err(|_| io::ErrorKind::TimedOut)??;
    let mut stream = stream.into_inner();
    let summary = match wish(&question) {
        None => Summary { carried: None, error: Some("the agent has another version: restart it".to_owned()) },
        Some(wish) => match export(&mut stream, &wish, config, spool, clock).await {
            Ok(carried) => {
                tracing::info!(?carried, "a carry file was made");
                Summary { carried: Some(carried), error: None }
            }
            Err(Stopped::Asker(error)) => return Err(error),
            Err(Stopped::Own(error)) => Summary { carried: None, error: Some(error.to_string()) },
        },
    };
    send(&mut stream, &[]).await?;
    stream.write_all(&serde_json::to_vec(&summary).unwrap_or_default()).await
}

fn wish(question: &str) -> Option<Wish> {
    let mut words = question.trim_end().split(' ');
    if (words.next()?, words.next()?) != ("carry", "1") {
        return None;
    }
    let images = words.next()? == "all";
    let bytes_max = words.next()?.parse().ok()?;
    let to = match words.next()? {
        "-" => None,
        key => Some(key.parse().ok()?),
    };
    Some(Wish { images, bytes_max, to })
}

enum Stopped {
    /// Whoever asked is gone.
    Asker(io::Error),
    /// It cannot be done.
    Own(CarryError),
}

impl<E: Into<CarryError>> From<E> for Stopped {
    fn from(error: E) -> Stopped {
        Stopped::Own(error.into())
    }
}

async fn send(stream: &mut UnixStream, block: &[u8]) -> io::Result<()> {
    let length = u32::try_from(block.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    let write = async {
        stream.write_all(&length.to_be_bytes()).await?;
        stream.write_all(block).await
    };
    tokio::time::timeout(TAKE_MAX, write).await.map_err(|_| io::ErrorKind::TimedOut)?
}

async fn hand_over(stream: &mut UnixStream, packer: &mut Packer) -> Result<(), Stopped> {
    let block = packer.take();
    // An empty one would mean the end.
    if block.is_empty() { Ok(()) } else { send(stream, &block).await.map_err(Stopped::Asker) }
}

async fn export(
    stream: &mut UnixStream,
    wish: &Wish,
    config: &Config,
    spool: &Spool,
    clock: &Clock,
) -> Result<Carried, Stopped> {
    let credentials = Credentials::load(config, wish.to)?;
    let (epoch, owed) = owed(spool, wish.images);
    if owed.is_empty() {
        return Err(CarryError::Nothing.into());
    }
    let mut packer = Packer::begin(&credentials, epoch, clock.wall_ms(), &owed, wish.bytes_max)?;
    for (epoch, kind, ranges) in owed.iter().filter(|(_, kind, _)| *kind != Stream::Snapshot) {
        for range in ranges.iter() {
            let mut left = Some(range);
            while let Some(asked) = left {
                let stored = spool.read(*epoch, *kind, asked, BATCH_BYTES_MAX, usize::MAX).await?;
                let Some(last) = packer.batch(*epoch, *kind, &stored)? else { break };
                hand_over(stream, &mut packer).await?;
                left = last.checked_add(1).and_then(|next| SeqRange::new(next, asked.last()));
            }
        }
    }
    for (epoch, _, ranges) in owed.iter().filter(|(_, kind, _)| *kind == Stream::Snapshot) {
        // The newest first: the room wants to see the present, and what does not fit is the oldest.
        for seq in ranges.iter().rev().flat_map(|range| (range.first()..=range.last()).rev()) {
            let mut offset = 0;
            while let Some(part) = spool.read_part(*epoch, seq, offset, IMAGE_PART_BYTES_MAX).await? {
                if offset == 0 && !packer.has_room_for(part.meta.length) {
                    break;
                }
                offset += u32::try_from(part.bytes.len()).unwrap_or(u32::MAX);
                packer.part(*epoch, seq, &part)?;
                hand_over(stream, &mut packer).await?;
                if offset >= part.meta.length {
                    break;
                }
            }
        }
    }
    let (rest, carried) = packer.end()?;
    send(stream, &rest).await.map_err(Stopped::Asker)?;
    Ok(carried)
}

/// What waits for the hub now, in the order of a file.
fn owed(spool: &Spool, images: bool) -> (simpul_wire::Epoch, Owed) {
    let state = spool.state();
    let state = state.borrow();
    let mut owed = Owed::new();
    for stream in ORDER.into_iter().filter(|stream| images || *stream != Stream::Snapshot) {
        let older = state.previous.iter().map(|older| (older.epoch, older.stream(stream)));
        for (epoch, status) in std::iter::once((state.epoch, state.stream(stream))).chain(older) {
            if !status.owed.is_empty() {
                owed.push((epoch, stream, (*status.owed).clone()));
            }
        }
    }
    (state.epoch, owed)
}

/// Ask a running agent for a carry file; `write` gets it, block by block. `None`: no agent runs.
///
/// # Errors
/// The agent cannot, it went away, or `write` failed.
pub fn ask(
    state_directory: &Path,
    wish: &Wish,
    write: &mut dyn FnMut(&[u8]) -> Result<(), CarryError>,
) -> Result<Option<Carried>, CarryError> {
    let path = socket_path(state_directory);
    let mut stream = match BlockingStream::connect(&path) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        connected => connected.map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => CarryError::Agent(format!("{}: {error}; use sudo", path.display())),
            _ => gone(&error),
        })?,
    };
    stream.set_read_timeout(Some(TAKE_MAX)).map_err(|error| gone(&error))?;
    let kind = if wish.images { "all" } else { "records" };
    let to = wish.to.map_or_else(|| "-".to_owned(), |key| key.to_string());
    stream.write_all(format!("carry 1 {kind} {} {to}\n", wish.bytes_max).as_bytes()).map_err(|error| gone(&error))?;
    let mut block = Vec::new();
    loop {
        let mut length = [0; 4];
        stream.read_exact(&mut length).map_err(|error| gone(&error))?;
        let length = u32::from_be_bytes(length) as usize;
        if length == 0 {
            break;
        }
        if length > BLOCK_BYTES_MAX {
            return Err(CarryError::Agent("the agent's answer cannot be read: is it another version?".to_owned()));
        }
        block.resize(length, 0);
        stream.read_exact(&mut block).map_err(|error| gone(&error))?;
        write(&block)?;
    }
    let mut text = Vec::new();
    stream.take(SUMMARY_BYTES_MAX).read_to_end(&mut text).map_err(|error| gone(&error))?;
    let summary: Summary = serde_json::from_slice(&text)
        .map_err(|_| CarryError::Agent("the agent's answer has no end: see its log".to_owned()))?;
    match summary {
        Summary { error: Some(error), .. } => Err(CarryError::Agent(error)),
        Summary { carried: Some(carried), .. } => Ok(Some(carried)),
        Summary { .. } => Err(CarryError::Agent("the agent says nothing of what it did: see its log".to_owned())),
    }
}

fn gone(error: &io::Error) -> CarryError {
    CarryError::Agent(format!("the agent went away, or is busy with another export ({error}): try again"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_of_another_version_or_with_anything_else_is_not_answered() {
        let key = simpul_carry::HubKey::from_bytes([9; 32]);
        let all = Wish { images: true, bytes_max: 77, to: None };
        assert_eq!(wish("carry 1 all 77 -\n"), Some(all.clone()));
        let records = Wish { images: false, to: Some(key), ..all };
        assert_eq!(wish(&format!("carry 1 records 77 {key}\n")), Some(records));
        for bad in ["", "carry 2 all 77 -", "carry 1 all many -", "carry 1 all 77 age1nokey", "GET / HTTP/1.1"] {
            assert_eq!(wish(bad), None, "{bad}");
        }
    }
}
