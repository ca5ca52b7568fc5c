//! The notations of configuration values: durations such as `"30 s"`, sizes such as `"64 MiB"`. Pure.

use std::time::Duration;

/// `"500 ms"`, `"30 s"`, `"5 min"`, `"48 h"`, `"14 d"`: a whole number and a unit.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = number_and_unit(text)?;
    let milliseconds_per_unit = match unit {
        "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(milliseconds_per_unit).map(Duration::from_millis)
}

/// `"512 B"`, `"16 KiB"`, `"64 MiB"`, `"1 GiB"` (1,024 each), `"150 MB"` (1,000 each): bytes.
pub(super) fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = number_and_unit(text)?;
    let bytes_per_unit: u64 = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        _ => return None,
    };
    number.checked_mul(bytes_per_unit)
}

/// `"1920x1080"`: width and height in pixels.
pub(super) fn resolution(text: &str) -> Option<(u16, u16)> {
    let (width, height) = text.split_once('x')?;
    let (width, height) = (width.trim().parse().ok()?, height.trim().parse().ok()?);
    (width > 0 && height > 0).then_some((width, height))
}

fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    Some((text[..digits].parse().ok()?, text[digits..].trim_start()))
}

/// A duration in the largest unit that divides it.
pub(super) fn show_duration(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    for (unit, size) in [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000)] {
        if milliseconds >= size && milliseconds.is_multiple_of(size) {
            return format!("{} {unit}", milliseconds / size);
        }
    }
    format!("{milliseconds} ms")
}

/// A size in the largest binary unit that divides it.
pub(super) fn show_bytes(bytes: u64) -> String {
    for (unit, size) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if bytes >= size && bytes.is_multiple_of(size) {
            return format!("{} {unit}", bytes / size);
        }
    }
    format!("{bytes} B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_whole_number_and_a_unit() {
        let ms = |text| duration(text).map(|duration| duration.as_millis());
        for (text, expected) in [("500 ms", 500), ("30 s", 30_000), ("5min", 300_000), (" 48 h ", 172_800_000)] {
            assert_eq!(ms(text), Some(expected), "{text}");
        }
        for text in ["30", "s", "", "1.5 h", "-3 s", "30 sec", "3 s 4", "99999999999999999999 s", "9999999999999999 d"]
        {
            assert_eq!(ms(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_are_shown_as_they_are_written() {
        for text in ["512 B", "16 KiB", "64 MiB", "3 GiB"] {
            assert_eq!(bytes(text).map(show_bytes).as_deref(), Some(text));
        }
        assert_eq!(bytes("150 MB"), Some(150_000_000));
        for text in ["64", "64 mib", "64 TB", "1e3 B", "99999999999 GiB"] {
            assert_eq!(bytes(text), None, "{text}");
        }
    }

    #[test]
    fn a_resolution_is_width_x_height() {
        assert_eq!(resolution("1920x1080"), Some((1920, 1080)));
        for text in ["1920", "0x1", "1920x", "x", "70000x1"] {
            assert_eq!(resolution(text), None, "{text}");
        }
    }
}
