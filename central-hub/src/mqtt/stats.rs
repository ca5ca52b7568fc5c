//! Counters of the server, for `/metrics` and the room. Every drop is in here.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counters since the start, and the gauges at its end.
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub struct Stats {
            $($(#[$doc])* pub $name: u64,)*
            /// Refused connections, by reason.
            pub refused: Vec<(Refusal, u64)>,
            /// Live sessions now.
            pub sessions: u64,
            /// Sessions whose client is away, now.
            pub offline_sessions: u64,
            /// Retained messages now.
            pub retained: u64,
            /// Bytes of publishes that are half received or not yet committed, now.
            pub pending_bytes: u64,
        }

        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: AtomicU64,)*
            refused: [AtomicU64; Refusal::ALL.len()],
        }

        impl Counters {
            /// The counters as they are; the gauges are the caller's to fill in.
            pub(crate) fn snapshot(&self) -> Stats {
                Stats {
                    $($name: self.$name.load(Ordering::Relaxed),)*
                    refused: Refusal::ALL
                        .into_iter()
                        .map(|reason| (reason, self.refused[reason as usize].load(Ordering::Relaxed)))
                        .collect(),
                    ..Stats::default()
                }
            }
        }
    };
}

counters! {
    /// Connections accepted.
    connections,
    /// Publishes handed to intake.
    publishes_in,
    /// Bytes read from clients, after decryption.
    bytes_in,
    /// Publishes queued for subscribers.
    publishes_out,
    /// Publishes over the limit, discarded and reported to their node.
    oversize_discarded,
    /// Publishes on topics that were not the sender's.
    publishes_refused,
    /// Messages at quality 0 dropped because their reader was too slow.
    dropped_slow_reader,
    /// Messages at quality 1 or 2 dropped because the session's queue was full.
    dropped_queue_full,
    /// Retained messages not kept because the store of them was full.
    dropped_retained_full,
    /// Connections closed because their client broke the protocol.
    violations,
    /// Connections closed because nothing was heard within one and a half keep-alives.
    keepalive_timeouts,
    /// Connections closed because a packet stayed half received for too long.
    half_packet_timeouts,
    /// Connections closed because intake did not take a publish: the sender sends it again.
    not_taken,
    /// Offline sessions forgotten because of their age or number; their queued messages with them.
    sessions_expired,
}

/// Why a connection was refused before it became a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum Refusal {
    /// No certificate was shown.
    NoCertificate,
    /// The certificate's time is over.
    Expired,
    /// The certificate's time has not begun (or the hub's clock is wrong).
    NotYetValid,
    /// The certificate comes from a CA that is not ours.
    Foreign,
    /// The certificate was revoked.
    Revoked,
    /// The certificate's common name is not a node's or an operator's.
    Identity,
    /// The certificate is otherwise bad.
    BadCertificate,
    /// TLS failed: garbage, no common version, or the client did not like the server's certificate.
    Handshake,
    /// TLS and CONNECT took too long.
    Timeout,
    /// The first packet was not a good CONNECT.
    Protocol,
    /// The CONNECT asked for a protocol version other than MQTT 3.1.1.
    Version,
    /// The client id was refused.
    ClientId,
    /// The last will's topic is not the client's.
    Will,
    /// Too many connections, or too many sessions of one identity.
    Capacity,
}

impl Refusal {
    /// Every reason.
    pub const ALL: [Refusal; 14] = [
        Refusal::NoCertificate,
        Refusal::Expired,
        Refusal::NotYetValid,
        Refusal::Foreign,
        Refusal::Revoked,
        Refusal::Identity,
        Refusal::BadCertificate,
        Refusal::Handshake,
        Refusal::Timeout,
        Refusal::Protocol,
        Refusal::Version,
        Refusal::ClientId,
        Refusal::Will,
        Refusal::Capacity,
    ];

    /// A label for metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Refusal::NoCertificate => "no_certificate",
            Refusal::Expired => "expired_certificate",
            Refusal::NotYetValid => "certificate_not_yet_valid",
            Refusal::Foreign => "foreign_certificate",
            Refusal::Revoked => "revoked_certificate",
            Refusal::Identity => "unusable_common_name",
            Refusal::BadCertificate => "bad_certificate",
            Refusal::Handshake => "handshake",
            Refusal::Timeout => "timeout",
            Refusal::Protocol => "protocol",
            Refusal::Version => "protocol_version",
            Refusal::ClientId => "client_id",
            Refusal::Will => "will",
            Refusal::Capacity => "capacity",
        }
    }
}

impl Counters {
    pub(crate) fn refuse(&self, reason: Refusal) {
        add(&self.refused[reason as usize], 1);
    }
}

/// Count. Relaxed: a counter orders nothing.
pub(crate) fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_own_counter_and_label() {
        let counters = Counters::default();
        for (index, reason) in Refusal::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
            (0..=index).for_each(|_| counters.refuse(reason));
        }
        let stats = counters.snapshot();
        assert!(stats.refused.iter().enumerate().all(|(index, (_, count))| *count == index as u64 + 1));
        let mut labels: Vec<_> = Refusal::ALL.map(Refusal::label).to_vec();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), Refusal::ALL.len());
    }
}
