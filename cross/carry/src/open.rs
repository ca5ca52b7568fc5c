//! Opening: a carry file's bytes in, its items out. Holds two chunks and a frame at most, whatever it is fed.

use ring::aead::Aad;
use ring::hmac;
use simpul_wire::WireError;

use crate::frame::{FRAME_BYTES_MAX, HEAD_BYTES, Kind};
use crate::header::{self, HEADER_BYTES_MAX, Header, HeaderError, Parsed};
use crate::stream::{self, CHUNK_BYTES, Chunks, FILE_KEY_BYTES, NONCE_BYTES, TAG_BYTES};
use crate::{HubKey, HubSecret, Opening};

/// A sealed chunk that is not the last one.
const SEALED_BYTES: usize = CHUNK_BYTES + TAG_BYTES;

/// Bytes held of the input: a chunk, and one more that says that it is not the last.
const INPUT_BYTES_MAX: usize = SEALED_BYTES + 1;

/// What comes out of a file, in this order: a head, an opening, publishes.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// The header, checked: this hub's, unchanged. With the bytes that the node signed.
    Head(Header, Vec<u8>),
    /// Who sealed it, and what it promises. To be judged before anything that follows is believed.
    Opening(Opening),
    /// A payload of `up/<stream>`.
    Publish(Vec<u8>),
}

/// Why a file is refused, or ends before its end. What came out before is whole, and its sealer's.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum OpenError {
    /// The header cannot be read.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// It is sealed for somebody else.
    #[error("the file is for another hub: for the carry key {theirs}, this hub has {ours}")]
    OtherHub {
        /// Whose it is.
        theirs: HubKey,
        /// The key that this hub tells its nodes.
        ours: HubKey,
    },
    /// Its header was changed.
    #[error("the file's header was changed after it was made: nothing of it is taken; export again")]
    ChangedHeader,
    /// A chunk was changed.
    #[error("the file is damaged at byte {at_bytes}: what stands before it is whole; export again for the rest")]
    Damaged {
        /// Where the chunk begins.
        at_bytes: u64,
    },
    /// It ends too early.
    #[error(
        "the file is cut short after {at_bytes} bytes: what stands before that is whole; export again for the rest"
    )]
    CutShort {
        /// Where the chunk begins that is not there, or not whole.
        at_bytes: u64,
    },
    /// Something stands behind its end.
    #[error("the file has bytes behind its end, from byte {at_bytes} on: what stands before is whole and was taken")]
    Trailing {
        /// Where they begin.
        at_bytes: u64,
    },
    /// Its sealer made it wrongly.
    #[error("the file was not made as it should be: {0}")]
    BadFrame(String),
}

impl From<WireError> for OpenError {
    fn from(error: WireError) -> OpenError {
        OpenError::BadFrame(error.to_string())
    }
}

enum State {
    Header,
    Nonce(Box<(Header, [u8; FILE_KEY_BYTES], Vec<u8>)>),
    Chunks(Box<Chunks>),
    /// The last chunk was opened.
    Ended,
}

/// Opens one file.
pub struct Opener {
    secrets: Vec<HubSecret>,
    state: State,
    input: Vec<u8>,
    /// The input has ended.
    closed: bool,
    plain: Vec<u8>,
    /// Bytes of the file that were taken out of `input`.
    at_bytes: u64,
    opened: bool,
}

impl Opener {
    /// With the hub's keys; the first is the one that nodes are told.
    pub fn new(secrets: Vec<HubSecret>) -> Opener {
        Opener {
            secrets,
            state: State::Header,
            input: Vec::new(),
            closed: false,
            plain: Vec::new(),
            at_bytes: 0,
            opened: false,
        }
    }

    /// Take bytes of the file, as many as there is room for: how many. When none: [`Opener::next`] comes first.
    pub fn feed(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(INPUT_BYTES_MAX - self.input.len());
        self.input.extend_from_slice(&bytes[..taken]);
        taken
    }

    /// There are no more bytes.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// The next item. `None`: it takes more bytes ([`Opener::feed`]); after [`Opener::close`]: that was all, and whole.
    ///
    /// # Errors
    /// The file is refused, or its rest; asked again, the same is said.
    #[expect(clippy::should_implement_trait, reason = "an iterator would end where this one waits for bytes")]
    pub fn next(&mut self) -> Result<Option<Item>, OpenError> {
        loop {
            if let Some(item) = self.frame()? {
                return Ok(Some(item));
            }
            match &mut self.state {
                State::Header => {
                    let Some(parsed) = header::parse(&self.input[..self.input.len().min(HEADER_BYTES_MAX)])? else {
                        return if self.closed { Err(self.cut_short()) } else { Ok(None) };
                    };
                    let file_key = self.file_key(&parsed)?;
                    let head = self.input[..parsed.length].to_vec();
                    self.consume(parsed.length);
                    self.state = State::Nonce(Box::new((parsed.header, file_key, head)));
                }
                State::Nonce(begun) => {
                    let Some(nonce) = self.input.first_chunk::<NONCE_BYTES>().copied() else {
                        return if self.closed { Err(self.cut_short()) } else { Ok(None) };
                    };
                    let chunks = Chunks::new(&begun.1, &nonce).ok_or(OpenError::ChangedHeader)?;
                    let (header, mut head) = (begun.0.clone(), std::mem::take(&mut begun.2));
                    head.extend_from_slice(&nonce);
                    self.consume(NONCE_BYTES);
                    self.state = State::Chunks(Box::new(chunks));
                    return Ok(Some(Item::Head(header, head)));
                }
                State::Chunks(_) => {
                    if !self.chunk()? {
                        return Ok(None);
                    }
                }
                State::Ended => {
                    if !self.input.is_empty() {
                        return Err(OpenError::Trailing { at_bytes: self.at_bytes });
                    }
                    if self.closed && !(self.plain.is_empty() && self.opened) {
                        return Err(OpenError::BadFrame("its last frame has no end".to_string()));
                    }
                    return Ok(None);
                }
            }
        }
    }

    fn cut_short(&self) -> OpenError {
        OpenError::CutShort { at_bytes: self.at_bytes }
    }

    fn consume(&mut self, bytes: usize) {
        self.input.drain(..bytes);
        self.at_bytes += bytes as u64;
    }

    fn file_key(&self, parsed: &Parsed) -> Result<[u8; FILE_KEY_BYTES], OpenError> {
        let theirs = parsed.header.hub;
        let Some(secret) = self.secrets.iter().find(|secret| secret.public() == theirs) else {
            let ours = self.secrets.first().map_or(HubKey::from_bytes([0; 32]), HubSecret::public);
            return Err(OpenError::OtherHub { theirs, ours });
        };
        let opened = secret.agree(parsed.share).and_then(|agreed| {
            let key = stream::wrapping_key(&agreed[..], &parsed.share, theirs.as_bytes())?;
            let mut wrapped = parsed.wrapped;
            let file_key = key.open_in_place(stream::wrapping_nonce(), Aad::empty(), &mut wrapped).ok()?;
            <[u8; FILE_KEY_BYTES]>::try_from(&*file_key).ok()
        });
        let file_key = opened.ok_or(OpenError::ChangedHeader)?;
        let key = stream::header_key(&file_key).ok_or(OpenError::ChangedHeader)?;
        hmac::verify(&key, &self.input[..parsed.covered], &parsed.mac).map_err(|_| OpenError::ChangedHeader)?;
        Ok(file_key)
    }

    /// Open the next chunk; false: it takes more bytes.
    fn chunk(&mut self) -> Result<bool, OpenError> {
        let State::Chunks(chunks) = &mut self.state else { return Ok(false) };
        let at_bytes = self.at_bytes;
        if self.input.len() > SEALED_BYTES {
            return match chunks.open(&self.input[..SEALED_BYTES], false) {
                Some(plain) => {
                    self.plain.extend_from_slice(&plain);
                    self.consume(SEALED_BYTES);
                    Ok(true)
                }
                None => match chunks.open(&self.input[..SEALED_BYTES], true) {
                    Some(plain) => self.last(&plain, SEALED_BYTES),
                    None => Err(OpenError::Damaged { at_bytes }),
                },
            };
        }
        if !self.closed {
            return Ok(false);
        }
        // An empty last chunk is one only of an empty file, and a carry file has an opening.
        if self.input.len() <= TAG_BYTES {
            return Err(OpenError::CutShort { at_bytes });
        }
        match chunks.open(&self.input, true) {
            Some(plain) => self.last(&plain, self.input.len()),
            // A whole chunk that is not the last one: cut behind it.
            None => match chunks.open(&self.input, false) {
                Some(plain) => {
                    self.plain.extend_from_slice(&plain);
                    self.consume(self.input.len());
                    Ok(true)
                }
                // Cut, or changed: nobody can tell.
                None => Err(OpenError::CutShort { at_bytes }),
            },
        }
    }

    fn last(&mut self, plain: &[u8], sealed: usize) -> Result<bool, OpenError> {
        self.plain.extend_from_slice(plain);
        self.consume(sealed);
        self.state = State::Ended;
        Ok(true)
    }

    /// The next whole frame of a known kind.
    fn frame(&mut self) -> Result<Option<Item>, OpenError> {
        loop {
            let Some((kind, length)) = self
                .plain
                .first_chunk::<HEAD_BYTES>()
                .map(|[kind, a, b, c, d]| (Kind::from_number(*kind), u32::from_be_bytes([*a, *b, *c, *d]) as usize))
            else {
                return Ok(None);
            };
            if length > FRAME_BYTES_MAX {
                return Err(OpenError::BadFrame(format!("a frame of {length} bytes, {FRAME_BYTES_MAX} are allowed")));
            }
            let Some(bytes) = self.plain.get(HEAD_BYTES..HEAD_BYTES + length) else { return Ok(None) };
            let item = match (kind, self.opened) {
                (Some(Kind::Opening), false) => Some(Item::Opening(Opening::from_slice(bytes)?)),
                (Some(Kind::Publish), true) => Some(Item::Publish(bytes.to_vec())),
                (None, true) => None,
                (Some(Kind::Opening), true) => return Err(OpenError::BadFrame("a second opening".to_string())),
                (_, false) => return Err(OpenError::BadFrame("it does not begin with an opening".to_string())),
            };
            self.plain.drain(..HEAD_BYTES + length);
            self.opened = true;
            if item.is_some() {
                return Ok(item);
            }
        }
    }
}
