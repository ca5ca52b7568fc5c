//! What is shipped: each program for each kind of machine, and what it may ask of that machine.

/// A program for one kind of machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Product {
    /// What `--target` calls it: the program and Debian's name of the architecture.
    pub name: &'static str,
    /// Cargo's package and the program's name; Debian's package is called so too.
    pub program: &'static str,
    /// Debian's name of the architecture.
    pub architecture: &'static str,
    /// rustc's name of the target.
    pub triple: &'static str,
    /// zig's name of it, with the oldest C library that it has to run with.
    pub zig: &'static str,
    /// Second and third number of the oldest glibc that it runs with; `None`: static, it needs none.
    pub glibc: Option<(u32, u32)>,
    /// Most bytes of the program, if it has a budget.
    pub bytes_max: Option<u64>,
}

/// The agent's pages are most of its memory, and it goes over village links: 6 MB.
const AGENT_BYTES_MAX: Option<u64> = Some(6_000_000);

/// Debian 11, Ubuntu 20.04 and Raspberry Pi OS (Legacy) have this one; all later ones run it too.
const GLIBC: (u32, u32) = (2, 31);

/// All products, smallest machine first.
pub const ALL: [Product; 5] = [
    Product {
        name: "agent-arm64",
        program: "simpul-agent",
        architecture: "arm64",
        triple: "aarch64-unknown-linux-musl",
        zig: "aarch64-linux-musl",
        glibc: None,
        bytes_max: AGENT_BYTES_MAX,
    },
    // With glibc: Rust has a musl target for this one, too, but not on every mirror.
    Product {
        name: "agent-armhf",
        program: "simpul-agent",
        architecture: "armhf",
        triple: "armv7-unknown-linux-gnueabihf",
        zig: "arm-linux-gnueabihf.2.31",
        glibc: Some(GLIBC),
        bytes_max: AGENT_BYTES_MAX,
    },
    Product {
        name: "agent-amd64",
        program: "simpul-agent",
        architecture: "amd64",
        triple: "x86_64-unknown-linux-musl",
        zig: "x86_64-linux-musl",
        glibc: None,
        bytes_max: AGENT_BYTES_MAX,
    },
    // The hub's memory is spread over many threads, where musl's allocator is slow.
    Product {
        name: "hub-amd64",
        program: "simpul-hub",
        architecture: "amd64",
        triple: "x86_64-unknown-linux-gnu",
        zig: "x86_64-linux-gnu.2.31",
        glibc: Some(GLIBC),
        bytes_max: None,
    },
    Product {
        name: "hub-arm64",
        program: "simpul-hub",
        architecture: "arm64",
        triple: "aarch64-unknown-linux-gnu",
        zig: "aarch64-linux-gnu.2.31",
        glibc: Some(GLIBC),
        bytes_max: None,
    },
];

/// The names, for the command line.
pub const NAMES: [&str; 5] = [ALL[0].name, ALL[1].name, ALL[2].name, ALL[3].name, ALL[4].name];

impl Product {
    /// By its name.
    pub fn named(name: &str) -> Option<&'static Product> {
        ALL.iter().find(|product| product.name == name)
    }

    /// Whether the room's page is in it.
    pub fn has_page(&self) -> bool {
        self.program == "simpul-hub"
    }

    /// The version that everything of the workspace has.
    pub fn version() -> &'static str {
        env!("CARGO_PKG_VERSION")
    }

    /// What its files begin with.
    pub fn file_stem(&self) -> String {
        format!("{}_{}_{}", self.program, Product::version(), self.architecture)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_linkers_glibc_is_the_one_that_is_promised() {
        for product in ALL {
            let suffix = product.glibc.map(|(major, minor)| format!(".{major}.{minor}")).unwrap_or_default();
            assert!(product.zig.ends_with(&format!("{}{suffix}", if suffix.is_empty() { "musl" } else { "" })));
            assert_eq!(product.zig.contains("musl"), product.glibc.is_none(), "{product:?}");
        }
    }

    #[test]
    fn every_name_finds_its_product() {
        assert!(NAMES.iter().all(|name| Product::named(name).is_some_and(|product| product.name == *name)));
        assert_eq!(Product::named("agent-riscv64"), None);
    }
}
