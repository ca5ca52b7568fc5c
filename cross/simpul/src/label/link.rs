//! The link to a node's phone page, as its label's QR code has it: the machine's name, the port of its configuration, and
//! behind the `#` what the code held before and then the phone code, which comes out of the bundle's token
//! (docs/adr/0010-phone-page.md).

use std::path::Path;

use sha2::{Digest, Sha256};
use simpul_wire::NodeId;
use simpul_wire::enrolment::{EnrolmentToken, PHONE_CODE_BYTES, PHONE_CODE_PURPOSE, PHONE_PORT};

use crate::bundle::{Bundle, Credential};
use crate::exit::Exit;
use crate::list::Node;
use crate::list::problem::Problem;

/// Where a node's phone page is, and its code. A secret until the node is accepted: for the label only.
#[derive(Clone, PartialEq, Eq)]
pub struct Link {
    host: String,
    port: u16,
    code: String,
}

impl Link {
    /// Of a bundle; nothing: its configuration has no `[phone]`, or its token is none that a hub of this version made.
    pub fn of(bundle: &Bundle) -> Option<Link> {
        let config: toml::Table = toml::from_str(std::str::from_utf8(&bundle.config).ok()?).ok()?;
        let port = match config.get("phone")?.as_table()?.get("listen") {
            Some(listen) => listen.as_str()?.rsplit_once(':')?.1.parse().ok()?,
            None => PHONE_PORT,
        };
        let node: NodeId = bundle.manifest.node.parse().ok()?;
        // An identity made ahead has no token to take a code from: `simpul-agent phone-code` makes one.
        let Credential::Token(token) = &bundle.credential else { return None };
        let token: EnrolmentToken = std::str::from_utf8(token).ok()?.parse().ok()?;
        Some(Link { host: host_name(&node), port, code: code(token.secret.expose()) })
    }

    /// Of the bundle at `path`, which has to be `node`'s.
    ///
    /// # Errors
    /// It is no whole bundle, or another node's.
    pub fn of_file(path: &Path, node: &Node) -> Result<Option<Link>, Exit> {
        let bundle = Bundle::read(path)?;
        let found = &bundle.manifest.node;
        if *found != node.node {
            let (path, wanted, found) = (path.display().to_string(), node.node.clone(), found.clone());
            return Err(Problem::OtherNode { path, wanted, found }.into());
        }
        Ok(Link::of(&bundle))
    }

    /// What the QR code says, with what it held before.
    pub fn text(&self, plain: &str) -> String {
        let Link { host, port, code } = self;
        format!("http://{host}:{port}/#{plain}:{code}")
    }
}

/// The name of a node's machine in the village's network.
pub fn host_name(node: &NodeId) -> String {
    format!("{}.local", node.host_name())
}

/// The code that belongs to a token's secret; the agent computes the same.
fn code(secret: &[u8; 16]) -> String {
    let mut hash = Sha256::new();
    hash.update(PHONE_CODE_PURPOSE);
    hash.update(Sha256::digest(secret));
    hex::encode(&hash.finalize()[..PHONE_CODE_BYTES])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle(config: &str) -> Bundle {
        let token = EnrolmentToken {
            node: "35.12.07.2003-01".parse().expect("an id"),
            secret: simpul_wire::enrolment::Secret::from_bytes([7; 16]),
            authority: [1; 32],
            addresses: vec!["hub:8884".parse().expect("an address")],
            expires_s: 1,
        };
        let manifest = crate::bundle::Manifest {
            format: 1,
            node: token.node.to_string(),
            village: "Banyuglugur".into(),
            files: Vec::new(),
        };
        let token = zeroize::Zeroizing::new(format!("{token}\n").into_bytes());
        Bundle {
            manifest,
            config: config.as_bytes().to_vec(),
            credential: Credential::Token(token),
            agent: Vec::new(),
            agent_name: String::new(),
            secrets: Vec::new(),
        }
    }

    #[test]
    fn the_link_has_the_machines_name_the_port_and_the_code() {
        let plain = "SIMPUL:1:35.12.07.2003-01";
        let link = |config: &str| Link::of(&bundle(config)).map(|link| link.text(plain));
        // The same code is pinned in the agent's test.
        let code = "ff4d29764c3edc8422ecd192";
        let host = "http://simpul-35-12-07-2003-01.local";
        assert_eq!(link("[phone]\n"), Some(format!("{host}:8481/#{plain}:{code}")));
        assert_eq!(link("[phone]\nlisten = \"0.0.0.0:80\"\n"), Some(format!("{host}:80/#{plain}:{code}")));
        for off in ["node = \"a\"\n", "[phone]\nlisten = 7\n", "phone = 1\n", "[phone"] {
            assert_eq!(link(off), None, "{off}");
        }
    }
}
