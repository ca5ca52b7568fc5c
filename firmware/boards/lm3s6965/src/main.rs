//! bring-up
#![no_std]
#![no_main]
mod clock; mod gpio; mod i2c; mod mmio; mod one_byte; mod reset; mod uart;
use cortex_m_rt::{entry, exception};
use embedded_hal::digital::*;
use embedded_hal::i2c::I2c;
use core::fmt::Write;
struct W<'a>(&'a mut uart::Uart);
impl Write for W<'_> { fn write_str(&mut self, s:&str)->core::fmt::Result { for b in s.bytes() { while !self.0.write_byte(b) {} } Ok(()) } }
#[entry]
fn main() -> ! {
    let why = reset::reason();
    let mut core = cortex_m::Peripherals::take().unwrap();
    clock::start(&mut core.SYST);
    let mut u = uart::Uart::start();
    mmio::Register::at(0xE000_E100).write(1<<5);
    let mut bus = one_byte::ModuleShim::new(i2c::Bus::start());
    let mut relay = gpio::PORT_B.output(0);
    let mut buttons: [gpio::Input; 8] = core::array::from_fn(|i| gpio::PORT_D.input(i as u8));
    let mut tamper = gpio::PORT_A.input(2);
    reset::watch();
    let _ = writeln!(W(&mut u), "hi {why:?}");
    let mut next = 1000;
    loop {
        reset::still_alive();
        cortex_m::asm::wfi();
        let now = clock::now_ms();
        if now >= next {
            next += 1000;
            let mut b = [0u8; 4];
            let a = bus.write_read(0x51, &[104], &mut b).map(|_| b);
            let c = bus.write_read(0x57, &[0,16], &mut b).map(|_| b);
            let d = bus.write(0x57, &[0,16,b[0].wrapping_add(1)]);
            let e = bus.write_read(0x33, &[104], &mut b);
            let bs: u8 = buttons.iter_mut().enumerate().map(|(i,p)| (p.is_high().unwrap() as u8) << i).sum();
            let _ = writeln!(W(&mut u), "{now} {a:?} {c:?} {d:?} {e:?} {bs:08b} {}", tamper.is_high().unwrap());
        }
        while let Some(b) = u.read_byte() {
            match b { b'P' => panic!(), b'H' => loop {}, b'1' => relay.set_high().unwrap(), b'0' => relay.set_low().unwrap(), _ => () }
            let _ = writeln!(W(&mut u), "got {b}");
        }
    }
}
#[exception]
unsafe fn DefaultHandler(n: i16) { if n == 5 { uart::received() } else { reset::restart() } }
