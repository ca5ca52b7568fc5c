//! The one liveness rule, from each node's own interval. Pure; used for the wall, the metrics and every coverage.

use super::model::Liveness;

/// Interval of a node that has not said one yet: the agent's default.
pub const INTERVAL_DEFAULT_S: u32 = 30;

/// Longest interval that the rule believes: a node that claims a day must not look alive for five.
pub const INTERVAL_MAX_S: u32 = 3_600;

/// What is known of a node that was heard from.
#[derive(Debug, Clone, Copy)]
pub struct Heard {
    /// Milliseconds since anything last arrived; negative when the hub's clock was set back since.
    pub age_ms: i64,
    /// How often it promises to speak, if it said.
    pub interval_s: Option<u32>,
    /// Whether its session is open; `None` behind an external broker.
    pub connected: Option<bool>,
    /// Its own last word: false in a goodbye and in its last will.
    pub online: Option<bool>,
}

/// How a node is: live within 2 intervals and in session, late within 5, silent beyond, never if never heard.
pub fn liveness(heard: Option<Heard>) -> Liveness {
    let Some(heard) = heard else { return Liveness::Never };
    let interval_ms = i64::from(heard.interval_s.unwrap_or(INTERVAL_DEFAULT_S).clamp(1, INTERVAL_MAX_S)) * 1_000;
    let in_session = heard.connected.or(heard.online).unwrap_or(true);
    match heard.age_ms {
        age if age > 5 * interval_ms => Liveness::Silent,
        age if age > 2 * interval_ms || !in_session => Liveness::Late,
        _ => Liveness::Live,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(age_ms: i64, interval_s: Option<u32>, connected: Option<bool>, online: Option<bool>) -> Liveness {
        liveness(Some(Heard { age_ms, interval_s, connected, online }))
    }

    #[test]
    fn a_node_is_live_for_two_of_its_intervals_late_for_five_then_silent() {
        for (age_ms, expected) in [
            (0, Liveness::Live),
            (20_000, Liveness::Live),
            (20_001, Liveness::Late),
            (50_000, Liveness::Late),
            (50_001, Liveness::Silent),
        ] {
            assert_eq!(rule(age_ms, Some(10), Some(true), Some(true)), expected, "{age_ms} ms");
        }
    }

    #[test]
    fn a_node_that_was_never_heard_from_is_never_not_silent() {
        assert_eq!(liveness(None), Liveness::Never);
    }

    #[test]
    fn a_node_whose_session_ended_is_late_at_once() {
        assert_eq!(rule(0, Some(10), Some(false), Some(true)), Liveness::Late);
    }

    #[test]
    fn behind_an_external_broker_the_nodes_own_word_decides() {
        assert_eq!(rule(0, Some(10), None, Some(false)), Liveness::Late);
        assert_eq!(rule(0, Some(10), None, Some(true)), Liveness::Live);
        assert_eq!(rule(0, None, None, None), Liveness::Live);
    }

    #[test]
    fn an_absurd_interval_is_not_believed() {
        assert_eq!(rule(5 * 3_600_000 + 1, Some(u32::MAX), Some(true), None), Liveness::Silent);
        assert_eq!(rule(5_001, Some(0), Some(true), None), Liveness::Silent);
    }

    #[test]
    fn a_hub_whose_clock_was_set_back_does_not_call_a_node_late() {
        assert_eq!(rule(-100_000, Some(10), Some(true), Some(true)), Liveness::Live);
    }
}
