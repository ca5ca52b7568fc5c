//! Images from parts: each incomplete image is one append-only file, so a restart of the hub resumes where it was.
//! When whole, length and SHA-256 are checked and the bytes go durably into the object store; the row, and with it the
//! acknowledgement, follows in the writer's transaction.
//!
//! Parts are not fsynced: until an image is whole nothing was acknowledged, and what a power cut does to a file the
//! hash finds. Layout of a file: metadata's length (u32 LE), metadata (CBOR), then entries of offset, length (u32 LE
//! each) and bytes; a torn last entry is cut off on reading.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use object_store::{ObjectStore, ObjectStoreExt};
use sha2::{Digest, Sha256};
use simpul_wire::ack::{PartialImage, RejectReason};
use simpul_wire::image::{ImageMeta, ImagePart};
use simpul_wire::limits::IMAGE_BYTES_MAX;
use simpul_wire::{Epoch, NodeId, RangeSet, SeqRange, Stream};

use crate::store::{Outcome, StoreError};

/// Incomplete images at the same time: every node of a large district with a few cameras in flight.
const ENTRIES_MAX: usize = 4_096;

/// Pieces of one incomplete image. 8 MiB in parts of 16 KiB, all in the worst order, are 256.
const PIECES_MAX: usize = 1_024;

/// Which image.
pub(super) type Key = (NodeId, Epoch, u64);

/// An image that is whole, verified and durable in the object store, but has no row yet.
#[derive(Debug, Clone)]
pub(super) struct WholeImage {
    pub node: NodeId,
    pub epoch: Epoch,
    pub seq: u64,
    pub received_ms: i64,
    pub meta: ImageMeta,
    pub object: String,
}

/// What became of a part.
pub(super) enum Assembled {
    Whole(Box<WholeImage>),
    Settled(Outcome),
}

/// All incomplete images.
pub(super) struct Assembler {
    directory: PathBuf,
    objects: Arc<dyn ObjectStore>,
    bytes_max: u64,
    table: Mutex<Table>,
    dropped: AtomicU64,
}

#[derive(Default)]
struct Table {
    entries: HashMap<Key, Entry>,
    bytes: u64,
    touches: u64,
}

struct Entry {
    touched: u64,
    bytes: u64,
    assembly: Arc<tokio::sync::Mutex<Assembly>>,
}

struct Assembly {
    path: PathBuf,
    /// Of the first part; a part with other metadata begins the image again.
    meta: Option<ImageMeta>,
    /// Byte positions that are in the file.
    have: RangeSet,
    /// In the object store already: only the row is missing.
    stored: bool,
}

/// The object's name: fixed by the image's place, so that a repeated store overwrites itself and leaves no orphan.
pub(super) fn object_name(node: &NodeId, epoch: Epoch, seq: u64) -> String {
    // A thousand files a directory keep listings and directory fsyncs short.
    format!("{node}/{epoch}/{:06}/{seq}.jpg", seq / 1_000)
}

impl Assembler {
    /// Take up what an earlier run left in `directory`. A file that cannot be read is removed: its image was never
    /// acknowledged and comes again.
    pub(super) fn open(directory: PathBuf, objects: Arc<dyn ObjectStore>, bytes_max: u64) -> Result<Self, StoreError> {
        fs::create_dir_all(&directory)?;
        let mut table = Table::default();
        for file in fs::read_dir(&directory)? {
            let path = file?.path();
            match (key_of(&path), read_back(&path)) {
                (Some(key), Ok((assembly, bytes))) if table.entries.len() < ENTRIES_MAX => {
                    table.bytes += bytes;
                    let assembly = Arc::new(tokio::sync::Mutex::new(assembly));
                    table.entries.insert(key, Entry { touched: 0, bytes, assembly });
                }
                _ => {
                    tracing::warn!(path = %path.display(), "an incomplete image could not be read: removed, it will be sent again");
                    fs::remove_file(&path)?;
                }
            }
        }
        Ok(Assembler { directory, objects, bytes_max, table: Mutex::new(table), dropped: AtomicU64::new(0) })
    }

    /// Whether this image has begun here: if not, the caller looks whether it has a row already.
    pub(super) fn knows(&self, key: &Key) -> bool {
        self.table().entries.contains_key(key)
    }

    /// Bytes of incomplete images.
    pub(super) fn bytes(&self) -> u64 {
        self.table().bytes
    }

    /// Incomplete images dropped at the limit.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Add a part. Parts of one image must come one after the other (the entry's lock sees to it), parts of several
    /// may come at once.
    pub(super) async fn add(&self, key: Key, received_ms: i64, part: ImagePart) -> Result<Assembled, StoreError> {
        let assembly = self.enter(&key, part.bytes.len() as u64)?;
        let mut assembly = assembly.lock_owned().await;
        let meta = part.meta.clone();
        let placed = Some((key.1, Stream::Snapshot, SeqRange::one(key.2)));
        let (mut assembly, appended) = blocking(move || {
            let appended = assembly.append(&part);
            Ok((assembly, appended))
        })
        .await?;
        self.grew(&key, appended?);
        if assembly.have.range_count() > PIECES_MAX {
            self.forget(&key);
            return Ok(Assembled::Settled(Outcome::Refused { placed, reason: RejectReason::TooManyIntervals }));
        }
        // `length` is 1 or more: decoding checked it.
        let whole = SeqRange::with_count(0, u64::from(meta.length))
            .ok_or_else(|| StoreError::Backend("an image of no bytes".into()))?;
        let missing: RangeSet = assembly.have.missing_in(whole).into_iter().collect();
        if !missing.is_empty() {
            let partial = PartialImage { seq: key.2, missing };
            return Ok(Assembled::Settled(Outcome::Partial(key.1, partial)));
        }
        let object = object_name(&key.0, key.1, key.2);
        if !assembly.stored {
            let path = assembly.path.clone();
            let expected = meta.clone();
            let Some(bytes) = blocking(move || assemble(&path, &expected)).await? else {
                self.forget(&key);
                return Ok(Assembled::Settled(Outcome::Refused { placed, reason: RejectReason::BadImageHash }));
            };
            // The store syncs file and directories before this returns.
            self.objects.put(&object_store::path::Path::from(object.as_str()), bytes.into()).await?;
            assembly.stored = true;
        }
        let (node, epoch, seq) = key;
        Ok(Assembled::Whole(Box::new(WholeImage { node, epoch, seq, received_ms, meta, object })))
    }

    /// The image has its row (or is to begin again): the file goes.
    pub(super) fn forget(&self, key: &Key) {
        let mut table = self.table();
        if let Some(entry) = table.entries.remove(key) {
            table.bytes -= entry.bytes;
            remove(&self.path(key));
        }
    }

    fn enter(&self, key: &Key, more: u64) -> Result<Arc<tokio::sync::Mutex<Assembly>>, StoreError> {
        let mut table = self.table();
        table.touches += 1;
        let touched = table.touches;
        if let Some(entry) = table.entries.get_mut(key) {
            entry.touched = touched;
        } else {
            let assembly = Assembly { path: self.path(key), meta: None, have: RangeSet::new(), stored: false };
            let assembly = Arc::new(tokio::sync::Mutex::new(assembly));
            table.entries.insert(key.clone(), Entry { touched, bytes: 0, assembly });
        }
        while table.bytes + more > self.bytes_max || table.entries.len() > ENTRIES_MAX {
            // Those that are being worked on hold their lock; the one at hand is the newest.
            let free = table.entries.iter().filter(|(_, entry)| entry.assembly.try_lock().is_ok());
            let Some(oldest) = free.min_by_key(|(_, entry)| entry.touched).map(|(key, _)| key.clone()) else { break };
            if oldest == *key {
                break;
            }
            if let Some(entry) = table.entries.remove(&oldest) {
                table.bytes -= entry.bytes;
                remove(&self.path(&oldest));
                self.dropped.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(node = %oldest.0, seq = oldest.2, "an incomplete image was dropped at the limit: it begins again");
            }
        }
        let entry = table.entries.get(key).ok_or_else(|| StoreError::Backend("an image vanished".into()))?;
        Ok(Arc::clone(&entry.assembly))
    }

    fn grew(&self, key: &Key, bytes: i64) {
        let mut table = self.table();
        if let Some(entry) = table.entries.get_mut(key) {
            entry.bytes = entry.bytes.saturating_add_signed(bytes);
            table.bytes = table.bytes.saturating_add_signed(bytes);
        }
    }

    fn path(&self, (node, epoch, seq): &Key) -> PathBuf {
        // '~' is not in a node id's alphabet.
        self.directory.join(format!("{node}~{epoch}~{seq}.part"))
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Assembly {
    /// Append what is missing of a part. Returns by how much the file grew (negative when it began again).
    fn append(&mut self, part: &ImagePart) -> Result<i64, StoreError> {
        let mut grown = 0i64;
        if self.meta.as_ref() != Some(&part.meta) {
            grown -= i64::try_from(self.have.count()).unwrap_or(i64::MAX);
            let meta = simpul_wire::error::to_vec(&part.meta);
            let mut file = File::create(&self.path)?;
            file.write_all(&(meta.len() as u32).to_le_bytes())?;
            file.write_all(&meta)?;
            (self.meta, self.have, self.stored) = (Some(part.meta.clone()), RangeSet::new(), false);
        }
        let Some(range) = SeqRange::with_count(u64::from(part.offset), part.bytes.len() as u64) else {
            return Ok(grown);
        };
        let missing = self.have.missing_in(range);
        if missing.is_empty() {
            return Ok(grown);
        }
        let mut out = Vec::with_capacity(part.bytes.len() + 8 * missing.len());
        for piece in &missing {
            let from = (piece.first() - range.first()) as usize;
            let bytes = &part.bytes[from..from + piece.count() as usize];
            out.extend_from_slice(&(piece.first() as u32).to_le_bytes());
            out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
            out.extend_from_slice(bytes);
        }
        let mut file = match OpenOptions::new().append(true).open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound && !self.have.is_empty() => {
                // Dropped at the limit between the look-up and the lock: it begins again with this part.
                let gone = i64::try_from(self.have.count()).unwrap_or(i64::MAX);
                (self.meta, self.have) = (None, RangeSet::new());
                return Ok(self.append(part)? - gone);
            }
            Err(error) => return Err(error.into()),
        };
        let before = file.metadata()?.len();
        if let Err(error) = file.write_all(&out) {
            // Half an entry would hide all that follow it.
            file.set_len(before)?;
            return Err(error.into());
        }
        for piece in missing {
            grown += i64::try_from(piece.count()).unwrap_or(0);
            self.have.insert(piece);
        }
        Ok(grown)
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| StoreError::Backend(format!("work on an image ended early: {error}")))?
}

/// The image's bytes, if they fit length and hash.
fn assemble(path: &Path, meta: &ImageMeta) -> Result<Option<Vec<u8>>, StoreError> {
    let file = match fs::read(path) {
        Ok(file) => file,
        // Begun again by another group meanwhile.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut image = vec![0; meta.length as usize];
    let Some((_, mut rest)) = split_meta(&file) else { return Ok(None) };
    while let Some((offset, bytes, after)) = split_entry(rest) {
        let Some(place) = image.get_mut(offset..offset + bytes.len()) else { return Ok(None) };
        place.copy_from_slice(bytes);
        rest = after;
    }
    Ok((Sha256::digest(&image).as_slice() == meta.sha256).then_some(image))
}

fn split_meta(file: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = file.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_le_bytes(*length) as usize)
}

fn split_entry(rest: &[u8]) -> Option<(usize, &[u8], &[u8])> {
    let (offset, rest) = rest.split_first_chunk::<4>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (bytes, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    // A length of zero is not written: it is what a power cut leaves of a tail that never reached the disk.
    (!bytes.is_empty()).then_some((u32::from_le_bytes(*offset) as usize, bytes, rest))
}

fn read_back(path: &Path) -> Result<(Assembly, u64), StoreError> {
    let file = fs::read(path)?;
    let torn = || StoreError::Backend("an incomplete image is torn".into());
    let (meta, mut rest) = split_meta(&file).ok_or_else(torn)?;
    let meta: ImageMeta = minicbor::decode(meta)?;
    let mut have = RangeSet::new();
    while let Some((offset, bytes, after)) = split_entry(rest) {
        let range = SeqRange::with_count(offset as u64, bytes.len() as u64).ok_or_else(torn)?;
        if meta.length > IMAGE_BYTES_MAX || range.last() >= u64::from(meta.length) {
            return Err(torn());
        }
        have.insert(range);
        rest = after;
    }
    if !rest.is_empty() {
        OpenOptions::new().write(true).open(path)?.set_len((file.len() - rest.len()) as u64)?;
    }
    let bytes = have.count();
    Ok((Assembly { path: path.to_owned(), meta: Some(meta), have, stored: false }, bytes))
}

fn key_of(path: &Path) -> Option<Key> {
    let mut fields = path.file_name()?.to_str()?.strip_suffix(".part")?.split('~');
    let key = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    fields.next().is_none().then_some(key)
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "the file of an image could not be removed");
    }
}
