//! A board's hardware in memory, with a line that takes as long as a real one and breaks when it is told to.

#![allow(dead_code, reason = "each test file uses its part")]

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::rc::Rc;

use embedded_hal::digital::{ErrorType, InputPin, OutputPin};
use rand::rngs::StdRng;
use rand::{Rng, RngExt};
use simpul_firmware::kept::{KEPT_BYTES, Kept};
use simpul_firmware::node::Start;
use simpul_firmware::runtime::{Keep, Line, Measure, Optics, Parts, Runtime, Watchdog};
use simpul_firmware::sampling::OPTICS;
use simpul_firmware::update::NoSlots;
use simpul_wire::Missing;
use simpul_wire::board::{DESKS, Hardware, JournalState, Measured, ModuleFound, ResetReason};

/// A pin whose level the test sets or reads.
#[derive(Debug, Clone, Default)]
pub struct Pin(pub Rc<Cell<bool>>);

impl Pin {
    pub fn high() -> Pin {
        Pin(Rc::new(Cell::new(true)))
    }
}

impl ErrorType for Pin {
    type Error = Infallible;
}

impl InputPin for Pin {
    fn is_high(&mut self) -> Result<bool, Infallible> {
        Ok(self.0.get())
    }

    fn is_low(&mut self) -> Result<bool, Infallible> {
        Ok(!self.0.get())
    }
}

impl OutputPin for Pin {
    fn set_low(&mut self) -> Result<(), Infallible> {
        self.0.set(false);
        Ok(())
    }

    fn set_high(&mut self) -> Result<(), Infallible> {
        self.0.set(true);
        Ok(())
    }
}

/// Bytes of a chip's transmit FIFO.
const FIFO_BYTES: usize = 16;

/// Both directions of the line.
#[derive(Debug, Default)]
pub struct Wires {
    /// From the board: its FIFO.
    pub from_board: VecDeque<u8>,
    /// To the board: its receive buffer.
    pub to_board: VecDeque<u8>,
}

/// The board's end of the line.
#[derive(Debug, Clone, Default)]
pub struct BoardEnd(pub Rc<RefCell<Wires>>);

impl Line for BoardEnd {
    fn receive(&mut self) -> Option<u8> {
        self.0.borrow_mut().to_board.pop_front()
    }

    fn transmit(&mut self, bytes: &[u8]) -> usize {
        let fifo = &mut self.0.borrow_mut().from_board;
        let room = FIFO_BYTES.saturating_sub(fifo.len()).min(bytes.len());
        fifo.extend(&bytes[..room]);
        room
    }
}

/// The journal's memory. It outlives the board.
#[derive(Debug, Default)]
pub struct Memory {
    pub kept: Option<[u8; KEPT_BYTES]>,
    pub writes: u32,
    /// It does not answer.
    pub broken: bool,
}

/// The journal.
#[derive(Debug, Clone, Default)]
pub struct Journal(pub Rc<RefCell<Memory>>);

impl Journal {
    pub fn read(&self) -> Option<Kept> {
        self.0.borrow().kept.as_ref().and_then(Kept::from_bytes)
    }
}

impl Keep for Journal {
    type Error = ();

    fn keep(&mut self, kept: &Kept) -> Result<(), ()> {
        let mut memory = self.0.borrow_mut();
        memory.writes += 1;
        if memory.broken {
            return Err(());
        }
        memory.kept = Some(kept.to_bytes());
        Ok(())
    }
}

/// Voltages in mV.
#[derive(Debug, Clone)]
pub struct Adc(pub Rc<Cell<(u32, u32)>>);

impl Measure for Adc {
    fn supply_millivolts(&mut self) -> Result<u32, Missing> {
        Ok(self.0.get().0)
    }

    fn battery_millivolts(&mut self) -> Result<u32, Missing> {
        Ok(self.0.get().1)
    }
}

/// Empty cages.
#[derive(Debug, Clone, Default)]
pub struct Cages;

impl Optics for Cages {
    fn describe(&mut self, _cage: u8) -> Result<ModuleFound, Missing> {
        Err(Missing::NoModule)
    }

    fn read(&mut self, _cage: u8) -> [Measured; OPTICS] {
        [Missing::NoModule.into(); OPTICS]
    }
}

/// Counts its meals.
#[derive(Debug, Clone, Default)]
pub struct Dog(pub Rc<Cell<u32>>);

impl Watchdog for Dog {
    fn feed(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

/// A board's outside, as the test holds it.
#[derive(Debug, Clone)]
pub struct Hardwired {
    pub buttons: [Pin; DESKS],
    pub tamper: Pin,
    pub power_good: Pin,
    pub relay: Pin,
    pub light: Pin,
    pub line: BoardEnd,
    pub journal: Journal,
    pub adc: Adc,
    pub dog: Dog,
}

/// A board.
pub type Board = Runtime<Pin, Pin, BoardEnd, Adc, Journal, Cages, Dog, NoSlots>;

impl Default for Hardwired {
    fn default() -> Self {
        Hardwired {
            buttons: core::array::from_fn(|_| Pin::high()),
            tamper: Pin::default(),
            power_good: Pin::high(),
            relay: Pin::default(),
            light: Pin::default(),
            line: BoardEnd::default(),
            journal: Journal::default(),
            adc: Adc(Rc::new(Cell::new((12_000, 12_600)))),
            dog: Dog::default(),
        }
    }
}

impl Hardwired {
    /// Start a board on this hardware, with what the journal has.
    pub fn start(&self) -> Board {
        self.relay.0.set(false);
        let kept = self.journal.read();
        let journal = if kept.is_some() { JournalState::Good } else { JournalState::Empty };
        let parts = Parts {
            buttons: self.buttons.clone(),
            tamper: self.tamper.clone(),
            power_good: self.power_good.clone(),
            relay: self.relay.clone(),
            light: self.light.clone(),
            line: self.line.clone(),
            measure: self.adc.clone(),
            journal: self.journal.clone(),
            optics: Cages,
            watchdog: self.dog.clone(),
            slots: NoSlots,
        };
        Runtime::new(0, start(journal, kept.unwrap_or_default()), parts)
    }

    /// Press or free a button.
    pub fn button(&self, desk: usize, down: bool) {
        self.buttons[desk].0.set(!down);
    }
}

/// A board's knowledge of itself.
pub fn start(journal: JournalState, kept: Kept) -> Start {
    Start {
        hardware: Hardware::Pico,
        firmware: [0, 1, 0],
        serial: *b"\xE6\x61\x38\x82\x93\x12\x34\x56",
        reset: ResetReason::PowerOn,
        journal,
        kept,
    }
}

/// 115200 baud, 8N1: hundredths of a byte a millisecond.
const HUNDREDTHS_PER_MS: u32 = 1_152;

/// One direction's speed: how many bytes pass in this millisecond.
#[derive(Debug, Default)]
pub struct Pace(u32);

impl Pace {
    pub fn bytes_this_ms(&mut self) -> u32 {
        self.0 += HUNDREDTHS_PER_MS;
        let bytes = self.0 / 100;
        self.0 %= 100;
        bytes
    }
}

/// What happens to bytes on their way.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// Of 10,000 bytes so many are lost, changed, doubled.
    pub lost: u32,
    pub changed: u32,
    pub doubled: u32,
    /// The cable is out.
    pub cut: bool,
}

impl Faults {
    /// Send a byte through.
    pub fn pass(&self, byte: u8, random: &mut StdRng, mut arrive: impl FnMut(u8)) {
        let dice = random.random_range(0..10_000);
        if self.cut || dice < self.lost {
            return;
        }
        if dice < self.lost + self.changed {
            return arrive(byte ^ (1 << (random.next_u32() % 8)));
        }
        arrive(byte);
        if dice < self.lost + self.changed + self.doubled {
            arrive(byte);
        }
    }
}
