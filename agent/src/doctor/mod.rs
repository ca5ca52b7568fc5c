//! The doctor: what is wrong with this node, why, and what to do, the most likely cause first.
//!
//! One file a check. Each gathers facts (thin I/O, every step within a time limit) and judges them (pure); `rank` puts
//! the findings in order and says what follows from what. Checks run side by side, and the whole ends within
//! [`EXAMINATION_MAX`] whatever hangs. Nothing is changed but a small file that is written and deleted to see that the
//! card takes it, and nothing secret gets into a finding. Leaves to others: words (`simpul-words`), printing (`cli`).

mod agent;
mod board;
mod camera;
mod certificate;
mod clock;
mod examiner;
mod hub;
pub(crate) mod network;
mod power;
mod rank;
mod session;
mod spool;
mod storage;

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt, join_all};
use serde_json::Value as Json;
use simpul_clock::Clock;
use simpul_wire::doctor::{Code, Finding, Report, Value, Verdict};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::config::Config;
use crate::enrolment::access::Enrolment;
use crate::run;
use crate::status::{self, Status};

pub use examiner::Examiner;

/// The whole examination. A technician waits in front of it, and the hub's order lives a little longer.
pub const EXAMINATION_MAX: Duration = Duration::from_secs(25);

/// The agent's own word: it answers at once or hangs.
const ASK_MAX: Duration = Duration::from_secs(6);

/// Cameras that are asked at a time: each may send a picture of megabytes. Hubs are eight at most.
const CAMERAS_MAX: usize = 6;

/// The agent's word about itself, in the form that travels over its socket.
pub type Word = Status<Json>;

/// What is examined.
#[derive(Debug, Clone)]
pub struct Patient {
    /// The node's configuration.
    pub config: Config,
    /// Time.
    pub clock: Clock,
    /// `/proc` and `/sys`; tests put trees of their own there.
    pub proc: PathBuf,
    /// See `proc`.
    pub sys: PathBuf,
}

impl Patient {
    /// The node on this machine.
    pub fn this(config: Config, clock: Clock) -> Self {
        Patient { config, clock, proc: "/proc".into(), sys: "/sys".into() }
    }

    /// With what it connects: an enrolled identity, or files.
    fn enrolment(&self) -> Enrolment {
        let config = &self.config;
        let time = run::clock::judging_time(&config.state_directory, self.clock.clone(), config.clock);
        Enrolment::new(config.node.clone(), config.enrolment.clone(), config.uplink.clone(), time)
    }

    /// The hubs that it tries: the configured ones, and those that a hub told at enrolment.
    fn hubs(&self) -> Vec<String> {
        let enrolment = self.enrolment();
        enrolment.hubs(enrolment.load().ok().flatten().as_ref()).unwrap_or_default()
    }
}

/// Where the agent's word comes from.
pub enum Source {
    /// Its socket, if it runs.
    Socket,
    /// The examiner is the agent.
    Own(Box<Word>),
}

/// Examine a node. `id`: the order that asked for it.
pub async fn examine(patient: Patient, source: Source, id: Option<[u8; 16]>) -> Report {
    let began = patient.clock.now();
    let deadline = Instant::now() + EXAMINATION_MAX;
    let asked = match source {
        Source::Own(word) => agent::Asked::Word(word),
        Source::Socket => {
            let path = status::socket_path(&patient.config.state_directory);
            let asked = tokio::time::timeout(ASK_MAX, blocking(move || agent::gather(&path))).await;
            asked.ok().flatten().unwrap_or_else(|| agent::Asked::Silent("timeout".to_owned()))
        }
    };
    let mut findings = agent::judge(&asked);
    let word: Option<Arc<Word>> = match asked {
        agent::Asked::Word(word) => Some(Arc::from(word)),
        agent::Asked::NotRunning | agent::Asked::Silent(_) => None,
    };
    let checks = checks(Arc::new(patient.clone()), word).into_iter().map(|(name, check)| async move {
        tokio::time::timeout_at(deadline, check).await.unwrap_or_else(|_| vec![timed_out(&name)])
    });
    findings.extend(join_all(checks).await.into_iter().flatten());
    let took_ms = patient.clock.now().since(began).as_millis();
    Report::clipped(id, crate::version(), u32::try_from(took_ms).unwrap_or(u32::MAX), rank::rank(findings))
}

type Check = (String, BoxFuture<'static, Vec<Finding>>);

/// Every check, by the name that is told when it does not end.
fn checks(patient: Arc<Patient>, word: Option<Arc<Word>>) -> Vec<Check> {
    let turns = Arc::new(Semaphore::new(CAMERAS_MAX));
    let mut checks: Vec<Check> = Vec::new();
    // Each of these reads a few files: on a thread of its own, because a broken card may hold it for ever.
    type Look = fn(&Patient, Option<&Word>) -> Vec<Finding>;
    let looks: [(&str, Look); 7] = [
        ("storage", |patient, word| storage::judge(&storage::gather(patient), word)),
        ("spool", |patient, word| spool::judge(&spool::gather(patient), word)),
        ("clock", |patient, word| clock::judge(&clock::gather(patient, word))),
        ("power", |patient, word| power::judge(&power::gather(patient, word))),
        ("board", |patient, word| board::judge(&board::gather(patient, word))),
        ("network", |patient, _| network::judge(&network::gather(patient))),
        ("certificate", |patient, _| certificate::judge(&certificate::gather(patient))),
    ];
    for (name, look) in looks {
        let (patient, word) = (patient.clone(), word.clone());
        let found = blocking(move || look(&patient, word.as_deref()));
        checks.push((name.to_owned(), async move { found.await.unwrap_or_else(|| vec![timed_out(name)]) }.boxed()));
    }
    for address in patient.hubs() {
        let (patient, word) = (patient.clone(), word.clone());
        let name = format!("hub {address}");
        let check = async move {
            let reached = hub::gather(&patient, word.as_deref(), &address).await;
            hub::judge(&address, &reached, patient.config.uplink.server_name.as_deref())
        };
        checks.push((name, check.boxed()));
    }
    let session = word.as_deref().map(session::judge).unwrap_or_default();
    checks.push(("session".to_owned(), std::future::ready(session).boxed()));
    for camera in patient.config.cameras.clone() {
        let (word, clock, turns) = (word.clone(), patient.clock.clone(), turns.clone());
        let name = format!("camera {}", camera.id);
        let check = async move {
            // An error means that the semaphore was closed: nobody does.
            let _turn = turns.acquire().await;
            let facts = camera::gather(&camera, word.as_deref(), &clock).await;
            camera::judge(camera.id.as_str(), &facts)
        };
        checks.push((name, check.boxed()));
    }
    if patient.config.cameras.is_empty() {
        checks
            .push(("camera".to_owned(), std::future::ready(vec![Code::CameraAbsent.finding(Verdict::Absent)]).boxed()));
    }
    checks
}

fn timed_out(check: &str) -> Finding {
    Code::CheckTimeout.finding(Verdict::Unknown).with_text("check", check)
}

/// Work that may block, off the event loop; nothing: it was broken off.
fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> impl Future<Output = Option<T>> {
    let task = tokio::task::spawn_blocking(work);
    async move { task.await.ok() }
}

/// A duration as a finding carries it.
fn duration(duration: Duration) -> Value {
    Value::DurationMs(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

/// A moment as a finding carries it.
fn moment(unix_ms: i64) -> Value {
    Value::UnixS(unix_ms.div_euclid(1_000))
}

#[cfg(test)]
pub(crate) mod testing {
    //! What the judges' tables share.

    use super::Word;
    use simpul_wire::doctor::Finding;

    /// `code verdict` of each finding.
    pub fn told(findings: &[Finding]) -> Vec<String> {
        findings.iter().map(|finding| format!("{} {}", finding.id, finding.verdict)).collect()
    }

    /// A running agent that is well, as its socket says it; changed by `change`.
    pub fn word(change: impl FnOnce(&mut serde_json::Value)) -> Word {
        let stream = serde_json::json!({"stream": "service", "backlog_records": 0, "backlog_bytes": 0,
            "limit_bytes": 1_000_000, "lost_records": 0, "next_seq": 9});
        let mut document = serde_json::json!({"node": "a-1", "version": "0.1.0", "epoch": "e", "generation": null,
            "disk_full": false, "streams": [stream], "board": null, "cameras": [], "clock_believed": true,
            "uplink": {"up": true, "hub": "hub:8883", "since_s": 600, "last_ack_s": 3, "sessions": 1,
                "last_error": null, "refused_records": 0, "commands_dropped": 0, "bytes_per_second": 1_000}});
        change(&mut document);
        serde_json::from_value(document).expect("a status")
    }
}
