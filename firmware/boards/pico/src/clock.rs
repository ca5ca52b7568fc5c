//! Clocks: 48 MHz for everything, a 64-bit time, and a tick that wakes the loop.

use cortex_m::Peripherals;
use cortex_m::peripheral::syst::SystClkSource;
use embassy_rp::clocks::{ClockConfig, SysClkSrc, clk_sys_freq};
use embassy_rp::config::Config;
use embassy_rp::pac::TIMER;
use embedded_hal::delay::DelayNs;

use crate::power;

/// The loop runs at least this often: a press is debounced over 20 ms, and the UART's 32 bytes last for 2.8.
const TICK_MS: u32 = 1;

/// The 48 MHz that the ADC needs anyway drive the core, too; the 125 MHz PLL stays off. The work fits many times, and
/// each milliampere saved is hold-up time at the last gasp.
pub fn config() -> Config {
    let mut clocks = ClockConfig::crystal(12_000_000);
    clocks.sys_clk.src = SysClkSrc::PllUsb;
    clocks.sys_clk.div_int = 1;
    if let Some(crystal) = clocks.xosc.as_mut() {
        crystal.sys_pll = None;
    }
    clocks.usb_clk = None;
    clocks.rtc_clk = None;
    Config::new(clocks)
}

/// Microseconds since the chip's start, going round after 71 minutes: for differences.
pub fn now_us() -> u32 {
    TIMER.timerawl().read()
}

/// Milliseconds since the chip's start, which never go round. Adds up differences: dividing the chip's 64 bits would take
/// a kilobyte of the image.
pub struct Uptime {
    ms: u64,
    /// The microsecond at which `ms` became what it is.
    at_us: u32,
}

impl Uptime {
    /// Begins with what the counter shows: it started with the chip.
    pub fn start() -> Self {
        Uptime { ms: 0, at_us: 0 }
    }

    /// To be asked at least each 71 minutes.
    pub fn now_ms(&mut self) -> u64 {
        let whole_ms = now_us().wrapping_sub(self.at_us) / 1_000;
        self.ms += u64::from(whole_ms);
        self.at_us = self.at_us.wrapping_add(whole_ms * 1_000);
        self.ms
    }
}

/// Begin to wake the loop each [`TICK_MS`]; until then a `wfi` may never return.
pub fn start_tick() {
    // Taken here and nowhere else.
    if let Some(core) = Peripherals::take() {
        let mut tick = core.SYST;
        tick.set_clock_source(SystClkSource::Core);
        tick.set_reload(clk_sys_freq() / 1_000 * TICK_MS - 1);
        tick.clear_current();
        tick.enable_interrupt();
        tick.enable_counter();
    }
}

/// It wakes the core.
#[cortex_m_rt::exception]
fn SysTick() {
    power::listen();
}

/// Busy waiting, at least as long as asked.
pub struct Delay;

impl DelayNs for Delay {
    fn delay_ns(&mut self, ns: u32) {
        cortex_m::asm::delay(clk_sys_freq() / 1_000_000 * ns.div_ceil(1_000));
    }
}
