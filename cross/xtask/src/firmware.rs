//! `cargo xtask firmware`: the boards' images, and whether each keeps to its budget of flash and memory.
//!
//! The boards are a workspace of their own (`firmware/boards`) with a target folder of its own, `target/boards`, which
//! the emulated board's tests use as well. ELF files end up in `target/firmware`, with UF2 files of the boards that take them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use object::elf::{SHF_ALLOC, SHF_WRITE};
use object::{Object, ObjectSection, SectionFlags, SectionKind};

use crate::run::{Stages, cargo, command, found, root, run, target};
use crate::{board_image, pico, report, system};

/// A board.
#[derive(Debug)]
struct Board {
    /// Its folder in `firmware/boards`, and what its figures are called by.
    name: &'static str,
    package: &'static str,
    /// What rustc calls its chip's instruction set.
    triple: &'static str,
    flash_bytes_max: u64,
    /// Static: what the linker knows of. The stack is measured where an image runs.
    ram_bytes_max: u64,
    /// Whether files to flash and to send are made of it and of the loader.
    files: bool,
}

/// All boards. The order is that of the table.
const BOARDS: [Board; 3] = [
    // What lies before the loader's journal, which lies before the image.
    Board {
        name: "loader",
        package: "simpul-loader",
        triple: "thumbv6m-none-eabi",
        flash_bytes_max: 12 * 1024,
        ram_bytes_max: 8 * 1024,
        files: false,
    },
    // What the firmware is promised to fit into: a sixty-fourth of the chip's flash, so that an update can be kept beside
    // it many times, and a thirty-third of its memory, of which most is left for the stack.
    Board {
        name: "pico",
        package: "simpul-pico",
        triple: "thumbv6m-none-eabi",
        flash_bytes_max: 32 * 1024,
        ram_bytes_max: 8 * 1024,
        files: true,
    },
    // The emulated chip has 256 and 64 KiB. The same logic as on the Pico, in wider instructions and with other drivers:
    // the same budget shows growth that is not the Pico's own.
    Board {
        name: "lm3s6965",
        package: "simpul-lm3s6965",
        triple: "thumbv7m-none-eabi",
        flash_bytes_max: 32 * 1024,
        ram_bytes_max: 8 * 1024,
        files: false,
    },
];

/// What an image takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Size {
    /// Code, constants, and the start values of what is written to.
    flash_bytes: u64,
    /// Variables, with a start value and without.
    ram_bytes: u64,
}

/// The report's file.
const AREA: &str = "firmware";

/// No version that will ever be given out.
const NEXT_VERSION: &str = "9.8.7";

/// `cargo xtask firmware`.
pub fn command_alone() -> anyhow::Result<()> {
    let mut stages = Stages::new(3);
    stages.next("system packages");
    system::ensure(system::BUILD)?;
    stages.next("images of all boards");
    build()?;
    stages.next("memory of the Pico with its deepest stack, on an emulated chip");
    let pico = BOARDS.iter().find(|board| board.name == "pico").context("no pico among the boards")?;
    let bytes = pico::measured_ram_bytes()?;
    println!("pico takes {bytes} bytes of memory with its deepest stack and may take {}", pico.ram_bytes_max);
    report::append(AREA, &report_line("pico_ram_bytes", bytes, pico.ram_bytes_max))?;
    if bytes > pico.ram_bytes_max {
        bail!("over budget: pico takes {bytes} bytes of memory and may take {}", pico.ram_bytes_max);
    }
    Ok(())
}

/// Build the boards that are there, print what they take, and fail if one takes more than it may.
pub fn build() -> anyhow::Result<()> {
    let mut over = Vec::new();
    println!("{:<12} {:>14} {:>14} {:>14} {:>14}", "board", "flash bytes", "of", "static RAM", "of");
    for board in present() {
        add_target(board)?;
        run(&mut board_cargo(board, &["build", "--quiet", "--locked", "--release"]))?;
        let elf = target().join("boards").join(board.triple).join("release").join(board.package);
        let image = fs::read(&elf).with_context(|| format!("cannot read {}", elf.display()))?;
        fs::write(folder()?.join(format!("{}.elf", board.package)), &image)?;
        if board.files {
            write_files(&image)?;
        }
        let size = size(&image).with_context(|| format!("cannot measure {}", elf.display()))?;
        let Size { flash_bytes, ram_bytes } = size;
        let Board { name, flash_bytes_max, ram_bytes_max, .. } = board;
        println!("{name:<12} {flash_bytes:>14} {flash_bytes_max:>14} {ram_bytes:>14} {ram_bytes_max:>14}");
        report_board(board, size)?;
        over.extend(excess(board, size));
    }
    if !over.is_empty() {
        bail!("over budget: {}", over.join("; "));
    }
    Ok(())
}

/// The Pico's image as another version: what the update's tests change to and back from. The ELF's path; beside it is what
/// an agent sends, `pico-next.img`.
pub fn build_next() -> anyhow::Result<PathBuf> {
    let board = BOARDS.iter().find(|board| board.name == "pico").context("no pico among the boards")?;
    let mut build = board_cargo(board, &["build", "--quiet", "--locked", "--release"]);
    run(build.env("SIMPUL_BOARD_VERSION", NEXT_VERSION))?;
    let elf = target().join("boards").join(board.triple).join("release").join(board.package);
    let next = folder()?.join("simpul-pico-next.elf");
    let image = fs::read(&elf).with_context(|| format!("cannot read {}", elf.display()))?;
    write(&next, &image)?;
    write(&folder()?.join("pico-next.img"), &board_image::to_send(&image, board_image::version(NEXT_VERSION)?)?)?;
    Ok(next)
}

/// The Pico's files: `pico.uf2` for a technician, `pico.img` for agents.
fn write_files(image: &[u8]) -> anyhow::Result<()> {
    let folder = folder()?;
    // Built before the image: it comes first in the table.
    let loader = fs::read(folder.join("simpul-loader.elf")).context("the loader's image")?;
    let files =
        [("pico.uf2", board_image::to_flash(&loader, image)?), ("pico.img", board_image::to_send(image, version()?)?)];
    for (name, bytes) in files {
        write(&folder.join(name), &bytes)?;
    }
    Ok(())
}

fn write(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    fs::write(file, bytes).with_context(|| format!("cannot write {}", file.display()))
}

/// The version that the Pico's image says of itself: what it was told at its build, or its workspace's.
fn version() -> anyhow::Result<[u8; 3]> {
    if let Ok(version) = std::env::var("SIMPUL_BOARD_VERSION") {
        return board_image::version(&version);
    }
    let manifest = fs::read_to_string(workspace().join("Cargo.toml"))?;
    let version = manifest.lines().find_map(|line| line.strip_prefix("version = \"")?.strip_suffix('"'));
    board_image::version(version.context("the boards' workspace has no version")?)
}

/// Build the image of one board, called by the name of its folder.
pub fn build_one(name: &str) -> anyhow::Result<()> {
    let board = BOARDS.iter().find(|board| board.name == name).with_context(|| format!("there is no board {name}"))?;
    add_target(board)?;
    run(&mut board_cargo(board, &["build", "--locked", "--release"]))
}

/// clippy on the boards that are there, warnings refused.
pub fn clippy() -> anyhow::Result<()> {
    for board in present() {
        add_target(board)?;
        let mut clippy = board_cargo(board, &["clippy", "--quiet", "--locked", "--release"]);
        run(clippy.args(["--", "-D", "warnings"]))?;
    }
    Ok(())
}

/// Formatting of the boards.
pub fn formatting() -> anyhow::Result<()> {
    run(cargo(&["fmt", "--all", "--check"]).current_dir(workspace()))
}

/// The boards' workspace.
pub fn workspace() -> PathBuf {
    root().join("firmware/boards")
}

fn present() -> impl Iterator<Item = &'static Board> {
    BOARDS.iter().filter(|board| workspace().join(board.name).join("Cargo.toml").is_file())
}

/// Where images end up.
fn folder() -> anyhow::Result<PathBuf> {
    let folder = target().join("firmware");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

fn board_cargo(board: &Board, arguments: &[&str]) -> Command {
    let mut cargo = cargo(arguments);
    cargo.args(["--package", board.package, "--target", board.triple, "--target-dir"]);
    cargo.arg(target().join("boards")).current_dir(workspace());
    cargo
}

fn add_target(board: &Board) -> anyhow::Result<()> {
    // Without rustup the distribution brings the targets; the build says if it does not.
    if !found("rustup") {
        return Ok(());
    }
    run(command("rustup", &["--quiet", "target", "add", board.triple]).current_dir(root()))
}

/// Sum up the sections that the linker placed.
fn size(elf: &[u8]) -> anyhow::Result<Size> {
    let file = object::File::parse(elf)?;
    let mut size = Size { flash_bytes: 0, ram_bytes: 0 };
    for section in file.sections() {
        let SectionFlags::Elf { sh_flags } = section.flags() else { continue };
        if sh_flags & u64::from(SHF_ALLOC) == 0 {
            continue;
        }
        if sh_flags & u64::from(SHF_WRITE) != 0 {
            size.ram_bytes += section.size();
        }
        // Zeroed variables take room in memory only.
        if section.kind() != SectionKind::UninitializedData {
            size.flash_bytes += section.size();
        }
    }
    Ok(size)
}

fn excess(board: &Board, size: Size) -> Vec<String> {
    [("flash", size.flash_bytes, board.flash_bytes_max), ("static RAM", size.ram_bytes, board.ram_bytes_max)]
        .into_iter()
        .filter(|(_, bytes, max)| bytes > max)
        .map(|(what, bytes, max)| format!("{} takes {bytes} bytes of {what} and may take {max}", board.name))
        .collect()
}

/// Append what the build tells of a board to the report, in the form that the benches use.
fn report_board(board: &Board, size: Size) -> anyhow::Result<()> {
    let line = |what: &str, bytes: u64, max: u64| report_line(&format!("{}_{what}_bytes", board.name), bytes, max);
    let lines = line("flash", size.flash_bytes, board.flash_bytes_max)
        + &line("static_ram", size.ram_bytes, board.ram_bytes_max);
    report::append(AREA, &lines)
}

fn report_line(name: &str, bytes: u64, max: u64) -> String {
    report::bytes_line(name, bytes, Some(max), "cargo xtask firmware")
}

#[cfg(test)]
mod tests {
    use object::elf::{SHT_NOBITS, SHT_PROGBITS, SHT_STRTAB};

    use super::*;

    /// A 32-bit ELF file with sections of these types, flags and sizes, all without content.
    fn elf(sections: &[(u32, u32, u32)]) -> Vec<u8> {
        const HEADER_BYTES: u32 = 52;
        let mut bytes = vec![0; HEADER_BYTES as usize];
        // 32 bits, little-endian, version 1; executable for ARM; section headers right behind.
        bytes[..7].copy_from_slice(&[0x7F, b'E', b'L', b'F', 1, 1, 1]);
        bytes[16..20].copy_from_slice(&[2, 0, 40, 0]);
        bytes[20] = 1;
        bytes[32..36].copy_from_slice(&HEADER_BYTES.to_le_bytes());
        bytes[40] = 52;
        bytes[46] = 40;
        // The first one is nobody's, the last one has the names: none.
        bytes[48] = u8::try_from(sections.len() + 2).unwrap();
        bytes[50] = bytes[48] - 1;
        bytes.extend([0; 40]);
        for (kind, flags, size) in sections.iter().chain([&(SHT_STRTAB, 0, 0)]) {
            let mut header = [0u8; 40];
            header[4..8].copy_from_slice(&kind.to_le_bytes());
            header[8..12].copy_from_slice(&flags.to_le_bytes());
            header[20..24].copy_from_slice(&size.to_le_bytes());
            bytes.extend(header);
        }
        bytes
    }

    #[test]
    fn start_values_count_in_flash_and_in_ram_and_notes_in_neither() {
        let sections = [
            (SHT_PROGBITS, SHF_ALLOC, 1_000),
            (SHT_PROGBITS, SHF_ALLOC | SHF_WRITE, 20),
            (SHT_NOBITS, SHF_ALLOC | SHF_WRITE, 300),
            (SHT_PROGBITS, 0, 7_777),
        ];
        assert_eq!(size(&elf(&sections)).unwrap(), Size { flash_bytes: 1_020, ram_bytes: 320 });
    }

    #[test]
    fn an_image_over_its_budget_is_named_with_both_numbers() {
        let board = &BOARDS[1];
        let fits = Size { flash_bytes: board.flash_bytes_max, ram_bytes: board.ram_bytes_max };
        assert_eq!(excess(board, fits), Vec::<String>::new());
        let over = excess(board, Size { flash_bytes: board.flash_bytes_max + 1, ..fits });
        assert_eq!(over, ["pico takes 32769 bytes of flash and may take 32768"]);
    }
}
