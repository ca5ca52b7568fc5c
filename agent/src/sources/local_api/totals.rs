//! Cumulative totals -> exact differences. The core is pure; [`TotalsFile`] keeps it over a restart.
//!
//! A source (a queue system's counter) reports its own running total. The difference to its last total is what is
//! recorded, so a report that got lost costs nothing. A first total, or one that went back (the source was reset), is a
//! baseline: recorded with a difference of 0.
//!
//! Record and last total live in different stores, so a power cut may fall between them. Therefore the *intended*
//! record, key and stamp included, is made durable here first, then appended, then settled here. Whatever the cut hits,
//! the intended record is appended again with the same key and content before anything else of its source: the spool
//! answers "duplicate" if it had it. No difference is lost and none is counted twice. If the append is refused (buffer
//! full), the intention stays, and is the first to go when there is room: totals are facts of the source, they do not
//! become untrue by the caller's giving up.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use simpul_wire::service::{Origin, ServiceBody, ServiceRecord};
use simpul_wire::{Label, Stamp};

/// Most sources of one node. A village office has a handful; each costs half a kilobyte in a file that is rewritten.
pub(super) const SOURCES_MAX: usize = 256;

/// Answers remembered per source: how late a caller may repeat a request and still get its first answer.
const ANSWERS_MAX: usize = 4;

/// Which counter of which source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counter {
    pub(super) service: String,
    pub(super) desk: Option<String>,
    pub(super) source: String,
    pub(super) simulated: bool,
}

/// A record to append, or that was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Intended {
    key: String,
    total: u64,
    delta: i64,
    baseline: bool,
    boot: u32,
    uptime_ms: u64,
    wall_ms: Option<i64>,
}

/// What a report of a total came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) key: String,
    pub(super) total: u64,
    pub(super) delta: i64,
    pub(super) baseline: bool,
    pub(super) seq: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    total: Option<u64>,
    intended: Option<Intended>,
    answers: VecDeque<Answer>,
}

/// The last totals of all sources.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Totals {
    sources: Vec<(Counter, Known)>,
}

/// What is to be done about a reported total.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// This key was answered before.
    Repeat(Answer),
    /// This key was used before for another total.
    KeyReused,
    /// The total stands where it stood: nothing to record.
    Unchanged,
    /// Make the intention durable, then append [`Totals::intended`], then settle.
    Append,
    /// There are [`SOURCES_MAX`] sources already.
    TooManySources,
}

impl Totals {
    /// The record that a source still owes, to be appended before anything else of it.
    pub(super) fn intended(&self, counter: &Counter) -> Option<ServiceRecord> {
        let (_, known) = self.sources.iter().find(|(other, _)| other == counter)?;
        record(counter, known.intended.as_ref()?)
    }

    /// Every source that owes a record.
    pub(super) fn owing(&self) -> Vec<Counter> {
        let owing = self.sources.iter().filter(|(_, known)| known.intended.is_some());
        owing.map(|(counter, _)| counter.clone()).collect()
    }

    /// A total was reported; the source owes nothing. `key` is the caller's, else `own_key` is used.
    pub(super) fn report(
        &mut self,
        at: Stamp,
        counter: &Counter,
        total: u64,
        key: Option<&Label>,
        own_key: impl FnOnce() -> String,
    ) -> Step {
        let index = match self.sources.iter().position(|(other, _)| other == counter) {
            Some(index) => index,
            None if self.sources.len() >= SOURCES_MAX => return Step::TooManySources,
            None => {
                self.sources.push((counter.clone(), Known::default()));
                self.sources.len() - 1
            }
        };
        let known = &mut self.sources[index].1;
        let answered = key.and_then(|key| known.answers.iter().find(|answer| answer.key == key.as_str()));
        match answered {
            Some(answer) if answer.total == total => return Step::Repeat(answer.clone()),
            Some(_) => return Step::KeyReused,
            None if known.total == Some(total) => return Step::Unchanged,
            None => {}
        }
        let difference = known.total.and_then(|last| total.checked_sub(last)).and_then(|up| i64::try_from(up).ok());
        known.intended = Some(Intended {
            key: key.map_or_else(own_key, |key| key.as_str().to_owned()),
            total,
            delta: difference.unwrap_or(0),
            baseline: difference.is_none(),
            boot: at.boot,
            uptime_ms: at.uptime_ms,
            wall_ms: at.wall_ms,
        });
        Step::Append
    }

    /// The owed record is durable under `seq`.
    pub(super) fn settle(&mut self, counter: &Counter, seq: u64) -> Option<Answer> {
        let (_, known) = self.sources.iter_mut().find(|(other, _)| other == counter)?;
        let Intended { key, total, delta, baseline, .. } = known.intended.take()?;
        let answer = Answer { key, total, delta, baseline, seq };
        known.total = Some(total);
        known.answers.push_back(answer.clone());
        if known.answers.len() > ANSWERS_MAX {
            known.answers.pop_front();
        }
        Some(answer)
    }

    /// The owed record can never be appended (its key belongs to another record): forget it; the next total's
    /// difference covers it.
    pub(super) fn forget(&mut self, counter: &Counter) {
        if let Some((_, known)) = self.sources.iter_mut().find(|(other, _)| other == counter) {
            known.intended = None;
        }
    }
}

fn record(counter: &Counter, intended: &Intended) -> Option<ServiceRecord> {
    Some(ServiceRecord {
        stamp: Stamp { boot: intended.boot, uptime_ms: intended.uptime_ms, wall_ms: intended.wall_ms },
        // These were labels when they came in; a file that says otherwise was tampered with, and owes nothing.
        key: intended.key.parse().ok()?,
        origin: Origin::Api,
        simulated: counter.simulated,
        body: ServiceBody::Count {
            service: counter.service.parse().ok()?,
            desk: counter.desk.as_deref().map(str::parse).transpose().ok()?,
            delta: intended.delta,
            total: Some(intended.total),
        },
    })
}

/// The file that keeps [`Totals`]: rewritten whole, atomically, fsynced.
#[derive(Debug, Clone)]
pub(super) struct TotalsFile {
    path: PathBuf,
}

impl TotalsFile {
    /// Open, or begin anew; a damaged file is set aside (`.damaged`) and all sources begin with a baseline.
    pub(super) fn open(directory: &Path) -> std::io::Result<(TotalsFile, Totals)> {
        std::fs::create_dir_all(directory)?;
        let path = directory.join("totals.json");
        let totals = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                let aside = path.with_extension("damaged");
                let moved = std::fs::rename(&path, &aside);
                tracing::error!(file = %path.display(), %error, ?moved, "the last totals are unreadable and set aside: \
                    each source begins with a baseline, what it counted since its last report is lost");
                Totals::default()
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Totals::default(),
            Err(error) => return Err(error),
        };
        Ok((TotalsFile { path }, totals))
    }

    /// Make the totals durable. Blocking: two fsyncs.
    pub(super) fn save(&self, totals: &Totals) -> std::io::Result<()> {
        let bytes = serde_json::to_vec(totals)?;
        let temporary = self.path.with_extension("new");
        let mut file = File::create(&temporary)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, &self.path)?;
        match self.path.parent() {
            Some(directory) => File::open(directory)?.sync_all(),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Stamp = Stamp { boot: 1, uptime_ms: 5, wall_ms: None };

    fn counter() -> Counter {
        Counter { service: "ktp".into(), desk: None, source: "queue".into(), simulated: false }
    }

    fn delta_of(record: &ServiceRecord) -> i64 {
        match record.body {
            ServiceBody::Count { delta, .. } => delta,
            ServiceBody::Visit { .. } => panic!("a count was expected"),
        }
    }

    #[test]
    fn a_first_total_and_a_reset_are_baselines_and_never_negative() {
        let mut totals = Totals::default();
        let mut deltas = Vec::new();
        for (seq, total) in [100, 103, 103, 110, 2, 5].into_iter().enumerate() {
            match totals.report(AT, &counter(), total, None, || format!("key{seq}")) {
                Step::Append => {
                    deltas.push((delta_of(&totals.intended(&counter()).unwrap()), total));
                    let answer = totals.settle(&counter(), seq as u64).unwrap();
                    assert_eq!(answer.baseline, total == 100 || total == 2);
                }
                Step::Unchanged => deltas.push((i64::MIN, total)),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(deltas, [(0, 100), (3, 103), (i64::MIN, 103), (7, 110), (0, 2), (3, 5)]);
    }

    #[test]
    fn a_repeated_key_gets_its_first_answer_also_behind_later_totals() {
        let mut totals = Totals::default();
        let key = |text: &str| -> Label { text.parse().unwrap() };
        for (seq, total) in [(1, 10), (2, 12), (3, 15)] {
            let key = key(&format!("k{seq}"));
            assert_eq!(totals.report(AT, &counter(), total, Some(&key), String::new), Step::Append);
            totals.settle(&counter(), seq);
        }
        let Step::Repeat(answer) = totals.report(AT, &counter(), 12, Some(&key("k2")), String::new) else { panic!() };
        assert_eq!((answer.seq, answer.delta), (2, 2));
        assert_eq!(totals.report(AT, &counter(), 13, Some(&key("k2")), String::new), Step::KeyReused);
        assert_eq!(totals.report(AT, &counter(), 15, Some(&key("k9")), String::new), Step::Unchanged);
    }

    #[test]
    fn sources_are_bounded_and_apart_by_service_desk_and_simulation() {
        let mut totals = Totals::default();
        for index in 0..SOURCES_MAX {
            let counter = Counter { source: format!("s{index}"), ..counter() };
            assert_eq!(totals.report(AT, &counter, 1, None, String::new), Step::Append);
        }
        let one_more = Counter { simulated: true, ..counter() };
        assert_eq!(totals.report(AT, &one_more, 1, None, String::new), Step::TooManySources);
    }

    /// A power cut at every step of every report: the file as last saved, the spool's records as last appended.
    #[test]
    fn a_power_cut_between_record_and_file_loses_and_doubles_nothing() {
        for cut in 0..12 {
            let mut spool: Vec<ServiceRecord> = Vec::new();
            let mut file = Totals::default();
            let mut steps = 0;
            let mut live = Some(file.clone());
            for (number, total) in [10_u64, 14, 21, 25].into_iter().enumerate() {
                // After a cut the agent starts from the file and settles what is owed.
                let mut totals = live.take().unwrap_or_else(|| {
                    let mut totals = file.clone();
                    for counter in totals.owing() {
                        let owed = totals.intended(&counter).unwrap();
                        if !spool.contains(&owed) {
                            spool.push(owed);
                        }
                        totals.settle(&counter, 0);
                    }
                    totals
                });
                let survives = |steps: &mut i32| {
                    *steps += 1;
                    *steps != cut
                };
                // Each attempt may die in the middle; the caller then reports the next total (the last one is repeated).
                if totals.report(AT, &counter(), total, None, || format!("k{cut}-{number}")) != Step::Append {
                    live = Some(totals);
                    continue;
                }
                if !survives(&mut steps) {
                    continue;
                }
                file = totals.clone();
                if !survives(&mut steps) {
                    continue;
                }
                spool.push(totals.intended(&counter()).unwrap());
                if !survives(&mut steps) {
                    continue;
                }
                totals.settle(&counter(), 0);
                file = totals.clone();
                live = Some(totals);
            }
            // The source's last report once more, from a restart.
            let mut totals = file.clone();
            for counter in totals.owing() {
                let owed = totals.intended(&counter).unwrap();
                if !spool.contains(&owed) {
                    spool.push(owed);
                }
                totals.settle(&counter, 0);
            }
            if totals.report(AT, &counter(), 25, None, || "last".into()) == Step::Append {
                spool.push(totals.intended(&counter()).unwrap());
            }
            let first = spool.first().map(|record| match record.body {
                ServiceBody::Count { total, .. } => total.unwrap(),
                ServiceBody::Visit { .. } => 0,
            });
            let sum: i64 = spool.iter().map(delta_of).sum();
            assert_eq!(sum, 25 - first.unwrap() as i64, "cut at step {cut}: {spool:?}");
        }
    }

    #[test]
    fn the_file_keeps_totals_and_a_damaged_one_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let (file, mut totals) = TotalsFile::open(folder.path()).unwrap();
        totals.report(AT, &counter(), 7, None, || "k".into());
        file.save(&totals).unwrap();
        let (_, again) = TotalsFile::open(folder.path()).unwrap();
        assert_eq!(again, totals);
        assert_eq!(again.owing(), [counter()]);
        std::fs::write(folder.path().join("totals.json"), b"{\"sources\":[").unwrap();
        let (_, anew) = TotalsFile::open(folder.path()).unwrap();
        assert_eq!(anew, Totals::default());
        assert!(folder.path().join("totals.damaged").exists());
    }
}
