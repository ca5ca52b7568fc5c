//! Why one board is not done. The others go on.

use std::io;

use simpul_wire::board::host::version_text;
use simpul_words::{Board, Language, Words};

/// Why one board is not done.
#[derive(Debug)]
pub enum Fault {
    /// The port cannot be opened.
    PortClosed(io::Error),
    /// The port went.
    PortLost(io::Error),
    /// No board answers at the port, and no drive was named.
    Silent,
    /// The board at the port runs, so the drive is another one's.
    NotAPair,
    /// The drive tells nothing of itself.
    NoInfo(io::Error),
    /// The drive is another chip's.
    NotAPico { said: String },
    /// The drive went before all was written.
    DriveLost { written: usize, of: usize, error: io::Error },
    /// All was written and the drive is still there.
    DriveStays,
    /// Written, and nobody answered at the port after.
    NeverCame { seconds: u64 },
    /// Written, and there is no port to see what came of it.
    Unverified,
    /// Another version answers than was written.
    OtherVersion { said: [u8; 3], wanted: [u8; 3] },
    /// The board is no Pico.
    OtherHardware,
    /// The board speaks another version of the link.
    OtherProtocol { board: u16 },
    /// The update over the line did not succeed; the board runs what ran before.
    Update { why: String },
    /// The settings were sent and are not what the board says.
    Settings,
    /// The board's journal does not work.
    Journal,
    /// The board said nothing for too long in the middle of the work.
    Fell,
    /// Something of the self-test is wrong or missing: its lines tell.
    SelfTest,
    /// The work on it broke off inside this program.
    Broken,
}

impl Fault {
    /// What is so, and what to do.
    pub fn say(&self, language: Language) -> String {
        match self {
            Fault::PortClosed(error) => match error.kind() {
                io::ErrorKind::PermissionDenied => Board::PortForbidden.text(language),
                io::ErrorKind::ResourceBusy => Board::PortBusy.text(language),
                _ => Board::PortClosed { error }.text(language),
            },
            Fault::PortLost(error) => Board::PortLost { error }.text(language),
            Fault::Silent => Board::Silent.text(language),
            Fault::NotAPair => Board::NotAPair.text(language),
            Fault::NoInfo(error) => Board::NoInfo { error }.text(language),
            Fault::NotAPico { said } => Board::NotAPico { said }.text(language),
            Fault::DriveLost { written, of, error } => {
                let percent = written * 100 / (*of).max(1);
                Board::DriveLost { percent: &percent, error }.text(language)
            }
            Fault::DriveStays => Board::DriveStays.text(language),
            Fault::NeverCame { seconds } => Board::NeverCame { seconds }.text(language),
            Fault::Unverified => Board::Unverified.text(language),
            Fault::OtherVersion { said, wanted } => {
                Board::OtherVersion { said: &version_text(*said), wanted: &version_text(*wanted) }.text(language)
            }
            Fault::OtherHardware => Board::OtherHardware.text(language),
            Fault::OtherProtocol { board } => {
                Board::OtherProtocol { board, own: &simpul_wire::board::PROTOCOL_VERSION }.text(language)
            }
            Fault::Update { why } => Board::UpdateFailed { why }.text(language),
            Fault::Settings => Board::SettingsRefused.text(language),
            Fault::Journal => Board::JournalBroken.text(language),
            Fault::Fell => Board::FellSilent.text(language),
            Fault::SelfTest => Board::SelfTestFailed.text(language),
            Fault::Broken => Board::BrokeOff.text(language),
        }
    }
}
