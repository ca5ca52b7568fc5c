//! Which counter a reported total belongs to, and the record that becomes of its difference.

use serde::{Deserialize, Serialize};
use simpul_wire::service::{Origin, ServiceBody, ServiceRecord};

use crate::sources::totals::Intended;

/// Which counter of which source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counter {
    pub(super) service: String,
    pub(super) desk: Option<String>,
    pub(super) source: String,
    pub(super) simulated: bool,
}

impl Counter {
    /// The record; nothing when the texts are no labels: they were when they came in, so the file was tampered with.
    pub(super) fn record(&self, intended: &Intended) -> Option<ServiceRecord> {
        Some(ServiceRecord {
            stamp: intended.stamp(),
            key: intended.key.parse().ok()?,
            origin: Origin::Api,
            simulated: self.simulated,
            body: ServiceBody::Count {
                service: self.service.parse().ok()?,
                desk: self.desk.as_deref().map(str::parse).transpose().ok()?,
                delta: intended.delta,
                total: Some(intended.total),
            },
        })
    }
}
