//! UART0 towards the agent: 115200 8N1, received by interrupt into a ring, sent by polling.
//!
//! Not the HAL's buffered UART: after a receive error that one never hears again (embassy #7014), and a cable that is
//! plugged in under power makes just such errors. Here a byte with an error is dropped and counted as nothing: the
//! frame's checksum speaks for it.

use core::sync::atomic::{AtomicU8, AtomicU16, Ordering};

use embassy_rp::Peri;
use embassy_rp::clocks::clk_peri_freq;
use embassy_rp::interrupt::{self, InterruptExt};
use embassy_rp::pac::{IO_BANK0, PADS_BANK0, UART0 as REGISTERS};
use embassy_rp::peripherals::{PIN_0, PIN_1, UART0};
use simpul_firmware::runtime::Line;

/// The link's speed.
const BITS_PER_SECOND: u32 = 115_200;

/// Received bytes that wait for the loop: 22 ms of the line, which is more than the loop's slowest step besides an
/// erase of flash. An erase takes 45 ms without interrupts and loses what the 32 bytes of the chip's FIFO do not hold;
/// the agent sends again.
const RING_BYTES: usize = 256;

/// What the chip's FIFO of 32 is given at once, when it is empty: nearly what the line sends in a tick, and all that the
/// dying gasp ever has to wait for (0.9 ms).
const TRANSMIT_BYTES: usize = 10;

/// The pins' function 2 (RP2040 datasheet 1.4.3).
const FUNCTION_UART: u8 = 2;
/// UARTLCR_H.WLEN.
const EIGHT_BITS: u8 = 0b11;
/// UARTIFLS.RXIFLSEL.
const A_QUARTER: u8 = 0b001;

/// From the interrupt (the only writer of `WRITTEN`) to the loop (the only writer of `READ`).
static RING: [AtomicU8; RING_BYTES] = [const { AtomicU8::new(0) }; RING_BYTES];
static WRITTEN: AtomicU16 = AtomicU16::new(0);
static READ: AtomicU16 = AtomicU16::new(0);

/// The port. It owns its pins: there is one.
pub struct Uart {
    _owned: (Peri<'static, UART0>, Peri<'static, PIN_0>, Peri<'static, PIN_1>),
}

impl Uart {
    /// Open the port and listen (RP2040 datasheet 4.2).
    pub fn new(uart: Peri<'static, UART0>, transmit: Peri<'static, PIN_0>, receive: Peri<'static, PIN_1>) -> Self {
        for pin in [0, 1] {
            // The pull-up keeps an unplugged cable quiet.
            PADS_BANK0.gpio(pin).write(|w| {
                w.set_ie(true);
                w.set_pue(true);
            });
            IO_BANK0.gpio(pin).ctrl().write(|w| w.set_funcsel(FUNCTION_UART));
        }
        // The divisor in 1/64 (4.2.7.1), rounded; the line control must be written after it.
        let divisor = (clk_peri_freq() * 8 / BITS_PER_SECOND).div_ceil(2);
        REGISTERS.uartibrd().write(|w| w.set_baud_divint((divisor >> 6) as u16));
        REGISTERS.uartfbrd().write(|w| w.set_baud_divfrac((divisor & 0x3f) as u8));
        REGISTERS.uartlcr_h().write(|w| {
            w.set_wlen(EIGHT_BITS);
            w.set_fen(true);
        });
        // Interrupt at a quarter of the FIFO, or 32 bit times after the last byte.
        REGISTERS.uartifls().write(|w| w.set_rxiflsel(A_QUARTER));
        REGISTERS.uartimsc().write(|w| {
            w.set_rxim(true);
            w.set_rtim(true);
        });
        REGISTERS.uartcr().write(|w| {
            w.set_uarten(true);
            w.set_rxe(true);
            w.set_txe(true);
        });
        interrupt::UART0_IRQ.unpend();
        // SAFETY: the handler below exists and shares only atomics with the loop.
        unsafe { interrupt::UART0_IRQ.enable() };
        Uart { _owned: (uart, transmit, receive) }
    }
}

/// Whether a byte waits in the ring.
pub fn has_received() -> bool {
    READ.load(Ordering::Relaxed) != WRITTEN.load(Ordering::Acquire)
}

impl Line for Uart {
    fn receive(&mut self) -> Option<u8> {
        if !has_received() {
            return None;
        }
        let read = READ.load(Ordering::Relaxed);
        let byte = RING[usize::from(read) % RING_BYTES].load(Ordering::Relaxed);
        READ.store(read.wrapping_add(1), Ordering::Release);
        Some(byte)
    }

    fn transmit(&mut self, bytes: &[u8]) -> usize {
        if !REGISTERS.uartfr().read().txfe() {
            return 0;
        }
        let piece = bytes.get(..TRANSMIT_BYTES).unwrap_or(bytes);
        for byte in piece {
            REGISTERS.uartdr().write(|w| w.set_data(*byte));
        }
        piece.len()
    }
}

/// Empty the chip's FIFO into the ring. Bounded: it takes 87 µs for a byte to come and far less to read it.
#[cortex_m_rt::interrupt]
fn UART0_IRQ() {
    let mut written = WRITTEN.load(Ordering::Relaxed);
    while !REGISTERS.uartfr().read().rxfe() {
        let received = REGISTERS.uartdr().read();
        if received.fe() || received.pe() || received.be() || received.oe() {
            // Writing anything clears the error flags (UARTECR).
            REGISTERS.uartrsr().write(|_| {});
        }
        // An overrun lost a *later* byte than this one, so this one is good.
        let damaged = received.fe() || received.pe() || received.be();
        let full = usize::from(written.wrapping_sub(READ.load(Ordering::Acquire))) >= RING_BYTES;
        if !damaged && !full {
            RING[usize::from(written) % RING_BYTES].store(received.data(), Ordering::Relaxed);
            written = written.wrapping_add(1);
        }
    }
    WRITTEN.store(written, Ordering::Release);
    REGISTERS.uarticr().write(|w| {
        w.set_rxic(true);
        w.set_rtic(true);
    });
}
