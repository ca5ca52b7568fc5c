//! The running hub follows the registry: what the command line revoked is refused and closed, and a CA that was rotated
//! is shown and trusted, and a node that was added is expected, within `LOOK_EACH`.

use std::collections::HashSet;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use super::ledger::{CaState, Ledger, NodeRow};
use super::{IdentityError, Places, authority};

/// How late a change of the command line is at most. A look is one read of a number in shared memory.
const LOOK_EACH: Duration = Duration::from_millis(500);

/// What of the running hub depends on the registry.
pub trait Doors: Send + Sync + 'static {
    /// Refuse a certificate from now on, and close its connections.
    fn revoke(&self, serial: &[u8]);

    /// Which nodes there are now.
    fn nodes(&self, nodes: &[NodeRow]);

    /// Read certificates and CAs anew.
    ///
    /// # Errors
    /// They cannot be used; those before stay in use.
    fn reload(&self) -> Result<(), String>;
}

/// Make the files in `pki` say what the registry says. True when they did not.
///
/// # Errors
/// They cannot be read or written.
pub fn write_pki(places: &Places, ledger: &Ledger) -> Result<bool, IdentityError> {
    let trusted = ledger.trusted()?;
    let Some(current) = trusted.iter().find(|row| row.state == CaState::Current) else { return Ok(false) };
    let bundle: String = trusted.iter().map(|row| authority::pem(&row.certificate)).collect();
    // The CA goes along: a node that has only its fingerprint, from a token, finds it in the handshake.
    let chain = current.hub_pem.clone().unwrap_or_default() + &authority::pem(&current.certificate);
    let mut changed = false;
    for (name, text) in [("ca.pem", bundle), ("hub.pem", chain)] {
        let path = places.pki.join(name);
        if std::fs::read_to_string(&path).ok().as_ref() != Some(&text) {
            authority::write_secret(&path, text.as_bytes())?;
            changed = true;
        }
    }
    Ok(changed)
}

/// Follow until `ending`. The registry's connection is this task's own: it sees the others' changes alone.
pub async fn run(places: Places, ledger: Ledger, doors: impl Doors, mut ending: watch::Receiver<bool>) {
    let mut follower = Follower { places, ledger, doors, seen: None, revoked: HashSet::new(), failing: false };
    loop {
        // A blocking thread: the other writer may hold the database for a moment.
        let looked = tokio::task::spawn_blocking(move || {
            follower.look_and_report();
            follower
        });
        match looked.await {
            Ok(same) => follower = same,
            Err(error) => {
                tracing::error!(%error, "the registry is followed no longer: revoked certificates are refused after a restart");
                return;
            }
        }
        tokio::select! {
            _ = ending.wait_for(|end| *end) => return,
            () = sleep(LOOK_EACH) => {}
        }
    }
}

struct Follower<D> {
    places: Places,
    ledger: Ledger,
    doors: D,
    seen: Option<i64>,
    revoked: HashSet<Vec<u8>>,
    failing: bool,
}

impl<D: Doors> Follower<D> {
    fn look_and_report(&mut self) {
        match self.look() {
            Ok(()) => self.failing = false,
            Err(error) => {
                // Once: twice a second would fill the log.
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::error!(error, "the registry cannot be followed: what is revoked now is refused later");
                }
            }
        }
    }

    fn look(&mut self) -> Result<(), String> {
        let text = |error: IdentityError| error.to_string();
        let version = self.ledger.version().map_err(text)?;
        if self.seen == Some(version) {
            return Ok(());
        }
        let first = self.seen.is_none();
        for serial in self.ledger.revoked().map_err(text)? {
            if !self.revoked.contains(&serial) {
                self.doors.revoke(&serial);
                if !first {
                    tracing::info!(
                        serial = hex::encode_upper(&serial),
                        "a certificate was revoked: its connections are closed"
                    );
                }
                self.revoked.insert(serial);
            }
        }
        write_pki(&self.places, &self.ledger).map_err(text)?;
        self.doors.nodes(&self.ledger.nodes().map_err(text)?);
        if !first {
            self.doors.reload()?;
        }
        self.seen = Some(version);
        Ok(())
    }
}
