//! The order in which a card is written, so that a card that was pulled out half-way never looks like one that boots.
//!
//! 1. The first MiB becomes the [mark](super::marker) of an unfinished card, the last MiB zeros (an old GPT's copy).
//! 2. Everything behind the first MiB is written and synced; the mark follows every 64 MiB.
//! 3. It is read back from the medium, and its SHA-256 compared with that of what came out of the image.
//! 4. The node's own files go into the boot partition, while the partition table is in memory only.
//! 5. The first MiB but its first sector; sync; then the first sector, which makes it a disk; sync; both read back.
//!
//! Where it stops before the end of 5 the card begins with the mark (or, torn in the middle of 1, with neither a table
//! nor boot code). The core knows no files and no terminal: tests run it on cards that die at any byte.

use sha2::{Digest, Sha256};

use super::cache::BlockCache;
use super::image::{HEAD_BYTES, Image};
use super::marker::{MARKER_BYTES, Marker};
use super::medium::{Medium, ReadBack};
use super::partitions::{Partition, partitions};
use super::problem::Problem;

/// Bytes read and written at once: large enough for a card's erase blocks, small beside any machine's memory.
pub const CHUNK_BYTES: usize = 4 << 20;
/// The mark moves, and the card is synced, each so many bytes: a second at a slow card's speed.
const SYNC_EVERY_BYTES: u64 = 64 << 20;
const SECTOR_BYTES: u64 = 512;

/// What is being done, for whoever watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Steps 1 and 2. Measured in bytes of the image file, whose total is always known.
    Write,
    /// Step 3, in bytes of the card.
    Verify,
    /// Steps 4 and 5.
    Finish,
}

/// Told how far it is: stage, done, total.
pub type Watch<'w> = &'w mut dyn FnMut(Stage, u64, u64);

/// When the node's part is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// As soon as everything that may be FAT is on the card: is there a place? What it writes is thrown away.
    Check,
    /// Step 4.
    Install,
}

/// The node's part: gets the card's blocks with the partition table in place, and the partitions.
pub type Install<'i> = &'i mut dyn FnMut(Moment, &mut BlockCache<'_>, &[Partition]) -> Result<(), Problem>;

/// A finished card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Bytes of the image on the card.
    pub bytes: u64,
    /// SHA-256 of the image as unpacked, read back equal.
    pub sha256: [u8; 32],
    /// How it was read back.
    pub read_back: ReadBack,
}

/// What a card says about an earlier run: `Some` when it was left unfinished.
pub fn left_unfinished(card: &mut dyn Medium) -> Option<Option<Marker>> {
    let mut sector = [0; MARKER_BYTES];
    match card.read_at(0, &mut sector) {
        Ok(MARKER_BYTES) => Marker::decode(&sector),
        _ => None,
    }
}

/// Refuse what can be refused before the card is touched; the image's partitions.
pub fn check(image: &Image, card: &dyn Medium) -> Result<Vec<Partition>, Problem> {
    let found = partitions(&image.head);
    if found.is_empty() || image.head.len() < HEAD_BYTES {
        return Err(Problem::NotADiskImage { image: image.name.clone() });
    }
    let end = found.iter().map(Partition::end_bytes).max().unwrap_or(0);
    if let Some(bytes) = image.unpacked_bytes {
        whole(image, bytes, end)?;
    }
    let needed = image.unpacked_bytes.unwrap_or(end).max(end);
    if let Some(capacity) = card.capacity_bytes().filter(|capacity| *capacity < needed) {
        return Err(Problem::CardTooSmall { needed_bytes: needed, capacity_bytes: capacity });
    }
    Ok(found)
}

fn whole(image: &Image, bytes: u64, end: u64) -> Result<(), Problem> {
    if bytes < end {
        return Err(Problem::ImageShort { image: image.name.clone(), bytes, expected_bytes: end });
    }
    Ok(())
}

/// Write `image` onto `card`, steps 1 to 5; `install` is step 4.
pub fn write(
    image: &mut Image,
    card: &mut dyn Medium,
    install: Install<'_>,
    watch: Watch<'_>,
) -> Result<Written, Problem> {
    let found = check(image, card)?;
    let end = found.iter().map(Partition::end_bytes).max().unwrap_or(0);
    let mut marker = Marker {
        image: image.name.clone(),
        head_sha256: hex::encode(&Sha256::digest(&image.head)[..16]),
        position_bytes: 0,
        total_bytes: image.unpacked_bytes,
        capacity_bytes: card.capacity_bytes(),
    };
    mark(card, &marker)?;
    let mut check = Some(|image: &Image, card: &mut dyn Medium| {
        let mut head = image.head.clone();
        install(Moment::Check, &mut BlockCache::new(card, &mut head), &found)
    });
    let fat_end = found.iter().filter(|partition| partition.maybe_fat).map(Partition::end_bytes).max().unwrap_or(0);
    let (bytes, sha256) = write_body(image, card, &mut marker, watch, &mut |image, card, position| {
        // A technician who waits five minutes for a card is told after one that it will not become the node.
        if position >= fat_end
            && let Some(mut check) = check.take()
        {
            check(image, card)?;
        }
        Ok(())
    })?;
    whole(image, bytes, end)?;
    let read_back = verify_body(card, &image.head, bytes, &sha256, watch)?;
    watch(Stage::Finish, 0, 1);
    let mut head = std::mem::take(&mut image.head);
    let mut blocks = BlockCache::new(card, &mut head);
    install(Moment::Install, &mut blocks, &found)?;
    blocks.flush()?;
    card.sync().map_err(Problem::CardWrite)?;
    finish(card, &head)?;
    watch(Stage::Finish, 1, 1);
    Ok(Written { bytes, sha256, read_back })
}

fn mark(card: &mut dyn Medium, marker: &Marker) -> Result<(), Problem> {
    let mut first = vec![0; HEAD_BYTES];
    first[..MARKER_BYTES].copy_from_slice(&marker.encode());
    // The table goes first and by itself: from here on nothing boots from this card.
    card.write_at(0, &first[..MARKER_BYTES]).map_err(Problem::CardWrite)?;
    card.sync().map_err(Problem::CardWrite)?;
    card.write_at(MARKER_BYTES as u64, &first[MARKER_BYTES..]).map_err(Problem::CardWrite)?;
    if let Some(capacity) = card.capacity_bytes().filter(|capacity| *capacity >= 2 * HEAD_BYTES as u64) {
        let tail = capacity / SECTOR_BYTES * SECTOR_BYTES - HEAD_BYTES as u64;
        first.fill(0);
        card.write_at(tail, &first).map_err(Problem::CardWrite)?;
    }
    card.sync().map_err(Problem::CardWrite)
}

/// Called after each chunk with the position that the card has reached.
type Passed<'p> = &'p mut dyn FnMut(&Image, &mut dyn Medium, u64) -> Result<(), Problem>;

fn write_body(
    image: &mut Image,
    card: &mut dyn Medium,
    marker: &mut Marker,
    watch: Watch<'_>,
    passed: Passed<'_>,
) -> Result<(u64, [u8; 32]), Problem> {
    let mut hash = Sha256::new();
    hash.update(&image.head);
    let mut position = HEAD_BYTES as u64;
    let mut synced = position;
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let count = image.read(&mut chunk)?;
        hash.update(&chunk[..count]);
        // A device takes whole sectors: the last one is filled up with zeros.
        let padded = count.next_multiple_of(SECTOR_BYTES as usize);
        chunk[count..padded].fill(0);
        let after = position + padded as u64;
        if let Some(capacity) = card.capacity_bytes().filter(|capacity| *capacity < after) {
            return Err(Problem::CardTooSmall { needed_bytes: after, capacity_bytes: capacity });
        }
        if count > 0 {
            card.write_at(position, &chunk[..padded]).map_err(Problem::CardWrite)?;
        }
        position += count as u64;
        passed(image, card, position)?;
        watch(Stage::Write, image.consumed_bytes(), image.stored_bytes);
        if count < chunk.len() {
            break;
        }
        if position - synced >= SYNC_EVERY_BYTES {
            card.sync().map_err(Problem::CardWrite)?;
            marker.position_bytes = position;
            card.write_at(0, &marker.encode()).map_err(Problem::CardWrite)?;
            synced = position;
        }
    }
    card.sync().map_err(Problem::CardWrite)?;
    marker.position_bytes = position;
    card.write_at(0, &marker.encode()).map_err(Problem::CardWrite)?;
    card.sync().map_err(Problem::CardWrite)?;
    Ok((position, hash.finalize().into()))
}

fn verify_body(
    card: &mut dyn Medium,
    head: &[u8],
    bytes: u64,
    expected: &[u8; 32],
    watch: Watch<'_>,
) -> Result<ReadBack, Problem> {
    let read_back = card.forget_cached().map_err(Problem::CardRead)?;
    let mut hash = Sha256::new();
    hash.update(head);
    let mut position = head.len() as u64;
    let mut chunk = vec![0; CHUNK_BYTES];
    while position < bytes {
        let wanted = usize::try_from(bytes - position).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        let count = card.read_at(position, &mut chunk[..wanted]).map_err(Problem::CardRead)?;
        if count == 0 {
            return Err(Problem::CardDiffers { position_bytes: position });
        }
        hash.update(&chunk[..count]);
        position += count as u64;
        watch(Stage::Verify, position, bytes);
    }
    if hash.finalize()[..] != expected[..] {
        return Err(Problem::CardDiffers { position_bytes: bytes });
    }
    Ok(read_back)
}

/// Step 5. Also how a finished card's changed first MiB goes back.
pub fn finish(card: &mut dyn Medium, head: &[u8]) -> Result<(), Problem> {
    let (table, rest) = head.split_at(MARKER_BYTES);
    card.write_at(MARKER_BYTES as u64, rest).map_err(Problem::CardWrite)?;
    card.sync().map_err(Problem::CardWrite)?;
    card.write_at(0, table).map_err(Problem::CardWrite)?;
    card.sync().map_err(Problem::CardWrite)?;
    card.forget_cached().map_err(Problem::CardRead)?;
    let mut back = vec![0; head.len()];
    let count = card.read_at(0, &mut back).map_err(Problem::CardRead)?;
    if count != head.len() || back != head {
        // It must not look finished: what it boots is not what was meant.
        card.write_at(0, &[0; MARKER_BYTES]).and_then(|()| card.sync()).map_err(Problem::CardWrite)?;
        return Err(Problem::CardDiffers { position_bytes: 0 });
    }
    Ok(())
}
