//! One board from the first look to its last line: looks, installs, verifies, sets up, tests. Each step ends in the row; the
//! first fault ends the course.

use std::path::PathBuf;
use std::time::Duration;

use sha2::{Digest, Sha256};
use simpul_clock::Clock;
use simpul_wire::board::host::{Effect, Remember, Tried, Updater, version_text};
use simpul_wire::board::{
    DESKS, DeskTotals, FromBoard, Hardware, Hello, ImageState, JournalState, NumberedBody, Settings, ToBoard,
};
use simpul_words::{Board, Language, Words};

use super::check::{Action, Checked, SelfTest, Terms, Verdict};
use super::drive::{Drive, is_boot_loader};
use super::expect::Expect;
use super::fault::Fault;
use super::firmware::Firmware;
use super::link::Link;
use super::port::Port;
use super::report::{say_check, say_what};
use super::screen::Line;

/// A board that nobody has greeted says hello each second: so long is listened before it is greeted.
const LISTEN: Duration = Duration::from_secs(5);

/// A board that runs answers a greeting within 50 ms; one that starts says hello within 2 s.
const LOOK: Duration = Duration::from_secs(4);

/// Settings and totals come within a second.
const ANSWER: Duration = Duration::from_secs(10);

/// An update of 31 KiB takes ten seconds, one whose trial fails two minutes; the updater itself ends what gets no further.
const UPDATE_MAX: Duration = Duration::from_secs(600);

/// Timers are looked at this often.
const TICK: Duration = Duration::from_millis(100);

/// Where a board is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seat {
    /// Its boot loader's drive.
    pub drive: Option<PathBuf>,
    /// Its UART.
    pub port: Option<PathBuf>,
    /// Drives are written at other seats whose boards answer here, and the other way round.
    pub shared: bool,
}

impl Seat {
    /// As people call it.
    pub fn name(&self) -> String {
        let shown = |path: &PathBuf| path.display().to_string();
        self.port.as_ref().or(self.drive.as_ref()).map(shown).unwrap_or_default()
    }
}

/// What is done to every board.
#[derive(Debug)]
pub struct Job {
    /// The firmware.
    pub firmware: Firmware,
    /// What is wired; nothing: as the board's settings say.
    pub expect: Option<Expect>,
    /// Test it.
    pub self_test: bool,
    /// Buttons also of a board that is not new.
    pub press_again: bool,
    /// For a board that starts and a person who presses.
    pub wait: Duration,
    /// Of what is shown.
    pub language: Language,
}

/// How the firmware came onto a board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Installed {
    /// It did not.
    Not,
    /// It was there.
    Already,
    /// By way of its boot loader.
    Drive,
    /// Over the line, into the second slot.
    Line,
}

/// What came of one board.
#[derive(Debug)]
pub struct Row {
    /// Where it is.
    pub place: String,
    /// The chip's serial.
    pub serial: Option<String>,
    /// What it runs.
    pub version: Option<[u8; 3]>,
    /// How that came there.
    pub installed: Installed,
    /// The settings as read back.
    pub settings: Option<Settings>,
    /// The self-test.
    pub checks: Vec<Checked>,
    /// The board answers at another seat, whose row has the rest.
    pub elsewhere: bool,
    /// Why it is not done.
    pub fault: Option<Fault>,
}

impl Row {
    /// Of a board that nothing was done to yet.
    pub fn new(seat: &Seat) -> Row {
        Row {
            place: seat.name(),
            serial: None,
            version: None,
            installed: Installed::Not,
            settings: None,
            checks: Vec::new(),
            elsewhere: false,
            fault: None,
        }
    }
}

/// The course of one board.
pub struct Course<'a> {
    seat: &'a Seat,
    job: &'a Job,
    clock: Clock,
    line: Line,
    row: Row,
    /// No agent can know the board: its journal was empty at this start, and nobody has greeted it since then but this course.
    new: bool,
}

impl<'a> Course<'a> {
    /// Of the board at `seat`.
    pub fn new(seat: &'a Seat, job: &'a Job, line: Line, clock: &Clock) -> Course<'a> {
        Course { seat, job, clock: clock.clone(), line, row: Row::new(seat), new: false }
    }

    /// Go it.
    pub fn run(mut self) -> Row {
        self.row.fault = self.steps().err();
        let language = self.job.language;
        let last = match &self.row.fault {
            Some(fault) => Board::Failed { why: &fault.say(language) }.text(language),
            None if self.row.elsewhere => Board::Elsewhere.text(language),
            None => Board::Well.text(language),
        };
        self.line.end(&last);
        self.row
    }

    fn steps(&mut self) -> Result<(), Fault> {
        self.stage(Board::StageLook);
        let Some(port) = &self.seat.port else {
            self.flash()?;
            self.row.elsewhere = self.seat.shared;
            return if self.seat.shared { Ok(()) } else { Err(Fault::Unverified) };
        };
        let port = Port::open(port).map_err(Fault::PortClosed)?;
        let mut link = Link::new(port, self.clock.clone());
        let nobody_greeted = link.listen(self.clock.now() + LISTEN)?;
        let answered = link.until_hello(self.clock.now() + LOOK, |_| true)?;
        // One that is silent now starts in this course's hands.
        let nobody_greeted = nobody_greeted || answered.is_none();
        let was_empty = answered.as_ref().is_some_and(|hello| hello.journal == JournalState::Empty);
        let mut hello = match answered {
            Some(hello) => self.installed(&mut link, hello)?,
            None => self.revived(&mut link)?,
        };
        self.new = nobody_greeted && (was_empty || hello.journal == JournalState::Empty);
        self.row.version = Some(hello.firmware);
        self.row.serial = Some(hex::encode(hello.serial));
        if hello.journal == JournalState::Unreachable {
            return Err(Fault::Journal);
        }
        if let Some(expect) = &self.job.expect {
            hello = self.set_up(&mut link, hello, expect)?;
        }
        self.row.settings = Some(hello.settings);
        if !self.job.self_test {
            return Ok(());
        }
        let expect = self.job.expect.unwrap_or_else(|| Expect::of(&hello.settings));
        let presses = expect.desks != 0 && (self.new || self.job.press_again);
        if presses && hello.journal == JournalState::Empty {
            // An agent that met the board in this start would take what it counts for visits: all of it was counted since
            // then. After another start it takes the totals that it finds as where counting begins. A way to start anew
            // that proves the loader and the second slot at once:
            self.stage(Board::StageProve);
            hello = self.update(&mut link, hello, true)?;
        }
        self.test(&mut link, &hello, &expect)
    }

    /// A board answered at once: it has the firmware, or gets it over the line.
    fn installed(&mut self, link: &mut Link, hello: Hello) -> Result<Hello, Fault> {
        if self.seat.drive.as_ref().is_some_and(|drive| is_boot_loader(drive)) {
            return Err(Fault::NotAPair);
        }
        let (serial, version) = (hex::encode(hello.serial), version_text(hello.firmware));
        self.row.serial = Some(serial.clone());
        self.row.version = Some(hello.firmware);
        self.say(Board::Found { serial: &serial, version: &version });
        let wanted = &self.job.firmware.image.begin;
        if hello.hardware != Hardware::Pico {
            return Err(Fault::OtherHardware);
        }
        // A board on trial that was greeted confirms itself with its next write.
        if hello.firmware == wanted.version && hello.image != ImageState::Trial {
            self.say(Board::AlreadyThere { version: &version });
            self.row.installed = Installed::Already;
            return Ok(hello);
        }
        self.stage(Board::StageUpdate);
        let hello = self.update(link, hello, false)?;
        self.row.installed = Installed::Line;
        Ok(hello)
    }

    /// Nobody answered: a board in its boot loader, if there is one.
    fn revived(&mut self, link: &mut Link) -> Result<Hello, Fault> {
        if self.seat.drive.is_some() {
            self.flash()?;
        } else if !self.seat.shared {
            return Err(Fault::Silent);
        }
        self.stage(Board::StageWait);
        let end = self.clock.now() + self.job.wait;
        let seconds = self.job.wait.as_secs();
        let hello = link.until_hello(end, |_| true)?.ok_or(match self.seat.drive {
            Some(_) => Fault::NeverCame { seconds },
            None => Fault::Silent,
        })?;
        let wanted = self.job.firmware.image.begin.version;
        if hello.firmware != wanted {
            return Err(Fault::OtherVersion { said: hello.firmware, wanted });
        }
        let (serial, version) = (hex::encode(hello.serial), version_text(hello.firmware));
        self.say(Board::Found { serial: &serial, version: &version });
        self.row.installed = Installed::Drive;
        Ok(hello)
    }

    fn flash(&mut self) -> Result<(), Fault> {
        let Some(drive) = &self.seat.drive else { return Err(Fault::Silent) };
        let drive = Drive::open(drive)?;
        self.stage(Board::StageFlash);
        let uf2 = &self.job.firmware.uf2;
        let line = &mut self.line;
        drive.flash(uf2, &self.clock, |written| line.at(written, uf2.len()))?;
        self.row.installed = Installed::Drive;
        Ok(())
    }

    /// Install over the line, as an agent does, and wait until the board has confirmed it. `again`: also where it runs.
    fn update(&mut self, link: &mut Link, mut hello: Hello, again: bool) -> Result<Hello, Fault> {
        let image = &self.job.firmware.image;
        let mut updater = Updater::default();
        updater.image(Ok(image.clone()));
        if again {
            updater.install_again();
        }
        let begun = self.clock.now();
        let (mut tried, mut restarted): (Option<Tried>, bool) = (None, false);
        // A board that would never take the image says so now.
        let mut effects = updater.hello(begun.as_millis(), &hello, tried);
        loop {
            let now = self.clock.now();
            let now_ms = now.as_millis();
            effects.extend(updater.poll(now_ms, Some((&hello, tried)), link.is_settled()));
            match link.next(now + TICK)? {
                Some(FromBoard::Hello(said)) => {
                    hello = said;
                    effects.extend(updater.hello(now_ms, &hello, tried));
                }
                Some(FromBoard::Update(answer)) => effects.extend(updater.answer(now_ms, answer, tried)),
                Some(_) | None => {}
            }
            for effect in effects.drain(..) {
                match effect {
                    Effect::Send(message) => {
                        if let ToBoard::UpdateData(piece) = &message {
                            self.line.at(piece.offset as usize, image.bytes().len());
                        }
                        link.send(&message)?;
                    }
                    // It went on trial.
                    Effect::Tell(_, Remember::Tried(Some(now))) if !now.over => (tried, restarted) = (Some(now), true),
                    Effect::Tell(_, Remember::Tried(None)) => tried = None,
                    Effect::Tell(why, _) => return Err(Fault::Update { why }),
                }
            }
            let confirmed = hello.firmware == image.begin.version && hello.image != ImageState::Trial;
            // A board that was on trial when it was found, with this version, only has to confirm it.
            if confirmed && tried.is_none() && (restarted || !again) {
                return Ok(hello);
            }
            if self.clock.now().since(begun) >= UPDATE_MAX {
                return Err(Fault::Fell);
            }
        }
    }

    fn set_up(&mut self, link: &mut Link, hello: Hello, expect: &Expect) -> Result<Hello, Fault> {
        let wanted = expect.settings(&hello.settings);
        if hello.settings == wanted {
            return Ok(hello);
        }
        self.stage(Board::StageSettings);
        link.send(&ToBoard::Configure(wanted))?;
        let end = self.clock.now() + ANSWER;
        let read_back = link.until_hello(end, |hello| hello.settings == wanted)?.ok_or(Fault::Settings)?;
        if read_back.journal == JournalState::Unreachable { Err(Fault::Journal) } else { Ok(read_back) }
    }

    fn test(&mut self, link: &mut Link, hello: &Hello, expect: &Expect) -> Result<(), Fault> {
        self.stage(Board::StageTest);
        let totals = self.totals(link)?;
        let terms = Terms {
            hand_ms: u64::try_from(self.job.wait.as_millis()).unwrap_or(u64::MAX),
            press: self.job.press_again || (self.new && totals.iter().all(|desk| *desk == DeskTotals::default())),
            order: order(hello, &self.clock),
        };
        let mut test = SelfTest::new(expect, totals, terms);
        let mut last_heard = self.clock.now();
        loop {
            let mut actions = test.tick(self.clock.now().as_millis());
            if let Some(message) = link.next(self.clock.now() + TICK)? {
                last_heard = self.clock.now();
                if let FromBoard::Hello(said) = &message
                    && said.serial != hello.serial
                {
                    return Err(Fault::Fell);
                }
                actions.extend(test.message(self.clock.now().as_millis(), &message));
            }
            // Readings come each ten seconds.
            if self.clock.now().since(last_heard) >= self.job.wait + ANSWER {
                return Err(Fault::Fell);
            }
            for action in actions {
                match action {
                    Action::Ask(what) => {
                        let text = say_what(what, true, self.job.language);
                        self.line.stage(text);
                    }
                    Action::Send(message) => link.send(&message)?,
                    Action::Greet => link.greet()?,
                    Action::Done(checked) => {
                        self.line.say(&say_check(&checked, self.job.language));
                        self.row.checks.push(checked);
                    }
                    Action::Finished => {
                        let well = |checked: &Checked| matches!(checked.verdict, Verdict::Present | Verdict::Skipped);
                        let all = self.row.checks.iter().all(well);
                        return if all { Ok(()) } else { Err(Fault::SelfTest) };
                    }
                }
            }
        }
    }

    /// The board's totals, which it tells whoever greets.
    fn totals(&mut self, link: &mut Link) -> Result<[DeskTotals; DESKS], Fault> {
        let end = self.clock.now() + ANSWER;
        link.greet()?;
        while let Some(message) = link.next(end)? {
            if let FromBoard::Numbered(numbered) = message
                && let NumberedBody::Totals(totals) = numbered.body
            {
                return Ok(totals);
            }
        }
        Err(Fault::Fell)
    }

    fn stage(&mut self, words: Board<'_>) {
        self.line.stage(words.text(self.job.language));
    }

    fn say(&self, words: Board<'_>) {
        self.line.say(&words.text(self.job.language));
    }
}

/// An id for the relay's order that no other test has: the board takes the same one for the same order.
fn order(hello: &Hello, clock: &Clock) -> [u8; 16] {
    let mut digest = Sha256::new();
    digest.update(hello.serial);
    digest.update(hello.boot.to_le_bytes());
    digest.update(hello.uptime_ms.to_le_bytes());
    digest.update(clock.wall_ms().to_le_bytes());
    digest.finalize().first_chunk().copied().unwrap_or_default()
}
