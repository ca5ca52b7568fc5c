//! The emulated I/O board: TI's LM3S6965 evaluation board as QEMU has it (`-M lm3s6965evb`). It is what tests press buttons
//! on; the board to buy is beside it.
//!
//! Pins, clocks and shims only: what the board does is `simpul_firmware`. `unsafe` is in `mmio` and at the entry of
//! interrupts.
//!
//! | what | where | level |
//! |---|---|---|
//! | UART0 to the agent | PA0 (in), PA1 (out) | 115200 8N1 |
//! | lid switch | PA2 | high: open |
//! | supply's comparator | PA3 | high: mains are gone |
//! | relay | PB0 | high: coil has current, load is off |
//! | I2C0: SFP cage 0 (0x50, 0x51), journal (0x57), serial (0x5F) | PB2 (clock), PB3 (data) | |
//! | buttons of desks 0-7 | PD0-PD7 | high: pressed |
//! | status light | PF0 | high: lit |
//!
//! There is no second cage and nothing to measure a voltage with: the emulated converter has no input.
#![no_std]
#![no_main]

mod clock;
mod gpio;
mod i2c;
mod memory;
mod mmio;
mod optics;
mod reset;
mod shared_bus;
mod uart;

use core::cell::RefCell;

use cortex_m_rt::{entry, exception};
use simpul_firmware::node::Start;
use simpul_firmware::runtime::{Measure, Parts, Runtime};
use simpul_firmware::update::NoSlots;
use simpul_wire::Missing;
use simpul_wire::board::Hardware;

use gpio::{PORT_A, PORT_B, PORT_D, PORT_F};
use i2c::Bus;
use memory::EepromJournal;
use optics::Cages;
use reset::Dog;
use shared_bus::SharedBus;
use uart::Uart;

/// Of this crate, for the hello.
const FIRMWARE: [u8; 3] = [
    number(env!("CARGO_PKG_VERSION_MAJOR")),
    number(env!("CARGO_PKG_VERSION_MINOR")),
    number(env!("CARGO_PKG_VERSION_PATCH")),
];

#[entry]
fn main() -> ! {
    let reset = reset::reason();
    let Some(mut core) = cortex_m::Peripherals::take() else { reset::restart() };
    clock::start(&mut core.SYST);
    let watchdog = Dog::start();
    let bus = RefCell::new(Bus::start());
    // A board that does not know who it is starts anew until it does.
    let Ok(serial) = memory::serial(SharedBus::new(&bus)) else { reset::restart() };
    let (journal, kept, state) = EepromJournal::open(SharedBus::new(&bus));
    let start = Start { hardware: Hardware::Lm3s6965, firmware: FIRMWARE, serial, reset, journal: state, kept };
    let parts = Parts {
        buttons: [0, 1, 2, 3, 4, 5, 6, 7].map(|pin| PORT_D.inverted_input(pin)),
        tamper: PORT_A.input(2),
        power_good: PORT_A.waking_input(3),
        relay: PORT_B.output(0),
        light: PORT_F.output(0),
        line: Uart::start(),
        measure: NoConverter,
        journal,
        optics: Cages::new(SharedBus::new(&bus)),
        watchdog,
        slots: NoSlots,
    };
    let mut runtime = Runtime::new(clock::now_ms(), start, parts);
    loop {
        let due_ms = runtime.poll(clock::now_ms());
        // Each tick looks at all pins; the mains' loss and a byte wake it in between. Nothing else is nearer than a tick but
        // more work.
        if due_ms > clock::now_ms() {
            cortex_m::asm::wfi();
        }
    }
}

/// No voltage is measured on this board.
struct NoConverter;

impl Measure for NoConverter {
    fn supply_millivolts(&mut self) -> Result<u32, Missing> {
        Err(Missing::NotSupported)
    }

    fn battery_millivolts(&mut self) -> Result<u32, Missing> {
        Err(Missing::NotSupported)
    }
}

/// All interrupts of the chip: two are used, and another one means that memory is not what it was.
#[exception]
unsafe fn DefaultHandler(number: i16) {
    match number {
        uart::INTERRUPT => uart::received(),
        gpio::INTERRUPT => gpio::rose(),
        _ => reset::restart(),
    }
}

/// A version's number from its text.
const fn number(text: &str) -> u8 {
    match u8::from_str_radix(text, 10) {
        Ok(number) => number,
        Err(_) => panic!("a version's numbers are below 256"),
    }
}
