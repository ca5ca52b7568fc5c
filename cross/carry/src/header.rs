//! The header's text: what stands in clear before everything. Pure: the MAC is looked at by whoever has the key.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use simpul_wire::{Epoch, NodeId};

use crate::{HubKey, VERSION};

/// Longest header in bytes: ours has about 400; a file for several keys of one hub has some lines more.
pub const HEADER_BYTES_MAX: usize = 1024;

const FIRST_LINE: &str = "age-encryption.org/v1\n";
const OURS: &str = "simpul-carry";

/// What everybody can read of a carry file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Whose records.
    pub node: NodeId,
    /// The store's own epoch; records of older ones may be in it too.
    pub epoch: Epoch,
    /// When it was made, Unix milliseconds by the node's clock, which may be wrong.
    pub created_ms: i64,
    /// For whom.
    pub hub: HubKey,
}

/// Why a header is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// It is another kind of file.
    #[error("this is not a carry file (NODE-EPOCH-DATE.carry, from `simpul-agent spool carry`)")]
    NotCarry,
    /// Another version.
    #[error("the file has version {0} of the carry format, this program knows {VERSION}: update it")]
    OtherVersion(u32),
    /// It is one, and cannot be read.
    #[error("the file's header is damaged: {0}; export again, the node still has everything")]
    Damaged(&'static str),
}

/// A header taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parsed {
    pub header: Header,
    pub share: [u8; 32],
    pub wrapped: [u8; 32],
    pub mac: [u8; 32],
    /// Bytes that the MAC covers.
    pub covered: usize,
    /// Bytes of the whole header.
    pub length: usize,
}

/// The text, up to where the MAC goes.
pub(crate) fn write(header: &Header, share: &[u8; 32], wrapped: &[u8]) -> String {
    let Header { node, epoch, created_ms, hub } = header;
    let (share, wrapped) = (STANDARD_NO_PAD.encode(share), STANDARD_NO_PAD.encode(wrapped));
    format!("{FIRST_LINE}-> X25519 {share}\n{wrapped}\n-> {OURS} {VERSION} {node} {epoch} {created_ms} {hub}\n\n---")
}

/// The MAC and the header's end.
pub(crate) fn write_mac(mac: &[u8]) -> String {
    format!(" {}\n", STANDARD_NO_PAD.encode(mac))
}

fn bytes32(text: &str) -> Option<[u8; 32]> {
    // Strict: no other text stands for the same bytes.
    STANDARD_NO_PAD.decode(text).ok()?.try_into().ok()
}

impl Header {
    /// Read the header of a file's first [`HEADER_BYTES_MAX`] bytes, without its key: unchecked.
    ///
    /// # Errors
    /// It is none, or one of another version.
    pub fn peek(bytes: &[u8]) -> Result<Header, HeaderError> {
        match parse(&bytes[..bytes.len().min(HEADER_BYTES_MAX)]) {
            Ok(Some(parsed)) => Ok(parsed.header),
            Ok(None) => Err(HeaderError::Damaged("it has no end")),
            Err(error) => Err(error),
        }
    }
}

/// Take a header apart; `None`: it has not ended yet.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Parsed>, HeaderError> {
    let shown = bytes.len().min(FIRST_LINE.len());
    if bytes[..shown] != FIRST_LINE.as_bytes()[..shown] {
        return Err(HeaderError::NotCarry);
    }
    // The MAC's line ends it.
    let end = bytes.windows(5).position(|window| window == b"\n--- ");
    let covered = end.map(|at| at + 4);
    let line_end = end.and_then(|at| Some(at + 1 + bytes[at + 1..].iter().position(|b| *b == b'\n')?));
    let (Some(covered), Some(line_end)) = (covered, line_end) else {
        let damaged = HeaderError::Damaged("it has no end");
        return if bytes.len() < HEADER_BYTES_MAX { Ok(None) } else { Err(damaged) };
    };
    let length = line_end + 1;
    if length > HEADER_BYTES_MAX {
        return Err(HeaderError::Damaged("it is too long"));
    }
    let text = core::str::from_utf8(&bytes[..length]).map_err(|_| HeaderError::Damaged("it is not text"))?;
    let mut share = None;
    let mut header = None;
    let mut lines = text[FIRST_LINE.len()..covered - "---".len()].split_terminator('\n');
    while let Some(line) = lines.next() {
        let mut words = line.strip_prefix("-> ").ok_or(HeaderError::Damaged("a line is out of place"))?.split(' ');
        let kind = words.next().unwrap_or_default();
        let body = body(&mut lines)?;
        match kind {
            "X25519" if share.is_none() => {
                let wrong = HeaderError::Damaged("its key");
                let key = words.next().and_then(bytes32).zip(bytes32(&body)).ok_or(wrong.clone())?;
                if words.next().is_some() {
                    return Err(wrong);
                }
                share = Some(key);
            }
            OURS if header.is_none() => header = Some(ours(words, &body)?),
            // Of another tool: age skips what it does not know, and so do we.
            _ => {}
        }
    }
    let header = header.ok_or(HeaderError::NotCarry)?;
    // What is wrapped is 16 bytes and its tag.
    let (share, wrapped) = share.ok_or(HeaderError::Damaged("its key"))?;
    let mac = bytes32(&text[covered + 1..line_end]).ok_or(HeaderError::Damaged("its check"))?;
    Ok(Some(Parsed { header, share, wrapped, mac, covered, length }))
}

/// A stanza's body: lines of 64 characters, then a shorter one.
fn body<'t>(lines: &mut impl Iterator<Item = &'t str>) -> Result<String, HeaderError> {
    let mut body = String::new();
    loop {
        let line = lines.next().ok_or(HeaderError::Damaged("a stanza has no end"))?;
        if line.len() > 64 {
            return Err(HeaderError::Damaged("a line is too long"));
        }
        body.push_str(line);
        if line.len() < 64 {
            return Ok(body);
        }
    }
}

fn ours<'t>(mut words: impl Iterator<Item = &'t str>, body: &str) -> Result<Header, HeaderError> {
    let wrong = HeaderError::Damaged("its description");
    let version: u32 = words.next().and_then(|word| word.parse().ok()).ok_or(wrong.clone())?;
    if version != VERSION {
        return Err(HeaderError::OtherVersion(version));
    }
    let header = (|| {
        let node = words.next()?.parse().ok()?;
        let epoch = words.next()?.parse().ok()?;
        let created_ms = words.next()?.parse().ok()?;
        let hub = words.next()?.parse().ok()?;
        Some(Header { node, epoch, created_ms, hub })
    })();
    // More words may come with later programs of this version.
    header.filter(|_| body.is_empty()).ok_or(wrong)
}
