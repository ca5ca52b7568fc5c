//! What the board says, message by message.

use simpul_wire::board::{
    Ack, FrameError, FromBoard, Gasp, Hello, Module, Numbered, NumberedBody, PROTOCOL_VERSION, Readings, ToBoard,
    protocol_of,
};
use simpul_wire::event::{BoardCondition, EventBody, EventRecord, PowerCondition};
use simpul_wire::{Label, Stamp, Text};

use super::{Action, Board, Busy, CONFIGURE_MAX, Gasped, Keep, REFUSED_MS, Session, aged, dated, relay, updatable};
use crate::config::DeskConfig;
use crate::sources::board::keeper::Report;
use crate::sources::board::known::Note;
use crate::sources::board::measure::{self, Taken};
use crate::sources::board::status::{DeskLine, ReadingLine};
use crate::sources::board::{describe, translate};

impl Session {
    pub(super) fn frame(&mut self, now: Stamp, frame: Result<(u8, &[u8]), FrameError>, actions: &mut Vec<Action>) {
        const HELLO: u8 = 0x01;
        let now_ms = now.uptime_ms;
        let read = frame.and_then(|(kind, body)| {
            self.heard_at_ms = now_ms;
            self.ever_heard = true;
            if let Some(version) = Some(body).filter(|_| kind == HELLO).and_then(protocol_of)
                && version != PROTOCOL_VERSION
            {
                self.wrong_protocol(version);
                return Ok(None);
            }
            if self.foreign && kind != HELLO {
                return Ok(None);
            }
            FromBoard::decode(kind, body).map(Some)
        });
        match read {
            Ok(None) => {}
            Ok(Some(FromBoard::Hello(hello))) => self.hello(now, hello, actions),
            Ok(Some(FromBoard::Gasp(gasp))) => self.gasp(now, &gasp, actions),
            Ok(Some(message)) => {
                self.conditions.clear(BoardCondition::Silent);
                match message {
                    FromBoard::Numbered(message) => self.numbered(now, message, actions),
                    FromBoard::Readings(readings) if self.board.is_some() => self.readings(now_ms, &readings, actions),
                    FromBoard::Module(module) if self.board.is_some() => self.module(now, &module, actions),
                    FromBoard::Update(answer) => {
                        let tried = updatable(&self.board, &self.known).and_then(|(_, tried)| tried);
                        let effect = self.update.answer(now_ms, answer, tried);
                        self.effects(now, effect, actions);
                    }
                    _ => {}
                }
            }
            Err(error) => {
                self.status.frames_refused += 1;
                self.noise_at_ms = Some(now_ms);
                let condition = match error {
                    FrameError::TooLong => BoardCondition::FrameTooLong,
                    FrameError::UnknownKind(_) | FrameError::BadBody(_) => BoardCondition::UnknownMessage,
                    FrameError::TooShort | FrameError::BadStuffing | FrameError::BadChecksum => {
                        BoardCondition::BadFrame
                    }
                };
                self.conditions.fault(now_ms, condition, error.to_string());
            }
        }
    }

    fn wrong_protocol(&mut self, version: u16) {
        self.board = None;
        self.foreign = true;
        self.conditions.clear(BoardCondition::Silent);
        let what =
            format!("the board speaks version {version} and this agent {PROTOCOL_VERSION}; update the older one");
        self.conditions.set(BoardCondition::WrongProtocol, what);
    }

    fn hello(&mut self, now: Stamp, hello: Hello, actions: &mut Vec<Action>) {
        self.conditions.heard();
        self.foreign = false;
        let serial = Label::clipped(&hex::encode(hello.serial));
        if self.known.is_new_start(&serial, hello.boot, hello.uptime_ms) {
            let note = Note::Started { serial: serial.to_string(), boot: hello.boot };
            self.known.apply(&note);
            let body = EventBody::BoardStarted {
                serial: serial.clone(),
                boot: hello.boot,
                reset: translate::reset(hello.reset),
                version: Label::clipped(&describe::version(&hello)),
            };
            self.say(EventRecord { stamp: aged(now, hello.uptime_ms), body }, note, false, actions);
        }
        let before = self.board.take().filter(|board| board.serial == serial && board.hello.boot == hello.boot);
        let (dropped, journal_failed) = self.known.of_boot(&serial);
        translate::journal(hello.journal, journal_failed, &mut self.conditions);
        if hello.events_dropped > dropped {
            let note = Note::Dropped { serial: serial.to_string(), dropped: hello.events_dropped };
            self.known.apply(&note);
            let detail = format!("{} of its events were dropped: its queue was full", hello.events_dropped - dropped);
            self.say_detail(now, serial.clone(), &detail, note, actions);
        }
        let mut configured = before.map_or(0, |board| board.configured);
        let mut awaited = !hello.greeted;
        if hello.settings == self.settings {
            configured = 0;
        } else if configured < CONFIGURE_MAX {
            configured += 1;
            awaited = true;
            actions.push(Action::Send(ToBoard::Configure(self.settings)));
        }
        self.board = Some(Board { serial, hello, configured, awaited });
        if awaited {
            self.greet(now, actions);
        }
        self.consider_update(now, actions);
    }

    fn gasp(&mut self, now: Stamp, gasp: &Gasp, actions: &mut Vec<Action>) {
        if self.known.is_told_gasp(gasp.boot, gasp.at_ms) {
            return;
        }
        let note = Note::Gasp { boot: gasp.boot, at_ms: gasp.at_ms };
        self.known.apply(&note);
        self.gasped = Some(Gasped { boot: gasp.boot, at_ms: gasp.at_ms, stamp: now });
        let body = EventBody::Power { condition: PowerCondition::DyingGasp, outage_ms: None };
        self.say(EventRecord { stamp: now, body }, note, true, actions);
    }

    fn module(&mut self, now: Stamp, module: &Module, actions: &mut Vec<Action>) {
        let body = translate::optics(module);
        let told = translate::fingerprint(module);
        let cage = usize::from(module.cage);
        if self.known.is_told_cage(cage, &told) {
            return;
        }
        let note = Note::Cage { cage, told };
        self.known.apply(&note);
        self.say(EventRecord { stamp: now, body }, note, false, actions);
    }

    fn readings(&mut self, now_ms: u64, readings: &Readings, actions: &mut Vec<Action>) {
        let mut samples = Vec::new();
        self.status.readings.clear();
        for reading in &readings.items {
            let sample = match measure::take(reading) {
                Taken::Sample(sample) => sample,
                Taken::Impossible(sample, what) => {
                    self.conditions.impossible(now_ms, what);
                    sample
                }
                Taken::Unknown(number) => {
                    let what = format!("a reading of metric {number}");
                    self.conditions.fault(now_ms, BoardCondition::UnknownMessage, what);
                    continue;
                }
            };
            self.status
                .readings
                .push(ReadingLine { metric: sample.metric.to_string(), value: measure::show(reading.value) });
            samples.push(sample);
        }
        if !samples.is_empty() {
            actions.push(Action::Samples(samples));
        }
    }

    fn numbered(&mut self, now: Stamp, message: Numbered, actions: &mut Vec<Action>) {
        let Some(board) = self.board.as_ref().filter(|board| board.hello.boot == message.boot) else {
            // Another board, or one that started anew: who it is comes first.
            self.greet(now, actions);
            return;
        };
        let resting = self.refused.as_ref().is_some_and(|(at_ms, _)| now.uptime_ms.saturating_sub(*at_ms) < REFUSED_MS);
        if self.busy.is_some() || resting {
            return;
        }
        let at = dated(now, &message, self.gasped.as_ref());
        let Numbered { boot, seq, at_ms, sent_ms, body } = message;
        let serial = board.serial.clone();
        let mut busy = Busy { serial: serial.clone(), boot, seq, note: None, answer: None };
        let mut journal_failed = false;
        let body = match body {
            NumberedBody::Totals(totals) => {
                let line = |desk: &DeskConfig| {
                    let total = totals.get(usize::from(desk.button)).copied().unwrap_or_default();
                    let name = describe::desk(desk);
                    DeskLine { button: desk.button + 1, name, short: total.short, long: total.long }
                };
                self.status.desks = self.desks.iter().map(line).collect();
                let from_zero = translate::counts_from_zero(board.hello.journal);
                let known = self.known.serials();
                actions.push(Action::Keep(Keep::Totals(Report {
                    serial: serial.to_string(),
                    at,
                    totals,
                    from_zero,
                    known,
                })));
                self.busy = Some(busy);
                return;
            }
            _ if self.known.is_handled(&serial, boot, seq, at_ms) => {
                actions.push(Action::Send(ToBoard::Ack(Ack { boot, seq })));
                return;
            }
            NumberedBody::Power(state) => translate::power(state),
            NumberedBody::Tamper { open } => EventBody::Tamper { open },
            NumberedBody::ButtonStuck { desk, stuck } => {
                EventBody::ButtonStuck { desk: describe::button(&self.desks, desk), stuck }
            }
            NumberedBody::RelayResult { id, outcome } => {
                let result = relay(outcome);
                let detail = Text::clipped(result.as_ref().unwrap_or_else(|why| why));
                let done = result.is_ok();
                busy.answer = Some((id, result));
                EventBody::CommandResult { id, done, detail }
            }
            NumberedBody::JournalFailed => {
                let what = translate::JOURNAL_FAILED;
                journal_failed = true;
                self.conditions.set(BoardCondition::JournalFailed, what);
                self.conditions.told(now.uptime_ms, BoardCondition::JournalFailed);
                EventBody::Board {
                    serial: Some(serial.clone()),
                    condition: BoardCondition::JournalFailed,
                    detail: Text::clipped(what),
                }
            }
        };
        let note = Note::Handled { serial: serial.to_string(), boot, seq, sent_ms, journal_failed };
        busy.note = Some(note.clone());
        actions.push(Action::Keep(Keep::Events(vec![EventRecord { stamp: at, body }], note)));
        self.busy = Some(busy);
    }
}
