//! Finds the board's serial port and opens it: raw, 115200 8N1, one program at a time.
//!
//! `"auto"` takes a USB serial device whose vendor is Raspberry Pi and no other, so that a modem is never written to.
//! Other ports are opened only when the configuration names them. Leaves to others: what the bytes mean.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::termios::{ControlModes, OptionalActions, tcgetattr, tcsetattr};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::config::BoardPort;

/// Symbols per second on the wire.
const BAUD: u32 = 115_200;

/// USB vendor id of Raspberry Pi: RP2040 boards.
const USB_VENDOR: &str = "2e8a";

/// USB product id of an RP2040 that waits in its boot loader and runs no firmware.
const USB_BOOT_LOADER: &str = "0003";

/// Most entries of a folder that are looked at: a machine has some hundred terminals and a few dozen USB devices.
const ENTRIES_MAX: usize = 1_024;

/// Where the machine is looked at; tests put a tree of their own there.
#[derive(Debug, Clone)]
pub struct Machine {
    /// `/sys`.
    pub sys: PathBuf,
    /// `/dev`.
    pub dev: PathBuf,
}

impl Default for Machine {
    fn default() -> Self {
        Machine { sys: "/sys".into(), dev: "/dev".into() }
    }
}

impl Machine {
    /// The board's port, if it is there.
    pub fn find(&self, port: &BoardPort) -> Option<PathBuf> {
        match port {
            BoardPort::Path(path) => path.exists().then(|| path.clone()),
            BoardPort::Auto => self.usb_port(),
        }
    }

    /// The first USB serial device of the vendor, by name, so that the choice among several stays the same.
    fn usb_port(&self) -> Option<PathBuf> {
        let terminals = self.sys.join("class/tty");
        let is_ours = |name: &String| {
            // The terminal's device is an interface of the USB device, which has the ids.
            let device = terminals.join(name).join("device/..");
            (name.starts_with("ttyACM") || name.starts_with("ttyUSB")) && is(&device, "idVendor", USB_VENDOR)
        };
        names(&terminals).filter(is_ours).min().map(|name| self.dev.join(name))
    }

    /// Whether a board waits in its boot loader.
    pub fn boot_loader(&self) -> bool {
        let devices = self.sys.join("bus/usb/devices");
        names(&devices).any(|name| {
            let device = devices.join(name);
            is(&device, "idVendor", USB_VENDOR) && is(&device, "idProduct", USB_BOOT_LOADER)
        })
    }
}

fn names(folder: &Path) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().take(ENTRIES_MAX);
    entries.filter_map(|entry| entry.file_name().into_string().ok())
}

fn is(device: &Path, file: &str, wanted: &str) -> bool {
    fs::read_to_string(device.join(file)).is_ok_and(|text| text.trim() == wanted)
}

/// An open port.
#[derive(Debug)]
pub struct Port {
    fd: AsyncFd<OwnedFd>,
}

impl Port {
    /// Open a serial port or a pseudo-terminal. Within a tokio runtime only.
    ///
    /// # Errors
    /// What the system says; [`io::ErrorKind::ResourceBusy`] when another program of ours holds the port.
    pub fn open(path: &Path) -> io::Result<Port> {
        // Not blocking: an open may otherwise wait for a carrier that a board does not have.
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty())?;
        let mut modes = tcgetattr(&fd).map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "is no serial port"))?;
        // A lock by agreement: exclusive mode (TIOCEXCL) does not keep root out, and would outlive a test's terminal.
        flock(&fd, FlockOperation::NonBlockingLockExclusive).map_err(|error| match error {
            rustix::io::Errno::WOULDBLOCK => {
                io::Error::new(io::ErrorKind::ResourceBusy, "another program holds the port")
            }
            error => error.into(),
        })?;
        modes.make_raw();
        modes.control_modes -= ControlModes::CSTOPB | ControlModes::CRTSCTS | ControlModes::HUPCL;
        modes.control_modes |= ControlModes::CLOCAL | ControlModes::CREAD;
        modes.set_speed(BAUD)?;
        tcsetattr(&fd, OptionalActions::Now, &modes)?;
        // Deprecated for types that do not keep their descriptor to themselves; an `OwnedFd` does, and `register`, which
        // takes its place, is unsafe.
        #[expect(deprecated, reason = "as above")]
        let fd = AsyncFd::new(fd)?;
        Ok(Port { fd })
    }

    /// Read what is there; 0 or an error: the port is gone. Nothing is lost when this is cancelled.
    ///
    /// # Errors
    /// What the system says.
    pub async fn read(&self, bytes: &mut [u8]) -> io::Result<usize> {
        self.fd.async_io(Interest::READABLE, |fd| Ok(rustix::io::read(fd, &mut *bytes)?)).await
    }

    /// Write what the port takes. Nothing is written when this is cancelled.
    ///
    /// # Errors
    /// What the system says.
    pub async fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.fd.async_io(Interest::WRITABLE, |fd| Ok(rustix::io::write(fd, bytes)?)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(terminals: &[(&str, &str)], devices: &[(&str, &str)]) -> (tempfile::TempDir, Machine) {
        let root = tempfile::tempdir().unwrap();
        let sys = root.path().join("sys");
        fs::create_dir_all(sys.join("class/tty")).unwrap();
        for (index, (name, vendor)) in terminals.iter().enumerate() {
            let usb = sys.join(format!("devices/usb1/1-{index}"));
            let interface = usb.join("interface");
            fs::create_dir_all(&interface).unwrap();
            fs::write(usb.join("idVendor"), format!("{vendor}\n")).unwrap();
            let terminal = sys.join("class/tty").join(name);
            fs::create_dir_all(&terminal).unwrap();
            std::os::unix::fs::symlink(&interface, terminal.join("device")).unwrap();
        }
        for (index, (vendor, product)) in devices.iter().enumerate() {
            let device = sys.join(format!("bus/usb/devices/1-{index}"));
            fs::create_dir_all(&device).unwrap();
            fs::write(device.join("idVendor"), format!("{vendor}\n")).unwrap();
            fs::write(device.join("idProduct"), format!("{product}\n")).unwrap();
        }
        let dev = root.path().join("dev");
        (root, Machine { sys, dev })
    }

    #[test]
    fn auto_takes_the_first_usb_device_of_the_vendor_and_no_modem_or_uart() {
        let terminals = [("ttyACM0", "12d1"), ("ttyACM2", "2e8a"), ("ttyACM1", "2e8a"), ("ttyS0", "2e8a")];
        let (_root, machine) = tree(&terminals, &[]);
        assert_eq!(machine.find(&BoardPort::Auto), Some(machine.dev.join("ttyACM1")));
        let (_root, machine) = tree(&terminals[..1], &[]);
        assert_eq!(machine.find(&BoardPort::Auto), None);
        assert_eq!(machine.find(&BoardPort::Path("/nowhere".into())), None);
    }

    #[test]
    fn a_board_in_its_boot_loader_is_seen() {
        assert!(tree(&[], &[("1d6b", "0002"), ("2e8a", "0003")]).1.boot_loader());
        assert!(!tree(&[], &[("2e8a", "000a"), ("1d6b", "0003")]).1.boot_loader());
        assert!(!Machine { sys: "/nowhere".into(), dev: "/nowhere".into() }.boot_loader());
    }
}
