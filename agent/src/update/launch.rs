//! What is started next, and what came of it: one small file, replaced whole. Pure; [`super::launcher`] acts on it.
//!
//! The packaged program reads and writes this file before anything else, and may be years older than the program in a
//! slot that writes it too. So its format is frozen: fields may be added only if a launcher that does not know them may
//! drop them. Floors and other memories are elsewhere (`notes`).
//!
//! One thing is on trial at a time, a program or a configuration: what then goes wrong is its doing. A start on trial is
//! counted before it is made; a trial ends by its own proof ([`Launch::confirm`]), or goes back ([`Launch::roll_back`]).

use std::io;
use std::path::Path;

use minicbor::{Decode, Encode};
use simpul_wire::checksum::CRC32C;
use simpul_wire::error::to_vec;
use simpul_wire::update::{Part, Version};
use simpul_wire::{Label, Text};

use crate::files::replace_file;

/// Starts on trial: a crash at once, a power cut, and one more.
pub const STARTS_MAX: u8 = 3;

/// Outcomes that wait to be told. One is told at each start; more than these pile up only while nothing runs long
/// enough to tell any.
const ENDED_MAX: usize = 4;

/// Largest file: a full one has about 1 KiB.
const FILE_BYTES_MAX: u64 = 16 * 1024;

/// Which program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Place {
    /// The installed package's.
    #[n(0)]
    Packaged,
    /// The first slot's.
    #[n(1)]
    A,
    /// The second slot's.
    #[n(2)]
    B,
}

impl Place {
    /// Its folder; nothing: the package's is not ours.
    pub fn folder(self) -> Option<&'static str> {
        match self {
            Place::Packaged => None,
            Place::A => Some("a"),
            Place::B => Some("b"),
        }
    }
}

/// A slot's program. What is in the slot and is not this is never executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Program {
    /// Its version.
    #[n(0)]
    pub version: Version,
    /// SHA-256 of the file.
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    pub sha256: [u8; 32],
}

/// The packaged program, told from another one by these; hashing it at each start would take a small machine a tenth of
/// a second, and a package that is installed anew has the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Packaged {
    /// Its version.
    #[n(0)]
    pub version: Version,
    /// Its size.
    #[n(1)]
    pub bytes: u64,
    /// The time of its file, in Unix seconds.
    #[n(2)]
    pub modified_s: i64,
    /// The spool's newest format that it reads.
    #[n(3)]
    pub spool_format: u16,
}

/// A configuration that came from the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Remote {
    /// Its revision.
    #[n(0)]
    pub revision: u64,
    /// SHA-256 of its text.
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    pub sha256: [u8; 32],
    /// SHA-256 of the file on the node that it was judged beside: when that is edited, the edit wins.
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    pub beside: [u8; 32],
    /// The rollout that it came in.
    #[n(3)]
    #[cbor(with = "minicbor::bytes")]
    pub rollout: [u8; 16],
}

/// What is on trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Candidate {
    /// A slot's program.
    #[n(1)]
    Program(#[n(0)] Place),
    /// A configuration.
    #[n(2)]
    Configuration(#[n(0)] Remote),
}

/// A trial.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Trial {
    /// The rollout.
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    pub rollout: [u8; 16],
    /// What.
    #[n(1)]
    pub candidate: Candidate,
    /// What ran before, for people.
    #[n(2)]
    pub from: Label,
    /// What is on trial, for people.
    #[n(3)]
    pub to: Label,
    /// It may be started so often yet.
    #[n(4)]
    pub starts_left: u8,
    /// So long it may run without proof.
    #[n(5)]
    pub limit_s: u32,
    /// The floor that comes with a program once it is confirmed.
    #[n(6)]
    pub floor: Version,
    /// Parts that did not work before it either, by name: not its fault.
    #[n(7)]
    pub ailing: Vec<Label>,
}

/// What came of a trial, until it has been told.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Ended {
    /// The rollout; zeros: none.
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    pub rollout: [u8; 16],
    /// What.
    #[n(1)]
    pub part: Part,
    /// What ran before it.
    #[n(2)]
    pub from: Label,
    /// What was on trial.
    #[n(3)]
    pub to: Label,
    /// It stays.
    #[n(4)]
    pub confirmed: bool,
    /// Why, for people.
    #[n(5)]
    pub why: Text,
    /// The floor from now on, if confirmed.
    #[n(6)]
    pub floor: Version,
    /// A configuration's revision: judged.
    #[n(7)]
    pub revision: u64,
}

/// The file.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Launch {
    /// The program that has proved itself.
    #[n(0)]
    pub running: Place,
    /// The first slot's.
    #[n(1)]
    pub a: Option<Program>,
    /// The second slot's.
    #[n(2)]
    pub b: Option<Program>,
    /// The hub's configuration that has proved itself; nothing: the file on the node.
    #[n(3)]
    pub configuration: Option<Remote>,
    /// What is on trial.
    #[n(4)]
    pub trial: Option<Trial>,
    /// What is still to be told.
    #[n(5)]
    pub ended: Vec<Ended>,
    /// The packaged program that was seen last.
    #[n(6)]
    pub packaged: Packaged,
}

impl Launch {
    /// Nothing but the package.
    pub fn new(packaged: Packaged) -> Launch {
        Launch {
            running: Place::Packaged,
            a: None,
            b: None,
            configuration: None,
            trial: None,
            ended: Vec::new(),
            packaged,
        }
    }

    /// From its file; nothing: there is none yet.
    ///
    /// # Errors
    /// It cannot be read (`InvalidData`: it is damaged).
    pub fn load(updates: &Path) -> io::Result<Option<Launch>> {
        read(&updates.join("launch"), FILE_BYTES_MAX)
    }

    /// To its file; durable when this returns.
    ///
    /// # Errors
    /// It cannot be written; the one before is still there.
    pub fn save(&self, updates: &Path) -> io::Result<()> {
        write(&updates.join("launch"), self)
    }

    /// A slot's program.
    pub fn program(&self, place: Place) -> Option<&Program> {
        match place {
            Place::Packaged => None,
            Place::A => self.a.as_ref(),
            Place::B => self.b.as_ref(),
        }
    }

    /// A program's version.
    pub fn version(&self, place: Place) -> Version {
        self.program(place).map_or(self.packaged.version, |program| program.version)
    }

    fn slot(&mut self, place: Place) -> Option<&mut Option<Program>> {
        match place {
            Place::Packaged => None,
            Place::A => Some(&mut self.a),
            Place::B => Some(&mut self.b),
        }
    }

    /// The slot that the next program goes to: never the one that runs.
    pub fn free_slot(&self) -> Place {
        if self.running == Place::A { Place::B } else { Place::A }
    }

    /// The slot is about to be written: what it held counts no more.
    pub fn empty(&mut self, place: Place) {
        if let Some(slot) = self.slot(place) {
            *slot = None;
        }
    }

    /// Another package than before: it wins over slots that are not newer, for somebody installed it.
    pub fn see_package(&mut self, packaged: Packaged) {
        if self.packaged == packaged {
            return;
        }
        self.packaged = packaged;
        if matches!(&self.trial, Some(Trial { candidate: Candidate::Program(_), .. })) {
            self.roll_back(&format!("package {} was installed meanwhile", packaged.version));
        }
        if self.running != Place::Packaged && packaged.version >= self.version(self.running) {
            self.running = Place::Packaged;
            (self.a, self.b) = (None, None);
        }
    }

    /// Count a start. Durable before it is made.
    pub fn count_start(&mut self) {
        match &mut self.trial {
            Some(trial) if trial.starts_left > 0 => trial.starts_left -= 1,
            Some(_) => self.roll_back(&format!("started {STARTS_MAX} times, and not proved")),
            None => {}
        }
    }

    /// The program to start.
    pub fn next(&self) -> Place {
        match &self.trial {
            Some(Trial { candidate: Candidate::Program(place), .. }) => *place,
            _ => self.running,
        }
    }

    /// A slot's program cannot be started. At most two slots: this ends at the package.
    pub fn broken(&mut self, place: Place, why: &str) {
        let on_trial = matches!(&self.trial, Some(trial) if trial.candidate == Candidate::Program(place));
        if on_trial {
            self.roll_back(why);
        } else if self.running == place {
            let from = label(self.version(place));
            let other = if place == Place::A { Place::B } else { Place::A };
            self.running = if self.program(other).is_some() { other } else { Place::Packaged };
            let to = label(self.version(self.running));
            self.push(Ended {
                rollout: [0; 16],
                part: Part::Agent,
                from: to,
                to: from,
                confirmed: false,
                why: Text::clipped(why),
                floor: Version::default(),
                revision: 0,
            });
        }
        self.empty(place);
    }

    /// What is on trial goes; what was before it is back.
    pub fn roll_back(&mut self, why: &str) {
        let Some(trial) = self.trial.take() else { return };
        if let Candidate::Program(place) = trial.candidate {
            self.empty(place);
        }
        self.end(trial, false, why);
    }

    /// What is on trial stays.
    pub fn confirm(&mut self) {
        let Some(trial) = self.trial.take() else { return };
        match trial.candidate {
            Candidate::Program(place) => self.running = place,
            Candidate::Configuration(remote) => self.configuration = Some(remote),
        }
        self.end(trial, true, "");
    }

    /// The file on the node was edited: it is in force again.
    pub fn drop_configuration(&mut self, why: &str) {
        if matches!(&self.trial, Some(Trial { candidate: Candidate::Configuration(_), .. })) {
            self.roll_back(why);
        }
        if let Some(remote) = self.configuration.take() {
            self.push(Ended {
                rollout: remote.rollout,
                part: Part::Configuration,
                from: Label::default(),
                to: label(remote.revision),
                confirmed: false,
                why: Text::clipped(why),
                floor: Version::default(),
                revision: remote.revision,
            });
        }
    }

    fn end(&mut self, trial: Trial, confirmed: bool, why: &str) {
        let (part, revision) = match trial.candidate {
            Candidate::Program(_) => (Part::Agent, 0),
            Candidate::Configuration(remote) => (Part::Configuration, remote.revision),
        };
        let Trial { rollout, from, to, floor, .. } = trial;
        self.push(Ended { rollout, part, from, to, confirmed, why: Text::clipped(why), floor, revision });
    }

    fn push(&mut self, ended: Ended) {
        if self.ended.len() >= ENDED_MAX {
            self.ended.remove(0);
        }
        self.ended.push(ended);
    }
}

/// A number as a label.
pub fn label(number: impl std::fmt::Display) -> Label {
    Label::clipped(&number.to_string())
}

/// A file of ours: CBOR, then its CRC-32C.
pub(super) fn read<T: for<'b> Decode<'b, ()>>(path: &Path, bytes_max: u64) -> io::Result<Option<T>> {
    let damaged = |what: String| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {what}", path.display()));
    let bytes = match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
        Ok(metadata) if metadata.len() > bytes_max => return Err(damaged(format!("{} bytes", metadata.len()))),
        Ok(_) => std::fs::read(path)?,
    };
    let (content, _) = bytes
        .split_last_chunk::<4>()
        .filter(|(content, sum)| CRC32C.checksum(content).to_be_bytes() == **sum)
        .ok_or_else(|| damaged("the check sum does not fit".into()))?;
    minicbor::decode(content).map(Some).map_err(|error| damaged(error.to_string()))
}

/// As above, the other way.
pub(super) fn write<T: Encode<()>>(path: &Path, value: &T) -> io::Result<()> {
    let mut bytes = to_vec(value);
    bytes.extend(CRC32C.checksum(&bytes).to_be_bytes());
    replace_file(path, &bytes)
}

#[cfg(test)]
#[path = "launch_tests.rs"]
mod tests;
