//! The languages, and which one a program speaks.

use std::fmt;
use std::str::FromStr;

/// A language of the catalogue. Indonesian unless something asks for English.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Language {
    /// Bahasa Indonesia.
    #[default]
    Indonesian,
    /// English.
    English,
}

impl Language {
    /// Every language.
    pub const ALL: [Language; 2] = [Language::Indonesian, Language::English];

    /// `id` or `en`.
    pub fn code(self) -> &'static str {
        match self {
            Language::Indonesian => "id",
            Language::English => "en",
        }
    }

    /// What the environment asks for: the first of `LC_ALL`, `LC_MESSAGES`, `LANG` that is set. Only an English locale
    /// means English; `C`, `POSIX`, others and nothing mean Indonesian. `variable` is `|name| std::env::var(name).ok()`.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Self {
        let locale =
            ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().find_map(|name| variable(name).filter(|v| !v.is_empty()));
        match locale {
            Some(locale) if locale.split(['_', '-', '.', '@']).next() == Some("en") => Language::English,
            _ => Language::Indonesian,
        }
    }
}

/// Not `id` and not `en`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownLanguage;

impl fmt::Display for UnknownLanguage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("id (Bahasa Indonesia) / en (English)")
    }
}

impl std::error::Error for UnknownLanguage {}

impl FromStr for Language {
    type Err = UnknownLanguage;
    fn from_str(text: &str) -> Result<Self, UnknownLanguage> {
        Language::ALL.into_iter().find(|language| language.code() == text).ok_or(UnknownLanguage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spoken(variables: &[(&str, &str)]) -> Language {
        Language::from_environment(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn only_an_english_locale_asks_for_english() {
        assert_eq!(spoken(&[]), Language::Indonesian);
        assert_eq!(spoken(&[("LANG", "C.UTF-8")]), Language::Indonesian);
        assert_eq!(spoken(&[("LANG", "en_US.UTF-8")]), Language::English);
        assert_eq!(spoken(&[("LANG", "en")]), Language::English);
        assert_eq!(spoken(&[("LANG", "enm_XX")]), Language::Indonesian);
        assert_eq!(spoken(&[("LANG", "en_US.UTF-8"), ("LC_ALL", "id_ID.UTF-8")]), Language::Indonesian);
        assert_eq!(spoken(&[("LC_ALL", ""), ("LC_MESSAGES", "en_GB"), ("LANG", "id_ID")]), Language::English);
    }

    #[test]
    fn a_language_is_its_code() {
        for language in Language::ALL {
            assert_eq!(language.code().parse(), Ok(language));
        }
        assert_eq!("ID".parse::<Language>(), Err(UnknownLanguage));
    }
}
