//! What a program runs on, read from the program itself: a file of another machine would be refused by each node, one
//! by one. Pure.

use simpul_wire::update::{Part, Version};

/// The platforms of agents.
pub const AGENT_PLATFORMS: [&str; 3] = ["aarch64-linux", "armv7-linux", "x86_64-linux"];

/// The platform of boards.
pub const BOARD_PLATFORM: &str = "rp2040";

/// Of an ELF program for Linux; `None`: it is none, or for a machine that no agent is made for.
pub fn of_elf(program: &[u8]) -> Option<&'static str> {
    let (ident, rest) = program.split_at_checked(16)?;
    let [class, data] = [ident.get(4)?, ident.get(5)?];
    let number = |at: usize| Some(u16::from_le_bytes(rest.get(at..at + 2)?.try_into().ok()?));
    let (kind, machine) = (number(0)?, number(2)?);
    // Executable, or position independent (static ones too).
    if !ident.starts_with(b"\x7fELF") || *data != 1 || !matches!(kind, 2 | 3) {
        return None;
    }
    match (*class, machine) {
        (2, 183) => Some("aarch64-linux"),
        (1, 40) => Some("armv7-linux"),
        (2, 62) => Some("x86_64-linux"),
        _ => None,
    }
}

/// Platform and version that a board's update file says of itself (docs/protocol/board-update.md).
pub fn of_board_file(file: &[u8]) -> Option<(&'static str, Version)> {
    let (header, image) = file.split_at_checked(20)?;
    let at = |index: usize| header.get(index).copied();
    let length = u32::from_le_bytes(header.get(12..16)?.try_into().ok()?);
    if !header.starts_with(b"SIMPULFW") || at(8)? != 1 || usize::try_from(length).ok()? != image.len() {
        return None;
    }
    let version = Version { major: at(9)?.into(), minor: at(10)?.into(), patch: at(11)?.into() };
    Some((BOARD_PLATFORM, version))
}

/// Refuse a program that is not what the manifest is to say of it.
///
/// # Errors
/// What it is instead.
pub fn check(part: Part, version: Version, platform: &str, program: &[u8]) -> Result<(), String> {
    match part {
        Part::Agent => match of_elf(program) {
            Some(found) if found == platform => Ok(()),
            Some(found) => Err(format!("the program is for {found}, not for {platform}: take the other file")),
            None => Err(format!("the program is no agent for {platform}: it is no ELF program for that machine")),
        },
        Part::Board => match of_board_file(program) {
            Some((found, said)) if found == platform && said == version => Ok(()),
            Some((found, said)) => Err(format!(
                "the update file says {said} for {found}, not {version} for {platform}: correct --version or --platform"
            )),
            None => Err("this is no update file of a board: take pico.img of `cargo xtask firmware`".into()),
        },
        Part::Configuration => Err("a configuration is not signed: `simpul-hub updates start --configuration`".into()),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The head of an ELF program for a machine.
    pub fn elf(class: u8, machine: u16, body: &[u8]) -> Vec<u8> {
        let mut program = b"\x7fELF\0\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
        program[4] = class;
        program.extend(3u16.to_le_bytes());
        program.extend(machine.to_le_bytes());
        program.extend(body);
        program
    }

    #[test]
    fn a_program_says_its_machine_and_anything_else_says_none() {
        assert_eq!(of_elf(&elf(2, 183, b"")), Some("aarch64-linux"));
        assert_eq!(of_elf(&elf(1, 40, b"")), Some("armv7-linux"));
        assert_eq!(of_elf(&elf(2, 62, b"")), Some("x86_64-linux"));
        assert_eq!(of_elf(&elf(2, 243, b"")), None, "RISC-V");
        assert_eq!(of_elf(&elf(1, 183, b"")), None, "32 bits of a 64 bit machine");
        let whole = elf(2, 62, b"");
        for length in 0..whole.len() {
            assert_eq!(of_elf(&whole[..length]), None, "{length}");
        }
        // This test itself is one.
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(of_elf(&own), Some(simpul_wire::update::THIS_PLATFORM));
    }

    #[test]
    fn a_boards_file_says_its_version_and_a_cut_one_is_none() {
        let mut file = b"SIMPULFW\x01\x00\x02\x03".to_vec();
        file.extend(4u32.to_le_bytes());
        file.extend([0; 4]);
        file.extend(b"code");
        let version = Version { major: 0, minor: 2, patch: 3 };
        assert_eq!(of_board_file(&file), Some(("rp2040", version)));
        assert!(check(Part::Board, version, "rp2040", &file).is_ok());
        for length in 0..file.len() {
            assert_eq!(of_board_file(&file[..length]), None, "{length}");
        }
        let error = check(Part::Board, Version::default(), "rp2040", &file).unwrap_err();
        assert_eq!(
            error,
            "the update file says 0.2.3 for rp2040, not 0.0.0 for rp2040: correct --version or --platform"
        );
    }
}
