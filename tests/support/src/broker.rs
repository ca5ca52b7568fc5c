//! A real mosquitto with mutual TLS and the access rules that a hub behind an external broker needs
//! (`docs/adr/0001-thin-mqtt-server.md`).

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use crate::pki::Authority;
use crate::ports;
use crate::process::{Launch, Process};

/// It starts in milliseconds; a loaded machine gets more.
const START_MAX: Duration = Duration::from_secs(30);
/// Where Debian has it: not in everybody's path.
const PROGRAM: &str = "/usr/sbin/mosquitto";
/// The common name of the hub's certificate at the broker.
pub(crate) const HUB: &str = "hub";

/// A broker in a folder of its own. Its process ends with it.
#[derive(Debug)]
pub struct Broker {
    directory: PathBuf,
    port: u16,
    process: Option<Process>,
}

impl Broker {
    /// Write certificates, access rules and configuration into `directory`.
    pub fn prepare(directory: &Path, authority: &Authority) -> anyhow::Result<Broker> {
        fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
        authority.write_certificate(&directory.join("ca.crt"))?;
        authority.local_server()?.write(directory, "broker")?;
        let port = ports::free()?;
        let rules = format!(
            "pattern write simpul/v1/%u/up/+\npattern write simpul/v1/%u/state\npattern read simpul/v1/%u/#\n\n\
             user {HUB}\ntopic read simpul/v1/#\ntopic write simpul/v1/+/ack\ntopic write simpul/v1/+/cmd\n"
        );
        fs::write(directory.join("rules"), rules)?;
        let path = directory.display();
        // Without persistence a killed broker forgets what it had queued: the harder case for everybody behind it.
        let text = format!(
            "user root\nlistener {port} 127.0.0.1\ncafile {path}/ca.crt\ncertfile {path}/broker.crt\n\
             keyfile {path}/broker.key\nrequire_certificate true\nuse_identity_as_username true\n\
             allow_anonymous false\nacl_file {path}/rules\npersistence false\nmax_queued_messages 0\n"
        );
        fs::write(directory.join("mosquitto.conf"), text)?;
        Ok(Broker { directory: directory.to_owned(), port, process: None })
    }

    /// Start it and wait until it takes connections.
    pub async fn start(&mut self) -> anyhow::Result<()> {
        let launch = Launch::new("mosquitto", Path::new(PROGRAM), &self.directory.join("mosquitto.log"))
            .argument("-c")
            .argument(self.directory.join("mosquitto.conf").to_string_lossy());
        let mut process = launch.start()?;
        process.wait_for_line("running", START_MAX).await?;
        self.process = Some(process);
        Ok(())
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// The URL that a hub is told.
    pub fn url(&self) -> String {
        format!("mqtts://localhost:{}", self.port)
    }
}
