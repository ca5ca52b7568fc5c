//! What a node has to show before it is accepted, and what is to be done about it now. Pure: facts in, actions out.

use std::collections::BTreeMap;
use std::time::Duration;

use simpul_clock::Moment;
use simpul_wire::doctor::{Code, Report, Verdict};
use simpul_wire::enrolment::Laptop;
use simpul_wire::label::BoundedText;
use simpul_wire::technician::{
    Acceptance, CameraFacts, ExaminationOrdered, Liveness, NodeFacts, PICTURES_MAX, PictureFact, ReadingFact,
    RefusalFact,
};
use simpul_wire::{Label, Text};

/// A reading or a picture that is older was not made by what stands here now.
const READING_AGE_MS_MAX: i64 = 10 * 60_000;
/// Cameras send an unchanged scene seldom: see the agent's `heartbeat`.
const PICTURE_AGE_MS_MAX: i64 = 60 * 60_000;

/// An examination is asked for again when its report has not come by then.
const REPORT_TIME_MAX: Duration = Duration::from_secs(90);
/// Between a report of failures and the next examination: time to plug something in.
const AGAIN_AFTER: Duration = Duration::from_secs(20);

/// What to do now.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Its enrolment was refused.
    Refused(RefusalFact),
    /// The node is there.
    Hello,
    /// Its session ended.
    Gone,
    /// The first reading.
    Reading(ReadingFact),
    /// A camera's first picture is to be fetched and shown.
    Picture(PictureFact),
    /// A camera delivers nothing good; its id and how it is.
    NoPicture(Label, Label),
    /// Order an examination.
    Examine,
    /// What one found.
    Found(Report),
    /// All is green.
    Accept,
}

/// What has been seen.
#[derive(Debug, Default)]
pub struct Steps {
    is_here: bool,
    refusal_ms: Option<i64>,
    reading_said: bool,
    pictures: BTreeMap<Label, PictureFact>,
    troubled: BTreeMap<Label, Label>,
    ordered: Option<([u8; 16], Moment)>,
    not_before: Moment,
    found: Option<[u8; 16]>,
    verdict: Option<Verdict>,
    needs_no_camera: bool,
}

impl Steps {
    /// Look at the facts.
    pub fn see(&mut self, now: Moment, facts: &NodeFacts) -> Vec<Action> {
        let mut actions = Vec::new();
        if let Some(refusal) = &facts.refusal
            && self.refusal_ms != Some(refusal.at_ms)
            && facts.first_heard_ms.is_none()
        {
            self.refusal_ms = Some(refusal.at_ms);
            actions.push(Action::Refused(refusal.clone()));
        }
        let is_here = is_here(facts);
        if is_here != self.is_here {
            self.is_here = is_here;
            actions.push(if is_here { Action::Hello } else { Action::Gone });
        }
        if let Some(reading) = fresh_reading(facts)
            && !self.reading_said
        {
            self.reading_said = true;
            actions.push(Action::Reading(reading.clone()));
        }
        for camera in &facts.cameras {
            self.see_camera(camera, facts.now_ms, &mut actions);
        }
        self.see_examination(now, facts, &mut actions);
        if self.is_green(facts) {
            actions.push(Action::Accept);
        }
        actions
    }

    /// An examination was ordered.
    pub fn ordered(&mut self, now: Moment, ordered: &ExaminationOrdered) {
        self.ordered = Some((ordered.id, now));
    }

    /// An examination could not be ordered.
    pub fn not_ordered(&mut self, now: Moment) {
        self.not_before = now + AGAIN_AFTER;
    }

    fn see_camera(&mut self, camera: &CameraFacts, now_ms: i64, actions: &mut Vec<Action>) {
        let trouble = camera.condition.as_ref().filter(|condition| condition.as_str() != "good");
        match trouble {
            Some(condition) if self.troubled.get(&camera.camera) != Some(condition) => {
                self.troubled.insert(camera.camera.clone(), condition.clone());
                actions.push(Action::NoPicture(camera.camera.clone(), condition.clone()));
            }
            Some(_) => {}
            None => {
                self.troubled.remove(&camera.camera);
            }
        }
        let picture = camera.picture.as_ref().filter(|it| now_ms.saturating_sub(it.at_ms) <= PICTURE_AGE_MS_MAX);
        if let Some(picture) = picture
            && trouble.is_none()
            && !self.pictures.contains_key(&camera.camera)
            && self.pictures.len() < PICTURES_MAX
        {
            self.pictures.insert(camera.camera.clone(), picture.clone());
            actions.push(Action::Picture(picture.clone()));
        }
    }

    fn see_examination(&mut self, now: Moment, facts: &NodeFacts, actions: &mut Vec<Action>) {
        let report = facts.examination.as_ref().and_then(|made| made.report.open().ok());
        if let Some(report) = report
            && let Some((id, _)) = self.ordered
            && report.id == Some(id)
            && self.found != Some(id)
        {
            self.found = Some(id);
            self.verdict = Some(report.worst());
            self.needs_no_camera =
                report.findings.iter().any(|finding| finding.id.as_str() == Code::CameraAbsent.text());
            self.ordered = None;
            self.not_before = now + AGAIN_AFTER;
            actions.push(Action::Found(report));
        }
        let is_open = self.ordered.is_some_and(|(_, at)| now.since(at) < REPORT_TIME_MAX);
        let is_well = self.verdict.is_some_and(|verdict| verdict != Verdict::Fail);
        // Not before the rest is there: what has not begun to talk would only be reported as silent.
        if self.is_here && self.reading_said && !is_well && !is_open && now >= self.not_before {
            actions.push(Action::Examine);
        }
    }

    fn is_green(&self, facts: &NodeFacts) -> bool {
        let newest = facts.examination.as_ref().and_then(|made| made.report.open().ok());
        let is_examined = newest.is_some_and(|report| report.id.is_some() && report.id == self.found)
            && self.verdict.is_some_and(|verdict| verdict != Verdict::Fail);
        let has_picture = |camera: &CameraFacts| self.pictures.contains_key(&camera.camera);
        let has_pictures =
            if facts.cameras.is_empty() { self.needs_no_camera } else { facts.cameras.iter().all(has_picture) };
        self.is_here && fresh_reading(facts).is_some() && is_examined && has_pictures && self.troubled.is_empty()
    }

    /// What is missing still: hello, reading, pictures, examination.
    pub fn missing(&self, facts: &NodeFacts) -> [bool; 4] {
        let pictures = facts.cameras.is_empty() && !self.needs_no_camera
            || facts.cameras.iter().any(|camera| !self.pictures.contains_key(&camera.camera))
            || !self.troubled.is_empty();
        let examination = self.verdict.is_none_or(|verdict| verdict == Verdict::Fail);
        [!self.is_here, fresh_reading(facts).is_none(), pictures, examination]
    }

    /// The acceptance of what was seen; nothing while something is missing.
    pub fn acceptance(&self, facts: &NodeFacts, laptop: &Laptop, note: &str) -> Option<Acceptance> {
        let examination = facts.examination.as_ref()?;
        Some(Acceptance {
            node: facts.node.clone(),
            name: facts.name.clone(),
            village_code: facts.village_code.clone(),
            village: facts.village.clone(),
            hardware: facts.hardware.clone(),
            board: facts.board.clone(),
            version: facts.version.clone().unwrap_or_default(),
            first_heard_ms: facts.first_heard_ms?,
            reading_ms: fresh_reading(facts)?.at_ms,
            pictures: self.pictures.values().cloned().collect(),
            verdict: self.verdict?,
            examined_ms: examination.at_ms,
            laptop: laptop.clone(),
            made_ms: facts.now_ms,
            note: Text::clipped(note),
        })
    }
}

fn is_here(facts: &NodeFacts) -> bool {
    facts.first_heard_ms.is_some() && facts.connected.unwrap_or(facts.liveness == Liveness::Live)
}

fn fresh_reading(facts: &NodeFacts) -> Option<&ReadingFact> {
    facts.reading.as_ref().filter(|reading| facts.now_ms.saturating_sub(reading.at_ms) <= READING_AGE_MS_MAX)
}

/// A text for a label, shortened if need be.
pub fn label(text: &str) -> Label {
    BoundedText::clipped(text)
}

#[cfg(test)]
mod tests {
    use simpul_wire::doctor::Finding;
    use simpul_wire::technician::ExaminationFact;

    use super::*;

    const NOW_MS: i64 = 1_795_000_000_000;

    fn facts() -> NodeFacts {
        NodeFacts {
            node: "35.12.07.2003-01".parse().unwrap(),
            seen: 1,
            now_ms: NOW_MS,
            name: "Kantor".parse().unwrap(),
            village_code: "35.12.07.2003".parse().unwrap(),
            village: "Sumberanyar".parse().unwrap(),
            liveness: Liveness::Never,
            connected: Some(false),
            first_heard_ms: None,
            last_heard_ms: None,
            version: None,
            hardware: None,
            board: None,
            reading: None,
            cameras: Vec::new(),
            examination: None,
            certificate_to_s: None,
            refusal: None,
            utc_offset_minutes: 420,
        }
    }

    fn picture(camera: &str, at_ms: i64) -> PictureFact {
        PictureFact { snapshot: 1, camera: label(camera), sha256: [1; 32], at_ms, width: 64, height: 36 }
    }

    fn there() -> NodeFacts {
        NodeFacts {
            connected: Some(true),
            first_heard_ms: Some(NOW_MS - 5_000),
            version: Some(label("0.1.0")),
            reading: Some(ReadingFact { metric: label("cpu"), unit: label("%"), value: 1.0, at_ms: NOW_MS - 60_000 }),
            cameras: vec![CameraFacts {
                camera: label("halaman"),
                condition: Some(label("good")),
                picture: Some(picture("halaman", NOW_MS - 1_000)),
            }],
            ..facts()
        }
    }

    fn examined(facts: NodeFacts, id: [u8; 16], findings: Vec<Finding>) -> NodeFacts {
        let report = Report::clipped(Some(id), label("0.1.0"), 5, findings).seal();
        NodeFacts { examination: Some(ExaminationFact { at_ms: NOW_MS - 500, report }), ..facts }
    }

    fn at(seconds: u64) -> Moment {
        Moment::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn a_node_that_comes_up_is_green_only_after_its_own_examination() {
        let mut steps = Steps::default();
        assert_eq!(steps.see(at(0), &facts()), []);
        let seen = steps.see(at(1), &there());
        assert!(
            matches!(&seen[..], [Action::Hello, Action::Reading(_), Action::Picture(_), Action::Examine]),
            "{seen:?}"
        );
        // One that somebody else ordered is not ours: the node was perhaps moved since.
        let well = || vec![Code::HubGood.finding(Verdict::Ok)];
        steps.ordered(at(1), &ExaminationOrdered { id: [7; 16], ttl_ms: 1 });
        assert_eq!(steps.see(at(2), &examined(there(), [8; 16], well())), []);
        let green = examined(there(), [7; 16], well());
        let seen = steps.see(at(3), &green);
        assert!(matches!(&seen[..], [Action::Found(_), Action::Accept]), "{seen:?}");
        let acceptance = steps.acceptance(&green, &"budi/thinkpad".parse().unwrap(), "rak").unwrap();
        assert_eq!((acceptance.pictures.len(), acceptance.verdict), (1, Verdict::Ok));
    }

    #[test]
    fn what_fails_is_examined_again_after_a_while_and_not_accepted_before() {
        let mut steps = Steps::default();
        steps.see(at(0), &there());
        steps.ordered(at(0), &ExaminationOrdered { id: [1; 16], ttl_ms: 1 });
        let failed = examined(there(), [1; 16], vec![Code::HubSilent.finding(Verdict::Fail)]);
        assert!(matches!(&steps.see(at(5), &failed)[..], [Action::Found(_)]));
        assert_eq!(steps.see(at(6), &failed), []);
        assert_eq!(steps.see(at(26), &failed), [Action::Examine]);
        steps.ordered(at(26), &ExaminationOrdered { id: [2; 16], ttl_ms: 1 });
        assert_eq!(steps.see(at(27), &failed), []);
        assert_eq!(steps.see(at(120), &failed), [Action::Examine], "the report did not come");
    }

    #[test]
    fn a_camera_in_trouble_an_old_picture_and_a_missing_camera_hold_the_acceptance_up() {
        let well = |facts: NodeFacts| examined(facts, [1; 16], vec![Code::HubGood.finding(Verdict::Ok)]);
        let accepted = |facts: NodeFacts| {
            let mut steps = Steps::default();
            steps.see(at(0), &there_without_cameras());
            steps.ordered(at(0), &ExaminationOrdered { id: [1; 16], ttl_ms: 1 });
            steps.see(at(1), &well(facts)).contains(&Action::Accept)
        };
        assert!(accepted(there()));
        let camera = |condition: &str, picture: Option<PictureFact>| NodeFacts {
            cameras: vec![CameraFacts { camera: label("halaman"), condition: Some(label(condition)), picture }],
            ..there()
        };
        assert!(!accepted(camera("unreachable", Some(picture("halaman", NOW_MS)))));
        assert!(!accepted(camera("good", Some(picture("halaman", NOW_MS - PICTURE_AGE_MS_MAX - 1)))));
        assert!(!accepted(camera("good", None)));
        assert!(!accepted(there_without_cameras()), "one may be configured that never spoke");
        let mut steps = Steps::default();
        steps.see(at(0), &there_without_cameras());
        steps.ordered(at(0), &ExaminationOrdered { id: [1; 16], ttl_ms: 1 });
        let none = examined(there_without_cameras(), [1; 16], vec![Code::CameraAbsent.finding(Verdict::Absent)]);
        assert!(steps.see(at(1), &none).contains(&Action::Accept), "none is configured, says the node");
    }

    fn there_without_cameras() -> NodeFacts {
        NodeFacts { cameras: Vec::new(), ..there() }
    }

    #[test]
    fn a_refused_node_is_told_once_and_an_old_reading_is_none() {
        let mut steps = Steps::default();
        let refused = NodeFacts { refusal: Some(RefusalFact { at_ms: 5, text: "used".parse().unwrap() }), ..facts() };
        assert_eq!(steps.see(at(0), &refused).len(), 1);
        assert_eq!(steps.see(at(1), &refused), []);
        let mut old = there();
        old.now_ms += READING_AGE_MS_MAX + 60_000;
        let seen = steps.see(at(2), &old);
        assert!(!seen.iter().any(|action| matches!(action, Action::Reading(_) | Action::Examine)), "{seen:?}");
        assert_eq!(steps.missing(&old), [false, true, false, true]);
    }
}
