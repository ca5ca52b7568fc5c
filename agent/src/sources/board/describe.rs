//! What board and agent say, as text for people: the status and `simpul-agent board monitor`. Pure.

use simpul_wire::board::host::version_text;
use simpul_wire::board::{
    FromBoard, Hardware, Hello, ImageState, JournalState, Module, Numbered, NumberedBody, RelayOutcome, ResetReason,
    Settings, SupplyState, UpdateState,
};
use simpul_wire::{Label, metrics};

use super::measure;
use crate::config::DeskConfig;

/// Firmware and hardware, such as `0.1.0 pico`.
pub(super) fn version(hello: &Hello) -> String {
    firmware(hello.firmware, hello.hardware)
}

/// The same of an image.
pub fn firmware(version: [u8; 3], hardware: Hardware) -> String {
    let hardware = match hardware {
        Hardware::Lm3s6965 => "lm3s6965",
        Hardware::Pico => "pico",
    };
    format!("{} {hardware}", version_text(version))
}

/// How the image that runs came to run.
pub fn image(state: ImageState) -> &'static str {
    match state {
        ImageState::Confirmed => "confirmed",
        ImageState::Trial => "on trial",
        ImageState::Reverted => "came back: the one after it did not confirm itself",
        ImageState::NoLoader => "no loader: updated by hand",
    }
}

/// A desk's name: its service, and which desk of it.
pub(super) fn desk(desk: &DeskConfig) -> String {
    match &desk.desk {
        Some(name) => format!("{} {name}", desk.service),
        None => desk.service.to_string(),
    }
}

/// The desk of a button (from 0) for events: its configured name, else the button.
pub(super) fn button(desks: &[DeskConfig], button: u8) -> Label {
    match desks.iter().find(|desk| desk.button == button) {
        Some(DeskConfig { desk: Some(name), .. }) => name.clone(),
        Some(DeskConfig { service, .. }) => service.clone(),
        None => Label::clipped(&format!("button {}", u16::from(button) + 1)),
    }
}

/// One message in one line.
pub fn message(message: &FromBoard) -> String {
    match message {
        FromBoard::Hello(hello) => {
            let reset = match hello.reset {
                ResetReason::PowerOn => "power on",
                ResetReason::Brownout => "brownout",
                ResetReason::Watchdog => "watchdog",
                ResetReason::Pin => "reset pin",
                ResetReason::Software => "software",
                ResetReason::Unknown => "unknown",
            };
            let journal = match hello.journal {
                JournalState::Good => "good",
                JournalState::Empty => "empty",
                JournalState::Damaged => "DAMAGED",
                JournalState::Unreachable => "UNREACHABLE",
            };
            let greeted = if hello.greeted { "" } else { ", not greeted yet" };
            format!(
                "hello     protocol {}, {}, serial {}, boot {} ({reset}), up {}{greeted}; journal {journal}; dropped {} \
                 events, refused {} frames; {}",
                hello.protocol,
                version(hello),
                hex::encode(hello.serial),
                hello.boot,
                milliseconds(hello.uptime_ms),
                hello.events_dropped,
                hello.frames_refused,
                settings(&hello.settings),
            )
        }
        FromBoard::Numbered(message) => numbered(message),
        FromBoard::Readings(readings) => {
            let items = readings.items.iter().map(|reading| {
                let name =
                    metrics::name(reading.metric).map_or_else(|| format!("metric {}", reading.metric), str::to_owned);
                format!("{name} {}", measure::show(reading.value))
            });
            format!("readings  {}", items.collect::<Vec<_>>().join(", "))
        }
        FromBoard::Gasp(gasp) => format!("GASP      boot {}, at {}", gasp.boot, milliseconds(gasp.at_ms)),
        FromBoard::Module(Module { cage, found }) => match found {
            Ok(found) => format!(
                "module    cage {cage}: {} {}, serial {}, {} nm",
                visible(&found.vendor),
                visible(&found.part),
                visible(&found.serial),
                found.wavelength_nm,
            ),
            Err(reason) => format!("module    cage {cage}: {}", reason.0),
        },
        FromBoard::Update(UpdateState::Receiving { next }) => format!("update    wants byte {next}"),
        FromBoard::Update(UpdateState::Verified) => "update    verified, starts anew".to_owned(),
        FromBoard::Update(UpdateState::Refused(refusal)) => format!("update    refused: {refusal}"),
    }
}

fn numbered(message: &Numbered) -> String {
    let Numbered { boot, seq, at_ms, sent_ms, body } = message;
    let what = match body {
        NumberedBody::Totals(totals) => {
            let counted = totals.iter().enumerate().filter(|(_, total)| total.short > 0 || total.long > 0);
            let counted =
                counted.map(|(desk, total)| format!("button {}: {} + {} long", desk + 1, total.short, total.long));
            let counted = counted.collect::<Vec<_>>().join(", ");
            if counted.is_empty() { "totals: nothing counted yet".to_owned() } else { format!("totals: {counted}") }
        }
        NumberedBody::Power(SupplyState::Mains { outage_ms: Some(outage) }) => {
            format!("on mains, after {} without", milliseconds(*outage))
        }
        NumberedBody::Power(SupplyState::Mains { outage_ms: None }) => "on mains".to_owned(),
        NumberedBody::Power(SupplyState::Battery) => "on battery".to_owned(),
        NumberedBody::Power(SupplyState::BatteryLow) => "battery nearly empty".to_owned(),
        NumberedBody::Tamper { open } => format!("lid {}", if *open { "OPEN" } else { "closed" }),
        NumberedBody::ButtonStuck { desk, stuck } => {
            format!("button {} {}", u16::from(*desk) + 1, if *stuck { "STUCK" } else { "free again" })
        }
        NumberedBody::RelayResult { id, outcome } => {
            let outcome = match outcome {
                RelayOutcome::Done => "done",
                RelayOutcome::TooLong => "refused, too long",
                RelayOutcome::TooSoon => "refused, too soon",
                RelayOutcome::Busy => "refused, busy",
                RelayOutcome::Interrupted => "interrupted",
            };
            format!("relay order {}: {outcome}", hex::encode(id))
        }
        NumberedBody::JournalFailed => "JOURNAL FAILED".to_owned(),
    };
    let age = milliseconds(sent_ms.saturating_sub(*at_ms));
    format!("numbered  boot {boot}, number {seq}, {age} ago: {what}")
}

fn settings(settings: &Settings) -> String {
    let bits = |bits: u8, from: u8| {
        let set = (0..8).filter(|bit| bits & (1 << bit) != 0).map(|bit| (bit + from).to_string());
        let set = set.collect::<Vec<_>>().join(" ");
        if set.is_empty() { "none".to_owned() } else { set }
    };
    format!(
        "long press {} ms, buttons {}, cages {}, battery low {} mV, relay {}",
        settings.long_press_ms,
        bits(settings.desks, 1),
        bits(settings.cages, 0),
        settings.battery_low_mv,
        if settings.relay { "wired" } else { "none" },
    )
}

/// A module's text, without what could move a terminal's cursor.
fn visible(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn milliseconds(ms: u64) -> String {
    match ms {
        0..10_000 => format!("{ms} ms"),
        10_000..7_200_000 => format!("{} s", ms / 1_000),
        _ => format!("{} h", ms / 3_600_000),
    }
}
