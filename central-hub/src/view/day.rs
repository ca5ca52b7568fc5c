//! The local day: what "today" means. Indonesia has no daylight saving, so a day is 24 h at a fixed offset.

const DAY_MS: i64 = 86_400_000;

/// Start of the local day that `now_ms` lies in, as Unix milliseconds.
pub fn start_ms(now_ms: i64, utc_offset_minutes: i32) -> i64 {
    let offset_ms = i64::from(utc_offset_minutes) * 60_000;
    now_ms - (now_ms + offset_ms).rem_euclid(DAY_MS)
}

/// Seconds from `at_ms` to `now_ms`, rounded down; 0 when `at_ms` is ahead (another clock's error).
pub fn age_s(now_ms: i64, at_ms: i64) -> i64 {
    now_ms.saturating_sub(at_ms).max(0) / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_of_jakarta_begins_at_17_utc() {
        let five_pm = 1_700_000_000_000 / DAY_MS * DAY_MS + 17 * 3_600_000;
        assert_eq!(start_ms(five_pm, 420), five_pm);
        assert_eq!(start_ms(five_pm - 1, 420), five_pm - DAY_MS);
        assert_eq!(start_ms(five_pm + DAY_MS - 1, 420), five_pm);
        assert_eq!(start_ms(-1, 0), -DAY_MS);
    }

    #[test]
    fn an_age_is_never_negative() {
        assert_eq!((age_s(5_999, 1_000), age_s(0, 1_000)), (4, 0));
    }
}
