//! The local API on a real spool, cut off in the middle of requests: totals stay exact, keys stay one record.
//!
//! The cut is the runtime's end: every task stops where it awaits, as after a SIGKILL; files stay as they are. Cuts of
//! the power itself, below the file system, are for the whole system's tests.
#![allow(clippy::unwrap_used, reason = "tests")]

mod fake;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use simpul_agent::config::{LocalApiConfig, SpoolConfig};
use simpul_agent::sources::local_api::serve;
use simpul_agent::spool::Spool;
use simpul_agent::stamper::Stamper;
use simpul_clock::Clock;
use simpul_wire::service::{ServiceBody, ServiceRecord};
use simpul_wire::{SeqRange, Stream};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;

const TOKEN: &str = "0123456789abcdef";
const SOURCES: usize = 3;
const CUTS: usize = 12;

fn spool_config(folder: &Path) -> SpoolConfig {
    SpoolConfig {
        directory: folder.join("spool"),
        service_bytes_max: 16 << 20,
        event_bytes_max: 16 << 20,
        reading_bytes_max: 16 << 20,
        snapshot_bytes_max: 16 << 20,
        kept_bytes_max: 1 << 20,
        kept_for: Duration::from_secs(3_600),
        ballast_bytes: 64 * 1024,
        hardware_serial: Some("board-1".into()),
    }
}

/// The spool, as soon as the run before has let go of it.
async fn open(folder: &Path, clock: &Clock) -> Spool {
    let deadline = tokio::time::Instant::now() + fake::DEADLINE;
    loop {
        let (config, clock) = (spool_config(folder), clock.clone());
        match tokio::task::spawn_blocking(move || Spool::open(&config, clock)).await.unwrap() {
            Ok((spool, _)) => return spool,
            Err(error) => assert!(tokio::time::Instant::now() < deadline, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A run of the API on a runtime of its own.
fn start(folder: &Path, spool: Spool, clock: &Clock) -> (Runtime, SocketAddr, watch::Sender<bool>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let token_file = folder.join("token");
    std::fs::write(&token_file, TOKEN).unwrap();
    std::fs::set_permissions(&token_file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let (stop, shutdown) = watch::channel(false);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let config = LocalApiConfig {
        listen: address,
        token_file,
        body_bytes_max: 1_024,
        requests_per_second_max: 10_000,
        state_directory: folder.join("state"),
    };
    let clock = clock.clone();
    runtime.spawn(async move {
        let listener = TcpListener::from_std(listener).unwrap();
        serve(listener, &config, spool, Stamper::new(1, clock.clone()), clock, shutdown).await.unwrap();
    });
    (runtime, address, stop)
}

fn request(source: usize, total: u64) -> String {
    let body = format!(r#"{{"total":{total},"source":"s{source}","key":"s{source}-{total}"}}"#);
    let length = body.len();
    format!(
        "POST /v1/counters/ktp/total HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer {TOKEN}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

async fn all_records(spool: &Spool) -> Vec<ServiceRecord> {
    let state = spool.state().borrow().clone();
    let (epoch, next) = (state.epoch, state.stream(Stream::Service).next_seq);
    let (mut records, mut from) = (Vec::new(), 0);
    while from < next {
        let stored =
            spool.read(epoch, Stream::Service, SeqRange::new(from, next).unwrap(), 1 << 20, 1_000).await.unwrap();
        let Some(last) = stored.last() else { break };
        from = last.range.last() + 1;
        records.extend(stored.iter().map(|stored| minicbor::decode(&stored.bytes).unwrap()));
    }
    records
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn totals_stay_exact_when_the_agent_is_cut_off_in_the_middle_of_requests() {
    let seed = rand::random::<u64>();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::held(1_700_000_000_000);
    let mut totals = [100_u64; SOURCES];
    let mut answered: BTreeMap<String, u64> = BTreeMap::new();
    for _ in 0..CUTS {
        let spool = open(folder.path(), &clock).await;
        let (runtime, address, _stop) = start(folder.path(), spool, &clock);
        for _ in 0..random.random_range(1..8) {
            let source = random.random_range(0..SOURCES);
            // The last total again (a caller that got no answer), or a later one (a caller that gave up on it).
            if random.random_range(0..3) > 0 {
                totals[source] += random.random_range(1..9);
            }
            let answer = fake::raw(address, request(source, totals[source]).as_bytes()).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            if answer.json()["recorded"] == true {
                answered.insert(format!("s{source}-{}", totals[source]), answer.json()["seq"].as_u64().unwrap());
            }
        }
        // One more of each, and the cut at a moment between its arrival and its answer.
        for (source, total) in totals.iter_mut().enumerate() {
            *total += random.random_range(1..9);
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(request(source, *total).as_bytes()).await.unwrap();
        }
        tokio::time::sleep(Duration::from_micros(random.random_range(0..6_000))).await;
        // Tasks stop at once; a file that is being written is finished, because no other run may begin before that, as
        // after a SIGKILL.
        tokio::task::spawn_blocking(move || runtime.shutdown_timeout(fake::DEADLINE)).await.unwrap();
    }
    let spool = open(folder.path(), &clock).await;
    let (runtime, address, stop) = start(folder.path(), spool.clone(), &clock);
    for (source, total) in totals.into_iter().enumerate() {
        assert_eq!(fake::raw(address, request(source, total).as_bytes()).await.status, 200);
    }
    stop.send_replace(true);
    let records = all_records(&spool).await;
    let mut sums = BTreeMap::<String, (i64, u64, u64)>::new();
    for record in &records {
        let ServiceBody::Count { delta, total: Some(total), .. } = record.body else { panic!("{record:?}") };
        let source = record.key.split('-').next().unwrap().to_owned();
        let entry = sums.entry(source).or_insert((0, total, total));
        *entry = (entry.0 + delta, entry.1, total);
    }
    for (source, (sum, first, last)) in &sums {
        let of_source =
            records.iter().filter(|record| record.key.starts_with(source)).map(|record| match record.body {
                ServiceBody::Count { delta, total, .. } => format!("{} {total:?} {delta}", &*record.key),
                ServiceBody::Visit { .. } => String::new(),
            });
        let of_source: Vec<String> = of_source.collect();
        assert_eq!(*sum, (last - first) as i64, "{source}, seed {seed}: {of_source:#?}");
        assert_eq!(*last, totals[source[1..].parse::<usize>().unwrap()], "{source}, seed {seed}");
    }
    for key in answered.keys() {
        let times = records.iter().filter(|record| record.key.as_str() == key).count();
        assert_eq!(times, 1, "{key} was answered, seed {seed}");
    }
    runtime.shutdown_background();
    spool.close().await.unwrap();
}
