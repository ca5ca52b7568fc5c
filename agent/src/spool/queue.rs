//! The bounded way to the writer thread and back.
//!
//! Appends that are ready together go together: the first of them starts a task that lets every other task that is ready
//! have its turn, then hands all of them over, and brings the answers back. So callers that were answered by one commit
//! share the next, without a timer, and the writer wakes the runtime once for all of them. It is a task of its own
//! because a caller may stop polling its append for a while, and no other may wait for that.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::prepare::Prepared;
use super::writer::Command;
use super::{AppendError, Appended};

/// Places in the queue: a commit takes all of them, so more would only wait longer.
const QUEUE_MAX: u32 = 256;

/// Places that one image takes: four wait at most, so that the queue never holds more than 32 MiB of them.
const IMAGE_PLACES: u32 = QUEUE_MAX / 4;

/// An append's answer.
pub(crate) type Answer = Result<Appended, AppendError>;

/// A command, with its places in the bounded queue.
#[derive(Debug)]
pub(crate) struct Queued {
    pub command: Command,
    /// Given back when the command is done.
    pub places: Vec<OwnedSemaphorePermit>,
}

/// The writer thread, from outside.
#[derive(Debug)]
pub(super) struct Queue {
    door: Arc<Mutex<Door>>,
    places: Arc<Semaphore>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Door {
    /// `None` when the queue goes.
    commands: Option<mpsc::SyncSender<Queued>>,
    /// Appends that wait to be handed over together.
    gathering: Vec<Gathered>,
}

#[derive(Debug)]
struct Gathered {
    record: Prepared,
    place: OwnedSemaphorePermit,
    reply: oneshot::Sender<Answer>,
}

impl Queue {
    /// Start the writer thread.
    pub fn start(run: impl FnOnce(mpsc::Receiver<Queued>) + Send + 'static) -> std::io::Result<Queue> {
        // A command holds a place until it is done, so this never fills and a send never waits.
        let (commands, queue) = mpsc::sync_channel(QUEUE_MAX as usize);
        let thread = std::thread::Builder::new().name("spool".to_string()).spawn(move || run(queue))?;
        let door = Door { commands: Some(commands), gathering: Vec::new() };
        let places = Arc::new(Semaphore::new(QUEUE_MAX as usize));
        Ok(Queue { door: Arc::new(Mutex::new(door)), places, thread: Some(thread) })
    }

    /// Hand a command over. `None`: the spool is closed.
    pub async fn send(&self, command: Command) -> Option<()> {
        let place = Arc::clone(&self.places).acquire_owned().await.ok()?;
        open(&self.door).commands.as_ref()?.send(Queued { command, places: vec![place] }).ok()
    }

    /// Hand a record over, together with those that are ready too, and wait for its commit. `None`: the spool is closed.
    pub async fn append(&self, record: Prepared) -> Option<Answer> {
        let places = if record.image.is_some() { IMAGE_PLACES } else { 1 };
        let place = Arc::clone(&self.places).acquire_many_owned(places).await.ok()?;
        let (reply, answer) = oneshot::channel();
        let first = {
            let mut door = open(&self.door);
            door.gathering.push(Gathered { record, place, reply });
            door.gathering.len() == 1
        };
        if first {
            tokio::spawn(carry(Arc::clone(&self.door)));
        }
        answer.await.ok()
    }
}

fn open(door: &Mutex<Door>) -> MutexGuard<'_, Door> {
    door.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bring what gathers to the writer, and its answers to those who wait.
async fn carry(door: Arc<Mutex<Door>>) {
    tokio::task::yield_now().await;
    let (answers, replies) = {
        let mut door = open(&door);
        let gathered = std::mem::take(&mut door.gathering);
        let (mut records, mut places, mut replies) = (Vec::new(), Vec::new(), Vec::new());
        for Gathered { record, place, reply } in gathered {
            records.push(record);
            places.push(place);
            replies.push(reply);
        }
        let (reply, answers) = oneshot::channel();
        // A queue or a writer that is gone drops the replies, and each caller hears that the spool is closed.
        let Some(commands) = &door.commands else { return };
        let Ok(()) = commands.send(Queued { command: Command::Append(records, reply), places }) else { return };
        (answers, replies)
    };
    for (reply, answer) in replies.into_iter().zip(answers.await.unwrap_or_default()) {
        // Whoever asked may be gone: the record is kept all the same.
        drop(reply.send(answer));
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // The thread ends when the sender is gone; waiting for it is what makes the folder free again.
        open(&self.door).commands = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the spool's writer thread panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;
    use simpul_wire::event::{EventBody, EventRecord};
    use simpul_wire::{Label, SeqRange, Stamp};

    use super::*;

    fn record() -> Prepared {
        let stamp = Stamp { boot: 1, uptime_ms: 1, wall_ms: None };
        let body = EventBody::Started { version: Label::clipped("0.1"), clean: true, new_boot: true };
        Prepared::event(&EventRecord { stamp, body })
    }

    /// A queue whose writer answers a group when `go` is told, and says how large each was.
    fn queue() -> (Queue, mpsc::SyncSender<()>, mpsc::Receiver<usize>) {
        let (go, wait) = mpsc::sync_channel(1);
        let (sizes, seen) = mpsc::sync_channel(1);
        let queue = Queue::start(move |commands| {
            for group in commands {
                if wait.recv().is_err() {
                    return;
                }
                let Command::Append(records, reply) = group.command else { unreachable!("only appends were sent") };
                sizes.send(records.len()).unwrap();
                let answer = |_| Ok(Appended { range: SeqRange::one(7), duplicate: false });
                reply.send(records.iter().map(answer).collect()).unwrap();
            }
        });
        (queue.unwrap(), go, seen)
    }

    #[tokio::test]
    async fn appends_that_are_ready_together_are_one_group() {
        let (queue, go, sizes) = queue();
        let queue = Arc::new(queue);
        go.send(()).unwrap();
        let tasks: Vec<_> = (0..100)
            .map(|_| {
                let queue = Arc::clone(&queue);
                tokio::spawn(async move { queue.append(record()).await })
            })
            .collect();
        for task in tasks {
            assert!(task.await.unwrap().unwrap().is_ok());
        }
        assert_eq!(sizes.try_iter().collect::<Vec<_>>(), [100]);
    }

    #[tokio::test]
    async fn no_append_waits_for_another_to_be_polled() {
        for awaited in 0..3 {
            let (queue, go, sizes) = queue();
            go.send(()).unwrap();
            let mut appends: Vec<_> = (0..3).map(|_| Box::pin(queue.append(record()))).collect();
            for append in &mut appends {
                assert!(poll!(append).is_pending());
            }
            assert!(appends.swap_remove(awaited).await.unwrap().is_ok());
            assert_eq!(sizes.recv().unwrap(), 3);
        }
    }

    #[tokio::test]
    async fn any_append_may_be_given_up() {
        for gone in 0..3 {
            let (queue, go, sizes) = queue();
            let mut appends: Vec<_> = (0..3).map(|_| Box::pin(queue.append(record()))).collect();
            for append in &mut appends {
                assert!(poll!(append).is_pending());
            }
            drop(appends.remove(gone));
            go.send(()).unwrap();
            for append in appends {
                assert!(append.await.unwrap().is_ok());
            }
            assert_eq!(sizes.recv().unwrap(), 3);
        }
    }

    #[tokio::test]
    async fn a_writer_that_is_gone_is_a_closed_spool() {
        let (queue, go, _sizes) = queue();
        drop(go);
        assert!(queue.append(record()).await.is_none());
    }
}
