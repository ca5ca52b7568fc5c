//! Serial ports: which ones a board may be at, and one that is open. 115200 8N1, one program at a time.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serial2::SerialPort;

/// Symbols per second on the wire.
const BAUD: u32 = 115_200;

/// A read gives up after so long: its caller looks at the clock then.
const READ: Duration = Duration::from_millis(20);

/// A port that takes nothing for so long is stuck.
const WRITE: Duration = Duration::from_secs(2);

/// An open port.
#[derive(Debug)]
pub struct Port(SerialPort);

impl Port {
    /// Open a port for this program alone.
    ///
    /// # Errors
    /// What the system says; [`io::ErrorKind::ResourceBusy`] when another program of ours holds it.
    pub fn open(path: &Path) -> io::Result<Port> {
        let mut port = SerialPort::open(path, BAUD)?;
        #[cfg(unix)]
        {
            use rustix::fs::{FlockOperation, flock};
            // As the agent does: a lock by agreement.
            flock(&port, FlockOperation::NonBlockingLockExclusive).map_err(|error| match error {
                rustix::io::Errno::WOULDBLOCK => io::Error::from(io::ErrorKind::ResourceBusy),
                error => error.into(),
            })?;
        }
        port.set_read_timeout(READ)?;
        port.set_write_timeout(WRITE)?;
        Ok(Port(port))
    }

    /// Read what is there; nothing after a while if there is nothing.
    ///
    /// # Errors
    /// The port is gone, or whatever the system says.
    pub fn read(&self, bytes: &mut [u8]) -> io::Result<usize> {
        match self.0.read(bytes) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(length) => Ok(length),
            Err(error) if matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::Interrupted) => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Write all.
    ///
    /// # Errors
    /// The port is gone or takes nothing, or whatever the system says.
    pub fn write(&self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }
}

/// The ports that a board may be at: USB serial devices of Raspberry Pi, and no others, so that no modem is written to.
pub fn candidates() -> Vec<PathBuf> {
    crate::platform::pico_ports()
}
