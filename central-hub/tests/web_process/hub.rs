//! The hub's program in a folder of its own, on ports that the kernel gives.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use simpul_testkit::pki::Authority;
use simpul_testkit::process::{Launch, Process};
use tempfile::TempDir;

/// A debug build on a loaded machine.
pub const START_MAX: Duration = Duration::from_secs(60);

/// What the hub promises for its end.
pub const STOP_MAX: Duration = Duration::from_secs(10);

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_simpul-hub");

/// A folder with certificates and a configuration.
pub struct Home {
    pub folder: TempDir,
    pub authority: Authority,
}

/// A running hub.
pub struct Hub {
    pub process: Process,
    pub web: String,
    pub mqtt_port: u16,
}

impl Home {
    /// `web` is the `[web]` section, beyond the address.
    pub fn new(web_listen: &str, web: &str) -> Home {
        simpul_testkit::install_crypto();
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new("district").unwrap();
        authority.write_certificate(&folder.path().join("ca.crt")).unwrap();
        authority.local_server().unwrap().write(folder.path(), "hub").unwrap();
        let text = format!(
            "data_directory = \"data\"\n[mqtt]\nlisten = \"127.0.0.1:0\"\nca_file = \"ca.crt\"\n\
             certificate_file = \"hub.crt\"\nkey_file = \"hub.key\"\n[web]\nlisten = \"{web_listen}\"\n{web}\n"
        );
        std::fs::write(folder.path().join("hub.toml"), text).unwrap();
        Home { folder, authority }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn launch(&self) -> Process {
        let config = self.path("hub.toml");
        Launch::new("the hub", Path::new(PROGRAM), &self.path("hub.log"))
            .argument("--config")
            .argument(config.to_str().unwrap())
            .start()
            .unwrap()
    }

    pub async fn start(&self) -> Hub {
        let mut process = self.launch();
        let ready = process.wait_for_line("hub is ready", START_MAX).await.unwrap();
        let web = ready.split("url=").nth(1).and_then(|rest| rest.split(['/', ' ']).nth(2)).unwrap();
        let scheme = if ready.contains("https://") { "https" } else { "http" };
        let web = format!("{scheme}://127.0.0.1:{}", web.rsplit(':').next().unwrap());
        let listening = process.wait_for_line("MQTT server listening", START_MAX).await.unwrap();
        let mqtt_port = listening.rsplit(':').next().unwrap().trim().parse().unwrap();
        Hub { process, web, mqtt_port }
    }

    /// Run a command to its end.
    pub async fn command(&self, arguments: &[&str]) -> Said {
        let mut command = tokio::process::Command::new(PROGRAM);
        command.arg("--config").arg(self.path("hub.toml")).args(arguments).kill_on_drop(true);
        Said(tokio::time::timeout(START_MAX, command.output()).await.unwrap().unwrap())
    }
}

/// What a command said.
pub struct Said(Output);

impl Said {
    /// Its standard output; it must have succeeded.
    pub fn done(self) -> String {
        assert!(self.0.status.success(), "{}", String::from_utf8_lossy(&self.0.stderr));
        String::from_utf8(self.0.stdout).unwrap()
    }

    /// Its last line on standard error; it must have failed.
    pub fn refused(self) -> String {
        assert_eq!(self.0.status.code(), Some(1), "{}", String::from_utf8_lossy(&self.0.stdout));
        String::from_utf8(self.0.stderr).unwrap().lines().last().unwrap_or_default().to_owned()
    }

    /// Its standard output; it must have ended with 1.
    pub fn unready(self) -> String {
        assert_eq!(self.0.status.code(), Some(1));
        String::from_utf8(self.0.stdout).unwrap()
    }
}
