//! Batches, agent -> hub: an uncompressed header, so that a hub can place (and refuse) what it cannot read, then a body.
//!
//! ```text
//! [ version, node, epoch, stream, first_seq, count, crc32c, encoding, body ]      CBOR array; later versions may append
//! ```
//!
//! The checksum (CRC-32C, RFC 3720) covers the canonical header without itself, then the body as sent.

use alloc::string::ToString;
use alloc::vec::Vec;

use minicbor::decode::Decoder;
use minicbor::encode::Encoder;
use minicbor::{Decode, Encode};

use crate::checksum::CRC32C;
use crate::error::infallible;
use crate::event::EventRecord;
use crate::image::ImagePart;
use crate::limits::{BLOCKS_MAX, PAYLOAD_BYTES_MAX, READINGS_MAX, RECORDS_MAX};
use crate::reading::{ReadingBlock, decode_block, definite};
use crate::service::ServiceRecord;
use crate::units::numbered;
use crate::{Epoch, NodeId, SeqRange, Stream, WireError};

/// The version that this crate writes.
pub const VERSION: u8 = 1;

numbered! {
    /// How a batch's body is encoded.
    Encoding {
        /// A CBOR array of records (or blocks of readings).
        1 Plain "plain",
        /// The same in one zstd frame.
        2 Zstd "zstd",
        /// One part of an image; the count is 1.
        3 ImagePart "image part",
    }
}

/// A batch's header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Version of what follows the first seven fields.
    pub version: u8,
    /// Whose records; must be the topic's node.
    pub node: NodeId,
    /// The store they come from.
    pub epoch: Epoch,
    /// Their stream; must be the topic's.
    pub stream: Stream,
    /// Their sequence numbers: `count` from `first_seq` on.
    pub range: SeqRange,
    /// CRC-32C of header and body.
    pub crc32c: u32,
    /// How the body is encoded.
    pub encoding: Encoding,
}

/// A batch as it came: header read, body untouched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch<'b> {
    /// The header.
    pub header: Header,
    /// The body as sent.
    pub body: &'b [u8],
}

/// What a body holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// Records of the `service` stream.
    Service(Vec<ServiceRecord>),
    /// Records of the `event` stream.
    Event(Vec<EventRecord>),
    /// Blocks of the `reading` stream.
    Reading(Vec<ReadingBlock>),
    /// A part of an image.
    Image(ImagePart),
}

/// Why a payload was refused, with its range where the header could be read: that part the hub can reject by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Epoch, stream and range from the header, if it could be read.
    pub placed: Option<(Epoch, Stream, SeqRange)>,
    /// Why.
    pub error: WireError,
}

impl<'b> Batch<'b> {
    /// Read the header and check version and checksum. Does not look into the body.
    pub fn open(payload: &'b [u8]) -> Result<Self, Refused> {
        if payload.len() > PAYLOAD_BYTES_MAX {
            let error = WireError::TooLarge { what: "payload", size: payload.len(), limit: PAYLOAD_BYTES_MAX };
            return Err(Refused { placed: placed(payload).ok(), error });
        }
        let mut d = Decoder::new(payload);
        match read(&mut d) {
            Ok(batch) => Ok(batch),
            Err(error) => Err(Refused { placed: placed(payload).ok(), error }),
        }
    }

    /// Decode the body.
    pub fn decode(&self) -> Result<Body, WireError> {
        let count = self.header.range.count();
        match (self.header.encoding, self.header.stream) {
            (Encoding::ImagePart, Stream::Snapshot) => {
                if count != 1 {
                    return Err(WireError::CountMismatch { declared: count, found: 1 });
                }
                ImagePart::from_slice(self.body).map(Body::Image)
            }
            (Encoding::ImagePart, _) | (_, Stream::Snapshot) => {
                Err(WireError::invalid("images, and only they, travel as parts"))
            }
            (Encoding::Plain, stream) => decode_records(stream, self.body, count),
            #[cfg(feature = "zstd")]
            (Encoding::Zstd, stream) => decode_records(stream, &crate::compress::decompress(self.body)?, count),
            #[cfg(not(feature = "zstd"))]
            (Encoding::Zstd, _) => Err(WireError::Unsupported("zstd".to_string())),
        }
    }
}

/// The seven fields that every version keeps, as far as they are needed to place a batch.
fn placed(payload: &[u8]) -> Result<(Epoch, Stream, SeqRange), WireError> {
    let mut d = Decoder::new(payload);
    definite(&mut d)?;
    d.u8()?;
    NodeId::decode(&mut d, &mut ())?;
    let epoch = Epoch::decode(&mut d, &mut ())?;
    let stream = Stream::decode(&mut d, &mut ())?;
    Ok((epoch, stream, range(&mut d)?))
}

fn range(d: &mut Decoder<'_>) -> Result<SeqRange, WireError> {
    let (first, count) = (d.u64()?, d.u32()?);
    SeqRange::with_count(first, u64::from(count)).ok_or_else(|| WireError::invalid("range of sequence numbers"))
}

fn read<'b>(d: &mut Decoder<'b>) -> Result<Batch<'b>, WireError> {
    let fields = definite(d)?;
    let version = d.u8()?;
    if version != VERSION {
        return Err(WireError::Unsupported(alloc::format!("batch version {version}, this program knows {VERSION}")));
    }
    if fields < 9 {
        return Err(WireError::Malformed("batch: nine fields expected".to_string()));
    }
    let node = NodeId::decode(d, &mut ())?;
    let epoch = Epoch::decode(d, &mut ())?;
    let stream = Stream::decode(d, &mut ())?;
    let range = range(d)?;
    let crc32c = d.u32()?;
    let number = d.u8()?;
    let encoding =
        Encoding::from_number(number).ok_or_else(|| WireError::Unsupported(alloc::format!("encoding {number}")))?;
    let body = d.bytes()?;
    let header = Header { version, node, epoch, stream, range, crc32c, encoding };
    if checksum(&header, body) != crc32c {
        return Err(WireError::BadChecksum);
    }
    Ok(Batch { header, body })
}

fn encode_head(
    header: &Header,
    e: &mut Encoder<&mut Vec<u8>>,
) -> Result<(), minicbor::encode::Error<core::convert::Infallible>> {
    e.u8(header.version)?;
    header.node.encode(e, &mut ())?;
    header.epoch.encode(e, &mut ())?;
    header.stream.encode(e, &mut ())?;
    // `open` and `seal` bound the count by `u32`.
    e.u64(header.range.first())?.u32(u32::try_from(header.range.count()).unwrap_or(u32::MAX))?.ok()
}

fn checksum(header: &Header, body: &[u8]) -> u32 {
    let mut head = Vec::with_capacity(128);
    let mut e = Encoder::new(&mut head);
    infallible(encode_head(header, &mut e));
    infallible(e.u8(header.encoding.number()).map(|_| ()));
    let mut digest = CRC32C.digest();
    digest.update(&head);
    digest.update(body);
    digest.finalize()
}

/// Make a payload from a body that is encoded already.
fn seal_body(node: &NodeId, epoch: Epoch, stream: Stream, range: SeqRange, encoding: Encoding, body: &[u8]) -> Vec<u8> {
    let mut header = Header { version: VERSION, node: node.clone(), epoch, stream, range, crc32c: 0, encoding };
    header.crc32c = checksum(&header, body);
    let mut out = Vec::with_capacity(body.len() + 128);
    let mut e = Encoder::new(&mut out);
    infallible(e.array(9).map(|_| ()));
    infallible(encode_head(&header, &mut e));
    infallible(e.u32(header.crc32c).and_then(|e| e.u8(encoding.number())).and_then(|e| e.bytes(body)).map(|_| ()));
    out
}

/// Make a payload of `service` or `event` records, or of blocks of readings, each encoded already (as the spool keeps
/// them). `range` names all their sequence numbers. Compressed where that makes it smaller.
///
/// The caller keeps to [`crate::limits`]; a payload over the limit is refused by the hub.
pub fn seal(node: &NodeId, epoch: Epoch, stream: Stream, range: SeqRange, records: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut body = Vec::with_capacity(records.iter().map(|record| record.as_ref().len()).sum::<usize>() + 9);
    infallible(Encoder::new(&mut body).array(records.len() as u64).map(|_| ()));
    for record in records {
        body.extend_from_slice(record.as_ref());
    }
    #[cfg(feature = "zstd")]
    {
        let packed = crate::compress::compress(&body);
        if packed.len() < body.len() {
            return seal_body(node, epoch, stream, range, Encoding::Zstd, &packed);
        }
    }
    seal_body(node, epoch, stream, range, Encoding::Plain, &body)
}

/// Make a payload of one part of an image.
pub fn seal_image_part(node: &NodeId, epoch: Epoch, seq: u64, part: &ImagePart) -> Vec<u8> {
    seal_body(node, epoch, Stream::Snapshot, SeqRange::one(seq), Encoding::ImagePart, &part.to_vec())
}

fn decode_records(stream: Stream, body: &[u8], count: u64) -> Result<Body, WireError> {
    let mut d = Decoder::new(body);
    let items = definite(&mut d)?;
    let limit = if stream == Stream::Reading { BLOCKS_MAX } else { RECORDS_MAX };
    if items > limit as u64 {
        return Err(WireError::TooLarge { what: "records in a batch", size: items as usize, limit });
    }
    let (body, found) = match stream {
        Stream::Service => (Body::Service(decode_items(&mut d, items)?), items),
        Stream::Event => (Body::Event(decode_items(&mut d, items)?), items),
        Stream::Reading => {
            let mut budget = READINGS_MAX;
            let mut blocks = Vec::new();
            for _ in 0..items {
                blocks.push(decode_block(&mut d, &mut budget)?);
            }
            (Body::Reading(blocks), (READINGS_MAX - budget) as u64)
        }
        Stream::Snapshot => return Err(WireError::invalid("images travel as parts")),
    };
    if d.position() != d.input().len() {
        return Err(WireError::Malformed("bytes behind the last record".to_string()));
    }
    if found != count {
        return Err(WireError::CountMismatch { declared: count, found });
    }
    Ok(body)
}

fn decode_items<'b, T: Decode<'b, ()>>(d: &mut Decoder<'b>, items: u64) -> Result<Vec<T>, WireError> {
    let mut records = Vec::new();
    for _ in 0..items {
        records.push(d.decode()?);
    }
    Ok(records)
}
