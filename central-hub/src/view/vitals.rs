//! What the running hub knows of itself beside its store: sessions, counters, whether acknowledgements are withheld.
//! Implemented by the wiring, so that the view knows neither MQTT nor intake.

use simpul_wire::NodeId;

/// A sample for `/metrics`.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Name without the `simpul_hub_` prefix; ends in `_total` if it only grows.
    pub name: &'static str,
    /// What it means.
    pub help: &'static str,
    /// Label pairs.
    pub labels: Vec<(&'static str, String)>,
    /// The value.
    pub value: f64,
}

/// The running hub.
pub trait Vitals: Send + Sync + 'static {
    /// Whether a node's MQTT session is open now; `None` behind an external broker.
    fn connected(&self, node: &NodeId) -> Option<bool>;

    /// Open MQTT sessions; `None` behind an external broker.
    fn sessions(&self) -> Option<u32>;

    /// Whether publishes can come in: the server listens, or the external broker is there.
    fn mqtt_ready(&self) -> bool;

    /// Whether intake is holding a commit that failed: nothing of it is acknowledged.
    fn withholding(&self) -> bool;

    /// Updates that wait for a person: number and why. None on a hub that rolls nothing out.
    fn paused_rollouts(&self) -> Vec<(i64, String)> {
        Vec::new()
    }

    /// Counters of intake and MQTT.
    fn samples(&self) -> Vec<Sample>;
}
