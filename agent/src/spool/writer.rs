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
use super::queue::{Answer, Queued};
use super::{SpoolError, SpoolState, Stored};

type Reply<T> = oneshot::Sender<Result<T, SpoolError>>;

/// What the writer can be asked.
#[derive(Debug)]
pub(crate) enum Command {
    /// Appends that came together; one answer for each, in order.
    Append(Vec<Prepared>, oneshot::Sender<Vec<Answer>>),
    Read {
        epoch: Epoch,
        stream: Stream,
        range: SeqRange,
        bytes_max: usize,
        records_max: usize,
        reply: Reply<Vec<Stored>>,
    },
    ReadPart {
        epoch: Epoch,
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
        // The queue's places bound how much that can be.
        taken.extend(commands.try_iter());
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
        let mut answers = answers.into_iter();
        for (count, reply) in group.waiting.drain(..) {
            // Nobody waits when the runtime ends: the records are kept all the same.
            drop(reply.send(answers.by_ref().take(count).collect()));
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

/// What was taken at a time.
#[derive(Default)]
struct Group {
    records: Vec<Prepared>,
    /// How many of the records, and who waits for their answers.
    waiting: Vec<(usize, oneshot::Sender<Vec<Answer>>)>,
    settled: Vec<(Reply<()>, Result<(), SpoolError>)>,
    close: Option<Reply<()>>,
    changed: bool,
    places: Vec<OwnedSemaphorePermit>,
}

impl Group {
    fn take(&mut self, core: &mut Core, queued: Queued) {
        self.places.extend(queued.places);
        if core.unopened {
            return self.refuse(queued.command);
        }
        match queued.command {
            Command::Append(records, reply) => self.append(records, reply),
            Command::Read { epoch, stream, range, bytes_max, records_max, reply } => {
                let read = core.read(epoch, stream, range, bytes_max, records_max);
                drop(reply.send(read.map_err(SpoolError::from)));
            }
            Command::ReadPart { epoch, seq, offset, bytes_max, reply } => {
                let part = core.read_part(epoch, seq, offset, bytes_max);
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

    fn append(&mut self, records: Vec<Prepared>, reply: oneshot::Sender<Vec<Answer>>) {
        self.waiting.push((records.len(), reply));
        self.records.extend(records);
    }

    /// The spool waits for space to open: appends are answered by the commit, the rest here.
    fn refuse(&mut self, command: Command) {
        let why = || SpoolError::from(unopened());
        match command {
            Command::Append(records, reply) => self.append(records, reply),
            Command::Read { reply, .. } => drop(reply.send(Err(why()))),
            Command::ReadPart { reply, .. } => drop(reply.send(Err(why()))),
            Command::Acknowledge(_, reply) | Command::Hub(_, reply) => self.settled.push((reply, Err(why()))),
            Command::Close(reply) => self.close = Some(reply),
        }
    }
}
