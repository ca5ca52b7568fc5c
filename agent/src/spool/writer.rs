//! The writer thread: takes what has queued up, serves reads and acknowledgements at once, commits all appends together,
//! publishes the state, then answers. There is no timer in a commit: whatever came during one fsync shares the next.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use simpul_wire::ack::{Ack, HubState};
use simpul_wire::image::ImagePart;
use simpul_wire::{Epoch, SeqRange, Stream};
use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};

use super::core::{Core, unopened};
use super::disk::StoreError;
use super::prepare::Prepared;
use super::{AppendError, Appended, SpoolError, SpoolState, Stored};

/// Most commands taken at a time: bounds a commit's length; a full queue is taken in two.
const TAKEN_AT_ONCE_MAX: usize = 256;

/// Looks at the queue before a commit, each after giving way to others: microseconds beside an fsync.
const YIELDS_MAX: u32 = 8;

/// A command, with its place in the bounded queue.
pub(crate) struct Queued {
    pub command: Command,
    /// Given back when the command is done.
    pub place: OwnedSemaphorePermit,
}

type Reply<T> = oneshot::Sender<Result<T, SpoolError>>;

/// What the writer can be asked.
pub(crate) enum Command {
    Append(Box<Prepared>, oneshot::Sender<Result<Appended, AppendError>>),
    Read {
        epoch: Option<Epoch>,
        stream: Stream,
        range: SeqRange,
        bytes_max: usize,
        records_max: usize,
        reply: Reply<Vec<Stored>>,
    },
    ReadPart {
        epoch: Option<Epoch>,
        seq: u64,
        offset: u32,
        bytes_max: usize,
        reply: Reply<Option<ImagePart>>,
    },
    Acknowledge(Box<Ack>, Reply<()>),
    Hub(Box<HubState>, Reply<()>),
    Close(Reply<()>),
}

impl From<StoreError> for SpoolError {
    fn from(error: StoreError) -> Self {
        SpoolError::Storage(error.to_string())
    }
}

/// Run until closed, or until every handle is gone.
pub(crate) fn run(mut core: Core, commands: &Receiver<Queued>, state: &watch::Sender<SpoolState>) {
    let mut wait = Duration::ZERO;
    loop {
        let mut taken = match commands.recv_timeout(wait) {
            Ok(first) => vec![first],
            Err(RecvTimeoutError::Timeout) => Vec::new(),
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let idle = taken.is_empty();
        if !idle {
            gather(commands, &mut taken);
        }
        let mut group = Group::default();
        for queued in taken {
            group.take(&mut core, queued);
        }
        let answers = if group.records.is_empty() { Vec::new() } else { core.commit(&group.records) };
        let (next, tended) = core.tick();
        wait = next;
        let closed = group.close.take().map(|reply| (reply, core.close_in_order().map_err(SpoolError::from)));
        if group.changed || !group.records.is_empty() || tended || idle {
            state.send_replace(core.state());
        }
        // A receiver that is gone asked and went away: the record is kept all the same.
        for (reply, answer) in group.waiting.drain(..).zip(answers) {
            drop(reply.send(answer));
        }
        for (reply, answer) in group.settled.drain(..) {
            drop(reply.send(answer));
        }
        if let Some((reply, outcome)) = closed {
            drop(core);
            drop(reply.send(outcome));
            return;
        }
    }
}

/// Take what has queued; those that were just answered get a chance to be in it, for every fsync saved counts on a card.
fn gather(commands: &Receiver<Queued>, taken: &mut Vec<Queued>) {
    for look in 0..YIELDS_MAX {
        let before = taken.len();
        taken.extend(commands.try_iter().take(TAKEN_AT_ONCE_MAX - before));
        if look > 0 && taken.len() == before {
            break;
        }
        std::thread::yield_now();
    }
}

/// What was taken at a time.
#[derive(Default)]
struct Group {
    records: Vec<Prepared>,
    waiting: Vec<oneshot::Sender<Result<Appended, AppendError>>>,
    settled: Vec<(Reply<()>, Result<(), SpoolError>)>,
    close: Option<Reply<()>>,
    changed: bool,
    places: Vec<OwnedSemaphorePermit>,
}

impl Group {
    fn take(&mut self, core: &mut Core, queued: Queued) {
        let own = core.eras[core.era()].epoch;
        self.places.push(queued.place);
        if core.unopened {
            return self.refuse(queued.command);
        }
        match queued.command {
            Command::Append(record, reply) => {
                self.records.push(*record);
                self.waiting.push(reply);
            }
            Command::Read { epoch, stream, range, bytes_max, records_max, reply } => {
                let read = core.read(epoch.unwrap_or(own), stream, range, bytes_max, records_max);
                drop(reply.send(read.map_err(SpoolError::from)));
            }
            Command::ReadPart { epoch, seq, offset, bytes_max, reply } => {
                let part = core.read_part(epoch.unwrap_or(own), seq, offset, bytes_max);
                drop(reply.send(part.map_err(SpoolError::from)));
            }
            Command::Acknowledge(ack, reply) => {
                self.changed = true;
                self.settled.push((reply, core.acknowledge(&ack).map_err(SpoolError::from)));
            }
            Command::Hub(hub, reply) => {
                self.changed = true;
                self.settled.push((reply, core.hub(&hub).map_err(SpoolError::from)));
            }
            Command::Close(reply) => self.close = Some(reply),
        }
    }

    /// The spool waits for space to open: appends are answered by the commit, the rest here.
    fn refuse(&mut self, command: Command) {
        let why = || SpoolError::from(unopened());
        match command {
            Command::Append(record, reply) => {
                self.records.push(*record);
                self.waiting.push(reply);
            }
            Command::Read { reply, .. } => drop(reply.send(Err(why()))),
            Command::ReadPart { reply, .. } => drop(reply.send(Err(why()))),
            Command::Acknowledge(_, reply) | Command::Hub(_, reply) => self.settled.push((reply, Err(why()))),
            Command::Close(reply) => self.close = Some(reply),
        }
    }
}
