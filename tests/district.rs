//! A district: one hub, some nodes, each with a camera and a fibre of its own that can be cut; all real processes on
//! loopback in one temporary folder, which goes when the district goes.

use std::path::{Path, PathBuf};

use anyhow::Context;
use simpul_testkit::board::{self, EmulatedBoard, LIGHT_DBM, Module, Options, Orders};
use simpul_testkit::broker::Broker;
use simpul_testkit::camera::Camera;
use simpul_testkit::http::Server;
use simpul_testkit::hub::{Hub, Place};
use simpul_testkit::node::{CAMERA_PASSWORD, CAMERA_USER, Node, NodeSettings};
use simpul_testkit::pki::Authority;
use simpul_testkit::proxy::{self, Link};
use simpul_testkit::scene::Scene;

/// Four villages of Kecamatan Jatibanteng, Kabupaten Situbondo. Codes and names: Kepmendagri 300.2.2-2138/2025, by way
/// of Cahya DSN's wilayah data (MIT).
pub const VILLAGES: [(&str, &str); 4] = [
    ("35.12.01.2001", "Pategalan"),
    ("35.12.01.2002", "Semambung"),
    ("35.12.01.2003", "Sumberanyar"),
    ("35.12.01.2004", "Jatibanteng"),
];

/// Desks with a button at the last node's board, and the services that they count.
const BUTTONS: [(u8, &str); 2] = [(1, "ktp"), (2, "kk")];

/// The office of one of [`VILLAGES`], with its first node.
pub fn place((code, name): (&str, &str)) -> Place {
    Place {
        id: format!("{code}-01"),
        name: format!("Kantor Desa {name}"),
        village_code: code.to_owned(),
        village_name: name.to_owned(),
    }
}

/// What a district is made of.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Nodes, at most [`VILLAGES`].
    pub nodes: usize,
    /// Whether each has a camera.
    pub cameras: bool,
    /// Width and height of their pictures.
    pub picture: (u16, u16),
    /// Whether the hub's page gets the fibre switch.
    pub fibre_switch: bool,
    /// Whether the last node has an I/O board: the real firmware in QEMU.
    pub board: bool,
    /// Whether a mosquitto stands between nodes and hub.
    pub broker: bool,
    /// How the agents are set.
    pub settings: NodeSettings,
}

impl Default for Plan {
    fn default() -> Self {
        Plan {
            nodes: 1,
            cameras: false,
            picture: (640, 360),
            fibre_switch: false,
            board: false,
            broker: false,
            settings: NodeSettings::default(),
        }
    }
}

/// A running district. Dropped, it kills its processes first and removes its folder last.
pub struct District {
    /// The hub.
    pub hub: Hub,
    /// The nodes, in the order of [`VILLAGES`].
    pub nodes: Vec<Node>,
    /// Their fibres.
    pub links: Vec<Link>,
    /// Their cameras, if the plan has them.
    pub cameras: Vec<Camera>,
    /// The last node's board and what is ordered of it, if the plan has one.
    pub board: Option<(EmulatedBoard, Orders)>,
    /// The broker, if the plan has one.
    pub broker: Option<Broker>,
    /// The authority that all trust.
    pub authority: Authority,
    _switch: Option<Server>,
    folder: tempfile::TempDir,
}

impl District {
    /// Prepare it, without starting any process.
    pub async fn prepare(plan: &Plan) -> anyhow::Result<District> {
        let folder = tempfile::Builder::new().prefix("simpul-").tempdir().context("cannot make a temporary folder")?;
        let authority = Authority::new("Simpul demo CA")?;
        let villages = VILLAGES.get(..plan.nodes).context("there are four villages")?;
        let places: Vec<Place> = villages.iter().copied().map(place).collect();
        // Links before hub, because the hub's configuration names the switch; they learn of the hub right after.
        let nowhere = std::net::SocketAddr::from(([127, 0, 0, 1], 9));
        let mut links = Vec::new();
        for place in &places {
            links.push(Link::start(&place.id, nowhere).await?);
        }
        let (board, hand) = match places.last().filter(|_| plan.board) {
            Some(place) => {
                let (hand, orders) = board::hand(&place.id, BUTTONS.len() as u8);
                (Some((start_board(folder.path()).await?, orders)), Some(hand))
            }
            None => (None, None),
        };
        let switch = if plan.fibre_switch { Some(proxy::control(links.clone(), hand).await?) } else { None };
        let control = switch.as_ref().map(Server::address);
        let hub = Hub::prepare(&folder.path().join("hub"), &authority, &places, control)?;
        let broker = if plan.broker {
            let broker = Broker::prepare(&folder.path().join("broker"), &authority)?;
            hub.use_broker(&broker, &authority)?;
            Some(broker)
        } else {
            None
        };
        let (mut nodes, mut cameras) = (Vec::new(), Vec::new());
        for (seed, (place, link)) in (1u8..).zip(places.iter().zip(&links)) {
            link.set_upstream(broker.as_ref().map_or(hub.mqtt(), Broker::address));
            if plan.cameras {
                let (width, height) = plan.picture;
                let scene = Scene { width, height, title: format!("DESA {}", place.village_name), seed };
                cameras.push(Camera::start(scene, CAMERA_USER, CAMERA_PASSWORD).await?);
            }
            let directory = folder.path().join(&place.id);
            let camera = cameras.last();
            let mut settings = plan.settings.clone();
            if let Some((board, _)) = board.as_ref().filter(|_| usize::from(seed) == plan.nodes) {
                settings.more.push_str(&board_settings(board));
            }
            nodes.push(Node::prepare(&directory, &authority, &place.id, link.address(), camera, &settings)?);
        }
        Ok(District { hub, nodes, links, cameras, board, broker, authority, _switch: switch, folder })
    }

    /// Prepare it and start everything.
    pub async fn start(plan: &Plan) -> anyhow::Result<District> {
        let mut district = District::prepare(plan).await?;
        if let Some(broker) = &mut district.broker {
            broker.start().await?;
        }
        district.hub.start().await?;
        for node in &mut district.nodes {
            node.launch()?;
        }
        for node in &mut district.nodes {
            node.wait_until_ready().await?;
        }
        Ok(district)
    }

    /// Its folder.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }
}

/// A board with a module in its cage, everything of it in `folder`.
///
/// # Errors
/// When QEMU or the firmware's image is missing, or the board does not start.
pub async fn start_board(folder: &Path) -> anyhow::Result<EmulatedBoard> {
    let module = Some(Module::gpon(LIGHT_DBM));
    let (directory, sockets) = (folder.join("board"), Some(folder.to_owned()));
    EmulatedBoard::start(Options { directory, serial: *b"SIMULASI", module, sockets }).await.context("the board")
}

/// What an agent's configuration says of that board.
pub fn board_settings(board: &EmulatedBoard) -> String {
    let mut text =
        format!("\n[board]\nport = \"{}\"\ncages = [0]\nrelay = true\nsimulated = true\n", board.tty().display());
    for (button, service) in BUTTONS {
        text.push_str(&format!("\n[[board.desk]]\nbutton = {button}\nservice = \"{service}\"\n"));
    }
    text
}
