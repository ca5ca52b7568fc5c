//! A village office whose node is an emulated machine: a real Debian that boots from a card which `simpul` wrote, installs the
//! agent's package, enrols by itself, and sends what its camera sees to a hub outside of the machine.
//!
//! The hub, the camera and the fibre's cutter are on this computer's loopback; the machine reaches them at
//! [`HOST`]. The first boot is the card's own hook, by way of `cmdline.txt`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use simpul_testkit::camera::Camera;
use simpul_testkit::hub::Hub;
use simpul_testkit::machine::{HOST, Machine};
use simpul_testkit::node::{CAMERA_PASSWORD, CAMERA_USER};
use simpul_testkit::pki::write_secret;
use simpul_testkit::ports;
use simpul_testkit::process::binary;
use simpul_testkit::proxy::Link;
use simpul_testkit::scene::Scene;
use simpul_testkit::visitors::{Desk, Ledger};
use tempfile::TempDir;

use crate::district::VILLAGES;

/// A start takes 40 s on an idle machine; emulation on one that twenty others keep busy took six minutes.
const BOOT_MAX: Duration = Duration::from_secs(900);
/// From the agent's start to its first picture at the hub: a handshake, a token, a login at the camera.
const VERIFIED_MAX: Duration = Duration::from_secs(900);
/// The local API's port in the machine.
const API_PORT: u16 = 8_480;
/// The local API's token: that of a machine that exists for minutes.
const API_TOKEN: &str = "simulasi-token-of-a-card";
/// Longer than any run.
const CERTIFICATE_SECONDS: u32 = 34_300_800;
/// Between two looks at what takes seconds.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What an office is made of.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// The agent's Debian package.
    pub package: PathBuf,
    /// More lines for the agent's configuration.
    pub config_more: String,
    /// More words for the machine's kernel.
    pub command_line: String,
    /// What the machine's second serial port is wired to.
    pub serial: Option<PathBuf>,
    /// The card, if it is there already; else a file in the office's folder.
    pub card: Option<PathBuf>,
}

/// Hub, camera, bundle, card, machine. All end with it.
#[derive(Debug)]
pub struct Office {
    /// The machine at the end of the card; off at first.
    pub machine: Machine,
    /// Its hub, running.
    pub hub: Hub,
    /// The fibre between them.
    pub link: Link,
    /// The camera, which the machine has to log in at.
    pub camera: Camera,
    api_port: u16,
    client: reqwest::Client,
    card: PathBuf,
    folder: TempDir,
}

impl Office {
    /// Start hub and camera, and have `simpul bundle make` put a bundle together. Nothing is on the card yet.
    pub async fn prepare(plan: &Plan) -> Result<Office> {
        let folder = tempfile::Builder::new().prefix("simpul-card-").tempdir()?;
        let mut hub = Hub::prepare_enrolling(&folder.path().join("hub"), CERTIFICATE_SECONDS).await?;
        let (code, village) = VILLAGES[0];
        let register = folder.path().join("villages.csv");
        fs::write(&register, format!("code,name\n{code},{village}\n"))?;
        hub.command(&["nodes", "import", "--register", &register.to_string_lossy()]).await?;
        let link = Link::start(Self::id(), hub.mqtt()).await?;
        let enrolment = hub.enrolment().context("a hub without enrolment")?;
        hub.reached_at(&format!("{HOST}:{}", enrolment.port()), &format!("{HOST}:{}", link.address().port()))?;
        hub.start().await?;
        let scene = Scene { width: 640, height: 360, title: village.to_owned(), seed: 1 };
        let camera = Camera::start(scene, CAMERA_USER, CAMERA_PASSWORD).await?;

        let card = plan.card.clone().unwrap_or_else(|| folder.path().join("card.img"));
        let api_port = ports::free()?;
        let mut machine = Machine::new("the machine", &card, &folder.path().join("machine"))
            .forward(api_port, API_PORT)
            .command_line(&plan.command_line);
        if let Some(serial) = &plan.serial {
            machine = machine.serial(serial);
        }
        let client = reqwest::Client::builder().timeout(Duration::from_secs(5)).build()?;
        let office = Office { machine, hub, link, camera, api_port, client, card, folder };
        office.make_bundle(plan, village).await?;
        Ok(office)
    }

    /// The node's id.
    pub fn id() -> &'static str {
        "35.12.01.2001-01"
    }

    /// Where its files are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The node's bundle, called as `simpul batch` looks for it.
    pub fn bundle(&self) -> PathBuf {
        self.folder.path().join(format!("{}.tar", Self::id()))
    }

    /// What the hub's operators do in the district's office.
    async fn make_bundle(&self, plan: &Plan, village: &str) -> Result<()> {
        let file = |name: &str| self.folder.path().join(name);
        let camera = self.camera.url().replace("127.0.0.1", HOST);
        let config = format!(
            "node = \"{}\"\n\n[uplink]\nstate_interval = \"2 s\"\nreconnect_max = \"1 s\"\n\n\
             [local_api]\nlisten = \"0.0.0.0:{API_PORT}\"\ntoken_file = \"local-api.token\"\n\
             requests_per_second_max = 10000\n\n\
             [[cameras]]\nid = \"kamera-1\"\nsnapshot_url = \"{camera}\"\nusername = \"{CAMERA_USER}\"\n\
             password_file = \"kamera-1.password\"\ninterval = \"2 s\"\nsimulated = true\n\n{}",
            Self::id(),
            plan.config_more
        );
        fs::write(file("agent.toml"), config)?;
        write_secret(&file("token.txt"), &self.hub.command(&["nodes", "token", Self::id()]).await?)?;
        write_secret(&file("local-api.token"), API_TOKEN)?;
        write_secret(&file("kamera-1.password"), CAMERA_PASSWORD)?;
        let shown = |path: PathBuf| path.to_string_lossy().into_owned();
        let mut make = Command::new(binary("simpul")?);
        make.args(["bundle", "make", "--node", Self::id(), "--village", village]);
        make.args(["--config", &shown(file("agent.toml")), "--token-file", &shown(file("token.txt"))]);
        make.arg("--agent").arg(&plan.package).arg("--secret").arg(file("local-api.token"));
        make.arg("--secret").arg(file("kamera-1.password")).arg("--to").arg(self.bundle());
        run(&mut make)
    }

    /// `simpul card`: the image onto the card, with the node's files.
    pub fn write_card(&self, image: &Path) -> Result<()> {
        let mut card = Command::new(binary("simpul")?);
        card.arg("card").arg(image).arg("--to").arg(&self.card).arg("--node").arg(self.bundle()).arg("--yes");
        run(&mut card)
    }

    /// The first boot: the card installs the agent and starts anew by itself. The machine is off afterwards.
    pub async fn first_boot(&mut self) -> Result<()> {
        self.machine.start()?;
        self.machine.wait_for_end(BOOT_MAX).await.context("the first boot, which ends with a restart")?;
        let names = self.machine.boot_partition_names()?;
        let log = self.machine.on_boot_partition("simpul-first-boot.log")?.unwrap_or_default();
        let log = String::from_utf8_lossy(&log).into_owned();
        ensure!(log.lines().any(|line| line == "done"), "the first boot did not end well; its log on the card:\n{log}");
        let kept = |name: &&String| name.starts_with("simpul-") && (name.contains("token") || name.contains("secret."));
        if let Some(secret) = names.iter().find(kept) {
            bail!("{secret} is still on the boot partition; the first boot's log:\n{log}");
        }
        let line = self.machine.on_boot_partition("cmdline.txt")?.unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        ensure!(!line.contains("systemd.run"), "the hook is still in cmdline.txt: {line}");
        Ok(())
    }

    /// Wait until systemd says that the machine is up; what is wrong with it or the agent's unit is an error.
    pub async fn units_are_well(&mut self) -> Result<()> {
        let line = self.machine.wait_for_line("simpul-state: ", BOOT_MAX).await?;
        let state = line.find("simpul-state: ").map_or(line.as_str(), |at| line[at..].trim());
        let wanted = [
            "system=running;",
            "ActiveState=active ",
            "SubState=running ",
            "Result=success ",
            "NRestarts=0 ",
            "User=simpul ",
        ];
        for word in wanted {
            ensure!(state.contains(word), "systemd does not say {word}: {state}");
        }
        println!("{state}");
        Ok(())
    }

    /// Wait until the local API answers in the machine that was started.
    pub async fn ready(&mut self) -> Result<()> {
        let url = format!("http://127.0.0.1:{}/v1/health", self.api_port);
        self.until("the agent's local API in the machine", BOOT_MAX, async |office| {
            let answered = office.client.get(&url).send().await;
            answered.is_ok_and(|answer| answer.status().is_success()).then_some(())
        })
        .await
    }

    /// Wait until the hub shows the node as enrolled and live, with a reading and a picture: what a technician waits for.
    pub async fn verified(&mut self) -> Result<Value> {
        let waited =
            self.until("the node at the hub, live, with a reading and a picture", VERIFIED_MAX, async |office| {
                let node = office.hub.node(Self::id()).await.ok()??;
                let live = node["connected"] == true && node["liveness"] == "live";
                let readings = node["readings"].as_array().is_some_and(|readings| !readings.is_empty());
                let cameras = node["cameras"].as_array();
                let picture = cameras.is_some_and(|cameras| cameras.iter().any(|camera| !camera["snapshot"].is_null()));
                (live && readings && picture).then_some(node)
            });
        match waited.await {
            Ok(node) => Ok(node),
            Err(error) => {
                let refused = self.hub.command(&["nodes", "events"]).await.unwrap_or_default();
                let seen = self.hub.node(Self::id()).await.ok().flatten().unwrap_or_default();
                Err(error.context(format!("the hub refused:\n{refused}\nit shows: {seen}")))
            }
        }
    }

    /// Wait until the hub says that the node's I/O board is good.
    pub async fn board_is_good(&mut self, within: Duration) -> Result<()> {
        self.until("a good I/O board at the hub", within, async |office| {
            let node = office.hub.node(Self::id()).await.ok()??;
            (node["board"]["condition"] == "good").then_some(())
        })
        .await
    }

    /// Wait until the hub has so many records of this service.
    pub async fn counted(&mut self, service: &str, records: usize, within: Duration) -> Result<()> {
        self.until("the count at the hub", within, async |office| {
            let (rows, _) = office.hub.rows("/api/v1/service-records", None).await.ok()?;
            (rows.iter().filter(|row| row["service"] == service).count() == records).then_some(())
        })
        .await
    }

    /// All that nobody should have to type: the token, and the passwords on the card.
    pub fn secrets(&self) -> Result<Vec<String>> {
        let token = fs::read_to_string(self.folder.path().join("token.txt"))?.trim().to_owned();
        Ok(vec![token, API_TOKEN.to_owned(), CAMERA_PASSWORD.to_owned()])
    }

    /// Callers at the machine's local API.
    pub fn desk(&self, prefix: &str, ledger: &Ledger) -> Result<Desk> {
        Desk::at(Self::id(), &format!("http://127.0.0.1:{}", self.api_port), API_TOKEN, prefix, ledger)
    }

    /// Look until there is a value, the machine's QEMU ends, or the time is over; errors have the console's last lines.
    async fn until<T>(
        &mut self,
        what: &str,
        within: Duration,
        mut look: impl AsyncFnMut(&Office) -> Option<T>,
    ) -> Result<T> {
        let waited = tokio::time::timeout(within, async {
            loop {
                if let Some(value) = look(self).await {
                    return Ok(value);
                }
                ensure!(self.machine.is_running(), "QEMU ended while waiting for {what}");
                ensure!(!self.machine.has_given_up(), "the machine gave up starting while waiting for {what}");
                tokio::time::sleep(LOOK_EVERY).await;
            }
        });
        let waited = waited.await;
        let found = waited.unwrap_or_else(|_| bail!("waited {} s in vain for: {what}", within.as_secs()));
        found.map_err(|error| self.machine.explained(error))
    }
}

/// Run one of `simpul`'s commands to its end.
fn run(command: &mut Command) -> Result<()> {
    let output = command.env("LANG", "en_GB.UTF-8").output().context("cannot run simpul")?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Wait until the hub has all that was accepted, or nothing new has come for `stalled_after`; its records.
pub async fn drain(hub: &Hub, ledger: &Ledger, stalled_after: Duration) -> Result<Vec<Value>> {
    let (mut quiet, mut count) = (Duration::ZERO, 0);
    loop {
        let (rows, _) = hub.rows("/api/v1/service-records", None).await?;
        quiet = if rows.len() > count { Duration::ZERO } else { quiet + LOOK_EVERY };
        count = rows.len();
        let missing = simpul_testkit::visitors::compare(&ledger.entries(), &rows).missing;
        if missing.is_empty() || quiet >= stalled_after {
            return Ok(rows);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
