//! TOML -> values, collecting everything that is wrong: unknown keys with the nearest valid name, bad values with what
//! is allowed. Knows the notation, not the meaning of keys.

use std::cell::RefCell;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::schema::{self, Key, Table};
use super::values;

/// Most problems that are reported: a file with more is another kind of file.
const PROBLEMS_MAX: usize = 50;

/// Longest value that is repeated in a message, in characters.
const SHOWN_CHARS_MAX: usize = 60;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Line in the file, from 1; `None` where something is missing altogether.
    pub line: Option<usize>,
    /// The key, such as `uplink.hubs` or `cameras[0].interval`.
    pub place: String,
    /// What is wrong, and what is allowed.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        f.write_str(&self.what)
    }
}

/// Why a configuration was refused: everything that is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    file: Option<PathBuf>,
    /// What is wrong, in the order of the file; at least one.
    pub problems: Vec<Problem>,
}

impl ConfigError {
    pub(super) fn unreadable(path: &Path, what: String) -> Self {
        let problem = Problem { line: None, place: String::new(), what: format!("cannot be read: {what}") };
        ConfigError { file: Some(path.to_owned()), problems: vec![problem] }
    }

    pub(super) fn of_file(mut self, path: &Path) -> Self {
        self.file = Some(path.to_owned());
        self
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(file) => write!(f, "configuration {}", file.display())?,
            None => f.write_str("configuration")?,
        }
        match self.problems.as_slice() {
            [one] => write!(f, ": {one}"),
            several => {
                write!(f, ": {} problems", several.len())?;
                several.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
            }
        }
    }
}

impl std::error::Error for ConfigError {}

/// A file being read, and what was found wrong so far.
pub(super) struct Reader<'t> {
    text: &'t str,
    problems: RefCell<Vec<Problem>>,
}

impl<'t> Reader<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Reader { text, problems: RefCell::default() }
    }

    /// The file as a table; syntax errors end here.
    pub(super) fn parse(&self) -> Option<Spanned<DeTable<'t>>> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in &errors {
            // Message and line only: the crate's own display repeats the line, which may hold anything.
            self.report(error.span(), String::new(), format!("not TOML: {}", error.message()));
        }
        errors.is_empty().then_some(table)
    }

    pub(super) fn report(&self, span: Option<Range<usize>>, place: String, what: String) {
        let line = span
            .map(|span| self.text.as_bytes()[..span.start.min(self.text.len())].iter())
            .map(|before| 1 + before.filter(|byte| **byte == b'\n').count());
        let mut problems = self.problems.borrow_mut();
        if problems.len() < PROBLEMS_MAX {
            problems.push(Problem { line, place, what });
        }
    }

    /// The value, or everything that was wrong.
    pub(super) fn finish<T>(self, value: Option<T>) -> Result<T, ConfigError> {
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|problem| problem.line.unwrap_or(usize::MAX));
        match value {
            Some(value) if problems.is_empty() => Ok(value),
            _ => {
                if problems.is_empty() {
                    // A part failed without saying why: the parts all report, so this is only a safety net.
                    problems.push(Problem { line: None, place: String::new(), what: "incomplete".into() });
                }
                Err(ConfigError { file: None, problems })
            }
        }
    }
}

/// A table of the file, with what the schema knows of it. Getters give the default for an absent key and `None` (after
/// a report) for a bad value.
pub(super) struct Section<'r, 't> {
    reader: &'r Reader<'t>,
    table: Option<&'r DeTable<'t>>,
    schema: &'static Table,
    place: String,
    span: Option<Range<usize>>,
}

/// A value, where it stands, and how it is called in messages.
struct Found<'r, 't> {
    value: Option<&'r Spanned<DeValue<'t>>>,
    key: &'static Key,
}

impl<'r, 't> Section<'r, 't> {
    /// `table` may be absent: then all is default. `place` is its name with index, empty for the top.
    pub(super) fn new(
        reader: &'r Reader<'t>,
        table: Option<&'r DeTable<'t>>,
        schema: &'static Table,
        place: String,
        span: Option<Range<usize>>,
    ) -> Self {
        let section = Section { reader, table, schema, place, span };
        section.refuse_unknown_keys();
        section
    }

    pub(super) fn is_present(&self) -> bool {
        self.table.is_some()
    }

    pub(super) fn place_of(&self, name: &str) -> String {
        if self.place.is_empty() { name.to_owned() } else { format!("{}.{name}", self.place) }
    }

    /// Report something about a key of this table.
    pub(super) fn report(&self, name: &str, what: String) {
        let span = self.raw(name).map(Spanned::span).or_else(|| self.span.clone());
        self.reader.report(span, self.place_of(name), what);
    }

    fn refuse_unknown_keys(&self) {
        // Tables within this one: the top has those without a dot, `board` has `board.desk`.
        let tables = schema::TABLES.iter().filter_map(|table| match self.schema.name {
            "" => Some(table.name),
            name => table.name.strip_prefix(name)?.strip_prefix('.'),
        });
        let tables = tables.filter(|name| !name.is_empty() && !name.contains('.'));
        let names: Vec<&str> = self.schema.keys.iter().map(|key| key.name).chain(tables).collect();
        for (key, _) in self.table.into_iter().flat_map(|table| table.iter()) {
            let name = key.get_ref().as_ref();
            if names.contains(&name) {
                continue;
            }
            let hint = match nearest(name, &names) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("allowed here: {}", names.join(", ")),
            };
            let shown: String = name.chars().take(SHOWN_CHARS_MAX).collect();
            self.reader.report(Some(key.span()), self.place_of(&shown), format!("unknown key; {hint}"));
        }
    }

    /// A key's value as it stands in the file.
    pub(super) fn raw(&self, name: &str) -> Option<&'r Spanned<DeValue<'t>>> {
        self.table?.iter().find(|(key, _)| key.get_ref() == name).map(|(_, value)| value)
    }

    fn find(&self, name: &'static str) -> Option<Found<'r, 't>> {
        // Every name that `build` asks for is in the schema: a test walks them all.
        let key = self.schema.key(name)?;
        let value = self.raw(name);
        if value.is_none() && key.required {
            self.report(name, format!("missing; write for example {name} = {}", key.example));
            return None;
        }
        Some(Found { value, key })
    }

    fn bad(&self, key: &Key, value: &Spanned<DeValue<'_>>, allowed: &str) {
        let what = format!("{} is not allowed; {allowed}, such as {}", self.show(value), key.example);
        self.reader.report(Some(value.span()), self.place_of(key.name), what);
    }

    /// The value as written, shortened; never a URL with a password in it.
    fn show(&self, value: &Spanned<DeValue<'_>>) -> String {
        let written = self.reader.text.get(value.span()).unwrap_or_default();
        if written.contains('@') && written.contains("://") {
            return "a URL with a user or password in it".into();
        }
        let line: String =
            written.chars().take(SHOWN_CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
        if written.chars().count() > SHOWN_CHARS_MAX { format!("{line}…") } else { line }
    }

    /// A text through `parse`; `Some(None)`: absent and without default.
    pub(super) fn optional<T>(
        &self,
        name: &'static str,
        allowed: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<Option<T>> {
        let Found { value, key } = self.find(name)?;
        let Some(value) = value else {
            let default = key.default.map(|default| default.trim_matches('"'));
            return Some(default.and_then(&parse));
        };
        match value.get_ref().as_str().and_then(&parse) {
            Some(parsed) => Some(Some(parsed)),
            None => {
                self.bad(key, value, allowed);
                None
            }
        }
    }

    /// As [`Section::optional`], for a key that has a default or is required.
    pub(super) fn text<T>(&self, name: &'static str, allowed: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.optional(name, allowed, parse)?
    }

    pub(super) fn duration(&self, name: &'static str, range: Range<Duration>) -> Option<Duration> {
        let (low, high) = (values::show_duration(range.start), values::show_duration(range.end));
        let fits = |duration: &Duration| (range.start..=range.end).contains(duration);
        self.text(name, &format!("a duration from {low} to {high}"), |text| values::duration(text).filter(fits))
    }

    pub(super) fn bytes(&self, name: &'static str, range: Range<u64>) -> Option<u64> {
        self.optional_bytes(name, range)?
    }

    pub(super) fn optional_bytes(&self, name: &'static str, range: Range<u64>) -> Option<Option<u64>> {
        let (low, high) = (values::show_bytes(range.start), values::show_bytes(range.end));
        let fits = |bytes: &u64| (range.start..=range.end).contains(bytes);
        self.optional(name, &format!("a size from {low} to {high}"), |text| values::bytes(text).filter(fits))
    }

    pub(super) fn path(&self, name: &'static str, folder: &Path) -> Option<PathBuf> {
        self.optional_path(name, folder)?
    }

    pub(super) fn optional_path(&self, name: &'static str, folder: &Path) -> Option<Option<PathBuf>> {
        self.optional(name, "a path", |text| (!text.is_empty() && !text.contains('\0')).then(|| folder.join(text)))
    }

    pub(super) fn integer(&self, name: &'static str, range: Range<u32>) -> Option<u32> {
        let Found { value, key } = self.find(name)?;
        let Some(value) = value else { return key.default?.parse().ok() };
        let number = match value.get_ref() {
            DeValue::Integer(integer) => i64::from_str_radix(&integer.as_str().replace('_', ""), integer.radix()).ok(),
            _ => None,
        };
        let fits = |number: &u32| (range.start..=range.end).contains(number);
        let number = number.and_then(|number| u32::try_from(number).ok()).filter(fits);
        if number.is_none() {
            self.bad(key, value, &format!("a whole number from {} to {}", range.start, range.end));
        }
        number
    }

    pub(super) fn flag(&self, name: &'static str) -> Option<bool> {
        let Found { value, key } = self.find(name)?;
        let Some(value) = value else { return Some(key.default? == "true") };
        let flag = value.get_ref().as_bool();
        if flag.is_none() {
            self.bad(key, value, "true or false");
        }
        flag
    }

    /// An array whose items go through `parse`; absent: empty.
    pub(super) fn list<T>(
        &self,
        name: &'static str,
        items_max: usize,
        allowed: &str,
        parse: impl Fn(&DeValue<'t>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let Found { value, key } = self.find(name)?;
        let Some(value) = value else { return Some(Vec::new()) };
        let items = value.get_ref().as_array().filter(|items| items.len() <= items_max);
        let list = items.and_then(|items| items.iter().map(|item| parse(item.get_ref())).collect());
        if list.is_none() {
            self.bad(key, value, allowed);
        }
        list
    }
}

/// The nearest of `names`, if it is near enough to be meant.
fn nearest<'n>(name: &str, names: &[&'n str]) -> Option<&'n str> {
    let name = name.to_ascii_lowercase().replace('-', "_");
    let begins = |near: &str| near.starts_with(&name) && name.len() >= 4;
    let by_distance = names.iter().map(|near| (strsim::damerau_levenshtein(&name, near), *near));
    by_distance
        .filter(|(distance, near)| *distance <= 1 + near.len() / 5 || begins(near))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, near)| near)
}
