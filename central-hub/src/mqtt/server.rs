//! The embedded server: accepts, admits, and ends. Leaves a connection's life to [`super::connection`].

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use simpul_clock::Clock;
use simpul_wire::NodeId;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{interval, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tracing::{error, info};

use super::admission::{Refused, admit, log_refusal};
use super::budget::Budget;
use super::config::{MqttError, ServerConfig, TlsFiles};
use super::registry::Registry;
use super::revocation::{Revoked, Serial};
use super::session::Close;
use super::shared::Shared;
use super::stats::{Counters, Refusal, Stats, add};
use super::{Outbox, Outgoing, Transport, tls};

/// How often offline sessions are looked through for old ones.
const SWEEP: Duration = Duration::from_secs(60);

/// How long connections get for their goodbyes when the server ends.
const SHUTDOWN: Duration = Duration::from_secs(3);

/// After an accept that failed (no file handles left): time for one to come back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Messages of the outbox routed between two looks at the shutdown signal.
const OUTBOX_BATCH: usize = 64;

/// Start the server on a bound listener; its tasks end after `shutdown` turns true (or its sender is gone).
///
/// # Errors
/// Certificates that cannot be read or used, with the file's name.
pub async fn serve(
    listener: TcpListener,
    config: ServerConfig,
    clock: Clock,
    shutdown: watch::Receiver<bool>,
) -> Result<(Transport, ServerHandle), MqttError> {
    let revoked = match &config.tls.revoked_file {
        Some(path) => Revoked::read(path)?,
        None => Revoked::default(),
    };
    let tls = tls::server_config(&config.tls, revoked.clone(), clock.clone())?;
    let (incoming, incoming_end) = mpsc::channel(config.limits.incoming_max);
    let (outbox, outgoing) = Outbox::new(config.limits.outbox_max);
    let counters = Arc::new(Counters::default());
    let shared = Arc::new(Shared {
        registry: Registry::new(config.limits.clone(), counters.clone()),
        counters,
        budget: Budget::new(config.limits.pending_bytes_max),
        limits: config.limits,
        clock,
        incoming,
        generation: config.generation,
        revoked,
        tls: RwLock::new(Arc::new(tls)),
        refusals: Mutex::default(),
        connections: AtomicUsize::new(0),
        sessions: AtomicUsize::new(0),
        next_connection: AtomicU64::new(1),
    });
    info!(listen = %config.listen, "MQTT server listening");
    let server = Server { shared: shared.clone(), tasks: JoinSet::new() };
    let task = tokio::spawn(server.run(listener, outgoing, shutdown));
    Ok((Transport { incoming: incoming_end, outbox }, ServerHandle { shared, task }))
}

/// A running server, seen from outside.
#[derive(Debug)]
pub struct ServerHandle {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl ServerHandle {
    /// Live sessions.
    pub fn sessions(&self) -> usize {
        self.shared.live()
    }

    /// Whether a node has a live session that is subscribed to its `ack` topic.
    pub fn connected(&self, node: &NodeId) -> bool {
        self.shared.registry.is_reachable(node)
    }

    /// Counters and gauges.
    pub fn stats(&self) -> Stats {
        let shared = &self.shared;
        Stats {
            sessions: shared.live() as u64,
            offline_sessions: shared.registry.offline_sessions() as u64,
            retained: shared.registry.retained().len() as u64,
            pending_bytes: shared.budget.used_bytes() as u64,
            ..shared.counters.snapshot()
        }
    }

    /// Refuse a certificate from now on and close its connections. The caller remembers it over a restart.
    pub fn revoke(&self, serial: &Serial) {
        self.shared.revoked.insert(serial.clone());
        self.shared.registry.close_certificate(serial);
    }

    /// Read certificates and CAs anew; connections from now on see them, those that are there stay.
    ///
    /// # Errors
    /// They cannot be read or used; what was in use stays.
    pub fn reload(&self, files: &TlsFiles) -> Result<(), MqttError> {
        let tls = tls::server_config(files, self.shared.revoked.clone(), self.shared.clock.clone())?;
        *self.shared.tls.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(tls);
        Ok(())
    }

    /// Wait for the server's end.
    pub async fn join(self) {
        if let Err(failure) = self.task.await {
            error!("MQTT server ended badly: {failure}");
        }
    }
}

struct Server {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

impl Server {
    async fn run(
        mut self,
        listener: TcpListener,
        mut outgoing: mpsc::Receiver<Outgoing>,
        mut shutdown: watch::Receiver<bool>,
    ) {
        let handshakes = Arc::new(Semaphore::new(self.shared.limits.handshakes_max));
        let mut sweep = interval(SWEEP);
        let mut batch = Vec::new();
        let mut outbox_open = true;
        loop {
            tokio::select! {
                () = ended(&mut shutdown) => break,
                count = outgoing.recv_many(&mut batch, OUTBOX_BATCH), if outbox_open => {
                    outbox_open = count > 0;
                    batch.drain(..).for_each(|message| self.send(message));
                }
                accepted = accept(&listener, &handshakes) => match accepted {
                    Ok((tcp, peer, permit)) => self.admit(tcp, peer, permit),
                    Err(failure) => {
                        error!("MQTT server cannot accept connections: {failure}");
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(ended) = self.tasks.join_next() => {
                    if let Err(failure) = ended {
                        error!("an MQTT connection ended badly: {failure}");
                    }
                }
                _ = sweep.tick() => self.shared.registry.sweep(self.shared.clock.now()),
            }
        }
        drop(listener);
        self.shared.registry.close_all(&Close::Shutdown);
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(SHUTDOWN, all).await.is_err() {
            self.tasks.shutdown().await;
        }
        info!("MQTT server ended");
    }

    fn send(&self, message: Outgoing) {
        let qos = rumqttc::mqttbytes::qos(message.qos.min(1)).unwrap_or(rumqttc::mqttbytes::QoS::AtMostOnce);
        if super::topic::name_is_valid(&message.topic) {
            self.shared.publish(message.topic, message.payload, qos, message.retain);
        } else {
            error!(topic = message.topic, "message of the hub dropped: not a topic");
        }
    }

    fn admit(&mut self, tcp: TcpStream, peer: SocketAddr, permit: OwnedSemaphorePermit) {
        let shared = self.shared.clone();
        add(&shared.counters.connections, 1);
        let connection = Counted::new(&shared, |shared| &shared.connections);
        if shared.connections.load(Ordering::Relaxed) > shared.limits.connections_max {
            refuse(&shared, peer, &Refused { reason: Refusal::Capacity, text: "the server is full".into() });
            return;
        }
        let acceptor = TlsAcceptor::from(shared.tls.read().unwrap_or_else(PoisonError::into_inner).clone());
        self.tasks.spawn(async move {
            let _connection = connection;
            let time = Duration::from_millis(shared.limits.handshake_timeout_ms);
            // Boxed: the handshake's state is large, and gone before the connection's long life begins.
            let admitted = timeout(time, Box::pin(admit(tcp, &acceptor, &shared))).await;
            drop((permit, acceptor));
            match admitted {
                Ok(Ok(connection)) => {
                    let _session = Counted::new(&shared, |shared| &shared.sessions);
                    connection.run().await;
                }
                Ok(Err(why)) => refuse(&shared, peer, &why),
                Err(_) => {
                    let text = "TLS and CONNECT took too long".into();
                    refuse(&shared, peer, &Refused { reason: Refusal::Timeout, text });
                }
            }
        });
    }
}

/// Until the signal turns true, or nobody can turn it any more.
pub(super) async fn ended(shutdown: &mut watch::Receiver<bool>) {
    let _ = shutdown.wait_for(|ended| *ended).await;
}

/// The next connection, when one more may begin its handshake.
async fn accept(
    listener: &TcpListener,
    handshakes: &Arc<Semaphore>,
) -> Result<(TcpStream, SocketAddr, OwnedSemaphorePermit), std::io::Error> {
    let permit = handshakes.clone().acquire_owned().await.map_err(std::io::Error::other)?;
    let (tcp, peer) = listener.accept().await?;
    Ok((tcp, peer, permit))
}

fn refuse(shared: &Shared, peer: SocketAddr, why: &Refused) {
    shared.counters.refuse(why.reason);
    let mut refusals = shared.refusals.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(more) = refusals.note(shared.clock.now(), peer.ip(), why.reason, &why.text) {
        log_refusal(peer, why, more);
    }
}

/// Counts in one of the gauges as long as it lives.
struct Counted {
    shared: Arc<Shared>,
    gauge: fn(&Shared) -> &AtomicUsize,
}

impl Counted {
    fn new(shared: &Arc<Shared>, gauge: fn(&Shared) -> &AtomicUsize) -> Counted {
        gauge(shared).fetch_add(1, Ordering::Relaxed);
        Counted { shared: shared.clone(), gauge }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        (self.gauge)(&self.shared).fetch_sub(1, Ordering::Relaxed);
    }
}
