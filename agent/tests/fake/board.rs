//! A board that speaks the link over a pseudo-terminal: what the agent's tests plug in, pull out and exchange.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use simpul_wire::board::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::sync::watch;

/// What the board is, and what it counts and says; survives a pulled cable.
#[derive(Debug)]
pub struct Inside {
    pub hello: Hello,
    pub uptime_ms: u64,
    pub seq: u32,
    /// Numbered messages that are not acknowledged, the first is sent.
    pub waiting: VecDeque<Numbered>,
    /// What came from the agent.
    pub heard: Vec<ToBoard>,
    pub totals: [DeskTotals; DESKS],
    /// It does not look at acknowledgements.
    pub deaf: bool,
    /// It answers orders with this.
    pub relay: Option<RelayOutcome>,
    pub loader: Loader,
}

/// The board's end of an update.
#[derive(Debug, Default)]
pub struct Loader {
    /// What is being received.
    pub receiving: Option<(UpdateBegin, Vec<u8>)>,
    /// What was verified.
    pub verified: Vec<(UpdateBegin, Vec<u8>)>,
    /// It refuses everything with this.
    pub refuses: Option<UpdateRefusal>,
    /// So many answers are lost.
    pub loses: u32,
    /// From this byte on it takes and answers nothing.
    pub stops_at: Option<usize>,
    /// Images hang on trial.
    pub hangs: bool,
}

impl Loader {
    fn answer(&mut self, message: &ToBoard) -> Option<UpdateState> {
        if let Some(refusal) = self.refuses {
            return Some(UpdateState::Refused(refusal));
        }
        if let ToBoard::UpdateBegin(begin) = message {
            self.receiving = Some((*begin, Vec::new()));
        }
        let Some((begin, bytes)) = &mut self.receiving else {
            return Some(UpdateState::Refused(UpdateRefusal::NotBegun));
        };
        if self.stops_at.is_some_and(|at| bytes.len() >= at) {
            return None;
        }
        match message {
            ToBoard::UpdateData(piece) if piece.offset as usize == bytes.len() => bytes.extend(&piece.bytes),
            ToBoard::UpdateApply(apply) if bytes.len() == begin.image_bytes as usize => {
                assert_eq!(apply.crc32, begin.crc32);
                self.verified.extend(self.receiving.take());
                return Some(UpdateState::Verified);
            }
            _ => {}
        }
        let next = bytes.len() as u32;
        if self.loses > 0 {
            self.loses -= 1;
            return None;
        }
        Some(UpdateState::Receiving { next })
    }
}

/// The board.
#[derive(Clone)]
pub struct FakeBoard {
    inside: Arc<Mutex<Inside>>,
    /// How many messages came from the agent.
    changed: watch::Sender<usize>,
}

/// The board's plug in its socket; pulled out when dropped.
pub struct Plug {
    task: tokio::task::JoinHandle<()>,
    raw: pipe::Sender,
    board: FakeBoard,
    link: PathBuf,
}

impl Drop for Plug {
    fn drop(&mut self) {
        // First, as the system does: the terminal's name is another test's soon.
        let _ = std::fs::remove_file(&self.link);
        self.task.abort();
    }
}

fn encoded(message: &FromBoard) -> Vec<u8> {
    let mut bytes = [0; ENCODED_BYTES_MAX];
    let length = message.encode(&mut bytes).unwrap();
    bytes[..length].to_vec()
}

fn raw_terminal(fd: &OwnedFd) {
    let mut modes = rustix::termios::tcgetattr(fd).unwrap();
    modes.make_raw();
    rustix::termios::tcsetattr(fd, rustix::termios::OptionalActions::Now, &modes).unwrap();
}

impl FakeBoard {
    pub fn new(serial: u8) -> FakeBoard {
        let hello = Hello {
            protocol: PROTOCOL_VERSION,
            hardware: Hardware::Pico,
            firmware: [0, 1, 0],
            serial: [serial; 8],
            boot: 1,
            reset: ResetReason::PowerOn,
            uptime_ms: 0,
            greeted: false,
            events_dropped: 0,
            frames_refused: 0,
            journal: JournalState::Empty,
            settings: Settings::default(),
            image: ImageState::NoLoader,
        };
        let inside = Inside {
            hello,
            uptime_ms: 1_000,
            seq: 0,
            waiting: VecDeque::new(),
            heard: Vec::new(),
            totals: Default::default(),
            deaf: false,
            relay: Some(RelayOutcome::Done),
            loader: Loader::default(),
        };
        FakeBoard { inside: Arc::new(Mutex::new(inside)), changed: watch::Sender::new(0) }
    }

    pub fn inside<T>(&self, look: impl FnOnce(&mut Inside) -> T) -> T {
        look(&mut self.inside.lock().unwrap())
    }

    /// A power cut: totals stay, what waits is gone.
    pub fn restart(&self) {
        self.inside(Inside::restart);
    }

    /// Put the plug in: `link` leads to it then, as a name in `/dev/serial/by-id` would.
    pub fn plug(&self, link: &Path) -> Plug {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = PathBuf::from(ptsname(&master, Vec::new()).unwrap().into_string().unwrap());
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let slave = rustix::fs::open(&name, flags, Mode::empty()).unwrap();
        raw_terminal(&slave);
        let flags = rustix::fs::fcntl_getfl(&master).unwrap();
        rustix::fs::fcntl_setfl(&master, flags | OFlags::NONBLOCK).unwrap();
        let other = master.try_clone().unwrap();
        let mut reader = pipe::Receiver::from_owned_fd_unchecked(master).unwrap();
        let mut writer = pipe::Sender::from_owned_fd_unchecked(other.try_clone().unwrap()).unwrap();
        let raw = pipe::Sender::from_owned_fd_unchecked(other).unwrap();
        std::os::unix::fs::symlink(&name, link).unwrap();
        let board = self.clone();
        let task = tokio::spawn(async move {
            // Held open, so that the master does not hang up while no agent has the port; closed with the plug.
            let _slave = slave;
            let mut frames = FrameReader::default();
            let mut bytes = [0; 256];
            let mut resend = tokio::time::interval(std::time::Duration::from_millis(50));
            loop {
                let out = tokio::select! {
                    read = reader.read(&mut bytes) => match read {
                        Ok(length @ 1..) => board.take(&mut frames, &bytes[..length]),
                        _ => return,
                    },
                    _ = resend.tick() => board.pulse(),
                };
                if writer.write_all(&out).await.is_err() {
                    return;
                }
            }
        });
        Plug { task, raw, board: self.clone(), link: link.to_owned() }
    }

    /// Ten times as fast as a real one.
    fn pulse(&self) -> Vec<u8> {
        self.inside(|inside| {
            inside.uptime_ms += 500;
            inside.hello.uptime_ms = inside.uptime_ms;
            if !inside.hello.greeted {
                return encoded(&FromBoard::Hello(inside.hello.clone()));
            }
            let Some(first) = inside.waiting.front_mut() else { return Vec::new() };
            first.sent_ms = inside.uptime_ms;
            encoded(&FromBoard::Numbered(first.clone()))
        })
    }

    fn take(&self, frames: &mut FrameReader, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for byte in bytes {
            let Some(Ok((kind, body))) = frames.push(*byte) else { continue };
            let message = ToBoard::decode(kind, body).expect("the agent says what a board understands");
            let heard = self.inside(|inside| {
                match &message {
                    ToBoard::Greet(_) => {
                        inside.hello.greeted = true;
                        if inside.hello.image == ImageState::Trial {
                            inside.hello.image = ImageState::Confirmed;
                        }
                        inside.hello.uptime_ms = inside.uptime_ms;
                        out.extend(encoded(&FromBoard::Hello(inside.hello.clone())));
                    }
                    ToBoard::Ack(ack) if !inside.deaf => {
                        inside.waiting.retain(|waiting| (waiting.boot, waiting.seq) != (ack.boot, ack.seq));
                    }
                    ToBoard::Relay(order) => {
                        let ours = |waiting: &Numbered| matches!(waiting.body, NumberedBody::RelayResult { id, .. } if id == order.id);
                        if let (Some(outcome), false) = (inside.relay, inside.waiting.iter().any(ours)) {
                            inside.event(NumberedBody::RelayResult { id: order.id, outcome });
                        }
                    }
                    ToBoard::Configure(settings) => inside.hello.settings = *settings,
                    ToBoard::Ack(_) => {}
                    ToBoard::UpdateBegin(_) | ToBoard::UpdateData(_) | ToBoard::UpdateApply(_) => {
                        let answer = inside.hello.greeted.then(|| inside.update(&message)).flatten();
                        out.extend(answer.iter().flat_map(|answer| encoded(&FromBoard::Update(*answer))));
                    }
                }
                inside.heard.push(message);
                inside.heard.len()
            });
            self.changed.send_replace(heard);
        }
        out
    }

    /// Wait until what came from the agent is as wanted.
    pub async fn until(&self, what: &str, wanted: impl Fn(&Inside) -> bool) {
        let mut changed = self.changed.subscribe();
        let waited = tokio::time::timeout(super::DEADLINE, async {
            while !self.inside(|inside| wanted(inside)) {
                changed.changed().await.unwrap();
            }
        });
        assert!(waited.await.is_ok(), "{what}: {:?}", self.inside(|inside| inside.heard.clone()));
    }

    /// Everything it has was acknowledged.
    pub async fn until_acknowledged(&self) {
        self.until("an acknowledgement", |inside| inside.waiting.is_empty()).await;
    }

    pub fn press(&self, button: usize, short: u32, long: u32) {
        self.inside(|inside| {
            inside.totals[button].short += short;
            inside.totals[button].long += long;
            let totals = inside.totals;
            // Totals replace each other while they wait.
            inside.waiting.retain(|waiting| !matches!(waiting.body, NumberedBody::Totals(_)));
            inside.event(NumberedBody::Totals(totals));
        });
    }

    pub fn event(&self, body: NumberedBody) {
        self.inside(|inside| inside.event(body));
    }
}

impl Inside {
    fn restart(&mut self) {
        self.hello.boot += 1;
        self.hello.greeted = false;
        self.hello.journal = JournalState::Good;
        (self.seq, self.uptime_ms) = (0, 500);
        self.waiting.clear();
        self.loader.receiving = None;
    }

    fn update(&mut self, message: &ToBoard) -> Option<UpdateState> {
        if self.hello.image == ImageState::NoLoader {
            return Some(UpdateState::Refused(UpdateRefusal::NoLoader));
        }
        let answer = self.loader.answer(message);
        if answer == Some(UpdateState::Verified) {
            self.restart();
            (self.hello.reset, self.hello.image) = (ResetReason::Watchdog, ImageState::Reverted);
            if !self.loader.hangs {
                self.hello.image = ImageState::Trial;
                self.hello.firmware = self.loader.verified.last().unwrap().0.version;
            }
        }
        answer
    }

    fn event(&mut self, body: NumberedBody) {
        self.seq += 1;
        let message =
            Numbered { boot: self.hello.boot, seq: self.seq, at_ms: self.uptime_ms, sent_ms: self.uptime_ms, body };
        self.waiting.push_back(message);
    }

    pub fn acks(&self) -> usize {
        self.heard.iter().filter(|message| matches!(message, ToBoard::Ack(_))).count()
    }
}

impl Plug {
    /// Write bytes as they are.
    pub async fn raw(&mut self, bytes: &[u8]) {
        self.raw.write_all(bytes).await.unwrap();
    }

    /// Write a message.
    pub async fn say(&mut self, message: &FromBoard) {
        self.raw(&encoded(message)).await;
    }

    /// Write the first bytes of the message that waits, and pull the plug.
    pub async fn cut_at(mut self, byte: usize) -> usize {
        let first = self.board.inside(|inside| inside.waiting.front().cloned()).unwrap();
        let bytes = encoded(&FromBoard::Numbered(first));
        self.raw(&bytes[..byte.min(bytes.len())]).await;
        bytes.len()
    }
}
