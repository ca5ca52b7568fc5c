//! The Pico's tests: its image as it is shipped, on an emulated RP2040 (`tests/pico`, run by node).

use std::path::PathBuf;
use std::process::Command;

use crate::firmware;
use crate::page::npm_packages;
use crate::run::{command, root, target};

fn tests() -> PathBuf {
    root().join("tests/pico")
}

/// The tests as a command. `firmware::build` came before.
pub fn tests_command() -> anyhow::Result<Command> {
    npm_packages(&tests())?;
    let next = firmware::build_next()?;
    let image = |name: &str| target().join("firmware").join(name);
    let mut tests_command = command("npm", &["test", "--silent"]);
    tests_command
        .current_dir(tests())
        .env("SIMPUL_PICO_ELF", image("simpul-pico.elf"))
        .env("SIMPUL_LOADER_ELF", image("simpul-loader.elf"))
        .env("SIMPUL_PICO_NEXT_ELF", next);
    Ok(tests_command)
}
