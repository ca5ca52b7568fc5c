//! Whether the parts of this agent work: a new program or configuration that breaks one does not stay.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use simpul_wire::Label;

/// Whether the parts of this agent work, by name. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<Mutex<BTreeSet<&'static str>>>);

impl Health {
    /// A part does not work.
    pub fn ails(&self, part: &'static str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(part);
    }

    /// It does again.
    pub fn works(&self, part: &'static str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(part);
    }

    /// Those that do not.
    pub(super) fn ailing(&self) -> Vec<Label> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|part| Label::clipped(part)).collect()
    }
}
