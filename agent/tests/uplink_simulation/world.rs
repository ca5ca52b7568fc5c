//! The simulated world: a spool, a link with rate, delay, burst and cuts, a hub with interval sets. Time is simulated,
//! every random number comes from the plan's seed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use simpul_agent::spool::{SpoolState, StreamStatus};
use simpul_agent::uplink::scheduler::backoff::Random;
use simpul_agent::uplink::scheduler::{Action, Event, Outcome, Scheduler, Settings, Ticket};
use simpul_clock::Moment;
use simpul_wire::ack::{Ack, HubState, PartialImage, RejectReason, Rejected};
use simpul_wire::{Epoch, Generation, RangeSet, SeqRange, Stream};

use crate::plan::Plan;

const EPOCH: Epoch = Epoch::from_bytes([1; 16]);
const IMAGE_BYTES: u32 = 100_000;
const READINGS_PER_BLOCK: u64 = 600;
/// Bytes of one record on the wire: what the encoder makes of them.
const SERVICE_BYTES: u64 = 60;
const EVENT_BYTES: u64 = 60;
const BLOCK_BYTES: u64 = 2_400;
const OVERHEAD_BYTES: u32 = 200;
/// One way.
const DELAY_MS: u64 = 20;
const COMMIT_MS: u64 = 15;
const READ_MS: u64 = 2;
const FSYNC_MS: u64 = 20;

/// A publish on its way.
#[derive(Debug, Clone)]
enum Load {
    State,
    Batch { stream: Stream, covered: SeqRange },
    Part { seq: u64, bytes: SeqRange },
}

#[derive(Debug)]
enum Happening {
    Append(Stream, bool),
    /// The driver's question is answered: publish.
    Answer(Action),
    /// A publish arrives at the hub.
    Arrive(u64, Ticket, Load),
    PubAck(u64, Ticket),
    /// Also across connections: the session keeps them.
    Downlink(Ack),
    Hub(u64),
    Connected(u64),
    Cut(u64),
    StoredAck(Ack),
    StoredHub(HubState),
    Backup,
    Restore,
    Tick,
}

#[derive(Debug, Clone, Default)]
struct Store {
    have: [RangeSet; 4],
    parts: BTreeMap<u64, RangeSet>,
}

/// The hub.
#[derive(Debug)]
pub struct Hub {
    store: Store,
    backup: Store,
    generation: Generation,
    pub bytes: u64,
    pub restores: u32,
}

impl Hub {
    pub fn has(&self, stream: Stream) -> &RangeSet {
        &self.store.have[at(stream)]
    }
}

fn at(stream: Stream) -> usize {
    usize::from(stream.number()) - 1
}

pub struct World {
    plan: Plan,
    random: Random,
    now_ms: u64,
    queue: BinaryHeap<Reverse<(u64, u64)>>,
    happenings: HashMap<u64, Happening>,
    next_id: u64,
    scheduler: Scheduler,
    owed: [RangeSet; 4],
    kept: [RangeSet; 4],
    lost: [RangeSet; 4],
    next_seq: [u64; 4],
    generation: Option<Generation>,
    pub hub: Hub,
    pub connected: bool,
    pub connections: u64,
    link_free_ms: u64,
    tokens: u64,
    tokens_at_ms: u64,
    appended_ms: BTreeMap<u64, u64>,
    pub fresh_ms: Vec<u64>,
    appends_left: usize,
    tick_at: Option<u64>,
}

impl World {
    pub fn new(plan: Plan) -> Self {
        let settings = Settings {
            hubs: 1,
            state_interval: Duration::from_secs(30),
            reconnect_max: Duration::from_secs(10),
            no_progress: Duration::from_secs(60),
            daily_bytes_max: None,
            seed: plan.seed,
        };
        let generation = Generation::from_bytes([1; 16]);
        let mut world = World {
            random: Random::new(plan.seed ^ 0x5EED),
            now_ms: 0,
            queue: BinaryHeap::new(),
            happenings: HashMap::new(),
            next_id: 0,
            scheduler: Scheduler::new(Moment::ZERO, settings),
            owed: Default::default(),
            kept: Default::default(),
            lost: Default::default(),
            next_seq: [1; 4],
            generation: None,
            hub: Hub { store: Store::default(), backup: Store::default(), generation, bytes: 0, restores: 0 },
            connected: false,
            connections: 0,
            link_free_ms: 0,
            tokens: plan.burst_bytes,
            tokens_at_ms: 0,
            appended_ms: BTreeMap::new(),
            fresh_ms: Vec::new(),
            appends_left: 0,
            tick_at: None,
            plan,
        };
        if let Some(restore_at_ms) = world.plan.restore_at_ms {
            world.at(restore_at_ms / 2, Happening::Backup);
            world.at(restore_at_ms, Happening::Restore);
            // Something has to be owed when it happens, or the run is over before it.
            world.append_at(restore_at_ms + 5_000, Stream::Event, false);
        }
        world
    }

    fn at(&mut self, time_ms: u64, happening: Happening) {
        self.next_id += 1;
        self.queue.push(Reverse((time_ms.max(self.now_ms), self.next_id)));
        self.happenings.insert(self.next_id, happening);
    }

    /// `count` numbers are owed already.
    pub fn owe(&mut self, stream: Stream, count: u64) {
        let range = SeqRange::with_count(self.next_seq[at(stream)], count).unwrap();
        self.owed[at(stream)].insert(range);
        self.next_seq[at(stream)] += count;
    }

    pub fn newest(&self, stream: Stream) -> u64 {
        self.next_seq[at(stream)] - 1
    }

    pub fn append_at(&mut self, time_ms: u64, stream: Stream, measured: bool) {
        self.appends_left += 1;
        self.at(time_ms, Happening::Append(stream, measured));
    }

    /// Run until nothing is owed. Returns when that was.
    pub fn run(&mut self, limit_ms: u64) -> u64 {
        let drained =
            self.run_while(limit_ms, |world| world.appends_left > 0 || world.owed.iter().any(|owed| !owed.is_empty()));
        let left: Vec<u64> = self.owed.iter().map(RangeSet::count).collect();
        assert!(drained, "seed {}: stuck with {left:?} owed: {:?}", self.plan.seed, self.scheduler);
        self.now_ms
    }

    pub fn run_until(&mut self, reached: impl Fn(&World) -> bool) -> u64 {
        assert!(self.run_while(3_600_000, |world| !reached(world)), "seed {}: never reached", self.plan.seed);
        self.now_ms
    }

    fn run_while(&mut self, limit_ms: u64, going: impl Fn(&World) -> bool) -> bool {
        self.tell_spool();
        self.set_tick();
        while going(self) {
            if self.now_ms > limit_ms {
                return false;
            }
            let Some(Reverse((time_ms, id))) = self.queue.pop() else { return false };
            self.now_ms = time_ms;
            if let Some(happening) = self.happenings.remove(&id) {
                self.happen(happening);
            }
            self.set_tick();
        }
        true
    }

    fn set_tick(&mut self) {
        let now = Moment::from_millis(self.now_ms);
        let Some(deadline) = self.scheduler.next_deadline(now) else { return };
        let deadline = deadline.as_millis().max(self.now_ms + 1);
        if self.tick_at.is_none_or(|at| at <= self.now_ms || deadline < at) {
            self.tick_at = Some(deadline);
            self.at(deadline, Happening::Tick);
        }
    }

    fn tell(&mut self, event: Event) {
        for action in self.scheduler.handle(Moment::from_millis(self.now_ms), event) {
            self.perform(action);
        }
    }

    fn tell_spool(&mut self) {
        let status = |at: usize| StreamStatus {
            next_seq: self.next_seq[at],
            owed: Arc::new(self.owed[at].clone()),
            backlog_records: self.owed[at].count(),
            backlog_bytes: 0,
            limit_bytes: 0,
            lost_records: 0,
            oldest_uptime_ms: None,
        };
        let streams = [0, 1, 2, 3].map(status);
        let state =
            SpoolState { epoch: EPOCH, generation: self.generation, streams, disk_full: false, previous: vec![] };
        self.tell(Event::Spool(Box::new(state)));
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Connect { .. } => {
                self.connections += 1;
                self.at(self.now_ms + 4 * DELAY_MS, Happening::Connected(self.connections));
            }
            Action::Disconnect(_) => self.at(self.now_ms, Happening::Cut(self.connections)),
            Action::Read { .. } | Action::ReadPart { .. } => self.at(self.now_ms + READ_MS, Happening::Answer(action)),
            Action::PublishState { .. } => self.at(self.now_ms, Happening::Answer(action)),
            Action::SpoolAck(ack) => self.at(self.now_ms + FSYNC_MS, Happening::StoredAck(ack)),
            Action::SpoolHub(hub) => self.at(self.now_ms + FSYNC_MS, Happening::StoredHub(hub)),
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Tick => {
                self.tick_at = None;
                self.tell(Event::Tick);
            }
            Happening::Append(stream, measured) => {
                self.appends_left -= 1;
                let seq = self.next_seq[at(stream)];
                self.owe(stream, 1);
                if measured {
                    self.appended_ms.insert(seq, self.now_ms);
                }
                self.tell_spool();
            }
            Happening::Answer(action) => self.answer(action),
            Happening::Connected(connection) if connection == self.connections => {
                self.connected = true;
                self.link_free_ms = self.now_ms;
                if let Some(every_ms) = self.plan.cut_every_ms {
                    let after_ms = self.random.next_u64() % (2 * every_ms);
                    self.at(self.now_ms + after_ms, Happening::Cut(connection));
                }
                self.at(self.now_ms + DELAY_MS, Happening::Hub(connection));
                self.tell(Event::Connected);
            }
            Happening::Cut(connection) if connection == self.connections => {
                self.connected = false;
                // Whatever still carries the old number is lost.
                self.connections += 1;
                self.tell(Event::Disconnected);
            }
            Happening::Arrive(connection, ticket, load) if connection == self.connections => {
                self.arrive(connection, ticket, load);
            }
            Happening::PubAck(connection, ticket) if connection == self.connections => {
                self.tell(Event::PubAcked(ticket));
            }
            Happening::Hub(connection) if connection == self.connections => {
                let generation = self.hub.generation;
                self.tell(Event::Hub(HubState { generation, backed_up: Vec::new(), wall_ms: None }));
            }
            Happening::Downlink(ack) if self.connected => self.tell(Event::Acked(ack)),
            Happening::StoredAck(ack) => self.store_ack(ack),
            Happening::StoredHub(hub) => self.change_generation(hub.generation),
            Happening::Backup => self.hub.backup = self.hub.store.clone(),
            Happening::Restore => {
                self.hub.store = self.hub.backup.clone();
                self.hub.generation = Generation::from_bytes([2; 16]);
                self.hub.restores += 1;
                self.at(self.now_ms, Happening::Cut(self.connections));
            }
            _ => {}
        }
    }

    fn answer(&mut self, action: Action) {
        let (ticket, outcome, load) = match action {
            Action::PublishState { ticket } => (ticket, Outcome::State { bytes: OVERHEAD_BYTES }, Some(Load::State)),
            Action::Read { ticket, stream, range, bytes_max, records_max, .. } => {
                let (outcome, load) = self.read(stream, range, bytes_max as u64, records_max as u64);
                (ticket, outcome, load)
            }
            Action::ReadPart { ticket, seq, offset, bytes_max, .. } => {
                let length = (bytes_max as u32).min(IMAGE_BYTES - offset);
                let bytes = SeqRange::with_count(u64::from(offset), u64::from(length)).unwrap();
                let wire = length + OVERHEAD_BYTES;
                let outcome = Outcome::Part { offset, length, image_length: IMAGE_BYTES, bytes: wire };
                (ticket, outcome, Some(Load::Part { seq, bytes }))
            }
            other => panic!("{other:?}"),
        };
        if !self.connected {
            return self.tell(Event::Sent(ticket, Outcome::Failed));
        }
        if let (Outcome::Batch { bytes, .. } | Outcome::Part { bytes, .. } | Outcome::State { bytes }, Some(load)) =
            (outcome, load)
        {
            let arrives_ms = self.transmit(u64::from(bytes)) + DELAY_MS;
            self.at(arrives_ms, Happening::Arrive(self.connections, ticket, load));
        }
        self.tell(Event::Sent(ticket, outcome));
    }

    fn read(&self, stream: Stream, range: SeqRange, bytes_max: u64, records_max: u64) -> (Outcome, Option<Load>) {
        let Some(run) = self.owed[at(stream)].present_in(range).first().copied() else { return (Outcome::Gone, None) };
        let (covered, records, bytes) = if stream == Stream::Reading {
            // Whole blocks, as the spool gives them.
            let first = (run.first() - 1) / READINGS_PER_BLOCK * READINGS_PER_BLOCK + 1;
            let blocks = (bytes_max / BLOCK_BYTES).clamp(1, 16);
            let last = (first + blocks * READINGS_PER_BLOCK - 1).min(self.next_seq[at(stream)] - 1);
            let last = last.min(run.last().div_ceil(READINGS_PER_BLOCK) * READINGS_PER_BLOCK);
            let covered = SeqRange::new(first, last).unwrap();
            (covered, covered.count().div_ceil(READINGS_PER_BLOCK), covered.count() * BLOCK_BYTES / READINGS_PER_BLOCK)
        } else {
            let each = if stream == Stream::Event { EVENT_BYTES } else { SERVICE_BYTES };
            let count = run.count().min((bytes_max / each).clamp(1, records_max));
            (SeqRange::with_count(run.first(), count).unwrap(), count, count * each)
        };
        let bytes = u32::try_from(bytes).unwrap() + OVERHEAD_BYTES;
        (Outcome::Batch { covered, records: records as u32, bytes }, Some(Load::Batch { stream, covered }))
    }

    /// When the last byte of `bytes` has left the link.
    fn transmit(&mut self, bytes: u64) -> u64 {
        let rate = self.plan.bits_per_second / 8;
        let refill = (self.now_ms - self.tokens_at_ms) * rate / 1_000;
        self.tokens = (self.tokens + refill).min(self.plan.burst_bytes);
        self.tokens_at_ms = self.now_ms;
        let quick = bytes.min(self.tokens);
        self.tokens -= quick;
        let took_ms = quick * 100 / rate + (bytes - quick) * 1_000 / rate;
        self.link_free_ms = self.link_free_ms.max(self.now_ms) + took_ms;
        self.link_free_ms
    }

    fn is_bad(&self, stream: Stream, seq: u64) -> bool {
        let refusable = matches!(stream, Stream::Service | Stream::Event);
        refusable && self.plan.bad_every.is_some_and(|every| seq % every == every / 2)
    }

    fn arrive(&mut self, connection: u64, ticket: Ticket, load: Load) {
        let done_ms = self.now_ms + COMMIT_MS + DELAY_MS;
        self.at(done_ms, Happening::PubAck(connection, ticket));
        let generation = self.hub.generation;
        let ack = |stream| Ack {
            generation,
            epoch: EPOCH,
            stream,
            have: RangeSet::new(),
            rejected: Vec::new(),
            partial: Vec::new(),
            slow_down_ms: 0,
        };
        let ack = match load {
            Load::State => return,
            Load::Batch { stream, covered } => {
                let bad = (covered.first()..=covered.last()).any(|seq| self.is_bad(stream, seq));
                if bad {
                    let reason = RejectReason::Malformed;
                    Ack { rejected: vec![Rejected { range: covered, reason }], ..ack(stream) }
                } else {
                    self.commit(stream, covered);
                    Ack { have: RangeSet::from_iter([covered]), ..ack(stream) }
                }
            }
            Load::Part { seq, bytes } => {
                self.hub.bytes += bytes.count() + u64::from(OVERHEAD_BYTES);
                let parts = self.hub.store.parts.entry(seq).or_default();
                parts.insert(bytes);
                let whole = SeqRange::with_count(0, u64::from(IMAGE_BYTES)).unwrap();
                if parts.contains_range(whole) {
                    self.hub.store.have[at(Stream::Snapshot)].insert(SeqRange::one(seq));
                    Ack { have: RangeSet::from_iter([SeqRange::one(seq)]), ..ack(Stream::Snapshot) }
                } else {
                    let missing = parts.missing_in(whole).into_iter().collect();
                    Ack { partial: vec![PartialImage { seq, missing }], ..ack(Stream::Snapshot) }
                }
            }
        };
        if self.random.next_u64() % 100 >= self.plan.ack_loss_percent {
            self.at(done_ms, Happening::Downlink(ack));
        }
    }

    fn commit(&mut self, stream: Stream, covered: SeqRange) {
        let each = match stream {
            Stream::Reading => BLOCK_BYTES / READINGS_PER_BLOCK,
            _ => SERVICE_BYTES,
        };
        self.hub.bytes += covered.count() * each + u64::from(OVERHEAD_BYTES);
        self.hub.store.have[at(stream)].insert(covered);
        if stream == Stream::Event {
            let arrived: Vec<u64> = self.appended_ms.range(covered.first()..=covered.last()).map(|(s, _)| *s).collect();
            for seq in arrived {
                if let Some(appended_ms) = self.appended_ms.remove(&seq) {
                    self.fresh_ms.push(self.now_ms + COMMIT_MS - appended_ms);
                }
            }
        }
    }

    fn store_ack(&mut self, ack: Ack) {
        if self.generation.is_some_and(|generation| generation != ack.generation) {
            return;
        }
        let stream = at(ack.stream);
        for range in ack.have.iter() {
            let freed = self.owed[stream].remove(range);
            if matches!(ack.stream, Stream::Service | Stream::Event) {
                for freed in freed {
                    self.kept[stream].insert(freed);
                }
            }
        }
        for rejected in &ack.rejected {
            assert_eq!(rejected.range.count(), 1, "only single records are refused for good");
            assert!(self.is_bad(ack.stream, rejected.range.first()), "a good record was given up: {rejected:?}");
            self.owed[stream].remove(rejected.range);
            self.lost[stream].insert(rejected.range);
        }
        self.tell_spool();
    }

    fn change_generation(&mut self, generation: Generation) {
        if self.generation.replace(generation).is_some_and(|old| old != generation) {
            for stream in 0..4 {
                let kept = std::mem::take(&mut self.kept[stream]);
                self.owed[stream].insert_all(&kept);
            }
        }
        self.tell_spool();
    }

    /// Every number is at the hub, or was refused for a reason.
    pub fn assert_complete(&self) {
        for stream in [Stream::Service, Stream::Event, Stream::Reading, Stream::Snapshot] {
            let mut all = self.hub.has(stream).clone();
            all.insert_all(&self.lost[at(stream)]);
            let Some(range) = SeqRange::new(1, self.next_seq[at(stream)] - 1) else { continue };
            let missing = all.missing_in(range);
            assert!(missing.is_empty(), "seed {}: {stream} lacks {missing:?}", self.plan.seed);
        }
    }
}
