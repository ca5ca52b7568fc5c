//! What a simulated world will meet: its link, its losses, its cuts. The seed repeats it.

/// What will happen.
#[derive(Debug, Clone)]
pub struct Plan {
    pub seed: u64,
    pub bits_per_second: u64,
    /// A shaper's allowance that passes at ten times the rate.
    pub burst_bytes: u64,
    /// Acknowledgements lost, in percent.
    pub ack_loss_percent: u64,
    /// Mean time between cuts of the connection.
    pub cut_every_ms: Option<u64>,
    /// Every so many records of service and event the hub refuses one.
    pub bad_every: Option<u64>,
    /// The hub is restored from a backup made half-way there.
    pub restore_at_ms: Option<u64>,
}

impl Plan {
    pub fn calm(seed: u64) -> Self {
        Plan {
            seed,
            bits_per_second: 2_000_000,
            burst_bytes: 0,
            ack_loss_percent: 0,
            cut_every_ms: None,
            bad_every: None,
            restore_at_ms: None,
        }
    }

    pub fn rough(seed: u64) -> Self {
        Plan {
            ack_loss_percent: 10,
            cut_every_ms: Some(15_000),
            bad_every: Some(701),
            burst_bytes: 16 * 1024,
            bits_per_second: 200_000 + seed % 7 * 300_000,
            ..Plan::calm(seed)
        }
    }
}
