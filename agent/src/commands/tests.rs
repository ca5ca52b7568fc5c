use std::sync::{Arc, Mutex};

use simpul_wire::ack::{Ack, HubState};
use simpul_wire::image::ImagePart;
use simpul_wire::{Epoch, SeqRange, Stream};

use super::*;
use crate::spool::{AppendError, Appended, SpoolError, SpoolState, Stored};

/// Keeps what is appended; a command desk needs no more of a spool.
#[derive(Debug, Clone, Default)]
struct Notebook(Arc<Mutex<Vec<EventBody>>>);

impl Buffer for Notebook {
    fn state(&self) -> watch::Receiver<SpoolState> {
        unreachable!("a command desk asks for no state")
    }

    async fn append(&self, record: NewRecord) -> Result<Appended, AppendError> {
        let NewRecord::Event(event) = record else { panic!("{record:?}") };
        self.0.lock().unwrap().push(event.body);
        Ok(Appended { range: SeqRange::one(1), duplicate: false })
    }

    async fn read(&self, _: Epoch, _: Stream, _: SeqRange, _: usize, _: usize) -> Result<Vec<Stored>, SpoolError> {
        unreachable!("a command desk reads nothing")
    }

    async fn read_part(&self, _: Epoch, _: u64, _: u32, _: usize) -> Result<Option<ImagePart>, SpoolError> {
        unreachable!("a command desk reads nothing")
    }

    async fn acknowledge(&self, _: Ack) -> Result<(), SpoolError> {
        unreachable!("a command desk acknowledges nothing")
    }

    async fn hub(&self, _: HubState) -> Result<(), SpoolError> {
        unreachable!("a command desk knows no hub")
    }
}

struct Desk {
    commands: mpsc::Sender<(Command, Moment)>,
    camera: mpsc::Receiver<CameraCommand>,
    board: mpsc::Receiver<BoardCommand>,
    notebook: Notebook,
    clock: Clock,
    task: tokio::task::JoinHandle<()>,
    _shutdown: watch::Sender<bool>,
}

fn desk(directory: &Path) -> Desk {
    let clock = Clock::held(0);
    let (to_camera, camera) = mpsc::channel(1);
    let (to_board, board) = mpsc::channel(1);
    let sources = Sources {
        cameras: HashMap::from([("gate".parse().unwrap(), to_camera)]),
        board: Some(to_board),
        examiner: None,
        updates: None,
    };
    let notebook = Notebook::default();
    let stamper = Stamper::new(1, clock.clone());
    let desk = CommandDesk::open(directory, notebook.clone(), stamper, clock.clone(), sources);
    let (commands, inbox) = mpsc::channel(16);
    let (shutdown, stop) = watch::channel(false);
    let task = tokio::spawn(desk.run(inbox, stop));
    Desk { commands, camera, board, notebook, clock, task, _shutdown: shutdown }
}

impl Desk {
    async fn send(&self, id: u8, camera: &str, ttl_ms: u32) {
        let action = Action::SnapshotNow { camera: camera.parse().unwrap() };
        let command = Command { id: [id; 16], ttl_ms, action };
        self.commands.send((command, self.clock.now())).await.unwrap();
    }

    async fn power_cycle(&self, id: u8, ttl_ms: u32, off_ms: u32) {
        let command = Command { id: [id; 16], ttl_ms, action: Action::PowerCycle { off_ms } };
        self.commands.send((command, self.clock.now())).await.unwrap();
    }

    /// Wait for so many results.
    async fn results(&self, count: usize) -> Vec<(u8, bool, String)> {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        loop {
            let results = self.notebook.0.lock().unwrap().clone();
            if results.len() >= count {
                let read = results.into_iter().map(|body| match body {
                    EventBody::CommandResult { id, done, detail } => (id[0], done, detail.to_string()),
                    other => panic!("{other:?}"),
                });
                return read.collect();
            }
            assert!(tokio::time::Instant::now() < deadline, "{results:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test]
async fn a_command_is_done_once_and_answered_by_an_event() {
    let directory = tempfile::tempdir().unwrap();
    let mut desk = desk(directory.path());
    desk.send(1, "gate", 60_000).await;
    let order = desk.camera.recv().await.unwrap();
    assert!(order.camera.as_str() == "gate" && matches!(order.action, CameraAction::SnapshotNow));
    // The same again while it runs, and after it is done.
    desk.send(1, "gate", 60_000).await;
    order.reply.send(Ok("stored as 7".to_string())).unwrap();
    assert_eq!(desk.results(1).await, [(1, true, "stored as 7".to_string())]);
    desk.send(1, "gate", 60_000).await;
    desk.send(2, "yard", 60_000).await;
    let results = desk.results(2).await;
    assert_eq!(results[1], (2, false, "no camera yard at this node".to_string()));
    assert!(desk.camera.try_recv().is_err(), "it was done once");
}

#[tokio::test]
async fn a_command_expires_from_its_receipt() {
    let directory = tempfile::tempdir().unwrap();
    let mut desk = desk(directory.path());
    desk.send(1, "gate", 50).await;
    let order = desk.camera.recv().await.unwrap();
    assert_eq!(desk.results(1).await, [(1, false, "expired before the camera was done".to_string())]);
    drop(order);
    desk.send(2, "gate", 0).await;
    assert_eq!(desk.results(2).await[1], (2, false, "expired before it could be begun".to_string()));
}

#[tokio::test]
async fn a_command_that_a_restart_interrupted_is_answered_and_not_begun_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut first = desk(directory.path());
    first.send(1, "gate", 60_000).await;
    first.camera.recv().await.unwrap();
    first.task.abort();
    let mut second = desk(directory.path());
    assert_eq!(second.results(1).await, [(1, false, "interrupted by a restart".to_string())]);
    second.send(1, "gate", 60_000).await;
    second.send(3, "yard", 60_000).await;
    second.results(2).await;
    assert!(second.camera.try_recv().is_err());
    second.task.abort();
    let third = desk(directory.path());
    third.send(4, "yard", 60_000).await;
    assert_eq!(third.results(1).await.len(), 1, "and answered once");
}

#[tokio::test]
async fn a_power_cycle_goes_to_the_board_which_keeps_its_result_itself() {
    let directory = tempfile::tempdir().unwrap();
    let mut first = desk(directory.path());
    first.power_cycle(1, 60_000, 5_000).await;
    let order = first.board.recv().await.unwrap();
    assert_eq!((order.id, order.off_ms), ([1; 16], 5_000));
    order.reply.send(BoardAnswer { kept: true, result: Ok("done".to_string()) }).unwrap();
    first.power_cycle(2, 60_000, 5_000).await;
    let order = first.board.recv().await.unwrap();
    order.reply.send(BoardAnswer { kept: false, result: Err("the board does not talk".to_string()) }).unwrap();
    assert_eq!(
        first.results(1).await,
        [(2, false, "the board does not talk".to_string())],
        "the first is not told twice"
    );
    first.power_cycle(3, 30, 20).await;
    let kept = first.board.recv().await.unwrap();
    assert_eq!(first.results(2).await[1], (3, false, "expired before the board answered".to_string()));
    drop(kept);
    first.task.abort();
    let second = desk(directory.path());
    second.send(4, "yard", 60_000).await;
    assert_eq!(second.results(1).await.len(), 1, "all were finished");
}

#[tokio::test]
async fn a_power_cycle_without_a_board_is_refused() {
    let ended = order_board(None, [1; 16], 5_000, Duration::from_secs(1)).await;
    assert_eq!((ended.kept, ended.result), (false, Err("no board at this node".to_string())));
}

#[tokio::test(start_paused = true)]
async fn an_order_that_is_off_for_longer_than_its_time_to_live_is_not_given_up_while_it_is_done() {
    let (board, mut orders) = mpsc::channel(1);
    let (ttl, off_ms) = (Duration::from_secs(30), 60_000);
    let ordered = tokio::spawn(order_board(Some(board), [1; 16], off_ms, ttl));
    let order = orders.recv().await.unwrap();
    tokio::time::sleep(Duration::from_secs(61)).await;
    order.reply.send(BoardAnswer { kept: true, result: Ok("done".to_string()) }).unwrap();
    assert_eq!(ordered.await.unwrap().result, Ok("done".to_string()));
}

#[tokio::test]
async fn an_order_to_look_for_updates_is_answered_with_what_was_found() {
    let look = |updates, left| look_for_updates(updates, Duration::from_millis(left));
    assert_eq!(look(None, 1_000).await, Err("nobody looks for updates here".to_string()));
    let (orders, mut receiver) = mpsc::channel::<Order>(1);
    assert_eq!(look(Some(orders.clone()), 0).await, Err("expired before it could be begun".to_string()));
    let (result, ()) = tokio::join!(look(Some(orders.clone()), 5_000), async {
        receiver.recv().await.unwrap().send(Ok("nothing new".to_string())).unwrap();
    });
    assert_eq!(result, Ok("nothing new".to_string()));
    assert_eq!(look(Some(orders.clone()), 5).await, Err("expired before the hub had answered".to_string()));
    let busy = look(Some(orders), 5).await;
    assert_eq!(busy, Err("it is being looked already, or something is on trial".to_string()));
}
