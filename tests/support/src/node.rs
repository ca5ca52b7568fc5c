//! A real agent: its configuration, its process, its local API.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;

use crate::camera::Camera;
use crate::hub::{stop, wait_for_200};
use crate::pki::{Authority, write_secret};
use crate::ports;
use crate::process::{Launch, Process, binary};

/// The user that synthetic cameras know.
pub const CAMERA_USER: &str = "viewer";
/// Its password: a loopback camera that exists for minutes.
pub const CAMERA_PASSWORD: &str = "simulasi-kamera";
/// The local API's token: that of a loopback agent that exists for minutes.
const TOKEN: &str = "simulasi-token-of-a-test";

/// A command that asks an agent answers at once; a debug build beside a compiler gets more.
const COMMAND_MAX: Duration = Duration::from_secs(20);

/// What differs between a demo, a test and a fault run.
#[derive(Debug, Clone)]
pub struct NodeSettings {
    /// How often it says how it is, as the configuration writes it.
    pub state_interval: &'static str,
    /// Longest pause between attempts to connect.
    pub reconnect_max: &'static str,
    /// Time between two pictures.
    pub camera_interval: &'static str,
    /// Longest time without a picture, however little changes.
    pub camera_heartbeat: &'static str,
    /// Where its local API listens.
    pub api_host: IpAddr,
    /// The serial of the machine that it believes to be in; none: one of the node's own.
    pub hardware_serial: Option<String>,
    /// More keys for the spool.
    pub spool_more: String,
    /// More keys for the uplink.
    pub uplink_more: String,
    /// More keys for the camera.
    pub camera_more: String,
    /// More lines for the configuration's end.
    pub more: String,
}

impl Default for NodeSettings {
    fn default() -> Self {
        NodeSettings {
            state_interval: "1 s",
            reconnect_max: "500 ms",
            camera_interval: "1 s",
            camera_heartbeat: "30 s",
            api_host: Ipv4Addr::LOCALHOST.into(),
            hardware_serial: None,
            spool_more: String::new(),
            uplink_more: String::new(),
            camera_more: String::new(),
            more: "[host]\nenabled = false\n".to_owned(),
        }
    }
}

/// An agent in a folder of its own. Its process ends with it.
#[derive(Debug)]
pub struct Node {
    id: String,
    directory: PathBuf,
    api: SocketAddr,
    client: reqwest::Client,
    program: Option<PathBuf>,
    prefix: Vec<String>,
    process: Option<Process>,
}

impl Node {
    /// Write certificates and configuration into `directory`; the hub is at `hub` (or a proxy's link to it).
    pub fn prepare(
        directory: &Path,
        authority: &Authority,
        id: &str,
        hub: SocketAddr,
        camera: Option<&Camera>,
        settings: &NodeSettings,
    ) -> anyhow::Result<Node> {
        fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
        authority.write_certificate(&directory.join("ca.pem"))?;
        let identity = authority.node(id)?;
        fs::write(directory.join("node.pem"), &identity.certificate_pem)?;
        write_secret(&directory.join("node.key"), &identity.key_pem)?;
        write_secret(&directory.join("local-api.token"), TOKEN)?;
        write_secret(&directory.join("camera.password"), CAMERA_PASSWORD)?;
        let api = SocketAddr::new(settings.api_host, ports::free()?);
        let NodeSettings { state_interval, reconnect_max, spool_more, uplink_more, more, .. } = settings;
        let serial = settings.hardware_serial.clone().unwrap_or_else(|| format!("simulasi-{id}"));
        let mut text = format!(
            "node = \"{id}\"\nclock = \"trust\"\n\n\
             [spool]\ndirectory = \"spool\"\nhardware_serial = \"{serial}\"\n{spool_more}\n\
             [uplink]\nhubs = [\"{hub}\"]\nstate_interval = \"{state_interval}\"\nreconnect_max = \"{reconnect_max}\"\n{uplink_more}\n\
             [enrolment]\ndirectory = \"identity\"\ntoken_file = \"enrolment.token\"\n\n\
             [local_api]\nlisten = \"{api}\"\ntoken_file = \"local-api.token\"\nrequests_per_second_max = 10000\n\n"
        );
        if let Some(camera) = camera {
            let NodeSettings { camera_interval, camera_heartbeat, camera_more, .. } = settings;
            text.push_str(&format!(
                "[[cameras]]\nid = \"kamera-1\"\nsnapshot_url = \"{}\"\nusername = \"{CAMERA_USER}\"\n\
                 password_file = \"camera.password\"\ninterval = \"{camera_interval}\"\nheartbeat = \"{camera_heartbeat}\"\n\
                 simulated = true\n{camera_more}\n",
                camera.url()
            ));
        }
        text.push_str(more);
        let config = directory.join("agent.toml");
        fs::write(&config, text).with_context(|| format!("cannot write {}", config.display()))?;
        crate::install_crypto();
        let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build()?;
        Ok(Node {
            id: id.to_owned(),
            directory: directory.to_owned(),
            api,
            client,
            program: None,
            prefix: Vec::new(),
            process: None,
        })
    }

    /// Without any certificate: what a technician's card has before its token. It asks the hub for news each second.
    pub fn prepare_bare(directory: &Path, id: &str) -> anyhow::Result<Node> {
        fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
        write_secret(&directory.join("local-api.token"), TOKEN)?;
        let api = SocketAddr::from(([127, 0, 0, 1], ports::free()?));
        let text = format!(
            "node = \"{id}\"\nclock = \"trust\"\n\n\
             [spool]\ndirectory = \"spool\"\nhardware_serial = \"simulasi-{id}\"\n\n\
             [uplink]\nstate_interval = \"1 s\"\nreconnect_max = \"500 ms\"\n\n\
             [enrolment]\ndirectory = \"identity\"\ntoken_file = \"enrolment.token\"\ncheck_interval = \"1 s\"\n\n\
             [local_api]\nlisten = \"{api}\"\ntoken_file = \"local-api.token\"\nrequests_per_second_max = 10000\n\n\
             [host]\nenabled = false\n"
        );
        fs::write(directory.join("agent.toml"), text)?;
        crate::install_crypto();
        let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build()?;
        let (id, directory) = (id.to_owned(), directory.to_owned());
        Ok(Node { id, directory, api, client, program: None, prefix: Vec::new(), process: None })
    }

    /// Put an enrolment token beside its configuration.
    pub fn give_token(&self, token: &str) -> anyhow::Result<()> {
        write_secret(&self.token_file(), token)
    }

    /// Where its enrolment token is looked for.
    pub fn token_file(&self) -> PathBuf {
        self.directory.join("enrolment.token")
    }

    /// From now on start this build of the agent, instead of the one beside the test.
    pub fn run_program(&mut self, program: &Path) {
        self.program = Some(program.to_owned());
    }

    /// From now on start it behind these words, such as `ip netns exec village`.
    pub fn run_behind(&mut self, prefix: &[String]) {
        self.prefix = prefix.to_vec();
    }

    /// Start its process and wait until its local API answers.
    pub async fn start(&mut self) -> anyhow::Result<()> {
        self.launch()?;
        self.wait_until_ready().await
    }

    /// Start its process; do not wait.
    pub fn launch(&mut self) -> anyhow::Result<()> {
        let program = self.program.clone().map_or_else(|| binary("simpul-agent"), Ok)?;
        let mut words = self.prefix.iter().cloned().chain([program.to_string_lossy().into_owned()]);
        let first = PathBuf::from(words.next().context("a program")?);
        let launch = Launch::new(&format!("agent {}", self.id), &first, &self.log());
        let launch = words
            .fold(launch, Launch::argument)
            .argument("run")
            .argument("--config")
            .argument(self.directory.join("agent.toml").to_string_lossy());
        self.process = Some(launch.start()?);
        Ok(())
    }

    /// Run one of its commands on its configuration to the end; what it printed. Fails when the command does.
    pub async fn command(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = tokio::process::Command::new(binary("simpul-agent")?);
        command.args(arguments).arg("--config").arg(self.directory.join("agent.toml")).kill_on_drop(true);
        let output = tokio::time::timeout(COMMAND_MAX, command.output()).await.context("the command hangs")??;
        if !output.status.success() {
            let said = [output.stderr, output.stdout].concat();
            bail!("simpul-agent {arguments:?}: {}", String::from_utf8_lossy(&said));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Wait until its local API answers.
    pub async fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let url = self.url("/v1/health");
        wait_for_200(&self.client, &url, self.process.as_mut()).await
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its process, while it runs.
    pub fn process(&mut self) -> anyhow::Result<&mut Process> {
        self.process.as_mut().with_context(|| format!("agent {} is not running", self.id))
    }

    /// Its folder.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Its spool's folder.
    pub fn spool(&self) -> PathBuf {
        self.directory.join("spool")
    }

    /// Its log, over all starts.
    pub fn log(&self) -> PathBuf {
        self.directory.join("agent.log")
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// SIGTERM; what it complained of (WARN and ERROR lines). Fails unless it ends with 0 in time.
    pub async fn stop(&mut self) -> anyhow::Result<Vec<String>> {
        stop(self.process.take().with_context(|| format!("agent {} is not running", self.id))?).await
    }

    /// A URL of its local API.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.api)
    }

    /// The bearer token of its local API.
    pub fn token(&self) -> &'static str {
        TOKEN
    }

    /// GET its status.
    pub async fn status(&self) -> anyhow::Result<Value> {
        let response = self.client.get(self.url("/v1/status")).bearer_auth(TOKEN).send().await?.error_for_status()?;
        Ok(response.json().await?)
    }
}
