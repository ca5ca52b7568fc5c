//! Masks that were drawn on site, kept beside the configuration that the agent cannot write: they add to its masks and
//! never take any away.
//!
//! One small file a camera, `camera-<id>.masks.json`: `{"masks": [[x, y, width, height], ...], "resolution": [w, h]}`, in
//! thousandths. One that cannot be read masks everything until masks are drawn anew: what nobody may see is not known.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::picture::EVERYTHING;
use crate::config::{CameraConfig, Mask};
use crate::files::replace_file;

/// Most drawn masks of one camera: each is painted into each image.
pub const DRAWN_MAX: usize = 32;
/// Largest file that is read: thirty times a full one.
const FILE_BYTES_MAX: u64 = 32 * 1024;

/// What was drawn.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Drawn {
    /// The rectangles.
    pub masks: Vec<Mask>,
    /// Resolution of the picture that they were drawn over, if one was looked at.
    pub resolution: Option<(u16, u16)>,
}

/// The file.
#[derive(Debug, Clone)]
pub struct MaskFile {
    path: PathBuf,
}

impl MaskFile {
    /// Of a camera.
    pub fn new(config: &CameraConfig) -> Self {
        MaskFile { path: config.state_directory.join(format!("camera-{}.masks.json", config.id)) }
    }

    /// What was drawn; nothing yet is no masks.
    pub fn load(&self) -> Drawn {
        let bytes = match std::fs::metadata(&self.path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Drawn::default(),
            Ok(metadata) if metadata.len() <= FILE_BYTES_MAX => std::fs::read(&self.path).ok(),
            _ => None,
        };
        bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).and_then(|kept| parse(&kept)).unwrap_or_else(|| {
            tracing::error!(file = %self.path.display(), "drawn masks are unreadable: everything is masked until they are \
                drawn anew");
            Drawn { masks: EVERYTHING.to_vec(), resolution: None }
        })
    }

    /// Keep what was drawn. Blocking: two fsyncs.
    ///
    /// # Errors
    /// When the directory cannot be written to.
    pub fn save(&self, drawn: &Drawn) -> std::io::Result<()> {
        if let Some(directory) = self.path.parent() {
            std::fs::create_dir_all(directory)?;
        }
        replace_file(&self.path, document(drawn).to_string().as_bytes())
    }
}

/// As it stands in the file, and as the page has it.
pub fn document(drawn: &Drawn) -> Value {
    let masks: Vec<Value> = drawn.masks.iter().map(|mask| json!([mask.x, mask.y, mask.width, mask.height])).collect();
    json!({ "masks": masks, "resolution": drawn.resolution.map(|(width, height)| json!([width, height])) })
}

fn parse(kept: &Value) -> Option<Drawn> {
    let resolution = match kept.get("resolution")? {
        Value::Null => None,
        sides => match numbers::<2>(sides)? {
            [width, height] if width > 0 && height > 0 => Some((width, height)),
            _ => return None,
        },
    };
    Some(Drawn { masks: rectangles(kept.get("masks")?)?, resolution })
}

/// Rectangles `[x, y, width, height]` within 0 to 1000, at most [`DRAWN_MAX`]; nothing: they are others.
pub fn rectangles(list: &Value) -> Option<Vec<Mask>> {
    let list = list.as_array().filter(|list| list.len() <= DRAWN_MAX)?;
    let mut masks = Vec::with_capacity(list.len());
    for item in list {
        let [x, y, width, height] = numbers::<4>(item)?;
        let within = |start: u16, length: u16| length > 0 && start.checked_add(length).is_some_and(|end| end <= 1_000);
        if !within(x, width) || !within(y, height) {
            return None;
        }
        masks.push(Mask { x, y, width, height });
    }
    Some(masks)
}

fn numbers<const N: usize>(list: &Value) -> Option<[u16; N]> {
    let list = list.as_array().filter(|list| list.len() == N)?;
    let mut sides = [0; N];
    for (side, number) in sides.iter_mut().zip(list) {
        *side = u16::try_from(number.as_u64()?).ok()?;
    }
    Some(sides)
}

/// A camera's configuration with the masks in force: its own, and those drawn on site.
pub fn in_force(mut config: CameraConfig) -> CameraConfig {
    let drawn = MaskFile::new(&config).load();
    add(&mut config, drawn);
    config
}

/// Add what was drawn to the configured masks. A configured resolution stays the one that they are for.
pub fn add(config: &mut CameraConfig, drawn: Drawn) {
    if config.masks.is_empty() {
        config.mask_resolution = drawn.resolution.filter(|_| !drawn.masks.is_empty());
    }
    config.masks.extend(drawn.masks);
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Mask = Mask { x: 0, y: 600, width: 250, height: 400 };

    #[test]
    fn what_was_drawn_is_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let file = MaskFile { path: folder.path().join("new").join("camera-gate.masks.json") };
        assert_eq!(file.load(), Drawn::default());
        for resolution in [None, Some((1920, 1080))] {
            let drawn = Drawn { masks: vec![ONE], resolution };
            file.save(&drawn).unwrap();
            assert_eq!(file.load(), drawn);
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_masks_everything() {
        let folder = tempfile::tempdir().unwrap();
        let file = MaskFile { path: folder.path().join("camera-gate.masks.json") };
        let long = " ".repeat(40_000) + r#"{"masks":[],"resolution":null}"#;
        let many = json!({"masks": vec![json!([0, 0, 1, 1]); 33], "resolution": null}).to_string();
        for text in [
            "",
            "{",
            "[]",
            r#"{"masks":[]}"#,
            r#"{"masks":[[0,0,0,1]],"resolution":null}"#,
            r#"{"masks":[[0,0,1001,1]],"resolution":null}"#,
            r#"{"masks":[[999,0,2,1]],"resolution":null}"#,
            r#"{"masks":[[0,0,1]],"resolution":null}"#,
            r#"{"masks":[[0,0,1.5,1]],"resolution":null}"#,
            r#"{"masks":[[0,0,-1,1]],"resolution":null}"#,
            r#"{"masks":[],"resolution":[0,1]}"#,
            &many,
            &long,
        ] {
            std::fs::write(&file.path, text).unwrap();
            assert_eq!(file.load().masks, EVERYTHING, "{text:.60}");
        }
    }
}
