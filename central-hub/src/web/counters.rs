//! What the web part has done since the start, for `/metrics`.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::view::vitals::Sample;

/// Counters of the web part; they only grow.
#[derive(Debug, Default)]
pub struct Counters {
    /// Responses by class: 1xx to 5xx.
    responses: [AtomicU64; 5],
    unauthorized: AtomicU64,
    looks: AtomicU64,
    connections: AtomicU64,
    connections_refused: AtomicU64,
}

impl Counters {
    /// A response with this status went out.
    pub fn response(&self, status: u16) {
        if let Some(class) = self.responses.get(usize::from(status / 100).wrapping_sub(1)) {
            class.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Somebody had no valid token.
    pub fn unauthorized(&self) {
        self.unauthorized.fetch_add(1, Ordering::Relaxed);
    }

    /// Somebody looked at an image.
    pub fn look(&self) {
        self.looks.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection was accepted.
    pub fn connection(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection was closed at once, because there were too many.
    pub fn connection_refused(&self) {
        self.connections_refused.fetch_add(1, Ordering::Relaxed);
    }

    /// As samples.
    pub fn samples(&self) -> Vec<Sample> {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
        let one = |name, help, counter| Sample { name, help, labels: Vec::new(), value: get(counter) };
        let classes = ["1xx", "2xx", "3xx", "4xx", "5xx"].into_iter().zip(&self.responses);
        let mut samples: Vec<Sample> = classes
            .map(|(class, counter)| Sample {
                name: "http_responses_total",
                help: "HTTP responses by class.",
                labels: vec![("class", class.into())],
                value: get(counter),
            })
            .collect();
        samples.extend([
            one("http_unauthorized_total", "Requests without a valid token.", &self.unauthorized),
            one("image_looks_total", "Images that somebody looked at; each is in the log of looks.", &self.looks),
            one("http_connections_total", "HTTP connections accepted.", &self.connections),
            one("http_connections_refused_total", "HTTP connections closed at the cap.", &self.connections_refused),
        ]);
        samples
    }
}
