//! The whole hub beside mosquitto: the program as it runs, its own MQTT server with mutual TLS in front, 64 nodes of one
//! publish in flight each, subscribed to their acknowledgements as agents are. A PUBACK comes after the commit. The
//! clock stops with the last one; rollups, which follow the commit, run along and are waited for between runs.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures_util::future::try_join_all;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use simpul_clock::Clock;
use simpul_testkit::hub::{Hub, Place};
use simpul_testkit::pki::Authority;
use simpul_testkit::wait;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::publisher::{Publisher, publish};
use super::{BATCHES, DAY_MS, Made, NODES, POINTS, READINGS, SEED, SENDERS, SERIES, STEP_MS, Source};

/// Batches of one sender in one run: as many in all as mosquitto forwards, give or take.
const BATCHES_OF_ONE: u64 = NODES as u64 * BATCHES / SENDERS as u64;
/// Rollups of a run take less than the run.
const ROLLUP_MAX: Duration = Duration::from_secs(60);

/// The hub and its nodes.
pub struct WholeHub {
    hub: Hub,
    fleet: Vec<(Source, TlsConnector)>,
    random: StdRng,
    next_ms: i64,
}

impl WholeHub {
    pub async fn start(folder: &Path, clock: &Clock) -> Result<WholeHub> {
        let authority = Authority::new("Simpul bench CA")?;
        let ids: Vec<String> = (0..SENDERS).map(|number| format!("35.12.01.{:04}-01", 2_001 + number)).collect();
        let place = |id: &String| Place {
            id: id.clone(),
            name: "Kantor Desa".to_owned(),
            village_code: id.trim_end_matches("-01").to_owned(),
            village_name: "Pategalan".to_owned(),
        };
        let places: Vec<Place> = ids.iter().map(place).collect();
        let mut hub = Hub::prepare(&folder.join("whole"), &authority, &places, None)?;
        hub.start().await?;
        let source = |(number, id): (usize, &String)| {
            let values = vec![20.0; SERIES as usize];
            let source = Source { node: id.parse()?, number: number as i64, next_seq: 1, values };
            Ok((source, connector(&authority, id)?))
        };
        let fleet = ids.iter().enumerate().map(source).collect::<Result<_>>()?;
        Ok(WholeHub { hub, fleet, random: StdRng::seed_from_u64(SEED), next_ms: clock.wall_ms() - DAY_MS / 24 })
    }

    /// Readings per second from the first publish to the last PUBACK.
    pub async fn take(&mut self) -> Result<f64> {
        let mut publishers = Vec::new();
        let mut batches = 0;
        for (source, connector) in &mut self.fleet {
            let made = (0..BATCHES_OF_ONE as i64)
                .map(|batch| source.batch(&mut self.random, self.next_ms + batch * (POINTS * STEP_MS) as i64))
                .collect::<Result<Vec<Made>>>()?;
            batches += made.len() as u64;
            let tcp = TcpStream::connect(self.hub.mqtt()).await?;
            tcp.set_nodelay(true)?;
            let stream = connector.connect(ServerName::try_from("localhost")?, tcp).await?;
            let node = source.node.as_str();
            let filter = format!("simpul/v1/{node}/ack");
            let packets = made.iter().map(publish).collect();
            publishers.push(Publisher::connect(stream, node, Some(&filter), packets).await?);
        }
        self.next_ms += (BATCHES_OF_ONE * POINTS * STEP_MS) as i64;
        let started = Instant::now();
        try_join_all(publishers.into_iter().map(Publisher::send)).await?;
        let took = started.elapsed();
        wait::until("the hub's rollups", ROLLUP_MAX, || async {
            let metrics = String::from_utf8(self.hub.get_bytes("/metrics").await.ok()?).ok()?;
            metrics.lines().any(|line| line == "simpul_hub_rollup_lag_batches 0").then_some(())
        })
        .await?;
        Ok((batches * READINGS) as f64 / took.as_secs_f64())
    }
}

fn connector(authority: &Authority, node: &str) -> Result<TlsConnector> {
    let identity = authority.node(node)?;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.certificate_pem().as_bytes())?)?;
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes())?;
    let own = vec![CertificateDer::from_pem_slice(identity.certificate_pem.as_bytes())?];
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_client_auth_cert(own, key)
        .context("a client's certificate")?;
    Ok(TlsConnector::from(Arc::new(config)))
}
