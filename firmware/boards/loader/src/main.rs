//! The Pico's loader: does what `simpul_firmware::update::install` says, then starts the image in the active slot.
//!
//! Runs from the chip's own oscillator, as the boot ROM left it: setting up clocks is the image's affair, and the loader's
//! start is then the same however broken an image was. `unsafe` is in here for the jump, and for taking the flash without
//! the HAL's start.
#![no_std]
#![no_main]

use core::cell::RefCell;
use core::panic::PanicInfo;

use embassy_rp::flash::{Blocking, FLASH_BASE, Flash};
use embassy_rp::pac;
use embassy_rp::peripherals::FLASH;
use simpul_firmware::update::install::{Phase, Store};
use simpul_firmware::update::layout;

/// A Pico's W25Q16JV (Pico datasheet 2.1).
const FLASH_BYTES: usize = 2 * 1024 * 1024;

/// What the boot ROM runs first: sets up the flash for execution (RP2040 datasheet 2.8.1.3).
#[unsafe(link_section = ".boot2")]
#[used]
static BOOT2: [u8; 256] = rp2040_boot2::BOOT_LOADER_W25Q080;

#[cortex_m_rt::entry]
fn main() -> ! {
    release_dma();
    // SAFETY: the one place that takes it; the image that runs later takes it anew.
    let flash = unsafe { FLASH::steal() };
    let flash = RefCell::new(Flash::<_, Blocking, FLASH_BYTES>::new_blocking(flash));
    let mut store = Store::<_, { layout::PICO_STATE }>::open(&flash);
    // From here to the image's own start of it, a hang ends in a reset, and that in a revert. An image that stays is not
    // watched until it does so itself: there is nothing to go back to.
    if !matches!(store.record().phase, Phase::Settled | Phase::Reverted) {
        start_watchdog();
    }
    if store.load(&layout::PICO, &mut feed_watchdog).is_err() {
        wait_for_watchdog();
    }
    start_image()
}

/// Before it has the flash changed, the driver asks each DMA channel whether it reads there: out of reset they can answer.
fn release_dma() {
    pac::RESETS.reset().modify(|w| w.set_dma(false));
    while !pac::RESETS.reset_done().read().dma() {}
}

/// The longest that the chip's watchdog can count (RP2040 datasheet 4.7.3): 8.4 s at one tick a microsecond; it counts two
/// a tick (errata RP2040-E1). Ticks are slower or faster with the chip's own oscillator, by less than half.
const WATCHDOG_LOAD: u32 = 0x00FF_FFFF;

/// The oscillator's nominal frequency in MHz, rounded up.
const OSCILLATOR_MHZ: u16 = 7;

/// All that the watchdog resets, besides the oscillators (RP2040 datasheet 2.13.5): the start is then like power-on.
const RESET_ALL: u32 = 0x0001_FFFC;

fn start_watchdog() {
    pac::PSM.wdsel().write_value(pac::psm::regs::Wdsel(RESET_ALL));
    pac::WATCHDOG.tick().write(|w| {
        w.set_enable(true);
        w.set_cycles(OSCILLATOR_MHZ);
    });
    feed_watchdog();
    pac::WATCHDOG.ctrl().modify(|w| w.set_enable(true));
}

fn feed_watchdog() {
    pac::WATCHDOG.load().write_value(pac::watchdog::regs::Load(WATCHDOG_LOAD));
}

fn wait_for_watchdog() -> ! {
    start_watchdog();
    loop {
        core::hint::spin_loop();
    }
}

fn start_image() -> ! {
    let vectors = FLASH_BASE as u32 + layout::PICO.active;
    // SAFETY: the active slot begins with an image's vector table, aligned as the core wants it; nothing of the loader is
    // used any more, and no interrupt is enabled.
    unsafe {
        let core = cortex_m::Peripherals::steal();
        core.SCB.vtor.write(vectors);
        cortex_m::asm::bootload(vectors as *const u32)
    }
}

/// No panic is meant; a start anew has the same flash and may do better.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    wait_for_watchdog()
}
