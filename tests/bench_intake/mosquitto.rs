//! The other side of `intake_vs_mosquitto_ratio`: a real mosquitto that forwards the same payloads to a real
//! mosquitto_sub, and does nothing else.
//!
//! Chosen in mosquitto's favour: plain TCP on loopback, no access rules, no persistence, no log of messages, no limit
//! on what is queued or in flight; connections are made, and packets encoded, before the clock starts. Quality of
//! service 1 on both legs, 64 publishers of one publish in flight each. The clock stops when mosquitto_sub has
//! written the last payload's length and ended. The hub's figure is of the hub from its transport inwards: decoding,
//! dedupe, commit, acknowledgement and rollups, with as many senders, but no network; the whole hub, with its network and
//! TLS, is `whole_hub_vs_mosquitto_ratio`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use simpul_testkit::ports;
use simpul_testkit::process::{Launch, Process};
use simpul_testkit::wait;
use tokio::net::TcpStream;
use tokio::process::Command;

use super::publisher::{Publisher, publish};
use super::{Made, READINGS, SENDERS};

/// Everything that the fleet sends.
const FILTER: &str = "simpul/v1/+/up/reading";
/// A broker starts in milliseconds; a machine that compiles meanwhile gets more.
const START_MAX: Duration = Duration::from_secs(20);
/// Ten times what the slowest run took: a message that was dropped must not hang the bench.
const FORWARD_MAX: Duration = Duration::from_secs(60);

/// Readings per second from the first publish to the end of mosquitto_sub.
pub async fn forward(folder: &Path, made: &[Made]) -> Result<f64> {
    let (mut broker, address) = start(folder).await?;
    let lengths = folder.join("lengths");
    let mut subscriber = Command::new("mosquitto_sub")
        .args(["-h", "127.0.0.1", "-p", &address.port().to_string(), "-q", "1", "-t", FILTER, "-F", "%l"])
        .args(["-C", &made.len().to_string()])
        .stdin(Stdio::null())
        .stdout(std::fs::File::create(&lengths)?)
        .kill_on_drop(true)
        .spawn()
        .context("cannot start mosquitto_sub (Debian: mosquitto-clients)")?;
    broker.wait_for_line(FILTER, START_MAX).await?;
    let mut publishers = Vec::new();
    for sender in 0..SENDERS {
        let packets = made.iter().skip(sender).step_by(SENDERS).map(publish).collect();
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        publishers.push(Publisher::connect(stream, &format!("sender-{sender}"), None, packets).await?);
    }

    let started = Instant::now();
    let sent = try_join_all(publishers.into_iter().map(Publisher::send));
    let ended =
        async { Ok(tokio::time::timeout(FORWARD_MAX, subscriber.wait()).await.context("messages are missing")??) };
    let (_, status) = tokio::try_join!(sent, ended)?;
    let took = started.elapsed();

    ensure!(status.success(), "mosquitto_sub ended with {status}");
    let text = std::fs::read_to_string(&lengths)?;
    let mut arrived: Vec<usize> = text.lines().map(str::parse).collect::<Result<_, _>>()?;
    let mut expected: Vec<usize> = made.iter().map(|made| made.payload.len()).collect();
    arrived.sort_unstable();
    expected.sort_unstable();
    ensure!(arrived == expected, "mosquitto forwarded something else than what was published");
    Ok((made.len() as u64 * READINGS) as f64 / took.as_secs_f64())
}

/// A broker of its own for each run, so that none inherits another's state.
async fn start(folder: &Path) -> Result<(Process, SocketAddr)> {
    let address = SocketAddr::from(([127, 0, 0, 1], ports::free()?));
    let config = folder.join("mosquitto.conf");
    let port = address.port();
    // As root it would become another user and then not reach its folder.
    let text = format!(
        "listener {port} 127.0.0.1\nallow_anonymous true\nuser root\npersistence false\nset_tcp_nodelay true\n\
         max_inflight_messages 0\nmax_queued_messages 0\nlog_dest stderr\nlog_type subscribe\nlog_type error\n"
    );
    std::fs::write(&config, text)?;
    // Debian keeps servers in /usr/sbin, which is not on everybody's path.
    let program = Path::new("/usr/sbin/mosquitto");
    let program = if program.is_file() { program.to_owned() } else { PathBuf::from("mosquitto") };
    let launch = Launch::new("mosquitto", &program, &folder.join("mosquitto.log"));
    let process = launch.argument("-c").argument(config.to_string_lossy()).start()?;
    wait::until("mosquitto to listen", START_MAX, || async { TcpStream::connect(address).await.ok() }).await?;
    Ok((process, address))
}
