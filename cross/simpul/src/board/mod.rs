//! `simpul board`: firmware onto I/O boards, settings, self-test; several boards at once.
//!
//! **Who calls it.** A technician on a bench with a box of Picos, and one at a cabinet with a cable. No network, no agent.
//!
//! **What it owns.** The course of each board: look at its port, else flash its boot loader's drive; verify by what the board
//! says of itself; keep its settings and read them back; test each part with the person's hands. The firmware's two files
//! (`pico.uf2`, `pico.img`) are checked before anything is touched, and have to be of one build.
//!
//! | file | what |
//! |---|---|
//! | `firmware`, `uf2` | the files, and what is wrong with them |
//! | `drive`, `port`, `link` | a board in its boot loader; a port; frames over it |
//! | `course` | one board from the first look to its last line |
//! | `expect`, `check` | what is wired; the self-test, pure |
//! | `screen`, `report` | bars and lines; table, CSV, JSON |
//! | `problem`, `fault` | why nothing was begun; why one board is not done |
//!
//! The update over the line is the agent's own ([`simpul_wire::board::host`]).
//!
//! **What it refuses.** Files that are not whole, of another chip, or of two builds; a drive that is not a Pico's; a port that
//! another program holds; a board that is no Pico or speaks another version of the link; to have buttons pressed of a board
//! that is not new (an agent that knows it would take the presses for visits), unless told that no agent knows it.
//!
//! **What it does not do.** A board's serial is its flash chip's own, burnt in: it is read and reported, not given. Pins are
//! the firmware's; which of them are wired is what the settings say. A cut in the middle of a flash over USB leaves a board
//! that has to be flashed again; one over the UART leaves what ran before.
//!
//! **No phantom counts.** Presses of the test count in the board's totals like any others. An agent that meets a serial for
//! the first time takes its totals as where counting begins, except in the start in which the journal was empty
//! (`JournalState::Empty`): there all of it was counted since then. An agent that knows the serial takes what is more for
//! visits. So buttons are tested of new boards only (journal empty at this start, nothing counted, and nobody greeted it
//! since: it says so), and these are started anew before. Events of the test are acknowledged here and reach no agent.
//!
//! **Limits.** [`BOARDS_MAX`] boards, a thread each; a UF2 of 4 MiB, an image of 64 KiB; an update of ten minutes; every wait
//! has an end. A fault ends one board's course, nobody else's.
//!
//! **Tested with faults** in `tests/boards.rs`, with the shipped image on emulated chips: ten at once, one unplugged while
//! it is written, one that is another chip's, one that never comes back, one that is done already, one updated over its UART.
//! The self-test's core against what a board may say, in `check_tests`.

mod check;
#[cfg(test)]
mod check_tests;
mod course;
mod drive;
mod expect;
mod fault;
mod firmware;
mod link;
mod port;
pub mod problem;
mod report;
mod screen;
mod uf2;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use simpul_clock::Clock;
use simpul_words::{Board, Language, Words};

use self::course::{Course, Job, Row, Seat};
use self::expect::Expect;
use self::fault::Fault;
use self::firmware::Firmware;
use self::problem::Problem;
use self::screen::Screen;
use crate::exit::Exit;

#[cfg(windows)]
pub use self::drive::is_boot_loader;

/// Boards at once: more than a bench's hubs have ports.
const BOARDS_MAX: usize = 32;

/// What was asked for.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The firmware.
    pub image: Option<PathBuf>,
    /// Drives of boards in their boot loader.
    pub drives: Vec<PathBuf>,
    /// Ports.
    pub ports: Vec<PathBuf>,
    /// What is wired.
    pub expect: Option<String>,
    /// Test the boards.
    pub self_test: bool,
    /// Buttons also of boards that are not new.
    pub press_again: bool,
    /// Seconds for a board that starts and for a person who presses.
    pub wait_s: u16,
    /// The result as JSON.
    pub json: bool,
    /// The result as CSV, here.
    pub report: Option<PathBuf>,
}

/// Run `simpul board`.
pub fn run(request: &Request, language: Language, clock: &Clock) -> Result<(), Exit> {
    let parse = |text: &String| Expect::parse(text).map_err(|word| Problem::Expect { word });
    let expect = request.expect.as_ref().map(parse).transpose()?;
    let firmware = Firmware::read(request.image.as_deref())?;
    let seats = seats(request, language)?;
    let wait = Duration::from_secs(request.wait_s.into());
    let (self_test, press_again) = (request.self_test, request.press_again);
    let job = Job { firmware, expect, self_test, press_again, wait, language };
    let rows = work(&seats, &job, clock);
    match request.json {
        true => println!("{:#}", report::machine(&rows, language)),
        false => print!("{}", report::table(&rows, language)),
    }
    let done = rows.iter().filter(|row| row.fault.is_none()).count();
    eprintln!("{}", Board::AllDone { done: &done, total: &rows.len() }.text(language));
    if let Some(path) = &request.report {
        report::write_csv(path, &rows, language)?;
        eprintln!("{}", Board::ReportWritten { file: &path.display() }.text(language));
    }
    if done == rows.len() { Ok(()) } else { Err(Exit::Failed) }
}

/// Every board's course, all at once. What breaks one breaks no other.
fn work(seats: &[Seat], job: &Job, clock: &Clock) -> Vec<Row> {
    let screen = Screen::new();
    std::thread::scope(|scope| {
        let courses: Vec<_> = seats
            .iter()
            .map(|seat| {
                let line = screen.line(&seat.name());
                (seat, scope.spawn(move || Course::new(seat, job, line, clock).run()))
            })
            .collect();
        let ended = courses.into_iter().map(|(seat, course)| {
            course.join().unwrap_or_else(|_| Row { fault: Some(Fault::Broken), ..Row::new(seat) })
        });
        ended.collect()
    })
}

/// Where the boards are: as named, else as seen.
fn seats(request: &Request, language: Language) -> Result<Vec<Seat>, Problem> {
    let (mut drives, mut ports) = (request.drives.clone(), request.ports.clone());
    if drives.is_empty() && ports.is_empty() {
        let seen = crate::platform::boot_loader_drives();
        drives = seen.mounted;
        ports = port::candidates();
        let mut not_mounted = seen.not_mounted.into_iter().map(|device| Problem::NotMounted { device }).peekable();
        if drives.is_empty() && ports.is_empty() {
            return Err(not_mounted.next().unwrap_or(Problem::NoBoard));
        }
        not_mounted.for_each(|problem| eprintln!("{}", problem.say(language)));
        // Nobody said what belongs together.
        return limited(pair(drives, ports, false));
    }
    let mut seen = BTreeSet::new();
    if let Some(path) = drives.iter().chain(&ports).find(|path| !seen.insert(*path)) {
        return Err(Problem::Twice { path: path.display().to_string() });
    }
    limited(pair(drives, ports, true))
}

fn limited(seats: Vec<Seat>) -> Result<Vec<Seat>, Problem> {
    if seats.len() > BOARDS_MAX { Err(Problem::TooMany { limit: BOARDS_MAX }) } else { Ok(seats) }
}

/// `named` ones belong together in their order; what is left over is alone. Of those that were only seen, one of each is a
/// pair. Else a drive's board answers at some port, and which one it was nobody can tell: each has a line of its own.
fn pair(drives: Vec<PathBuf>, ports: Vec<PathBuf>, named: bool) -> Vec<Seat> {
    if named || (drives.len() == 1 && ports.len() == 1) {
        let count = drives.len().max(ports.len());
        let (mut drives, mut ports) = (drives.into_iter(), ports.into_iter());
        return (0..count).map(|_| Seat { drive: drives.next(), port: ports.next(), shared: false }).collect();
    }
    // Only where every board has a port to answer at.
    let shared = drives.len() <= ports.len();
    let awaited = !drives.is_empty();
    let drives = drives.into_iter().map(|drive| Seat { drive: Some(drive), port: None, shared });
    drives.chain(ports.into_iter().map(|port| Seat { drive: None, port: Some(port), shared: awaited })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drives_and_ports_are_pairs_only_where_somebody_said_so_or_nothing_else_is_possible() {
        let seats = |drives: &[&str], ports: &[&str], named| {
            let paths = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
            let told = |seat: Seat| {
                let shown = |path: Option<PathBuf>| path.map_or("-".to_owned(), |path| path.display().to_string());
                format!("{} {}{}", shown(seat.drive), shown(seat.port), if seat.shared { " shared" } else { "" })
            };
            pair(paths(drives), paths(ports), named).into_iter().map(told).collect::<Vec<_>>().join(", ")
        };
        assert_eq!(seats(&["E:", "F:"], &["COM5", "COM6"], true), "E: COM5, F: COM6");
        assert_eq!(seats(&["E:"], &["COM5", "COM6"], true), "E: COM5, - COM6");
        assert_eq!(seats(&["E:", "F:"], &["COM5"], true), "E: COM5, F: -");
        assert_eq!(seats(&["E:"], &["COM5"], false), "E: COM5");
        assert_eq!(seats(&["E:"], &["COM5", "COM6"], false), "E: - shared, - COM5 shared, - COM6 shared");
        // A board more than ports: it cannot be verified.
        assert_eq!(seats(&["E:", "F:"], &["COM5"], false), "E: -, F: -, - COM5 shared");
        assert_eq!(seats(&[], &["COM5", "COM6"], false), "- COM5, - COM6");
    }
}
