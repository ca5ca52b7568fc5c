//! The hub's process: the command line, and nothing else.

use std::process::ExitCode;

use clap::Parser;
use simpul_hub::cli::{self, Cli};

fn main() -> ExitCode {
    match cli::main(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("simpul-hub: {}", explain(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error and its causes, without what a message already says of its cause.
fn explain(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text += &format!(": {cause}");
        }
    }
    text
}
