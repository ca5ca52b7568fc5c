//! The witness: what is known of the spool outside its databases, so that their damage can be told from an empty store
//! and no sequence number is ever given twice.
//!
//! Two copies (`witness.a`, `witness.b`), each replaced whole, `a` first: the whole one with the higher count holds.
//! Numbers below a row's `ceiling` may have been used; a ceiling is raised, durably, before numbers above it are.
//!
//! The *mark* beside it is written in place after each commit, without waiting for the card. It names the numbers that
//! were committed: exact after a killed process, a few seconds old after a power cut, and never too high.
//!
//! ```text
//! file = magic (8) | crc32c of what follows (u32, little-endian) | CBOR
//! ```

use minicbor::decode::{Decoder, Error as DecodeError};
use minicbor::encode::{Encoder, Error as EncodeError, Write};
use minicbor::{Decode, Encode};
use simpul_wire::checksum::CRC32C;
use simpul_wire::event::LossReason;
use simpul_wire::{Epoch, Generation, RangeSet, SeqRange};

use super::disk::{Disk, StoreError};

const MAGIC: &[u8; 8] = b"SMPLWIT1";
const COPIES: [&str; 2] = ["witness.a", "witness.b"];
const MARK: &str = "mark";

/// Largest witness: 64 + 64 + 16 MiB in databases of 64 KiB are 2,304 of about 40 bytes, and intervals are capped.
const BYTES_MAX: usize = 4 * 1024 * 1024;

/// A set of ranges in the witness; unlike on the wire its number of intervals is bounded by the spool alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ranges(pub RangeSet);

impl<C> Encode<C> for Ranges {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, ctx: &mut C) -> Result<(), EncodeError<W::Error>> {
        e.array(self.0.range_count() as u64)?;
        self.0.iter().try_for_each(|range| range.encode(e, ctx))
    }
}

impl<'b, C> Decode<'b, C> for Ranges {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, DecodeError> {
        let ranges: Vec<SeqRange> = d.decode_with(ctx)?;
        Ok(Ranges(ranges.into_iter().collect()))
    }
}

/// The whole witness.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Witness {
    /// How often it was written.
    #[n(0)]
    pub count: u64,
    /// SHA-256 of the machine's hardware serial, if it has one.
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    pub serial: Option<[u8; 32]>,
    /// How often the machine booted under this agent.
    #[n(2)]
    pub boot: u32,
    /// The kernel's id of the last such boot.
    #[n(3)]
    pub boot_id: String,
    /// The spool was closed in order.
    #[n(4)]
    pub clean: bool,
    /// The hub whose acknowledgements are in here.
    #[n(5)]
    pub generation: Option<Generation>,
    /// The number of the next database.
    #[n(6)]
    pub next_database: u32,
    /// The epochs; the last one is the store's own.
    #[n(7)]
    pub epochs: Vec<EpochBook>,
}

/// What is known of one epoch.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub(crate) struct EpochBook {
    #[n(0)]
    pub epoch: Epoch,
    /// By `Stream::number() - 1`.
    #[n(1)]
    pub rows: Vec<RowBook>,
}

/// What is known of one stream of an epoch.
#[derive(Debug, Clone, Default, Encode, Decode)]
#[cbor(map)]
pub(crate) struct RowBook {
    /// Numbers below it may have been used. After an orderly close it is the next number.
    #[n(0)]
    pub ceiling: u64,
    /// Acknowledged by the present generation of the hub.
    #[n(1)]
    pub acked: Ranges,
    /// Gone for ever, or never used.
    #[n(2)]
    pub lost: Ranges,
    /// Acknowledged by an earlier generation, no longer here, and not confirmed by the present one.
    #[n(3)]
    pub doubtful: Ranges,
    /// Lost, and the loss is not yet a record.
    #[n(4)]
    pub undeclared: Vec<Undeclared>,
    /// Records lost; unused numbers left out.
    #[n(5)]
    pub lost_records: u64,
    /// The databases, oldest first.
    #[n(6)]
    pub databases: Vec<DatabaseBook>,
    /// Lost, and the loss is a record that the hub may not have yet.
    #[n(7)]
    #[cbor(default)]
    pub told: Vec<Undeclared>,
}

/// Losses that are not yet records.
#[derive(Debug, Clone, Encode, Decode)]
pub(crate) struct Undeclared {
    #[n(0)]
    pub reason: LossReason,
    #[n(1)]
    pub ranges: Ranges,
}

/// What is known of one database.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(map)]
pub(crate) struct DatabaseBook {
    #[n(0)]
    pub number: u32,
    /// Nothing is added to it any more: `held` is what it holds. (Of a head it is what it held at the last writing.)
    #[n(1)]
    pub sealed: bool,
    #[n(2)]
    pub held: Ranges,
    #[n(3)]
    pub bytes: u64,
    /// Unix time in milliseconds at which it was first seen to be wholly acknowledged.
    #[n(4)]
    pub acked_wall_ms: Option<i64>,
    /// Boot and uptime of its first record.
    #[n(5)]
    pub oldest: Option<(u32, u64)>,
}

impl Witness {
    /// Read the better copy. `None`: there is none that is whole.
    pub fn load(disk: &dyn Disk) -> Result<Option<Witness>, StoreError> {
        let [a, b] = COPIES;
        let (a, b) = (disk.read(a, 0, BYTES_MAX)?, disk.read(b, 0, BYTES_MAX)?);
        Ok(Self::better(a.as_deref(), b.as_deref()))
    }

    /// The whole one of two copies that was written later.
    pub fn better(a: Option<&[u8]>, b: Option<&[u8]>) -> Option<Witness> {
        let whole = |copy: &[u8]| {
            let witness = Self::from_slice(copy);
            if witness.is_none() {
                tracing::warn!("a copy of the witness is damaged");
            }
            witness
        };
        [a, b].into_iter().flatten().filter_map(whole).max_by_key(|witness| witness.count)
    }

    /// Whether there is any copy at all, damaged or not.
    pub fn exists(disk: &dyn Disk) -> bool {
        COPIES.iter().any(|copy| disk.length(copy).is_some())
    }

    /// Write both copies, durably.
    pub fn save(&mut self, disk: &mut dyn Disk) -> Result<(), StoreError> {
        self.count += 1;
        let bytes = self.to_vec();
        COPIES.iter().try_for_each(|copy| disk.replace(copy, &bytes))
    }

    fn to_vec(&self) -> Vec<u8> {
        let body = simpul_wire::error::to_vec(self);
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&CRC32C.checksum(&body).to_le_bytes());
        bytes.extend_from_slice(&body);
        bytes
    }

    fn from_slice(bytes: &[u8]) -> Option<Witness> {
        let (magic, rest) = bytes.split_at_checked(8)?;
        let (crc, body) = rest.split_at_checked(4)?;
        if magic != MAGIC || CRC32C.checksum(body) != u32::from_le_bytes(crc.try_into().ok()?) {
            return None;
        }
        let witness: Witness = minicbor::decode(body).ok()?;
        let whole = !witness.epochs.is_empty() && witness.epochs.iter().all(|book| book.rows.len() == 4);
        whole.then_some(witness)
    }
}

/// What was committed: a lower bound that costs no fsync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    pub epoch: Epoch,
    /// Numbers below these were given to committed records (or were declared), by `Stream::number() - 1`.
    pub next: [u64; 4],
}

impl Mark {
    const BYTES: usize = 16 + 4 * 8 + 4;

    /// Read it; `None` if there is none that is whole.
    pub fn load(disk: &dyn Disk) -> Result<Option<Mark>, StoreError> {
        let Some(bytes) = disk.read(MARK, 0, Self::BYTES)? else { return Ok(None) };
        Ok(Self::from_slice(&bytes))
    }

    fn from_slice(bytes: &[u8]) -> Option<Mark> {
        let (body, crc) = bytes.split_at_checked(Self::BYTES - 4)?;
        if CRC32C.checksum(body) != u32::from_le_bytes(crc.try_into().ok()?) {
            return None;
        }
        let mut next = [0; 4];
        for (at, number) in next.iter_mut().enumerate() {
            *number = u64::from_le_bytes(body.get(16 + at * 8..24 + at * 8)?.try_into().ok()?);
        }
        Some(Mark { epoch: Epoch::from_bytes(body.get(..16)?.try_into().ok()?), next })
    }

    /// Write it without waiting for the card.
    pub fn scribble(&self, disk: &mut dyn Disk) -> Result<(), StoreError> {
        let mut bytes = self.epoch.as_bytes().to_vec();
        self.next.iter().for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
        let crc = CRC32C.checksum(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        disk.scribble(MARK, &bytes)
    }
}
