//! The host's half of an update of the board: `(now, event) -> effects`, pure. docs/protocol/board-update.md has the
//! sequence. The agent runs it in a cabinet, `simpul board` on a bench.
//!
//! Stop and wait: nothing is sent before the message before it was answered, nor while its caller has anything else to do
//! with the board ([`Updater::poll`]'s `idle`). Nothing of it is kept over a restart but that an image went on trial
//! ([`Tried`]): whatever is broken off begins again from its first byte, and an image that the board gave back is not
//! sent to that board again; another file is, also one of the same version.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::image::Image;
use super::version_text;
use crate::board::{Hello, ImageState, JournalState, ResetReason, ToBoard, UpdateApply, UpdateRefusal, UpdateState};

/// What was not answered is sent again after so long: an erase of flash takes 400 ms at worst.
const ANSWER_MS: u64 = 1_000;

/// Tries without getting any further. A line that loses nine in ten is not worth an update.
const TRIES_MAX: u32 = 10;

/// A board with a verified image starts anew at once; one that hangs on trial is back after its watchdog's 8 s, one that
/// could not confirm itself after a minute.
const RESTART_MS: u64 = 120_000;

/// After a failure nothing is tried for so long.
const AGAIN_MS: u64 = 3_600_000;

/// Updates that are begun and broken off (by a restart of the board) before that is a failure, too.
const BEGUN_MAX: u32 = 3;

/// A power cut in the seconds of a trial ends it, which is no fault of the image; so often is enough to call it one.
const TRIALS_MAX: u8 = 3;

/// An image that went on trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    /// Of the image.
    pub crc32: u32,
    /// Of the image.
    pub version: [u8; 3],
    /// What ran before it.
    pub from: [u8; 3],
    /// The board's boot before it.
    pub boot: u32,
    /// How often it went on trial there.
    pub trials: u8,
    /// The trial is over.
    pub over: bool,
    /// It did not confirm itself: never again.
    pub given_back: bool,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Write to the board.
    Send(ToBoard),
    /// Tell, and remember of the board with it.
    Tell(String, Remember),
}

/// What to remember of the board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remember {
    /// As before.
    Same,
    /// This, or that nothing is on trial.
    Tried(Option<Tried>),
}

/// Why an image is not for a board now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    Running,
    OtherHardware,
    NoLoader,
    OnTrial,
    NoJournal,
    GivenBack,
}

impl Rest {
    fn text(self) -> &'static str {
        match self {
            Rest::Running => "runs",
            Rest::OtherHardware => "refused: the image is for other hardware",
            Rest::NoLoader => "refused: this board has no loader: update it by hand",
            Rest::OnTrial => "waits until the running image has confirmed itself",
            Rest::NoJournal => "refused: the board's journal does not work, so that no image could confirm itself",
            Rest::GivenBack => "not tried again: it did not confirm itself on this board",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Begin,
    Data(u32),
    Apply,
    /// Verified: the board starts anew.
    Restart,
}

/// An update that is under way.
#[derive(Debug)]
struct Running {
    serial: [u8; 8],
    boot: u32,
    from: [u8; 3],
    /// The board had given an image back already when this began.
    had_given_back: bool,
    step: Step,
    /// When the step was last sent; nothing: it is to be sent.
    sent_at_ms: Option<u64>,
    /// How often something was not answered, or the board went back, since it got further than ever.
    tries: u32,
    /// The byte that it wanted last.
    wanted: u32,
    /// How far it ever got.
    furthest: u32,
}

/// The core.
#[derive(Debug, Default)]
pub struct Updater {
    /// The configured image, or what is wrong with its file.
    image: Option<Result<Image, String>>,
    running: Option<Running>,
    begun: u32,
    /// Not before this, after a failure; and which.
    rest: Option<(u64, String)>,
    /// The last failure that was told: it is told once until another one comes.
    told: Option<String>,
    /// See [`Updater::install_again`].
    again: bool,
}

impl Updater {
    /// The file was read. Returns whether it is another one than before, or the first.
    pub fn image(&mut self, image: Result<Image, String>) -> bool {
        if self.image.as_ref() == Some(&image) {
            return false;
        }
        // What the board has of another image it forgets at the next begin.
        *self = Updater { image: Some(image), ..Updater::default() };
        true
    }

    /// Install the image also where its version runs already, once: a bench that proves loader and second slot, and has the
    /// board start anew.
    pub fn install_again(&mut self) {
        self.again = true;
    }

    /// For people: how it stands.
    pub fn status(&self, now_ms: u64, board: Option<(&Hello, Option<Tried>)>) -> Option<String> {
        let image = match self.image.as_ref()? {
            Ok(image) => image,
            Err(why) => return Some(format!("cannot be used: {why}")),
        };
        let what = match (&self.running, &self.rest, board) {
            (Some(running), _, _) => match running.step {
                Step::Begin => "begins".to_owned(),
                Step::Data(next) => {
                    format!("is sent, {} %", u64::from(next) * 100 / u64::from(image.begin.image_bytes))
                }
                Step::Apply => "is sent, 100 %".to_owned(),
                Step::Restart => "is verified, the board starts it on trial".to_owned(),
            },
            (None, _, Some((hello, tried))) if let Some(rest) = rest(image, hello, tried, self.again) => {
                rest.text().to_owned()
            }
            (None, Some((until_ms, why)), _) if *until_ms > now_ms => {
                format!("failed ({why}), again in {} min", (until_ms - now_ms).div_ceil(60_000))
            }
            _ => "waits for the board".to_owned(),
        };
        Some(format!("{} {what}", version_text(image.begin.version)))
    }

    /// Whether this board will never take the image.
    pub fn is_refused(&self, board: Option<(&Hello, Option<Tried>)>) -> bool {
        let (Some(Ok(image)), Some((hello, tried))) = (&self.image, board) else { return false };
        matches!(rest(image, hello, tried, self.again), Some(Rest::OtherHardware | Rest::NoLoader | Rest::NoJournal))
    }

    /// The board said who it is.
    pub fn hello(&mut self, now_ms: u64, hello: &Hello, tried: Option<Tried>) -> Vec<Effect> {
        let mut effects = Vec::new();
        let mut tried = tried;
        let another = |running: &mut Running| running.serial != hello.serial || running.boot != hello.boot;
        if let Some(running) = self.running.take_if(another)
            && let Some(Ok(image)) = &self.image
            && running.step == Step::Apply
            && running.serial == hello.serial
        {
            // It was verified, and the answer was lost.
            let runs = hello.firmware == image.begin.version;
            if runs || (hello.image == ImageState::Reverted && !running.had_given_back) {
                let on_trial = on_trial(image, &running, tried);
                self.again = false;
                effects.push(installed(on_trial));
                tried = Some(on_trial);
            }
        }
        match tried.filter(|tried| tried.boot != hello.boot && !tried.given_back && !tried.over) {
            Some(tried) => effects.extend(self.outcome(now_ms, hello, tried)),
            None => effects.extend(self.refused_at_sight(hello, tried)),
        }
        effects
    }

    /// What came of a trial.
    fn outcome(&mut self, now_ms: u64, hello: &Hello, tried: Tried) -> Option<Effect> {
        let [from, version] = [tried.from, tried.version].map(version_text);
        if hello.firmware == tried.version {
            return (hello.image != ImageState::Trial).then(|| {
                self.begun = 0;
                Effect::Tell(format!("firmware {version} confirmed"), Remember::Tried(None))
            });
        }
        if hello.image != ImageState::Reverted {
            // A cut before the loader began, or somebody flashed it by hand: begin again.
            let why = format!("firmware {version} was not installed, {} runs", version_text(hello.firmware));
            return Some(Effect::Tell(why, Remember::Tried(Some(Tried { over: true, ..tried }))));
        }
        let cut = matches!(hello.reset, ResetReason::PowerOn | ResetReason::Brownout);
        let again = cut && tried.trials < TRIALS_MAX;
        let why = match again {
            true => format!("the board went back to {from}: the power was cut while {version} was on trial"),
            false => format!("the board went back to {from}: {version} did not confirm itself"),
        };
        self.begun = 0;
        self.rest = Some((now_ms.saturating_add(AGAIN_MS), why.clone()));
        Some(Effect::Tell(why, Remember::Tried(Some(Tried { given_back: !again, over: true, ..tried }))))
    }

    /// An image that this board would never take is told once.
    fn refused_at_sight(&mut self, hello: &Hello, tried: Option<Tried>) -> Option<Effect> {
        let Some(Ok(image)) = &self.image else { return None };
        match rest(image, hello, tried, self.again)? {
            rest @ (Rest::OtherHardware | Rest::NoLoader | Rest::NoJournal) => {
                let what = format!("firmware {} {}", version_text(image.begin.version), rest.text());
                self.tell_once(what)
            }
            Rest::Running | Rest::OnTrial | Rest::GivenBack => None,
        }
    }

    /// The board answered something of an update.
    pub fn answer(&mut self, now_ms: u64, answer: UpdateState, tried: Option<Tried>) -> Option<Effect> {
        let (Some(Ok(image)), Some(running)) = (&self.image, &mut self.running) else { return None };
        match (answer, running.step) {
            (_, Step::Restart) => None,
            (UpdateState::Receiving { next }, step) => {
                let length = image.begin.image_bytes;
                let wanted = match step {
                    // An answer to something before.
                    Step::Begin if next != 0 => return None,
                    _ if next > length => return self.fail(now_ms, format!("the board wants byte {next} of {length}")),
                    _ if next == length => Step::Apply,
                    _ => Step::Data(next),
                };
                // The answer to what was sent twice: to send once more for each would never end.
                if wanted == step {
                    return None;
                }
                (running.step, running.sent_at_ms) = (wanted, None);
                if next > running.furthest {
                    (running.furthest, running.tries) = (next, 0);
                } else if next < running.wanted {
                    running.tries += 1;
                }
                running.wanted = next;
                None
            }
            (UpdateState::Verified, Step::Apply) => {
                (running.step, running.sent_at_ms) = (Step::Restart, Some(now_ms));
                self.again = false;
                Some(installed(on_trial(image, running, tried)))
            }
            (UpdateState::Verified, _) => None,
            // It started anew, or another agent began.
            (UpdateState::Refused(UpdateRefusal::NotBegun), Step::Data(_) | Step::Apply) => {
                self.running = None;
                None
            }
            (UpdateState::Refused(refusal), _) => self.fail(now_ms, format!("refused: {refusal}")),
        }
    }

    /// What is to be sent now, if anything. `board`: the one that talks; `idle`: nothing else is under way with it.
    pub fn poll(&mut self, now_ms: u64, board: Option<(&Hello, Option<Tried>)>, idle: bool) -> Option<Effect> {
        let (Some(Ok(image)), Some((hello, tried))) = (&self.image, board) else { return None };
        let Some(running) = &mut self.running else {
            let resting = self.rest.as_ref().is_some_and(|(until_ms, _)| now_ms < *until_ms);
            if !idle || resting || rest(image, hello, tried, self.again).is_some() {
                return None;
            }
            if self.begun >= BEGUN_MAX {
                return self.fail(now_ms, format!("broken off {BEGUN_MAX} times"));
            }
            self.begun += 1;
            self.running = Some(Running {
                serial: hello.serial,
                boot: hello.boot,
                from: hello.firmware,
                had_given_back: hello.image == ImageState::Reverted,
                step: Step::Begin,
                sent_at_ms: None,
                tries: 0,
                wanted: 0,
                furthest: 0,
            });
            return self.poll(now_ms, board, idle);
        };
        let waits_ms = running.sent_at_ms.map(|at| now_ms.saturating_sub(at));
        if running.step == Step::Restart {
            let late = waits_ms.is_some_and(|ms| ms >= RESTART_MS);
            return if late { self.fail(now_ms, "the board did not start anew".to_owned()) } else { None };
        }
        if !idle || waits_ms.is_some_and(|ms| ms < ANSWER_MS) {
            return None;
        }
        // The first time of a step costs no try: that is the answer's going back, if it does.
        running.tries += u32::from(waits_ms.is_some());
        if running.tries >= TRIES_MAX {
            let why = format!("the board got no further than byte {}", running.furthest);
            return self.fail(now_ms, why);
        }
        running.sent_at_ms = Some(now_ms);
        Some(Effect::Send(match running.step {
            Step::Begin => ToBoard::UpdateBegin(image.begin),
            Step::Data(next) => ToBoard::UpdateData(image.piece(next)?),
            Step::Apply | Step::Restart => ToBoard::UpdateApply(UpdateApply { crc32: image.begin.crc32 }),
        }))
    }

    fn fail(&mut self, now_ms: u64, why: String) -> Option<Effect> {
        let Some(Ok(image)) = &self.image else { return None };
        let what = format!("firmware {}: update {why}", version_text(image.begin.version));
        (self.running, self.begun, self.again) = (None, 0, false);
        self.rest = Some((now_ms.saturating_add(AGAIN_MS), why));
        self.tell_once(what)
    }

    fn tell_once(&mut self, what: String) -> Option<Effect> {
        if self.told.as_ref() == Some(&what) {
            return None;
        }
        self.told = Some(what.clone());
        Some(Effect::Tell(what, Remember::Same))
    }
}

/// Why an image is not for a board now; nothing: it is.
fn rest(image: &Image, hello: &Hello, tried: Option<Tried>, again: bool) -> Option<Rest> {
    let begin = &image.begin;
    if hello.firmware == begin.version && !again {
        return Some(Rest::Running);
    }
    if hello.hardware != begin.hardware {
        return Some(Rest::OtherHardware);
    }
    match hello.image {
        ImageState::NoLoader => return Some(Rest::NoLoader),
        ImageState::Trial => return Some(Rest::OnTrial),
        ImageState::Confirmed | ImageState::Reverted => {}
    }
    if hello.journal == JournalState::Unreachable {
        return Some(Rest::NoJournal);
    }
    tried.is_some_and(|tried| tried.given_back && tried.crc32 == begin.crc32).then_some(Rest::GivenBack)
}

/// The image goes on trial.
fn on_trial(image: &Image, running: &Running, tried: Option<Tried>) -> Tried {
    let crc32 = image.begin.crc32;
    let before = tried.filter(|tried| tried.crc32 == crc32).map_or(0, |tried| tried.trials);
    Tried {
        crc32,
        version: image.begin.version,
        from: running.from,
        boot: running.boot,
        trials: before.saturating_add(1),
        over: false,
        given_back: false,
    }
}

fn installed(tried: Tried) -> Effect {
    let [from, version] = [tried.from, tried.version].map(version_text);
    Effect::Tell(format!("firmware {from} -> {version} installed, on trial"), Remember::Tried(Some(tried)))
}
