//! A camera's confirmed view over a restart: one small file, rewritten atomically.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::judge::View;
use crate::config::CameraConfig;

/// The file.
#[derive(Debug, Clone)]
pub struct ViewFile {
    path: PathBuf,
    setup: String,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    /// What the view belongs to: masks drawn anew begin with a new view.
    setup: String,
    view: View,
}

impl ViewFile {
    /// For a camera with masks.
    pub fn new(config: &CameraConfig) -> Self {
        let mut setup = Sha256::new();
        for mask in &config.masks {
            [mask.x, mask.y, mask.width, mask.height].iter().for_each(|side| setup.update(side.to_be_bytes()));
        }
        let (width, height) = config.mask_resolution.unwrap_or_default();
        setup.update(width.to_be_bytes());
        setup.update(height.to_be_bytes());
        let path = config.state_directory.join(format!("camera-{}.json", config.id));
        ViewFile { path, setup: hex::encode(setup.finalize()) }
    }

    /// What was kept. Nothing, or masks drawn anew: a new view with the configured resolution. Unreadable: it is not
    /// known what was confirmed, so someone must look (everything is masked until then).
    pub fn load(&self, resolution: Option<(u16, u16)>) -> View {
        let new = View { resolution, ..View::default() };
        let unknown = |what: String| {
            tracing::error!(file = %self.path.display(), what, "a camera's view is unreadable: everything is masked until \
                someone confirms it");
            View { awaiting: true, ..new.clone() }
        };
        match std::fs::read(&self.path) {
            Ok(bytes) => match serde_json::from_slice::<Kept>(&bytes) {
                Ok(kept) if kept.setup == self.setup => kept.view,
                Ok(_) => new,
                Err(error) => unknown(error.to_string()),
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => new,
            Err(error) => unknown(error.to_string()),
        }
    }

    /// Keep a view. Blocking: two fsyncs.
    ///
    /// # Errors
    /// When the directory cannot be written to.
    pub fn save(&self, view: &View) -> std::io::Result<()> {
        let bytes = serde_json::to_vec(&Kept { setup: self.setup.clone(), view: view.clone() })?;
        let directory = self.path.parent().ok_or(std::io::ErrorKind::InvalidInput)?;
        std::fs::create_dir_all(directory)?;
        let temporary = self.path.with_extension("new");
        let mut file = File::create(&temporary)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, &self.path)?;
        File::open(directory)?.sync_all()
    }
}
