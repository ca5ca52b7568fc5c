//! What came of the boards: lines and a table for people, CSV and JSON for machines.

use std::path::Path;

use serde_json::{Value, json};
use simpul_wire::Missing;
use simpul_wire::board::RelayOutcome;
use simpul_wire::board::host::version_text;
use simpul_words::{Board, Language, Words};

use super::check::{Checked, Detail, Verdict, What};
use super::course::{Installed, Row};
use super::problem::Problem;

/// What is tested, in words; `ask`: as a request, or as what is being done.
pub fn say_what(what: What, ask: bool, language: Language) -> String {
    match (what, ask) {
        (What::Supply, true) => Board::AskSupply.text(language),
        (What::Supply, false) => Board::Supply.text(language),
        (What::Battery, true) => Board::AskBattery.text(language),
        (What::Battery, false) => Board::Battery.text(language),
        (What::Sfp(cage), true) => Board::AskSfp { cage: &cage }.text(language),
        (What::Sfp(cage), false) => Board::Sfp { cage: &cage }.text(language),
        (What::Relay, true) => Board::AskRelay.text(language),
        (What::Relay, false) => Board::Relay.text(language),
        (What::Tamper, true) => Board::AskTamper.text(language),
        (What::Tamper, false) => Board::Tamper.text(language),
        // Desks are numbered from 1 for people and from 0 on the wire.
        (What::Button(desk), true) => Board::AskButton { button: &(desk + 1) }.text(language),
        (What::Button(desk), false) => Board::Button { button: &(desk + 1) }.text(language),
    }
}

/// One result as a line.
pub fn say_check(checked: &Checked, language: Language) -> String {
    let what = say_what(checked.what, false, language);
    let verdict = match checked.verdict {
        Verdict::Present => Board::Present.text(language),
        Verdict::Wrong => Board::Wrong.text(language),
        Verdict::Timeout => Board::Timeout.text(language),
        Verdict::Skipped => Board::Skipped.text(language),
    };
    match say_detail(checked, language) {
        Some(detail) => format!("{what}: {verdict} ({detail})"),
        None => format!("{what}: {verdict}"),
    }
}

fn say_detail(checked: &Checked, language: Language) -> Option<String> {
    let volts = |mv: &u32| language.number(f64::from(*mv) / 1_000.0, 1);
    Some(match &checked.detail {
        Detail::None => match (checked.verdict, checked.what) {
            (Verdict::Timeout, What::Supply | What::Battery | What::Sfp(_)) => Board::TimeoutReading.text(language),
            (Verdict::Timeout, What::Relay) => Board::TimeoutRelay.text(language),
            (Verdict::Timeout, What::Tamper | What::Button(_)) => Board::TimeoutHand.text(language),
            _ => return None,
        },
        Detail::Millivolts(mv) => Board::Volts { volts: &volts(mv) }.text(language),
        Detail::NotTwelveVolts(mv) => Board::NotTwelveVolts { volts: &volts(mv) }.text(language),
        Detail::NoPowerGood(mv) => Board::NoPowerGood { volts: &volts(mv) }.text(language),
        Detail::Missing(reason) => say_missing(*reason, language),
        Detail::Light { module, nanowatts } => {
            // 0 dBm is 1 mW.
            let dbm = 10.0 * (f64::from((*nanowatts).max(1)) / 1e6).log10();
            Board::Light { module, dbm: &language.number(dbm, 1) }.text(language)
        }
        Detail::Relay(outcome) => match outcome {
            RelayOutcome::Done => Board::Switched.text(language),
            RelayOutcome::TooLong => Board::RelayRefused.text(language),
            RelayOutcome::TooSoon => Board::RelayTooSoon.text(language),
            RelayOutcome::Busy => Board::RelayBusy.text(language),
            RelayOutcome::Interrupted => Board::RelayInterrupted.text(language),
        },
        Detail::LidInverted => Board::LidInverted.text(language),
        Detail::LidStaysOpen => Board::LidStaysOpen.text(language),
        Detail::OtherButtons(bits) => {
            let numbers = (0..8).filter(|bit| bits & (1 << bit) != 0).map(|bit| (bit + 1).to_string());
            Board::OtherButtons { buttons: &numbers.collect::<Vec<_>>().join("+") }.text(language)
        }
        Detail::Stuck => Board::Stuck.text(language),
        Detail::NotNew => Board::NotNew.text(language),
    })
}

fn say_missing(reason: Missing, language: Language) -> String {
    match reason {
        Missing::NoModule => Board::NoModule.text(language),
        Missing::NoDiagnostics => Board::NoDiagnostics.text(language),
        Missing::NoLight => Board::NoLight.text(language),
        Missing::BusStuck => Board::BusStuck.text(language),
        Missing::BadChecksum | Missing::OutOfRange => Board::BadModule.text(language),
        Missing::NotYet => Board::ModuleStarts.text(language),
        Missing::NotSupported => Board::NotWired.text(language),
        other => Board::Unreadable { why: &other }.text(language),
    }
}

/// The table, a board a line; under it what is not as it should be.
pub fn table(rows: &[Row], language: Language) -> String {
    let how = |row: &Row| match row.installed {
        Installed::Not => Board::HowNot.text(language),
        Installed::Already => Board::HowAlready.text(language),
        Installed::Drive => Board::HowDrive.text(language),
        Installed::Line => Board::HowLine.text(language),
    };
    let head = [
        Board::PlaceColumn.text(language),
        Board::SerialColumn.text(language),
        Board::FirmwareColumn.text(language),
        Board::HowColumn.text(language),
        Board::ResultColumn.text(language),
    ];
    let mut lines = vec![head];
    for row in rows {
        let result = match &row.fault {
            None if row.elsewhere => Board::Elsewhere.text(language),
            None => Board::Well.text(language),
            Some(fault) => Board::Failed { why: &fault.say(language) }.text(language),
        };
        let serial = row.serial.clone().unwrap_or_else(|| "-".to_owned());
        let version = row.version.map_or_else(|| "-".to_owned(), version_text);
        lines.push([row.place.clone(), serial, version, how(row), result]);
    }
    let widths: Vec<usize> =
        (0..4).map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for line in &lines {
        for (cell, width) in line.iter().zip(&widths) {
            text.push_str(&format!("{cell:<width$}  "));
        }
        text.push_str(&line[4]);
        text.push('\n');
    }
    for row in rows {
        for checked in row.checks.iter().filter(|checked| checked.verdict != Verdict::Present) {
            text.push_str(&format!("{}: {}\n", row.place, say_check(checked, language)));
        }
    }
    text
}

/// Names that do not change with the language.
fn name(what: What) -> String {
    match what {
        What::Supply => "supply".to_owned(),
        What::Battery => "battery".to_owned(),
        What::Sfp(cage) => format!("sfp{cage}"),
        What::Relay => "relay".to_owned(),
        What::Tamper => "tamper".to_owned(),
        What::Button(desk) => format!("button{}", desk + 1),
    }
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Present => "present",
        Verdict::Wrong => "wrong",
        Verdict::Timeout => "timeout",
        Verdict::Skipped => "skipped",
    }
}

fn installed(row: &Row) -> &'static str {
    match row.installed {
        Installed::Not => "no",
        Installed::Already => "already",
        Installed::Drive => "bootsel",
        Installed::Line => "uart",
    }
}

fn result(row: &Row) -> &'static str {
    if row.fault.is_some() { "failed" } else { "done" }
}

/// As JSON: names are the same in every language, reasons are in the one that is asked for.
pub fn machine(rows: &[Row], language: Language) -> Value {
    let check = |checked: &Checked| {
        json!({
            "what": name(checked.what),
            "verdict": verdict(checked.verdict),
            "detail": say_detail(checked, language),
        })
    };
    let board = |row: &Row| {
        let settings = row.settings.map(|settings| {
            json!({
                "desks": (1..=8).filter(|desk| settings.desks & (1 << (desk - 1)) != 0).collect::<Vec<u8>>(),
                "cages": (0..2).filter(|cage| settings.cages & (1 << cage) != 0).collect::<Vec<u8>>(),
                "relay": settings.relay,
                "battery_low_mv": settings.battery_low_mv,
                "long_press_ms": settings.long_press_ms,
            })
        });
        json!({
            "place": row.place,
            "serial": row.serial,
            "firmware": row.version.map(version_text),
            "installed": installed(row),
            "settings": settings,
            "checks": row.checks.iter().map(check).collect::<Vec<_>>(),
            "result": result(row),
            "reason": row.fault.as_ref().map(|fault| fault.say(language)),
        })
    };
    json!({ "boards": rows.iter().map(board).collect::<Vec<_>>() })
}

/// As CSV, whole or not at all.
///
/// # Errors
/// The file cannot be written.
pub fn write_csv(path: &Path, rows: &[Row], language: Language) -> Result<(), Problem> {
    let unwritable = |error: std::io::Error| Problem::Report { file: path.display().to_string(), error };
    let mut csv = csv::Writer::from_writer(Vec::new());
    let mut write = |fields: [&str; 7]| csv.write_record(fields).map_err(std::io::Error::from).map_err(unwritable);
    write(["place", "serial", "firmware", "installed", "self_test", "result", "reason"])?;
    for row in rows {
        let checks: Vec<_> =
            row.checks.iter().map(|checked| format!("{}={}", name(checked.what), verdict(checked.verdict))).collect();
        let reason = row.fault.as_ref().map(|fault| fault.say(language)).unwrap_or_default();
        let version = row.version.map(version_text).unwrap_or_default();
        let serial = row.serial.as_deref().unwrap_or_default();
        write([&row.place, serial, &version, installed(row), &checks.join(" "), result(row), &reason])?;
    }
    let bytes = csv.into_inner().map_err(|error| unwritable(error.into_error()))?;
    crate::batch::replace(path, &bytes).map_err(unwritable)
}
