//! A village whose node has an emulated I/O board: the real firmware in an emulator, the real agent at its terminal.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use simpul_testkit::board::{EmulatedBoard, Module, Options, PicoBoard};
use simpul_testkit::node::NodeSettings;
use simpul_testkit::wait;

use crate::district::{District, Plan};

/// What the agent is told of its board: two desks, a cage, a relay.
const BOARD: &str = "
[host]
enabled = false

[board]
port = \"board/tty\"
cages = [0]
relay = true

[[board.desk]]
button = 1
service = \"ktp\"
desk = \"1\"

[[board.desk]]
button = 2
service = \"kk\"
desk = \"2\"
long_press = \"undo\"
";

/// The board's firmware, in the node's folder.
const FIRMWARE: &str = "board.img";

/// A debug build beside a compiler needs some time.
const SOON: Duration = Duration::from_secs(60);

/// A district of one node, and the board beside it.
pub struct Village<Board = EmulatedBoard> {
    /// The district.
    pub district: District,
    /// The board.
    pub board: Board,
}

impl Village {
    /// Start hub, board and agent; returns when the hub shows the board as good.
    pub async fn start(module: Option<Module>) -> Result<Village> {
        let district = prepare("").await?;
        let serial = [0xe6, 0x61, 0x41, 0x03, 0xe7, 0x45, 0x2d, 0x2f];
        let directory = board_directory(&district);
        let board = EmulatedBoard::start(Options { directory, serial, module, sockets: None }).await?;
        started(district, board).await
    }
}

impl Village<PicoBoard> {
    /// The same with the board that is bought, whose agent updates it with [`Village::firmware`] once that is there.
    pub async fn start_pico() -> Result<Village<PicoBoard>> {
        Self::start_pico_after(async |_| Ok(())).await
    }

    /// The same with a board that was on a bench before its agent meets it, and kept its power.
    pub async fn start_pico_after(bench: impl AsyncFnOnce(&PicoBoard) -> Result<()>) -> Result<Village<PicoBoard>> {
        let district = prepare(&format!("firmware = \"{FIRMWARE}\"\n")).await?;
        let board = PicoBoard::start(&board_directory(&district)).await?;
        bench(&board).await?;
        started(district, board).await
    }

    /// Where the agent looks for the board's firmware.
    pub fn firmware(&self) -> PathBuf {
        self.district.nodes[0].directory().join(FIRMWARE)
    }

    /// What the agent says of its board on site.
    pub async fn on_site(&self) -> Result<Value> {
        let output = self.district.nodes[0].command(&["board", "status", "--json"]).await?;
        serde_json::from_str(&output).context("a status that is not JSON")
    }
}

async fn prepare(board_more: &str) -> Result<District> {
    let more = BOARD.replace("[board]\n", &format!("[board]\n{board_more}"));
    let settings = NodeSettings { more, ..NodeSettings::default() };
    District::prepare(&Plan { settings, ..Plan::default() }).await
}

/// Where the configuration's port is.
fn board_directory(district: &District) -> PathBuf {
    district.nodes[0].directory().join("board")
}

async fn started<Board>(mut district: District, board: Board) -> Result<Village<Board>> {
    district.hub.start().await?;
    district.nodes[0].start().await?;
    let village = Village { district, board };
    village.until("a good board", SOON, |board| board["condition"] == "good").await?;
    Ok(village)
}

impl<Board> Village<Board> {
    /// What the hub says of the board.
    pub async fn board_view(&self) -> Result<Value> {
        let node = self.district.hub.node(self.district.nodes[0].id()).await?.context("the hub shows the node")?;
        Ok(node["board"].clone())
    }

    /// Wait until the hub says of the board what is wanted; it returns that.
    pub async fn until(&self, what: &str, within: Duration, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let last = std::sync::Mutex::new(Value::Null);
        let found = wait::until(what, within, || async {
            let view = self.board_view().await.ok()?;
            let found = wanted(&view).then(|| view.clone());
            *last.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = view;
            found
        });
        found.await.with_context(|| format!("the hub says of the board: {last:?}"))
    }

    /// Today's row of a service.
    pub async fn service(&self, code: &str) -> Result<Value> {
        let overview = self.district.hub.get("/api/v1/overview").await?;
        let services = overview["services"].as_array().context("a list of services")?;
        Ok(services.iter().find(|service| service["service"] == code).cloned().unwrap_or_default())
    }
}
