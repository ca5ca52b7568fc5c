//! A running hub: wires MQTT, intake, store, view and web together, tends the store, and ends in order.
//!
//! The end, within 10 s: stop accepting and close sessions (MQTT and web together), finish what intake holds, close
//! the store, let go of the folder. What was not committed by then was never acknowledged: the agents have it.

mod commands;
mod identity;
mod updates;
mod vitals;

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use simpul_clock::Clock;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::config::{Config, MqttSide};
use crate::data::{DataDirectory, DataError, console_socket, store_directory};
use crate::identity::IdentityError;
use crate::intake::{Counters, Intake};
use crate::mqtt::{self, ExternalConfig, MqttError, ServerConfig, Transport};
use crate::store::{SqliteStore, Store, StoreConfig, StoreError};
use crate::updates::UpdateError;
use crate::view::View;
use crate::web::tokens::{TokenError, Tokens};
use crate::web::{self, Door, HttpsError, Web, pump, router};
use commands::MqttCommands;
use identity::{District, tls_files};
use updates::Updates;
use vitals::{MqttDoor, Running};

/// Changed nodes kept for the live events' pump; it drains at once, so this is one commit's worth many times over.
const CHANGES_MAX: usize = 1_024;

/// Between two pieces of maintenance while there is more to do: commits go first.
const MAINTENANCE_PAUSE: Duration = Duration::from_millis(10);

/// Between two looks for maintenance when there was none to do: a minute's rollup is then at most this late.
const MAINTENANCE_EACH: Duration = Duration::from_secs(5);

/// Between two attempts to open a store that found no space.
const OPEN_RETRY_PAUSE: Duration = Duration::from_secs(5);

/// What each stage of the end may take; together with the sessions' and requests' 3 s this stays within 10 s.
const INTAKE_END: Duration = Duration::from_secs(5);
const STORE_END: Duration = Duration::from_secs(2);

/// Why a hub does not start, or ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Its folder.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Its tokens.
    #[error(transparent)]
    Tokens(#[from] TokenError),
    /// It would be open to everybody.
    #[error("web.listen = {0}: beyond loopback at least one token is needed; run `simpul-hub token add NAME` first")]
    NoToken(SocketAddr),
    /// Its CA or registry.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Its updates.
    #[error(transparent)]
    Updates(#[from] UpdateError),
    /// Its web certificate.
    #[error(transparent)]
    Https(#[from] HttpsError),
    /// A port is taken, or not ours to take.
    #[error("{key} = {address}: {source}; is another hub running, or another program on this port?")]
    Bind {
        /// The configuration's key.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// Its store.
    #[error("cannot open the store in {path}: {source}")]
    Store {
        /// The store's folder.
        path: PathBuf,
        /// Why.
        source: StoreError,
    },
    /// MQTT.
    #[error(transparent)]
    Mqtt(#[from] MqttError),
    /// A part that should run for ever ended.
    #[error("{0} ended by itself: the log above says why; the service manager starts the hub again")]
    Ended(&'static str),
}

/// What can be checked without starting: certificates, tokens, access. Also what `config check` says.
pub fn preflight(config: &Config, clock: &Clock) -> Result<Tokens, RunError> {
    let tokens = Tokens::open(config.web.tokens_file.clone(), clock.clone())?;
    if !config.web.listen.ip().is_loopback() && tokens.count() == 0 {
        return Err(RunError::NoToken(config.web.listen));
    }
    if let Some((certificate, key)) = &config.web.https {
        web::https(certificate, key)?;
    }
    Ok(tokens)
}

/// The store's configuration.
pub fn store_config(config: &Config) -> StoreConfig {
    StoreConfig {
        snapshot_days: config.store.snapshot_retention_days,
        ..StoreConfig::new(store_directory(&config.data_directory), config.store.budget_bytes_max)
    }
}

/// Run a hub until `stop` turns true.
///
/// # Errors
/// It cannot start, or a part of it ended by itself; either way it has ended in order.
pub async fn run(mut config: Config, clock: Clock, stop: watch::Receiver<bool>) -> Result<(), RunError> {
    let data = DataDirectory::hold(&config.data_directory)?;
    let tokens = preflight(&config, &clock)?;
    let web_listener = bind("web.listen", config.web.listen).await?;
    let mqtt_listener = match config.mqtt.side {
        MqttSide::Embedded(address) => Some(bind("mqtt.listen", address).await?),
        MqttSide::External { .. } => None,
    };
    let enrolment_listener = match config.enrolment.listen {
        Some(address) => Some(bind("enrolment.listen", address).await?),
        None => None,
    };
    let district = District::look(&config)?;
    if let Some(district) = &district {
        district.register(&mut config)?;
    }
    // Nodes download with certificates of this hub's own CA.
    let updates = district.as_ref().map(|_| Updates::open(&config)).transpose()?;
    let Some(sqlite) = open_store(&store_config(&config), &clock, stop.clone()).await? else {
        tracing::info!("hub ended before its store could be opened");
        return Ok(());
    };

    // Everything that runs ends by this one, so that it also ends when a part of it gives up.
    let (end, ending) = watch::channel(false);
    let result = match serve(
        &config,
        &clock,
        tokens,
        (web_listener, mqtt_listener),
        sqlite.clone(),
        ending.clone(),
        (&data, updates.as_ref()),
    )
    .await
    {
        Ok(mut parts) => match parts.enrol(&config, district.zip(updates), enrolment_listener, &clock, &ending) {
            Ok(()) => parts.until(stop, end).await,
            Err(error) => {
                let _ = end.send(true);
                Err(error)
            }
        },
        Err(error) => Err(error),
    };
    if timeout(STORE_END, sqlite.close()).await.is_err() {
        tracing::warn!(?STORE_END, "the store did not close in time: its journal is read at the next start");
    }
    tracing::info!("hub ended");
    drop(data);
    result
}

/// Open the store. On a full disk that takes until there is space: the agents keep their records meanwhile, and a hub
/// that ended would not come back by itself. `None`: told to stop before that.
async fn open_store(
    config: &StoreConfig,
    clock: &Clock,
    mut stop: watch::Receiver<bool>,
) -> Result<Option<Arc<SqliteStore>>, RunError> {
    let mut waiting = false;
    loop {
        let (config, clock, path) = (config.clone(), clock.clone(), config.directory.clone());
        let opened = tokio::task::spawn_blocking(move || SqliteStore::open(config, clock));
        match opened.await.map_err(|_| RunError::Ended("opening the store"))? {
            Ok(store) => return Ok(Some(Arc::new(store))),
            Err(error @ StoreError::Full(_)) => {
                if !std::mem::replace(&mut waiting, true) {
                    tracing::error!(%error, "the store waits for space to open: agents keep their records; free disk space");
                }
                let longer = u32::try_from(2 * OPEN_RETRY_PAUSE.as_micros()).unwrap_or(u32::MAX);
                notify(&[NotifyState::Status("the disk is full"), NotifyState::ExtendTimeoutUsec(longer)]);
            }
            Err(source) => return Err(RunError::Store { path, source }),
        }
        tokio::select! {
            () = sleep(OPEN_RETRY_PAUSE) => {}
            _ = stop.wait_for(|stop| *stop) => return Ok(None),
        }
    }
}

/// The parts of a hub that run.
struct Parts {
    running: Arc<Running>,
    intake: JoinHandle<()>,
    others: Vec<JoinHandle<()>>,
    socket: PathBuf,
}

async fn serve(
    config: &Config,
    clock: &Clock,
    tokens: Tokens,
    (web_listener, mqtt_listener): (TcpListener, Option<TcpListener>),
    store: Arc<SqliteStore>,
    ending: watch::Receiver<bool>,
    (data, updates): (&DataDirectory, Option<&Updates>),
) -> Result<Parts, RunError> {
    let store: Arc<dyn Store> = store;
    let counters = Arc::new(Counters::default());
    let (transport, door) = transport(config, mqtt_listener, &*store, clock, ending.clone()).await?;
    let commands = Arc::new(MqttCommands(transport.outbox.clone()));
    let running =
        Arc::new(Running::new(door, counters.clone(), updates.map(|it| it.alarms.clone()).unwrap_or_default()));
    let live = broadcast::channel(CHANGES_MAX).0;
    let changes = live.subscribe();
    let clock_synchronised = config.clock.is_synchronised();
    let intake = Intake { store: store.clone(), clock: clock.clone(), live, counters, clock_synchronised };
    let intake = tokio::spawn(intake.run(transport, ending.clone()));

    let view = Arc::new(View::new(
        store.clone(),
        running.clone(),
        config.registry.clone(),
        clock.clone(),
        config.utc_offset_minutes,
        config.fibre_control.is_some(),
    ));
    let https = config.web.https.as_ref().map(|(certificate, key)| web::https(certificate, key)).transpose()?;
    let door = if config.web.listen.ip().is_loopback() { Door::Loopback } else { Door::Network };
    let scheme = if https.is_some() { "https" } else { "http" };
    let driver = updates
        .map(|updates| updates.drive(store.clone(), view.clone(), commands.clone(), clock.clone(), ending.clone()));
    let web = Web::new(
        view,
        store.clone(),
        commands,
        tokens,
        https.is_some(),
        (config.fibre_control, updates.map(|updates| updates.ledger.clone())),
        ending.clone(),
    );
    let address = web_listener.local_addr().unwrap_or(config.web.listen);
    let mut others = vec![
        tokio::spawn(pump(web.clone(), changes, clock.clone(), ending.clone())),
        tokio::spawn(web::serve(web_listener, https, router(web.clone(), door), web.counters(), ending.clone())),
        tokio::spawn(maintain(store.clone(), clock.clone(), ending.clone())),
        tokio::spawn(watchdog(store, ending.clone())),
    ];
    others.extend(driver);
    let socket = console_socket(data.path());
    match console(&socket) {
        Ok(listener) => {
            let router = router(web.clone(), Door::Console);
            others.push(tokio::spawn(web::serve_console(listener, router, web.counters(), ending)));
        }
        Err(error) => {
            tracing::warn!(%error, socket = %socket.display(), "no console: `simpul-hub status` and `backup` cannot reach this hub");
        }
    }
    tracing::info!(url = %format!("{scheme}://{address}/"), data = %data.path().display(), "hub is ready");
    Ok(Parts { running, intake, others, socket })
}

impl Parts {
    /// Let nodes get certificates, if this hub has a CA.
    fn enrol(
        &mut self,
        config: &Config,
        district: Option<(District, Updates)>,
        listener: Option<TcpListener>,
        clock: &Clock,
        ending: &watch::Receiver<bool>,
    ) -> Result<(), RunError> {
        if let Some((district, updates)) = district {
            self.others.extend(district.start(config, listener, self.running.clone(), &updates, clock, ending)?);
        }
        Ok(())
    }

    /// Until told to stop, or until a part ends that should not; then end the rest in order.
    async fn until(mut self, mut stop: watch::Receiver<bool>, end: watch::Sender<bool>) -> Result<(), RunError> {
        notify(&[NotifyState::Ready, NotifyState::Status("taking records")]);
        let result = tokio::select! {
            // A sender that is gone means the same: nobody is left to say it.
            _ = stop.wait_for(|stop| *stop) => Ok(()),
            _ = &mut self.intake => Err(RunError::Ended("intake")),
        };
        notify(&[NotifyState::Stopping]);
        tracing::info!("hub is stopping");
        // The receivers are in the parts: a part that is gone needs no telling.
        let _ = end.send(true);
        // The server's handle keeps the queue to intake open: given back first, or intake would wait for more.
        if let Some(server) = self.running.take_server() {
            server.join().await;
        }
        if result.is_ok() && timeout(INTAKE_END, &mut self.intake).await.is_err() {
            tracing::warn!(?INTAKE_END, "intake did not finish in time: what it held was not acknowledged");
            self.intake.abort();
        }
        for part in self.others {
            // Each ends by itself within seconds of `end`.
            let _ = part.await;
        }
        let _ = std::fs::remove_file(&self.socket);
        result
    }
}

async fn bind(key: &'static str, address: SocketAddr) -> Result<TcpListener, RunError> {
    TcpListener::bind(address).await.map_err(|source| RunError::Bind { key, address, source })
}

/// A socket in the folder that we hold: one that is there already was left by a hub that was killed.
fn console(socket: &Path) -> std::io::Result<UnixListener> {
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(socket)?;
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

async fn transport(
    config: &Config,
    listener: Option<TcpListener>,
    store: &dyn Store,
    clock: &Clock,
    ending: watch::Receiver<bool>,
) -> Result<(Transport, MqttDoor), RunError> {
    let tls = tls_files(config);
    let generation = store.generation();
    match (&config.mqtt.side, listener) {
        (MqttSide::External { url, share_group }, _) => {
            // The same after a restart, another after a restore: the broker's session belongs to this store.
            let client_id = format!("simpul-hub-{generation}");
            let (url, share_group) = (url.clone(), share_group.clone());
            let mqtt::TlsFiles { ca_file, certificate_file, key_file, .. } = tls;
            let external = ExternalConfig { url, ca_file, certificate_file, key_file, share_group, client_id };
            let (transport, there) = mqtt::connect_external(external, ending).await?;
            Ok((transport, MqttDoor::Broker(there)))
        }
        (MqttSide::Embedded(address), None) => {
            let source = std::io::ErrorKind::NotConnected.into();
            Err(RunError::Bind { key: "mqtt.listen", address: *address, source })
        }
        (MqttSide::Embedded(address), Some(listener)) => {
            let listen = listener.local_addr().unwrap_or(*address);
            let server = ServerConfig { listen, tls, limits: mqtt::Limits::default(), generation: Some(generation) };
            let (transport, handle) = mqtt::serve(listener, server, clock.clone(), ending).await?;
            Ok((transport, MqttDoor::Server(handle)))
        }
    }
}

/// Roll up, seal, retain and thin, piece by piece.
async fn maintain(store: Arc<dyn Store>, clock: Clock, mut ending: watch::Receiver<bool>) {
    let mut failing = false;
    loop {
        let pause = match store.maintain(clock.wall_ms()).await {
            Ok(more) => {
                failing = false;
                if more { MAINTENANCE_PAUSE } else { MAINTENANCE_EACH }
            }
            Err(StoreError::Closed) => return,
            Err(error) => {
                // Once: a disk that stays full would fill the log too.
                if !failing {
                    tracing::error!(%error, "the store cannot be tended: rollups and retention wait");
                }
                failing = true;
                MAINTENANCE_EACH
            }
        };
        tokio::select! {
            () = sleep(pause) => {}
            _ = ending.wait_for(|end| *end) => return,
        }
    }
}

/// Tell systemd that the hub lives: only while its store answers.
async fn watchdog(store: Arc<dyn Store>, mut ending: watch::Receiver<bool>) {
    let Some(period) = sd_notify::watchdog_enabled() else { return };
    loop {
        if matches!(timeout(period / 2, store.usage()).await, Ok(Ok(_))) {
            notify(&[NotifyState::Watchdog]);
        }
        tokio::select! {
            () = sleep(period / 3) => {}
            _ = ending.wait_for(|end| *end) => return,
        }
    }
}

/// Without systemd there is nobody to tell: fine.
fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager could not be told");
    }
}
