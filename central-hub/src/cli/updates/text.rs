//! What `updates ...` prints, and how it reads times and people.

use std::fmt::Write;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::updates::ledger::{EventRow, ProgramRow, RolloutRow};
use crate::updates::plan::Progress;

/// A soak as people write it: 45s, 30m, 1h, 2d.
pub fn soak_ms(text: &str) -> Result<i64, String> {
    let wrong = || format!("{text:?}: a whole number with s, m, h or d is allowed, such as 30m or 1h; at most 30d");
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let unit_ms = match unit {
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    let soak_ms = number.parse::<u32>().ok().and_then(|number| i64::from(number).checked_mul(unit_ms));
    soak_ms.filter(|soak_ms| *soak_ms <= 30 * 86_400_000).ok_or_else(wrong)
}

/// Who runs this command, for the record: the operating system's user, and who became it with sudo.
pub fn who() -> String {
    let user = rustix::process::getuid().as_raw();
    let sudo = std::env::var("SUDO_USER")
        .ok()
        .filter(|name| !name.is_empty() && name.len() <= 64 && name.chars().all(|c| c.is_ascii_graphic()));
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = name_of(&users, user).map_or_else(|| user.to_string(), str::to_owned);
    match sudo {
        Some(sudo) if sudo != name => format!("cli:{name} (sudo by {sudo})"),
        _ => format!("cli:{name}"),
    }
}

/// A user's name in the text of `/etc/passwd`.
fn name_of(users: &str, user: u32) -> Option<&str> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, id) = (fields.next()?, fields.nth(1)?);
        (id.parse() == Ok(user)).then_some(name)
    })
}

fn date(ms: i64) -> String {
    let at = OffsetDateTime::from_unix_timestamp(ms.div_euclid(1_000)).ok();
    at.and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_default()
}

/// A program, in a line.
pub fn program(row: &ProgramRow) -> String {
    format!(
        "program    {:<13} {:<11} {:<14} {:>9} bytes  added {}",
        row.part,
        row.version,
        row.platform,
        row.content_bytes,
        date(row.added_ms)
    )
}

/// A rollout, in a line.
pub fn rollout(row: &RolloutRow) -> String {
    let it = &row.rollout;
    let count = |wanted: &dyn Fn(&Progress) -> bool| it.nodes.values().filter(|progress| wanted(progress)).count();
    let has = count(&|it| matches!(it.standing(), "confirmed" | "already"));
    let failed = count(&|it| matches!(it.standing(), "rolled_back" | "refused" | "silent"));
    let colon = if it.reason.is_empty() { "" } else { ": " };
    format!(
        "rollout {:<3} {:<12} {:<10} ring {} of {} ({})  {has} of {} nodes have it, {failed} failed  {}{colon}{}",
        row.number,
        it.part.name(),
        it.version,
        it.ring() + 1,
        it.rings.count(),
        it.rings,
        it.nodes.len(),
        it.state.name(),
        it.reason
    )
}

/// A rollout, node by node.
pub fn show(row: &RolloutRow) -> String {
    let it = &row.rollout;
    let mut text = format!("{}\n", rollout(row));
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "id {}, made {} by {}, soak {} s, pause on {}",
        hex::encode(row.id),
        date(it.made_ms),
        row.made_by,
        it.soak_ms / 1_000,
        it.pause_on
    );
    for (platform, lane) in &it.lanes {
        let name = if platform.is_empty() { "any platform" } else { platform };
        let at = if lane.ring >= it.rings.count() { "done".into() } else { format!("ring {}", lane.ring + 1) };
        let _ = writeln!(text, "{name}: {at} since {}", date(lane.since_ms));
    }
    for (node, progress) in &it.nodes {
        let ring = progress.ring.map_or_else(|| "-".to_owned(), |ring| (ring + 1).to_string());
        let platform = progress.platform.as_deref().unwrap_or("not known");
        let line = format!(
            "{:<20} {platform:<14} ring {ring}  {:<12} since {}  {}",
            node.as_str(),
            progress.standing(),
            date(progress.since_ms),
            progress.detail
        );
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

/// An event, in a line.
pub fn event(row: &EventRow) -> String {
    let rollout = row.rollout.map_or_else(|| "-".to_owned(), |number| number.to_string());
    let alarm = if row.alarm { "ALARM " } else { "" };
    format!("{}  {:<20} {rollout:>4}  {alarm}{}", date(row.at_ms), row.who, row.what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_soak_is_read_as_people_write_it() {
        assert_eq!(soak_ms("45s"), Ok(45_000));
        assert_eq!(soak_ms("30m"), Ok(1_800_000));
        assert_eq!(soak_ms("1h"), Ok(3_600_000));
        assert_eq!(soak_ms("30d"), Ok(30 * 86_400_000));
        for bad in ["", "h", "1", "-1h", "1.5h", "31d", "1w", "1 h", "é"] {
            let expected =
                format!("{bad:?}: a whole number with s, m, h or d is allowed, such as 30m or 1h; at most 30d");
            assert_eq!(soak_ms(bad), Err(expected));
        }
    }

    #[test]
    fn a_user_is_named_as_the_system_names_it() {
        let users = "root:x:0:0:root:/root:/bin/bash\nsimpul-hub:x:998:996::/nonexistent:/usr/sbin/nologin\n";
        assert_eq!(name_of(users, 998), Some("simpul-hub"));
        assert_eq!(name_of(users, 7), None);
        assert!(who().starts_with("cli:"));
    }
}
