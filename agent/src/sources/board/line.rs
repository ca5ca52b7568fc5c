//! The task's end of the serial line: what came, what went, and the search for a port that is gone.

use std::io;
use std::time::Duration;

use super::port::Port;
use super::session::Event;
use super::{Sink, Task};
use crate::config::BoardPort;

/// The port is looked for this often while it is not there; a board that is plugged in is read within a second.
const FIND: (Duration, Duration) = (Duration::from_millis(100), Duration::from_millis(800));

/// The result of looking for the port.
pub(super) struct Found {
    boot_loader: bool,
    port: Result<(Port, String), String>,
}

impl<S: Sink> Task<S> {
    pub(super) fn read(&mut self, read: io::Result<&[u8]>) {
        match read {
            Ok([]) => self.lose("the port is gone".to_owned()),
            Ok(bytes) => {
                // Only now: a port that opens and is gone at once must not be opened without a pause.
                self.find_pause = Duration::ZERO;
                let mut reader = std::mem::take(&mut self.reader);
                for byte in bytes {
                    if let Some(frame) = reader.push(*byte) {
                        self.handle(Event::Frame(frame));
                    }
                }
                // A frame may have been why the port was closed.
                if self.port.is_some() {
                    self.reader = reader;
                }
            }
            Err(error) => self.lose(error.to_string()),
        }
    }

    pub(super) fn written(&mut self, written: io::Result<usize>) {
        match written {
            Ok(length) => {
                self.out.drain(..length.min(self.out.len()));
                self.stuck_since = (!self.out.is_empty()).then(|| self.clock.now());
            }
            Err(error) => self.lose(error.to_string()),
        }
    }

    /// The port is gone.
    pub(super) fn lose(&mut self, why: String) {
        self.close();
        self.handle(Event::Closed { why });
    }

    /// Let go of the port and look for it again.
    pub(super) fn close(&mut self) {
        self.port = None;
        self.reader.reset();
        self.out.clear();
        self.stuck_since = None;
        self.find();
    }

    pub(super) fn find(&mut self) {
        let (search, pause) = (self.search.clone(), self.find_pause);
        self.find_pause = (pause * 2).clamp(FIND.0, FIND.1);
        self.finding = Some(Box::pin(async move {
            tokio::time::sleep(pause).await;
            let looked = tokio::task::spawn_blocking(move || {
                let (port, machine) = search;
                let boot_loader = machine.boot_loader();
                let path = machine.find(&port).ok_or_else(|| match port {
                    BoardPort::Auto => "no USB serial device of 2e8a (Raspberry Pi)".to_owned(),
                    BoardPort::Path(path) => format!("{} is not there", path.display()),
                });
                (boot_loader, path)
            });
            let Ok((boot_loader, path)) = looked.await else {
                return Found { boot_loader: false, port: Err("the search was broken off".to_owned()) };
            };
            let open = |path: std::path::PathBuf| match Port::open(&path) {
                Ok(port) => Ok((port, path.display().to_string())),
                Err(error) => Err(format!("{}: {error}{}", path.display(), hint(&error))),
            };
            Found { boot_loader, port: path.and_then(open) }
        }));
    }

    pub(super) fn found(&mut self, found: Found) {
        self.handle(Event::BootLoader(found.boot_loader));
        match found.port {
            Ok((port, path)) => {
                tracing::info!(port = path, "the board's port is open");
                self.port = Some(port);
                self.handle(Event::Opened { port: path });
            }
            Err(why) => {
                self.handle(Event::Closed { why });
                self.find();
            }
        }
    }
}

/// What a technician does about a port that cannot be opened.
fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "; add the agent's user to the group dialout",
        io::ErrorKind::ResourceBusy => "; close it there",
        _ => "",
    }
}
