//! From a whole download to what may be put on trial: unpacked, judged, on the card, and named by nothing yet.

use std::path::Path;

use simpul_wire::update::{Part, Version};

use super::core::Job;
use super::install::Trouble;
use super::launch::{Place, Program};
use super::{Updates, fetch, in_force, install, judge};
use crate::sources::board::image;
use crate::spool;

/// What is to be put on trial.
pub(super) enum Prepared {
    Program(Place, Program),
    Configuration([u8; 32]),
    Board(Vec<u8>, u32),
}

impl Updates {
    /// The work, for a thread that may block.
    pub(super) fn preparation(&self, job: Job) -> impl FnOnce() -> Result<Prepared, Trouble> + Send + use<> {
        let updates = self.parts.updates.clone();
        let (path, place) = (self.parts.path.clone(), self.launch.free_slot());
        let formats = [spool::FORMAT, self.launch.packaged.spool_format];
        let clock = self.parts.clock.clone();
        move || {
            let content = fetch::file(&updates, &job.wanted().sha256);
            match job {
                Job::Program { manifest, .. } if manifest.part == Part::Agent => {
                    let folder = updates.join(place.folder().unwrap_or("a"));
                    let program = install::install(&content, &folder, &manifest, &formats, &clock)?;
                    Ok(Prepared::Program(place, program))
                }
                Job::Program { manifest, .. } => prepare_image(&content, manifest.version),
                Job::Configuration { .. } => {
                    let text = String::from_utf8(std::fs::read(&content)?)
                        .map_err(|_| Trouble::Final("the configuration is not text".into()))?;
                    let own = crate::config::Config::load(&path).map_err(|error| Trouble::Final(error.to_string()))?;
                    in_force::check(&path, &own, &text).map_err(Trouble::Final)?;
                    Ok(Prepared::Configuration(in_force::keep(&updates, &text)?))
                }
            }
        }
    }
}

fn prepare_image(content: &Path, version: Version) -> Result<Prepared, Trouble> {
    let image = image::read(content).map_err(|error| Trouble::Final(format!("the board's image: {error}")))?;
    let begin = image.begin;
    let [major, minor, patch] = begin.version.map(u16::from);
    let inside = Version { major, minor, patch };
    if inside != version {
        return Err(Trouble::Final(format!("signed as {version}, and the image says that it is {inside}")));
    }
    if begin.hardware != simpul_wire::board::Hardware::Pico {
        return Err(Trouble::Final(format!(
            "signed for {}, and the image is for another board",
            judge::BOARD_PLATFORM
        )));
    }
    Ok(Prepared::Board(std::fs::read(content)?, begin.crc32))
}
