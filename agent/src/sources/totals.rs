//! Cumulative totals -> exact differences. The core is pure; [`TotalsFile`] keeps it over a restart. What a counter is
//! called, and which record becomes of a difference, is its source's to know.
//!
//! A source (a queue system's counter, a button) reports its own running total. The difference to its last total is what is
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
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use simpul_wire::{Label, Stamp};

use crate::files::replace_file;

/// Most sources of one node. A village office has a handful; each costs half a kilobyte in a file that is rewritten.
pub(crate) const SOURCES_MAX: usize = 256;

/// Answers remembered per source: how late a caller may repeat a request and still get its first answer.
const ANSWERS_MAX: usize = 4;

/// A difference to record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Intended {
    pub(crate) key: String,
    pub(crate) total: u64,
    pub(crate) delta: i64,
    pub(crate) baseline: bool,
    boot: u32,
    uptime_ms: u64,
    wall_ms: Option<i64>,
}

impl Intended {
    /// When the total was reported.
    pub(crate) fn stamp(&self) -> Stamp {
        Stamp { boot: self.boot, uptime_ms: self.uptime_ms, wall_ms: self.wall_ms }
    }
}

/// What a report of a total came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) key: String,
    pub(crate) total: u64,
    pub(crate) delta: i64,
    pub(crate) baseline: bool,
    pub(crate) seq: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    total: Option<u64>,
    intended: Option<Intended>,
    answers: VecDeque<Answer>,
}

/// The last totals of all counters; `C` tells one from another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Totals<C> {
    sources: Vec<(C, Known)>,
}

impl<C> Default for Totals<C> {
    fn default() -> Self {
        Totals { sources: Vec::new() }
    }
}

/// What is to be done about a reported total.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
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

impl<C: Clone + PartialEq> Totals<C> {
    /// The difference that a counter still owes, to be recorded before anything else of it.
    pub(crate) fn intended(&self, counter: &C) -> Option<&Intended> {
        self.known(counter)?.intended.as_ref()
    }

    /// Every counter that owes a record.
    pub(crate) fn owing(&self) -> Vec<C> {
        let owing = self.sources.iter().filter(|(_, known)| known.intended.is_some());
        owing.map(|(counter, _)| counter.clone()).collect()
    }

    /// The total that a counter had, as last settled.
    pub(crate) fn last(&self, counter: &C) -> Option<u64> {
        self.known(counter)?.total
    }

    /// A counter that is not known yet began at `total`: its first report is then a difference and no baseline. False
    /// when there is no room for it.
    pub(crate) fn begin(&mut self, counter: &C, total: u64) -> bool {
        if self.known(counter).is_some() {
            return true;
        }
        let room = self.sources.len() < SOURCES_MAX;
        if room {
            self.sources.push((counter.clone(), Known { total: Some(total), ..Known::default() }));
        }
        room
    }

    /// Forget the counters that `keep` does not want.
    pub(crate) fn retain(&mut self, keep: impl Fn(&C) -> bool) {
        self.sources.retain(|(counter, _)| keep(counter));
    }

    /// A total was reported; the counter owes nothing. `key` is the caller's, else `own_key` is used. A difference
    /// above `delta_max` is none: the total is a baseline.
    pub(crate) fn report(
        &mut self,
        at: Stamp,
        counter: &C,
        total: u64,
        delta_max: i64,
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
        let up = known.total.and_then(|last| total.checked_sub(last)).and_then(|up| i64::try_from(up).ok());
        let difference = up.filter(|up| *up <= delta_max);
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

    /// The owed record is durable.
    pub(crate) fn close(&mut self, counter: &C) -> Option<Intended> {
        let known = self.known_mut(counter)?;
        let intended = known.intended.take()?;
        known.total = Some(intended.total);
        Some(intended)
    }

    /// The owed record is durable under `seq`, and whoever repeats its report gets this answer again.
    pub(crate) fn settle(&mut self, counter: &C, seq: u64) -> Option<Answer> {
        let Intended { key, total, delta, baseline, .. } = self.close(counter)?;
        let answer = Answer { key, total, delta, baseline, seq };
        let known = self.known_mut(counter)?;
        known.answers.push_back(answer.clone());
        if known.answers.len() > ANSWERS_MAX {
            known.answers.pop_front();
        }
        Some(answer)
    }

    /// The owed record can never be appended (its key belongs to another record): forget it; the next total's
    /// difference covers it.
    pub(crate) fn forget(&mut self, counter: &C) {
        if let Some(known) = self.known_mut(counter) {
            known.intended = None;
        }
    }

    fn known(&self, counter: &C) -> Option<&Known> {
        self.sources.iter().find(|(other, _)| other == counter).map(|(_, known)| known)
    }

    fn known_mut(&mut self, counter: &C) -> Option<&mut Known> {
        self.sources.iter_mut().find(|(other, _)| other == counter).map(|(_, known)| known)
    }
}

/// The file that keeps [`Totals`]: rewritten whole, atomically, fsynced.
#[derive(Debug, Clone)]
pub(crate) struct TotalsFile {
    path: PathBuf,
}

impl TotalsFile {
    /// Open `name`, or begin anew; a damaged file is set aside (`.damaged`) and all sources begin with a baseline.
    pub(crate) fn open<C: DeserializeOwned>(directory: &Path, name: &str) -> std::io::Result<(TotalsFile, Totals<C>)> {
        std::fs::create_dir_all(directory)?;
        let path = directory.join(name);
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
    pub(crate) fn save<C: Serialize>(&self, totals: &Totals<C>) -> std::io::Result<()> {
        replace_file(&self.path, &serde_json::to_vec(totals)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Stamp = Stamp { boot: 1, uptime_ms: 5, wall_ms: None };

    fn counter() -> String {
        "queue".to_owned()
    }

    #[test]
    fn a_first_total_and_a_reset_are_baselines_and_never_negative() {
        let mut totals = Totals::default();
        let mut deltas = Vec::new();
        for (seq, total) in [100, 103, 103, 110, 2, 5].into_iter().enumerate() {
            match totals.report(AT, &counter(), total, i64::MAX, None, || format!("key{seq}")) {
                Step::Append => {
                    deltas.push((totals.intended(&counter()).unwrap().delta, total));
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
            assert_eq!(totals.report(AT, &counter(), total, i64::MAX, Some(&key), String::new), Step::Append);
            totals.settle(&counter(), seq);
        }
        let Step::Repeat(answer) = totals.report(AT, &counter(), 12, i64::MAX, Some(&key("k2")), String::new) else {
            panic!()
        };
        assert_eq!((answer.seq, answer.delta), (2, 2));
        assert_eq!(totals.report(AT, &counter(), 13, i64::MAX, Some(&key("k2")), String::new), Step::KeyReused);
        assert_eq!(totals.report(AT, &counter(), 15, i64::MAX, Some(&key("k9")), String::new), Step::Unchanged);
    }

    #[test]
    fn sources_are_bounded() {
        let mut totals = Totals::default();
        for index in 0..SOURCES_MAX {
            let counter = format!("s{index}");
            assert_eq!(totals.report(AT, &counter, 1, i64::MAX, None, String::new), Step::Append);
        }
        assert_eq!(totals.report(AT, &counter(), 1, i64::MAX, None, String::new), Step::TooManySources);
        assert!(!totals.begin(&counter(), 0));
    }

    #[test]
    fn a_counter_that_began_at_zero_has_no_baseline_and_a_leap_is_one() {
        let mut totals = Totals::default();
        assert!(totals.begin(&counter(), 0));
        for (total, delta, baseline) in [(3, 3, false), (10_004, 0, true), (10_006, 2, false)] {
            totals.report(AT, &counter(), total, 10_000, None, String::new);
            let intended = totals.close(&counter()).unwrap();
            assert_eq!((intended.delta, intended.baseline), (delta, baseline), "{total}");
        }
        assert_eq!(totals.last(&counter()), Some(10_006));
        assert!(totals.begin(&counter(), 0), "it is known, and keeps its total");
        assert_eq!(totals.last(&counter()), Some(10_006));
        totals.retain(|_| false);
        assert_eq!(totals.last(&counter()), None);
    }

    /// A power cut at every step of every report: the file as last saved, the spool's records as last appended.
    #[test]
    fn a_power_cut_between_record_and_file_loses_and_doubles_nothing() {
        for cut in 0..12 {
            let mut spool: Vec<Intended> = Vec::new();
            let mut file: Totals<String> = Totals::default();
            let mut steps = 0;
            let mut live = Some(file.clone());
            for (number, total) in [10_u64, 14, 21, 25].into_iter().enumerate() {
                // After a cut the agent starts from the file and settles what is owed.
                let mut totals = live.take().unwrap_or_else(|| {
                    let mut totals = file.clone();
                    for counter in totals.owing() {
                        let owed = totals.intended(&counter).unwrap().clone();
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
                if totals.report(AT, &counter(), total, i64::MAX, None, || format!("k{cut}-{number}")) != Step::Append {
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
                spool.push(totals.intended(&counter()).unwrap().clone());
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
                let owed = totals.intended(&counter).unwrap().clone();
                if !spool.contains(&owed) {
                    spool.push(owed);
                }
                totals.settle(&counter, 0);
            }
            if totals.report(AT, &counter(), 25, i64::MAX, None, || "last".into()) == Step::Append {
                spool.push(totals.intended(&counter()).unwrap().clone());
            }
            let first = spool.first().unwrap().total;
            let sum: i64 = spool.iter().map(|intended| intended.delta).sum();
            assert_eq!(sum, 25 - first as i64, "cut at step {cut}: {spool:?}");
        }
    }

    #[test]
    fn the_file_keeps_totals_and_a_damaged_one_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let (file, mut totals) = TotalsFile::open::<String>(folder.path(), "totals.json").unwrap();
        totals.report(AT, &counter(), 7, i64::MAX, None, || "k".into());
        file.save(&totals).unwrap();
        let (_, again) = TotalsFile::open::<String>(folder.path(), "totals.json").unwrap();
        assert_eq!(again, totals);
        assert_eq!(again.owing(), [counter()]);
        std::fs::write(folder.path().join("totals.json"), b"{\"sources\":[").unwrap();
        let (_, anew) = TotalsFile::open::<String>(folder.path(), "totals.json").unwrap();
        assert_eq!(anew, Totals::default());
        assert!(folder.path().join("totals.damaged").exists());
    }
}
