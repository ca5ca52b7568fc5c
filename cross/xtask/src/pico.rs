//! The Pico's tests: its image as it is shipped, on an emulated RP2040 (`tests/pico`, run by node).

use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;

use crate::firmware;
use crate::page::npm_packages;
use crate::run::{command, root, target, watched};

fn tests() -> PathBuf {
    root().join("tests/pico")
}

/// The packages that the emulator runs by.
pub fn packages() -> anyhow::Result<()> {
    npm_packages(&tests())
}

/// Bytes of memory that the image takes with its stack, painted before and looked at after everything was at work at once.
/// `firmware::build` came before.
///
/// # Errors
/// When the image cannot be run, or fails what it is put through.
pub fn measured_ram_bytes() -> anyhow::Result<u64> {
    npm_packages(&tests())?;
    let mut budget = command("node", &["--test", "--test-reporter=spec", "budget.test.mjs"]);
    budget.current_dir(tests());
    let mut bytes = None;
    let succeeded = watched(images(&mut budget), |line| {
        // "memory: 736 static + 6412 stack = 7148 of 8192 bytes"
        let used = line.split_once("memory: ").and_then(|(_, rest)| rest.split_once("= "));
        bytes = used.and_then(|(_, rest)| rest.split(' ').next()?.parse().ok()).or(bytes);
    })?;
    bytes.filter(|_| succeeded).context("the Pico's image could not be measured: see above")
}

/// The tests as a command. `firmware::build` came before.
pub fn tests_command() -> anyhow::Result<Command> {
    npm_packages(&tests())?;
    let next = firmware::build_next()?;
    let mut tests_command = command("npm", &["test", "--silent"]);
    images(&mut tests_command).current_dir(tests()).env("SIMPUL_PICO_NEXT_ELF", next);
    Ok(tests_command)
}

/// Tell the tests where the images are.
fn images(tests_command: &mut Command) -> &mut Command {
    let image = |name: &str| target().join("firmware").join(name);
    tests_command.env("SIMPUL_PICO_ELF", image("simpul-pico.elf")).env("SIMPUL_LOADER_ELF", image("simpul-loader.elf"))
}
