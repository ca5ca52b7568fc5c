//! The running hub's identities: the registry at its start, the listener for nodes, and what follows the command line.

use std::sync::Arc;

use simpul_clock::Clock;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::RunError;
use super::updates::Updates;
use super::vitals::Running;
use crate::config::Config;
use crate::identity::follow::{self, Doors};
use crate::identity::issue::Issuing;
use crate::identity::ledger::{CaState, Ledger, NodeRow};
use crate::identity::listener::{self, Tls};
use crate::identity::{IdentityError, Places, authority, carry};
use crate::mqtt::{Serial, TlsFiles};
use crate::store::Store;
use crate::technicians::TechnicianDesk;
use crate::view::View;
use crate::view::registry::{RegisteredNode, Registry};
use crate::web::Commands;

/// What technicians' laptops are answered from.
#[derive(Clone)]
pub(super) struct Room {
    pub(super) running: Arc<Running>,
    pub(super) view: Arc<View>,
    pub(super) store: Arc<dyn Store>,
    pub(super) commands: Arc<dyn Commands>,
}

/// The registry of a hub that has a CA of its own.
pub(super) struct District {
    places: Places,
    /// The nodes that stand in the configuration.
    configured: Registry,
}

/// The configuration's nodes and the registry's. One that stands in both keeps what the configuration says.
fn with(configured: &Registry, nodes: &[NodeRow]) -> Registry {
    let mut registry = configured.clone();
    for row in nodes {
        if let Ok(node) = RegisteredNode::parse(&row.id, &row.name, &row.village, &row.village_name) {
            let _ = registry.insert(node);
        }
    }
    registry
}

impl District {
    /// Look at registry and keys before anything starts; `None`: certificates come from elsewhere.
    pub(super) fn look(config: &Config) -> Result<Option<District>, IdentityError> {
        let places = Places::of(&config.data_directory);
        if !Ledger::exists(&places.registry) {
            return if config.enrolment.listen.is_some() { Err(IdentityError::NoAuthority) } else { Ok(None) };
        }
        let ledger = Ledger::open(&places.registry)?;
        let trusted = ledger.trusted()?;
        if trusted.is_empty() {
            return if config.enrolment.listen.is_some() { Err(IdentityError::NoAuthority) } else { Ok(None) };
        }
        for row in trusted.iter().filter(|row| row.state != CaState::Old) {
            authority::check_key(&places.pki, row.number)?;
        }
        // A district from before there were carry keys gets one.
        carry::ensure(&places.pki)?;
        // A command that was killed in between left them as they were.
        follow::write_pki(&places, &ledger)?;
        Ok(Some(District { places, configured: config.registry.clone() }))
    }

    /// Nodes that the room is to expect besides the configuration's.
    pub(super) fn register(&self, config: &mut Config) -> Result<(), IdentityError> {
        config.registry = with(&self.configured, &Ledger::open(&self.places.registry)?.nodes()?);
        Ok(())
    }

    /// Start the listener, if there is one, and follow the registry.
    pub(super) fn start(
        &self,
        config: &Config,
        tcp: Option<TcpListener>,
        room: Room,
        updates: &Updates,
        clock: &Clock,
        ending: &watch::Receiver<bool>,
    ) -> Result<Vec<JoinHandle<()>>, RunError> {
        let mut tasks = Vec::new();
        let mut enrolment_tls = None;
        if let Some(tcp) = tcp {
            let tls = Tls::read(&self.places).map_err(|reason| IdentityError::Unusable {
                what: "the enrolment listener's certificates".into(),
                reason,
            })?;
            enrolment_tls = Some(tls.clone());
            let (hubs, addresses) = (config.enrolment.hubs.clone(), config.enrolment.addresses.clone());
            let ledger = Ledger::open(&self.places.registry)?;
            let life_s = config.enrolment.certificate_seconds;
            let issuing = Arc::new(Issuing::new(ledger, self.places.pki.clone(), life_s, hubs, addresses));
            let updates = updates.serving(config, clock);
            let Room { view, store, commands, .. } = room.clone();
            let (issuing_too, clock_too, ending_too) = (issuing.clone(), clock.clone(), ending.clone());
            let desk =
                TechnicianDesk { view, store, commands, issuing: issuing_too, clock: clock_too, ending: ending_too };
            let serve =
                listener::serve(tcp, tls, issuing, updates, Some(Arc::new(desk)), clock.clone(), ending.clone());
            tasks.push(tokio::spawn(serve));
        }
        let configured = self.configured.clone();
        let doors =
            HubDoors { running: room.running, view: room.view, configured, files: tls_files(config), enrolment_tls };
        let ledger = Ledger::open(&self.places.registry)?;
        tasks.push(tokio::spawn(follow::run(self.places.clone(), ledger, doors, ending.clone())));
        Ok(tasks)
    }
}

/// Where MQTT's certificates are.
pub(super) fn tls_files(config: &Config) -> TlsFiles {
    let mqtt = &config.mqtt;
    TlsFiles {
        ca_file: mqtt.ca_file.clone(),
        certificate_file: mqtt.certificate_file.clone(),
        key_file: mqtt.key_file.clone(),
        revoked_file: mqtt.revoked_file.clone(),
    }
}

struct HubDoors {
    running: Arc<Running>,
    view: Arc<View>,
    configured: Registry,
    files: TlsFiles,
    enrolment_tls: Option<Tls>,
}

impl Doors for HubDoors {
    fn revoke(&self, serial: &[u8]) {
        self.running.revoke(&Serial::from_bytes(serial));
        if let Some(tls) = &self.enrolment_tls {
            tls.revoke(serial);
        }
    }

    fn nodes(&self, nodes: &[NodeRow]) {
        self.view.expect(with(&self.configured, nodes));
    }

    fn reload(&self) -> Result<(), String> {
        self.running.reload(&self.files).map_err(|error| error.to_string())?;
        self.enrolment_tls.as_ref().map_or(Ok(()), Tls::reload)
    }
}
