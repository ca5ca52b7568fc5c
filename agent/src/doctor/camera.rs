//! A camera: by the agent's word where it is fresh, else asked once.
//!
//! A password that was refused is not tried again: cameras lock accounts. Only without an agent, and once, it is.

use std::time::Duration;

use simpul_clock::Clock;
use simpul_wire::doctor::{Code, Finding, Verdict};
use simpul_wire::event::CameraCondition;

use super::{Word, duration};
use crate::config::CameraConfig;
use crate::sources::camera::trial::{Trial, place, try_once};
use crate::status::CameraLine;

/// One camera: name, connection, challenge, picture.
const TRIAL_MAX: Duration = Duration::from_secs(8);

/// What was seen of a camera.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    /// The agent's word, if it runs and has asked the camera.
    pub said: Option<CameraLine>,
    /// Asked once by the examination, where the word is not enough.
    pub tried: Option<Trial>,
    pub address: String,
}

fn condition(said: &CameraLine) -> Option<CameraCondition> {
    CameraCondition::ALL.iter().copied().find(|known| Some(known.text()) == said.condition.as_deref())
}

pub(super) async fn gather(config: &CameraConfig, word: Option<&Word>, clock: &Clock) -> Facts {
    let said = word.and_then(|word| word.cameras.iter().find(|said| config.id.as_str() == said.camera)).cloned();
    let enough = said.as_ref().is_some_and(|said| {
        let known = condition(said);
        let told_by_pictures = known.is_some_and(|known| known != CameraCondition::Unreachable);
        // A picture is being taken: a second asker may be one connection too many for a cheap camera.
        said.paused_s.is_some() || told_by_pictures || known.is_none()
    });
    let tried = if enough { None } else { Some(try_once(config, clock, TRIAL_MAX).await) };
    Facts { said, tried, address: place(config) }
}

pub(super) fn judge(camera: &str, facts: &Facts) -> Vec<Finding> {
    let finding = |code: Code, verdict| code.finding(verdict).with_text("camera", camera);
    if let Some(tried) = &facts.tried {
        return vec![judge_trial(tried, &facts.address, finding)];
    }
    let Some(said) = &facts.said else {
        return vec![finding(Code::CameraUnknown, Verdict::Unknown).with_text("detail", "–")];
    };
    if let Some(left_s) = said.paused_s {
        return vec![finding(Code::CameraPaused, Verdict::Fail).with("left", duration(Duration::from_secs(left_s)))];
    }
    let detail = said.detail.as_str();
    vec![match condition(said) {
        None => finding(Code::CameraUnknown, Verdict::Unknown).with_text("detail", detail),
        Some(CameraCondition::Good) => finding(Code::CameraGood, Verdict::Ok),
        Some(CameraCondition::Unreachable) => {
            let away = finding(Code::CameraUnreachable, Verdict::Fail).with_text("address", &facts.address);
            away.with_text("error", detail)
        }
        Some(CameraCondition::Unauthorized) => finding(Code::CameraPassword, Verdict::Fail),
        Some(CameraCondition::BadImage) => bad_image(detail, finding),
        Some(CameraCondition::Frozen) => finding(Code::CameraFrozen, Verdict::Fail),
        Some(CameraCondition::Black) => finding(Code::CameraBlack, Verdict::Warn),
        Some(CameraCondition::ViewChanged) => finding(Code::CameraView, Verdict::Warn),
    }]
}

fn judge_trial(tried: &Trial, address: &str, finding: impl Fn(Code, Verdict) -> Finding) -> Finding {
    match tried {
        Trial::Good => finding(Code::CameraGood, Verdict::Ok),
        Trial::Secret(error) => finding(Code::CameraSecret, Verdict::Fail).with_text("error", error),
        Trial::Name(host) => finding(Code::CameraName, Verdict::Fail).with_text("host", host),
        Trial::NoAnswer(error) => {
            finding(Code::CameraUnreachable, Verdict::Fail).with_text("address", address).with_text("error", error)
        }
        Trial::Refused => finding(Code::CameraPassword, Verdict::Fail),
        Trial::Login(detail) => finding(Code::CameraLogin, Verdict::Fail).with_text("detail", detail),
        Trial::Unusable(detail) => bad_image(detail, finding),
        Trial::Black => finding(Code::CameraBlack, Verdict::Warn),
        Trial::Awaiting => finding(Code::CameraView, Verdict::Warn),
        Trial::Impossible(detail) => finding(Code::CameraUnknown, Verdict::Unknown).with_text("detail", detail),
    }
}

/// Which of three a bad answer is: an HTTP error, no picture at all, or one that is damaged. By the words of the
/// camera's source, which it shares with the room's events.
fn bad_image(detail: &str, finding: impl Fn(Code, Verdict) -> Finding) -> Finding {
    if detail.starts_with("HTTP ") {
        finding(Code::CameraHttp, Verdict::Fail).with_text("status", detail)
    } else if detail.starts_with("no JPEG") || detail.starts_with("empty body") {
        finding(Code::CameraNoPicture, Verdict::Fail).with_text("detail", detail)
    } else {
        finding(Code::CameraShort, Verdict::Fail).with_text("detail", detail)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::told;
    use super::*;

    fn said(condition: Option<&str>, detail: &str) -> Facts {
        let said = CameraLine {
            camera: "gate".into(),
            condition: condition.map(str::to_owned),
            detail: detail.into(),
            paused_s: None,
        };
        Facts { said: Some(said), tried: None, address: "10.0.0.9:80".into() }
    }

    #[test]
    fn a_camera_is_judged_by_the_agents_word() {
        for (condition, detail, expected) in [
            (None, "", "camera.unknown unknown"),
            (Some("good"), "", "camera.good ok"),
            (Some("unreachable"), "no connection", "camera.unreachable fail"),
            (Some("unauthorized"), "", "camera.password fail"),
            (Some("bad_image"), "HTTP 404 Not Found", "camera.http fail"),
            (Some("bad_image"), "no JPEG but markup: <html>", "camera.no_picture fail"),
            (Some("bad_image"), "empty body", "camera.no_picture fail"),
            (Some("bad_image"), "cut short: 5 of 9 bytes came", "camera.short fail"),
            (Some("frozen"), "", "camera.frozen fail"),
            (Some("black"), "", "camera.black warn"),
            (Some("view_changed"), "", "camera.view warn"),
        ] {
            assert_eq!(told(&judge("gate", &said(condition, detail))), [expected], "{condition:?}");
        }
        let mut paused = said(Some("unauthorized"), "");
        paused.said.as_mut().unwrap().paused_s = Some(900);
        assert_eq!(told(&judge("gate", &paused)), ["camera.paused fail"]);
    }

    #[test]
    fn a_camera_is_judged_by_one_trial() {
        let error = || "e".to_owned();
        for (tried, expected) in [
            (Trial::Good, "camera.good ok"),
            (Trial::Secret(error()), "camera.secret fail"),
            (Trial::Name(error()), "camera.name fail"),
            (Trial::NoAnswer(error()), "camera.unreachable fail"),
            (Trial::Refused, "camera.password fail"),
            (Trial::Login(error()), "camera.login fail"),
            (Trial::Unusable("HTTP 500".into()), "camera.http fail"),
            (Trial::Unusable("incomplete: blocks".into()), "camera.short fail"),
            (Trial::Black, "camera.black warn"),
            (Trial::Awaiting, "camera.view warn"),
            (Trial::Impossible(error()), "camera.unknown unknown"),
        ] {
            let facts = Facts { said: None, tried: Some(tried), address: "a".into() };
            assert_eq!(told(&judge("gate", &facts)), [expected], "{facts:?}");
        }
        let nothing = Facts { said: None, tried: None, address: "a".into() };
        assert_eq!(told(&judge("gate", &nothing)), ["camera.unknown unknown"]);
    }
}
