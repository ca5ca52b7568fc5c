//! Which finding is most likely the root, and what follows from it. Pure.
//!
//! A fault makes others: without a route there is no name, no hub, and a growing backlog. [`FOLLOWS`] says what comes of
//! what; a finding whose cause was found as well is put behind it and names it, so that a technician begins with one
//! thing. Causes are ordered by the worst that comes of them, then by how much else hangs on their part of the node.

use simpul_wire::doctor::{Code, Finding, Verdict};

use Code::*;

/// Parts of the node, what carries the others first.
const PARTS: [&str; 13] = [
    "power",
    "storage",
    "agent",
    "clock",
    "network",
    "name",
    "certificate",
    "hub",
    "spool",
    "board",
    "camera",
    "check",
    "",
];

/// No way out of the machine.
const NO_NETWORK: [Code; 3] = [NetworkNoLink, NetworkNoAddress, NetworkNoRoute];

/// The card does not take what is written.
const NO_WRITES: [Code; 3] = [StorageReadOnly, StorageWriteError, StorageFull];

/// No session with a hub comes about.
const NO_SESSION: [Code; 22] = [
    NetworkNoLink,
    NetworkNoAddress,
    NetworkNoRoute,
    NameNotFound,
    NameTimeout,
    CertificateFile,
    CertificateExpired,
    CertificateNotYetValid,
    CertificateWrongNode,
    CertificateWrongKey,
    CertificateWrongAuthority,
    HubClosed,
    HubTimeout,
    HubUnreachable,
    HubNoTls,
    HubWrongAuthority,
    HubWrongName,
    HubExpired,
    HubNotYetValid,
    HubRefusesCertificate,
    HubRefusesSession,
    HubSilent,
];

/// What comes of what: effects, and their causes, the likeliest first.
const FOLLOWS: &[(&[Code], &[Code])] = &[
    (&[StorageReadOnly, StorageWriteError], &[PowerUndervoltage]),
    (&[BoardBootLoader, BoardSilent, BoardUnplugged], &[PowerUndervoltage, PowerBoardLow]),
    (&[AgentNotRunning, SpoolDamaged], &NO_WRITES),
    (&[SpoolMissing], &[StorageReadOnly, StorageWriteError, StorageFull, AgentNotRunning]),
    (&[BoardUnknown, CameraUnknown], &[AgentNotRunning, AgentSilent]),
    (&[NameNotFound, NameTimeout, HubTimeout, HubUnreachable, HubSilent], &NO_NETWORK),
    (&[HubExpired, CertificateExpired], &[ClockAhead]),
    (&[HubNotYetValid, CertificateNotYetValid], &[ClockBehind]),
    (&[HubWrongAuthority], &[CertificateWrongAuthority]),
    (&[HubRefusesCertificate], &[CertificateExpired, CertificateNotYetValid, CertificateWrongAuthority]),
    (&[HubRefusesSession], &[CertificateWrongNode]),
    (&[HubUnknown], &[CertificateFile, CertificateWrongKey]),
    (&[HubDisconnected, HubNoAcknowledgement, HubBacklog], &NO_SESSION),
    (&[HubBacklog, HubNoAcknowledgement], &[HubDisconnected]),
    (&[SpoolAtLimit], &[StorageFull, HubNoAcknowledgement, HubBacklog, HubDisconnected]),
    (&[SpoolLost], &[StorageFull, SpoolQuarantined, SpoolAtLimit]),
    (&[BoardRefused], &[StorageReadOnly, StorageWriteError, StorageFull, SpoolAtLimit]),
    (&[CameraUnreachable, CameraName], &[NetworkNoLink, NetworkNoAddress]),
];

fn is_trouble(finding: &Finding) -> bool {
    matches!(finding.verdict, Verdict::Fail | Verdict::Warn | Verdict::Unknown)
}

/// Worse is less.
fn weight(verdict: Verdict) -> usize {
    let order = [Verdict::Fail, Verdict::Warn, Verdict::Unknown, Verdict::Ok, Verdict::Absent];
    order.iter().position(|it| *it == verdict).unwrap_or(order.len())
}

fn part(finding: &Finding) -> usize {
    let name = finding.id.split('.').next().unwrap_or_default();
    PARTS.iter().position(|part| *part == name).unwrap_or(PARTS.len())
}

/// The cause of `code` at the beginning of its chain, among the trouble that was found.
fn root(code: Code, trouble: &[Code]) -> Option<Code> {
    let direct = |code: Code| {
        let causes = FOLLOWS.iter().filter(|(effects, _)| effects.contains(&code)).flat_map(|(_, causes)| *causes);
        causes.copied().find(|cause| trouble.contains(cause))
    };
    let mut at = direct(code)?;
    // No chain is longer than the table; a test sees to it that it has no circle.
    for _ in FOLLOWS {
        match direct(at) {
            Some(before) => at = before,
            None => break,
        }
    }
    Some(at)
}

/// Findings in the order in which to look at them, each with what it follows from.
pub(super) fn rank(mut findings: Vec<Finding>) -> Vec<Finding> {
    // With one hub that works, another that does not is a reserve that is missing.
    let one_works = findings.iter().any(|finding| finding.known() == Some(HubGood));
    for finding in &mut findings {
        let reserve = finding.known().is_some_and(|code| NO_SESSION.contains(&code));
        let on_its_way = finding.id.starts_with("hub.") || finding.id.starts_with("name.");
        if one_works && reserve && on_its_way && finding.verdict == Verdict::Fail {
            finding.verdict = Verdict::Warn;
        }
    }
    let trouble: Vec<Code> = findings.iter().filter(|it| is_trouble(it)).filter_map(Finding::known).collect();
    for finding in &mut findings {
        let cause = finding.known().filter(|_| is_trouble(finding)).and_then(|code| root(code, &trouble));
        finding.follows = cause.map(|cause| u16::from(cause.number()));
    }
    // A cause weighs as much as the worst that comes of it.
    let heaviest = |code: u16| {
        let group = findings.iter().filter(|it| it.code == code || it.follows == Some(code));
        group.map(|it| weight(it.verdict)).min().unwrap_or_default()
    };
    let place = |finding: &Finding| {
        let head = finding.follows.unwrap_or(finding.code);
        let head_part = findings.iter().find(|it| it.code == head).map_or(PARTS.len(), part);
        (
            heaviest(head),
            head_part,
            head,
            finding.follows.is_some(),
            weight(finding.verdict),
            part(finding),
            finding.code,
        )
    };
    let mut placed: Vec<_> = findings.iter().map(|finding| (place(finding), finding.clone())).collect();
    placed.sort_by_key(|(place, _)| *place);
    placed.into_iter().map(|(_, finding)| finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranked(found: &[(Code, Verdict)]) -> Vec<String> {
        let findings = found.iter().map(|(code, verdict)| code.finding(*verdict)).collect();
        let told = |finding: Finding| match finding.follows.and_then(|code| Code::from_number(code as u8)) {
            Some(cause) => format!("{} <- {}", finding.id, cause.text()),
            None => finding.id.to_string(),
        };
        rank(findings).into_iter().map(told).collect()
    }

    #[test]
    fn what_comes_of_a_missing_route_stands_behind_it() {
        let found = [
            (CameraGood, Verdict::Ok),
            (HubBacklog, Verdict::Warn),
            (NameTimeout, Verdict::Fail),
            (HubDisconnected, Verdict::Fail),
            (NetworkNoRoute, Verdict::Fail),
            (CameraBlack, Verdict::Warn),
            (StorageGood, Verdict::Ok),
        ];
        assert_eq!(
            ranked(&found),
            [
                "network.no_route",
                "name.timeout <- network.no_route",
                "hub.disconnected <- network.no_route",
                "hub.backlog <- network.no_route",
                "camera.black",
                "storage.good",
                "camera.good"
            ]
        );
    }

    #[test]
    fn a_warning_that_failures_come_of_goes_before_other_failures() {
        let found = [
            (CameraPassword, Verdict::Fail),
            (BoardSilent, Verdict::Fail),
            (PowerBoardLow, Verdict::Warn),
            (StorageLow, Verdict::Warn),
        ];
        let expected = ["power.board_low", "board.silent <- power.board_low", "camera.password", "storage.low"];
        assert_eq!(ranked(&found), expected);
    }

    #[test]
    fn a_clock_that_is_behind_explains_certificates() {
        let found = [
            (HubNotYetValid, Verdict::Fail),
            (CertificateNotYetValid, Verdict::Fail),
            (ClockBehind, Verdict::Fail),
            (HubDisconnected, Verdict::Fail),
        ];
        let ranked = ranked(&found);
        assert_eq!(ranked[0], "clock.behind");
        assert!(ranked[1..].iter().all(|told| told.ends_with("<- clock.behind")), "{ranked:?}");
    }

    #[test]
    fn what_is_well_causes_nothing() {
        let found = [(HubTimeout, Verdict::Fail), (NetworkGood, Verdict::Ok), (HubBacklog, Verdict::Warn)];
        assert_eq!(ranked(&found), ["hub.timeout", "hub.backlog <- hub.timeout", "network.good"]);
    }

    #[test]
    fn a_reserve_hub_that_is_away_is_a_warning_while_another_works() {
        let wrong = CertificateWrongNode.finding(Verdict::Fail);
        let ranked = rank(vec![HubGood.finding(Verdict::Ok), HubTimeout.finding(Verdict::Fail), wrong]);
        let told: Vec<_> = ranked.iter().map(|finding| (finding.known(), finding.verdict)).collect();
        let own = (Some(CertificateWrongNode), Verdict::Fail);
        assert_eq!(told, [own, (Some(HubTimeout), Verdict::Warn), (Some(HubGood), Verdict::Ok)]);
    }

    #[test]
    fn no_chain_of_causes_ends_where_it_began() {
        for code in Code::ALL {
            let found = root(*code, Code::ALL);
            assert_ne!(found, Some(*code));
            assert_eq!(found.and_then(|found| root(found, Code::ALL)), None, "{code} has a cause that has a cause");
        }
    }
}
