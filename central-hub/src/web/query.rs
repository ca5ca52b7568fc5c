//! Query parameters: each one named, bounded and refused with what is allowed; unknown names are refused with the
//! nearest valid one, because a misspelt filter that is ignored shows somebody else's numbers.

use std::fmt::Display;
use std::str::FromStr;

use axum::extract::Query;
use axum::http::Uri;
use simpul_wire::NodeId;

use super::error::ApiError;
use crate::store::Page;

/// Rows of a page at most, and unless asked for.
pub const ROWS_MAX: i64 = 1_000;
const ROWS_DEFAULT: i64 = 100;

/// The parameters of one request.
#[derive(Debug)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// Take the parameters; only `allowed` names, each once.
    pub fn new(uri: &Uri, allowed: &[&str]) -> Result<Params, ApiError> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|_| ApiError::parameter("the query is not of the form name=value&name=value"))?;
        for (index, (name, _)) in pairs.iter().enumerate() {
            if !allowed.contains(&name.as_str()) {
                let list = if allowed.is_empty() { "none".into() } else { allowed.join(", ") };
                return Err(ApiError::parameter(format!("{name:?} is not a parameter here: {list} is allowed")));
            }
            if pairs.iter().take(index).any(|(before, _)| before == name) {
                return Err(ApiError::parameter(format!("{name} is given twice: once is allowed")));
            }
        }
        Ok(Params(pairs))
    }

    /// A parameter as text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn parsed<T: FromStr>(&self, name: &str, allowed: impl Display) -> Result<Option<T>, ApiError> {
        let refuse = |value: &str| ApiError::parameter(format!("{name} = {value:?}: {allowed} is allowed"));
        self.text(name).map(|value| value.parse().map_err(|_| refuse(value))).transpose()
    }

    /// A whole number within bounds.
    pub fn whole(&self, name: &str, min: i64, max: i64) -> Result<Option<i64>, ApiError> {
        let allowed = format!("a whole number from {min} to {max}");
        match self.parsed::<i64>(name, &allowed)? {
            Some(value) if !(min..=max).contains(&value) => {
                Err(ApiError::parameter(format!("{name} = {value}: {allowed} is allowed")))
            }
            value => Ok(value),
        }
    }

    /// A node's id.
    pub fn node(&self) -> Result<Option<NodeId>, ApiError> {
        self.parsed("node", "a node's id such as 35.12.07.2003-01")
    }

    /// One of some words.
    pub fn one_of<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Result<Option<T>, ApiError> {
        let Some(value) = self.text(name) else { return Ok(None) };
        match words.iter().find(|(word, _)| *word == value) {
            Some((_, meaning)) => Ok(Some(*meaning)),
            None => {
                let list: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                Err(ApiError::parameter(format!("{name} = {value:?}: {} is allowed", list.join(", "))))
            }
        }
    }

    /// A parameter that must be there.
    pub fn required<T>(name: &str, example: &str, value: Option<T>) -> Result<T, ApiError> {
        value.ok_or_else(|| ApiError::parameter(format!("{name} is missing: add {name}={example}")))
    }

    /// The names that [`Params::page`] reads.
    pub const PAGE: &[&str] = &["node", "cursor", "limit", "order"];

    /// A page of rows.
    pub fn page(&self) -> Result<Page, ApiError> {
        let limit = self.whole("limit", 1, ROWS_MAX)?.unwrap_or(ROWS_DEFAULT);
        Ok(Page {
            node: self.node()?,
            cursor: self.whole("cursor", 0, i64::MAX)?,
            newest_first: self.one_of("order", &[("newest_first", true), ("oldest_first", false)])?.unwrap_or(false),
            limit: usize::try_from(limit).unwrap_or(1),
        })
    }
}

/// A number in the path.
pub fn path_id(name: &str, text: &str) -> Result<i64, ApiError> {
    let id = text.parse().ok().filter(|id: &i64| *id >= 0);
    id.ok_or_else(|| ApiError::parameter(format!("{name} = {text:?}: a whole number is allowed")))
}

/// A node's id in the path.
pub fn path_node(text: &str) -> Result<NodeId, ApiError> {
    let refuse = |_| ApiError::parameter(format!("node = {text:?}: a node's id such as 35.12.07.2003-01 is allowed"));
    text.parse().map_err(refuse)
}
