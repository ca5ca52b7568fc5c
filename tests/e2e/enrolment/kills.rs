//! Hub and agent are killed at random while a node enrols: it ends enrolled, with one certificate for its token.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

/// More with `SIMPUL_ENROL_SEEDS`.
const SEEDS: u64 = 20;

#[tokio::test]
async fn kills_of_hub_and_agent_at_any_moment_leave_a_node_that_is_enrolled_or_tries_again() {
    let number =
        |name: &str, default: u64| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (first, seeds) = (number("SIMPUL_ENROL_SEED", 1), number("SIMPUL_ENROL_SEEDS", SEEDS));
    let mut district = Enrolling::start(LIFE_SECONDS).await;
    for seed in first..first + seeds {
        println!("seed {seed}");
        let mut random = StdRng::seed_from_u64(seed);
        let id = district.hub.command(&["nodes", "add", "35.12.01.2002"]).await.unwrap().trim().to_owned();
        let mut node = district.bare(&id);
        node.give_token(&district.token(&id).await).unwrap();
        for _ in 0..random.random_range(1..4) {
            node.launch().unwrap();
            // The handshake, the commit and the files all fall into the first tenths of a second.
            tokio::time::sleep(Duration::from_millis(random.random_range(0..400))).await;
            if random.random_range(0..3) == 0 {
                district.hub.kill();
                tokio::time::sleep(Duration::from_millis(random.random_range(0..100))).await;
                node.kill();
                district.hub.start().await.unwrap();
            }
            node.kill();
        }
        node.start().await.unwrap();
        connected(&node).await;
        node.kill();
        let database = district.hub.directory().join("data/identity/registry.db");
        let database = rusqlite::Connection::open(database).unwrap();
        let query = "SELECT (SELECT count(*) FROM certificate WHERE node = ?1),
                            (SELECT count(*) FROM token WHERE node = ?1 AND used_ms IS NOT NULL)";
        let counts: (u32, u32) = database.query_row(query, [&id], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        assert_eq!(counts, (1, 1), "seed {seed}: certificates and used tokens of {id}");
    }
}
