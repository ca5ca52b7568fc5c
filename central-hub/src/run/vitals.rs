//! What the view asks of the running hub, answered from MQTT and intake.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use simpul_wire::NodeId;

use crate::intake::Counters;
use crate::mqtt::{BrokerThere, MqttError, Serial, ServerHandle, Stats, TlsFiles};
use crate::updates::drive::Alarms;
use crate::view::vitals::{Sample, Vitals};

/// Where publishes come in.
pub enum MqttDoor {
    /// The hub's own server.
    Server(ServerHandle),
    /// An external broker.
    Broker(BrokerThere),
}

/// MQTT and intake, while they run.
pub struct Running {
    broker: Option<BrokerThere>,
    server: Mutex<Option<ServerHandle>>,
    intake: Arc<Counters>,
    alarms: Alarms,
}

impl Running {
    /// With its door, and the alarms of its rollouts.
    pub fn new(door: MqttDoor, intake: Arc<Counters>, alarms: Alarms) -> Running {
        let (server, broker) = match door {
            MqttDoor::Server(server) => (Some(server), None),
            MqttDoor::Broker(there) => (None, Some(there)),
        };
        Running { broker, server: Mutex::new(server), intake, alarms }
    }

    /// Give the server's handle back, to wait for its end.
    pub fn take_server(&self) -> Option<ServerHandle> {
        self.server().take()
    }

    /// Refuse a certificate from now on and close its connections; an external broker has a list of its own.
    pub fn revoke(&self, serial: &Serial) {
        if let Some(server) = self.server().as_ref() {
            server.revoke(serial);
        }
    }

    /// Read MQTT's certificates anew.
    ///
    /// # Errors
    /// They cannot be used; those before stay in use.
    pub fn reload(&self, files: &TlsFiles) -> Result<(), MqttError> {
        self.server().as_ref().map_or(Ok(()), |server| server.reload(files))
    }

    fn server(&self) -> MutexGuard<'_, Option<ServerHandle>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Vitals for Running {
    fn connected(&self, node: &NodeId) -> Option<bool> {
        self.server().as_ref().map(|server| server.connected(node))
    }

    fn sessions(&self) -> Option<u32> {
        self.server().as_ref().map(|server| u32::try_from(server.sessions()).unwrap_or(u32::MAX))
    }

    fn mqtt_ready(&self) -> bool {
        self.broker.as_ref().map_or_else(|| self.server().is_some(), BrokerThere::get)
    }

    fn withholding(&self) -> bool {
        self.intake.view().withholding
    }

    fn paused_rollouts(&self) -> Vec<(i64, String)> {
        self.alarms.now()
    }

    fn samples(&self) -> Vec<Sample> {
        let mut samples = intake(&self.intake);
        samples.extend(self.server().as_ref().map(|server| mqtt(&server.stats())).into_iter().flatten());
        samples
    }
}

fn plain(name: &'static str, help: &'static str, value: u64) -> Sample {
    Sample { name, help, labels: Vec::new(), value: value as f64 }
}

fn intake(counters: &Counters) -> Vec<Sample> {
    let view = counters.view();
    let mut samples = vec![
        plain("intake_publishes_total", "Publishes that came in.", view.publishes),
        plain("intake_ignored_total", "Publishes on topics that carry nothing to the hub.", view.ignored),
        plain("intake_commits_total", "Group commits.", view.commits),
        plain("intake_records_total", "Records that a commit brought.", view.records_new),
        plain("intake_duplicates_total", "Records that were there already.", view.records_duplicate),
        plain("intake_commit_failures_total", "Commits that failed and were tried again.", view.commit_failures),
    ];
    samples.push(Sample {
        name: "intake_commit_seconds_total",
        help: "Time spent in commits.",
        labels: Vec::new(),
        value: view.commit_microseconds as f64 / 1e6,
    });
    samples.extend(view.refused.into_iter().map(|(reason, count)| Sample {
        name: "intake_refused_total",
        help: "Uploads refused, by reason.",
        labels: vec![("reason", reason.to_string())],
        value: count as f64,
    }));
    samples
}

fn mqtt(stats: &Stats) -> Vec<Sample> {
    let mut samples = vec![
        plain("mqtt_connections_total", "Connections accepted.", stats.connections),
        plain("mqtt_publishes_in_total", "Publishes handed to intake.", stats.publishes_in),
        plain("mqtt_bytes_in_total", "Bytes read from clients.", stats.bytes_in),
        plain("mqtt_publishes_out_total", "Publishes queued for subscribers.", stats.publishes_out),
        plain("mqtt_oversize_total", "Publishes over the limit, reported to their node.", stats.oversize_discarded),
        plain("mqtt_publishes_refused_total", "Publishes on a topic not the sender's.", stats.publishes_refused),
        plain("mqtt_dropped_slow_reader_total", "Messages dropped for a slow reader.", stats.dropped_slow_reader),
        plain("mqtt_dropped_queue_full_total", "Messages dropped at a full queue.", stats.dropped_queue_full),
        plain("mqtt_dropped_retained_total", "Retained messages not kept.", stats.dropped_retained_full),
        plain("mqtt_violations_total", "Connections closed for breaking the protocol.", stats.violations),
        plain("mqtt_keepalive_timeouts_total", "Connections closed in silence.", stats.keepalive_timeouts),
        plain("mqtt_half_packet_timeouts_total", "Connections closed over half a packet.", stats.half_packet_timeouts),
        plain("mqtt_not_taken_total", "Connections closed because intake took nothing.", stats.not_taken),
        plain("mqtt_sessions_expired_total", "Offline sessions forgotten.", stats.sessions_expired),
        plain("mqtt_offline_sessions", "Offline sessions now.", stats.offline_sessions),
        plain("mqtt_retained", "Retained messages now.", stats.retained),
        plain("mqtt_pending_bytes", "Bytes of publishes not yet committed.", stats.pending_bytes),
    ];
    samples.extend(stats.refused.iter().map(|(reason, count)| Sample {
        name: "mqtt_refused_total",
        help: "Connections refused, by reason.",
        labels: vec![("reason", reason.label().into())],
        value: *count as f64,
    }));
    samples
}
