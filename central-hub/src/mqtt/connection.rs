//! One connection: moves bytes between a socket and its [`super::session`], and publishes between the session and
//! intake. One task, polled by hand: each wake reads all there is, then writes once.
//!
//! Buffers exist only while there is something in them: 10,000 idle connections keep none. Leaves the protocol to the
//! session, admission to [`super::admission`].

use std::collections::VecDeque;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use rumqttc::mqttbytes::QoS;
use simpul_clock::Moment;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tracing::{debug, warn};

use super::budget::Grant;
use super::codec::{Decoder, Frame, Wanted};
use super::registry::Cell;
use super::session::{Action, Close};
use super::shared::{Shared, incoming_will};
use super::stats::add;
use super::{Incoming, Publish, Receipt};

/// The first read of a wake: most agents send less.
const READ_BYTES_MIN: usize = 4 * 1024;

/// The largest: two TLS records. Busy connections get there by doubling.
const READ_BYTES_MAX: usize = 32 * 1024;

/// Messages are queued into the output until it holds this much; then the socket has to take some.
const OUTPUT_FULL_BYTES: usize = 64 * 1024;

/// Answers alone never fill more than the above; a client that asks on and never reads is cut off here.
const OUTPUT_BYTES_MAX: usize = 4 * OUTPUT_FULL_BYTES;

/// Frames up to this need no grant: as many as there are connections fit into the budget of an idle connection.
const UNGRANTED_BYTES_MAX: usize = 512;

/// Payloads up to this are copied out of the read buffer, so that a few bytes do not pin all of it.
const COPY_BYTES_MAX: usize = 1_024;

/// Steps of a replay in one wake, before others get their turn.
const REPLAY_STEPS: usize = 8;

/// How long a connection may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

type Permit = Pin<Box<dyn Future<Output = Result<mpsc::OwnedPermit<Incoming>, mpsc::error::SendError<()>>> + Send>>;

/// A connection whose client has been admitted.
pub(crate) struct Connection<S> {
    stream: S,
    shared: Arc<Shared>,
    cell: Arc<Cell>,
    number: u64,
    decoder: Decoder,
    input: BytesMut,
    output: BytesMut,
    read_bytes: usize,
    /// For the frame at the front of the input.
    grant: Option<Grant>,
    /// Since when the front of the input is half a frame.
    half_since: Option<Moment>,
    /// The server itself is why nothing was read: then silence is not the client's.
    held_back: bool,
    receipts: VecDeque<(oneshot::Receiver<()>, Option<Grant>)>,
    /// On the way to intake.
    backlog: VecDeque<Incoming>,
    permit: Option<Permit>,
    actions: Vec<Action>,
    timer: Pin<Box<Sleep>>,
    timer_at: Moment,
    refusal_logged: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// `input` is what the client sent behind its CONNECT, `output` begins with the CONNACK.
    pub(crate) fn new(
        stream: S,
        (shared, cell, number): (Arc<Shared>, Arc<Cell>, u64),
        (input, output): (BytesMut, BytesMut),
        backlog: VecDeque<Incoming>,
    ) -> Connection<S> {
        Connection {
            stream,
            shared,
            cell,
            number,
            decoder: Decoder::default(),
            input,
            output,
            read_bytes: READ_BYTES_MIN,
            grant: None,
            half_since: None,
            held_back: false,
            receipts: VecDeque::new(),
            backlog,
            permit: None,
            actions: Vec::new(),
            timer: Box::pin(sleep_until(Instant::now())),
            timer_at: Moment::ZERO,
            refusal_logged: false,
        }
    }

    /// Serve the client until either side ends it.
    pub(crate) async fn run(mut self) {
        let reason = std::future::poll_fn(|cx| self.poll(cx)).await;
        self.shared.budget.forget(self.number);
        let name = self.cell.key.identity.clone();
        match &reason {
            Close::Violation(violation) => {
                add(&self.shared.counters.violations, 1);
                warn!(client = %name, "MQTT connection closed: protocol violation: {violation}");
            }
            reason => debug!(client = %name, "MQTT connection closed: {reason}"),
        }
        match reason {
            Close::KeepAlive => add(&self.shared.counters.keepalive_timeouts, 1),
            Close::HalfPacket => add(&self.shared.counters.half_packet_timeouts, 1),
            Close::NotTaken => add(&self.shared.counters.not_taken, 1),
            _ => {}
        }
        self.farewell(&reason).await;
        let _ = timeout(GOODBYE, async {
            self.stream.write_all(&self.output).await?;
            self.stream.shutdown().await
        })
        .await;
    }

    /// Give the session back; the last will and the news of the end go to intake before anything of the client's next
    /// connection can.
    async fn farewell(&mut self, reason: &Close) {
        // What was received before the end comes before the will.
        while let Some(incoming) = self.backlog.pop_front() {
            if self.shared.incoming.send(incoming).await.is_err() {
                break;
            }
        }
        let permits = self.shared.incoming.reserve_many(2).await.ok();
        let now = self.shared.clock.now();
        let mut due = None;
        self.shared.registry.detach(&self.cell, self.number, now, |will, gone| {
            let mut permits = permits.into_iter().flatten();
            let node = self.cell.lock().identity.node().cloned();
            if let (Some(will), Some(node)) = (will.filter(|_| reason.wills()), &node) {
                if let Some(permit) = permits.next() {
                    permit.send(incoming_will(node.clone(), &will));
                }
                due = Some(will);
            }
            if let (true, Some(node), Some(permit)) = (gone, node, permits.next()) {
                permit.send(Incoming::Disconnected(node, reason.to_string()));
            }
        });
        if let Some(will) = due {
            self.shared.publish(will.topic, will.message, will.qos, will.retain);
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Close> {
        match self.wake(cx) {
            Ok(()) => Poll::Pending,
            Err(reason) => {
                let _ = self.write(cx);
                Poll::Ready(reason)
            }
        }
    }

    fn wake(&mut self, cx: &mut Context<'_>) -> Result<(), Close> {
        let now = self.shared.clock.now();
        self.wishes(cx)?;
        self.settle(cx)?;
        self.take_in(cx, now)?;
        // What was taken in may have been committed already.
        self.settle(cx)?;
        self.write(cx)?;
        self.watch_time(cx, now)
    }

    /// What others want of this connection.
    fn wishes(&self, cx: &Context<'_>) -> Result<(), Close> {
        let session = self.cell.lock();
        if session.connection != Some(self.number) {
            return Err(Close::TakenOver);
        }
        // Under the lock: a connection that has lost the session must not take the wakes of the one that has it.
        self.cell.wake.register(cx.waker());
        match &session.closing {
            Some(reason) => Err(reason.clone()),
            None => Ok(()),
        }
    }

    /// Acknowledge what has been committed, in order.
    fn settle(&mut self, cx: &mut Context<'_>) -> Result<(), Close> {
        while let Some((receipt, _)) = self.receipts.front_mut() {
            match Pin::new(receipt).poll(cx) {
                Poll::Pending => return Ok(()),
                // Dropped: the publish was not taken. MQTT 3.1.1 clients send again on their next connection only.
                Poll::Ready(Err(_)) => return Err(Close::NotTaken),
                Poll::Ready(Ok(())) => {
                    self.receipts.pop_front();
                    let mut session = self.cell.lock();
                    if session.connection != Some(self.number) {
                        return Err(Close::TakenOver);
                    }
                    session.committed(&mut self.output);
                }
            }
        }
        if self.receipts.capacity() > 0 {
            self.receipts = VecDeque::new();
        }
        Ok(())
    }

    /// Read and handle frames until the socket has no more, or one of the limits says wait.
    fn take_in(&mut self, cx: &mut Context<'_>, now: Moment) -> Result<(), Close> {
        loop {
            self.held_back = true;
            if !self.hand_over(cx) || !self.has_room()? {
                return Ok(());
            }
            if self.output.len() > OUTPUT_BYTES_MAX {
                return Err(Close::SlowReader);
            }
            let wanted = self.decoder.wanted(&self.input)?;
            if let Wanted::Frame(bytes) = wanted
                && bytes > UNGRANTED_BYTES_MAX
                && self.grant.is_none()
            {
                self.grant = self.shared.budget.take(bytes, self.number, cx.waker());
                if self.grant.is_none() {
                    return Ok(());
                }
            }
            self.held_back = false;
            match self.decoder.next(&mut self.input)? {
                Some(frame) => {
                    self.half_since = None;
                    self.handle(frame)?;
                    self.grant = None;
                }
                None => {
                    if !self.fill(cx, now, &wanted)? {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn has_room(&self) -> Result<bool, Close> {
        let session = self.cell.lock();
        if session.connection == Some(self.number) { Ok(session.has_room()) } else { Err(Close::TakenOver) }
    }

    /// Read once. False if the socket has nothing now.
    fn fill(&mut self, cx: &mut Context<'_>, now: Moment, wanted: &Wanted) -> Result<bool, Close> {
        let missing = match wanted {
            Wanted::Frame(bytes) => bytes.saturating_sub(self.input.len()),
            Wanted::Header | Wanted::Discard => 0,
        };
        self.input.reserve(missing.max(self.read_bytes));
        let read = pin!(self.stream.read_buf(&mut self.input)).poll(cx);
        match read {
            Poll::Ready(Ok(0)) => Err(Close::Lost("closed by the client without a goodbye".into())),
            Poll::Ready(Ok(count)) => {
                add(&self.shared.counters.bytes_in, count as u64);
                self.cell.lock().heard(now);
                match wanted {
                    // A discarded publish holds no memory: it may take as long as its link needs, if it moves.
                    Wanted::Discard => self.half_since = Some(now),
                    Wanted::Frame(_) | Wanted::Header => drop(self.half_since.get_or_insert(now)),
                }
                if count >= self.read_bytes {
                    self.read_bytes = (self.read_bytes * 2).min(READ_BYTES_MAX);
                }
                Ok(true)
            }
            Poll::Ready(Err(error)) => Err(Close::Lost(error.to_string())),
            Poll::Pending => {
                if self.input.is_empty() {
                    self.half_since = None;
                    self.input = BytesMut::new();
                    self.read_bytes = READ_BYTES_MIN;
                }
                Ok(false)
            }
        }
    }

    fn handle(&mut self, frame: Frame) -> Result<(), Close> {
        let mut actions = std::mem::take(&mut self.actions);
        let outcome = {
            let mut session = self.cell.lock();
            if session.connection != Some(self.number) {
                return Err(Close::TakenOver);
            }
            session.frame(frame, &mut self.output, &mut actions)
        };
        for action in actions.drain(..) {
            self.act(action);
        }
        self.actions = actions;
        outcome
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Forward(publish) => self.forward(publish),
            Action::Reject(oversize) => self.shared.reject(&oversize),
            Action::Subscribe(granted) => self.shared.registry.subscribe(&self.cell, granted),
            Action::Unsubscribe(filters) => self.shared.registry.unsubscribe(&self.cell, &filters),
            Action::Announce => {
                let node = self.cell.lock().identity.node().cloned();
                if self.shared.registry.announce(&self.cell, self.number) {
                    self.backlog.extend(node.map(Incoming::Connected));
                }
            }
            Action::Refused(topic) => {
                add(&self.shared.counters.publishes_refused, 1);
                if !self.refusal_logged {
                    self.refusal_logged = true;
                    let client = &self.cell.key.identity;
                    warn!(%client, ?topic, "publish refused: not its own topic (further ones are only counted)");
                }
            }
        }
    }

    fn forward(&mut self, publish: rumqttc::mqttbytes::v4::Publish) {
        add(&self.shared.counters.publishes_in, 1);
        // The access rules let only a node's own topics through.
        let Some(node) = self.cell.lock().identity.node().cloned() else { return };
        self.shared.route_copy(&publish.topic, &publish.payload, publish.qos, publish.retain);
        let receipt = if publish.qos == QoS::AtMostOnce {
            Receipt::nobody()
        } else {
            let (receipt, done) = Receipt::new();
            self.receipts.push_back((done, self.grant.take()));
            receipt
        };
        let payload = if publish.payload.len() <= COPY_BYTES_MAX {
            Bytes::copy_from_slice(&publish.payload)
        } else {
            publish.payload
        };
        self.backlog.push_back(Incoming::Publish(Publish {
            node,
            topic: publish.topic,
            payload,
            retain: publish.retain,
            receipt,
        }));
    }

    /// Move the backlog to intake. False while intake is full; its next free place wakes the connection.
    fn hand_over(&mut self, cx: &mut Context<'_>) -> bool {
        while !self.backlog.is_empty() {
            let permit = match self.permit.take() {
                None => match self.shared.incoming.clone().try_reserve_owned() {
                    Ok(permit) => permit,
                    Err(mpsc::error::TrySendError::Full(sender)) => {
                        self.permit = Some(Box::pin(sender.reserve_owned()));
                        continue;
                    }
                    Err(mpsc::error::TrySendError::Closed(_)) => return self.discard_backlog(),
                },
                Some(mut waiting) => match waiting.as_mut().poll(cx) {
                    Poll::Ready(Ok(permit)) => permit,
                    Poll::Ready(Err(_)) => return self.discard_backlog(),
                    Poll::Pending => {
                        self.permit = Some(waiting);
                        return false;
                    }
                },
            };
            if let Some(incoming) = self.backlog.pop_front() {
                permit.send(incoming);
            }
        }
        if self.backlog.capacity() > 0 {
            self.backlog = VecDeque::new();
        }
        true
    }

    /// Intake has ended. The receipts are dropped with the publishes, so none of them is acknowledged.
    fn discard_backlog(&mut self) -> bool {
        self.backlog.clear();
        true
    }

    /// Queue what may be sent and hand it to the socket.
    fn write(&mut self, cx: &mut Context<'_>) -> Result<(), Close> {
        let lost = |error: std::io::Error| Close::Lost(error.to_string());
        let mut replay_steps = 0;
        loop {
            let replaying = {
                let mut session = self.cell.lock();
                if session.connection != Some(self.number) {
                    return Err(Close::TakenOver);
                }
                session.outbound.write(&mut self.output, OUTPUT_FULL_BYTES);
                session.outbound.replaying().map(|replay| (replay.filter.clone(), replay.after.clone()))
            };
            if let Some((filter, after)) = replaying.filter(|_| self.output.len() < OUTPUT_FULL_BYTES) {
                if replay_steps < REPLAY_STEPS {
                    replay_steps += 1;
                    let (found, next) = self.shared.registry.retained().step(&filter, after.as_deref());
                    self.cell.lock().outbound.replayed(&filter, found, next);
                    continue;
                }
                cx.waker().wake_by_ref();
            }
            if self.output.is_empty() {
                self.output = BytesMut::new();
                // Also what a former wake could not flush.
                return match Pin::new(&mut self.stream).poll_flush(cx) {
                    Poll::Ready(Err(error)) => Err(lost(error)),
                    Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
                };
            }
            match Pin::new(&mut self.stream).poll_write(cx, &self.output) {
                Poll::Ready(Ok(0)) => return Err(Close::Lost("closed by the client".into())),
                Poll::Ready(Ok(count)) => self.output.advance(count),
                Poll::Ready(Err(error)) => return Err(lost(error)),
                Poll::Pending => return Ok(()),
            }
        }
    }

    /// Silence, and packets that stay half received.
    fn watch_time(&mut self, cx: &mut Context<'_>, now: Moment) -> Result<(), Close> {
        let half_packet = Duration::from_millis(self.shared.limits.half_packet_timeout_ms);
        if self.held_back {
            self.half_since = None;
            self.cell.lock().heard(now);
        }
        let silent_at = self.cell.lock().silent_at();
        let half_at = self.half_since.map(|since| since + half_packet);
        let next = half_at.map_or(silent_at, |at| at.min(silent_at));
        if next <= now {
            return Err(if half_at.is_some_and(|at| at <= now) { Close::HalfPacket } else { Close::KeepAlive });
        }
        // A deadline that moved on is looked at when the timer fires; only an earlier one needs another timer.
        if self.timer_at <= now || next < self.timer_at {
            self.timer_at = next;
            self.timer.as_mut().reset(Instant::now() + next.since(now));
        }
        if self.timer.as_mut().poll(cx).is_ready() {
            self.timer_at = Moment::ZERO;
            cx.waker().wake_by_ref();
        }
        Ok(())
    }
}
