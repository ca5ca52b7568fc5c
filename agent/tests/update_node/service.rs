//! An enrolled agent under a service manager that starts it again whenever it ends, as systemd does.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use simpul_agent::enrolment::store::{Kept, Store};
use simpul_agent::update::launch::Launch;
use simpul_testkit::process::Launch as Command;
use simpul_testkit::{ports, wait};
use simpul_wire::enrolment::{Identity, Trust, Validity};
use simpul_wire::event::EventBody;
use simpul_wire::update::Step;

use super::district::{District, NODE};
use super::offering::{Offering, public_key};

/// A trial of 8 s, and three starts of a debug build beside a compiler.
const PATIENCE: Duration = Duration::from_secs(150);

/// systemd's RestartSec, for the impatient.
const PAUSE: Duration = Duration::from_millis(100);
const LOOK: Duration = Duration::from_millis(20);

#[derive(Default)]
struct Orders {
    stop: AtomicBool,
    kill: AtomicBool,
    codes: Mutex<Vec<Option<i32>>>,
    id: Mutex<u32>,
}

pub struct Village {
    pub district: District,
    pub offering: Offering,
    orders: Arc<Orders>,
    manager: Option<JoinHandle<()>>,
}

impl Drop for Village {
    fn drop(&mut self) {
        self.orders.stop.store(true, Ordering::SeqCst);
        if let Some(manager) = self.manager.take() {
            let _ = manager.join();
        }
        if std::thread::panicking() {
            let log = fs::read_to_string(self.folder().join("agent.log")).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("the agent's log:\n{}", lines[lines.len().saturating_sub(60)..].join("\n"));
        }
    }
}

impl Village {
    /// With more lines for the configuration's end.
    pub async fn start(more: &str) -> Village {
        let district = District::start().await;
        let offering = Offering::start(district.authority()).await;
        let folder = district.directory().to_owned();
        enrol(&district, &offering, &folder);
        let toml = format!(
            "node = \"{NODE}\"\nclock = \"trust\"\n[spool]\ndirectory = \"spool\"\nhardware_serial = \"test\"\n\
             [uplink]\nhubs = [\"{}\"]\nserver_name = \"localhost\"\nreconnect_max = \"200 ms\"\n\
             [enrolment]\ndirectory = \"identity\"\ntoken_file = \"enrolment.token\"\n[host]\nenabled = false\n\
             [update]\nkeys = [\"{}\"]\nlook_every = \"1 s\"\ntrial = \"8 s\"\n{more}",
            district.address(),
            hex::encode(public_key())
        );
        fs::write(folder.join("agent.toml"), &toml).unwrap();
        fs::write(folder.join("lost.toml"), lost(&toml, &district.address())).unwrap();
        for slot in ["a", "b"] {
            fs::create_dir_all(folder.join("updates").join(slot)).unwrap();
            let real = folder.join("updates").join(slot).join("real");
            if fs::hard_link(program(), &real).is_err() {
                fs::copy(program(), &real).unwrap();
            }
        }
        let orders = Arc::new(Orders::default());
        let (told, launch) = (orders.clone(), launch(&folder));
        let manager = Some(std::thread::spawn(move || manage(&launch, &told)));
        Village { district, offering, orders, manager }
    }

    fn folder(&self) -> &Path {
        self.district.directory()
    }

    /// The power goes.
    pub fn kill(&self) {
        self.orders.kill.store(true, Ordering::SeqCst);
    }

    /// Exit codes of the agents that ended by themselves.
    pub fn codes(&self) -> Vec<Option<i32>> {
        self.orders.codes.lock().unwrap().clone()
    }

    pub fn launch(&self) -> Launch {
        Launch::load(&self.folder().join("updates")).unwrap().unwrap()
    }

    pub fn configuration(&self) -> String {
        fs::read_to_string(self.folder().join("agent.toml")).unwrap()
    }

    /// Valid, and its hub is nowhere.
    pub fn lost_configuration(&self) -> String {
        lost(&self.configuration(), &self.district.address())
    }

    pub fn edit(&self, text: &str) {
        fs::write(self.folder().join("agent.toml"), text).unwrap();
    }

    /// Until the file on the node counts as good: it has reached the hub.
    pub async fn until_kept(&self, text: &str) {
        let file = self.folder().join("updates/configuration/last.toml");
        wait::until("the last good configuration", PATIENCE, || async {
            fs::read_to_string(&file).is_ok_and(|kept| kept.contains(text)).then_some(())
        })
        .await
        .unwrap();
    }

    pub async fn command(&self, words: &[&str]) -> String {
        let mut command = tokio::process::Command::new(program());
        command.args(words).arg(self.folder().join("agent.toml"));
        let output = command.arg("--updates").arg(self.folder().join("updates")).output().await.unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    /// Until the program that runs is this one.
    pub async fn until_running(&self, end: &str) {
        wait::until("the program", PATIENCE, || async {
            let id = *self.orders.id.lock().unwrap();
            // The manager starts it behind another program, which becomes it.
            let exe = fs::read_link(format!("/proc/{id}/exe")).ok()?;
            exe.to_string_lossy().ends_with(end).then_some(())
        })
        .await
        .unwrap();
    }

    pub async fn until<T>(&self, what: &str, seen: impl Fn(&EventBody) -> Option<T>) -> T {
        wait::until(what, PATIENCE, || async { self.district.hub().events().iter().find_map(&seen) }).await.unwrap()
    }

    pub async fn until_step(&self, of: u8, wanted: Step) {
        let what = format!("{wanted:?} of rollout {of}");
        self.until(&what, |event| match event {
            EventBody::Update { rollout, step, .. } if *rollout == [of; 16] && *step == wanted => Some(()),
            _ => None,
        })
        .await;
    }

    /// What was told of a rollout.
    pub fn steps(&self, of: u8) -> Vec<Step> {
        let steps = self.district.hub().events().into_iter().filter_map(|event| match event {
            EventBody::Update { rollout, step, .. } if rollout == [of; 16] => Some(step),
            _ => None,
        });
        steps.collect()
    }

    /// Why it came to its end. Steps of an outage may arrive after it: the fresh ones go first.
    pub fn why(&self, of: u8) -> String {
        let mut whys = self.district.hub().events().into_iter().filter_map(|event| match event {
            EventBody::Update { rollout, step, detail, .. } if rollout == [of; 16] && step.is_final() => {
                Some(detail.to_string())
            }
            _ => None,
        });
        whys.next_back().unwrap_or_default()
    }
}

fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_simpul-agent"))
}

fn lost(toml: &str, address: &str) -> String {
    toml.replace(address, &format!("127.0.0.1:{}", ports::free().unwrap()))
}

fn launch(folder: &Path) -> Command {
    Command::new("agent", &program(), &folder.join("agent.log"))
        .argument("run")
        .argument("--config")
        .argument(folder.join("agent.toml").display().to_string())
        .argument("--updates")
        .argument(folder.join("updates").display().to_string())
}

fn manage(launch: &Command, orders: &Orders) {
    while !orders.stop.load(Ordering::SeqCst) {
        let mut process = launch.start().unwrap();
        *orders.id.lock().unwrap() = process.id();
        loop {
            if let Some(status) = process.poll_ended() {
                orders.codes.lock().unwrap().push(status.code());
                break;
            }
            if orders.stop.load(Ordering::SeqCst) || orders.kill.swap(false, Ordering::SeqCst) {
                process.kill();
                break;
            }
            std::thread::sleep(LOOK);
        }
        std::thread::sleep(PAUSE);
    }
}

/// As if the hub had enrolled it: the identity in its file.
fn enrol(district: &District, offering: &Offering, folder: &Path) {
    let identity = district.authority().node(NODE).unwrap();
    let der = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec();
    let trust = Trust {
        authorities: vec![der(&district.authority().certificate_pem()).into()],
        hubs: Vec::new(),
        addresses: vec![offering.address.parse().unwrap()],
        renew: false,
        carry: None,
    };
    let validity = Validity { from_s: 1_600_000_000, to_s: 4_000_000_000 };
    let key = rcgen::KeyPair::from_pem(&identity.key_pem).unwrap();
    let identity = Identity { certificate: der(&identity.certificate_pem).into(), validity, trust };
    Store::new(&folder.join("identity")).keep(&Kept::new(NODE.parse().unwrap(), &key, identity, None)).unwrap();
}
