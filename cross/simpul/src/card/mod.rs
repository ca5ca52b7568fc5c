//! `simpul card IMAGE --to /dev/sdX`: an image onto a card, read back, with a node's own files in its boot partition.
//!
//! What it refuses, each with its own text: a mounted card, the disk this computer runs from, a disk of more than 256 GB
//! without `--allow-large`, a partition instead of a card, an image that is larger than the card, torn, damaged, or no
//! disk image. Without `--to` it lists the cards there are.
//!
//! A card that was pulled out half-way begins with a mark instead of a partition table ([`write`](mod@write) has the
//! order), so it never looks like one that boots, and the next run says what happened and begins anew.
//!
//! With `--node BUNDLE` the first boot installs the agent ([`node`]). `--only-node` adds or renews the node's files on a
//! card that holds a finished image.

pub mod cache;
pub mod image;
pub mod marker;
pub mod medium;
pub mod node;
mod origin;
pub mod partitions;
pub mod problem;
pub mod target;
pub mod write;
#[cfg(test)]
mod write_tests;

use std::path::PathBuf;

use simpul_clock::Clock;
use simpul_words::{Ask, Card, Language, Words};

use crate::ask::{Answer, ask};
use crate::bundle::Bundle;
use crate::exit::Exit;
use crate::platform::{self, Disk};
use crate::progress::Progress;
use cache::BlockCache;
use image::{HEAD_BYTES, Image};
use medium::{Medium, ReadBack};
use problem::Problem;
use target::Target;
use write::{Moment, Stage};

/// What was asked for.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The image; none with `--only-node`.
    pub image: Option<PathBuf>,
    /// The card or file.
    pub to: Option<PathBuf>,
    /// The node's bundle.
    pub node: Option<PathBuf>,
    /// Do not write an image.
    pub only_node: bool,
    /// More than 256 GB is meant.
    pub allow_large: bool,
    /// Do not ask.
    pub yes: bool,
}

/// Run `simpul card`.
pub fn run(request: &Request, language: Language, clock: &Clock) -> Result<(), Exit> {
    let say = |words: Card<'_>| eprintln!("{}", words.text(language));
    let bundle = request.node.as_deref().map(Bundle::read).transpose()?;
    if request.only_node {
        return only_node(request, bundle.as_ref(), language);
    }
    let Some(path) = &request.image else { return Err(Exit::Usage) };
    let mut image = Image::open(path)?;
    let Some(to) = &request.to else { return list(&image, language) };
    let mut target = Target::open(to, request.allow_large)?;
    write::check(&image, &target)?;
    origin::check(path, language)?;
    let shown = to.display();
    match write::left_unfinished(&mut target) {
        Some(Some(left)) => {
            say(Card::UnfinishedBefore { image: &left.image, position: &language.bytes(left.position_bytes) })
        }
        Some(None) => say(Card::UnfinishedBeforeUnknown),
        None => {}
    }
    match target.disk() {
        Some(disk) => say(Card::AboutToErase {
            image: &image.name,
            path: &shown,
            capacity: &language.bytes(disk.capacity_bytes),
            model: &disk.model,
            removable: &removable(disk, language),
        }),
        None => say(Card::AboutToWriteFile { image: &image.name, path: &shown }),
    }
    confirm(request.yes, language)?;
    target.prepare()?;

    let begun = clock.now();
    let mut progress = Progress::new(language, clock.clone());
    let mut installed = None;
    let written = write::write(
        &mut image,
        &mut target,
        &mut |moment, blocks, found| match (&bundle, moment) {
            (Some(bundle), Moment::Check) => node::check(blocks, found, bundle),
            (Some(bundle), Moment::Install) => {
                installed = Some(node::install(blocks, found, bundle)?);
                Ok(())
            }
            (None, _) => Ok(()),
        },
        &mut |stage, done, total| {
            let name = match stage {
                Stage::Write => Card::StageWrite,
                Stage::Verify => Card::StageVerify,
                Stage::Finish => Card::StageFinish,
            };
            progress.at(&name.text(language), done, total);
        },
    );
    progress.end();
    let written = written?;
    let duration = language.duration(clock.now().since(begun));
    say(Card::Verified { bytes: &language.bytes(written.bytes), target: &shown, duration: &duration });
    say(match written.read_back {
        ReadBack::Direct => Card::ReadDirect,
        ReadBack::Reopened => Card::ReadReopened,
    });
    say(Card::Hash { sha256: &hex::encode(written.sha256) });
    say_installed(bundle.as_ref(), installed, language);
    say(Card::Finished { target: &shown });
    Ok(())
}

fn only_node(request: &Request, bundle: Option<&Bundle>, language: Language) -> Result<(), Exit> {
    let (Some(to), Some(bundle)) = (&request.to, bundle) else { return Err(Exit::Usage) };
    let shown = to.display().to_string();
    if !to.exists() {
        return Err(Problem::NoSuchTarget { target: shown }.into());
    }
    let mut target = Target::open(to, request.allow_large)?;
    let mut head = vec![0; HEAD_BYTES];
    let count = target.read_at(0, &mut head).map_err(Problem::CardRead)?;
    let found = partitions::partitions(&head);
    if count < HEAD_BYTES || found.is_empty() {
        return Err(Problem::NotFinished { target: shown }.into());
    }
    let before = head.clone();
    let mut blocks = BlockCache::new(&mut target, &mut head);
    let mechanism = node::install(&mut blocks, &found, bundle)?;
    target.sync().map_err(Problem::CardWrite)?;
    if head != before {
        write::finish(&mut target, &head)?;
    }
    say_installed(Some(bundle), Some(mechanism), language);
    eprintln!("{}", Card::Finished { target: &shown }.text(language));
    Ok(())
}

fn say_installed(bundle: Option<&Bundle>, installed: Option<node::Mechanism>, language: Language) {
    let (Some(bundle), Some(mechanism)) = (bundle, installed) else { return };
    let (node, village) = (&bundle.manifest.node, &bundle.manifest.village);
    eprintln!("{}", Card::NodeInstalled { node, village, how: &mechanism.name() }.text(language));
    eprintln!("{}", Card::NodeTokenOnCard.text(language));
}

fn removable(disk: &Disk, language: Language) -> String {
    if disk.removable { Card::Removable.text(language) } else { Card::NotRemovable.text(language) }
}

fn list(image: &Image, language: Language) -> Result<(), Exit> {
    let disks = platform::disks()?;
    let cards: Vec<_> = disks.iter().filter(|disk| disk.removable && !disk.system && disk.capacity_bytes > 0).collect();
    let Some(first) = cards.first() else {
        println!("{}", Card::NoCandidates.text(language));
        return Err(Exit::Failed);
    };
    println!("{}", Card::Candidates.text(language));
    for disk in &cards {
        let (capacity, how) = (language.bytes(disk.capacity_bytes), removable(disk, language));
        let mounted = disk.mounted_at.join(", ");
        println!("  {:<16} {capacity:>10}  {:<28} {how}  {mounted}", disk.path, disk.model);
    }
    println!("{}", Card::ChooseTarget { image: &image.name, path: &first.path }.text(language));
    Ok(())
}

/// Ask, unless `--yes`.
fn confirm(yes: bool, language: Language) -> Result<(), Exit> {
    let answer = if yes { Answer::Yes } else { ask(&Ask::GoOn.text(language)) };
    match answer {
        Answer::Yes => Ok(()),
        Answer::Skip | Answer::No => Err(Exit::Stopped),
        Answer::Nobody => Err(Exit::NoTerminal),
    }
}
