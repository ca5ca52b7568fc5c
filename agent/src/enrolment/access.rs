//! With what the uplink connects: an enrolled identity, or certificate files that somebody else looks after.

use std::sync::Arc;

use rustls::ClientConfig;
use tokio::sync::watch;

use super::store::{Kept, Store, read_token, token_hash};
use super::{EnrolmentError, client};
use crate::config::{EnrolmentConfig, UplinkConfig};
use crate::uplink::tls::{JudgingTime, TlsSource, assemble, client_config, hub_name};
use rustls::pki_types::ServerName;
use simpul_wire::NodeId;

/// Most addresses that the uplink tries in turn.
const HUBS_MAX: usize = 8;

/// What is needed to get an identity and to use it.
#[derive(Debug, Clone)]
pub struct Enrolment {
    node: NodeId,
    config: EnrolmentConfig,
    uplink: UplinkConfig,
    time: JudgingTime,
    store: Store,
    /// Changes with each identity that is kept.
    kept: watch::Sender<u64>,
    /// The token that the hub refused for good, by its hash: not tried again while there is something else.
    refused: watch::Sender<Option<[u8; 32]>>,
}

/// How the uplink connects now.
pub struct Access {
    /// Hub addresses, tried in turn.
    pub hubs: Vec<String>,
    /// TLS, read at each connection.
    pub tls: TlsSource,
}

impl Enrolment {
    /// For this node.
    pub fn new(node: NodeId, config: EnrolmentConfig, uplink: UplinkConfig, time: JudgingTime) -> Enrolment {
        let store = Store::new(&config.directory);
        Enrolment { node, config, uplink, time, store, kept: watch::Sender::new(0), refused: watch::Sender::new(None) }
    }

    /// The folder.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The settings.
    pub fn config(&self) -> &EnrolmentConfig {
        &self.config
    }

    /// The time at which certificates are judged.
    pub fn time(&self) -> &JudgingTime {
        &self.time
    }

    /// Changes with each identity that is kept.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.kept.subscribe()
    }

    /// The identity, if it is this node's.
    ///
    /// # Errors
    /// It cannot be read, or is another node's.
    pub fn load(&self) -> Result<Option<Kept>, EnrolmentError> {
        match self.store.load()? {
            Some(kept) if kept.node != self.node => Err(EnrolmentError::Damaged {
                path: self.config.directory.clone(),
                what: format!(
                    "the identity in it belongs to another node ({}), this is {}: correct the node's id, or put this \
                     node's token into {}",
                    kept.node,
                    self.node,
                    self.config.token_file.display()
                ),
            }),
            kept => Ok(kept),
        }
    }

    /// Keep an identity; the uplink shows it at its next connection.
    ///
    /// # Errors
    /// It cannot be used or written.
    pub fn keep(&self, kept: &Kept) -> Result<(), EnrolmentError> {
        // What TLS would refuse must not replace what it takes.
        assemble(kept.authorities(), Some(hub_name()?), kept.chain_and_key(), self.time.clone())?;
        self.store.keep(kept)?;
        self.kept.send_modify(|version| *version += 1);
        Ok(())
    }

    /// Enrol with the token in the configured file, if it is one that was not used for what is kept. `None`: there is
    /// no such token.
    ///
    /// # Errors
    /// The token is no good, no hub answered, or it refused.
    pub async fn enrol_if_new(&self) -> Result<Option<Kept>, EnrolmentError> {
        let Some(token) = read_token(&self.config.token_file, &self.node)? else { return Ok(None) };
        // A damaged identity, or another node's, is what a new token mends.
        if self.load().ok().flatten().is_some_and(|kept| kept.came_from(&token)) {
            return Ok(None);
        }
        let key = self.store.pending_key()?;
        let identity = client::enrol(&token, &key, &self.time).await.inspect_err(|error| {
            if !error.passes() {
                self.refused.send_replace(Some(token_hash(&token)));
            }
        })?;
        let kept = Kept::new(self.node.clone(), &key, identity, Some(token_hash(&token)));
        self.keep(&kept)?;
        tracing::info!(node = %self.node, "enrolled: the node has its own certificate");
        Ok(Some(kept))
    }

    /// Whether a token lies there that was not used for what is kept, and was not refused either.
    pub fn has_new_token(&self) -> bool {
        let token = read_token(&self.config.token_file, &self.node).ok().flatten();
        token.is_some_and(|token| {
            let used = self.load().ok().flatten().is_some_and(|kept| kept.came_from(&token));
            !used && *self.refused.borrow() != Some(token_hash(&token))
        })
    }

    /// Hash of the newest token that this node has, or had.
    pub fn newest_token(&self) -> Option<[u8; 32]> {
        match read_token(&self.config.token_file, &self.node).ok().flatten() {
            Some(token) => Some(token_hash(&token)),
            None => self.load().ok().flatten().and_then(|kept| kept.token.map(|hash| *hash)),
        }
    }

    /// How to connect now; enrols first when there is a new token.
    ///
    /// # Errors
    /// There is nothing to connect with, yet.
    pub async fn access(&self) -> Result<Access, EnrolmentError> {
        let kept = match self.enrol_if_new().await {
            Ok(Some(kept)) => Some(kept),
            Ok(None) => self.load()?,
            // What is there goes on working beside a token that does not.
            Err(error) => match self.load() {
                Ok(Some(kept)) => {
                    tracing::error!(%error, "the new token could not be used; the certificate of before is");
                    Some(kept)
                }
                _ => return Err(error),
            },
        };
        self.access_with(kept)
    }

    /// How to connect with what is there, without asking anybody: for an examination.
    ///
    /// # Errors
    /// There is nothing to connect with, or it cannot be read.
    pub fn current(&self) -> Result<Access, EnrolmentError> {
        self.access_with(self.load()?)
    }

    fn access_with(&self, kept: Option<Kept>) -> Result<Access, EnrolmentError> {
        match kept {
            Some(kept) => self.enrolled(&kept),
            None if self.uplink.certificate_file.exists() => self.file_access(),
            None => Err(EnrolmentError::NoToken { path: self.config.token_file.clone() }),
        }
    }

    fn enrolled(&self, kept: &Kept) -> Result<Access, EnrolmentError> {
        self.tls_of(kept)?;
        let own = self.clone();
        let tls = TlsSource::reading(move || {
            let kept = own.load().map_err(|error| error.to_string())?.ok_or("the identity is gone")?;
            own.tls_of(&kept).map_err(|error| error.to_string())
        });
        Ok(Access { hubs: self.hubs(Some(kept))?, tls })
    }

    fn tls_of(&self, kept: &Kept) -> Result<Arc<ClientConfig>, EnrolmentError> {
        let name = match &self.uplink.server_name {
            Some(name) => ServerName::try_from(name.clone())
                .map_err(|_| crate::uplink::tls::TlsError::ServerName(name.clone()))?,
            None => hub_name()?,
        };
        Ok(assemble(kept.authorities(), Some(name), kept.chain_and_key(), self.time.clone())?)
    }

    fn file_access(&self) -> Result<Access, EnrolmentError> {
        client_config(&self.uplink, self.time.clone())?;
        let (uplink, time) = (self.uplink.clone(), self.time.clone());
        let tls = TlsSource::reading(move || client_config(&uplink, time.clone()).map_err(|error| error.to_string()));
        Ok(Access { hubs: self.hubs(None)?, tls })
    }

    /// The configured addresses first, then those that the hub told.
    pub fn hubs(&self, kept: Option<&Kept>) -> Result<Vec<String>, EnrolmentError> {
        let mut hubs = self.uplink.hubs.clone();
        let told = kept.into_iter().flat_map(|kept| &kept.identity.trust.hubs).map(|address| address.to_string());
        for address in told {
            if hubs.len() < HUBS_MAX && !hubs.contains(&address) {
                hubs.push(address);
            }
        }
        if hubs.is_empty() {
            let what = "no hub's address is known: write uplink.hubs into the configuration";
            return Err(EnrolmentError::BadAnswer(what.into()));
        }
        Ok(hubs)
    }
}
