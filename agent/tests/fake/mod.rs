//! A sink without a disk, and raw HTTP: what the tests of sources share.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses a part of it")]

pub mod board;
pub mod camera;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use simpul_agent::sources::Sink;
use simpul_agent::spool::{AppendError, Appended, NewRecord, SpoolState, StreamStatus};
use simpul_wire::service::ServiceRecord;
use simpul_wire::{Epoch, RangeSet, SeqRange};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

/// Nothing in these tests takes longer unless it hangs.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Keeps records in memory, by the spool's rules for keys.
#[derive(Clone)]
pub struct FakeSink(Arc<Inner>);

struct Inner {
    records: Mutex<Vec<NewRecord>>,
    keys: Mutex<BTreeMap<String, (ServiceRecord, u64)>>,
    refusals: Mutex<VecDeque<AppendError>>,
    count: watch::Sender<usize>,
    state: watch::Sender<SpoolState>,
}

impl FakeSink {
    pub fn new() -> Self {
        let stream = StreamStatus {
            next_seq: 1,
            owed: Arc::new(RangeSet::new()),
            backlog_records: 0,
            backlog_bytes: 0,
            limit_bytes: 1_000,
            lost_records: 0,
            oldest_uptime_ms: None,
        };
        let state = SpoolState {
            epoch: Epoch::from_bytes([7; 16]),
            generation: None,
            streams: std::array::from_fn(|_| stream.clone()),
            disk_full: false,
            previous: Vec::new(),
        };
        FakeSink(Arc::new(Inner {
            records: Mutex::default(),
            keys: Mutex::default(),
            refusals: Mutex::default(),
            count: watch::Sender::new(0),
            state: watch::Sender::new(state),
        }))
    }

    /// The next appends fail with these, in turn.
    pub fn refuse(&self, errors: impl IntoIterator<Item = AppendError>) {
        self.0.refusals.lock().unwrap().extend(errors);
    }

    pub fn records(&self) -> Vec<NewRecord> {
        self.0.records.lock().unwrap().clone()
    }

    /// Wait until so many records were appended.
    pub async fn wait_for(&self, count: usize) -> Vec<NewRecord> {
        let mut counts = self.0.count.subscribe();
        let waited = tokio::time::timeout(DEADLINE, counts.wait_for(|have| *have >= count)).await;
        assert!(waited.is_ok(), "{count} records expected, these came: {:?}", self.records());
        self.records()
    }
}

impl Sink for FakeSink {
    async fn append(&self, record: NewRecord) -> Result<Appended, AppendError> {
        if let Some(error) = self.0.refusals.lock().unwrap().pop_front() {
            return Err(error);
        }
        let mut records = self.0.records.lock().unwrap();
        let seq = records.len() as u64 + 1;
        if let NewRecord::Service(record) = &record {
            let mut keys = self.0.keys.lock().unwrap();
            if let Some((first, seq)) = keys.get(record.key.as_str()) {
                if first.body == record.body && first.simulated == record.simulated {
                    return Ok(Appended { range: SeqRange::one(*seq), duplicate: true });
                }
                return Err(AppendError::KeyReused);
            }
            keys.insert(record.key.to_string(), (record.clone(), seq));
        }
        records.push(record);
        let count = records.len();
        drop(records);
        self.0.count.send_replace(count);
        Ok(Appended { range: SeqRange::one(seq), duplicate: false })
    }

    fn state(&self) -> watch::Receiver<SpoolState> {
        self.0.state.subscribe()
    }
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }
}

/// Send bytes as they are, then read to the end.
pub async fn raw(address: SocketAddr, bytes: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The server may answer and close before it has read everything.
    let _ = stream.write_all(bytes).await;
    read(stream).await
}

pub async fn read(mut stream: TcpStream) -> Answer {
    let mut answer = Vec::new();
    let read = tokio::time::timeout(DEADLINE, async {
        let mut chunk = [0; 4_096];
        // A reset after the answer is how a server refuses the rest of a body.
        while let Ok(length @ 1..) = stream.read(&mut chunk).await {
            answer.extend_from_slice(&chunk[..length]);
        }
    });
    read.await.expect("an answer within the deadline");
    let text = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Answer { status, head: head.into(), body: body.into() }
}
