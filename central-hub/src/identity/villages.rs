//! The list of villages: a CSV file whose header names at least `code` and `name`. Codes are text.

use std::collections::BTreeMap;
use std::path::Path;

use super::IdentityError;
use crate::view::registry::{is_village_code, split_csv};

/// Largest file: the nation has 83,762 villages of about 100 bytes a line; twice that.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// How far a code may be off to be suggested: one slip, or two figures that changed places.
const SLIPS_MAX: usize = 2;

/// Villages: name by code.
pub type Villages = BTreeMap<String, String>;

/// Read a list; one line that is wrong refuses all of it, with every wrong line named (the first ten).
pub fn read(path: &Path) -> Result<Villages, IdentityError> {
    let file = |source| IdentityError::File { path: path.into(), source };
    let bytes = std::fs::metadata(path).map_err(file)?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(IdentityError::refused(format!("{}: {bytes} bytes; is it the right file?", path.display())));
    }
    let text = std::fs::read_to_string(path).map_err(file)?;
    parse(&text).map_err(|problems| {
        let shown: Vec<String> = problems.iter().take(10).map(|problem| format!("\n  {problem}")).collect();
        IdentityError::refused(format!(
            "{}: nothing was taken, {} lines are wrong:{}",
            path.display(),
            problems.len(),
            shown.concat()
        ))
    })
}

fn parse(text: &str) -> Result<Villages, Vec<String>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let header = lines.next().and_then(|(_, line)| split_csv(line)).unwrap_or_default();
    let column = |name: &str| header.iter().position(|field| field.trim() == name);
    let (Some(code_at), Some(name_at)) = (column("code"), column("name")) else {
        return Err(vec!["line 1: a header with the columns code and name is expected".into()]);
    };
    let (mut villages, mut seen, mut problems) = (Villages::new(), BTreeMap::new(), Vec::new());
    for (index, line) in lines {
        let line_number = index + 1;
        let fields = split_csv(line).unwrap_or_default();
        let (Some(code), Some(name)) = (fields.get(code_at), fields.get(name_at)) else {
            problems.push(format!("line {line_number}: too few fields, or a quote that is not closed"));
            continue;
        };
        let (code, name) = (code.trim(), name.trim());
        if !is_village_code(code) {
            problems.push(format!("line {line_number}: {code:?} is no village's code such as 35.12.07.2003"));
        } else if name.is_empty() || name.len() > 120 || name.chars().any(char::is_control) {
            problems.push(format!("line {line_number}: a name of 1 to 120 bytes is expected"));
        } else if let Some(first) = seen.insert(code.to_owned(), line_number) {
            problems.push(format!("line {line_number}: {code} stands in line {first} already"));
        } else {
            villages.insert(code.into(), name.into());
        }
    }
    if villages.is_empty() && problems.is_empty() {
        problems.push("no village in it".into());
    }
    if problems.is_empty() { Ok(villages) } else { Err(problems) }
}

/// The known code that is nearest to a wrong one, if one is near.
pub fn nearest<'v>(code: &str, villages: impl Iterator<Item = &'v str>) -> Option<&'v str> {
    villages
        .map(|known| (strsim::damerau_levenshtein(code, known), known))
        .filter(|(slips, _)| *slips <= SLIPS_MAX)
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_found_by_name_and_every_wrong_line_is_told() {
        let villages = parse("\u{feff}name,code,x\nPategalan,35.12.01.2001,1\n\"A, B\",35.12.01.2002,2\n").unwrap();
        assert_eq!(villages["35.12.01.2002"], "A, B");
        let problems =
            parse("code,name\n35.12.01.2001,A\n3512012002,B\n35.12.01.2001,C\n35.12.01.2003,\n").unwrap_err();
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(problems[1].contains("line 4: 35.12.01.2001 stands in line 2 already"), "{problems:?}");
        assert!(parse("kode,nama\n").is_err() && parse("").is_err() && parse("code,name\n").is_err());
    }

    #[test]
    fn a_slip_is_recognised_and_a_stranger_is_not() {
        let known = ["35.12.01.2001", "35.12.07.2003"];
        assert_eq!(nearest("35.12.07.2030", known.into_iter()), Some("35.12.07.2003"));
        assert_eq!(nearest("35.12.7.2003", known.into_iter()), Some("35.12.07.2003"));
        assert_eq!(nearest("11.01.99.1000", known.into_iter()), None);
    }
}
