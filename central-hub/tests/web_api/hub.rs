//! A web part on a real loopback port, over the fake store.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::Value;
use simpul_clock::Clock;
use simpul_hub::updates::ledger::Ledger;
use simpul_hub::view::View;
use simpul_hub::view::registry::{RegisteredNode, Registry};
use simpul_hub::web::tokens::{self, Tokens};
use simpul_hub::web::{Door, Web, pump, router, serve};
use simpul_wire::NodeId;
use tokio::net::TcpListener;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;

use super::fake::{FakeCommands, FakeStore, FakeVitals, NOW_MS};

pub struct Hub {
    pub store: Arc<FakeStore>,
    pub vitals: Arc<FakeVitals>,
    pub commands: Arc<FakeCommands>,
    pub clock: Clock,
    pub changes: broadcast::Sender<NodeId>,
    pub url: String,
    pub port: u16,
    pub client: Client,
    pub tokens_file: PathBuf,
    pub server: JoinHandle<()>,
    stop: watch::Sender<bool>,
    _folder: tempfile::TempDir,
}

/// How a hub of these tests differs from the plain one.
#[derive(Default)]
pub struct Options {
    /// Tokens to make; none: open to this machine.
    pub tokens: Vec<&'static str>,
    /// The demo's proxy.
    pub fibre_control: Option<std::net::SocketAddr>,
    /// Its updates.
    pub updates: Option<Arc<Ledger>>,
}

impl Hub {
    pub async fn open() -> Hub {
        Hub::start(Options::default()).await.0
    }

    /// A hub and its tokens, in order.
    pub async fn start(options: Options) -> (Hub, Vec<String>) {
        // Several tests share the process: the first one installs it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let tokens_file = folder.path().join("tokens");
        let made = options.tokens.iter().map(|name| tokens::add(&tokens_file, name, 0).unwrap()).collect();
        let (store, clock) = (Arc::new(FakeStore::filled()), Clock::held(NOW_MS));
        let vitals = Arc::new(FakeVitals { ready: AtomicBool::new(true), connected: Mutex::new(Some(true)) });
        let mut registry = Registry::default();
        for (id, village) in [("35.12.07.2003-01", "35.12.07.2003"), ("35.12.07.2004-01", "35.12.07.2004")] {
            registry.insert(RegisteredNode::parse(id, "Kantor", village, "Sumberanyar").unwrap()).unwrap();
        }
        let demo = options.fibre_control.is_some();
        let view = Arc::new(View::new(store.clone(), vitals.clone(), registry, clock.clone(), 420, demo));
        let (stop, stopped) = watch::channel(false);
        let tokens = Tokens::open(tokens_file.clone(), clock.clone()).unwrap();
        let commands = Arc::new(FakeCommands::default());
        let web = Web::new(
            view,
            store.clone(),
            commands.clone(),
            tokens,
            false,
            (options.fibre_control, options.updates),
            stopped.clone(),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let changes = broadcast::channel(64).0;
        tokio::spawn(pump(web.clone(), changes.subscribe(), clock.clone(), stopped.clone()));
        let server = tokio::spawn(serve(listener, None, router(web.clone(), Door::Loopback), web.counters(), stopped));
        let hub = Hub {
            store,
            vitals,
            commands,
            clock,
            changes,
            url: format!("http://127.0.0.1:{port}"),
            port,
            client: Client::new(),
            tokens_file,
            server,
            stop,
            _folder: folder,
        };
        (hub, made)
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    pub async fn get(&self, path: &str) -> (StatusCode, Value) {
        answer(self.request(Method::GET, path)).await
    }

    pub fn stop(&self) {
        self.stop.send(true).unwrap();
    }
}

pub async fn answer(request: RequestBuilder) -> (StatusCode, Value) {
    let response = request.send().await.unwrap();
    let status = response.status();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// The code and message of an error.
pub fn error((status, body): (StatusCode, Value)) -> (u16, String, String) {
    let text = |name: &str| body[name].as_str().unwrap_or("(none)").to_owned();
    (status.as_u16(), text("code"), text("message"))
}
