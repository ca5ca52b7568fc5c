//! What the node remembers of updates over a restart, beside [`super::launch`]: floors, and what has been answered.

use std::io;
use std::path::Path;

use minicbor::bytes::ByteArray;
use minicbor::{Decode, Encode};
use simpul_wire::Label;
use simpul_wire::update::{Part, Step, Version};

use super::launch::{self, Ended};

/// Rollouts whose end is remembered: a hub offers three at a time.
const ANSWERED_MAX: usize = 32;

/// Downgrades that are remembered: each is taken once. A district makes one a year, if any.
const DOWNGRADES_MAX: usize = 32;

const FILE_BYTES_MAX: u64 = 16 * 1024;

/// A board's image that was handed to the board's task.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct BoardJob {
    /// The rollout.
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    pub rollout: [u8; 16],
    /// What the board ran.
    #[n(1)]
    pub from: Label,
    /// What it is to run.
    #[n(2)]
    pub to: Version,
    /// By what the board tells the image.
    #[n(3)]
    pub crc32: u32,
    /// The floor once it is confirmed.
    #[n(4)]
    pub floor: Version,
}

/// The file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Notes {
    /// No agent's program below it is taken.
    #[n(0)]
    pub agent_floor: Version,
    /// No board's firmware below it is taken.
    #[n(1)]
    pub board_floor: Version,
    /// The newest revision of a configuration that was judged.
    #[n(2)]
    pub revision: u64,
    /// Rollouts that are over here, the oldest first.
    #[n(3)]
    answered: Vec<ByteArray<16>>,
    /// The beginnings of SHA-256 of manifests of downgrades that were taken, the oldest first.
    #[n(4)]
    downgrades: Vec<ByteArray<8>>,
    /// The step that was told last, and of which rollout and part.
    #[n(5)]
    said: Option<(ByteArray<16>, Part, Step)>,
    /// The image that the board is to run.
    #[n(6)]
    pub board: Option<BoardJob>,
}

impl Notes {
    /// From the file; a missing or damaged one is an empty one, but for the floors, which a damaged file then loses: it is
    /// told loudly.
    pub fn load(updates: &Path) -> Notes {
        match launch::read(&updates.join("notes"), FILE_BYTES_MAX) {
            Ok(notes) => notes.unwrap_or_default(),
            Err(error) => {
                tracing::error!(%error, "what was remembered of updates is lost: the floors begin at nothing");
                Notes::default()
            }
        }
    }

    /// To the file; durable when this returns.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn save(&self, updates: &Path) -> io::Result<()> {
        launch::write(&updates.join("notes"), self)
    }

    /// The floor of a part.
    pub fn floor(&self, part: Part) -> Version {
        if part == Part::Board { self.board_floor } else { self.agent_floor }
    }

    /// Whether a rollout is over here.
    pub fn is_answered(&self, rollout: &[u8; 16]) -> bool {
        self.answered.iter().any(|known| **known == *rollout)
    }

    /// Whether a step still has to be told.
    pub fn is_news(&self, rollout: &[u8; 16], part: Part, step: Step) -> bool {
        !self.said.as_ref().is_some_and(|said| (*said.0, said.1, said.2) == (*rollout, part, step))
    }

    /// A step was told.
    pub fn told(&mut self, rollout: &[u8; 16], part: Part, step: Step) {
        self.said = Some((ByteArray::from(*rollout), part, step));
        if step.is_final() && !self.is_answered(rollout) {
            push(&mut self.answered, ByteArray::from(*rollout), ANSWERED_MAX);
        }
    }

    /// Whether a downgrade was taken before.
    pub fn is_spent(&self, manifest: &[u8; 8]) -> bool {
        self.downgrades.iter().any(|known| **known == *manifest)
    }

    /// A downgrade is taken.
    pub fn spend(&mut self, manifest: [u8; 8]) {
        push(&mut self.downgrades, ByteArray::from(manifest), DOWNGRADES_MAX);
    }

    /// It was not, after all.
    pub fn unspend(&mut self, manifest: &[u8; 8]) {
        self.downgrades.retain(|known| **known != *manifest);
    }

    /// A trial ended.
    pub fn ended(&mut self, ended: &Ended) {
        self.revision = self.revision.max(ended.revision);
        if ended.confirmed {
            self.agent_floor = self.agent_floor.max(ended.floor);
        }
    }
}

fn push<T>(list: &mut Vec<T>, item: T, max: usize) {
    if list.len() >= max {
        list.remove(0);
    }
    list.push(item);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floors_rise_and_never_fall_and_all_of_it_survives() {
        let folder = tempfile::tempdir().unwrap();
        let mut notes = Notes::load(folder.path());
        assert_eq!(notes, Notes::default());
        let version = |minor| Version { major: 0, minor, patch: 0 };
        let mut ended = Ended {
            rollout: [1; 16],
            part: Part::Agent,
            from: Label::default(),
            to: Label::default(),
            confirmed: true,
            why: Default::default(),
            floor: version(4),
            revision: 9,
        };
        notes.ended(&ended);
        (ended.floor, ended.revision) = (version(3), 2);
        notes.ended(&ended);
        (ended.floor, ended.confirmed) = (version(8), false);
        notes.ended(&ended);
        assert_eq!((notes.agent_floor, notes.revision), (version(4), 9));
        notes.told(&[1; 16], Part::Agent, Step::Refused);
        notes.spend([5; 8]);
        notes.save(folder.path()).unwrap();
        let kept = Notes::load(folder.path());
        assert_eq!(kept, notes);
        assert!(kept.is_answered(&[1; 16]) && !kept.is_answered(&[2; 16]) && kept.is_spent(&[5; 8]));
        assert!(
            !kept.is_news(&[1; 16], Part::Agent, Step::Refused) && kept.is_news(&[1; 16], Part::Board, Step::Refused)
        );
        for number in 0..100u8 {
            notes.told(&[number; 16], Part::Agent, Step::Confirmed);
            notes.spend([number; 8]);
        }
        assert_eq!((notes.answered.len(), notes.downgrades.len()), (ANSWERED_MAX, DOWNGRADES_MAX));
        std::fs::write(folder.path().join("notes"), b"noise").unwrap();
        assert_eq!(Notes::load(folder.path()), Notes::default());
    }
}
