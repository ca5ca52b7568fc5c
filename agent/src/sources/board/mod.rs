//! The I/O board: buttons at the desks, fibre optics, supply, lid, relay, over a serial port.
//!
//! `session` is the core, `(now, event) -> actions`: it knows the order of things. This file turns its actions into
//! bytes, appends and answers, and holds no decision but the order of what waits: a gasp first, numbered messages behind
//! the events before them. `port` finds and opens the serial port, `line` serves it, `keeper` makes durable, `known` is what is remembered
//! over a restart, `image` is the firmware's file, `update` sends it, `conditions` decides which condition of the board is
//! told when, `translate` and `measure` turn the board's words into the wire's, `describe` into people's.
//!
//! A press counts exactly once: the board acknowledges nothing to people before its journal, repeats its totals until
//! the agent acknowledges, and the agent does so only after the spool's fsync ([`Sink::append`] returned).

use std::collections::VecDeque;
use std::future::{Future, pending};
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use simpul_clock::{Clock, Moment};
use simpul_wire::board::{ENCODED_BYTES_MAX, FrameReader, ToBoard};
use simpul_wire::reading::ReadingBlock;
use tokio::sync::{mpsc, oneshot, watch};

use self::image::{Looked, Seen, look};
use self::keeper::{KeepError, Keeper};
use self::line::Found;
use self::port::{Machine, Port};
use self::session::{Action, Event, Keep, ORDERS_MAX, Said, Session};
use self::status::BoardStatus;
use super::readings::Accumulator;
use super::{Sink, told};
use crate::config::{BoardConfig, BoardPort};
use crate::stamper::Stamper;

mod conditions;
pub mod describe;
pub mod image;
mod keeper;
mod known;
mod line;
mod measure;
pub mod monitor;
pub mod port;
mod session;
#[cfg(test)]
mod session_tests;
pub mod status;
mod translate;
#[cfg(test)]
mod update_tests;

/// Timers are looked at this often: half the shortest of them.
const TICK: Duration = Duration::from_millis(250);

/// An event that could not be kept is tried again after so long.
const SAY_AGAIN: Duration = Duration::from_secs(2);

/// Events that wait for the disk: more than an hour's worth of any fault, and 30 KiB.
const UNSAID_MAX: usize = 64;

/// The firmware's file is looked at this often: nobody waits for it, and a look is one call to the system.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Blocks of readings that wait for the disk.
const BLOCKS_MAX: usize = 4;

/// Bytes that wait for the port: a few frames. A port that takes nothing for [`WRITE_MAX`] is opened anew.
const OUT_BYTES_MAX: usize = 4 * ENCODED_BYTES_MAX;

/// As above.
const WRITE_MAX: Duration = Duration::from_secs(2);

/// Bytes that are read at a time.
const READ_BYTES: usize = 512;

/// An order for the board's relay.
#[derive(Debug)]
pub struct BoardCommand {
    /// The command's id: the same again is the same order.
    pub id: [u8; 16],
    /// Milliseconds off.
    pub off_ms: u32,
    /// What came of it.
    pub reply: oneshot::Sender<BoardAnswer>,
}

/// What came of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoardAnswer {
    /// The command's result is in the spool already: the board was acknowledged only after that.
    pub kept: bool,
    /// Text for people.
    pub result: Result<String, String>,
}

/// What the board's task works with.
pub struct Parts<S> {
    /// Its configuration.
    pub config: BoardConfig,
    /// Where ports are looked for.
    pub machine: Machine,
    /// Where records go.
    pub sink: S,
    /// Dates records.
    pub stamper: Stamper,
    /// Drives timers.
    pub clock: Clock,
    /// Orders for the relay.
    pub commands: mpsc::Receiver<BoardCommand>,
    /// What is shown on site.
    pub status: watch::Sender<BoardStatus>,
}

type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Serve the board until `shutdown` becomes true; then what is under way is finished and the open minute is appended.
///
/// # Errors
/// When what must be remembered over a restart cannot be; never for what the board or its port does.
pub async fn run<S: Sink>(parts: Parts<S>, mut shutdown: watch::Receiver<bool>) -> io::Result<()> {
    let Parts { config, machine, sink, stamper, clock, mut commands, status } = parts;
    let opened = Keeper::open(&config.state_directory, &config.desks, config.simulated, sink);
    let (keeper, known) = opened.map_err(|error| {
        let directory = config.state_directory.display();
        io::Error::new(error.kind(), format!("state of the board in {directory}: {error}; make it writable"))
    })?;
    if let Err(error) = keeper.settle_everything().await {
        tracing::warn!(%error, "a count of the last run could not be recorded yet");
    }
    let session = Session::new(config.settings, config.desks.clone(), known);
    let mut board = Task {
        session,
        keeper,
        stamper,
        clock,
        status,
        firmware: config.firmware,
        fetched: config.fetched,
        looking: None,
        look_at: Moment::ZERO,
        seen: None,
        search: (config.port, machine),
        finding: None,
        find_pause: Duration::ZERO,
        port: None,
        reader: FrameReader::default(),
        out: Vec::new(),
        stuck_since: None,
        wanted: None,
        keeping: None,
        tidying: None,
        unsaid: VecDeque::new(),
        saying: None,
        say_at: Moment::ZERO,
        blocks: VecDeque::new(),
        storing: None,
        readings: Accumulator::default(),
        replies: Vec::new(),
        events_lost: 0,
    };
    board.find();
    let mut tick = super::ticks(&board.stamper, TICK);
    let mut bytes = [0; READ_BYTES];
    loop {
        board.begin();
        tokio::select! {
            () = told(&mut shutdown) => break,
            read = read(board.port.as_ref(), &mut bytes) => board.read(read.map(|length| &bytes[..length])),
            written = write(board.port.as_ref(), &board.out) => board.written(written),
            found = ended(&mut board.finding) => board.found(found),
            kept = ended(&mut board.keeping) => board.kept(kept),
            tidied = ended(&mut board.tidying) => {
                if let Err(error) = tidied {
                    tracing::warn!(%error, "recorded counts could not be noted as done; a restart looks at them again");
                }
            }
            said = ended(&mut board.saying) => board.said(said),
            stored = ended(&mut board.storing) => board.stored(stored),
            Some(command) = commands.recv(), if board.replies.len() < ORDERS_MAX => board.order(command),
            looked = ended(&mut board.looking) => board.looked(looked),
            _ = tick.tick() => board.tick(),
        }
    }
    board.finish().await;
    Ok(())
}

struct Task<S> {
    session: Session,
    keeper: Keeper<S>,
    stamper: Stamper,
    clock: Clock,
    status: watch::Sender<BoardStatus>,
    /// The file that the board is updated with; else the one that came from the hub, while there is one.
    firmware: Option<PathBuf>,
    fetched: Option<PathBuf>,
    looking: Option<Work<Option<Looked>>>,
    look_at: Moment,
    seen: Seen,
    search: (BoardPort, Machine),
    finding: Option<Work<Found>>,
    find_pause: Duration,
    port: Option<Port>,
    reader: FrameReader,
    out: Vec<u8>,
    stuck_since: Option<Moment>,
    /// What the session wants kept, until the events before it are.
    wanted: Option<Keep>,
    keeping: Option<Work<Result<Vec<String>, KeepError>>>,
    tidying: Option<Work<Result<(), KeepError>>>,
    unsaid: VecDeque<Said>,
    saying: Option<Work<Result<(), KeepError>>>,
    /// Not before this.
    say_at: Moment,
    blocks: VecDeque<ReadingBlock>,
    storing: Option<Work<Result<(), KeepError>>>,
    readings: Accumulator,
    replies: Vec<([u8; 16], oneshot::Sender<BoardAnswer>)>,
    events_lost: u64,
}

impl<S: Sink> Task<S> {
    /// Begin what waits and may begin.
    fn begin(&mut self) {
        if self.saying.is_none()
            && self.clock.now() >= self.say_at
            && let Some(said) = self.unsaid.front().cloned()
        {
            let keeper = self.keeper.clone();
            self.saying = Some(Box::pin(async move { keeper.events(vec![said.record], said.note).await }));
        }
        if self.keeping.is_none()
            && self.unsaid.is_empty()
            && let Some(wanted) = self.wanted.take()
        {
            let keeper = self.keeper.clone();
            self.keeping = Some(Box::pin(async move {
                match wanted {
                    Keep::Events(records, note) => keeper.events(records, note).await.map(|()| Vec::new()),
                    Keep::Totals(report) => keeper.totals(&report).await,
                }
            }));
        }
        if self.storing.is_none()
            && let Some(block) = self.blocks.pop_front()
        {
            let keeper = self.keeper.clone();
            self.storing = Some(Box::pin(async move { keeper.readings(block).await }));
        }
        if self.looking.is_none() && self.clock.now() >= self.look_at {
            self.look_at = self.clock.now() + LOOK_EVERY;
            let fetched = || self.fetched.clone().filter(|path| path.exists());
            let seen = self.seen;
            self.looking = self.firmware.clone().or_else(fetched).map(|path| -> Work<_> {
                Box::pin(
                    async move { tokio::task::spawn_blocking(move || look(&path, seen)).await.unwrap_or_default() },
                )
            });
        }
    }

    fn looked(&mut self, looked: Option<Looked>) {
        if let Some((seen, image)) = looked {
            self.seen = seen;
            self.handle(Event::Image(image));
        }
    }

    fn handle(&mut self, event: Event<'_>) {
        let now = self.stamper.now();
        for action in self.session.handle(now, event) {
            match action {
                Action::Send(message) => self.send(&message),
                Action::Keep(keep) => self.wanted = Some(keep),
                Action::Say(said) => self.say(said),
                Action::Samples(samples) => {
                    let closed = self.readings.add(now, samples);
                    closed.into_iter().for_each(|block| self.store(block));
                }
                Action::Answer { id, kept, result } => {
                    if let Some(place) = self.replies.iter().position(|(other, _)| *other == id) {
                        // Nobody waits any more: the event tells it.
                        let _ = self.replies.swap_remove(place).1.send(BoardAnswer { kept, result });
                    }
                }
                Action::Reopen => self.close(),
            }
        }
    }

    fn send(&mut self, message: &ToBoard) {
        let mut frame = [0; ENCODED_BYTES_MAX];
        match message.encode(&mut frame) {
            Ok(length) if self.port.is_some() && self.out.len() + length <= OUT_BYTES_MAX => {
                self.stuck_since.get_or_insert_with(|| self.clock.now());
                self.out.extend_from_slice(&frame[..length]);
            }
            // Nothing is lost by what is not sent: the board repeats what is not acknowledged.
            Ok(_) => {}
            Err(error) => tracing::error!(%error, kind = message.kind(), "a message to the board cannot be written"),
        }
    }

    fn say(&mut self, said: Said) {
        if self.unsaid.len() >= UNSAID_MAX {
            // The first may be under way.
            self.unsaid.remove(1);
            self.events_lost += 1;
            tracing::error!(lost = self.events_lost, "an event of the board was lost: the spool takes none");
        }
        // Behind the one that is under way.
        let front = usize::from(self.saying.is_some());
        match said.urgent {
            true => self.unsaid.insert(front.min(self.unsaid.len()), said),
            false => self.unsaid.push_back(said),
        }
    }

    fn said(&mut self, said: Result<(), KeepError>) {
        match said {
            Ok(()) => drop(self.unsaid.pop_front()),
            Err(error) => {
                tracing::warn!(%error, "an event of the board could not be kept; trying again");
                self.say_at = self.clock.now() + SAY_AGAIN;
            }
        }
    }

    fn store(&mut self, block: ReadingBlock) {
        if self.blocks.len() >= BLOCKS_MAX
            && let Some(lost) = self.blocks.pop_front()
        {
            tracing::error!(count = lost.count(), "a minute of the board's readings was lost: the disk is too slow");
        }
        self.blocks.push_back(block);
    }

    fn stored(&mut self, stored: Result<(), KeepError>) {
        if let Err(error) = stored {
            tracing::error!(%error, "a minute of the board's readings was lost");
        }
    }

    fn kept(&mut self, kept: Result<Vec<String>, KeepError>) {
        match kept {
            Ok(impossible) => {
                self.handle(Event::Kept { impossible });
                let keeper = self.keeper.clone();
                self.tidying.get_or_insert_with(|| Box::pin(async move { keeper.tidy().await }));
            }
            Err(error) => self.handle(Event::NotKept { why: error.to_string() }),
        }
    }

    fn order(&mut self, command: BoardCommand) {
        let BoardCommand { id, off_ms, reply } = command;
        self.replies.push((id, reply));
        self.handle(Event::Order { id, off_ms });
    }

    fn tick(&mut self) {
        let gone: Vec<[u8; 16]> =
            self.replies.iter().filter(|(_, reply)| reply.is_closed()).map(|(id, _)| *id).collect();
        for id in gone {
            self.replies.retain(|(other, _)| *other != id);
            self.handle(Event::OrderGone { id });
        }
        if self.stuck_since.is_some_and(|since| self.clock.now().since(since) >= WRITE_MAX) {
            self.lose("the port takes no bytes".to_owned());
        }
        self.handle(Event::Tick);
        let uptime_ms = self.stamper.now().uptime_ms;
        if let Some(block) = self.readings.due(uptime_ms) {
            self.store(block);
        }
        let shown = BoardStatus { events_lost: self.events_lost, ..self.session.status(uptime_ms) };
        self.status.send_replace(shown);
    }

    /// Finish what is under way; whatever is not is the board's to send again.
    async fn finish(mut self) {
        // Together: one may hold what another waits for. What is kept here is not acknowledged; the next run knows it.
        let (_, _, said, stored) = tokio::join!(
            rest(self.keeping.take()),
            rest(self.tidying.take()),
            rest(self.saying.take()),
            rest(self.storing.take()),
        );
        if let Some(Ok(())) = said {
            self.unsaid.pop_front();
        }
        if let Some(stored) = stored {
            self.stored(stored);
        }
        while let Some(said) = self.unsaid.pop_front() {
            if let Err(error) = self.keeper.events(vec![said.record], said.note).await {
                tracing::warn!(%error, "an event of the board could not be kept");
                break;
            }
        }
        self.blocks.extend(self.readings.close());
        while let Some(block) = self.blocks.pop_front() {
            let stored = self.keeper.readings(block).await;
            self.stored(stored);
        }
    }
}

async fn read(port: Option<&Port>, bytes: &mut [u8]) -> io::Result<usize> {
    match port {
        Some(port) => port.read(bytes).await,
        None => pending().await,
    }
}

async fn write(port: Option<&Port>, bytes: &[u8]) -> io::Result<usize> {
    match port {
        Some(port) if !bytes.is_empty() => port.write(bytes).await,
        _ => pending().await,
    }
}

/// The end of a work, which is then gone; never without one.
async fn ended<T>(work: &mut Option<Work<T>>) -> T {
    match work {
        Some(running) => {
            let value = running.as_mut().await;
            *work = None;
            value
        }
        None => pending().await,
    }
}

/// The end of a work, if there is one.
async fn rest<T>(work: Option<Work<T>>) -> Option<T> {
    match work {
        Some(running) => Some(running.await),
        None => None,
    }
}
