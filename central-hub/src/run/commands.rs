//! The web part's way to the nodes, by MQTT.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use simpul_wire::NodeId;
use simpul_wire::command::Command;
use simpul_wire::topic::Topic;

use crate::mqtt::{Outbox, Outgoing};
use crate::web::Commands;

/// Sends commands into live sessions.
pub struct MqttCommands(pub Outbox);

impl Commands for MqttCommands {
    fn send<'a>(&'a self, node: &'a NodeId, command: Command) -> BoxFuture<'a, bool> {
        let topic = Topic::Command(node.clone()).to_string();
        let payload = command.to_vec().into();
        // Quality 0: at 1 the server would keep it for a node that is away, and the relay would switch hours later.
        async move { self.0.publish(Outgoing { topic, payload, qos: 0, retain: false }).await }.boxed()
    }
}
