//! The technicians' API, typed.

use rcgen::KeyPair;
use simpul_wire::NodeId;
use simpul_wire::enrolment::{Identity, KeptIdentity, RenewRequest};
use simpul_wire::technician::{
    ACCEPTANCES_PATH, Acceptance, AcceptanceKept, ExaminationOrdered, IssuedToken, ListedNode, NODES_PATH, NodeFacts,
    NodeList, SignedAcceptance, node_path,
};
use zeroize::Zeroizing;

use super::Hub;
use super::problem::Problem;

/// Pages of a list: more nodes than a nation has villages, and the hub is at fault.
const PAGES_MAX: usize = 1_000;

impl Hub {
    /// All nodes, by id.
    pub fn nodes(&self) -> Result<Vec<ListedNode>, Problem> {
        let mut all: Vec<ListedNode> = Vec::new();
        for _ in 0..PAGES_MAX {
            let after = all.last().map(|last| format!("?after={}", last.node)).unwrap_or_default();
            let page = NodeList::from_slice(&self.get(&format!("{NODES_PATH}{after}"))?).map_err(Problem::answer)?;
            let is_last = !page.more || page.nodes.is_empty();
            all.extend(page.nodes);
            if is_last {
                break;
            }
        }
        Ok(all)
    }

    /// A node's facts: at once, or once they are others than `seen` (then after 20 s at most).
    pub fn facts(&self, node: &NodeId, seen: Option<u64>) -> Result<NodeFacts, Problem> {
        let query = seen.map(|seen| format!("?seen={seen}")).unwrap_or_default();
        NodeFacts::from_slice(&self.get(&node_path(node, &query))?).map_err(Problem::answer)
    }

    /// The node whose id is most like this one: what was probably meant.
    pub fn nearest(&self, node: &NodeId) -> Option<NodeId> {
        let nodes = self.nodes().ok()?.into_iter().map(|listed| listed.node);
        let near = nodes.map(|known| (strsim::damerau_levenshtein(node.as_str(), known.as_str()), known));
        // Two slips at most: beyond, it is another node and no slip.
        near.filter(|(slips, _)| *slips <= 2).min().map(|(_, known)| known)
    }

    /// Order an examination: the facts will have a report with this id.
    pub fn examine(&self, node: &NodeId) -> Result<ExaminationOrdered, Problem> {
        let answer = self.post(&node_path(node, "/examination"), Vec::new())?;
        ExaminationOrdered::from_slice(&answer).map_err(Problem::answer)
    }

    /// A picture's JPEG; the hub notes that this laptop looked at it.
    pub fn picture(&self, node: &NodeId, snapshot: i64) -> Result<Vec<u8>, Problem> {
        self.get(&node_path(node, &format!("/snapshots/{snapshot}")))
    }

    /// A node's enrolment token: on the hub's books it was asked for by this laptop, and ends with it.
    pub fn token(&self, node: &NodeId) -> Result<IssuedToken, Problem> {
        IssuedToken::from_slice(&self.post(&node_path(node, "/token"), Vec::new())?).map_err(Problem::answer)
    }

    /// A node's identity made ahead, for a place without an uplink: the agent's identity file, a secret; and until when it
    /// is good, Unix seconds.
    pub fn bundle(&self, node: &NodeId) -> Result<(Zeroizing<Vec<u8>>, u64), Problem> {
        let key = KeyPair::generate().map_err(Problem::key)?;
        let request = rcgen::CertificateParams::default().serialize_request(&key).map_err(Problem::key)?;
        let request = RenewRequest { request: request.der().to_vec().into() };
        let answer = self.post(&node_path(node, "/bundle"), request.to_vec())?;
        let identity = Identity::from_slice(&answer).map_err(Problem::answer)?;
        let until_s = identity.validity.to_s;
        let kept = KeptIdentity { node: node.clone(), key: key.serialize_der().into(), identity, token: None };
        Ok((Zeroizing::new(kept.to_file()), until_s))
    }

    /// Have an acceptance kept, signed by this laptop.
    pub fn accept(&self, acceptance: &Acceptance) -> Result<AcceptanceKept, Problem> {
        let bytes = acceptance.to_vec();
        let signature = self.sign(&bytes)?;
        let signed = SignedAcceptance { acceptance: bytes.into(), signature: signature.into() };
        AcceptanceKept::from_slice(&self.post(ACCEPTANCES_PATH, signed.to_vec())?).map_err(Problem::answer)
    }
}
