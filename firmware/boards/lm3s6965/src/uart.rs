//! UART0 towards the agent: 115200 8N1, received by interrupt into a ring, sent by polling (PL011; datasheet 12).

use core::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use simpul_firmware::runtime::Line;

use crate::clock::CORE_HZ;
use crate::gpio::PORT_A;
use crate::mmio::Register;

/// Its interrupt's number.
pub const INTERRUPT: i16 = 5;

/// NVIC_ISER0: interrupts 0 to 31.
const INTERRUPTS_ENABLE: Register = Register::at(0xE000_E100);

const DATA: Register = Register::at(0x4000_C000);
const FLAGS: Register = Register::at(0x4000_C018);
const BAUD_INTEGER: Register = Register::at(0x4000_C024);
const BAUD_FRACTION: Register = Register::at(0x4000_C028);
const LINE_CONTROL: Register = Register::at(0x4000_C02C);
const CONTROL: Register = Register::at(0x4000_C030);
const INTERRUPT_MASK: Register = Register::at(0x4000_C038);
const INTERRUPT_CLEAR: Register = Register::at(0x4000_C044);

const RECEIVER_EMPTY: u32 = 1 << 4;
const SENDER_FULL: u32 = 1 << 5;
/// Eight bits, FIFOs on.
const EIGHT_BITS_WITH_FIFO: u32 = 0x60 | 0x10;
/// Port, sender and receiver on.
const ENABLE: u32 = 0x001 | 0x100 | 0x200;
/// The FIFO is filled to its mark, or bytes wait in it and none has come for 32 bit times.
const RECEIVED: u32 = 1 << 4 | 1 << 6;
/// Framing, parity, break: the byte is none. Overrun speaks of a later byte.
const BYTE_ERRORS: u32 = 0x700;

const BAUD: u32 = 115_200;
/// The divisor in 64ths, rounded (datasheet 12.2.2).
const DIVISOR_64: u32 = (CORE_HZ * 4 + BAUD / 2) / BAUD;

/// Received bytes that wait for the loop: 22 ms of the line, more than its slowest step.
const RING_BYTES: u32 = 256;

/// From the interrupt (the only writer of `WRITTEN`) to the loop (the only writer of `READ`).
static RING: [AtomicU8; RING_BYTES as usize] = [const { AtomicU8::new(0) }; RING_BYTES as usize];
static WRITTEN: AtomicU32 = AtomicU32::new(0);
static READ: AtomicU32 = AtomicU32::new(0);

/// The port.
#[derive(Debug)]
pub struct Uart(());

impl Uart {
    /// Open the port and listen.
    pub fn start() -> Self {
        PORT_A.alternate(0b11, 0);
        CONTROL.write(0);
        BAUD_INTEGER.write(DIVISOR_64 / 64);
        BAUD_FRACTION.write(DIVISOR_64 % 64);
        LINE_CONTROL.write(EIGHT_BITS_WITH_FIFO);
        INTERRUPT_MASK.write(RECEIVED);
        CONTROL.write(ENABLE);
        // An interrupt is let through by writing its bit; others stay as they are (ARMv7-M B3.4.4).
        INTERRUPTS_ENABLE.write(1 << INTERRUPT);
        Uart(())
    }
}

impl Line for Uart {
    fn receive(&mut self) -> Option<u8> {
        let read = READ.load(Ordering::Relaxed);
        if read == WRITTEN.load(Ordering::Acquire) {
            return None;
        }
        let byte = RING[(read % RING_BYTES) as usize].load(Ordering::Relaxed);
        READ.store(read.wrapping_add(1), Ordering::Release);
        Some(byte)
    }

    fn transmit(&mut self, bytes: &[u8]) -> usize {
        let mut taken = 0;
        for byte in bytes {
            if FLAGS.read() & SENDER_FULL != 0 {
                break;
            }
            DATA.write(u32::from(*byte));
            taken += 1;
        }
        taken
    }
}

/// Empty the FIFO into the ring: called by the interrupt. A byte that finds the ring full is dropped, and the
/// checksum of its frame tells.
pub fn received() {
    let mut written = WRITTEN.load(Ordering::Relaxed);
    let read = READ.load(Ordering::Acquire);
    while FLAGS.read() & RECEIVER_EMPTY == 0 {
        let data = DATA.read();
        if data & BYTE_ERRORS == 0 && written.wrapping_sub(read) < RING_BYTES {
            RING[(written % RING_BYTES) as usize].store((data & 0xFF) as u8, Ordering::Relaxed);
            written = written.wrapping_add(1);
            WRITTEN.store(written, Ordering::Release);
        }
    }
    INTERRUPT_CLEAR.write(RECEIVED);
}
