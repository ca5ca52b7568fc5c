//! The I/O board to buy: a Raspberry Pi Pico (RP2040). This file says which pin is what; docs/board.md draws it.
//!
//! Pins, clocks and shims only: what the board does is `simpul_firmware`. `unsafe` is in here alone, and only to switch
//! two interrupts on.
#![no_std]
#![no_main]

mod clock;
mod copy;
mod journal;
mod optics;
mod power;
mod reset;
mod two_wire;
mod uart;
mod voltage;

use embassy_rp::gpio::{Input, Level, Output, Pull};
use embassy_rp::pac::SIO;
use simpul_firmware::node::Start;
use simpul_firmware::runtime::{Parts, Runtime};
use simpul_firmware::update::{FlashSlots, layout};
use simpul_wire::board::Hardware;

use clock::Uptime;
use optics::Cages;
use reset::Dog;
use two_wire::TwoWire;
use uart::Uart;
use voltage::Voltages;

/// For the hello: of this crate, or what whoever builds an image to update to calls it.
const FIRMWARE: [u8; 3] = version(match option_env!("SIMPUL_BOARD_VERSION") {
    Some(text) => text,
    None => env!("CARGO_PKG_VERSION"),
});

#[cortex_m_rt::entry]
fn main() -> ! {
    let reset = reset::reason();
    let chip = embassy_rp::init(clock::config());
    let watchdog = Dog::start(chip.WATCHDOG);
    let flash = journal::chip(chip.FLASH);
    let opened = journal::open(&flash);
    let start = Start {
        hardware: Hardware::Pico,
        firmware: FIRMWARE,
        serial: opened.serial,
        reset,
        journal: opened.state,
        kept: opened.kept,
    };
    let parts = Parts {
        buttons: [
            Input::new(chip.PIN_2, Pull::Up),
            Input::new(chip.PIN_3, Pull::Up),
            Input::new(chip.PIN_4, Pull::Up),
            Input::new(chip.PIN_5, Pull::Up),
            Input::new(chip.PIN_6, Pull::Up),
            Input::new(chip.PIN_7, Pull::Up),
            Input::new(chip.PIN_8, Pull::Up),
            Input::new(chip.PIN_9, Pull::Up),
        ],
        tamper: Input::new(chip.PIN_10, Pull::Up),
        power_good: power::good(chip.PIN_11),
        relay: Output::new(chip.PIN_12, Level::Low),
        light: Output::new(chip.PIN_25, Level::Low),
        line: Uart::new(chip.UART0, chip.PIN_0, chip.PIN_1),
        measure: Voltages::new(chip.ADC, chip.PIN_26, chip.PIN_27),
        journal: opened.journal,
        optics: Cages::new([
            TwoWire::new(chip.PIN_16.into(), chip.PIN_17.into()),
            TwoWire::new(chip.PIN_18.into(), chip.PIN_19.into()),
        ]),
        watchdog,
        slots: FlashSlots::<_, { layout::PICO_STATE }>::open(&flash, layout::PICO, reset::restart),
    };
    let mut uptime = Uptime::start();
    let mut runtime = Runtime::new(uptime.now_ms(), start, parts);
    clock::start_tick();
    let mut due_ms = 0;
    let mut seen = 0;
    loop {
        let now_ms = uptime.now_ms();
        let levels = SIO.gpio_in(0).read() & INPUTS;
        if power::take_fall() || due_ms <= now_ms || levels != seen || uart::has_received() {
            seen = levels;
            due_ms = runtime.poll(now_ms).min(now_ms + POLL_EVERY_MS);
        } else {
            // Until the tick, a byte, or the mains' loss. Not `wfi`: what came since the looks above would wait for the tick.
            cortex_m::asm::wfe();
        }
    }
}

/// Buttons, lid and power-good as bits of the input register. Each tick looks at them, and the last one's loss wakes the
/// loop by itself; a whole poll for each tick would
/// keep the core awake for a quarter of the time.
const INPUTS: u32 = 0b1111_1111_1100;

/// A poll feeds the watchdog, so one comes at least this often, however little there is to do.
const POLL_EVERY_MS: u64 = 1_000;

/// A version's numbers from its text: `major.minor.patch`.
const fn version(text: &str) -> [u8; 3] {
    let text = text.as_bytes();
    let mut numbers = [0u8; 3];
    let mut number = 0;
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'.' => number += 1,
            digit @ b'0'..=b'9' => numbers[number] = numbers[number] * 10 + (digit - b'0'),
            _ => panic!("a version is three numbers below 256"),
        }
        at += 1;
    }
    numbers
}
