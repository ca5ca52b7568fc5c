//! Synthetic visitors and staff at an agent's local API, all marked `simulated`.
//!
//! A caller keeps its promise too: a key that was not answered is sent again until 200, so what [`Ledger`] holds is
//! exactly what the agent accepted.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::bail;
use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use crate::node::Node;

/// Services of a village office: identity card, family card, birth certificate, removal letter.
pub const SERVICES: [&str; 4] = ["ktp", "kk", "akta-lahir", "surat-pindah"];
/// Pause before a key is sent again: an agent needs longer to restart, and a flood would not make it quicker.
const RETRY_EVERY: Duration = Duration::from_millis(50);
/// A request without an answer is given up and sent again.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// An accepted record: what the hub must show under its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The node.
    pub node: String,
    /// The service's code.
    pub service: String,
    /// A counter's change; `None`: a visit.
    pub delta: Option<i64>,
    /// A visit's ticket.
    pub ticket: Option<String>,
    /// The sequence number that the answer named; none when the answer broke off after its status.
    pub seq: Option<u64>,
}

/// What was accepted, by key. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Ledger(Arc<Mutex<BTreeMap<String, Accepted>>>);

impl Ledger {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Accepted>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records so far.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether nothing was accepted yet.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// A copy.
    pub fn entries(&self) -> BTreeMap<String, Accepted> {
        self.lock().clone()
    }
}

/// A desk with its callers. Clones share ledger, numbering and counters.
#[derive(Debug, Clone)]
pub struct Desk {
    node: String,
    base: String,
    token: String,
    prefix: String,
    ledger: Ledger,
    client: reqwest::Client,
    numbers: Arc<AtomicU64>,
    in_flight: Arc<AtomicUsize>,
    retries: Arc<AtomicU64>,
}

impl Desk {
    /// Callers at `node`; keys begin with `prefix`, which differs between runs on one store.
    pub fn new(node: &Node, prefix: &str, ledger: &Ledger) -> anyhow::Result<Desk> {
        Desk::at(node.id(), &node.url(""), node.token(), prefix, ledger)
    }

    /// Callers at the local API at `base`, of the node `id`.
    pub fn at(id: &str, base: &str, token: &str, prefix: &str, ledger: &Ledger) -> anyhow::Result<Desk> {
        crate::install_crypto();
        Ok(Desk {
            node: id.to_owned(),
            base: base.to_owned(),
            token: token.to_owned(),
            prefix: prefix.to_owned(),
            ledger: ledger.clone(),
            client: reqwest::Client::builder().timeout(ANSWER_MAX).build()?,
            numbers: Arc::default(),
            in_flight: Arc::default(),
            retries: Arc::default(),
        })
    }

    /// Requests that were sent and are not answered at this moment.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::SeqCst)
    }

    /// Requests that had to be sent again.
    pub fn retries(&self) -> u64 {
        self.retries.load(Ordering::SeqCst)
    }

    /// One more served at a counter; its key once it is accepted.
    pub async fn count(&self, service: &str, amount: i64) -> anyhow::Result<String> {
        let (key, path, body, accepted) = self.counted(service, amount);
        self.send_until_accepted(&path, &body, key, accepted).await
    }

    /// A visit that ended; its key once it is accepted.
    pub async fn visit(&self, service: &str, waited_s: u32, served_s: u32) -> anyhow::Result<String> {
        let key = self.key();
        let ticket = format!("A{:03}", self.numbers.load(Ordering::Relaxed) % 1_000);
        let body = json!({
            "key": key, "service": service, "desk": "loket-2", "ticket": ticket, "waited_s": waited_s,
            "served_s": served_s, "outcome": "served", "simulated": true,
        });
        let accepted = Accepted {
            node: self.node.clone(),
            service: service.to_owned(),
            delta: None,
            ticket: Some(ticket),
            seq: None,
        };
        self.send_until_accepted("/v1/visits", &body, key, accepted).await
    }

    /// Some visitor's business, drawn from `random`.
    pub async fn anything(&self, random: &mut StdRng) -> anyhow::Result<String> {
        let service = SERVICES[random.random_range(0..SERVICES.len())];
        if random.random_bool(0.3) {
            self.visit(service, random.random_range(0..3_600), random.random_range(60..1_200)).await
        } else {
            self.count(service, random.random_range(1..4)).await
        }
    }

    fn key(&self) -> String {
        format!("{}-{}", self.prefix, self.numbers.fetch_add(1, Ordering::Relaxed))
    }

    /// Offer one more served at a counter once; what the agent says to it.
    pub async fn offer(&self, service: &str, amount: i64) -> anyhow::Result<Offer> {
        let (key, path, body, accepted) = self.counted(service, amount);
        self.send(&path, &body, &key, &accepted).await
    }

    /// A request of one more served: key, path, body, and what is accepted by it.
    fn counted(&self, service: &str, amount: i64) -> (String, String, Value, Accepted) {
        let key = self.key();
        let body = json!({ "key": key, "amount": amount, "desk": "loket-1", "simulated": true });
        let accepted = Accepted {
            node: self.node.clone(),
            service: service.to_owned(),
            delta: Some(amount),
            ticket: None,
            seq: None,
        };
        (key, format!("/v1/counters/{service}/increment"), body, accepted)
    }

    /// Send until 200.
    async fn send_until_accepted(
        &self,
        path: &str,
        body: &Value,
        key: String,
        accepted: Accepted,
    ) -> anyhow::Result<String> {
        loop {
            if self.send(path, body, &key, &accepted).await? == Offer::Accepted {
                return Ok(key);
            }
            // Not there, full, too quick, or killed in the middle: the same key again.
            self.retries.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(RETRY_EVERY).await;
        }
    }

    /// Send once. A refusal that would stay one (4xx but 429) is an error: a test's mistake, or the agent's.
    async fn send(&self, path: &str, body: &Value, key: &str, accepted: &Accepted) -> anyhow::Result<Offer> {
        self.in_flight.fetch_add(1, Ordering::SeqCst);
        let sent = self.client.post(format!("{}{path}", self.base)).bearer_auth(&self.token).json(body).send().await;
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
        let Ok(response) = sent else { return Ok(Offer::Unanswered) };
        match response.status().as_u16() {
            200 => {
                let said: Value = response.json().await.unwrap_or_default();
                let accepted = Accepted { seq: said["seq"].as_u64(), ..accepted.clone() };
                self.ledger.lock().insert(key.to_owned(), accepted);
                Ok(Offer::Accepted)
            }
            507 => Ok(Offer::Full),
            status if (400..500).contains(&status) && status != 429 => {
                bail!("POST {path}: {status}: {}", response.text().await.unwrap_or_default())
            }
            status => Ok(Offer::Refused(status, response.text().await.unwrap_or_default())),
        }
    }
}

/// What became of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Offer {
    /// 200: it is in the ledger.
    Accepted,
    /// 507: buffer or disk are full.
    Full,
    /// Another status that may pass, and what it says.
    Refused(u16, String),
    /// No answer.
    Unanswered,
}

/// How the hub's records compare with a ledger.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Comparison {
    /// Keys that were accepted and are not at the hub.
    pub missing: Vec<String>,
    /// Keys that are at the hub more than once.
    pub doubled: Vec<String>,
    /// Keys whose record says something else than what was accepted.
    pub different: Vec<String>,
    /// Keys at the hub that nobody was told are accepted (sent, durable, and the answer was lost for good).
    pub unanswered: usize,
}

/// Compare the hub's service records with what was accepted, by key and content.
pub fn compare(accepted: &BTreeMap<String, Accepted>, rows: &[Value]) -> Comparison {
    let mut comparison = Comparison::default();
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    for row in rows {
        let key = row["key"].as_str().unwrap_or_default();
        let times = seen.entry(key).or_default();
        *times += 1;
        if *times == 2 {
            comparison.doubled.push(key.to_owned());
        }
        let Some(expected) = accepted.get(key) else {
            comparison.unanswered += usize::from(*times == 1);
            continue;
        };
        let same = row["node"] == expected.node.as_str()
            && row["service"] == expected.service.as_str()
            && row["delta"].as_i64() == expected.delta
            && row["ticket"].as_str() == expected.ticket.as_deref()
            && row["simulated"] == true;
        if !same {
            comparison.different.push(format!("{key}: accepted {expected:?}, the hub has {row}"));
        }
    }
    comparison.missing = accepted.keys().filter(|key| !seen.contains_key(key.as_str())).cloned().collect();
    comparison
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_a_doubled_and_a_changed_record_are_each_found() {
        let entry = |delta: i64| Accepted {
            node: "a-01".to_owned(),
            service: "ktp".to_owned(),
            delta: Some(delta),
            ticket: None,
            seq: None,
        };
        let row = |key: &str, delta: i64| json!({ "key": key, "node": "a-01", "service": "ktp", "delta": delta, "ticket": null, "simulated": true });
        let accepted: BTreeMap<String, Accepted> =
            [("k1", 1), ("k2", 2), ("k3", 3), ("k4", 4)].map(|(key, delta)| (key.to_owned(), entry(delta))).into();
        let rows = [row("k1", 1), row("k2", 2), row("k2", 2), row("k3", 30), row("k9", 9)];
        let found = compare(&accepted, &rows);
        assert_eq!(found.missing, ["k4"]);
        assert_eq!(found.doubled, ["k2"]);
        assert_eq!(found.different.len(), 1, "{:?}", found.different);
        assert!(found.different[0].starts_with("k3"), "{:?}", found.different);
        assert_eq!(found.unanswered, 1);
        assert_eq!(compare(&BTreeMap::new(), &[]), Comparison::default());
    }
}
