//! A board at the other end of an open port: frames in and out, greetings, acknowledgements. What is said is others' to
//! decide.
//!
//! Every numbered message is acknowledged: on a bench nobody keeps it, and what the board tells of the test (a lid, a relay)
//! must not wait for the village. Totals are cumulative, so an acknowledged one is not lost to an agent.

use std::collections::VecDeque;
use std::time::Duration;

use simpul_clock::{Clock, Moment};
use simpul_wire::board::{
    Ack, ENCODED_BYTES_MAX, FrameReader, FromBoard, Greet, Hello, PROTOCOL_VERSION, ToBoard, protocol_of,
};

use super::fault::Fault;
use super::port::Port;

/// Between two greetings: a board that is there answers within 50 ms.
const GREET_AGAIN: Duration = Duration::from_millis(500);

/// Bytes that are read at a time.
const READ_BYTES: usize = 512;

/// The link to one board.
pub struct Link {
    port: Port,
    clock: Clock,
    reader: FrameReader,
    waiting: VecDeque<u8>,
    greeted_at: Option<Moment>,
    /// A greeting or setting is out whose hello has not come.
    awaited: bool,
}

impl Link {
    /// A link over an open port. Nothing is said yet.
    pub fn new(port: Port, clock: Clock) -> Link {
        let (reader, waiting) = (FrameReader::default(), VecDeque::new());
        Link { port, clock, reader, waiting, greeted_at: None, awaited: false }
    }

    /// Whether nothing is out that the board has still to answer with a hello.
    pub fn is_settled(&self) -> bool {
        !self.awaited
    }

    /// Say that somebody is there; the board answers with a hello.
    pub fn greet(&mut self) -> Result<(), Fault> {
        self.greeted_at = Some(self.clock.now());
        self.awaited = true;
        self.send(&ToBoard::Greet(Greet { protocol: PROTOCOL_VERSION, wall_ms: None }))
    }

    /// Send a message.
    pub fn send(&mut self, message: &ToBoard) -> Result<(), Fault> {
        let mut frame = [0; ENCODED_BYTES_MAX];
        // No message of the link is too long (`message`'s types see to that).
        let length = message.encode(&mut frame).unwrap_or(0);
        self.port.write(&frame[..length]).map_err(Fault::PortLost)
    }

    /// The next message, acknowledged if it wants to be; nothing when `until` has passed. A board that has not been greeted
    /// is greeted.
    pub fn next(&mut self, until: Moment) -> Result<Option<FromBoard>, Fault> {
        loop {
            if let Some(message) = self.waiting_message()? {
                self.answer(&message)?;
                return Ok(Some(message));
            }
            let now = self.clock.now();
            if now >= until {
                return Ok(None);
            }
            // One that was lost on the way, or that a board did not hear while it started.
            if self.awaited && self.greeted_at.is_none_or(|at| now.since(at) >= GREET_AGAIN) {
                self.greet()?;
            }
            let mut bytes = [0; READ_BYTES];
            let length = self.port.read(&mut bytes).map_err(Fault::PortLost)?;
            self.waiting.extend(bytes.iter().take(length));
        }
    }

    /// Listen without greeting; whether the board says that nobody has greeted it since its start.
    pub fn listen(&mut self, until: Moment) -> Result<bool, Fault> {
        while let Some(message) = self.next(until)? {
            if let FromBoard::Hello(hello) = message {
                return Ok(!hello.greeted);
            }
        }
        Ok(false)
    }

    /// Greet until a hello is `wanted`; nothing when `until` has passed.
    pub fn until_hello(&mut self, until: Moment, wanted: impl Fn(&Hello) -> bool) -> Result<Option<Hello>, Fault> {
        self.greet()?;
        while let Some(message) = self.next(until)? {
            if let FromBoard::Hello(hello) = message
                && hello.greeted
            {
                if wanted(&hello) {
                    return Ok(Some(hello));
                }
                // The next one may be.
                self.awaited = true;
            }
        }
        Ok(None)
    }

    fn waiting_message(&mut self) -> Result<Option<FromBoard>, Fault> {
        const HELLO: u8 = 0x01;
        while let Some(byte) = self.waiting.pop_front() {
            let Some(Ok((kind, body))) = self.reader.push(byte) else { continue };
            if kind == HELLO
                && let Some(version) = protocol_of(body)
                && version != PROTOCOL_VERSION
            {
                return Err(Fault::OtherProtocol { board: version });
            }
            // Noise, and what a newer board says beyond this program's words, is passed over.
            if let Ok(message) = FromBoard::decode(kind, body) {
                return Ok(Some(message));
            }
        }
        Ok(None)
    }

    fn answer(&mut self, message: &FromBoard) -> Result<(), Fault> {
        match message {
            FromBoard::Hello(hello) => {
                self.awaited = !hello.greeted;
                Ok(())
            }
            FromBoard::Numbered(numbered) => self.send(&ToBoard::Ack(Ack { boot: numbered.boot, seq: numbered.seq })),
            _ => Ok(()),
        }
    }
}
