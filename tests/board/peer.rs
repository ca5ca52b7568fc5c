//! The test in the agent's place: opens the board's terminal, reads frames, acknowledges what it is told to.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use simpul_testkit::board::{EmulatedBoard, Module, Options};
use simpul_wire::board::{
    Ack, DESKS, DeskTotals, ENCODED_BYTES_MAX, FrameReader, FromBoard, Greet, Hello, Numbered, NumberedBody,
    PROTOCOL_VERSION, Settings, ToBoard,
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::time::timeout;

/// Anything that a board says comes within a second or, readings, ten; an emulator on a loaded machine gets more.
pub const WAIT_MAX: Duration = Duration::from_secs(30);

/// What a board with everything wired works by.
pub const SETTINGS: Settings =
    Settings { long_press_ms: 1_500, desks: 0xFF, cages: 0b01, battery_low_mv: 0, relay: true };

/// A board in a folder of its own.
pub async fn board(module: Option<Module>) -> (TempDir, EmulatedBoard) {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { directory: folder.path().join("board"), serial: *b"SERIAL-1", module, sockets: None };
    let board = EmulatedBoard::start(options).await.unwrap();
    (folder, board)
}

/// The other end of the board's line.
pub struct Peer {
    /// A terminal is waited for as a pipe is.
    from_board: Receiver,
    to_board: Sender,
    reader: FrameReader,
    waiting: std::collections::VecDeque<u8>,
    /// Frames that could not be read.
    pub refused: u32,
    /// The totals that were acknowledged last.
    pub totals: Option<[DeskTotals; DESKS]>,
}

impl Peer {
    /// Open the board's terminal.
    pub fn open(terminal: &Path) -> Peer {
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::open(terminal, flags, Mode::empty()).unwrap());
        Peer {
            to_board: Sender::from_file_unchecked(file.try_clone().unwrap()).unwrap(),
            from_board: Receiver::from_file_unchecked(file).unwrap(),
            reader: FrameReader::default(),
            waiting: std::collections::VecDeque::new(),
            refused: 0,
            totals: None,
        }
    }

    /// Open the board's terminal, greet, and set it to [`SETTINGS`]; its hello with them.
    pub async fn linked(board: &EmulatedBoard) -> (Peer, Hello) {
        let mut peer = Peer::open(&board.tty());
        peer.greet().await;
        peer.until("an answer to the greeting", |message| matches!(message, FromBoard::Hello(hello) if hello.greeted))
            .await;
        peer.send(&ToBoard::Configure(SETTINGS)).await;
        peer.greet().await;
        let set = |message: &FromBoard| matches!(message, FromBoard::Hello(hello) if hello.settings == SETTINGS);
        let FromBoard::Hello(hello) = peer.until("the settings in a hello", set).await else { unreachable!() };
        (peer, hello)
    }

    /// Say that the agent is there.
    pub async fn greet(&mut self) {
        self.send(&ToBoard::Greet(Greet { protocol: PROTOCOL_VERSION, wall_ms: None })).await;
    }

    /// Send a message.
    pub async fn send(&mut self, message: &ToBoard) {
        let mut frame = [0; ENCODED_BYTES_MAX];
        let length = message.encode(&mut frame).unwrap();
        self.send_bytes(&frame[..length]).await;
    }

    /// Send bytes as they are.
    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        timeout(WAIT_MAX, self.to_board.write_all(bytes)).await.unwrap().unwrap();
    }

    /// The next message, unacknowledged. `None`: the board is gone.
    pub async fn next(&mut self) -> Option<FromBoard> {
        loop {
            while let Some(byte) = self.waiting.pop_front() {
                match self.reader.push(byte) {
                    Some(Ok((kind, body))) => return Some(FromBoard::decode(kind, body).unwrap()),
                    Some(Err(_)) => self.refused += 1,
                    None => {}
                }
            }
            let mut bytes = [0; 1_024];
            match self.from_board.read(&mut bytes).await {
                Ok(0) | Err(_) => return None,
                Ok(length) => self.waiting.extend(&bytes[..length]),
            }
        }
    }

    /// Acknowledge a numbered message.
    pub async fn acknowledge(&mut self, numbered: &Numbered) {
        if let NumberedBody::Totals(totals) = &numbered.body {
            self.totals = Some(*totals);
        }
        self.send(&ToBoard::Ack(Ack { boot: numbered.boot, seq: numbered.seq })).await;
    }

    /// Read on, acknowledging, until a message is `wanted`; that one.
    pub async fn until(&mut self, what: &str, wanted: impl Fn(&FromBoard) -> bool) -> FromBoard {
        let found = timeout(WAIT_MAX, async {
            loop {
                let message = self.next().await.expect("the board is there");
                if let FromBoard::Numbered(numbered) = &message {
                    self.acknowledge(numbered).await;
                }
                if wanted(&message) {
                    return message;
                }
            }
        });
        found.await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
    }

    /// Read on, acknowledging, until an event is `wanted`; its body.
    pub async fn until_event(&mut self, what: &str, wanted: impl Fn(&NumberedBody) -> bool) -> NumberedBody {
        let is = |message: &FromBoard| matches!(message, FromBoard::Numbered(numbered) if wanted(&numbered.body));
        let FromBoard::Numbered(numbered) = self.until(what, is).await else { unreachable!() };
        numbered.body
    }

    /// Read on, acknowledging, until the totals that were acknowledged are `wanted`.
    pub async fn until_totals(&mut self, what: &str, wanted: impl Fn(&[DeskTotals; DESKS]) -> bool) {
        if self.totals.as_ref().is_some_and(&wanted) {
            return;
        }
        self.until_event(what, |body| matches!(body, NumberedBody::Totals(totals) if wanted(totals))).await;
    }
}
