//! The board's source on a real spool and a real terminal: what is counted is counted once, whatever is cut, pulled or
//! exchanged; what is wrong is told.
#![allow(clippy::unwrap_used, reason = "tests")]

mod fake;
#[path = "board_link/update.rs"]
mod update;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use fake::board::FakeBoard;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use simpul_agent::config::{BoardConfig, BoardPort, DeskConfig, LongPress, SpoolConfig};
use simpul_agent::sources::Sink;
use simpul_agent::sources::board::port::Machine;
use simpul_agent::sources::board::status::BoardStatus;
use simpul_agent::sources::board::{BoardCommand, Parts, monitor, run};
use simpul_agent::spool::{AppendError, Appended, NewRecord, Spool, SpoolState};
use simpul_agent::stamper::Stamper;
use simpul_clock::Clock;
use simpul_wire::board::*;
use simpul_wire::event::{BoardCondition, EventBody, EventRecord, PowerCondition};
use simpul_wire::reading::{ReadingBlock, Value};
use simpul_wire::service::{Origin, ServiceBody, ServiceRecord, VisitOutcome};
use simpul_wire::{Missing, SeqRange, Stream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

const PASS: u8 = 0;
const STALL: u8 = 1;
const REFUSE: u8 = 2;

/// The spool, or one that does not answer after it kept a count, or one that is full.
#[derive(Clone)]
struct Gate {
    spool: Spool,
    mode: Arc<AtomicU8>,
    kept: watch::Sender<usize>,
}

impl Sink for Gate {
    async fn append(&self, record: NewRecord) -> Result<Appended, AppendError> {
        let counts = matches!(record, NewRecord::Service(_));
        let mode = self.mode.load(Ordering::SeqCst);
        if counts && mode == REFUSE {
            self.kept.send_modify(|tries| *tries += 1);
            return Err(AppendError::AtLimit { stream: Stream::Service, used_bytes: 1, limit_bytes: 1 });
        }
        let appended = self.spool.append(record).await;
        if counts {
            self.kept.send_modify(|kept| *kept += 1);
            if mode == STALL {
                std::future::pending::<()>().await;
            }
        }
        appended
    }

    fn state(&self) -> watch::Receiver<SpoolState> {
        self.spool.state()
    }
}

/// A node's folder; runs of the agent's board come and go on it.
struct Node {
    folder: tempfile::TempDir,
    clock: Clock,
}

/// A run.
struct Run {
    spool: Spool,
    gate: Gate,
    stop: watch::Sender<bool>,
    orders: mpsc::Sender<BoardCommand>,
    status: watch::Receiver<BoardStatus>,
    task: JoinHandle<()>,
}

impl Node {
    fn new() -> Node {
        Node { folder: tempfile::tempdir().unwrap(), clock: Clock::machine() }
    }

    fn port(&self) -> PathBuf {
        self.folder.path().join("board")
    }

    fn config(&self) -> BoardConfig {
        let desk = |button, service: &str, long_press| DeskConfig {
            button,
            service: service.parse().unwrap(),
            desk: Some("1".parse().unwrap()),
            long_press,
        };
        let firmware = self.folder.path().join("pico.img");
        BoardConfig {
            firmware: firmware.exists().then_some(firmware),
            fetched: Some(self.folder.path().join("board.img")),
            port: BoardPort::Path(self.port()),
            desks: vec![desk(0, "ktp", LongPress::NoShow), desk(1, "kk", LongPress::Undo)],
            settings: Settings { long_press_ms: 1_500, desks: 0b11, cages: 0b1, battery_low_mv: 0, relay: true },
            simulated: false,
            state_directory: self.folder.path().join("state"),
        }
    }

    /// The spool, as soon as the run before has let go of it.
    async fn spool(&self) -> Spool {
        let config = SpoolConfig {
            directory: self.folder.path().join("spool"),
            service_bytes_max: 16 << 20,
            event_bytes_max: 16 << 20,
            reading_bytes_max: 16 << 20,
            snapshot_bytes_max: 16 << 20,
            kept_bytes_max: 1 << 20,
            kept_for: Duration::from_secs(3_600),
            ballast_bytes: 64 * 1024,
            hardware_serial: Some("board-1".into()),
        };
        let deadline = tokio::time::Instant::now() + fake::DEADLINE;
        loop {
            let (config, clock) = (config.clone(), self.clock.clone());
            match tokio::task::spawn_blocking(move || Spool::open(&config, clock)).await.unwrap() {
                Ok((spool, _)) => return spool,
                Err(error) => assert!(tokio::time::Instant::now() < deadline, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn start(&self) -> Run {
        let spool = self.spool().await;
        let (gate, parts, stop, orders, status) = self.parts(&spool);
        let task = tokio::spawn(async move { run(parts.0, parts.1).await.unwrap() });
        Run { spool, gate, stop, orders, status, task }
    }

    #[expect(clippy::type_complexity, reason = "taken apart where it is called")]
    fn parts(
        &self,
        spool: &Spool,
    ) -> (
        Gate,
        (Parts<Gate>, watch::Receiver<bool>),
        watch::Sender<bool>,
        mpsc::Sender<BoardCommand>,
        watch::Receiver<BoardStatus>,
    ) {
        let (stop, shutdown) = watch::channel(false);
        let (orders, commands) = mpsc::channel(2);
        let (status, shown) = watch::channel(BoardStatus::default());
        let gate = Gate { spool: spool.clone(), mode: Arc::default(), kept: watch::Sender::new(0) };
        let parts = Parts {
            config: self.config(),
            machine: Machine { sys: self.folder.path().join("sys"), dev: self.folder.path().join("dev") },
            sink: gate.clone(),
            stamper: Stamper::new(1, self.clock.clone()),
            clock: self.clock.clone(),
            commands,
            status,
        };
        (gate, (parts, shutdown), stop, orders, shown)
    }
}

async fn records<T>(spool: &Spool, stream: Stream, decode: impl Fn(&[u8]) -> T) -> Vec<T> {
    let state = spool.state().borrow().clone();
    let (epoch, next) = (state.epoch, state.stream(stream).next_seq);
    let (mut records, mut from) = (Vec::new(), 0);
    while from < next {
        let stored = spool.read(epoch, stream, SeqRange::new(from, next).unwrap(), 1 << 20, 1_000).await.unwrap();
        let Some(last) = stored.last() else { break };
        from = last.range.last() + 1;
        records.extend(stored.iter().map(|stored| decode(&stored.bytes)));
    }
    records
}

impl Run {
    async fn events(&self) -> Vec<EventRecord> {
        records(&self.spool, Stream::Event, |bytes| minicbor::decode(bytes).unwrap()).await
    }

    async fn services(&self) -> Vec<ServiceRecord> {
        records(&self.spool, Stream::Service, |bytes| minicbor::decode(bytes).unwrap()).await
    }

    /// Wait until an event is there.
    async fn until_event(&self, what: &str, wanted: impl Fn(&EventBody) -> bool) {
        let mut state = self.spool.state();
        let waited = tokio::time::timeout(fake::DEADLINE, async {
            while !self.events().await.iter().any(|event| wanted(&event.body)) {
                state.changed().await.unwrap();
            }
        });
        assert!(waited.await.is_ok(), "{what}: {:?}", self.events().await);
    }

    async fn until_condition(&self, wanted: BoardCondition) {
        let is = |body: &EventBody| matches!(body, EventBody::Board { condition, .. } if *condition == wanted);
        self.until_event(wanted.text(), is).await;
    }

    async fn until_status(&mut self, what: &str, wanted: impl Fn(&BoardStatus) -> bool) -> BoardStatus {
        let waited = tokio::time::timeout(fake::DEADLINE, self.status.wait_for(wanted)).await;
        let shown = waited.map(|status| status.unwrap().clone());
        shown.unwrap_or_else(|_| panic!("{what}"))
    }

    /// Sum and last total of a service's counts, and visits that were no-shows.
    async fn counted(&self, service: &str) -> (i64, Option<u64>, usize) {
        let mut counted = (0, None, 0);
        let services = self.services().await;
        let keys: BTreeSet<_> = services.iter().map(|record| record.key.clone()).collect();
        assert_eq!(keys.len(), services.len(), "{services:?}");
        for record in services.iter().filter(|record| record.body.service().as_str() == service) {
            assert_eq!(record.origin, Origin::Board);
            match &record.body {
                ServiceBody::Count { delta, total, .. } => {
                    counted = (counted.0 + delta, total.or(counted.1), counted.2)
                }
                ServiceBody::Visit { outcome, .. } => {
                    assert_eq!(*outcome, VisitOutcome::NoShow);
                    counted.2 += 1;
                }
            }
        }
        counted
    }

    async fn stop(self) -> Spool {
        self.stop.send_replace(true);
        tokio::time::timeout(fake::DEADLINE, self.task).await.unwrap().unwrap();
        self.spool
    }

    /// Stop in the middle of whatever it does.
    async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
        drop(self.gate);
        self.spool.close().await.unwrap();
    }
}

#[tokio::test]
async fn presses_become_counts_visits_and_undos_and_the_board_gets_its_settings() {
    let node = Node::new();
    let board = FakeBoard::new(1);
    let _plug = board.plug(&node.port());
    let mut run = node.start().await;
    board.until("settings", |inside| inside.hello.settings.desks == 0b11).await;
    board.press(0, 3, 2);
    board.until_acknowledged().await;
    board.press(1, 5, 1);
    board.press(2, 9, 9);
    board.until_acknowledged().await;
    // A new board counts from zero: its first total is no baseline.
    assert_eq!(run.counted("ktp").await, (3, Some(3), 2));
    assert_eq!(run.counted("kk").await, (4, Some(5), 0), "five and one undone");
    let status = run.until_status("totals", |status| status.desks.iter().any(|desk| desk.short == 5)).await;
    assert_eq!(status.board.unwrap().serial, "0101010101010101");
    run.stop().await;
}

#[tokio::test]
async fn a_message_that_comes_again_is_acknowledged_again_and_counted_once() {
    let node = Node::new();
    let board = FakeBoard::new(1);
    let _plug = board.plug(&node.port());
    let run = node.start().await;
    board.inside(|inside| inside.deaf = true);
    board.press(0, 1, 1);
    board.until("five acknowledgements", |inside| inside.acks() >= 5).await;
    board.inside(|inside| inside.waiting.clear());
    board.event(NumberedBody::Tamper { open: true });
    board.until("five more", |inside| inside.acks() >= 10).await;
    assert_eq!(run.counted("ktp").await, (1, Some(1), 1));
    let tampers = run.events().await.into_iter().filter(|event| event.body == EventBody::Tamper { open: true });
    assert_eq!(tampers.count(), 1);
    run.stop().await;
}

#[tokio::test]
async fn an_agent_that_dies_between_the_append_and_the_acknowledgement_counts_once() {
    let node = Node::new();
    let board = FakeBoard::new(1);
    let _plug = board.plug(&node.port());
    let run = node.start().await;
    board.press(0, 1, 0);
    board.until_acknowledged().await;
    run.gate.mode.store(STALL, Ordering::SeqCst);
    let mut kept = run.gate.kept.subscribe();
    let before = *kept.borrow_and_update();
    board.press(0, 4, 3);
    tokio::time::timeout(fake::DEADLINE, kept.wait_for(|kept| *kept > before)).await.unwrap().unwrap();
    assert_eq!(board.inside(|inside| inside.waiting.len()), 1, "not acknowledged");
    run.kill().await;
    let run = node.start().await;
    board.until_acknowledged().await;
    assert_eq!(run.counted("ktp").await, (5, Some(5), 3));
    run.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_stay_exact_when_the_agent_is_cut_off_and_the_cable_pulled_at_any_moment() {
    let seed = rand::random::<u64>();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let node = Node::new();
    let board = FakeBoard::new(1);
    for _ in 0..12 {
        let mut plug = Some(board.plug(&node.port()));
        let spool = node.spool().await;
        let (_gate, parts, _stop, _orders, _status) = node.parts(&spool);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.spawn(run(parts.0, parts.1));
        board.until_acknowledged().await;
        for _ in 0..random.random_range(1..5) {
            board.press(0, random.random_range(0..4), random.random_range(0..3));
            if random.random_range(0..3) == 0 {
                drop(plug.take());
                plug = Some(board.plug(&node.port()));
            }
            if random.random_range(0..2) == 0 {
                board.until_acknowledged().await;
            }
        }
        board.press(0, 1, 1);
        tokio::time::sleep(Duration::from_micros(random.random_range(0..80_000))).await;
        tokio::task::spawn_blocking(move || runtime.shutdown_timeout(fake::DEADLINE)).await.unwrap();
        drop((plug, _gate));
        spool.close().await.unwrap();
        board.inside(|inside| inside.hello.greeted = random.random_range(0..2) == 0);
    }
    let _plug = board.plug(&node.port());
    let run = node.start().await;
    board.press(0, 1, 0);
    board.until_acknowledged().await;
    let totals = board.inside(|inside| inside.totals[0]);
    let expected = (i64::from(totals.short), Some(u64::from(totals.short)), totals.long as usize);
    assert_eq!(run.counted("ktp").await, expected, "seed {seed}");
    run.stop().await;
}

#[tokio::test]
async fn a_spares_old_total_is_a_baseline_and_the_first_board_is_still_known_when_it_returns() {
    let node = Node::new();
    let (board, spare) = (FakeBoard::new(1), FakeBoard::new(2));
    let plug = board.plug(&node.port());
    let run = node.start().await;
    board.press(0, 5, 1);
    board.until_acknowledged().await;
    drop(plug);
    spare.inside(|inside| {
        inside.hello.journal = JournalState::Good;
        inside.totals[0] = DeskTotals { short: 900, long: 70 };
    });
    let plug = spare.plug(&node.port());
    spare.press(0, 0, 0);
    spare.until_acknowledged().await;
    assert_eq!(run.counted("ktp").await, (5, Some(900), 1));
    spare.press(0, 2, 1);
    spare.until_acknowledged().await;
    assert_eq!(run.counted("ktp").await, (7, Some(902), 2));
    drop(plug);
    board.restart();
    let _plug = board.plug(&node.port());
    board.press(0, 1, 0);
    board.until_acknowledged().await;
    assert_eq!(run.counted("ktp").await, (8, Some(6), 2));
    run.stop().await;
}

#[tokio::test]
async fn a_restart_with_the_same_totals_counts_nothing_and_a_total_that_went_back_is_a_baseline() {
    let node = Node::new();
    let board = FakeBoard::new(1);
    let _plug = board.plug(&node.port());
    let run = node.start().await;
    board.press(0, 5, 0);
    board.until_acknowledged().await;
    board.restart();
    board.press(0, 0, 0);
    board.until_acknowledged().await;
    assert_eq!(run.counted("ktp").await, (5, Some(5), 0));
    board.restart();
    board.inside(|inside| {
        inside.totals[0].short = 2;
        inside.hello.journal = JournalState::Damaged;
    });
    board.press(0, 0, 0);
    board.until_acknowledged().await;
    assert_eq!(run.counted("ktp").await, (5, Some(2), 0));
    board.press(0, 1, 0);
    board.until_acknowledged().await;
    assert_eq!(run.counted("ktp").await, (6, Some(3), 0));
    run.until_condition(BoardCondition::JournalDamaged).await;
    let started = |event: &EventRecord| matches!(event.body, EventBody::BoardStarted { .. });
    assert_eq!(run.events().await.iter().filter(|event| started(event)).count(), 3);
    // More at once than people press is no count.
    board.press(0, 20_000, 0);
    board.until_acknowledged().await;
    assert_eq!(run.counted("ktp").await, (6, Some(20_003), 0));
    run.stop().await;
}

#[tokio::test]
async fn a_cable_pulled_at_any_byte_of_a_frame_costs_nothing_and_talks_again_within_a_second() {
    let node = Node::new();
    let board = FakeBoard::new(1);
    let mut plug = board.plug(&node.port());
    let run = node.start().await;
    board.press(0, 1, 0);
    board.until_acknowledged().await;
    let (mut byte, mut presses, mut slowest) = (0, 1, Duration::ZERO);
    loop {
        board.inside(|inside| inside.hello.greeted = false);
        board.press(0, 1, 0);
        presses += 1;
        let length = plug.cut_at(byte).await;
        let pulled = node.clock.now();
        plug = board.plug(&node.port());
        board.until_acknowledged().await;
        slowest = slowest.max(node.clock.now().since(pulled));
        byte += 1;
        if byte > length {
            break;
        }
    }
    println!("{byte} cuts, the slowest return took {slowest:?}");
    assert!(slowest < Duration::from_secs(2), "{slowest:?}: a second, and a loaded machine's second");
    assert_eq!(run.counted("ktp").await, (presses, Some(presses as u64), 0));
    run.stop().await;
}

#[tokio::test]
async fn garbage_oversize_and_unknown_frames_are_told_and_the_next_good_frame_is_read() {
    let seed = rand::random::<u64>();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    for condition in [BoardCondition::BadFrame, BoardCondition::FrameTooLong, BoardCondition::UnknownMessage] {
        let node = Node::new();
        let board = FakeBoard::new(1);
        let mut plug = board.plug(&node.port());
        let run = node.start().await;
        board.until("a greeting", |inside| inside.hello.greeted).await;
        for _ in 0..4 {
            let bytes = match condition {
                BoardCondition::FrameTooLong => vec![7; 4_000],
                BoardCondition::UnknownMessage => {
                    let mut frame = [0; ENCODED_BYTES_MAX];
                    let length = encode(0x6f, &[1_u8, 2, 3], &mut frame).unwrap();
                    frame[..length].to_vec()
                }
                _ => (0..random.random_range(3..90)).map(|_| random.random_range(1..=255)).collect(),
            };
            plug.raw(&bytes).await;
            plug.raw(&[0]).await;
            board.press(0, 1, 0);
            board.until_acknowledged().await;
        }
        run.until_condition(condition).await;
        assert_eq!(run.counted("ktp").await, (4, Some(4), 0), "{condition}, seed {seed}");
        run.stop().await;
    }
}

#[tokio::test]
async fn a_board_of_another_protocol_is_told_and_nothing_of_it_is_acknowledged() {
    let node = Node::new();
    let board = FakeBoard::new(1);
    board.inside(|inside| inside.hello.protocol = 9);
    let _plug = board.plug(&node.port());
    let run = node.start().await;
    board.press(0, 1, 0);
    run.until_condition(BoardCondition::WrongProtocol).await;
    let greetings = board.inside(|inside| {
        assert_eq!((inside.waiting.len(), inside.acks()), (1, 0));
        inside.heard.len()
    });
    assert_eq!(greetings, 1, "nothing but the greeting was said");
    assert_eq!(run.services().await, []);
    run.stop().await;
}

#[tokio::test]
async fn what_the_board_measures_and_notices_becomes_readings_and_events() {
    let node = Node::new();
    let board = FakeBoard::new(1);
    let mut plug = board.plug(&node.port());
    let mut run = node.start().await;
    board.until("a greeting", |inside| inside.hello.greeted).await;
    run.until_status("the board", |status| status.board.is_some()).await;
    board.event(NumberedBody::Tamper { open: true });
    board.event(NumberedBody::Power(SupplyState::Mains { outage_ms: Some(90_000) }));
    let reading = |metric, value| Reading { metric, value };
    let items = [
        reading(10, Measured::Millivolts(12_250)),
        reading(11, Measured::Missing(MissingNumber(Missing::NotSupported))),
        reading(12, Measured::Nanowatts(3_162)),
        reading(15, Measured::MilliCelsius(500_000)),
    ];
    plug.say(&FromBoard::Readings(Readings { at_ms: 1, items: items.into_iter().collect() })).await;
    let found = ModuleFound {
        vendor: "ACME".try_into().unwrap(),
        part: "SFP".try_into().unwrap(),
        serial: "1".try_into().unwrap(),
        wavelength_nm: 1_490,
        calibration: Calibration::Internal,
        receive_limits: None,
    };
    let module = FromBoard::Module(Module { cage: 0, found: Ok(found) });
    plug.say(&module).await;
    plug.say(&module).await;
    for _ in 0..3 {
        plug.say(&FromBoard::Gasp(Gasp { boot: 1, at_ms: 77 })).await;
    }
    board.until_acknowledged().await;
    run.until_condition(BoardCondition::ImpossibleValue).await;
    let gasp = EventBody::Power { condition: PowerCondition::DyingGasp, outage_ms: None };
    run.until_event("the gasp", |body| *body == gasp).await;
    let spool = run.stop().await;
    let events: Vec<EventBody> =
        records(&spool, Stream::Event, |bytes| minicbor::decode::<EventRecord>(bytes).unwrap().body).await;
    let count = |wanted: &dyn Fn(&EventBody) -> bool| events.iter().filter(|body| wanted(body)).count();
    assert_eq!(count(&|body| *body == gasp), 1, "{events:?}");
    assert_eq!(count(&|body| *body == EventBody::Tamper { open: true }), 1);
    assert_eq!(count(&|body| matches!(body, EventBody::Optics { .. })), 1);
    let mains = EventBody::Power { condition: PowerCondition::Mains, outage_ms: Some(90_000) };
    assert_eq!(count(&|body| *body == mains), 1);
    // Stopping in order appends the open minute.
    let blocks = records(&spool, Stream::Reading, |bytes| ReadingBlock::from_slice(bytes).unwrap()).await;
    let values: Vec<(&str, Value)> =
        blocks[0].series.iter().map(|series| (series.metric.as_str(), series.points[0].value)).collect();
    let expected = [
        ("supply_voltage", Value::Number(12.25)),
        ("battery_voltage", Value::Missing(Missing::NotSupported)),
        ("optics.0.rx_power", Value::Number(-25.0)),
        ("optics.0.temperature", Value::Missing(Missing::OutOfRange)),
    ];
    assert_eq!(values, expected);
}

#[tokio::test]
async fn a_full_buffer_leaves_the_counts_with_the_board_until_there_is_room() {
    let node = Node::new();
    let board = FakeBoard::new(1);
    let _plug = board.plug(&node.port());
    let mut run = node.start().await;
    board.press(0, 1, 0);
    board.until_acknowledged().await;
    run.gate.mode.store(REFUSE, Ordering::SeqCst);
    board.press(0, 1, 0);
    let status = run.until_status("the refusal", |status| status.refused.is_some()).await;
    assert!(status.refused.unwrap().contains("full"));
    assert_eq!(board.inside(|inside| inside.waiting.len()), 1);
    board.press(0, 1, 0);
    run.gate.mode.store(PASS, Ordering::SeqCst);
    board.until_acknowledged().await;
    assert_eq!(run.counted("ktp").await, (3, Some(3), 0));
    run.stop().await;
}

#[tokio::test]
async fn a_power_cycle_is_answered_when_its_result_is_kept_also_after_a_restart() {
    let node = Node::new();
    let board = FakeBoard::new(1);
    let _plug = board.plug(&node.port());
    let mut run = node.start().await;
    run.until_status("the board", |status| status.board.is_some()).await;
    let (reply, answer) = oneshot::channel();
    run.orders.send(BoardCommand { id: [1; 16], off_ms: 5_000, reply }).await.unwrap();
    let answer = tokio::time::timeout(fake::DEADLINE, answer).await.unwrap().unwrap();
    assert_eq!((answer.kept, answer.result), (true, Ok("switched off and on again".to_owned())));
    let told = |wanted: u8| move |body: &EventBody| matches!(body, EventBody::CommandResult { id, done: true, .. } if id[0] == wanted);
    assert_eq!(run.events().await.iter().filter(|event| told(1)(&event.body)).count(), 1);

    // The board is still at it when the agent goes.
    board.inside(|inside| inside.relay = None);
    let (reply, answer) = oneshot::channel();
    run.orders.send(BoardCommand { id: [2; 16], off_ms: 5_000, reply }).await.unwrap();
    board
        .until("the order", |inside| matches!(inside.heard.last(), Some(ToBoard::Relay(order)) if order.id == [2; 16]))
        .await;
    run.kill().await;
    assert!(answer.await.is_err());
    let run = node.start().await;
    board.event(NumberedBody::RelayResult { id: [2; 16], outcome: RelayOutcome::Done });
    run.until_event("the result", told(2)).await;
    board.until_acknowledged().await;
    run.stop().await;
}

#[tokio::test]
async fn a_board_that_is_pulled_out_and_one_in_its_boot_loader_are_told() {
    let node = Node::new();
    let board = FakeBoard::new(1);
    let plug = board.plug(&node.port());
    let run = node.start().await;
    run.until_condition(BoardCondition::Good).await;
    drop(plug);
    run.until_condition(BoardCondition::Unplugged).await;
    let device = node.folder.path().join("sys/bus/usb/devices/1-1");
    std::fs::create_dir_all(&device).unwrap();
    std::fs::write(device.join("idVendor"), "2e8a\n").unwrap();
    std::fs::write(device.join("idProduct"), "0003\n").unwrap();
    run.until_condition(BoardCondition::BootLoader).await;
    std::fs::remove_dir_all(&device).unwrap();
    // However long it was away.
    board.inside(|inside| inside.hello.greeted = false);
    board.press(0, 1, 0);
    let returned = node.clock.now();
    let _plug = board.plug(&node.port());
    board.until_acknowledged().await;
    let took = node.clock.now().since(returned);
    assert!(took < Duration::from_secs(2), "{took:?}: a second, and a loaded machine's second");
    run.stop().await;
}

#[tokio::test]
async fn the_monitor_prints_what_the_board_says_and_takes_nothing_away() {
    let node = Node::new();
    let board = FakeBoard::new(1);
    let _plug = board.plug(&node.port());
    board.press(0, 3, 0);
    let mut lines = Vec::new();
    let port = node.port();
    let watched = monitor::run(&port, |line| {
        lines.push(line.to_owned());
        !line.starts_with("numbered")
    });
    tokio::time::timeout(fake::DEADLINE, watched).await.unwrap().unwrap();
    assert!(lines[0].starts_with("hello     protocol 1, 0.1.0 pico, serial 0101010101010101, boot 1"), "{lines:?}");
    assert!(lines.last().unwrap().ends_with("totals: button 1: 3 + 0 long"), "{lines:?}");
    assert_eq!(board.inside(|inside| inside.waiting.len()), 1);
    let mut run = node.start().await;
    run.until_status("the port", |status| status.board.is_some()).await;
    let refused = tokio::time::timeout(fake::DEADLINE, monitor::run(&port, |_| true)).await;
    let error = refused.unwrap().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ResourceBusy);
    run.stop().await;
}
