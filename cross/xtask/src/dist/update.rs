//! Update files of the agents: signed by the hub's own program, so that release and hub cannot differ in what they mean.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::products::Product;
use super::sign::refuse_in_repository;
use crate::run::{cargo, command, run, target};

/// The update key, and the program that signs with it.
pub struct UpdateSigner {
    key: PathBuf,
    hub: PathBuf,
}

/// What nodes call the machines of a product; `None`: it is no agent.
fn platform(product: &Product) -> Option<&'static str> {
    match product.name {
        "agent-arm64" => Some("aarch64-linux"),
        "agent-armhf" => Some("armv7-linux"),
        "agent-amd64" => Some("x86_64-linux"),
        _ => None,
    }
}

impl UpdateSigner {
    /// With the key in `file`; builds this machine's hub.
    pub fn open(file: &Path) -> anyhow::Result<UpdateSigner> {
        refuse_in_repository(file)?;
        File::open(file).with_context(|| format!("cannot read the update key {}", file.display()))?;
        run(&mut cargo(&["build", "--locked", "--package", "simpul-hub", "--bins"]))?;
        Ok(UpdateSigner { key: file.to_owned(), hub: target().join("debug/simpul-hub") })
    }

    /// Sign a product's program in `folder`, if it is an agent; the update file's name.
    pub fn sign(&self, product: &Product, folder: &Path) -> anyhow::Result<Option<String>> {
        let Some(platform) = platform(product) else { return Ok(None) };
        let stem = product.file_stem();
        let name = format!("{stem}.update");
        let file = File::create(folder.join(&name)).with_context(|| format!("cannot write {name}"))?;
        let mut sign = command(&self.hub.to_string_lossy(), &["updates", "sign", "--part", "agent"]);
        sign.args(["--version", Product::version(), "--platform", platform, "--key"]).arg(&self.key);
        run(sign.arg(folder.join(&stem)).stdout(file))?;
        Ok(Some(name))
    }
}

#[cfg(test)]
mod tests {
    use super::super::products::ALL;
    use super::*;

    #[test]
    fn every_agent_has_a_platform_and_no_hub_has_one() {
        for product in ALL {
            assert_eq!(platform(&product).is_some(), product.program == "simpul-agent", "{}", product.name);
        }
    }
}
