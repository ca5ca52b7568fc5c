//! Why nothing was begun: the firmware's files, or no board at all.

use std::io;

use simpul_wire::board::host::ImageError;
use simpul_words::{Board, Language, Words};

use super::uf2::Uf2Error;

/// Why nothing was begun. No board was touched.
#[derive(Debug)]
pub enum Problem {
    /// No file was named, and none is where they are looked for.
    ImageNotFound { places: String },
    /// A file cannot be read.
    ImageUnreadable { file: String, error: io::Error },
    /// A folder was named.
    ImageIsFolder { file: String },
    /// The UF2 is not whole, or not for a Pico.
    Uf2 { file: String, error: Uf2Error },
    /// The file beside it is not there.
    SendMissing { file: String },
    /// The file beside it is not whole.
    Send { file: String, error: ImageError },
    /// The two files are of two builds.
    OtherBuild { uf2: String, send: String },
    /// What is expected is not understood.
    Expect { word: String },
    /// Neither a drive nor a port.
    NoBoard,
    /// A board waits in its boot loader and its drive is not mounted.
    NotMounted { device: String },
    /// More than may be at work at once.
    TooMany { limit: usize },
    /// A drive or port was named twice.
    Twice { path: String },
    /// The report cannot be written.
    Report { file: String, error: io::Error },
}

impl Problem {
    /// The problem, and what to do about it.
    pub fn say(&self, language: Language) -> String {
        match self {
            Problem::ImageNotFound { places } => Board::ImageNotFound { places }.text(language),
            Problem::ImageUnreadable { file, error } => Board::ImageUnreadable { file, error }.text(language),
            Problem::ImageIsFolder { file } => Board::ImageIsFolder { file }.text(language),
            Problem::Uf2 { file, error } => uf2(file, error, language),
            Problem::SendMissing { file } => Board::SendMissing { file }.text(language),
            Problem::Send { file, error } => Board::SendDamaged { file, error }.text(language),
            Problem::OtherBuild { uf2, send } => Board::OtherBuild { uf2, send }.text(language),
            Problem::Expect { word } => Board::ExpectUnknown { word }.text(language),
            Problem::NoBoard => Board::NoBoard.text(language),
            Problem::NotMounted { device } => Board::NotMounted { device }.text(language),
            Problem::TooMany { limit } => Board::TooMany { limit }.text(language),
            Problem::Twice { path } => Board::NamedTwice { path }.text(language),
            Problem::Report { file, error } => Board::ReportUnwritable { file, error }.text(language),
        }
    }
}

fn uf2(file: &str, error: &Uf2Error, language: Language) -> String {
    let file = &file;
    match error {
        Uf2Error::Empty => Board::Uf2Empty { file }.text(language),
        Uf2Error::TooLarge => Board::Uf2TooLarge { file }.text(language),
        Uf2Error::Elf => Board::Uf2Elf { file }.text(language),
        Uf2Error::NotUf2 => Board::Uf2Not { file }.text(language),
        Uf2Error::WrongLength { said, there } => Board::Uf2Length { file, said, there }.text(language),
        Uf2Error::BadBlock { block } => Board::Uf2Block { file, block }.text(language),
        Uf2Error::BlockMissing { block, found } => Board::Uf2Order { file, block, found }.text(language),
        Uf2Error::OtherChip { block, family } => {
            Board::Uf2Family { file, block, family: &format!("{family:#010x}") }.text(language)
        }
        Uf2Error::OutsideFlash { block, address } => {
            Board::Uf2Outside { file, block, address: &format!("{address:#010x}") }.text(language)
        }
        Uf2Error::Twice { block, address } => {
            Board::Uf2Twice { file, block, address: &format!("{address:#010x}") }.text(language)
        }
    }
}
