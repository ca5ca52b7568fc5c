#![no_std]
#![no_main]
//! bring-up
mod clock;
mod uart;
use embassy_rp::flash::Flash;
use embassy_rp::gpio::{Input, Level, Output, Pull};
use embassy_rp::watchdog::Watchdog;
use embassy_time::Duration;

#[cortex_m_rt::entry]
fn main() -> ! {
    let p = embassy_rp::init(clock::config());
    let mut watchdog = Watchdog::new(p.WATCHDOG);
    watchdog.start(Duration::from_secs(8));
    let mut flash = Flash::<_, _, { 2 << 20 }>::new_blocking(p.FLASH);
    let mut serial = [0; 8];
    let _ = flash.blocking_unique_id(&mut serial);
    let mut led = Output::new(p.PIN_25, Level::Low);
    let button = Input::new(p.PIN_2, Pull::Up);
    let mut uart = uart::Uart::new(p.UART0, p.PIN_0, p.PIN_1);
    clock::start_tick(cortex_m::Peripherals::take().unwrap().SYST);
    let mut next = 0;
    loop {
        watchdog.feed(Duration::from_secs(8));
        let now = clock::now_ms();
        if now >= next {
            next = now + 1000;
            led.toggle();
            for b in serial { uart.write_byte(b); }
            uart.write_byte(button.is_low() as u8);
        }
        while let Some(b) = uart.read_byte() { uart.write_byte(b); }
        cortex_m::asm::wfi();
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop { cortex_m::asm::nop(); }
}
