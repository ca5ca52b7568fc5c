//! What nodes are to be configured with: one file for all, or one for each node from a folder. Obvious mistakes are
//! refused here, before a node has to refuse them one by one; the node's own judgement stays the last word.

use std::path::Path;

use simpul_wire::NodeId;
use simpul_wire::update::CONFIGURATION_BYTES_MAX;

use super::{UpdateError, read_bounded};

/// What a file for several nodes has where a node's own has its id.
pub const PLACE: &str = "@NODE@";

/// Where the configurations of a rollout come from.
#[derive(Debug)]
pub enum Source {
    /// One text for all, with [`PLACE`].
    Shared(String),
    /// Node and text.
    Each(Vec<(NodeId, String)>),
}

impl Source {
    /// From a file, or a folder with NODE.toml for each node.
    ///
    /// # Errors
    /// The first thing that is wrong, with the file's name.
    pub fn read(path: &Path) -> Result<Source, UpdateError> {
        let file = |source| UpdateError::File { path: path.into(), source };
        if !std::fs::metadata(path).map_err(file)?.is_dir() {
            let text = text(path)?;
            check(path, &text, PLACE)?;
            return Ok(Source::Shared(text));
        }
        let mut each = Vec::new();
        for entry in std::fs::read_dir(path).map_err(file)? {
            let path = entry.map_err(file)?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            // Editors leave such files behind.
            if name.starts_with('.') || name.ends_with('~') {
                continue;
            }
            let node = name.strip_suffix(".toml").and_then(|name| name.parse::<NodeId>().ok());
            let Some(node) = node else {
                let text = format!("{}: a folder of configurations has NODE.toml for each node", path.display());
                return Err(UpdateError::refused(text));
            };
            let text = text(&path)?;
            check(&path, &text, node.as_str())?;
            each.push((node, text));
        }
        each.sort();
        if each.is_empty() {
            let text = format!("{}: there is no NODE.toml in this folder", path.display());
            return Err(UpdateError::refused(text));
        }
        Ok(Source::Each(each))
    }

    /// The text for a node; `None`: there is none.
    pub fn text_for(&self, node: &NodeId) -> Option<String> {
        match self {
            Source::Shared(text) => Some(text.replace(PLACE, node.as_str())),
            Source::Each(each) => each.iter().find(|(id, _)| id == node).map(|(_, text)| text.clone()),
        }
    }
}

fn text(path: &Path) -> Result<String, UpdateError> {
    // A shared text grows by the ids that are put in: the node's limit counts.
    let bytes = read_bounded(path, CONFIGURATION_BYTES_MAX.into())?;
    String::from_utf8(bytes)
        .map_err(|_| UpdateError::refused(format!("{}: is not UTF-8 text; save it as such", path.display())))
}

fn check(path: &Path, text: &str, node: &str) -> Result<(), UpdateError> {
    let refuse = |what: &str| Err(UpdateError::refused(format!("{}: {what}", path.display())));
    let table: toml::Table = match text.parse() {
        Ok(table) => table,
        Err(error) => {
            let error: toml::de::Error = error;
            return refuse(&format!("is not valid TOML: {}", error.to_string().trim_end()));
        }
    };
    let said = table.get("node").and_then(toml::Value::as_str);
    match said {
        Some(said) if said == node => {}
        None => return refuse(&format!("has no node: write node = \"{node}\"")),
        Some(said) if node == PLACE => {
            return refuse(&format!(
                "node = \"{said}\": in a file for several nodes write node = \"{PLACE}\", or else every node would take that id"
            ));
        }
        Some(said) => return refuse(&format!("node = \"{said}\": node = \"{node}\" is expected in this file")),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_file_gets_each_nodes_id_and_a_folder_has_one_for_each() {
        let folder = tempfile::tempdir().unwrap();
        let shared = folder.path().join("all.toml");
        std::fs::write(&shared, "node = \"@NODE@\"\nclock = \"trust\"\n").unwrap();
        let node: NodeId = "a-1".parse().unwrap();
        let text = Source::read(&shared).unwrap().text_for(&node).unwrap();
        assert_eq!(text, "node = \"a-1\"\nclock = \"trust\"\n");
        let each = folder.path().join("each");
        std::fs::create_dir(&each).unwrap();
        std::fs::write(each.join("a-1.toml"), "node = \"a-1\"").unwrap();
        std::fs::write(each.join(".a-1.toml.swp"), "x").unwrap();
        let source = Source::read(&each).unwrap();
        assert_eq!(source.text_for(&node).as_deref(), Some("node = \"a-1\""));
        assert_eq!(source.text_for(&"b-1".parse().unwrap()), None);
    }

    #[test]
    fn each_bad_configuration_is_refused_with_its_exact_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.toml");
        let large = format!("node = \"@NODE@\"\n#{}", "x".repeat(CONFIGURATION_BYTES_MAX as usize));
        let cases: &[(&[u8], &str)] = &[
            (b"clock = \"trust\"", "has no node: write node = \"@NODE@\""),
            (
                b"node = \"a-1\"",
                "node = \"a-1\": in a file for several nodes write node = \"@NODE@\", or else every node would take that id",
            ),
            (b"node = \"\xff\"", "is not UTF-8 text; save it as such"),
            (large.as_bytes(), "has more than 65536 bytes; is it the right file?"),
        ];
        for (bytes, expected) in cases {
            std::fs::write(&path, bytes).unwrap();
            let error = Source::read(&path).unwrap_err().to_string();
            assert_eq!(error, format!("{}: {expected}", path.display()));
        }
        std::fs::write(&path, "node = ").unwrap();
        assert!(Source::read(&path).unwrap_err().to_string().contains("x.toml: is not valid TOML: "));
        let folder = tempfile::tempdir().unwrap();
        let error = || Source::read(folder.path()).unwrap_err().to_string();
        assert_eq!(error(), format!("{}: there is no NODE.toml in this folder", folder.path().display()));
        let file = folder.path().join("a-1.toml");
        std::fs::write(&file, "node = \"a-2\"").unwrap();
        assert_eq!(error(), format!("{}: node = \"a-2\": node = \"a-1\" is expected in this file", file.display()));
        std::fs::remove_file(&file).unwrap();
        let file = folder.path().join("notes.txt");
        std::fs::write(&file, "").unwrap();
        assert_eq!(error(), format!("{}: a folder of configurations has NODE.toml for each node", file.display()));
    }
}
