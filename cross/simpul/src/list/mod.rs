//! A list of nodes: a CSV file with the columns `node`, `village` and, if known, `serial` and `bundle`.
//!
//! Read as a whole or not at all: a wrong line is named with its number before anything is printed or written. Other
//! columns are left alone; a spreadsheet's BOM and its semicolons are understood.

pub mod problem;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use simpul_wire::NodeId;

use crate::bundle::check_village;
use problem::Problem;

/// A box has ten; the largest district has 852 villages. Ten times that is somebody else's file.
const NODES_MAX: usize = 10_000;
/// A serial is on a label and in a QR code; a Pi's has 16 letters.
const SERIAL_BYTES_MAX: usize = 32;
/// How much of the serial is printed: enough to tell the boards in a box apart over the telephone.
const SHORT_SERIAL_LETTERS: usize = 6;

/// One node of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its id.
    pub node: String,
    /// Where it will stand.
    pub village: String,
    /// Its hardware's serial, if it is known already.
    pub serial: Option<String>,
    /// Its bundle, relative to the list's folder.
    pub bundle: Option<String>,
}

impl Node {
    /// A node by its parts, checked as one of a list is.
    pub fn new(node: &str, village: &str, serial: Option<&str>, line: u64) -> Result<Self, Problem> {
        NodeId::from_str(node).map_err(|_| Problem::BadNode { line, node: node.to_owned() })?;
        check_village(village).map_err(|_| Problem::BadVillage { line })?;
        let serial = serial.filter(|serial| !serial.is_empty());
        if let Some(serial) = serial
            && !((1..=SERIAL_BYTES_MAX).contains(&serial.len())
                && serial.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'))
        {
            return Err(Problem::BadSerial { line, serial: serial.to_owned() });
        }
        Ok(Node { node: node.into(), village: village.into(), serial: serial.map(str::to_owned), bundle: None })
    }

    /// The end of its serial.
    pub fn short_serial(&self) -> Option<String> {
        let serial = self.serial.as_ref()?;
        Some(serial[serial.len().saturating_sub(SHORT_SERIAL_LETTERS)..].to_ascii_uppercase())
    }
}

/// Read the list in `file`; with `known`, every node has to be one of those or belong to one of those villages.
pub fn read(file: &Path, known: Option<&Path>) -> Result<Vec<Node>, Problem> {
    let shown = file.display().to_string();
    let nodes = parse(&text(file)?, &shown)?;
    if let Some(known) = known {
        let codes = codes(&text(known)?, &known.display().to_string())?;
        for (line, node) in &nodes {
            check_known(*line, &node.node, &codes)?;
        }
    }
    Ok(nodes.into_iter().map(|(_, node)| node).collect())
}

/// Where a node's bundle is: as the list names it, else `<node>.tar`, beside the list.
pub fn bundle_of(file: &Path, node: &Node) -> PathBuf {
    let name = node.bundle.clone().unwrap_or_else(|| format!("{}.tar", node.node));
    file.parent().unwrap_or(Path::new("")).join(name)
}

fn text(file: &Path) -> Result<String, Problem> {
    let bytes = fs::read(file).map_err(|error| Problem::Unreadable { file: file.display().to_string(), error })?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(text.strip_prefix('\u{FEFF}').map(str::to_owned).unwrap_or(text))
}

fn reader(text: &str) -> csv::Reader<&[u8]> {
    let first = text.lines().next().unwrap_or_default();
    let delimiter = if first.contains(';') && !first.contains(',') { b';' } else { b',' };
    csv::ReaderBuilder::new().delimiter(delimiter).trim(csv::Trim::All).from_reader(text.as_bytes())
}

fn parse(text: &str, file: &str) -> Result<Vec<(u64, Node)>, Problem> {
    let mut reader = reader(text);
    let not_csv = |error: csv::Error| Problem::NotACsv {
        file: file.to_owned(),
        line: error.position().map_or(1, csv::Position::line),
        what: error.to_string(),
    };
    let headers = reader.headers().map_err(not_csv)?.clone();
    let column = |name: &str| headers.iter().position(|header| header.eq_ignore_ascii_case(name));
    let no_column = |column| Problem::NoColumn { file: file.to_owned(), column };
    let node_at = column("node").ok_or_else(|| no_column("node"))?;
    let village_at = column("village").or_else(|| column("desa")).ok_or_else(|| no_column("village"))?;
    let (serial_at, bundle_at) = (column("serial"), column("bundle"));
    let mut nodes: Vec<(u64, Node)> = Vec::new();
    let mut seen = BTreeMap::new();
    for record in reader.records() {
        let record = record.map_err(not_csv)?;
        let line = record.position().map_or(0, csv::Position::line);
        if nodes.len() >= NODES_MAX {
            return Err(Problem::TooLong { file: file.to_owned(), limit: NODES_MAX });
        }
        let at = |index: usize| record.get(index).unwrap_or_default();
        let mut node = Node::new(at(node_at), at(village_at), serial_at.map(at), line)?;
        node.bundle = bundle_at.map(at).filter(|name| !name.is_empty()).map(str::to_owned);
        if let Some(first) = seen.insert(node.node.clone(), line) {
            return Err(Problem::Twice { node: node.node, line, first });
        }
        nodes.push((line, node));
    }
    if nodes.is_empty() {
        return Err(Problem::Empty { file: file.to_owned() });
    }
    Ok(nodes)
}

/// The codes in the first column of a list of villages or nodes.
fn codes(text: &str, file: &str) -> Result<Vec<String>, Problem> {
    let mut codes = Vec::new();
    for record in reader(text).records() {
        let record = record.map_err(|error| Problem::NotACsv {
            file: file.to_owned(),
            line: error.position().map_or(1, csv::Position::line),
            what: error.to_string(),
        })?;
        codes.extend(record.get(0).filter(|code| !code.is_empty()).map(str::to_owned));
    }
    Ok(codes)
}

fn check_known(line: u64, node: &str, codes: &[String]) -> Result<(), Problem> {
    let belongs =
        |code: &String| node == code || node.strip_prefix(code.as_str()).is_some_and(|rest| rest.starts_with('-'));
    if codes.iter().any(belongs) {
        return Ok(());
    }
    let ordinal = node.rfind('-').map_or("", |at| &node[at..]);
    let typed = node.strip_suffix(ordinal).unwrap_or(node);
    // Two letters: a swapped pair or a digit too many; beyond that a suggestion misleads.
    let nearest = codes
        .iter()
        .map(|code| (strsim::osa_distance(typed, code).min(strsim::osa_distance(node, code)), code))
        .filter(|(distance, _)| *distance <= 2)
        .min()
        .map(|(_, code)| if code.contains('-') { code.clone() } else { format!("{code}{ordinal}") });
    Err(Problem::Unknown { node: node.to_owned(), line, nearest })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str =
        "node,village,serial\n35.12.07.2003-01,Banyuglugur,100000003f7a2c11\n35.12.07.2004-01,Kalianget,\n";

    #[test]
    fn a_list_is_read_with_its_serials() {
        let nodes = parse(GOOD, "a.csv").expect("a good list");
        assert_eq!(nodes.len(), 2);
        assert_eq!(nodes[0].1.short_serial().as_deref(), Some("7A2C11"));
        assert_eq!(nodes[1].1.serial, None);
    }

    #[test]
    fn a_spreadsheets_semicolons_are_understood() {
        let nodes = parse("Node;Desa;Bundle\n35.12.07.2003-01; Banyuglugur ;a.tar\n", "a.csv").expect("a good list");
        assert_eq!((nodes[0].1.village.as_str(), nodes[0].1.bundle.as_deref()), ("Banyuglugur", Some("a.tar")));
    }

    #[test]
    fn a_wrong_line_is_named() {
        let problem = |text: &str| parse(text, "a.csv").expect_err("refused").to_string();
        assert!(problem(&format!("{GOOD}35.12.07.2003-01,Lain,\n")).contains("Line 4"));
        assert!(matches!(parse("node,village\n", "a"), Err(Problem::Empty { .. })));
        assert!(matches!(parse("id,village\nx,y\n", "a"), Err(Problem::NoColumn { column: "node", .. })));
        assert!(matches!(parse("node,village\na b,y\n", "a"), Err(Problem::BadNode { line: 2, .. })));
        assert!(matches!(parse("node,village\nx-1,\n", "a"), Err(Problem::BadVillage { line: 2 })));
        assert!(matches!(parse("node,village,serial\nx-1,y,\"1/2\"\n", "a"), Err(Problem::BadSerial { line: 2, .. })));
        assert!(matches!(parse("node,village\nx-1,y,z\n", "a"), Err(Problem::NotACsv { .. })));
    }

    #[test]
    fn an_unknown_code_is_refused_with_the_nearest_one() {
        let codes = codes("code,name\n35.12.07.2003,Banyuglugur\n35.12.07.2004,Kalianget\n", "v").expect("a list");
        assert!(check_known(2, "35.12.07.2003-01", &codes).is_ok());
        let nearest = |node: &str| match check_known(2, node, &codes) {
            Err(Problem::Unknown { nearest, .. }) => nearest,
            other => panic!("{other:?}"),
        };
        assert_eq!(nearest("35.12.07.2030-02").as_deref(), Some("35.12.07.2003-02"));
        assert_eq!(nearest("11.01.01.2001-01"), None);
        assert_eq!(nearest("35.12.07.20031-01").as_deref(), Some("35.12.07.2003-01"));
    }
}
