//! From a card whose agent does not run: a stopped one's own, or a dead node's in a reader. Nothing on it is written.

use std::path::{Path, PathBuf};

use simpul_wire::Stream;
use simpul_wire::image::{ImageMeta, ImagePart};
use simpul_wire::limits::IMAGE_PART_BYTES_MAX;

use super::credentials::Credentials;
use super::pack::{BATCH_BYTES_MAX, ORDER, Packer};
use super::{Carried, CarryError, Wish};
use crate::config::Config;
use crate::spool::{Backlog, Stored};

/// A path of the card's own, as it is reached from here.
fn within(root: &Path, path: &Path) -> PathBuf {
    if path.starts_with(root) {
        return path.to_owned();
    }
    path.strip_prefix("/").map_or_else(|_| path.to_owned(), |inner| root.join(inner))
}

/// Where the configuration of a card that is mounted at `root` is.
pub fn config_path(root: &Path, config: &Path) -> PathBuf {
    within(root, config)
}

/// A card's configuration, with its paths as they are reached from here.
pub fn rooted(mut config: Config, root: &Path) -> Config {
    for path in [
        &mut config.state_directory,
        &mut config.spool.directory,
        &mut config.enrolment.directory,
        &mut config.uplink.certificate_file,
        &mut config.uplink.key_file,
    ] {
        *path = within(root, path);
    }
    config
}

/// Bytes that wait, for an estimate.
///
/// # Errors
/// It is no spool, or an agent runs on it.
pub fn waiting_bytes(config: &Config, images: bool) -> Result<u64, CarryError> {
    Ok(Backlog::open(&config.spool.directory)?.waiting_bytes(images))
}

/// Make a carry file; `write` gets it, piece by piece.
///
/// # Errors
/// The card or the identity on it cannot be read, or `write` failed.
pub fn export(
    config: &Config,
    wish: &Wish,
    created_ms: i64,
    write: &mut dyn FnMut(&[u8]) -> Result<(), CarryError>,
) -> Result<Carried, CarryError> {
    let credentials = Credentials::load(config, wish.to)?;
    let mut backlog = Backlog::open(&config.spool.directory)?;
    let epoch = backlog.epoch()?;
    let owed = backlog.owed(&ORDER[..if wish.images { 4 } else { 3 }]);
    let mut packer = Packer::begin(&credentials, epoch, created_ms, &owed, wish.bytes_max)?;
    let mut unreadable = 0;
    for stream in ORDER.into_iter().filter(|stream| *stream != Stream::Snapshot) {
        // A batch is of one epoch; what is held is written when another begins, or enough has come together.
        let mut held: Vec<Stored> = Vec::new();
        let (mut of, mut bytes) = (epoch, 0);
        let mut failed = Ok(());
        unreadable += backlog.walk(stream, &mut |epoch, stored| {
            if epoch != of || bytes + stored.bytes.len() > BATCH_BYTES_MAX {
                failed = flush(&mut packer, of, stream, &mut held, write);
                (of, bytes) = (epoch, 0);
            }
            bytes += stored.bytes.len();
            held.push(stored);
            failed.is_ok()
        });
        failed?;
        flush(&mut packer, of, stream, &mut held, write)?;
    }
    if wish.images {
        let mut images = Vec::new();
        unreadable += backlog.walk(Stream::Snapshot, &mut |epoch, stored| {
            images.push((epoch, stored));
            true
        });
        for (epoch, stored) in images.into_iter().rev() {
            let seq = stored.range.first();
            let whole = match minicbor::decode::<ImageMeta>(&stored.bytes) {
                Ok(meta) => backlog.image(epoch, seq, meta.length)?.map(|jpeg| (meta, jpeg)),
                Err(_) => None,
            };
            let Some((meta, jpeg)) = whole else {
                unreadable += 1;
                continue;
            };
            if !packer.has_room_for(meta.length) {
                continue;
            }
            let mut offset = 0;
            for bytes in jpeg.chunks(IMAGE_PART_BYTES_MAX) {
                packer.part(epoch, seq, &ImagePart { meta: meta.clone(), offset, bytes: bytes.to_vec() })?;
                offset += u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                write(&packer.take())?;
            }
        }
    }
    packer.done.unreadable += unreadable;
    let (rest, carried) = packer.end()?;
    if carried.records == [0; 4] && carried.unreadable == 0 && carried.images_left == 0 {
        return Err(CarryError::Nothing);
    }
    write(&rest)?;
    Ok(carried)
}

fn flush(
    packer: &mut Packer,
    epoch: simpul_wire::Epoch,
    stream: Stream,
    held: &mut Vec<Stored>,
    write: &mut dyn FnMut(&[u8]) -> Result<(), CarryError>,
) -> Result<(), CarryError> {
    while let Some(last) = packer.batch(epoch, stream, held)? {
        held.retain(|stored| stored.range.first() > last);
        write(&packer.take())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cards_paths_are_reached_from_here_once() {
        let root = Path::new("/mnt/card");
        for (path, expected) in [
            ("/var/lib/simpul/spool", "/mnt/card/var/lib/simpul/spool"),
            ("/mnt/card/etc/simpul/agent.toml", "/mnt/card/etc/simpul/agent.toml"),
            ("relative", "relative"),
        ] {
            assert_eq!(within(root, Path::new(path)), Path::new(expected));
        }
    }
}
