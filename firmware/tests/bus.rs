//! Freeing a bus that a chip holds down.

use std::cell::RefCell;
use std::convert::Infallible;

use embedded_hal::delay::DelayNs;
use embedded_hal::digital::{ErrorType, InputPin, OutputPin};
use simpul_firmware::drivers::bus::recover;
use simpul_wire::Missing;

/// Two open-drain lines and a chip that holds SDA low until it has seen so many clocks.
struct Lines {
    scl: bool,
    sda: bool,
    clocks: usize,
    held_for: usize,
    stops: usize,
}

impl Lines {
    fn sda_is_high(&self) -> bool {
        self.sda && self.clocks >= self.held_for
    }
}

struct Pin<'a>(&'a RefCell<Lines>, bool);

impl ErrorType for Pin<'_> {
    type Error = Infallible;
}

impl Pin<'_> {
    fn set(&self, high: bool) {
        let mut lines = self.0.borrow_mut();
        if self.1 {
            lines.clocks += usize::from(!lines.scl && high);
            lines.scl = high;
        } else {
            lines.stops += usize::from(lines.scl && !lines.sda && high);
            lines.sda = high;
        }
    }
}

impl OutputPin for Pin<'_> {
    fn set_low(&mut self) -> Result<(), Infallible> {
        self.set(false);
        Ok(())
    }
    fn set_high(&mut self) -> Result<(), Infallible> {
        self.set(true);
        Ok(())
    }
}

impl InputPin for Pin<'_> {
    fn is_high(&mut self) -> Result<bool, Infallible> {
        let lines = self.0.borrow();
        Ok(if self.1 { lines.scl } else { lines.sda_is_high() })
    }
    fn is_low(&mut self) -> Result<bool, Infallible> {
        self.is_high().map(|high| !high)
    }
}

struct NoDelay;

impl DelayNs for NoDelay {
    fn delay_ns(&mut self, _ns: u32) {}
}

#[test]
fn nine_clocks_and_a_stop_free_the_bus_or_it_is_said_to_be_stuck() {
    for (held_for, expected) in [(0, Ok(())), (1, Ok(())), (9, Ok(())), (usize::MAX, Err(Missing::BusStuck))] {
        let lines = RefCell::new(Lines { scl: true, sda: true, clocks: 0, held_for, stops: 0 });
        assert_eq!(recover(&mut Pin(&lines, true), &mut Pin(&lines, false), &mut NoDelay), expected);
        // The tenth rise of SCL is the STOP's.
        assert_eq!((lines.borrow().clocks, lines.borrow().stops), (10, 1), "held for {held_for}");
    }
}
