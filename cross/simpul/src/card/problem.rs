//! What can stand between an image and a card, each with its own text and what to do.

use std::fmt;
use std::io;

use simpul_words::{Card, Language, Words};

/// Why a card is not finished, or was not begun.
#[derive(Debug)]
#[allow(missing_docs, reason = "the texts of the same name say it")]
pub enum Problem {
    ImageUnreadable { image: String, error: io::Error },
    ImageIsNoFile { image: String },
    UnknownArchive { image: String, kind: &'static str },
    ArchiveTorn { image: String },
    ArchiveDamaged { image: String, error: io::Error },
    NotADiskImage { image: String },
    ImageShort { image: String, bytes: u64, expected_bytes: u64 },
    ImageHashDiffers { image: String, hash_file: String },
    CardTooSmall { needed_bytes: u64, capacity_bytes: u64 },
    CardWrite(io::Error),
    CardRead(io::Error),
    CardDiffers { position_bytes: u64 },
    NoSuchTarget { target: String },
    TargetIsFolder { target: String },
    NoPermission { target: String },
    TargetBusy { target: String },
    TargetIsPartition { target: String, disk: String },
    SystemDisk { target: String },
    Mounted { target: String, places: String },
    InUse { target: String, by: String },
    TooLarge { target: String, capacity_bytes: u64, limit_bytes: u64 },
    EmptyReader { target: String },
    ReadOnly { target: String },
    NotFinished { target: String },
    NoFirstBoot { found: String },
    ForeignFirstBoot { file: String },
    BootPartition { error: io::Error },
    BootPartitionFull { needed_bytes: u64, free_bytes: u64 },
    WrongMachine { agent: String, image: String },
    System { what: String },
}

impl Problem {
    /// Whether nothing was written: the card is as it was.
    pub fn is_refusal(&self) -> bool {
        !matches!(
            self,
            Problem::ArchiveDamaged { .. }
                | Problem::CardWrite(_)
                | Problem::CardRead(_)
                | Problem::CardDiffers { .. }
                | Problem::BootPartition { .. }
                | Problem::BootPartitionFull { .. }
        )
    }

    /// The problem, and what to do about it.
    pub fn say(&self, language: Language) -> String {
        let size = |bytes: &u64| language.bytes(*bytes);
        match self {
            Problem::ImageUnreadable { image, error } => Card::ImageUnreadable { image, error }.text(language),
            Problem::ImageIsNoFile { image } => Card::ImageIsNoFile { image }.text(language),
            Problem::UnknownArchive { image, kind } => Card::UnknownArchive { image, kind }.text(language),
            Problem::ArchiveTorn { image } => Card::ArchiveTorn { image }.text(language),
            Problem::ArchiveDamaged { image, error } => Card::ArchiveDamaged { image, error }.text(language),
            Problem::NotADiskImage { image } => Card::NotADiskImage { image }.text(language),
            Problem::ImageShort { image, bytes, expected_bytes } => {
                Card::ImageShort { image, bytes: &size(bytes), expected: &size(expected_bytes) }.text(language)
            }
            Problem::ImageHashDiffers { image, hash_file } => {
                Card::ImageHashDiffers { image, file: hash_file }.text(language)
            }
            Problem::CardTooSmall { needed_bytes, capacity_bytes } => {
                Card::CardTooSmall { needed: &size(needed_bytes), capacity: &size(capacity_bytes) }.text(language)
            }
            Problem::CardWrite(error) => Card::CardWrite { error }.text(language),
            Problem::CardRead(error) => Card::CardRead { error }.text(language),
            Problem::CardDiffers { position_bytes } => {
                Card::CardDiffers { position: &size(position_bytes) }.text(language)
            }
            Problem::NoSuchTarget { target } => Card::NoSuchTarget { target }.text(language),
            Problem::TargetIsFolder { target } => Card::TargetIsFolder { target }.text(language),
            Problem::NoPermission { target } => Card::NoPermission { target }.text(language),
            Problem::TargetBusy { target } => Card::TargetBusy { target }.text(language),
            Problem::TargetIsPartition { target, disk } => Card::TargetIsPartition { target, disk }.text(language),
            Problem::SystemDisk { target } => Card::SystemDisk { target }.text(language),
            Problem::Mounted { target, places } => Card::Mounted { target, places }.text(language),
            Problem::InUse { target, by } => Card::InUse { target, by }.text(language),
            Problem::TooLarge { target, capacity_bytes, limit_bytes } => {
                let (capacity, limit) = (size(capacity_bytes), size(limit_bytes));
                Card::TooLarge { target, capacity: &capacity, limit: &limit }.text(language)
            }
            Problem::EmptyReader { target } => Card::EmptyReader { target }.text(language),
            Problem::ReadOnly { target } => Card::ReadOnly { target }.text(language),
            Problem::NotFinished { target } => Card::NotFinished { target }.text(language),
            Problem::NoFirstBoot { found } => Card::NoFirstBoot { found }.text(language),
            Problem::ForeignFirstBoot { file } => Card::ForeignFirstBoot { file }.text(language),
            Problem::BootPartition { error } => Card::BootPartition { error }.text(language),
            Problem::BootPartitionFull { needed_bytes, free_bytes } => {
                Card::BootPartitionFull { needed: &size(needed_bytes), free: &size(free_bytes) }.text(language)
            }
            Problem::WrongMachine { agent, image } => Card::WrongMachine { agent, image }.text(language),
            Problem::System { what } => Card::System { what }.text(language),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.say(Language::English))
    }
}

impl std::error::Error for Problem {}
