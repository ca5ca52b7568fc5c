//! Makes durable what the board sends: events, and totals as exact differences. Whoever calls acknowledges to the board
//! only after this returned.
//!
//! Totals go by `sources::totals`: the intended difference first, then its records, then the note that it is done. A
//! long press that means "did not come" is one visit a press; their keys derive from the intended key, so that a cut
//! between them doubles none. That the intention is done is noted after the acknowledgement ([`Keeper::tidy`]): until
//! then a restart appends the same keys again, which the spool knows.

use std::io;
use std::path::Path;
use std::sync::Arc;

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use simpul_wire::board::{DESKS, DeskTotals};
use simpul_wire::event::EventRecord;
use simpul_wire::reading::ReadingBlock;
use simpul_wire::service::{Origin, ServiceBody, ServiceRecord, VisitOutcome};
use simpul_wire::{Label, Stamp};
use tokio::sync::Mutex;

use super::known::{Known, KnownFile, Note};
use crate::config::{DeskConfig, LongPress};
use crate::sources::Sink;
use crate::sources::totals::{Intended, Step, Totals, TotalsFile};
use crate::spool::{AppendError, NewRecord};

/// More short presses than this since the last total are no presses: a desk serves some hundred people a day, and an
/// agent may have been away for a month.
const SHORT_DELTA_MAX: i64 = 10_000;

/// The same for long ones, each of which may become a record.
const LONG_DELTA_MAX: i64 = 1_000;

/// Records that are appended together and share a commit.
const TOGETHER_MAX: usize = 64;

/// Why something could not be kept.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeepError {
    #[error("{0}")]
    Append(#[from] AppendError),
    #[error("state of the board: {0}")]
    State(#[from] io::Error),
}

/// Which counter: a button's short or long presses on one board.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Counter {
    /// `board:<serial>`.
    source: String,
    button: u8,
    long: bool,
}

/// Totals to keep.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Report {
    pub(super) serial: String,
    /// When they were reached.
    pub(super) at: Stamp,
    pub(super) totals: [DeskTotals; DESKS],
    /// The board counts from zero since this start: what it counted is a difference also when it is not known yet.
    pub(super) from_zero: bool,
    /// Boards whose totals are worth keeping.
    pub(super) known: Vec<String>,
}

#[derive(Debug)]
struct Counts {
    totals: Totals<Counter>,
    file: TotalsFile,
    /// More is done than the file says.
    ahead: bool,
}

/// Shared by everything that the board's task has under way.
#[derive(Debug, Clone)]
pub(super) struct Keeper<S> {
    sink: S,
    desks: Arc<[DeskConfig]>,
    simulated: bool,
    counts: Arc<Mutex<Counts>>,
    known: Arc<Mutex<(Known, KnownFile)>>,
}

impl<S: Sink> Keeper<S> {
    /// With what the last run left, and what is known of boards.
    pub(super) fn open(
        directory: &Path,
        desks: &[DeskConfig],
        simulated: bool,
        sink: S,
    ) -> io::Result<(Keeper<S>, Known)> {
        let (totals_file, totals) = TotalsFile::open(directory, "board-totals.json")?;
        let (known_file, known) = KnownFile::open(directory)?;
        let keeper = Keeper {
            sink,
            desks: desks.into(),
            simulated,
            counts: Arc::new(Mutex::new(Counts { totals, file: totals_file, ahead: false })),
            known: Arc::new(Mutex::new((known.clone(), known_file))),
        };
        Ok((keeper, known))
    }

    /// Append events, then remember that they are told.
    pub(super) async fn events(&self, records: Vec<EventRecord>, note: Note) -> Result<(), KeepError> {
        for record in records {
            self.sink.append(NewRecord::Event(record)).await?;
        }
        if note == Note::Nothing {
            return Ok(());
        }
        let mut known = self.known.lock().await;
        let mut next = known.0.clone();
        next.apply(&note);
        let (file, saved) = (known.1.clone(), next.clone());
        blocking(move || file.save(&saved)).await?;
        known.0 = next;
        Ok(())
    }

    /// Append a minute of readings.
    pub(super) async fn readings(&self, block: ReadingBlock) -> Result<(), KeepError> {
        self.sink.append(NewRecord::Readings(block)).await?;
        Ok(())
    }

    /// Record what is new in totals; returns what was impossible and became a baseline.
    pub(super) async fn totals(&self, report: &Report) -> Result<Vec<String>, KeepError> {
        let mut counts = self.counts.lock().await;
        // What a refused or interrupted report left comes first.
        self.settle(&mut counts).await?;
        let before = counts.totals.clone();
        let totals = &mut counts.totals;
        let mut impossible = Vec::new();
        let keep: Vec<String> = report.known.iter().chain([&report.serial]).map(|serial| source(serial)).collect();
        totals.retain(|counter| keep.contains(&counter.source));
        let run = random()?;
        for (number, (counter, total)) in self.counters(report).into_iter().enumerate() {
            if report.from_zero {
                totals.begin(&counter, 0);
            }
            let delta_max = if counter.long { LONG_DELTA_MAX } else { SHORT_DELTA_MAX };
            let last = totals.last(&counter);
            let step = totals.report(report.at, &counter, total, delta_max, None, || format!("board-{run}-{number}"));
            let press = if counter.long { "long" } else { "short" };
            match step {
                Step::Append => {
                    if let Some(last) = last.filter(|last| total > *last && total - last > delta_max as u64) {
                        let button = counter.button + 1;
                        impossible.push(format!("button {button}: {} {press} presses at once", total - last));
                    }
                }
                Step::TooManySources => {
                    tracing::error!(source = counter.source, "too many counters are known; one does not count")
                }
                Step::Unchanged | Step::Repeat(_) | Step::KeyReused => {}
            }
        }
        if *totals == before {
            return Ok(impossible);
        }
        if let Err(error) = save(&counts).await {
            counts.totals = before;
            return Err(error.into());
        }
        self.settle(&mut counts).await?;
        Ok(impossible)
    }

    /// Append what the last run intended and may not have appended.
    pub(super) async fn settle_everything(&self) -> Result<(), KeepError> {
        let mut counts = self.counts.lock().await;
        self.settle(&mut counts).await?;
        drop(counts);
        self.tidy().await
    }

    /// Note that what was intended is done.
    pub(super) async fn tidy(&self) -> Result<(), KeepError> {
        let mut counts = self.counts.lock().await;
        if counts.ahead {
            save(&counts).await?;
            counts.ahead = false;
        }
        Ok(())
    }

    /// Every counter of the report's board that is configured, and its total.
    fn counters(&self, report: &Report) -> Vec<(Counter, u64)> {
        let totals = |desk: &DeskConfig| report.totals.get(usize::from(desk.button)).copied().unwrap_or_default();
        let both = |desk: &DeskConfig| {
            let counter = |long| Counter { source: source(&report.serial), button: desk.button, long };
            let DeskTotals { short, long } = totals(desk);
            [(counter(false), u64::from(short)), (counter(true), u64::from(long))]
        };
        self.desks.iter().flat_map(both).collect()
    }

    async fn settle(&self, counts: &mut Counts) -> Result<(), KeepError> {
        for counter in counts.totals.owing() {
            let Some(intended) = counts.totals.intended(&counter) else { continue };
            let mut records = self.records(&counter, intended).into_iter();
            loop {
                let some: Vec<ServiceRecord> = records.by_ref().take(TOGETHER_MAX).collect();
                if some.is_empty() {
                    break;
                }
                for done in join_all(some.into_iter().map(|record| self.append(record))).await {
                    done?;
                }
            }
            counts.totals.close(&counter);
            counts.ahead = true;
        }
        Ok(())
    }

    async fn append(&self, record: ServiceRecord) -> Result<(), AppendError> {
        match self.sink.append(NewRecord::Service(record)).await {
            // The key is random and ours: it was appended already, under a service or desk that the configuration has
            // changed since.
            Ok(_) | Err(AppendError::KeyReused) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The records of a difference, by what the button's presses mean.
    fn records(&self, counter: &Counter, intended: &Intended) -> Vec<ServiceRecord> {
        let Some(desk) = self.desks.iter().find(|desk| desk.button == counter.button) else {
            tracing::warn!(
                source = counter.source,
                presses = intended.delta,
                "presses of a button that is not configured any more"
            );
            return Vec::new();
        };
        let record = |key: Label, body| ServiceRecord {
            stamp: intended.stamp(),
            key,
            origin: Origin::Board,
            simulated: self.simulated,
            body,
        };
        let (service, name) = (desk.service.clone(), desk.desk.clone());
        let key = Label::clipped(&intended.key);
        match (counter.long, desk.long_press) {
            (false, _) => {
                let total = Some(intended.total);
                vec![record(key, ServiceBody::Count { service, desk: name, delta: intended.delta, total })]
            }
            (true, LongPress::Undo) if intended.delta > 0 => {
                let delta = -intended.delta;
                vec![record(key, ServiceBody::Count { service, desk: name, delta, total: None })]
            }
            (true, LongPress::NoShow) => {
                let visit = |number: i64| {
                    let body = ServiceBody::Visit {
                        service: service.clone(),
                        desk: name.clone(),
                        ticket: None,
                        waited_s: None,
                        served_s: None,
                        outcome: VisitOutcome::NoShow,
                    };
                    record(Label::clipped(&format!("{key}-{number}")), body)
                };
                (0..intended.delta).map(visit).collect()
            }
            (true, LongPress::Undo | LongPress::Ignore) => Vec::new(),
        }
    }
}

fn source(serial: &str) -> String {
    format!("board:{serial}")
}

fn random() -> io::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(format!("no random numbers: {error}")))?;
    Ok(hex::encode(bytes))
}

async fn save(counts: &Counts) -> io::Result<()> {
    let (file, totals) = (counts.file.clone(), counts.totals.clone());
    blocking(move || file.save(&totals)).await
}

async fn blocking(work: impl FnOnce() -> io::Result<()> + Send + 'static) -> io::Result<()> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
