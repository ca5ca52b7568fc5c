//! The core's clock and the board's time: milliseconds since its start, by SysTick.

use core::sync::atomic::{AtomicU32, Ordering};

use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m_rt::exception;
use embedded_hal::delay::DelayNs;

use crate::mmio::Register;

/// The core's clock after [`start`].
pub const CORE_HZ: u32 = 50_000_000;

const TICKS_PER_SECOND: u32 = 1_000;

/// RIS: bit 6 tells that the PLL is locked (datasheet 6.5, "Raw Interrupt Status").
const RAW_INTERRUPTS: Register = Register::at(0x400F_E050);
/// RCC: run-mode clock configuration.
const RUN_CLOCK: Register = Register::at(0x400F_E060);
/// RCGC1 and RCGC2: clocks of peripherals and ports.
const CLOCK_GATE_1: Register = Register::at(0x400F_E104);
const CLOCK_GATE_2: Register = Register::at(0x400F_E108);

const PLL_LOCKED: u32 = 1 << 6;
const BYPASS: u32 = 1 << 11;
const POWER_DOWN: u32 = 1 << 13;
const USE_DIVIDER: u32 = 1 << 22;
const CRYSTAL_MASK: u32 = 0xF << 6;
/// 8 MHz, the evaluation board's crystal.
const CRYSTAL_8_MHZ: u32 = 0xE << 6;
const SOURCE_MASK: u32 = 0x3 << 4;
const DIVIDER_MASK: u32 = 0xF << 23;
/// 200 MHz / (3 + 1).
const DIVIDER_4: u32 = 0x3 << 23;

const GATE_I2C0: u32 = 1 << 12;
const GATE_UART0: u32 = 1 << 0;
/// Ports A to G.
const GATE_PORTS: u32 = 0x7F;

/// The lower word counts to its end in 49.7 days, the upper one counts those.
static MILLISECONDS_LOW: AtomicU32 = AtomicU32::new(0);
static MILLISECONDS_HIGH: AtomicU32 = AtomicU32::new(0);

/// Run the core from the PLL at [`CORE_HZ`] (datasheet 6.3, "Initialization and Configuration"), give all used
/// peripherals their clock, and begin to count.
pub fn start(systick: &mut SYST) {
    RUN_CLOCK.set(BYPASS);
    RUN_CLOCK.clear(USE_DIVIDER);
    let chosen = RUN_CLOCK.read() & !(CRYSTAL_MASK | SOURCE_MASK | POWER_DOWN);
    RUN_CLOCK.write(chosen | CRYSTAL_8_MHZ);
    let divided = RUN_CLOCK.read() & !DIVIDER_MASK;
    RUN_CLOCK.write(divided | DIVIDER_4 | USE_DIVIDER);
    while RAW_INTERRUPTS.read() & PLL_LOCKED == 0 {}
    RUN_CLOCK.clear(BYPASS);

    CLOCK_GATE_1.set(GATE_I2C0 | GATE_UART0);
    CLOCK_GATE_2.set(GATE_PORTS);
    // A peripheral may be touched three cycles after its gate opens: the read takes longer.
    CLOCK_GATE_2.read();

    systick.set_clock_source(SystClkSource::Core);
    systick.set_reload(CORE_HZ / TICKS_PER_SECOND - 1);
    systick.clear_current();
    systick.enable_interrupt();
    systick.enable_counter();
}

/// Milliseconds since [`start`].
pub fn now_ms() -> u64 {
    loop {
        let high = MILLISECONDS_HIGH.load(Ordering::Relaxed);
        let low = MILLISECONDS_LOW.load(Ordering::Relaxed);
        if MILLISECONDS_HIGH.load(Ordering::Relaxed) == high {
            return (u64::from(high) << 32) | u64::from(low);
        }
    }
}

/// Waits by counting the core's cycles: at least as long as asked.
#[derive(Debug, Clone, Copy)]
pub struct Delay;

impl DelayNs for Delay {
    fn delay_ns(&mut self, ns: u32) {
        const NS_PER_CYCLE: u32 = 1_000_000_000 / CORE_HZ;
        cortex_m::asm::delay(ns.div_ceil(NS_PER_CYCLE));
    }
}

/// A millisecond has passed.
#[exception]
fn SysTick() {
    // Nobody else writes them, so nothing can come between the load and the store.
    let low = MILLISECONDS_LOW.load(Ordering::Relaxed).wrapping_add(1);
    if low == 0 {
        MILLISECONDS_HIGH.store(MILLISECONDS_HIGH.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }
    MILLISECONDS_LOW.store(low, Ordering::Relaxed);
}
