//! The uplink's loop: carries events to the scheduler and does what it says.
//!
//! Everything slow (reading the spool, storing an acknowledgement) is a future beside the loop, so that a PUBACK, an
//! alarm or a broken connection is noticed at once. Leaves to others: every decision ([`super::scheduler`]), the
//! connection ([`super::mqtt`]), what a command does (`crate::commands`).

mod ack_queue;
mod batch;
mod link_notes;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use rustls::ClientConfig;
use simpul_clock::{Clock, Moment};
use simpul_wire::ack::Downlink;
use simpul_wire::command::Command;
use simpul_wire::state::{AgentState, StreamState};
use simpul_wire::{Label, NodeId, Stream};
use tokio::sync::{mpsc, watch};

use super::buffer::Buffer;
use super::mqtt::{Link, LinkEvent, LinkOptions};
use super::scheduler::{Action, Event, Outcome, Scheduler, Settings, Ticket};
use super::tls::TlsSource;
use crate::config::UplinkConfig;
use crate::spool::SpoolState;
use crate::stamper::Stamper;
use ack_queue::AckQueue;
pub(crate) use batch::run_length;
use batch::{Prepared, prepare_batch, prepare_part};
use link_notes::LinkNotes;

/// A goodbye may take so long; then the last will says it.
const GOODBYE_MAX: Duration = Duration::from_secs(3);

/// What the uplink is given.
pub struct Parts<B> {
    /// The spool.
    pub buffer: B,
    /// Time.
    pub clock: Clock,
    /// Stamps, for the node's state and its events.
    pub stamper: Stamper,
    /// Whose records.
    pub node: NodeId,
    /// The serial of this machine, for whoever looks for it; nothing: it does not say.
    pub hardware: Option<Label>,
    /// How to get to the hub.
    pub config: UplinkConfig,
    /// TLS, asked at each connection.
    pub tls: TlsSource,
    /// Where commands go, with the moment of their receipt.
    pub commands: mpsc::Sender<(Command, Moment)>,
    /// Where the uplink's condition is shown.
    pub status: watch::Sender<UplinkStatus>,
    /// Seed of the reconnect jitter.
    pub seed: u64,
}

/// The uplink's condition, for people.
#[derive(Debug, Clone, Default)]
pub struct UplinkStatus {
    /// A session is up.
    pub up: bool,
    /// The hub that is, or was last, talked to.
    pub hub: String,
    /// Since when it is up, or down.
    pub since: Moment,
    /// The last acknowledgement of the hub.
    pub last_ack_at: Option<Moment>,
    /// Sessions that came about.
    pub sessions: u64,
    /// Why the last connection (attempt) ended.
    pub last_error: Option<String>,
    /// Records that the hub refused for good.
    pub refused_records: u64,
    /// Commands that could not be read or taken.
    pub commands_dropped: u64,
    /// Measured rate of the link in bytes per second.
    pub bytes_per_second: Option<f64>,
    /// Bytes that may be in flight.
    pub window_bytes: u32,
}

/// The loop's state.
pub struct Driver<B: Buffer> {
    parts: Parts<B>,
    scheduler: Scheduler,
    link: Option<Link>,
    /// TLS of the last connection: still good when its files are being replaced.
    tls: Option<Arc<ClientConfig>>,
    /// The publish that is being read.
    reading: Option<BoxFuture<'static, (Ticket, Prepared)>>,
    acks: AckQueue,
    notes: LinkNotes,
    status: UplinkStatus,
    /// What the scheduler has to hear next, in order.
    events: VecDeque<Event>,
}

/// What the loop woke up for.
enum Wake {
    Stop,
    Spool,
    Link(Option<LinkEvent>),
    Read(Ticket, Prepared),
    AckStored(bool),
    Noted,
    Deadline,
}

async fn optional<T>(future: &mut Option<BoxFuture<'static, T>>) -> T {
    match future {
        Some(running) => {
            let value = running.await;
            *future = None;
            value
        }
        None => std::future::pending().await,
    }
}

async fn next_of(link: &mut Option<Link>) -> Option<LinkEvent> {
    match link {
        Some(link) => link.next().await,
        None => std::future::pending().await,
    }
}

impl<B: Buffer> Driver<B> {
    /// Ready to run.
    pub fn new(parts: Parts<B>) -> Self {
        let settings = Settings {
            hubs: parts.config.hubs.len(),
            state_interval: parts.config.state_interval,
            reconnect_max: parts.config.reconnect_max,
            no_progress: parts.config.no_progress,
            daily_bytes_max: parts.config.daily_bytes_max,
            seed: parts.seed,
        };
        let now = parts.clock.now();
        Driver {
            scheduler: Scheduler::new(now, settings),
            parts,
            link: None,
            tls: None,
            reading: None,
            acks: AckQueue::default(),
            notes: LinkNotes::default(),
            status: UplinkStatus { since: now, ..UplinkStatus::default() },
            events: VecDeque::new(),
        }
    }

    /// Run until `shutdown` becomes true; then say goodbye.
    pub async fn run(mut self, mut shutdown: watch::Receiver<bool>) {
        let mut spool = self.parts.buffer.state();
        spool.mark_changed();
        loop {
            self.settle();
            let now = self.parts.clock.now();
            let deadline = self.scheduler.next_deadline(now);
            let wake = tokio::select! {
                biased;
                _ = shutdown.wait_for(|stop| *stop) => Wake::Stop,
                event = next_of(&mut self.link) => Wake::Link(event),
                stored = optional(&mut self.acks.storing) => Wake::AckStored(stored),
                Ok(()) = spool.changed() => Wake::Spool,
                (ticket, prepared) = optional(&mut self.reading) => Wake::Read(ticket, prepared),
                () = optional(&mut self.notes.appending) => Wake::Noted,
                () = until(deadline, now) => Wake::Deadline,
            };
            match wake {
                Wake::Stop => return self.goodbye().await,
                Wake::Spool => {
                    let state = spool.borrow_and_update().clone();
                    self.events.push_back(Event::Spool(Box::new(state)));
                }
                Wake::Link(event) => self.linked(event),
                Wake::Read(ticket, prepared) => self.publish(ticket, prepared),
                Wake::AckStored(true) | Wake::Noted => {}
                Wake::AckStored(false) => self.events.push_back(Event::AckLost),
                Wake::Deadline => self.events.push_back(Event::Tick),
            }
        }
    }

    /// Let the scheduler hear everything, and do what it says.
    fn settle(&mut self) {
        while let Some(event) = self.events.pop_front() {
            let now = self.parts.clock.now();
            for action in self.scheduler.handle(now, event) {
                self.perform(now, action);
            }
        }
        self.acks.start(&self.parts.buffer);
        self.notes.start(&self.parts.buffer, &self.parts.stamper);
        self.show();
    }

    fn show(&mut self) {
        self.status.bytes_per_second = self.scheduler.bytes_per_second();
        self.status.window_bytes = self.scheduler.window_bytes();
        // Nobody has to look.
        self.parts.status.send_replace(self.status.clone());
    }

    fn perform(&mut self, now: Moment, action: Action) {
        let buffer = self.parts.buffer.clone();
        match action {
            Action::Connect { hub } => self.connect(now, hub),
            Action::Disconnect(why) => self.down(now, why.to_string()),
            Action::Read { ticket, epoch, stream, range, bytes_max, records_max } => {
                let node = self.parts.node.clone();
                self.reading = Some(Box::pin(async move {
                    let read = buffer.read(epoch, stream, range, bytes_max, records_max).await;
                    (ticket, prepare_batch(&node, epoch, stream, range, read))
                }));
            }
            Action::ReadPart { ticket, epoch, seq, offset, bytes_max } => {
                let node = self.parts.node.clone();
                self.reading = Some(Box::pin(async move {
                    let read = buffer.read_part(epoch, seq, offset, bytes_max).await;
                    (ticket, prepare_part(&node, epoch, seq, read))
                }));
            }
            Action::PublishState { ticket } => {
                let payload = self.state(true);
                let sent = self.link.as_ref().and_then(|link| link.publish_state(ticket, payload).ok());
                let outcome = sent.map_or(Outcome::Failed, |bytes| Outcome::State { bytes });
                self.events.push_back(Event::Sent(ticket, outcome));
            }
            Action::SpoolAck(ack) => {
                let refused: u64 = ack.rejected.iter().map(|rejected| rejected.range.count()).sum();
                if refused > 0 {
                    self.status.refused_records += refused;
                    tracing::error!(
                        stream = %ack.stream, records = refused, rejected = ?ack.rejected,
                        "the hub refuses records for good; they are counted as lost or kept for a newer hub"
                    );
                }
                if !self.acks.push_ack(ack) {
                    self.events.push_back(Event::AckLost);
                }
            }
            Action::SpoolHub(hub) => self.acks.push_hub(hub),
        }
    }

    fn connect(&mut self, now: Moment, hub: usize) {
        let address = self.parts.config.hubs.get(hub).cloned().unwrap_or_default();
        self.status.hub.clone_from(&address);
        match self.parts.tls.get() {
            Ok(tls) => self.tls = Some(tls),
            Err(error) => tracing::warn!(error, "certificate, key or CA cannot be read; those of before are used"),
        }
        let Some(tls) = self.tls.clone() else {
            return self.down(now, "certificate, key or CA cannot be read".to_string());
        };
        let options = LinkOptions { node: self.parts.node.clone(), tls, last_will: self.state(false) };
        self.link = Link::connect(&address, options);
        if self.link.is_none() {
            let address = self.status.hub.clone();
            self.down(now, format!("{address:?} is no host:port"));
        }
    }

    fn down(&mut self, now: Moment, why: String) {
        self.link = None;
        if self.status.up {
            tracing::warn!(hub = %self.status.hub, %why, "the connection to the hub ended");
            self.status.up = false;
            self.status.since = now;
            self.notes.down(now, &why);
        } else {
            tracing::info!(hub = %self.status.hub, %why, "no connection to the hub");
        }
        self.status.last_error = Some(why);
        self.events.push_back(Event::Disconnected);
    }

    fn linked(&mut self, event: Option<LinkEvent>) {
        let now = self.parts.clock.now();
        match event {
            Some(LinkEvent::Connected { session_present }) => {
                let was_down_s = now.since(self.status.since).as_secs();
                tracing::info!(hub = %self.status.hub, session_present, was_down_s, "connected to the hub");
                self.status.up = true;
                self.status.since = now;
                self.status.sessions += 1;
                self.notes.up(now, &self.status.hub);
                self.events.push_back(Event::Connected);
            }
            Some(LinkEvent::PubAcked(ticket)) => self.events.push_back(Event::PubAcked(ticket)),
            Some(LinkEvent::Downlink(payload)) => self.downlink(now, &payload),
            Some(LinkEvent::Command(payload)) => self.command(now, &payload),
            Some(LinkEvent::Down(why)) => self.down(now, why),
            None => self.down(now, "the connection's task ended".to_string()),
        }
    }

    fn downlink(&mut self, now: Moment, payload: &[u8]) {
        match Downlink::from_slice(payload) {
            Ok(Downlink::Ack(ack)) => {
                self.status.last_ack_at = Some(now);
                for rejected in &ack.rejected {
                    let (stream, range, reason) = (ack.stream, rejected.range, rejected.reason);
                    tracing::warn!(%stream, %range, %reason, "the hub refuses a publish");
                }
                self.events.push_back(Event::Acked(ack));
            }
            Ok(Downlink::Hub(hub)) => {
                if let Some(wall_ms) = hub.wall_ms {
                    self.parts.stamper.hub_says(wall_ms);
                }
                self.events.push_back(Event::Hub(hub));
            }
            Err(error) => tracing::warn!(%error, "an acknowledgement cannot be read; its records stay owed"),
        }
    }

    fn command(&mut self, now: Moment, payload: &[u8]) {
        let taken = match Command::from_slice(payload) {
            Ok(command) => self.parts.commands.try_send((command, now)).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = taken {
            self.status.commands_dropped += 1;
            tracing::warn!(%error, "a command was dropped");
        }
    }

    fn publish(&mut self, ticket: Ticket, prepared: Prepared) {
        let outcome = match (prepared, &self.link) {
            (Prepared::Payload(payload), Some(link)) => payload.publish(ticket, link),
            (Prepared::Payload(_), None) => Outcome::Failed,
            (Prepared::Nothing(outcome), _) => outcome,
        };
        self.events.push_back(Event::Sent(ticket, outcome));
    }

    fn state(&self, online: bool) -> Vec<u8> {
        agent_state(&self.parts.buffer.state().borrow(), &self.parts, online).to_vec()
    }

    /// Tell the room that this is a goodbye and no failure, then close.
    async fn goodbye(mut self) {
        // What was acknowledged and not yet stored is sent again by the next run; the hub dedupes.
        let payload = self.state(false);
        let Some(link) = self.link.as_mut().filter(|_| self.status.up) else { return };
        let said = async {
            // The scheduler is silent from here on: no ticket of its own can follow this one.
            if link.publish_state(Ticket::MAX, payload).is_err() {
                return;
            }
            while let Some(event) = link.next().await {
                match event {
                    LinkEvent::PubAcked(Ticket::MAX) => break,
                    LinkEvent::Down(_) => return,
                    _ => {}
                }
            }
            link.disconnect();
            while let Some(event) = link.next().await {
                if matches!(event, LinkEvent::Down(_)) {
                    return;
                }
            }
        };
        if tokio::time::timeout(GOODBYE_MAX, said).await.is_err() {
            tracing::warn!("the hub did not take the goodbye in time; the last will says it");
        }
    }
}

async fn until(deadline: Option<Moment>, now: Moment) {
    match deadline {
        // Tokio's timer has milliseconds: a rest below one would make the loop spin.
        Some(at) => tokio::time::sleep(at.since(now).max(Duration::from_millis(1))).await,
        None => std::future::pending().await,
    }
}

fn agent_state<B>(spool: &SpoolState, parts: &Parts<B>, online: bool) -> AgentState {
    let streams = Stream::ALL.into_iter().map(|stream| {
        let status = spool.stream(stream);
        let (backlog_records, backlog_bytes) = spool.backlog(stream);
        StreamState {
            stream,
            next_seq: status.next_seq,
            backlog_records,
            backlog_bytes,
            limit_bytes: status.limit_bytes,
            lost_records: status.lost_records,
            oldest_uptime_ms: status.oldest_uptime_ms,
        }
    });
    AgentState {
        online,
        epoch: spool.epoch,
        stamp: parts.stamper.now(),
        version: crate::version(),
        interval_s: u32::try_from(parts.config.state_interval.as_secs()).unwrap_or(u32::MAX),
        generation: spool.generation,
        streams: streams.collect(),
        hardware: parts.hardware.clone(),
        platform: simpul_wire::update::THIS_PLATFORM.parse().ok(),
    }
}
