//! A new image over the link: taken piece by piece into the second slot, verified, handed to the loader, confirmed.
//!
//! Decides only; flash is [`Slots`]. One [`Update::poll`] does one piece of work that the flash may take its time for: one
//! sector erased, or one piece written, or [`VERIFY_BYTES`] read. A sector's erase stops the core (and so the UART) for 45
//! to 400 ms, so a piece is answered only behind it: an agent that waits for answers never talks into it.
//!
//! docs/protocol/board-update.md has the sequence; [`install`] is the other half, which the loader runs.

pub mod install;
pub mod layout;
mod slots;

use crc::{CRC_32_ISO_HDLC, Crc, Digest, NoTable};
use simpul_wire::board::{
    Hardware, ImageState, ToBoard, UPDATE_DATA_BYTES_MAX, UpdateBegin, UpdateData, UpdateRefusal, UpdateState,
};

use crate::NEVER;
pub use slots::{FlashSlots, NoSlots, SlotFault, Slots};

/// Bytes of the image that one poll reads and checks: about half a millisecond at 48 MHz.
pub const VERIFY_BYTES: usize = 128;

/// An image on trial that has not confirmed itself starts anew after so long, and the one before it comes back. An agent
/// greets within seconds of a hello; one that is itself being updated is back within the minute.
pub const TRIAL_MS: u64 = 60_000;

/// A confirmation that could not be written is tried again after so long.
const CONFIRM_AGAIN_AFTER_MS: u64 = 1_000;

/// From the answer's last byte given to the line to the restart: its FIFO of 32 bytes is empty after 3 ms.
pub const RESTART_AFTER_MS: u64 = 20;

/// Bitwise, as the journal's: a table is 1 KiB of the board's flash.
static CRC32: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);

/// A CRC-32/ISO-HDLC that is being made.
#[derive(Clone)]
struct Checksum(Digest<'static, u32, NoTable>);

impl Checksum {
    fn new() -> Self {
        Checksum(CRC32.digest())
    }
}

impl core::fmt::Debug for Checksum {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("Checksum").field(&self.0.clone().finalize()).finish()
    }
}

/// How far an update is.
#[derive(Debug, Clone)]
enum Stage {
    /// None is under way.
    Idle,
    /// `next` bytes of it are in the second slot.
    Receiving { begun: UpdateBegin, next: u32 },
    /// Whole; `next` bytes of it are checked.
    Verifying { begun: UpdateBegin, next: u32, checksum: Checksum },
    /// The loader has the order; the board starts anew at this time, once the answer is out.
    Verified { crc32: u32, restart_at_ms: Option<u64> },
}

/// What the flash has to do for the piece at hand.
#[derive(Debug, Clone)]
enum Work {
    /// Nothing.
    None,
    /// Erase the sector that the piece begins, then write it.
    Erase(UpdateData),
    /// Write it.
    Write(UpdateData),
}

/// The update of a running board.
#[derive(Debug, Clone)]
pub struct Update {
    hardware: Hardware,
    image: ImageState,
    stage: Stage,
    work: Work,
    answer: Option<UpdateState>,
    confirm_at_ms: u64,
}

impl Update {
    /// No update is under way; `image` is how the running image came to run ([`Slots::image`]).
    pub fn new(hardware: Hardware, image: ImageState) -> Self {
        Update { hardware, image, stage: Stage::Idle, work: Work::None, answer: None, confirm_at_ms: 0 }
    }

    /// How the running image came to run.
    pub fn image(&self) -> ImageState {
        self.image
    }

    /// Whether a message is an update's.
    pub const fn concerns(message: &ToBoard) -> bool {
        matches!(message, ToBoard::UpdateBegin(_) | ToBoard::UpdateData(_) | ToBoard::UpdateApply(_))
    }

    /// A message of the agent. Each is answered ([`Update::take_answer`]), at once or when the flash is done; only one that
    /// comes before the answer to the same one is not answered twice.
    #[inline(never)]
    pub fn receive<S: Slots>(&mut self, slots: &S, message: &ToBoard) {
        if self.image == ImageState::NoLoader {
            if Self::concerns(message) {
                self.refuse(UpdateRefusal::NoLoader);
            }
            return;
        }
        match message {
            ToBoard::UpdateBegin(begun) => self.begin(slots, *begun),
            ToBoard::UpdateData(piece) => self.take::<S>(piece),
            ToBoard::UpdateApply(apply) => self.apply(apply.crc32),
            _ => {}
        }
    }

    fn begin<S: Slots>(&mut self, slots: &S, begun: UpdateBegin) {
        // The loader has its order already: the board is about to start anew.
        if let Stage::Verified { .. } = self.stage {
            return;
        }
        self.stage = Stage::Idle;
        self.work = Work::None;
        if self.image == ImageState::Trial {
            self.refuse(UpdateRefusal::OnTrial);
        } else if begun.hardware != self.hardware {
            self.refuse(UpdateRefusal::OtherHardware);
        } else if begun.image_bytes == 0 || begun.image_bytes > slots.capacity_bytes() {
            self.refuse(UpdateRefusal::TooLarge);
        } else {
            self.stage = Stage::Receiving { begun, next: 0 };
            self.answer = Some(UpdateState::Receiving { next: 0 });
        }
    }

    fn take<S: Slots>(&mut self, piece: &UpdateData) {
        match &self.stage {
            Stage::Receiving { begun, next } => {
                // Its answer comes behind the flash's work.
                if !matches!(self.work, Work::None) {
                    return;
                }
                let next = *next;
                let wanted = (begun.image_bytes - next).min(UPDATE_DATA_BYTES_MAX as u32);
                if piece.offset != next || wanted == 0 || piece.bytes.len() as u32 != wanted {
                    self.answer = Some(UpdateState::Receiving { next });
                } else if next.is_multiple_of(S::SECTOR_BYTES) {
                    self.work = Work::Erase(piece.clone());
                } else {
                    self.work = Work::Write(piece.clone());
                }
            }
            Stage::Idle => self.refuse(UpdateRefusal::NotBegun),
            Stage::Verifying { .. } | Stage::Verified { .. } => {}
        }
    }

    fn apply(&mut self, crc32: u32) {
        match &self.stage {
            Stage::Receiving { begun, .. } if begun.crc32 != crc32 => self.refuse(UpdateRefusal::NotBegun),
            Stage::Receiving { begun, next } if *next == begun.image_bytes => {
                self.stage = Stage::Verifying { begun: *begun, next: 0, checksum: Checksum::new() };
            }
            Stage::Receiving { next, .. } => self.answer = Some(UpdateState::Receiving { next: *next }),
            Stage::Idle => self.refuse(UpdateRefusal::NotBegun),
            // The answer is on its way.
            Stage::Verifying { .. } => {}
            Stage::Verified { crc32: verified, .. } if *verified == crc32 => self.answer = Some(UpdateState::Verified),
            Stage::Verified { .. } => {}
        }
    }

    fn refuse(&mut self, why: UpdateRefusal) {
        self.answer = Some(UpdateState::Refused(why));
    }

    /// One piece of work. `proven`: an agent has greeted this start and the journal works. Returns whether
    /// [`Update::image`] changed.
    #[inline(never)]
    pub fn poll<S: Slots>(&mut self, now_ms: u64, proven: bool, slots: &mut S) -> bool {
        if self.image == ImageState::Trial {
            return self.try_image(now_ms, proven, slots);
        }
        match core::mem::replace(&mut self.work, Work::None) {
            Work::None => self.verify(slots),
            Work::Erase(piece) => match slots.erase(piece.offset) {
                Ok(()) => self.work = Work::Write(piece),
                Err(SlotFault) => self.fail(),
            },
            Work::Write(piece) => match write(slots, &piece) {
                Ok(()) => self.written(piece.bytes.len() as u32),
                Err(SlotFault) => self.fail(),
            },
        }
        if let Stage::Verified { restart_at_ms: Some(at_ms), .. } = self.stage
            && now_ms >= at_ms
        {
            slots.restart();
        }
        false
    }

    fn try_image<S: Slots>(&mut self, now_ms: u64, proven: bool, slots: &mut S) -> bool {
        if proven && now_ms >= self.confirm_at_ms {
            if slots.confirm().is_ok() {
                self.image = ImageState::Confirmed;
                return true;
            }
            self.confirm_at_ms = now_ms + CONFIRM_AGAIN_AFTER_MS;
        }
        if now_ms >= TRIAL_MS {
            slots.restart();
        }
        false
    }

    fn written(&mut self, bytes: u32) {
        if let Stage::Receiving { next, .. } = &mut self.stage {
            *next += bytes;
            self.answer = Some(UpdateState::Receiving { next: *next });
        }
    }

    fn fail(&mut self) {
        self.stage = Stage::Idle;
        self.refuse(UpdateRefusal::FlashFailed);
    }

    /// Reads back the next bytes of a whole image; at its end decides.
    #[inline(never)]
    fn verify<S: Slots>(&mut self, slots: &mut S) {
        let Stage::Verifying { begun, next, checksum } = &mut self.stage else { return };
        let begun = *begun;
        let mut bytes = [0; VERIFY_BYTES];
        let length = (begun.image_bytes - *next).min(VERIFY_BYTES as u32);
        let piece = &mut bytes[..length as usize];
        if slots.read(*next, piece).is_err() {
            return self.fail();
        }
        checksum.0.update(piece);
        *next += length;
        if *next < begun.image_bytes {
            return;
        }
        if checksum.0.clone().finalize() != begun.crc32 {
            self.stage = Stage::Idle;
            self.refuse(UpdateRefusal::BadChecksum);
        } else if slots.mark_for_trial(&begun.into()).is_err() {
            self.fail();
        } else {
            self.stage = Stage::Verified { crc32: begun.crc32, restart_at_ms: None };
            self.answer = Some(UpdateState::Verified);
        }
    }

    /// What is to be said to the agent; taken as said.
    pub fn take_answer(&mut self) -> Option<UpdateState> {
        self.answer.take()
    }

    /// The last frame is wholly with the line: after [`RESTART_AFTER_MS`] a verified image may be started.
    pub fn line_idle(&mut self, now_ms: u64) {
        if self.answer.is_none()
            && let Stage::Verified { restart_at_ms: at @ None, .. } = &mut self.stage
        {
            *at = Some(now_ms + RESTART_AFTER_MS);
        }
    }

    /// When the next poll is due if nothing comes before.
    pub fn next_ms(&self, now_ms: u64) -> u64 {
        let working = !matches!(self.work, Work::None) || matches!(self.stage, Stage::Verifying { .. });
        if working || self.answer.is_some() {
            return now_ms;
        }
        match self.stage {
            Stage::Verified { restart_at_ms, .. } => restart_at_ms.unwrap_or(now_ms),
            _ if self.image == ImageState::Trial && self.confirm_at_ms > now_ms => self.confirm_at_ms.min(TRIAL_MS),
            _ if self.image == ImageState::Trial => TRIAL_MS,
            _ => NEVER,
        }
    }
}

/// Write a piece and read it back.
fn write<S: Slots>(slots: &mut S, piece: &UpdateData) -> Result<(), SlotFault> {
    slots.write(piece.offset, &piece.bytes)?;
    let mut read = [0; UPDATE_DATA_BYTES_MAX];
    let read = &mut read[..piece.bytes.len()];
    slots.read(piece.offset, read)?;
    if *read == piece.bytes[..] { Ok(()) } else { Err(SlotFault) }
}
