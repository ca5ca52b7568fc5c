//! `[update]` -> [`UpdateConfig`].

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use toml::de::DeValue;

use super::UpdateConfig;
use super::read::Section;

/// Most keys: the present one, the next, and those of a district that took over another.
const KEYS_MAX: usize = 4;

/// Most windows of a day.
const WINDOWS_MAX: usize = 8;

const HOUR: Duration = Duration::from_secs(3_600);

pub(super) fn update(section: &Section<'_, '_>) -> Option<UpdateConfig> {
    let keys = section.list("keys", KEYS_MAX, "at most 4 public keys (Ed25519) in hexadecimal or base64", key);
    let not_between = section.list("not_between", WINDOWS_MAX, "at most 8 times of day", window);
    let zone_minutes = section.text("zone", "\"WIB\", \"WITA\" or \"WIT\"", |text| match text {
        "WIB" => Some(7 * 60),
        "WITA" => Some(8 * 60),
        "WIT" => Some(9 * 60),
        _ => None,
    });
    let look_every = section.duration("look_every", Duration::from_secs(1)..24 * HOUR);
    let trial = section.duration("trial", Duration::from_secs(5)..HOUR);
    Some(UpdateConfig {
        keys: keys?,
        not_between: not_between?,
        zone_minutes: zone_minutes?,
        look_every: look_every?,
        trial: trial?,
    })
}

fn key(item: &DeValue<'_>) -> Option<[u8; 32]> {
    let text = item.as_str()?;
    let bytes = hex::decode(text).ok().or_else(|| STANDARD.decode(text).ok())?;
    bytes.try_into().ok()
}

/// `"07:30-12:00"`: minutes from midnight.
fn window(item: &DeValue<'_>) -> Option<(u16, u16)> {
    let (from, to) = item.as_str()?.split_once('-')?;
    let minute = |text: &str| {
        let (hour, minute) = text.trim().split_once(':')?;
        let two = |text: &str| text.parse::<u16>().ok().filter(|_| text.len() == 2 && text.is_ascii());
        Some(two(hour).filter(|hour| *hour < 24)? * 60 + two(minute).filter(|minute| *minute < 60)?)
    };
    let (from, to) = (minute(from)?, minute(to)?);
    (from != to).then_some((from, to))
}
