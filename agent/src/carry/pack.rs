//! A carry file of what is read: no I/O, a frame at a time.

use simpul_carry::{Header, Kind, Opening, Promise, Sealer};
use simpul_wire::batch::{seal, seal_image_part};
use simpul_wire::image::ImagePart;
use simpul_wire::limits::PAYLOAD_BYTES_MAX;
use simpul_wire::{Epoch, NodeId, RangeSet, SeqRange, Stream};

use super::credentials::Credentials;
use super::{Carried, CarryError};
use crate::spool::Stored;
use crate::uplink::run_length;

/// Bytes of records asked for at a time: their payload is below the wire's limit, compressed or not.
pub const BATCH_BYTES_MAX: usize = 48 * 1024;

/// The order of a file, and of [`Carried::records`]: what a cut costs is the least valuable.
pub const ORDER: [Stream; 4] = [Stream::Service, Stream::Event, Stream::Reading, Stream::Snapshot];

/// Bytes of a frame and its share of a chunk besides an image part's own: its meta data, headers, seals.
const PART_OVERHEAD_BYTES: u64 = 512;

/// Left for the file's own: its opening, headers and seals; of 4 GiB they take less than the limit leaves free.
const OWN_BYTES: u64 = 256 * 1024;

/// What waits, by stream and epoch.
pub type Owed = Vec<(Epoch, Stream, RangeSet)>;

/// Packs one file.
pub struct Packer {
    node: NodeId,
    sealer: Sealer,
    bytes_max: u64,
    /// Bytes of payloads so far; headers and seals are a hundredth of them at most.
    written: u64,
    /// What came of it so far.
    pub done: Carried,
    /// Ready to be written; to be emptied by [`Packer::take`].
    out: Vec<u8>,
}

impl Packer {
    /// Begin a file that sets out to hold `owed`.
    ///
    /// # Errors
    /// It cannot be sealed or signed.
    pub fn begin(
        credentials: &Credentials,
        epoch: Epoch,
        created_ms: i64,
        owed: &Owed,
        bytes_max: u64,
    ) -> Result<Packer, CarryError> {
        let header = Header { node: credentials.node.clone(), epoch, created_ms, hub: credentials.hub };
        let (mut sealer, mut out) = Sealer::begin(&header)?;
        let (scheme, signature) = credentials.sign(&out)?;
        let promise = |(epoch, stream, ranges): &(Epoch, Stream, RangeSet)| Promise {
            epoch: *epoch,
            stream: *stream,
            ranges: ranges.clone(),
        };
        let opening = Opening {
            certificate: credentials.certificate.clone().into(),
            scheme,
            signature: signature.into(),
            promises: owed.iter().map(promise).collect(),
        };
        sealer.frame(Kind::Opening, &opening.to_vec(), &mut out)?;
        let (node, done) = (credentials.node.clone(), Carried::default());
        Ok(Packer { node, sealer, bytes_max, written: 0, done, out })
    }

    /// What is ready to be written.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    fn frame(&mut self, payload: &[u8]) -> Result<(), CarryError> {
        self.sealer.frame(Kind::Publish, payload, &mut self.out)?;
        self.written += payload.len() as u64;
        Ok(())
    }

    /// Add the first of `stored` that make a batch; up to which number there is nothing more to ask.
    ///
    /// # Errors
    /// It cannot be sealed.
    pub fn batch(&mut self, epoch: Epoch, stream: Stream, stored: &[Stored]) -> Result<Option<u64>, CarryError> {
        let mut run = &stored[..run_length(stream, stored)];
        loop {
            let (Some(first), Some(last)) = (run.first(), run.last()) else { return Ok(None) };
            let Some(covered) = SeqRange::new(first.range.first(), last.range.last()) else { return Ok(None) };
            let bodies: Vec<&[u8]> = run.iter().map(|record| record.bytes.as_slice()).collect();
            let payload = seal(&self.node, epoch, stream, covered, &bodies);
            if payload.len() <= PAYLOAD_BYTES_MAX {
                self.frame(&payload)?;
                self.count(stream, covered.count());
                return Ok(Some(covered.last()));
            }
            if run.len() == 1 {
                self.done.unreadable += covered.count();
                return Ok(Some(covered.last()));
            }
            run = &run[..run.len() / 2];
        }
    }

    /// Whether an image of so many bytes still fits; if not, it is counted as left.
    pub fn has_room_for(&mut self, length: u32) -> bool {
        let needs = u64::from(length) + u64::from(length) / 32 + PART_OVERHEAD_BYTES + OWN_BYTES;
        let fits = self.written + needs <= self.bytes_max;
        self.done.images_left += u64::from(!fits);
        fits
    }

    /// Add a part of an image; the last one counts it.
    ///
    /// # Errors
    /// It cannot be sealed.
    pub fn part(&mut self, epoch: Epoch, seq: u64, part: &ImagePart) -> Result<(), CarryError> {
        let payload = seal_image_part(&self.node, epoch, seq, part);
        self.frame(&payload)?;
        if part.offset as usize + part.bytes.len() == part.meta.length as usize {
            self.count(Stream::Snapshot, 1);
        }
        Ok(())
    }

    fn count(&mut self, stream: Stream, records: u64) {
        if let Some(at) = ORDER.iter().position(|known| *known == stream) {
            self.done.records[at] += records;
        }
    }

    /// End the file: its last bytes, and what is in it.
    ///
    /// # Errors
    /// It cannot be sealed.
    pub fn end(mut self) -> Result<(Vec<u8>, Carried), CarryError> {
        self.sealer.end(&mut self.out)?;
        Ok((self.out, self.done))
    }
}
