//! The running agent examines its own node, by order of the hub.

use std::sync::Arc;

use simpul_wire::doctor::Report;
use tokio::sync::Semaphore;

use super::{Patient, Source, Word, examine};
use crate::status::Shown;

/// Examines the node that it runs on, one examination at a time. Clones share that.
#[derive(Debug, Clone)]
pub struct Examiner {
    patient: Patient,
    shown: Shown,
    turn: Arc<Semaphore>,
}

impl Examiner {
    /// Of this node, with what the agent shows of itself.
    pub fn new(patient: Patient, shown: Shown) -> Self {
        Examiner { patient, shown, turn: Arc::new(Semaphore::new(1)) }
    }

    /// Examine for the order `id`; nothing: an examination is being made.
    pub async fn examine(&self, id: [u8; 16]) -> Option<Report> {
        let _turn = self.turn.try_acquire().ok()?;
        // As its socket says it, so that there is one way to read it.
        let word = serde_json::to_value(self.shown.document()).and_then(serde_json::from_value::<Word>);
        let source = match word {
            Ok(word) => Source::Own(Box::new(word)),
            Err(error) => {
                tracing::error!(%error, "the agent's own status cannot be read");
                Source::Socket
            }
        };
        Some(examine(self.patient.clone(), source, Some(id)).await)
    }
}
