//! One real agent in a village behind a shaped line, its hub on this side: for benches of what crosses the line.

use anyhow::Result;
use simpul_testkit::hub::Hub;
use simpul_testkit::namespace::{HUB, VILLAGE_LAN, Village};
use simpul_testkit::node::{Node, NodeSettings};
use simpul_testkit::pki::Authority;

use crate::district::{VILLAGES, place};

/// The two ends and the line. Dropped, it ends its processes first and removes its folder last.
pub struct Line {
    /// This side.
    pub hub: Hub,
    /// The village's agent; its local API answers on the village's LAN.
    pub node: Node,
    /// The line.
    pub village: Village,
    _folder: tempfile::TempDir,
}

impl Line {
    /// Prepare it, at so many kbit/s each way, without starting a process. `state_interval`: the agent's.
    ///
    /// # Errors
    /// Without root or iproute2.
    pub fn prepare(kilobits_per_second: u32, state_interval: &'static str) -> Result<Line> {
        let folder = tempfile::tempdir()?;
        let authority = Authority::new("Simpul bench CA")?;
        let place = place(VILLAGES[0]);
        let village = Village::create(kilobits_per_second)?;
        let mut hub = Hub::prepare(&folder.path().join("hub"), &authority, std::slice::from_ref(&place), None)?;
        hub.listen_on(HUB.into())?;
        let settings = NodeSettings {
            state_interval,
            api_host: VILLAGE_LAN.into(),
            uplink_more: "server_name = \"localhost\"\n".to_owned(),
            ..NodeSettings::default()
        };
        let mut node = Node::prepare(&folder.path().join("node"), &authority, &place.id, hub.mqtt(), None, &settings)?;
        node.run_behind(&village.prefix());
        Ok(Line { hub, node, village, _folder: folder })
    }
}
