//! The loop around [`crate::node`]: reads pins, feeds bytes, writes the journal, measures. Decides nothing.
//!
//! A board's crate makes [`Parts`] of its hardware and calls [`Runtime::poll`] again and again: at the latest at the
//! time that it returned, at once when a pin changes or a byte comes. A board that cannot wake by pins polls each
//! 5 ms at most, for what is shorter than that is not seen.
//!
//! # Levels
//!
//! | pin | low | high |
//! |---|---|---|
//! | button | pressed (pull-up, contact to ground) | free |
//! | tamper | lid closed (contact to ground) | open, or the wire is cut |
//! | power-good | mains are gone | mains are there |
//! | relay | contact released: load on | coil has current: load off |
//! | light | dark | lit |
//!
//! A pin that cannot be read keeps its last level.
//!
//! What is `#[inline(never)]` here, in `node` and in `update` has one caller, and would be inlined into one function of
//! 20 KB whose variables lie further away than a short instruction reaches: a quarter more code on a Cortex-M0+.

use embedded_hal::digital::{InputPin, OutputPin};
use simpul_wire::Missing;
use simpul_wire::board::{DESKS, ENCODED_BYTES_MAX, FrameReader, FromBoard, Measured, ModuleFound, ToBoard};

use crate::kept::Kept;
use crate::node::{Inputs, Node, Start};
use crate::sampling::{OPTICS, Sample, Sampled};
use crate::update::{Slots, Update};

/// Bytes that one poll takes from the line: 5 ms at 115200 baud, so a poll each 5 ms keeps up.
pub const RECEIVE_BYTES_MAX: usize = 64;

/// Bytes that one poll gives to the line. What the line has taken can no longer be cut off by the gasp: 16 are 1.4 ms.
pub const TRANSMIT_BYTES_MAX: usize = 16;

/// The serial line. Neither side waits.
pub trait Line {
    /// The next byte that came. A byte that was damaged on the way (parity, framing, overrun) may be left out or given:
    /// the frame's checksum tells. After an error it must go on receiving.
    fn receive(&mut self) -> Option<u8>;

    /// Take some of these bytes and return how many; 0 if there is no room. Room should be small (a FIFO's): it is what
    /// the dying gasp has to wait for.
    fn transmit(&mut self, bytes: &[u8]) -> usize;
}

/// Supply and battery.
pub trait Measure {
    /// The supply in mV.
    fn supply_millivolts(&mut self) -> Result<u32, Missing>;

    /// The battery in mV; [`Missing::NotSupported`] on a board that has none.
    fn battery_millivolts(&mut self) -> Result<u32, Missing>;
}

/// The journal.
pub trait Keep {
    /// Why it could not be written.
    type Error;

    /// Write, and return when it is durable.
    fn keep(&mut self, kept: &Kept) -> Result<(), Self::Error>;
}

/// The SFP cages. Only wired ones are asked for (`Settings::cages`).
pub trait Optics {
    /// What the module in this cage says of itself.
    fn describe(&mut self, cage: u8) -> Result<ModuleFound, Missing>;

    /// What it measures: received power, sent power, laser bias, temperature, supply.
    fn read(&mut self, cage: u8) -> [Measured; OPTICS];
}

/// The watchdog.
pub trait Watchdog {
    /// The firmware is alive. Comes once a poll, at its end.
    fn feed(&mut self);
}

/// A board's hardware.
#[derive(Debug)]
pub struct Parts<In, Out, L, M, K, O, W, S> {
    /// Desk 0 first.
    pub buttons: [In; DESKS],
    /// The lid's switch.
    pub tamper: In,
    /// The supply's comparator.
    pub power_good: In,
    /// The relay's driver.
    pub relay: Out,
    /// The status light.
    pub light: Out,
    /// The line to the agent.
    pub line: L,
    /// The ADC.
    pub measure: M,
    /// The journal.
    pub journal: K,
    /// The SFP cages.
    pub optics: O,
    /// The watchdog.
    pub watchdog: W,
    /// Where a new image goes; [`crate::update::NoSlots`] on a board without loader.
    pub slots: S,
}

/// A running board.
#[derive(Debug)]
pub struct Runtime<In, Out, L, M, K, O, W, S> {
    parts: Parts<In, Out, L, M, K, O, W, S>,
    node: Node,
    update: Update,
    inputs: Inputs,
    reader: FrameReader,
    out: [u8; ENCODED_BYTES_MAX],
    /// Of `out`: the frame, and how much of it the line has taken.
    length: usize,
    taken: usize,
}

impl<In, Out, L, M, K, O, W, S> Runtime<In, Out, L, M, K, O, W, S>
where
    In: InputPin,
    Out: OutputPin,
    L: Line,
    M: Measure,
    K: Keep,
    O: Optics,
    W: Watchdog,
    S: Slots,
{
    /// A board that starts now. Nothing is switched or sent before the first poll.
    // Apart, so that what it builds a board from is not on the stack for as long as the board runs.
    #[inline(never)]
    pub fn new(now_ms: u64, start: Start, parts: Parts<In, Out, L, M, K, O, W, S>) -> Self {
        let update = Update::new(start.hardware, parts.slots.image());
        let mut node = Node::new(now_ms, start);
        node.set_image(now_ms, update.image());
        Runtime {
            parts,
            node,
            update,
            inputs: Inputs { power_good: false, ..Inputs::default() },
            reader: FrameReader::default(),
            out: [0; ENCODED_BYTES_MAX],
            length: 0,
            taken: 0,
        }
    }

    /// One round, of bounded work; `now_ms` is the time since the board's start. Returns when the next one is due if no pin
    /// changes and no byte comes before.
    #[inline(never)]
    pub fn poll(&mut self, now_ms: u64) -> u64 {
        self.read_pins();
        let more_received = self.receive();
        self.take_update();
        self.inputs.line_free = self.taken == self.length;
        let outputs = self.node.step(now_ms, &self.inputs);
        self.inputs.received = None;
        self.inputs.kept = None;
        self.inputs.sampled = None;

        // A pin of this chip that cannot be set cannot be helped; the next poll sets it again.
        let _ = self.parts.relay.set_state(outputs.relay_energised.into());
        let _ = self.parts.light.set_state(outputs.light.is_lit(now_ms).into());
        if let Some(frame) = &outputs.send {
            self.start_frame(frame);
        } else if self.taken == self.length
            && let Some(answer) = self.update.take_answer()
        {
            self.start_frame(&FromBoard::Update(answer));
        }
        self.transmit();
        // What takes time comes when the gasp is on its way.
        if let Some(kept) = &outputs.keep {
            self.inputs.kept = Some(self.parts.journal.keep(kept).is_ok());
        }
        self.inputs.sampled = outputs.sample.map(|sample| self.sample(sample));
        if self.taken == self.length {
            self.update.line_idle(now_ms);
        }
        if self.update.poll(now_ms, self.node.is_proven(), &mut self.parts.slots) {
            self.node.set_image(now_ms, self.update.image());
        }
        self.parts.watchdog.feed();

        let next_ms = outputs.next_ms.min(self.update.next_ms(now_ms));
        let again = more_received || self.inputs.kept.is_some() || self.inputs.sampled.is_some();
        let sending = self.taken < self.length;
        if again {
            now_ms
        } else if sending {
            next_ms.min(now_ms + 1)
        } else {
            next_ms
        }
    }

    /// What is the update's goes there, from an agent that the board understands.
    fn take_update(&mut self) {
        if let Some(Ok(message)) = &self.inputs.received
            && Update::concerns(message)
        {
            if self.node.is_linked() {
                self.update.receive(&self.parts.slots, message);
            }
            self.inputs.received = None;
        }
    }

    #[inline(never)]
    fn read_pins(&mut self) {
        for (desk, button) in self.parts.buttons.iter_mut().enumerate() {
            match button.is_low() {
                Ok(true) => self.inputs.buttons |= 1 << desk,
                Ok(false) => self.inputs.buttons &= !(1 << desk),
                Err(_) => {}
            }
        }
        if let Ok(open) = self.parts.tamper.is_high() {
            self.inputs.tamper_open = open;
        }
        if let Ok(good) = self.parts.power_good.is_high() {
            self.inputs.power_good = good;
        }
    }

    /// Take bytes up to a frame's end; whether there may be more.
    #[inline(never)]
    fn receive(&mut self) -> bool {
        for _ in 0..RECEIVE_BYTES_MAX {
            let Some(byte) = self.parts.line.receive() else { return false };
            if let Some(frame) = self.reader.push(byte) {
                self.inputs.received = Some(frame.and_then(|(kind, body)| ToBoard::decode(kind, body)));
                return true;
            }
        }
        true
    }

    #[inline(never)]
    fn start_frame(&mut self, frame: &FromBoard) {
        self.taken = 0;
        // No message of the link is too long (`message`'s types see to that).
        self.length = frame.encode(&mut self.out).unwrap_or(0);
    }

    fn transmit(&mut self) {
        let end = self.length.min(self.taken + TRANSMIT_BYTES_MAX);
        if let Some(piece) = self.out.get(self.taken..end)
            && !piece.is_empty()
        {
            self.taken += self.parts.line.transmit(piece).min(piece.len());
        }
    }

    #[inline(never)]
    fn sample(&mut self, sample: Sample) -> Sampled {
        match sample {
            Sample::Voltages => Sampled::Voltages {
                supply: self.parts.measure.supply_millivolts(),
                battery: self.parts.measure.battery_millivolts(),
            },
            Sample::Module { cage } => Sampled::Module { cage, found: self.parts.optics.describe(cage) },
            Sample::Optics { cage } => Sampled::Optics { cage, measured: self.parts.optics.read(cage) },
        }
    }
}
