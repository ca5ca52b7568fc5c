//! Cards that lose power at any point of a write: what is left is the old card, no disk at all, or the whole new one.

use std::io;

use super::image::{HEAD_BYTES, Image};
use super::medium::{Medium, ReadBack};
use super::partitions::{partitions, tests::mbr};
use super::problem::Problem;
use super::write::{left_unfinished, write};

const CARD_BYTES: usize = 10 << 20;
const IMAGE_BYTES: usize = 8 << 20;
const SECTOR: usize = 512;
/// Where the node's file goes in these tests: inside the partition, behind the head.
const NODE_AT: u64 = 5 << 20;

/// A few lines of xorshift: the order of chances is the seed's alone.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// A card whose power goes after so many written bytes. Sectors written since the last sync may or may not be there.
struct DyingCard {
    kept: Vec<u8>,
    seen: Vec<u8>,
    unsynced: Vec<usize>,
    bytes_to_live: u64,
    written_bytes: u64,
    /// A card that says yes and keeps something else.
    lies_at: Option<usize>,
}

impl DyingCard {
    fn new(old: &[u8], bytes_to_live: u64) -> Self {
        let (kept, seen) = (old.to_vec(), old.to_vec());
        DyingCard { kept, seen, unsynced: Vec::new(), bytes_to_live, written_bytes: 0, lies_at: None }
    }

    /// The power went: what is on the card.
    fn after_the_cut(mut self, chance: &mut Chance) -> Vec<u8> {
        for sector in std::mem::take(&mut self.unsynced) {
            if chance.below(2) == 0 {
                self.keep(sector);
            }
        }
        self.kept
    }

    fn keep(&mut self, sector: usize) {
        let range = sector * SECTOR..(sector + 1) * SECTOR;
        self.kept[range.clone()].copy_from_slice(&self.seen[range]);
    }
}

impl Medium for DyingCard {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        for (index, sector) in bytes.chunks(SECTOR).enumerate() {
            if self.bytes_to_live < SECTOR as u64 {
                return Err(io::Error::other("the power is gone"));
            }
            self.bytes_to_live -= SECTOR as u64;
            self.written_bytes += SECTOR as u64;
            let at = offset as usize + index * SECTOR;
            self.seen[at..at + sector.len()].copy_from_slice(sector);
            if self.lies_at.is_some_and(|lie| (at..at + SECTOR).contains(&lie)) {
                self.seen[at + 7] ^= 0x10;
            }
            self.unsynced.push(at / SECTOR);
        }
        Ok(())
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = self.seen.get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.bytes_to_live < SECTOR as u64 {
            return Err(io::Error::other("the power is gone"));
        }
        for sector in std::mem::take(&mut self.unsynced) {
            self.keep(sector);
        }
        Ok(())
    }

    fn forget_cached(&mut self) -> io::Result<ReadBack> {
        Ok(ReadBack::Direct)
    }

    fn capacity_bytes(&self) -> Option<u64> {
        Some(CARD_BYTES as u64)
    }
}

fn disk(bytes: usize, filling: u8) -> Vec<u8> {
    let mut disk: Vec<u8> = (0..bytes).map(|index| (index / SECTOR) as u8 ^ filling).collect();
    disk[..512].copy_from_slice(&mbr(0x0C, 2048, (bytes / SECTOR - 2048) as u32));
    disk
}

fn write_onto(card: &mut DyingCard, image: &[u8]) -> Result<(), Problem> {
    let mut image = Image::of(image.to_vec())?;
    // The same for both moments: what is written at the first is thrown away.
    let mut install = |_, blocks: &mut super::cache::BlockCache<'_>, found: &[super::partitions::Partition]| {
        use std::io::{Seek, SeekFrom, Write};
        let mut slice = blocks.slice(found[0]);
        slice
            .seek(SeekFrom::Start(NODE_AT - found[0].start_bytes))
            .and_then(|_| slice.write_all(b"the node's own files"))
            .map_err(Problem::CardWrite)
    };
    write(&mut image, card, &mut install, &mut |_, _, _| {}).map(|_| ())
}

fn finished(image: &[u8], old: &[u8]) -> Vec<u8> {
    let mut whole = old.to_vec();
    whole[CARD_BYTES - HEAD_BYTES..].fill(0);
    whole[..image.len()].copy_from_slice(image);
    whole[NODE_AT as usize..NODE_AT as usize + 20].copy_from_slice(b"the node's own files");
    whole
}

#[test]
fn a_card_that_loses_power_is_the_old_one_or_none_or_the_whole_new_one() {
    let (old, image) = (disk(CARD_BYTES, 0xA5), disk(IMAGE_BYTES, 0x3C));
    let whole = finished(&image, &old);
    let mut control = DyingCard::new(&old, u64::MAX);
    write_onto(&mut control, &image).expect("a card that lives");
    assert!(control.kept == whole, "the finished card is the image with the node's files");
    let total = control.written_bytes;

    let (mut untouched, mut no_disk, mut complete) = (0, 0, 0);
    for seed in 1..=100_u64 {
        let mut chance = Chance(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        // A third each: anywhere, around the beginning, and around the end, where the order matters most.
        let edge = 2 * HEAD_BYTES as u64;
        let cut = match seed % 3 {
            0 => chance.below(total),
            1 => chance.below(edge),
            _ => total - chance.below(edge),
        };
        let mut card = DyingCard::new(&old, cut);
        let result = write_onto(&mut card, &image);
        let left = card.after_the_cut(&mut chance);
        if left == old {
            untouched += 1;
        } else if !partitions(&left).is_empty() || left[510..512] == [0x55, 0xAA] {
            assert!(left == whole, "seed {seed}, cut after {cut} of {total} bytes: it looks bootable and is not whole");
            complete += 1;
        } else {
            assert!(result.is_err(), "seed {seed}: said to be done, and no disk");
            no_disk += 1;
        }
        let mut again = DyingCard::new(&left, u64::MAX);
        let unfinished = left_unfinished(&mut again);
        assert!(unfinished.is_some() || left == old || left == whole, "seed {seed}: the next run does not know");
        write_onto(&mut again, &image).expect("the second run");
        assert!(again.kept[..IMAGE_BYTES] == whole[..IMAGE_BYTES], "seed {seed}, cut after {cut}: the second run");
    }
    println!("seeds 1..=100: untouched {untouched}, no disk {no_disk}, complete {complete}");
    assert!(no_disk > 50, "the cuts did not meet the write");
}

#[test]
fn a_card_that_keeps_something_else_never_looks_finished() {
    let (old, image) = (disk(CARD_BYTES, 0xA5), disk(IMAGE_BYTES, 0x3C));
    for lies_at in [700, HEAD_BYTES - 1, HEAD_BYTES, 6 << 20, IMAGE_BYTES - 1] {
        let mut card = DyingCard::new(&old, u64::MAX);
        card.lies_at = Some(lies_at);
        let result = write_onto(&mut card, &image);
        assert!(matches!(result, Err(Problem::CardDiffers { .. })), "{lies_at}: {result:?}");
        assert_eq!(partitions(&card.kept), [], "{lies_at}");
    }
}

#[test]
fn what_cannot_become_a_card_is_refused_before_the_card_is_touched() {
    let old = disk(CARD_BYTES, 0xA5);
    let mut beyond = disk(IMAGE_BYTES, 0);
    beyond[..512].copy_from_slice(&mbr(0x0C, 2048, (CARD_BYTES / SECTOR) as u32));
    for (image, name) in
        [(vec![0; IMAGE_BYTES], "no disk"), (disk(IMAGE_BYTES, 0)[..4096].to_vec(), "tiny"), (beyond, "large")]
    {
        let mut card = DyingCard::new(&old, u64::MAX);
        let result = write_onto(&mut card, &image);
        assert!(
            matches!(result, Err(Problem::NotADiskImage { .. } | Problem::CardTooSmall { .. })),
            "{name}: {result:?}"
        );
        assert_eq!(card.written_bytes, 0, "{name}");
    }
}
