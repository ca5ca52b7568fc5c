//! The nodes to expect, from the configuration: where each stands and in which village. Codes are text, names are
//! never keys.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use simpul_wire::NodeId;

/// Largest file: the nation has 83,762 villages of about 60 bytes a line; three times that.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// A node to expect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredNode {
    /// Its id.
    pub id: NodeId,
    /// Name of its place.
    pub name: Option<String>,
    /// Its village's code (Kemendagri).
    pub village_code: Option<String>,
    /// Its village's name.
    pub village_name: Option<String>,
}

/// A field that is not allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadField {
    /// Its name.
    pub name: &'static str,
    /// Its value.
    pub value: String,
    /// What is allowed.
    pub allowed: &'static str,
}

/// Why a list of nodes is refused.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The file could not be read.
    #[error("cannot read nodes.file {path}: {source}; correct nodes.file or the file's rights")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is too large to be a list of nodes.
    #[error("nodes.file {path} has {bytes} bytes: at most {FILE_BYTES_MAX} are read; is it the right file?")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// A line is wrong.
    #[error("nodes.file {path}, line {line}: {detail}")]
    Line {
        /// The file.
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// What is wrong and what is allowed.
        detail: String,
    },
    /// A node stands twice in the configuration.
    #[error("node {0} is registered twice: remove one of its entries from nodes.file or nodes.list")]
    Twice(NodeId),
}

impl RegisteredNode {
    /// From texts, empty where there is none.
    pub fn parse(id: &str, name: &str, village_code: &str, village_name: &str) -> Result<RegisteredNode, BadField> {
        let id = id.parse().map_err(|_| BadField {
            name: "id",
            value: id.into(),
            allowed: "1 to 64 letters, digits, '.', '_' or '-', beginning with a letter or digit",
        })?;
        if !village_code.is_empty() && !is_village_code(village_code) {
            let allowed = "a village's code such as 35.12.07.2003, or nothing";
            return Err(BadField { name: "village_code", value: village_code.into(), allowed });
        }
        Ok(RegisteredNode {
            id,
            name: text("name", name)?,
            village_code: text("village_code", village_code)?,
            village_name: text("village_name", village_name)?,
        })
    }
}

/// Province, regency, district and village: 2, 2, 2 and 4 digits (Kepmendagri 300.2.2-2138/2025).
pub(crate) fn is_village_code(code: &str) -> bool {
    let lengths = code.split('.').map(|part| part.bytes().all(|b| b.is_ascii_digit()).then_some(part.len()));
    lengths.eq([Some(2), Some(2), Some(2), Some(4)])
}

fn text(name: &'static str, value: &str) -> Result<Option<String>, BadField> {
    if value.len() > 120 || value.chars().any(char::is_control) {
        return Err(BadField { name, value: value.into(), allowed: "at most 120 bytes and no control characters" });
    }
    Ok((!value.is_empty()).then(|| value.to_owned()))
}

/// The nodes to expect, by id.
#[derive(Debug, Clone, Default)]
pub struct Registry(BTreeMap<NodeId, RegisteredNode>);

impl Registry {
    /// Read a CSV file with the header `id,name,village_code,village_name`.
    pub fn read_csv(path: &Path) -> Result<Registry, RegistryError> {
        let unreadable = |source| RegistryError::Unreadable { path: path.into(), source };
        let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
        if bytes > FILE_BYTES_MAX {
            return Err(RegistryError::TooLarge { path: path.into(), bytes });
        }
        Registry::parse_csv(&std::fs::read_to_string(path).map_err(unreadable)?, path)
    }

    fn parse_csv(text: &str, path: &Path) -> Result<Registry, RegistryError> {
        let error = |line: usize, detail: String| RegistryError::Line { path: path.into(), line, detail };
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let header = lines.next().map_or("", |(_, line)| line.trim());
        if header != "id,name,village_code,village_name" {
            return Err(error(1, format!("the header is {header:?}: id,name,village_code,village_name is expected")));
        }
        let mut registry = Registry::default();
        for (index, line) in lines {
            let fields = split_csv(line).ok_or_else(|| error(index + 1, "a quote is not closed".into()))?;
            let [id, name, code, village] = fields.as_slice() else {
                return Err(error(index + 1, format!("{} fields: 4 are expected", fields.len())));
            };
            let node = RegisteredNode::parse(id, name, code, village).map_err(|bad| {
                error(index + 1, format!("{} = {:?}: {} is allowed", bad.name, bad.value, bad.allowed))
            })?;
            registry.insert(node)?;
        }
        Ok(registry)
    }

    /// Add a node.
    pub fn insert(&mut self, node: RegisteredNode) -> Result<(), RegistryError> {
        if self.0.contains_key(&node.id) {
            return Err(RegistryError::Twice(node.id));
        }
        self.0.insert(node.id.clone(), node);
        Ok(())
    }

    /// A node.
    pub fn get(&self, id: &NodeId) -> Option<&RegisteredNode> {
        self.0.get(id)
    }

    /// All nodes, by id.
    pub fn iter(&self) -> impl Iterator<Item = &RegisteredNode> {
        self.0.values()
    }
}

/// The fields of one line, RFC 4180 quotes taken off; `None` if a quote is not closed.
pub(crate) fn split_csv(line: &str) -> Option<Vec<String>> {
    let (mut fields, mut field, mut quoted) = (Vec::new(), String::new(), false);
    let mut characters = line.trim_end_matches('\r').chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '"' if quoted && characters.next_if_eq(&'"').is_some() => field.push('"'),
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(std::mem::take(&mut field)),
            _ => field.push(c),
        }
    }
    fields.push(field);
    (!quoted).then(|| fields.iter().map(|field| field.trim().to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "id,name,village_code,village_name\n";

    fn parse(lines: &str) -> Result<Registry, String> {
        Registry::parse_csv(&format!("{HEADER}{lines}"), Path::new("n.csv")).map_err(|error| error.to_string())
    }

    #[test]
    fn quotes_and_byte_order_marks_of_spreadsheets_are_understood() {
        let text = format!("\u{feff}{HEADER}a-1,\"Pasar \"\"Baru\"\", timur\",35.12.07.2003,Sumberanyar\r\n\r\n");
        let registry = Registry::parse_csv(&text, Path::new("n.csv")).unwrap();
        let node = registry.iter().next().unwrap();
        assert_eq!(node.name.as_deref(), Some("Pasar \"Baru\", timur"));
        assert_eq!(node.village_code.as_deref(), Some("35.12.07.2003"));
    }

    #[test]
    fn each_bad_line_is_refused_with_its_exact_error() {
        let cases = [
            ("a-1,x", "nodes.file n.csv, line 2: 2 fields: 4 are expected"),
            ("a-1,\"x,,", "nodes.file n.csv, line 2: a quote is not closed"),
            (
                "a-1,,3512072003,",
                "nodes.file n.csv, line 2: village_code = \"3512072003\": a village's code such as 35.12.07.2003, or nothing is allowed",
            ),
            ("a,,,\na,,,", "node a is registered twice: remove one of its entries from nodes.file or nodes.list"),
        ];
        for (lines, expected) in cases {
            assert_eq!(parse(lines).unwrap_err(), expected);
        }
        let error = Registry::parse_csv("id;name\n", Path::new("n.csv")).unwrap_err().to_string();
        assert_eq!(
            error,
            "nodes.file n.csv, line 1: the header is \"id;name\": id,name,village_code,village_name is expected"
        );
    }
}
