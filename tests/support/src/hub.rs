//! A real hub: its configuration, its process, its API.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;

use crate::broker::{self, Broker};
use crate::pki::Authority;
use crate::ports;
use crate::process::{Launch, Process, binary};
use crate::wait;

/// Long enough for a debug build on a machine that compiles meanwhile.
pub const START_MAX: Duration = Duration::from_secs(60);
/// An orderly stop takes less than a second; a loaded machine gets more.
pub const STOP_MAX: Duration = Duration::from_secs(30);
/// Rows of one page of the API: the most that it gives.
const PAGE_ROWS: usize = 1_000;

/// A node that the hub expects.
#[derive(Debug, Clone)]
pub struct Place {
    /// Node id.
    pub id: String,
    /// Name of the place.
    pub name: String,
    /// Village code (Kemendagri).
    pub village_code: String,
    /// Village name.
    pub village_name: String,
}

/// A hub in a folder of its own. Its process ends with it.
#[derive(Debug)]
pub struct Hub {
    directory: PathBuf,
    mqtt: SocketAddr,
    web: SocketAddr,
    enrolment: Option<SocketAddr>,
    client: reqwest::Client,
    process: Option<Process>,
}

impl Hub {
    /// Write certificates and configuration into `directory`. `fibre_control` is the demo's switch.
    pub fn prepare(
        directory: &Path,
        authority: &Authority,
        places: &[Place],
        fibre_control: Option<SocketAddr>,
    ) -> anyhow::Result<Hub> {
        fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
        authority.write_certificate(&directory.join("ca.crt"))?;
        authority.local_server()?.write(directory, "hub")?;
        let local = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let (mqtt, web) = (local(ports::free()?), local(ports::free()?));
        let mut text = format!(
            "data_directory = \"data\"\n\n[mqtt]\nlisten = \"{mqtt}\"\nca_file = \"ca.crt\"\n\
             certificate_file = \"hub.crt\"\nkey_file = \"hub.key\"\n\n[web]\nlisten = \"{web}\"\n\n[nodes]\nlist = [\n"
        );
        for place in places {
            text.push_str(&format!(
                "  {{ id = \"{}\", name = \"{}\", village_code = \"{}\", village_name = \"{}\" }},\n",
                place.id, place.name, place.village_code, place.village_name
            ));
        }
        text.push_str("]\n");
        if let Some(control) = fibre_control {
            text.push_str(&format!("\n[demo]\nfibre_control = \"http://{control}\"\n"));
        }
        let config = directory.join("hub.toml");
        fs::write(&config, text).with_context(|| format!("cannot write {}", config.display()))?;
        crate::install_crypto();
        let client = reqwest::Client::builder().timeout(Duration::from_secs(20)).build()?;
        Ok(Hub { directory: directory.to_owned(), mqtt, web, enrolment: None, client, process: None })
    }

    /// With a CA of its own, which enrols nodes: `simpul-hub ca init` in an empty folder. Certificates hold for
    /// `certificate_seconds`.
    pub async fn prepare_enrolling(directory: &Path, certificate_seconds: u32) -> anyhow::Result<Hub> {
        fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
        let local = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let (mqtt, web, enrolment) = (local(ports::free()?), local(ports::free()?), local(ports::free()?));
        let text = format!(
            "data_directory = \"data\"\n\n[mqtt]\nlisten = \"{mqtt}\"\n\n[web]\nlisten = \"{web}\"\n\n[enrolment]\n\
             listen = \"{enrolment}\"\naddresses = [\"{enrolment}\"]\nhubs = [\"{mqtt}\"]\n\
             certificate_seconds = {certificate_seconds}\n"
        );
        fs::write(directory.join("hub.toml"), text)?;
        crate::install_crypto();
        let client = reqwest::Client::builder().timeout(Duration::from_secs(20)).build()?;
        let enrolment = Some(enrolment);
        let hub = Hub { directory: directory.to_owned(), mqtt, web, enrolment, client, process: None };
        hub.command(&["ca", "init", "--district", "Situbondo"]).await?;
        Ok(hub)
    }

    /// Tell nodes these addresses of its enrolment and MQTT servers, instead of those that it listens on: what they see of
    /// this computer from where they are. For tokens that are made from now on.
    pub fn reached_at(&self, enrolment: &str, mqtt: &str) -> anyhow::Result<()> {
        let path = self.directory.join("hub.toml");
        let rewritten: Vec<String> = fs::read_to_string(&path)?
            .lines()
            .map(|line| match line.split_once(" = [") {
                Some(("addresses", _)) => format!("addresses = [\"{enrolment}\"]"),
                Some(("hubs", _)) => format!("hubs = [\"{mqtt}\"]"),
                _ => line.to_owned(),
            })
            .collect();
        Ok(fs::write(&path, rewritten.join("\n") + "\n")?)
    }

    /// Let its MQTT server listen on another of this machine's addresses.
    pub fn listen_on(&mut self, host: IpAddr) -> anyhow::Result<()> {
        let path = self.directory.join("hub.toml");
        let (before, after) = (self.mqtt, SocketAddr::new(host, self.mqtt.port()));
        let text = fs::read_to_string(&path)?.replace(&before.to_string(), &after.to_string());
        fs::write(&path, text)?;
        self.mqtt = after;
        Ok(())
    }

    /// Behind this broker, instead of its own server: with a client's certificate instead of a server's.
    pub fn use_broker(&self, broker: &Broker, authority: &Authority) -> anyhow::Result<()> {
        authority.node(broker::HUB)?.write(&self.directory, "hub")?;
        let path = self.directory.join("hub.toml");
        let own = format!("[mqtt]\nlisten = \"{}\"\n", self.mqtt);
        let text = fs::read_to_string(&path)?.replace(&own, &format!("[mqtt]\nexternal_url = \"{}\"\n", broker.url()));
        Ok(fs::write(&path, text)?)
    }

    /// Run one of its commands on its configuration to the end; what it printed. Fails when the command does.
    pub async fn command(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = tokio::process::Command::new(binary("simpul-hub")?);
        command.arg("--config").arg(self.directory.join("hub.toml")).args(arguments).kill_on_drop(true);
        let output = tokio::time::timeout(START_MAX, command.output()).await.context("the command hangs")??;
        if !output.status.success() {
            bail!("simpul-hub {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Start its process and wait until it says that it is ready.
    pub async fn start(&mut self) -> anyhow::Result<()> {
        self.launch()?;
        self.wait_until_ready().await
    }

    /// Start its process; do not wait.
    pub fn launch(&mut self) -> anyhow::Result<()> {
        let launch = Launch::new("the hub", &binary("simpul-hub")?, &self.directory.join("hub.log"))
            .argument("--config")
            .argument(self.directory.join("hub.toml").to_string_lossy());
        self.process = Some(launch.start()?);
        Ok(())
    }

    /// Wait until `/readyz` answers 200.
    pub async fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let url = self.url("/readyz");
        wait_for_200(&self.client, &url, self.process.as_mut()).await
    }

    /// Its process, while it runs.
    pub fn process(&mut self) -> anyhow::Result<&mut Process> {
        self.process.as_mut().context("the hub is not running")
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// SIGTERM; what it complained of (WARN and ERROR lines). Fails unless it ends with 0 in time.
    pub async fn stop(&mut self) -> anyhow::Result<Vec<String>> {
        stop(self.process.take().context("the hub is not running")?).await
    }

    /// Where its MQTT server listens.
    pub fn mqtt(&self) -> SocketAddr {
        self.mqtt
    }

    /// Where its enrolment listens, if it enrols nodes.
    pub fn enrolment(&self) -> Option<SocketAddr> {
        self.enrolment
    }

    /// Its folder.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A URL of its API or page.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.web)
    }

    /// GET a JSON document.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let response = self.client.get(self.url(path)).send().await.with_context(|| format!("GET {path}"))?;
        let status = response.status();
        let text = response.text().await?;
        if !status.is_success() {
            bail!("GET {path}: {status}: {text}");
        }
        serde_json::from_str(&text).with_context(|| format!("GET {path} is not JSON: {text}"))
    }

    /// GET bytes.
    pub async fn get_bytes(&self, path: &str) -> anyhow::Result<Vec<u8>> {
        let response = self.client.get(self.url(path)).send().await?.error_for_status()?;
        Ok(response.bytes().await?.to_vec())
    }

    /// POST a JSON document.
    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let response = self.client.post(self.url(path)).json(body).send().await?;
        let status = response.status();
        let text = response.text().await?;
        if !status.is_success() {
            bail!("POST {path}: {status}: {text}");
        }
        Ok(serde_json::from_str(&text)?)
    }

    /// One node as the overview shows it, once it does.
    pub async fn node(&self, id: &str) -> anyhow::Result<Option<Value>> {
        let overview = self.get("/api/v1/overview").await?;
        let nodes = overview["nodes"].as_array().context("the overview has no nodes")?;
        Ok(nodes.iter().find(|node| node["id"] == id).cloned())
    }

    /// All rows of a paged list after `cursor`, and the cursor of the last page that had rows.
    pub async fn rows(&self, path: &str, mut cursor: Option<i64>) -> anyhow::Result<(Vec<Value>, Option<i64>)> {
        let mut all = Vec::new();
        loop {
            let joint = if path.contains('?') { '&' } else { '?' };
            let mut page = format!("{path}{joint}limit={PAGE_ROWS}");
            if let Some(cursor) = cursor {
                page.push_str(&format!("&cursor={cursor}"));
            }
            let mut body = self.get(&page).await?;
            if let Value::Array(rows) = body["rows"].take() {
                all.extend(rows);
            }
            match body["next_cursor"].as_i64() {
                Some(next) => cursor = Some(next),
                None => return Ok((all, cursor)),
            }
        }
    }
}

/// Wait for a 200 from `url`; fails at once when the process that should answer has ended.
pub(crate) async fn wait_for_200(
    client: &reqwest::Client,
    url: &str,
    process: Option<&mut Process>,
) -> anyhow::Result<()> {
    let process = process.context("it was not started")?;
    let what = format!("200 from {url} ({})", process.name());
    let answered = wait::until(&what, START_MAX, || {
        let ended = process.poll_ended();
        let request = client.get(url).timeout(Duration::from_secs(2)).send();
        async move {
            if let Some(status) = ended {
                return Some(Err(status));
            }
            let ready = request.await.is_ok_and(|response| response.status().is_success());
            ready.then_some(Ok(()))
        }
    })
    .await
    .with_context(|| format!("the log of {}:\n{}", process.name(), process.log_tail()))?;
    match answered {
        Ok(()) => Ok(()),
        Err(status) => bail!("{} ended ({status}); its log:\n{}", process.name(), process.log_tail()),
    }
}

pub(crate) async fn stop(mut process: Process) -> anyhow::Result<Vec<String>> {
    process.terminate();
    let status = process.wait_for_end(STOP_MAX).await?;
    if !status.success() {
        bail!("{} ended with {status} after SIGTERM; its log:\n{}", process.name(), process.log_tail());
    }
    Ok(process.complaints())
}
