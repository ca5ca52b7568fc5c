//! Events in words: kind, severity and detail. Exhaustive matches, so that a new kind cannot be forgotten here.

use simpul_wire::doctor::Verdict;
use simpul_wire::event::{
    BoardCondition, BoardReset, CameraCondition, EventBody, LossReason, PowerCondition, SiteAct, SpoolCondition,
};
use simpul_wire::update::Step;

/// An event in words.
#[derive(Debug, PartialEq, Eq)]
pub struct Said {
    /// The kind, a stable code.
    pub kind: &'static str,
    /// info, warning or critical (someone must act, or data is gone).
    pub severity: &'static str,
    /// Its fields as `name=value`.
    pub detail: String,
    /// Worth a line on the wall: not the agent's bookkeeping.
    pub notable: bool,
}

const INFO: &str = "info";
const WARNING: &str = "warning";
const CRITICAL: &str = "critical";

/// Put an event into words.
pub fn describe(body: &EventBody) -> Said {
    let said = |kind, severity, detail| Said { kind, severity, detail, notable: true };
    match body {
        EventBody::ClockAnchor { wall_ms, error_ms } => {
            let detail = format!("wall_ms={wall_ms} error_ms={error_ms}");
            Said { notable: false, ..said("clock_anchor", INFO, detail) }
        }
        EventBody::Loss(loss) => {
            let severity = match loss.reason {
                LossReason::Unused => INFO,
                LossReason::Thinned | LossReason::RolledUp => WARNING,
                LossReason::Evicted
                | LossReason::Damaged
                | LossReason::HubRewound
                | LossReason::Rejected
                | LossReason::Replaced => CRITICAL,
            };
            let detail = format!("stream={} range={} reason={}", loss.stream, loss.range, loss.reason);
            Said { notable: loss.reason != LossReason::Unused, ..said("loss", severity, detail) }
        }
        EventBody::Started { version, clean, new_boot } => {
            let severity = if *clean { INFO } else { WARNING };
            said("started", severity, format!("version={version} clean={clean} new_boot={new_boot}"))
        }
        EventBody::Stopping {} => said("stopping", INFO, String::new()),
        EventBody::Camera { camera, condition, detail } => {
            let severity = match condition {
                CameraCondition::Good => INFO,
                CameraCondition::Unreachable
                | CameraCondition::BadImage
                | CameraCondition::Frozen
                | CameraCondition::Black => WARNING,
                CameraCondition::Unauthorized | CameraCondition::ViewChanged => CRITICAL,
            };
            said("camera", severity, with_detail(format!("camera={camera} condition={condition}"), detail))
        }
        EventBody::Spool { condition, stream, detail } => {
            let severity = match condition {
                SpoolCondition::Good => INFO,
                SpoolCondition::AtLimit => WARNING,
                SpoolCondition::Quarantined | SpoolCondition::DiskFull | SpoolCondition::NewEpoch => CRITICAL,
            };
            let stream = stream.map_or_else(String::new, |stream| format!(" stream={stream}"));
            said("spool", severity, with_detail(format!("condition={condition}{stream}"), detail))
        }
        EventBody::Link { up, detail } => {
            said("link", if *up { INFO } else { WARNING }, with_detail(format!("up={up}"), detail))
        }
        EventBody::Power { condition, outage_ms } => {
            let severity = match condition {
                PowerCondition::Mains => INFO,
                PowerCondition::Battery | PowerCondition::Undervoltage => WARNING,
                PowerCondition::DyingGasp | PowerCondition::BatteryLow => CRITICAL,
            };
            let outage = outage_ms.map_or_else(String::new, |ms| format!(" outage_ms={ms}"));
            said("power", severity, format!("condition={condition}{outage}"))
        }
        EventBody::CommandResult { id, done, detail } => {
            let severity = if *done { INFO } else { WARNING };
            said("command_result", severity, with_detail(format!("id={} done={done}", hex::encode(id)), detail))
        }
        EventBody::Board { serial, condition, detail } => {
            let severity = match condition {
                BoardCondition::Good => INFO,
                BoardCondition::UnknownMessage
                | BoardCondition::FrameTooLong
                | BoardCondition::BadFrame
                | BoardCondition::ImpossibleValue => WARNING,
                BoardCondition::Silent
                | BoardCondition::Unplugged
                | BoardCondition::WrongProtocol
                | BoardCondition::BootLoader
                | BoardCondition::JournalDamaged
                | BoardCondition::JournalFailed => CRITICAL,
            };
            let serial = serial.as_ref().map_or_else(String::new, |serial| format!("serial={serial} "));
            said("board", severity, with_detail(format!("{serial}condition={condition}"), detail))
        }
        EventBody::BoardStarted { serial, boot, reset, version } => {
            let severity = match reset {
                BoardReset::PowerOn | BoardReset::Pin | BoardReset::Software => INFO,
                BoardReset::Brownout | BoardReset::Watchdog | BoardReset::Unknown => WARNING,
            };
            let detail = format!("serial={serial} boot={boot} reset={reset} version={version}");
            said("board_started", severity, detail)
        }
        EventBody::Tamper { open } => said("tamper", if *open { CRITICAL } else { INFO }, format!("open={open}")),
        EventBody::ButtonStuck { desk, stuck } => {
            said("button_stuck", if *stuck { WARNING } else { INFO }, format!("desk={desk} stuck={stuck}"))
        }
        EventBody::Optics { cage, module, missing } => {
            let found = match (module, missing) {
                (Some(module), _) => {
                    format!("vendor={} part={} serial={}", module.vendor, module.part, module.serial)
                }
                (None, Some(missing)) => format!("missing={missing}"),
                (None, None) => "missing=unknown".to_string(),
            };
            said("optics", INFO, format!("cage={cage} {found}"))
        }
        EventBody::Examination { verdict, .. } => {
            let severity = match verdict {
                Verdict::Ok | Verdict::Absent => INFO,
                Verdict::Warn | Verdict::Unknown => WARNING,
                Verdict::Fail => CRITICAL,
            };
            // Someone asked for it and looks at it: no news for the wall.
            Said { notable: false, ..said("examination", severity, format!("verdict={verdict}")) }
        }
        EventBody::Update { part, to, from, step, detail, .. } => {
            let severity = match step {
                Step::RolledBack | Step::Refused => WARNING,
                _ => INFO,
            };
            let fields = format!("part={} from={from} to={to} step={}", part.name(), step.name());
            said("update", severity, with_detail(fields, detail.as_str()))
        }
        EventBody::Site { act, camera, who, detail } => {
            let severity = if *act == SiteAct::Refused { WARNING } else { INFO };
            let camera = camera.as_ref().map_or_else(String::new, |camera| format!(" camera={camera}"));
            said("site", severity, with_detail(format!("act={act}{camera} who={who}"), detail))
        }
    }
}

fn with_detail(fields: String, detail: &str) -> String {
    if detail.is_empty() { fields } else { format!("{fields} detail={detail}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use simpul_wire::event::Loss;
    use simpul_wire::{Epoch, SeqRange, Stream};

    fn loss(reason: LossReason) -> Said {
        let range = SeqRange::new(7, 9).unwrap();
        describe(&EventBody::Loss(Loss { epoch: Epoch::from_bytes([1; 16]), stream: Stream::Service, range, reason }))
    }

    #[test]
    fn lost_data_is_critical_and_says_what_is_gone() {
        let said = loss(LossReason::Damaged);
        assert_eq!((said.kind, said.severity), ("loss", "critical"));
        assert_eq!(said.detail, "stream=service range=7..=9 reason=damaged");
    }

    #[test]
    fn bookkeeping_is_not_worth_a_line_on_the_wall() {
        assert!(!loss(LossReason::Unused).notable);
        assert!(!describe(&EventBody::ClockAnchor { wall_ms: 1, error_ms: 2 }).notable);
        assert!(describe(&EventBody::Stopping {}).notable);
    }

    #[test]
    fn a_camera_that_refuses_the_password_needs_someone() {
        let event = EventBody::Camera {
            camera: "front".parse().unwrap(),
            condition: CameraCondition::Unauthorized,
            detail: "paused".parse().unwrap(),
        };
        assert_eq!(describe(&event).detail, "camera=front condition=unauthorized detail=paused");
        assert_eq!(describe(&event).severity, "critical");
    }
}
