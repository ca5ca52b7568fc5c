//! All sessions, who subscribed to what, and what is retained. Routes messages to sessions and wakes their
//! connections; never waits.
//!
//! Sessions are keyed by identity *and* client id: a node cannot take over another's session by using its client id.
//! Lock order: registry, then session. A session's lock is never held while the registry is asked for.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::{Connect, LastWill};
use simpul_clock::Moment;
use simpul_wire::NodeId;

use super::acl::Identity;
use super::config::Limits;
use super::outbound::{Delivery, Queued};
use super::retained::Retained;
use super::revocation::Serial;
use super::session::{Close, Message, Session};
use super::stats::{Counters, add};
use super::topic::{literal_prefix, matches};

/// Identity and client id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SessionKey {
    pub(crate) identity: Arc<str>,
    pub(crate) client_id: Box<str>,
}

/// A session where its connection and the router meet.
#[derive(Debug)]
pub(crate) struct Cell {
    pub(crate) key: SessionKey,
    pub(crate) wake: AtomicWaker,
    state: Mutex<Session>,
}

impl Cell {
    /// The session. Its methods leave it whole even if a caller panics between two of them.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Session> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self, reason: Close) {
        self.lock().closing = Some(reason);
        self.wake.wake();
    }
}

/// A session was given to a connection.
#[derive(Debug)]
pub(crate) struct Attached {
    pub(crate) cell: Arc<Cell>,
    /// It existed before (CONNACK's session present).
    pub(crate) present: bool,
    /// The last will of the connection that had it: due now, before anything of the new one.
    pub(crate) will: Option<Box<LastWill>>,
    /// The node can be reached on its `ack` topic already.
    pub(crate) announced: bool,
}

#[derive(Debug)]
struct Subscription {
    cell: Arc<Cell>,
    filter: Box<str>,
    qos: QoS,
}

#[derive(Debug, Default)]
struct Inner {
    sessions: BTreeMap<SessionKey, Arc<Cell>>,
    /// Subscriptions whose first three levels (`simpul/v1/<node>`) are literal, by those: one node's publish looks at
    /// one node's subscriptions.
    narrow: HashMap<Box<str>, Vec<Subscription>>,
    /// All others: operators'.
    wide: Vec<Subscription>,
    /// Sessions whose client is away, in the order in which they went.
    offline: BTreeMap<u64, (Moment, Arc<Cell>)>,
    offline_next: u64,
    /// How many announced sessions a node has.
    reachable: HashMap<NodeId, u32>,
}

/// The registry.
#[derive(Debug)]
pub(crate) struct Registry {
    inner: RwLock<Inner>,
    retained: Mutex<Retained>,
    limits: Limits,
    counters: Arc<Counters>,
}

impl Registry {
    pub(crate) fn new(limits: Limits, counters: Arc<Counters>) -> Registry {
        let retained = Mutex::new(Retained::new(limits.retained_bytes_max));
        Registry { inner: RwLock::default(), retained, limits, counters }
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn retained(&self) -> MutexGuard<'_, Retained> {
        self.retained.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Give the client's session to a connection; `None` if its identity has too many live ones.
    pub(crate) fn attach(
        &self,
        identity: &Arc<Identity>,
        certificate: &Serial,
        connect: Connect,
        connection: u64,
        now: Moment,
    ) -> Option<Attached> {
        let key = SessionKey { identity: identity.name().into(), client_id: connect.client_id.as_str().into() };
        let mut inner = self.write();
        let mut will = None;
        let mut kept = None;
        if let Some(cell) = inner.sessions.get(&key).cloned() {
            let mut session = cell.lock();
            will = session.will.take();
            if session.announced {
                inner.unreachable(&session);
            }
            let clean = session.clean || connect.clean_session;
            session.detach();
            drop(session);
            // A connection that had it finds that it is no longer its own.
            cell.wake.wake();
            if clean {
                inner.remove(&cell);
            } else {
                inner.no_longer_offline(&cell);
                kept = Some(cell);
            }
        }
        let present = kept.is_some();
        let cell = match kept {
            Some(cell) => cell,
            None => {
                self.make_room(&mut inner, identity)?;
                let state = Mutex::new(Session::new(identity.clone()));
                let cell = Arc::new(Cell { key: key.clone(), wake: AtomicWaker::new(), state });
                inner.sessions.insert(key, cell.clone());
                cell
            }
        };
        let mut session = cell.lock();
        session.attach(connection, connect, now);
        session.certificate = Some(certificate.clone());
        let announced = session.hears_acknowledgements();
        if announced {
            inner.reachable(&mut session);
        }
        drop(session);
        Some(Attached { cell, present, will, announced })
    }

    /// Room for one more session of an identity: its offline ones give way.
    fn make_room(&self, inner: &mut Inner, identity: &Identity) -> Option<()> {
        let limit = match identity {
            Identity::Node(_) => self.limits.sessions_per_node_max,
            Identity::Operator(_) => self.limits.sessions_per_operator_max,
        };
        let first = SessionKey { identity: identity.name().into(), client_id: "".into() };
        let own: Vec<Arc<Cell>> = inner
            .sessions
            .range(first..)
            .take_while(|(key, _)| *key.identity == *identity.name())
            .map(|(_, cell)| cell.clone())
            .collect();
        if own.len() < limit {
            return Some(());
        }
        let away = own.into_iter().find(|cell| cell.lock().connection.is_none())?;
        inner.remove(&away);
        add(&self.counters.sessions_expired, 1);
        Some(())
    }

    /// A connection ended. If the session is still its own, `farewell` is told the last will, and whether the node can
    /// no longer be reached through any session; it must not wait, nor ask the registry.
    pub(crate) fn detach(
        &self,
        cell: &Arc<Cell>,
        connection: u64,
        now: Moment,
        farewell: impl FnOnce(Option<Box<LastWill>>, bool),
    ) {
        let mut inner = self.write();
        let mut session = cell.lock();
        if session.connection != Some(connection) {
            return;
        }
        let will = session.will.take();
        let gone = session.announced && inner.unreachable(&session);
        session.detach();
        let clean = session.clean;
        let order = inner.offline_next;
        session.away = (!clean).then_some(order);
        drop(session);
        // Under the lock: whatever the client's next connection sends comes behind it.
        farewell(will, gone);
        if clean {
            inner.remove(cell);
        } else {
            inner.offline_next += 1;
            inner.offline.insert(order, (now, cell.clone()));
            while inner.offline.len() > self.limits.offline_sessions_max {
                self.expire_oldest(&mut inner);
            }
        }
    }

    /// Forget sessions whose clients have been away for too long.
    pub(crate) fn sweep(&self, now: Moment) {
        let expiry = Duration::from_millis(self.limits.session_expiry_ms);
        let mut inner = self.write();
        while inner.offline.first_key_value().is_some_and(|(_, (since, _))| now.since(*since) >= expiry) {
            self.expire_oldest(&mut inner);
        }
    }

    fn expire_oldest(&self, inner: &mut Inner) {
        if let Some((_, (_, cell))) = inner.offline.pop_first() {
            inner.remove(&cell);
            add(&self.counters.sessions_expired, 1);
        }
    }

    /// The connection's node can be reached from now on. False if the connection no longer has the session.
    pub(crate) fn announce(&self, cell: &Arc<Cell>, connection: u64) -> bool {
        let mut inner = self.write();
        let mut session = cell.lock();
        if session.connection != Some(connection) {
            return false;
        }
        if !session.announced {
            inner.reachable(&mut session);
        }
        true
    }

    /// Whether a node has a live session that hears its `ack` topic.
    pub(crate) fn is_reachable(&self, node: &NodeId) -> bool {
        self.read().reachable.contains_key(node)
    }

    /// Index subscriptions that the session granted, and begin their replay.
    pub(crate) fn subscribe(&self, cell: &Arc<Cell>, granted: Vec<(String, QoS)>) {
        let mut inner = self.write();
        // The session may have been removed meanwhile (taken over by a clean one).
        if !inner.sessions.get(&cell.key).is_some_and(|known| Arc::ptr_eq(known, cell)) {
            return;
        }
        for (filter, qos) in granted {
            inner.unsubscribe(cell, &filter);
            cell.lock().outbound.replay(&filter, qos);
            let subscription = Subscription { cell: cell.clone(), filter: filter.as_str().into(), qos };
            match narrow_key(literal_prefix(&filter), filter.contains(['+', '#'])) {
                Some(key) => inner.narrow.entry(key.into()).or_default().push(subscription),
                None => inner.wide.push(subscription),
            }
        }
    }

    /// Take subscriptions out of the index.
    pub(crate) fn unsubscribe(&self, cell: &Arc<Cell>, filters: &[String]) {
        let mut inner = self.write();
        for filter in filters {
            inner.unsubscribe(cell, filter);
            cell.lock().outbound.forget(filter);
        }
    }

    /// Whether anybody could be interested: spares the copy of a payload.
    pub(crate) fn has_readers(&self, topic: &str) -> bool {
        self.read().matching(topic).next().is_some()
    }

    /// Route a message to its subscribers, one copy to each, at the best quality of its matching filters.
    pub(crate) fn route(&self, message: &Arc<Message>, qos: QoS) {
        let mut readers: Vec<(Arc<Cell>, QoS)> = Vec::new();
        for subscription in self.read().matching(&message.topic) {
            match readers.iter_mut().find(|(cell, _)| Arc::ptr_eq(cell, &subscription.cell)) {
                Some((_, best)) if (*best as u8) < subscription.qos as u8 => *best = subscription.qos,
                Some(_) => {}
                None => readers.push((subscription.cell.clone(), subscription.qos)),
            }
        }
        for (cell, granted) in readers {
            let qos = if (granted as u8) < qos as u8 { granted } else { qos };
            // Live messages carry no retain flag (3.3.1-9).
            let delivery = Delivery { message: message.clone(), qos, retain: false };
            let queued = cell.lock().outbound.deliver(delivery, &self.limits);
            match queued {
                Queued::Yes => {
                    add(&self.counters.publishes_out, 1);
                    cell.wake.wake();
                }
                Queued::Away => {}
                Queued::Slow => add(&self.counters.dropped_slow_reader, 1),
                Queued::Full => add(&self.counters.dropped_queue_full, 1),
            }
        }
    }

    /// Keep a message for later subscribers; an empty payload forgets the topic (3.3.1-10, -11).
    pub(crate) fn retain(&self, message: &Arc<Message>) {
        if !self.retained().set(message) {
            add(&self.counters.dropped_retained_full, 1);
        }
    }

    /// Ask every connection to end.
    pub(crate) fn close_all(&self, reason: &Close) {
        self.read().sessions.values().for_each(|cell| cell.close(reason.clone()));
    }

    /// Ask the connections that came with a certificate to end.
    pub(crate) fn close_certificate(&self, serial: &Serial) {
        for cell in self.read().sessions.values() {
            let its = cell.lock().certificate.as_ref() == Some(serial);
            if its {
                cell.close(Close::Revoked);
            }
        }
    }

    /// Sessions whose client is away.
    pub(crate) fn offline_sessions(&self) -> usize {
        self.read().offline.len()
    }
}

impl Inner {
    fn matching<'i>(&'i self, topic: &'i str) -> impl Iterator<Item = &'i Subscription> {
        let narrow = narrow_key(topic, false).and_then(|key| self.narrow.get(key)).map_or(&[][..], Vec::as_slice);
        narrow.iter().chain(&self.wide).filter(move |subscription| matches(&subscription.filter, topic))
    }

    fn reachable(&mut self, session: &mut Session) {
        if let Some(node) = session.identity.node() {
            *self.reachable.entry(node.clone()).or_default() += 1;
        }
        session.announced = true;
    }

    /// True if it was the node's last.
    fn unreachable(&mut self, session: &Session) -> bool {
        let Some(node) = session.identity.node() else { return false };
        match self.reachable.get_mut(node) {
            Some(count) if *count > 1 => {
                *count -= 1;
                false
            }
            _ => self.reachable.remove(node).is_some(),
        }
    }

    fn no_longer_offline(&mut self, cell: &Arc<Cell>) {
        if let Some(order) = cell.lock().away.take() {
            self.offline.remove(&order);
        }
    }

    fn remove(&mut self, cell: &Arc<Cell>) {
        self.no_longer_offline(cell);
        let filters: Vec<Box<str>> = cell.lock().subscriptions.drain(..).map(|(filter, _)| filter).collect();
        for filter in filters {
            self.unsubscribe(cell, &filter);
        }
        if self.sessions.get(&cell.key).is_some_and(|known| Arc::ptr_eq(known, cell)) {
            self.sessions.remove(&cell.key);
        }
    }

    fn unsubscribe(&mut self, cell: &Arc<Cell>, filter: &str) {
        let others = |known: &Subscription| !(Arc::ptr_eq(&known.cell, cell) && *known.filter == *filter);
        match narrow_key(literal_prefix(filter), filter.contains(['+', '#'])) {
            Some(key) => {
                if let Some(subscriptions) = self.narrow.get_mut(key) {
                    subscriptions.retain(others);
                    if subscriptions.is_empty() {
                        self.narrow.remove(key);
                    }
                }
            }
            None => self.wide.retain(others),
        }
    }
}

/// The first three levels of a topic, or of what is literal of a filter (`cut`: a wildcard follows, so that the third
/// level is whole only if a slash ends it).
fn narrow_key(text: &str, cut: bool) -> Option<&str> {
    let mut slashes = text.match_indices('/').map(|(at, _)| at).skip(1);
    slashes.next()?;
    match slashes.next() {
        Some(third) => Some(&text[..third]),
        None if cut => None,
        None => Some(text),
    }
}

/// The part of a retained store's range that a filter can match: from its literal prefix on.
pub(crate) fn range_of<'f>(filter: &'f str, after: Option<&'f str>) -> (Bound<&'f str>, &'f str) {
    let prefix = literal_prefix(filter);
    // `a/#` matches `a` too, which sorts before `a/`.
    let start = prefix.strip_suffix('/').unwrap_or(prefix);
    (after.map_or(Bound::Included(start), Bound::Excluded), start)
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;
