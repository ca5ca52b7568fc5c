//! The node's own files on a card: which boot partition, which first-boot mechanism, which files, and are they there.
//!
//! Only FAT is written: the one file system that every image for a board keeps its boot files on, and that needs no mount.
//! Of an image whose boot files are on ext4 alone (Armbian for most boards, Debian's own disk images) nothing of this is
//! reachable, and that is said. Two mechanisms are known:
//!
//! - **cloud-init** (`meta-data` or `user-data` beside the boot files: Raspberry Pi OS since trixie, Ubuntu, images with
//!   cloud-init): the script is the `vendor-data`, which leaves the `user-data` to whoever wrote it;
//! - **kernel command line** (`cmdline.txt`: Raspberry Pi OS to bookworm, Debian for the Pi): `systemd.run=`.
//!
//! Writing them again gives the same card.

use std::io::{self, Read, Seek, Write};

use fatfs::{Dir, FileSystem, FsOptions};
use sha2::{Digest, Sha256};

use super::cache::{BlockCache, Slice};
use super::partitions::Partition;
use super::problem::Problem;
use crate::bundle::{self, Bundle, Credential};
use crate::label::link::Link;

const SCRIPT: &str = include_str!("first_boot.sh");
const UNIT: &[u8] = include_bytes!("simpul-agent.service");
/// All in the root, each name beginning so: the folders that `fatfs` 0.3 makes are ones that fsck.vfat mends.
const PREFIX: &str = "simpul-";
/// After [`PREFIX`]: what the script puts beside the configuration, and takes off the partition with the token.
const SECRET_PREFIX: &str = "secret.";
/// A boot partition's text files are a few kB; a larger one is none.
const TEXT_BYTES_MAX: u64 = 64 << 10;
/// Raspberry Pi OS moved its boot partition to /boot/firmware with bookworm, first published on this day.
const BOOKWORM: &str = "2023-10-10";

/// How the first boot is hooked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// `vendor-data`.
    CloudInit,
    /// `systemd.run=` in `cmdline.txt`; where the partition is mounted.
    CommandLine {
        /// `/boot` or `/boot/firmware`.
        mounted_at: &'static str,
    },
}

impl Mechanism {
    /// As it is called.
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::CloudInit => "cloud-init",
            Mechanism::CommandLine { .. } => "cmdline.txt",
        }
    }

    /// What is appended to the kernel's command line.
    fn hook(self) -> String {
        match self {
            Mechanism::CloudInit => String::new(),
            Mechanism::CommandLine { mounted_at } => format!(
                "systemd.run={mounted_at}/{PREFIX}first-boot.sh systemd.run_success_action=reboot \
                 systemd.unit=kernel-command-line.target"
            ),
        }
    }
}

type Folder<'f, 'b, 'c> = Dir<'f, Slice<'b, 'c>>;

/// A boot partition that will do, and what goes onto it.
struct Plan {
    partition: Partition,
    mechanism: Mechanism,
    files: Vec<NewFile>,
}

/// Refuse an image that cannot become this node, as soon as its boot partition can be read.
pub fn check(blocks: &mut BlockCache<'_>, found: &[Partition], bundle: &Bundle) -> Result<(), Problem> {
    plan(blocks, found, bundle).map(|_| ())
}

/// Put the bundle's files onto the first boot partition that has a first-boot mechanism, and read them back.
pub fn install(blocks: &mut BlockCache<'_>, found: &[Partition], bundle: &Bundle) -> Result<Mechanism, Problem> {
    let plan = plan(blocks, found, bundle)?;
    let system = open(blocks, plan.partition).map_err(broken)?;
    let root = system.root_dir();
    for file in &plan.files {
        put(&root, file).map_err(full_or(&plan.files))?;
    }
    drop(root);
    system.unmount().map_err(broken)?;
    blocks.flush_and_forget()?;
    verify(blocks, &plan)?;
    Ok(plan.mechanism)
}

fn plan(blocks: &mut BlockCache<'_>, found: &[Partition], bundle: &Bundle) -> Result<Plan, Problem> {
    let mut seen = Vec::new();
    for partition in found.iter().filter(|partition| partition.maybe_fat) {
        let Ok(system) = open(blocks, *partition) else { continue };
        let root = system.root_dir();
        let Some(mechanism) = mechanism(&root)? else {
            seen.push(format!("FAT: {}", names(&root).join(" ")));
            continue;
        };
        check_machine(&root, bundle)?;
        let files = files(&root, mechanism, bundle, system.volume_id())?;
        check_room(&system, &root, &files)?;
        return Ok(Plan { partition: *partition, mechanism, files });
    }
    let found = if seen.is_empty() { "FAT: –".to_owned() } else { seen.join("; ") };
    Err(Problem::NoFirstBoot { found })
}

fn open<'b, 'c>(blocks: &'b mut BlockCache<'c>, partition: Partition) -> io::Result<FileSystem<Slice<'b, 'c>>> {
    FileSystem::new(blocks.slice(partition), FsOptions::new().update_accessed_date(false))
}

struct NewFile {
    name: String,
    bytes: Vec<u8>,
}

fn broken(error: io::Error) -> Problem {
    Problem::BootPartition { error }
}

fn full_or(files: &[NewFile]) -> impl Fn(io::Error) -> Problem + '_ {
    |error| match error.kind() {
        io::ErrorKind::WriteZero | io::ErrorKind::StorageFull => Problem::BootPartitionFull {
            needed_bytes: files.iter().map(|file| file.bytes.len() as u64).sum(),
            free_bytes: 0,
        },
        _ => broken(error),
    }
}

fn mechanism(root: &Folder<'_, '_, '_>) -> Result<Option<Mechanism>, Problem> {
    let names = names(root);
    let has = |name: &str| names.iter().any(|found| found.eq_ignore_ascii_case(name));
    if has("meta-data") || has("user-data") {
        return Ok(Some(Mechanism::CloudInit));
    }
    if !has("cmdline.txt") {
        return Ok(None);
    }
    // "Raspberry Pi reference 2023-05-03": an older one still mounts it at /boot. Without that file: Debian's own.
    let issue = text(root, "issue.txt").map_err(broken)?.unwrap_or_default();
    let old = issue
        .split_whitespace()
        .any(|word| word.len() == 10 && word.bytes().filter(|byte| *byte == b'-').count() == 2 && word < BOOKWORM);
    Ok(Some(Mechanism::CommandLine { mounted_at: if old { "/boot" } else { "/boot/firmware" } }))
}

/// A Pi's image says what it is for by its kernels: 32-bit ones carry the older kernels too.
fn check_machine(root: &Folder<'_, '_, '_>, bundle: &Bundle) -> Result<(), Problem> {
    let names = names(root);
    let has = |name: &str| names.iter().any(|found| found.eq_ignore_ascii_case(name));
    let arm64 = has("kernel8.img") || has("kernel_2712.img");
    let armhf = has("kernel.img") || has("kernel7.img") || has("kernel7l.img");
    let image = if armhf {
        "armhf"
    } else if arm64 {
        "arm64"
    } else {
        return Ok(());
    };
    match bundle::machine_of(&bundle.agent_name, &bundle.agent) {
        Some(agent) if agent != image => Err(Problem::WrongMachine { agent: agent.into(), image: image.into() }),
        _ => Ok(()),
    }
}

fn files(
    root: &Folder<'_, '_, '_>,
    mechanism: Mechanism,
    bundle: &Bundle,
    volume: u32,
) -> Result<Vec<NewFile>, Problem> {
    let is_package = bundle::is_package(&bundle.agent);
    let agent = if is_package { "agent.deb" } else { "agent" };
    let script = SCRIPT
        .replace("@NODE@", &bundle.manifest.node)
        .replace("@VOLUME@", &format!("{:04X}-{:04X}", volume >> 16, volume & 0xFFFF))
        .replace("@AGENT@", &format!("{PREFIX}{agent}"))
        .replace("@HOOK@", &mechanism.hook())
        .replace("@HOST@", &host(bundle));
    let new = |name: &str, bytes: &[u8]| NewFile { name: format!("{PREFIX}{name}"), bytes: bytes.to_vec() };
    let mut files = vec![new(agent, &bundle.agent), new("agent.toml", &bundle.config)];
    if !is_package {
        files.push(new("agent.service", UNIT));
    }
    let sums: String =
        files.iter().map(|file| format!("{}  {}\n", hex::encode(Sha256::digest(&file.bytes)), file.name)).collect();
    files.push(new("sha256sums", sums.as_bytes()));
    files.push(match &bundle.credential {
        Credential::Token(token) => new("enrolment.token", &[token.trim_ascii(), b"\n"].concat()),
        Credential::Identity(identity) => new("identity.cbor", identity),
    });
    for (name, secret) in &bundle.secrets {
        files.push(new(&format!("{SECRET_PREFIX}{name}"), secret));
    }
    files.push(new("first-boot.sh", script.as_bytes()));
    // The hook comes last: a partition that is torn before it boots as the image alone would.
    match mechanism {
        Mechanism::CloudInit => {
            if text(root, "vendor-data").map_err(broken)?.is_some_and(|old| !is_ours(&old)) {
                return Err(Problem::ForeignFirstBoot { file: "vendor-data".into() });
            }
            let names = names(root);
            let missing = |name: &str| !names.iter().any(|found| found.eq_ignore_ascii_case(name));
            // NoCloud takes neither without the other.
            if missing("user-data") {
                files.push(NewFile { name: "user-data".into(), bytes: b"#cloud-config\n".to_vec() });
            }
            if missing("meta-data") {
                let meta = format!("instance-id: simpul-{}\n", bundle.manifest.node);
                files.push(NewFile { name: "meta-data".into(), bytes: meta.into_bytes() });
            }
            files.push(NewFile { name: "vendor-data".into(), bytes: script.into_bytes() });
        }
        Mechanism::CommandLine { .. } => {
            let old = text(root, "cmdline.txt").map_err(broken)?.unwrap_or_default();
            let line = old.replace(&mechanism.hook(), "");
            let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
            if line.contains("systemd.run=") {
                return Err(Problem::ForeignFirstBoot { file: "cmdline.txt".into() });
            }
            let bytes = format!("{line} {}\n", mechanism.hook()).into_bytes();
            files.push(NewFile { name: "cmdline.txt".into(), bytes });
        }
    }
    Ok(files)
}

/// What the machine is to be called; nothing: no phone will look for it by its label, and its name is left alone.
fn host(bundle: &Bundle) -> String {
    let node: Option<simpul_wire::NodeId> = bundle.manifest.node.parse().ok().filter(|_| Link::of(bundle).is_some());
    node.map(|node| node.host_name()).unwrap_or_default()
}

fn is_ours(vendor_data: &str) -> bool {
    vendor_data.lines().nth(1).is_some_and(|line| SCRIPT.lines().nth(1) == Some(line))
}

fn check_room(system: &FileSystem<Slice<'_, '_>>, root: &Folder<'_, '_, '_>, files: &[NewFile]) -> Result<(), Problem> {
    let stats = system.stats().map_err(broken)?;
    let cluster = u64::from(stats.cluster_size());
    let free_bytes = u64::from(stats.free_clusters()) * cluster;
    let mut needed_bytes = cluster; // the root growing
    for file in files {
        let old = root.open_file(&file.name).and_then(|mut old| old.seek(io::SeekFrom::End(0))).unwrap_or(0);
        let new = (file.bytes.len() as u64).next_multiple_of(cluster);
        needed_bytes += new.saturating_sub(old / cluster * cluster);
    }
    if needed_bytes > free_bytes {
        return Err(Problem::BootPartitionFull { needed_bytes, free_bytes });
    }
    Ok(())
}

fn put(root: &Folder<'_, '_, '_>, file: &NewFile) -> io::Result<()> {
    let mut on_card = root.create_file(&file.name)?;
    on_card.truncate()?;
    on_card.write_all(&file.bytes)?;
    on_card.flush()
}

fn verify(blocks: &mut BlockCache<'_>, plan: &Plan) -> Result<(), Problem> {
    let system = open(blocks, plan.partition).map_err(broken)?;
    let root = system.root_dir();
    for file in &plan.files {
        let mut back = Vec::new();
        root.open_file(&file.name)
            .and_then(|on_card| on_card.take(file.bytes.len() as u64 + 1).read_to_end(&mut back))
            .map_err(broken)?;
        if back != file.bytes {
            return Err(Problem::CardDiffers { position_bytes: plan.partition.start_bytes });
        }
    }
    Ok(())
}

/// The names in a folder; 512 are more than any boot partition has.
fn names(folder: &Folder<'_, '_, '_>) -> Vec<String> {
    folder.iter().flatten().take(512).map(|entry| entry.file_name()).collect()
}

fn text(folder: &Folder<'_, '_, '_>, name: &str) -> io::Result<Option<String>> {
    match folder.open_file(name) {
        Ok(file) => {
            let mut bytes = Vec::new();
            file.take(TEXT_BYTES_MAX).read_to_end(&mut bytes)?;
            Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
