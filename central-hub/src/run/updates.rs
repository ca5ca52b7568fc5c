//! The running hub's updates: the database at its start, what nodes are handed, and the task that drives rollouts.

use std::sync::Arc;

use simpul_clock::Clock;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::config::Config;
use crate::store::Store;
use crate::updates::content::Contents;
use crate::updates::drive::{Alarms, Driver};
use crate::updates::ledger::Ledger;
use crate::updates::listener::Serving;
use crate::updates::{Places, UpdateError};
use crate::view::View;
use crate::web::Commands;

/// The updates of a hub that has a CA of its own.
pub(super) struct Updates {
    places: Places,
    pub(super) ledger: Arc<Ledger>,
    pub(super) alarms: Alarms,
}

impl Updates {
    /// Open the database, check what nodes may want to download, and remove what nobody needs any more.
    pub(super) fn open(config: &Config) -> Result<Updates, UpdateError> {
        let places = Places::of(&config.data_directory);
        let ledger = Arc::new(Ledger::open(&places.ledger)?);
        let contents = Contents::in_folder(places.content.clone());
        let needed = ledger.needed()?;
        for hash in &needed {
            if let Err(error) = contents.read(hash) {
                // The hub takes records all the same: nodes that want it are told to come again.
                tracing::error!(%error, "an update cannot be handed out");
            }
        }
        let needed: Vec<String> = needed.iter().map(hex::encode).collect();
        let removed = contents.retain(&|name| needed.iter().any(|needed| needed == name))?;
        if removed > 0 {
            tracing::info!(removed, "contents of updates that nobody needs any more were removed");
        }
        Ok(Updates { places, ledger, alarms: Alarms::default() })
    }

    /// What the nodes' listener hands out.
    pub(super) fn serving(&self, config: &Config, clock: &Clock) -> Arc<Serving> {
        let contents = Contents::in_folder(self.places.content.clone());
        Arc::new(Serving::new(self.ledger.clone(), contents, clock.clone(), config.updates.limits))
    }

    /// Drive rollouts until `ending`.
    pub(super) fn drive(
        &self,
        store: Arc<dyn Store>,
        view: Arc<View>,
        commands: Arc<dyn Commands>,
        clock: Clock,
        ending: watch::Receiver<bool>,
    ) -> JoinHandle<()> {
        let (ledger, alarms) = (self.ledger.clone(), self.alarms.clone());
        tokio::spawn(Driver { ledger, store, view, commands, clock, alarms }.run(ending))
    }
}
