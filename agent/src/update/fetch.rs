//! Content from the hub into a file: goes on where a cut download ended, over restarts too, and is what was announced
//! or nothing.
//!
//! ```text
//! UPDATES/incoming/<SHA-256>.part
//! ```
//!
//! A piece is synced before the next is written, so that after a power cut everything below the last whole piece is
//! true; the rest is fetched again. There is no time limit for all of it (16 MiB take 9 minutes at 256 kbit/s, and hours
//! on a bad day), only for the next byte; what is cut there goes on the next time.

use std::fs::{self, File, OpenOptions};
use std::future::Future;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use simpul_wire::update::CONTENT_PATH;

use super::install::{Trouble, room_for};

/// Bytes that are written and synced together: 2 s of a 256 kbit/s link.
const PIECE_BYTES: usize = 64 * 1024;

/// What the hub answered, before its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// HTTP's status.
    pub status: u16,
    /// `Content-Range`, as it stands there.
    pub range: Option<String>,
}

/// A body that comes.
pub trait Body: Send {
    /// The next bytes; nothing: it ended.
    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>, String>> + Send;
}

/// Where content comes from.
pub trait Source: Sync {
    /// A body.
    type Body: Body;

    /// GET `path` from a byte on.
    fn get(&self, path: &str, from: u64) -> impl Future<Output = Result<(Head, Self::Body), String>> + Send;
}

/// What is to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// SHA-256.
    pub sha256: [u8; 32],
    /// Bytes.
    pub bytes: u64,
    /// Bytes that installing it takes besides.
    pub more_bytes: u64,
}

/// Where it ends up.
pub fn file(updates: &Path, sha256: &[u8; 32]) -> PathBuf {
    updates.join("incoming").join(format!("{}.part", hex::encode(sha256)))
}

/// Delete what was fetched, but for one.
pub fn tidy(updates: &Path, keep: Option<&[u8; 32]>) {
    let keep = keep.map(|sha256| file(updates, sha256));
    for entry in fs::read_dir(updates.join("incoming")).into_iter().flatten().flatten() {
        if Some(entry.path()) != keep {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Where a body's bytes belong.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    /// Behind what is there.
    Behind,
    /// It is the whole.
    Whole,
    /// Nowhere: what is there goes, and it is asked for anew.
    Anew(String),
    /// Nowhere, for now.
    Not(String),
}

fn place(head: &Head, from: u64, wanted: &Wanted) -> Place {
    match (head.status, &head.range) {
        (206, Some(range)) => {
            let expected = format!("bytes {from}-{}/{}", wanted.bytes.saturating_sub(1), wanted.bytes);
            match range.trim() == expected {
                true => Place::Behind,
                false => Place::Anew(format!("the hub answered {range}, and not {expected}")),
            }
        }
        (206, None) => Place::Anew("the hub sends a part and does not say which".into()),
        (200, _) => Place::Whole,
        (416, _) => Place::Anew("the hub has fewer bytes than were fetched".into()),
        (404, _) => Place::Not("the hub does not have the content (404)".into()),
        (status, _) => Place::Not(format!("the hub answered {status}")),
    }
}

/// The file, as far as it is.
struct Partial {
    file: File,
    sum: Sha256,
    length: u64,
}

impl Partial {
    /// What is there and true: whole pieces.
    fn open(path: &Path, wanted: &Wanted) -> io::Result<Partial> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let there = file.metadata()?.len();
        let piece = PIECE_BYTES as u64;
        let whole = if there == wanted.bytes { there } else { there.min(wanted.bytes) / piece * piece };
        file.set_len(whole)?;
        let mut partial = Partial { file, sum: Sha256::new(), length: whole };
        let mut bytes = vec![0; PIECE_BYTES];
        loop {
            match partial.file.read(&mut bytes)? {
                0 => return Ok(partial),
                length => partial.sum.update(&bytes[..length]),
            }
        }
    }

    fn restart(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        (self.sum, self.length) = (Sha256::new(), 0);
        Ok(())
    }

    fn append(&mut self, piece: &[u8]) -> io::Result<()> {
        self.file.write_all(piece)?;
        self.file.sync_data()?;
        self.sum.update(piece);
        self.length += piece.len() as u64;
        Ok(())
    }
}

/// Work on the file beside the loop: a sync may take a slow card a second.
async fn blocking<T: Send + 'static>(
    partial: Partial,
    work: impl FnOnce(&mut Partial) -> io::Result<T> + Send + 'static,
) -> Result<(Partial, T), Trouble> {
    let done = tokio::task::spawn_blocking(move || {
        let mut partial = partial;
        let value = work(&mut partial)?;
        Ok::<_, io::Error>((partial, value))
    });
    Ok(done.await.map_err(io::Error::other)??)
}

/// Fetch; returns when the file is whole, right and synced.
///
/// # Errors
/// `Passing`: what came so far is kept, or was wrong and is gone.
pub async fn fetch(source: &impl Source, updates: &Path, wanted: Wanted) -> Result<PathBuf, Trouble> {
    let path = file(updates, &wanted.sha256);
    let (open, folder) = (path.clone(), updates.to_owned());
    let opened = tokio::task::spawn_blocking(move || {
        let partial = Partial::open(&open, &wanted)?;
        room_for(&folder, wanted.bytes.saturating_sub(partial.length).saturating_add(wanted.more_bytes))?;
        Ok::<_, Trouble>(partial)
    });
    let mut partial = opened.await.map_err(io::Error::other)??;
    if partial.length < wanted.bytes || wanted.bytes == 0 {
        partial = receive(source, partial, &wanted).await?;
    }
    let (mut partial, found) = blocking(partial, |partial| {
        partial.file.sync_all()?;
        Ok(<[u8; 32]>::from(partial.sum.clone().finalize()))
    })
    .await?;
    if found != wanted.sha256 {
        partial.restart()?;
        return Err(Trouble::Passing("what came is not what was announced; it begins anew".into()));
    }
    Ok(path)
}

async fn receive(source: &impl Source, mut partial: Partial, wanted: &Wanted) -> Result<Partial, Trouble> {
    let from = partial.length;
    let address = format!("{CONTENT_PATH}{}", hex::encode(wanted.sha256));
    let (head, mut body) = source.get(&address, from).await.map_err(Trouble::Passing)?;
    match place(&head, from, wanted) {
        Place::Behind => {}
        Place::Whole => partial = blocking(partial, Partial::restart).await?.0,
        Place::Anew(why) => {
            blocking(partial, Partial::restart).await?;
            return Err(Trouble::Passing(format!("{why}; it begins anew")));
        }
        Place::Not(why) => return Err(Trouble::Passing(why)),
    }
    let mut piece = Vec::with_capacity(PIECE_BYTES);
    let mut cut = None;
    loop {
        let bytes = match body.next().await {
            Ok(Some(bytes)) => bytes,
            Ok(None) => break,
            Err(why) => {
                cut = Some(why);
                break;
            }
        };
        if partial.length + (piece.len() + bytes.len()) as u64 > wanted.bytes {
            blocking(partial, Partial::restart).await?;
            return Err(Trouble::Passing("more bytes came than were announced; it begins anew".into()));
        }
        let mut bytes = &bytes[..];
        while !bytes.is_empty() {
            let (some, rest) = bytes.split_at(bytes.len().min(PIECE_BYTES - piece.len()));
            piece.extend_from_slice(some);
            bytes = rest;
            if piece.len() == PIECE_BYTES {
                let full = std::mem::replace(&mut piece, Vec::with_capacity(PIECE_BYTES));
                partial = blocking(partial, move |partial| partial.append(&full)).await?.0;
            }
        }
    }
    partial = blocking(partial, move |partial| partial.append(&piece)).await?.0;
    if partial.length < wanted.bytes {
        let why = cut.unwrap_or_else(|| "the connection was closed".into());
        return Err(Trouble::Passing(format!("cut after {} of {} bytes: {why}", partial.length, wanted.bytes)));
    }
    Ok(partial)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use rand::rngs::StdRng;
    use rand::{Rng, RngExt, SeedableRng};

    use super::*;

    /// What the hub does with one request.
    #[derive(Debug, Clone)]
    enum Does {
        /// As it should, cut after so many bytes.
        Part(usize),
        /// Range is not understood: all of it, cut after so many.
        Whole(usize),
        /// Another range than was asked for.
        WrongRange,
        /// A part without a word about which.
        NoRange,
        /// Of another content.
        Changed,
        /// More than there is.
        TooMuch,
        Status(u16),
        NoConnection,
    }

    struct Pieces(Vec<Bytes>, bool);

    impl Body for Pieces {
        async fn next(&mut self) -> Result<Option<Bytes>, String> {
            match self.0.pop() {
                Some(bytes) => Ok(Some(bytes)),
                None if self.1 => Err("connection reset".into()),
                None => Ok(None),
            }
        }
    }

    struct Hub {
        content: Vec<u8>,
        script: Mutex<Vec<Does>>,
        sent: Mutex<usize>,
    }

    impl Hub {
        fn body(&self, bytes: &[u8], length: usize) -> Pieces {
            let bytes = &bytes[..length.min(bytes.len())];
            *self.sent.lock().unwrap() += bytes.len();
            let mut pieces: Vec<Bytes> = bytes.chunks(10_007).map(Bytes::copy_from_slice).collect();
            pieces.reverse();
            Pieces(pieces, length.is_multiple_of(2))
        }
    }

    impl Source for Hub {
        type Body = Pieces;

        async fn get(&self, path: &str, from: u64) -> Result<(Head, Pieces), String> {
            assert_eq!(path, format!("/v1/updates/content/{}", hex::encode(Sha256::digest(&self.content))));
            let (all, from) = (self.content.len(), from as usize);
            let range = |first: usize| Some(format!("bytes {first}-{}/{all}", all - 1));
            let head = |status, range| Head { status, range };
            let does = self.script.lock().unwrap().pop().unwrap_or(Does::Part(usize::MAX));
            let rest = &self.content[from..];
            Ok(match does {
                Does::Part(length) if from == 0 => (head(200, None), self.body(rest, length)),
                Does::Part(length) => (head(206, range(from)), self.body(rest, length)),
                Does::Whole(length) => (head(200, None), self.body(&self.content, length)),
                Does::WrongRange => (head(206, range(from + 1)), self.body(&rest[1..], usize::MAX)),
                Does::NoRange => (head(206, None), self.body(rest, usize::MAX)),
                Does::Changed => {
                    let other: Vec<u8> = rest.iter().map(|byte| !byte).collect();
                    (head(206, range(from)), self.body(&other, usize::MAX))
                }
                Does::TooMuch => (head(206, range(from)), self.body(&[rest, b"x"].concat(), usize::MAX)),
                Does::Status(status) => (head(status, None), self.body(b"sorry", 9)),
                Does::NoConnection => return Err("connection refused".into()),
            })
        }
    }

    fn content(bytes: usize) -> Vec<u8> {
        let mut content = vec![0; bytes];
        StdRng::seed_from_u64(5).fill_bytes(&mut content);
        content
    }

    fn hub(content: &[u8], mut script: Vec<Does>) -> Hub {
        script.reverse();
        Hub { content: content.to_vec(), script: Mutex::new(script), sent: Mutex::new(0) }
    }

    fn wanted(content: &[u8]) -> Wanted {
        Wanted { sha256: Sha256::digest(content).into(), bytes: content.len() as u64, more_bytes: 0 }
    }

    #[tokio::test]
    async fn a_download_that_is_cut_goes_on_where_it_ended() {
        let content = content(300_000);
        let folder = tempfile::tempdir().unwrap();
        let hub = hub(&content, vec![Does::Part(200_000), Does::Part(50_001), Does::NoConnection]);
        let cut = fetch(&hub, folder.path(), wanted(&content)).await.unwrap_err().to_string();
        assert_eq!(cut, "cut after 200000 of 300000 bytes: connection reset");
        let cut = fetch(&hub, folder.path(), wanted(&content)).await.unwrap_err().to_string();
        assert!(cut.ends_with("of 300000 bytes: the connection was closed"), "{cut}");
        assert!(fetch(&hub, folder.path(), wanted(&content)).await.is_err());
        let path = fetch(&hub, folder.path(), wanted(&content)).await.unwrap();
        assert_eq!(fs::read(&path).unwrap(), content);
        // At most a piece of each cut was fetched twice.
        assert!(*hub.sent.lock().unwrap() <= 300_000 + 3 * PIECE_BYTES);
        assert_eq!(fetch(&hub, folder.path(), wanted(&content)).await, Ok(path), "and nothing more is asked for");
        tidy(folder.path(), Some(&wanted(&content).sha256));
        assert!(file(folder.path(), &wanted(&content).sha256).exists());
        tidy(folder.path(), None);
        assert!(!file(folder.path(), &wanted(&content).sha256).exists());
    }

    #[tokio::test]
    async fn a_wrong_answer_begins_anew_or_is_waited_out() {
        let content = content(200_000);
        for (does, expected, kept) in [
            (
                Does::WrongRange,
                "the hub answered bytes 131073-199999/200000, and not bytes 131072-199999/200000; it begins anew",
                0,
            ),
            (Does::NoRange, "the hub sends a part and does not say which; it begins anew", 0),
            (Does::Changed, "what came is not what was announced; it begins anew", 0),
            (Does::TooMuch, "more bytes came than were announced; it begins anew", 0),
            (Does::Status(416), "the hub has fewer bytes than were fetched; it begins anew", 0),
            (Does::Status(404), "the hub does not have the content (404)", 131_072),
            (Does::Status(503), "the hub answered 503", 131_072),
            (Does::Whole(100_001), "cut after 100001 of 200000 bytes: the connection was closed", 65_536),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let hub = hub(&content, vec![Does::Part(140_000), does.clone()]);
            fetch(&hub, folder.path(), wanted(&content)).await.unwrap_err();
            let said = fetch(&hub, folder.path(), wanted(&content)).await.unwrap_err();
            assert_eq!(said, Trouble::Passing(expected.into()));
            let path = file(folder.path(), &wanted(&content).sha256);
            assert_eq!(Partial::open(&path, &wanted(&content)).unwrap().length, kept, "{does:?}");
            assert_eq!(fs::read(fetch(&hub, folder.path(), wanted(&content)).await.unwrap()).unwrap(), content);
        }
    }

    #[tokio::test]
    async fn after_a_power_cut_at_any_byte_the_content_is_right_in_the_end() {
        let seed = 20_261_124;
        println!("seed {seed}");
        let mut random = StdRng::seed_from_u64(seed);
        let content = content(150_000);
        for _ in 0..100 {
            let folder = tempfile::tempdir().unwrap();
            let path = file(folder.path(), &wanted(&content).sha256);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            // Synced up to a whole piece; behind it whatever the card has: less, more, zeros, noise.
            let length = random.random_range(0..=170_000usize);
            let mut there = content.clone();
            there.resize(170_000, 0);
            let synced = length / PIECE_BYTES * PIECE_BYTES;
            if random.random_bool(0.5) {
                there[synced..].fill(0);
            }
            fs::write(&path, &there[..length]).unwrap();
            let hub = hub(&content, vec![]);
            let mut tries = 0;
            while let Err(trouble) = fetch(&hub, folder.path(), wanted(&content)).await {
                tries += 1;
                assert!(tries < 3, "{length}: {trouble}");
            }
            assert_eq!(fs::read(&path).unwrap(), content, "{length}");
        }
    }
}
