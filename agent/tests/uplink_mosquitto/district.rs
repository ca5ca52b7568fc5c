//! A district of one: mosquitto with certificates, a hub behind it that dedupes and acknowledges as the real one does,
//! and agents with a real spool.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, Packet, QoS, TlsConfiguration, Transport};
use sha2::{Digest, Sha256};
use simpul_agent::config::{ClockTrust, SpoolConfig, UplinkConfig};
use simpul_agent::spool::{NewRecord, Spool, SpoolState};
use simpul_agent::stamper::Stamper;
use simpul_agent::uplink::driver::{Driver, Parts, UplinkStatus};
use simpul_agent::uplink::mqtt::LinkOptions;
use simpul_agent::uplink::tls::{JudgingTime, client_config};
use simpul_clock::{Clock, Moment};
use simpul_testkit::pki::Authority;
use simpul_testkit::process::{Launch, Process};
use simpul_testkit::{ports, wait};
use simpul_wire::ack::{Ack, Downlink, HubState, PartialImage, RejectReason, Rejected};
use simpul_wire::batch::{Batch, Body};
use simpul_wire::command::Command;
use simpul_wire::event::{EventBody, EventRecord};
use simpul_wire::image::{ImageMeta, ImagePart};
use simpul_wire::reading::{Point, ReadingBlock, Series, Value};
use simpul_wire::service::{Origin, ServiceBody, ServiceRecord};
use simpul_wire::state::AgentState;
use simpul_wire::topic::Topic;
use simpul_wire::{Generation, RangeSet, SeqRange, Stamp, Stream, Unit};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

pub const NODE: &str = "35.12.07.2003-01";
const PATIENCE: Duration = Duration::from_secs(60);

pub fn stamp() -> Stamp {
    Stamp { boot: 1, uptime_ms: 1_000, wall_ms: Some(1_790_000_000_000) }
}

pub fn service(number: u64) -> NewRecord {
    let body = ServiceBody::Count { service: "ktp".parse().unwrap(), desk: None, delta: 1, total: None };
    let key = format!("key-{number}").parse().unwrap();
    NewRecord::Service(ServiceRecord { stamp: stamp(), key, origin: Origin::Api, simulated: true, body })
}

pub fn event(number: u64) -> NewRecord {
    let body = EventBody::Link { up: true, detail: format!("event {number}").parse().unwrap() };
    NewRecord::Event(EventRecord { stamp: stamp(), body })
}

pub fn readings(count: u64) -> NewRecord {
    let points = (0..count).map(|n| Point { uptime_ms: 1_000 + n * 10, value: Value::Number(n as f64) }).collect();
    let series = vec![Series { metric: "cpu".parse().unwrap(), unit: Unit::Percent, points }];
    NewRecord::Readings(ReadingBlock { base: stamp(), series })
}

/// An "image" of so many bytes; nothing on this way decodes it.
pub fn image(length: usize) -> (ImageMeta, Vec<u8>) {
    let jpeg: Vec<u8> = (0..length).map(|at| (at * 31 + at / 255) as u8).collect();
    let meta = ImageMeta {
        stamp: stamp(),
        camera: "gate".parse().unwrap(),
        length: length as u32,
        sha256: Sha256::digest(&jpeg).into(),
        width: 640,
        height: 480,
        dhash: 0,
        masked_percent: 0,
        changed: true,
        simulated: true,
    };
    (meta, jpeg)
}

pub struct District {
    directory: tempfile::TempDir,
    authority: Authority,
    port: u16,
    broker: Option<Process>,
    hub: Hub,
}

impl District {
    pub async fn start() -> District {
        let directory = tempfile::tempdir().unwrap();
        let authority = Authority::new("district").unwrap();
        let path = directory.path();
        authority.write_certificate(&path.join("ca.pem")).unwrap();
        authority.local_server().unwrap().write(path, "broker").unwrap();
        authority.node("hub").unwrap().write(path, "hub").unwrap();
        authority.node(NODE).unwrap().write(path, "node").unwrap();
        let port = ports::free().unwrap();
        let p = path.display();
        let config = format!(
            "user root\nlistener {port} 127.0.0.1\ncafile {p}/ca.pem\ncertfile {p}/broker.crt\nkeyfile {p}/broker.key\n\
             require_certificate true\nuse_identity_as_username true\nallow_anonymous false\n\
             persistence false\nmax_inflight_messages 0\n"
        );
        std::fs::write(path.join("mosquitto.conf"), config).unwrap();
        let hub = Hub::new();
        let mut district = District { directory, authority, port, broker: None, hub };
        district.restart_broker().await;
        let client = tls(district.directory.path(), "hub");
        district.hub.run(port, client);
        district.hub.until_subscribed().await;
        district
    }

    pub async fn restart_broker(&mut self) {
        // One that runs is killed: the old process ends with its guard.
        self.broker = None;
        let path = self.directory.path();
        let launch = Launch::new("mosquitto", Path::new("/usr/sbin/mosquitto"), &path.join("mosquitto.log"))
            .argument("-c")
            .argument(path.join("mosquitto.conf").display().to_string());
        let mut broker = launch.start().unwrap();
        broker.wait_for_line("running", PATIENCE).await.unwrap();
        self.broker = Some(broker);
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    pub fn hub(&self) -> Hub {
        self.hub.clone()
    }

    /// The certificate of an authority that nobody here trusts.
    pub fn foreign_ca(&self) -> PathBuf {
        let path = self.directory.path().join("foreign.pem");
        Authority::new("elsewhere").unwrap().write_certificate(&path).unwrap();
        path
    }

    fn uplink_config(&self) -> UplinkConfig {
        let path = self.directory.path();
        UplinkConfig {
            hubs: vec![self.address()],
            server_name: None,
            ca_file: path.join("ca.pem"),
            certificate_file: path.join("node.crt"),
            key_file: path.join("node.key"),
            state_interval: Duration::from_secs(1),
            reconnect_max: Duration::from_millis(200),
            no_progress: Duration::from_secs(10),
            daily_bytes_max: None,
        }
    }

    /// The program itself, as a process, once it is connected.
    pub async fn program(&self) -> Process {
        let path = self.directory.path();
        let toml = format!(
            "node = \"{NODE}\"\n[spool]\ndirectory = \"program\"\nhardware_serial = \"test\"\n\
             [uplink]\nhubs = [\"{}\"]\ncertificate_file = \"node.crt\"\nkey_file = \"node.key\"\n\
             reconnect_max = \"200 ms\"\n[host]\nenabled = false\n",
            self.address()
        );
        std::fs::write(path.join("agent.toml"), toml).unwrap();
        let program = Path::new(env!("CARGO_BIN_EXE_simpul-agent"));
        let launch = Launch::new("agent", program, &path.join("agent.log"))
            .argument("run")
            .argument("--config")
            .argument(path.join("agent.toml").display().to_string());
        let mut process = launch.start().unwrap();
        process.wait_for_line("connected to the hub", PATIENCE).await.unwrap();
        process
    }

    pub fn link_options(&self) -> LinkOptions {
        let tls = tls(self.directory.path(), "node");
        LinkOptions { node: NODE.parse().unwrap(), tls, last_will: vec![0] }
    }

    pub async fn agent_without_link(&self, name: &str) -> Spool {
        let config = SpoolConfig {
            directory: self.directory.path().join(name),
            service_bytes_max: 64 << 20,
            event_bytes_max: 16 << 20,
            reading_bytes_max: 64 << 20,
            snapshot_bytes_max: 64 << 20,
            kept_bytes_max: 16 << 20,
            kept_for: Duration::from_secs(3600),
            ballast_bytes: 64 << 10,
            hardware_serial: Some(name.to_string()),
        };
        Spool::open(&config, Clock::machine()).unwrap().0
    }

    pub async fn agent(&self, name: &str, change: impl FnOnce(&mut UplinkConfig)) -> Agent {
        let spool = self.agent_without_link(name).await;
        self.link(spool, change).await
    }

    pub async fn link(&self, spool: Spool, change: impl FnOnce(&mut UplinkConfig)) -> Agent {
        let mut config = self.uplink_config();
        change(&mut config);
        let clock = Clock::machine();
        let tls = client_config(&config, JudgingTime::new(clock.clone(), ClockTrust::Trust, 0)).unwrap();
        let (to_desk, commands) = mpsc::channel(4);
        let (status, shown) = watch::channel(UplinkStatus::default());
        let parts = Parts {
            buffer: spool.clone(),
            stamper: Stamper::new(1, clock.clone()),
            clock,
            node: NODE.parse().unwrap(),
            hardware: None,
            config,
            tls: tls.into(),
            commands: to_desk,
            status,
            seed: 7,
        };
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(Driver::new(parts).run(stopped));
        Agent { spool, shown, commands, stop, task: Some(task) }
    }
}

fn tls(directory: &Path, stem: &str) -> Arc<rustls::ClientConfig> {
    let config = UplinkConfig {
        hubs: Vec::new(),
        server_name: None,
        ca_file: directory.join("ca.pem"),
        certificate_file: directory.join(format!("{stem}.crt")),
        key_file: directory.join(format!("{stem}.key")),
        state_interval: Duration::ZERO,
        reconnect_max: Duration::ZERO,
        no_progress: Duration::ZERO,
        daily_bytes_max: None,
    };
    client_config(&config, JudgingTime::new(Clock::machine(), ClockTrust::Trust, 0)).unwrap()
}

pub struct Agent {
    pub spool: Spool,
    pub commands: mpsc::Receiver<(Command, Moment)>,
    shown: watch::Receiver<UplinkStatus>,
    stop: watch::Sender<bool>,
    task: Option<JoinHandle<()>>,
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.abort();
    }
}

impl Agent {
    pub fn status(&self) -> UplinkStatus {
        self.shown.borrow().clone()
    }

    async fn until_shown(&self, what: &str, reached: impl Fn(&UplinkStatus) -> bool) -> UplinkStatus {
        let mut shown = self.shown.clone();
        let status = tokio::time::timeout(PATIENCE, shown.wait_for(|status| reached(status))).await;
        status.unwrap_or_else(|_| panic!("{what}: {:?}", self.status())).unwrap().clone()
    }

    pub async fn until_up(&self) {
        self.until_shown("up", |status| status.up).await;
    }

    /// Until so many sessions came about.
    pub async fn until_sessions(&self, count: u64) {
        self.until_shown("sessions", |status| status.sessions >= count).await;
    }

    pub async fn until_error(&self) -> String {
        let status = self.until_shown("an error", |status| status.last_error.is_some()).await;
        status.last_error.unwrap()
    }

    async fn until_spool(&self, what: &str, reached: impl Fn(&SpoolState) -> bool) {
        let mut state = self.spool.state();
        if tokio::time::timeout(PATIENCE, state.wait_for(|state| reached(state))).await.is_err() {
            panic!("{what}: {:?}, {:?}", self.spool.state().borrow(), self.status());
        }
    }

    pub async fn until_drained(&self) {
        self.until_spool("drained", |state| Stream::ALL.iter().all(|s| state.stream(*s).owed.is_empty())).await;
    }

    /// Says goodbye.
    pub async fn stop(&mut self) {
        self.stop.send_replace(true);
        self.task.take().unwrap().await.unwrap();
    }

    /// Drops the connection without a word.
    pub fn abort(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

/// A hub that keeps interval sets and puts images together.
#[derive(Clone)]
pub struct Hub(Arc<Mutex<Inner>>);

struct Inner {
    have: [RangeSet; 4],
    parts: BTreeMap<u64, (Vec<u8>, RangeSet)>,
    images: Vec<Vec<u8>>,
    states: Vec<AgentState>,
    events: Vec<EventBody>,
    refuse: Option<(Stream, u64, RejectReason)>,
    lose_next: bool,
    lost: u64,
    subscribed: bool,
    client: Option<AsyncClient>,
}

const GENERATION: Generation = Generation::from_bytes([3; 16]);

fn at(stream: Stream) -> usize {
    usize::from(stream.number()) - 1
}

impl Hub {
    fn new() -> Hub {
        Hub(Arc::new(Mutex::new(Inner {
            have: Default::default(),
            parts: BTreeMap::new(),
            images: Vec::new(),
            states: Vec::new(),
            events: Vec::new(),
            refuse: None,
            lose_next: false,
            lost: 0,
            subscribed: false,
            client: None,
        })))
    }

    fn run(&self, port: u16, tls: Arc<rustls::ClientConfig>) {
        let mut options = MqttOptions::new("hub", "127.0.0.1", port);
        options.set_clean_session(false);
        options.set_max_packet_size(1 << 20, 1 << 20);
        options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(tls)));
        let (client, events) = AsyncClient::new(options, 1_000);
        self.0.lock().unwrap().client = Some(client.clone());
        tokio::spawn(self.clone().serve(client, events));
    }

    async fn serve(self, client: AsyncClient, mut events: EventLoop) {
        loop {
            match events.poll().await {
                Ok(Event::Incoming(Packet::ConnAck(_))) => {
                    client.try_subscribe("simpul/v1/#", QoS::AtLeastOnce).unwrap();
                }
                Ok(Event::Incoming(Packet::SubAck(_))) => self.0.lock().unwrap().subscribed = true,
                Ok(Event::Incoming(Packet::Publish(publish))) => {
                    if let Some(downlink) = self.receive(&publish.topic, &publish.payload) {
                        let topic = Topic::Ack(NODE.parse().unwrap()).to_string();
                        client.try_publish(topic, QoS::AtLeastOnce, false, downlink.to_vec()).unwrap();
                    }
                }
                Ok(_) => {}
                // The broker was killed: it comes back.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    fn receive(&self, topic: &str, payload: &[u8]) -> Option<Downlink> {
        match Topic::parse(topic)? {
            Topic::State(node) => {
                assert_eq!(node.as_str(), NODE);
                // A link without a driver has no state to will.
                let state = AgentState::from_slice(payload).ok()?;
                let online = state.online;
                self.0.lock().unwrap().states.push(state);
                let hub = HubState { generation: GENERATION, backed_up: Vec::new(), wall_ms: None };
                online.then_some(Downlink::Hub(hub))
            }
            Topic::Up(node, stream) => {
                assert_eq!(node.as_str(), NODE);
                let batch = Batch::open(payload).ok()?;
                assert_eq!(batch.header.stream, stream);
                self.commit(batch).map(Downlink::Ack)
            }
            _ => None,
        }
    }

    fn commit(&self, batch: Batch<'_>) -> Option<Ack> {
        let mut inner = self.0.lock().unwrap();
        let (range, stream) = (batch.header.range, batch.header.stream);
        let mut ack = Ack {
            generation: GENERATION,
            epoch: batch.header.epoch,
            stream,
            have: RangeSet::new(),
            rejected: Vec::new(),
            partial: Vec::new(),
            slow_down_ms: 0,
        };
        if let Some((of, seq, reason)) = inner.refuse
            && of == stream
            && range.contains(seq)
        {
            ack.rejected.push(Rejected { range, reason });
            return Some(ack);
        }
        match batch.decode().unwrap() {
            Body::Image(part) => inner.take_part(range.first(), part, &mut ack)?,
            body => {
                let news = inner.have[at(stream)].insert(range);
                if let Body::Event(records) = body
                    && !news.is_empty()
                {
                    inner.events.extend(records.into_iter().map(|record| record.body));
                }
                ack.have.insert(range);
            }
        }
        if std::mem::take(&mut inner.lose_next) {
            inner.lost += 1;
            return None;
        }
        Some(ack)
    }

    pub fn have(&self, stream: Stream) -> RangeSet {
        self.0.lock().unwrap().have[at(stream)].clone()
    }

    pub fn images(&self) -> Vec<Vec<u8>> {
        self.0.lock().unwrap().images.clone()
    }

    pub fn states(&self) -> Vec<AgentState> {
        self.0.lock().unwrap().states.clone()
    }

    pub fn events(&self) -> Vec<EventBody> {
        self.0.lock().unwrap().events.clone()
    }

    pub fn generation(&self) -> Generation {
        GENERATION
    }

    pub fn lost(&self) -> u64 {
        self.0.lock().unwrap().lost
    }

    pub fn lose_next_ack(&self) {
        self.0.lock().unwrap().lose_next = true;
    }

    pub fn refuse(&self, stream: Stream, seq: u64, reason: RejectReason) {
        self.0.lock().unwrap().refuse = Some((stream, seq, reason));
    }

    pub async fn command(&self, command: &Command) {
        let client = self.0.lock().unwrap().client.clone().unwrap();
        let topic = Topic::Command(NODE.parse().unwrap()).to_string();
        client.publish(topic, QoS::AtLeastOnce, false, command.to_vec()).await.unwrap();
    }

    async fn until(&self, what: &str, reached: impl Fn(&Inner) -> bool) {
        let look = || {
            let there = reached(&self.0.lock().unwrap());
            async move { there.then_some(()) }
        };
        wait::until(what, PATIENCE, look).await.unwrap();
    }

    async fn until_subscribed(&self) {
        self.until("the hub's subscription", |inner| inner.subscribed).await;
    }

    /// Until the last state says so.
    pub async fn until_online(&self, online: bool) {
        let what = format!("the state online={online}");
        self.until(&what, |inner| inner.states.last().is_some_and(|state| state.online == online)).await;
    }
}

impl Inner {
    fn take_part(&mut self, seq: u64, part: ImagePart, ack: &mut Ack) -> Option<()> {
        let length = part.meta.length as usize;
        let (bytes, have) = self.parts.entry(seq).or_insert_with(|| (vec![0; length], RangeSet::new()));
        let from = part.offset as usize;
        bytes[from..from + part.bytes.len()].copy_from_slice(&part.bytes);
        have.insert(SeqRange::with_count(from as u64, part.bytes.len() as u64).unwrap());
        let whole = SeqRange::with_count(0, length as u64).unwrap();
        if have.contains_range(whole) {
            let digest: [u8; 32] = Sha256::digest(&*bytes).into();
            assert_eq!(digest, part.meta.sha256);
            if self.have[at(Stream::Snapshot)].insert(SeqRange::one(seq)).len() == 1 {
                self.images.push(bytes.clone());
            }
            ack.have.insert(SeqRange::one(seq));
        } else if from + part.bytes.len() == length {
            ack.partial.push(PartialImage { seq, missing: have.missing_in(whole).into_iter().collect() });
        } else {
            return None;
        }
        Some(())
    }
}
