//! `[board]` and its `[[board.desk]]` -> [`BoardConfig`].

use std::collections::BTreeSet;
use std::path::Path;

use simpul_wire::board::{CAGES, DESKS, Settings};
use toml::de::DeValue;

use super::read::{Reader, Section};
use super::{BoardConfig, BoardPort, DeskConfig, LongPress, schema};

pub(super) fn board(
    reader: &Reader<'_>,
    section: &Section<'_, '_>,
    folder: &Path,
    state_directory: &Path,
) -> Option<Option<BoardConfig>> {
    if !section.is_present() {
        return Some(None);
    }
    let port = section.text("port", "\"auto\" or a path", |text| match text {
        "auto" => Some(BoardPort::Auto),
        path => (!path.is_empty() && !path.contains('\0')).then(|| BoardPort::Path(folder.join(path))),
    });
    let long_press_ms = section.integer("long_press_ms", 300..10_000);
    let cages = section.list("cages", CAGES, "a list of cages, each 0 or 1", cage);
    let battery_low_mv = section.integer("battery_low_mv", 0..60_000);
    let firmware = section.optional_path("firmware", folder);
    let (relay, simulated) = (section.flag("relay"), section.flag("simulated"));
    let desks = desks(reader, section)?;
    let buttons = desks.iter().fold(0, |bits, desk| bits | 1 << desk.button);
    let settings = Settings {
        long_press_ms: u16::try_from(long_press_ms?).ok()?,
        desks: buttons,
        cages: cages?.into_iter().fold(0, |bits, cage| bits | 1 << cage),
        battery_low_mv: u16::try_from(battery_low_mv?).ok()?,
        relay: relay?,
    };
    let state_directory = state_directory.to_owned();
    Some(Some(BoardConfig {
        port: port?,
        desks,
        settings,
        firmware: firmware?,
        fetched: None,
        simulated: simulated?,
        state_directory,
    }))
}

fn cage(item: &DeValue<'_>) -> Option<u8> {
    let integer = item.as_integer()?;
    let cage = u8::from_str_radix(integer.as_str(), integer.radix()).ok()?;
    (usize::from(cage) < CAGES).then_some(cage)
}

fn desks(reader: &Reader<'_>, board: &Section<'_, '_>) -> Option<Vec<DeskConfig>> {
    let Some(value) = board.raw("desk") else { return Some(Vec::new()) };
    let tables = value.get_ref().as_array().filter(|items| items.iter().all(|item| item.get_ref().is_table()));
    let Some(tables) = tables else {
        board.report("desk", "must be tables: [[board.desk]]".into());
        return None;
    };
    if tables.len() > DESKS {
        board.report("desk", format!("{} desks, at most {DESKS} on one board", tables.len()));
    }
    let mut buttons = BTreeSet::new();
    let mut desks = Vec::new();
    let mut whole = true;
    for (index, item) in tables.iter().enumerate() {
        let place = format!("board.desk[{index}]");
        let section = Section::new(reader, item.get_ref().as_table(), &schema::DESK, place, Some(item.span()));
        match desk(&section) {
            Some(desk) => {
                if !buttons.insert(desk.button) {
                    section.report("button", format!("{} is another desk's already", desk.button + 1));
                }
                desks.push(desk);
            }
            None => whole = false,
        }
    }
    whole.then_some(desks)
}

fn desk(section: &Section<'_, '_>) -> Option<DeskConfig> {
    let button = section.integer("button", 1..DESKS as u32);
    // As the local API takes them: the same service counted by both is one service.
    let service = section.text("service", "1 to 64 letters, digits, '.', '_' or '-'", |text| {
        let fits = (1..=64).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
        text.parse().ok().filter(|_| fits)
    });
    let desk = section.optional("desk", "1 to 96 characters", |text| text.parse().ok().filter(|_| !text.is_empty()));
    let long_press = section.text("long_press", "\"no_show\", \"undo\" or \"ignore\"", |text| match text {
        "no_show" => Some(LongPress::NoShow),
        "undo" => Some(LongPress::Undo),
        "ignore" => Some(LongPress::Ignore),
        _ => None,
    });
    Some(DeskConfig {
        button: u8::try_from(button? - 1).ok()?,
        service: service?,
        desk: desk?,
        long_press: long_press?,
    })
}
