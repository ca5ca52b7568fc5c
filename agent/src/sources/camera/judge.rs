//! What a picture means: frozen, black, changed, another view; whether to store it and what to mask. Pure.
//!
//! **Views.** Masks are right for one view only. A view is known by the hashes of pictures that someone confirmed (the
//! first picture after the masks were configured counts as confirmed: whoever drew them looked at it). A picture far from
//! all of them is masked wholly at once, because what is under the masks may now be visible elsewhere; if it stays so,
//! or the resolution changed, everything stays masked until someone confirms. References are never adapted by
//! themselves: a camera that is turned slowly must not take its masks along. A confirmation adds a reference, so day and
//! night pictures of one view are confirmed once each.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use simpul_clock::Moment;
use simpul_wire::event::CameraCondition;

use super::picture::Measures;

/// From this distance on a scene has changed (measured: 0 for the same scene, 10 and more for another).
const CHANGED_DISTANCE: u32 = 10;
/// From this distance to every reference on, a picture may show another view; unrelated pictures are 32 apart.
const VIEW_DISTANCE: u32 = 20;
/// Below so many visible bits the masks leave too little to tell a view by.
const VISIBLE_BITS_MIN: u32 = 8;
/// So many such pictures in a row mean that the view has changed: a lorry before the lens drives on.
const VIEW_PICTURES: u32 = 3;
/// Most references of one view: day, night, and some seasons.
const REFERENCES_MAX: usize = 8;
/// A picture darker than this on average, with less variance than the next, is black: a capped or dead sensor still
/// has noise; a dark street has lights.
const BLACK_MEAN_MAX: f64 = 16.0;
const BLACK_VARIANCE_MAX: f64 = 16.0;

/// What is kept of a view over a restart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// Resolution that the masks are for.
    pub resolution: Option<(u16, u16)>,
    /// Hashes of confirmed pictures, oldest first.
    pub references: Vec<u64>,
    /// The view changed: everything is masked until someone confirms.
    pub awaiting: bool,
}

/// A picture, as the judge sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seen {
    /// SHA-256 of the body as it came.
    pub body_sha256: [u8; 32],
    /// Width and height in pixels.
    pub resolution: (u16, u16),
    /// Measured with the configured masks painted.
    pub measures: Measures,
}

/// What follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Mask everything.
    pub mask_all: bool,
    /// Store it.
    pub store: bool,
    /// The scene differs from the last stored picture's.
    pub changed: bool,
    /// The camera's condition.
    pub condition: CameraCondition,
    /// What exactly, for people.
    pub detail: String,
}

/// After how long a picture of an unchanged scene is due. Polls come with jitter, so it is the poll nearest to the
/// heartbeat that keeps it: with the exact time, a poll a moment early would make it a whole interval late.
pub fn due_after(heartbeat: Duration, interval: Duration) -> Duration {
    heartbeat.saturating_sub(interval / 2)
}

/// One camera's judge.
#[derive(Debug, Clone)]
pub struct Judge {
    has_masks: bool,
    frozen_after: u32,
    due_after: Duration,
    view: View,
    last_body: Option<[u8; 32]>,
    same_bodies: u32,
    far_pictures: u32,
    stored: Option<(u64, Moment)>,
}

impl Judge {
    /// `due_after`: see [`due_after`]. `view` as kept, or new with the configured resolution.
    pub fn new(has_masks: bool, frozen_after: u32, due_after: Duration, view: View) -> Self {
        Judge {
            has_masks,
            frozen_after,
            due_after,
            view,
            last_body: None,
            same_bodies: 0,
            far_pictures: 0,
            stored: None,
        }
    }

    /// What is to be kept over a restart.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// Judge a picture. `asked`: someone wants it stored whether it changed or not.
    pub fn judge(&mut self, now: Moment, seen: &Seen, asked: bool) -> Verdict {
        let frozen = self.is_frozen(seen);
        let black = is_black(&seen.measures);
        let mask_all = self.has_masks && self.is_another_view(seen, black);
        let dhash = if mask_all { 0 } else { seen.measures.dhash };
        let visible_bits = if mask_all { 64 } else { seen.measures.visible_bits };
        let changed = self.stored.is_none_or(|(last, _)| distance(last, dhash, visible_bits) >= CHANGED_DISTANCE);
        let due = self.stored.is_none_or(|(_, at)| now.since(at) >= self.due_after);
        let (condition, detail) = if frozen {
            (CameraCondition::Frozen, format!("{} identical images in a row", self.same_bodies))
        } else if self.view.awaiting {
            let (width, height) = seen.resolution;
            let detail = match self.view.resolution {
                Some((w, h)) if (w, h) != seen.resolution => {
                    format!(
                        "resolution is {width}x{height}, masks are for {w}x{h}: everything is masked until confirmed"
                    )
                }
                _ => "another view: everything is masked until confirmed".to_owned(),
            };
            (CameraCondition::ViewChanged, detail)
        } else if black {
            let mean = seen.measures.mean.unwrap_or_default();
            (CameraCondition::Black, format!("brightness {mean:.0} of 255, variance {:.0}", seen.measures.variance))
        } else {
            (CameraCondition::Good, String::new())
        };
        // A frozen image is old, whatever its stamp would say: only the condition is news.
        let store = asked || (!frozen && (changed || due));
        Verdict { mask_all, store, changed, condition, detail }
    }

    /// A picture with this hash was stored.
    pub fn stored(&mut self, now: Moment, dhash: u64) {
        self.stored = Some((dhash, now));
    }

    /// Someone looked at the camera: what it shows now is right.
    pub fn confirm(&mut self, seen: &Seen) {
        if self.view.resolution != Some(seen.resolution) {
            self.view.references.clear();
        }
        self.view.resolution = Some(seen.resolution);
        self.view.awaiting = false;
        self.far_pictures = 0;
        if !self.view.references.contains(&seen.measures.dhash) {
            self.view.references.push(seen.measures.dhash);
        }
        if self.view.references.len() > REFERENCES_MAX {
            self.view.references.remove(0);
        }
    }

    fn is_frozen(&mut self, seen: &Seen) -> bool {
        self.same_bodies =
            if self.last_body == Some(seen.body_sha256) { self.same_bodies.saturating_add(1) } else { 1 };
        self.last_body = Some(seen.body_sha256);
        self.same_bodies >= self.frozen_after
    }

    fn is_another_view(&mut self, seen: &Seen, black: bool) -> bool {
        let resolution = *self.view.resolution.get_or_insert(seen.resolution);
        if resolution != seen.resolution {
            self.view.awaiting = true;
        }
        // Black shows nothing and says nothing about the view.
        let measures = &seen.measures;
        if self.view.awaiting || black || measures.visible_bits < VISIBLE_BITS_MIN {
            return self.view.awaiting;
        }
        if self.view.references.is_empty() {
            self.view.references.push(measures.dhash);
        }
        let to = |reference: &u64| distance(*reference, measures.dhash, measures.visible_bits);
        let far = self.view.references.iter().map(to).min().is_some_and(|least| least >= VIEW_DISTANCE);
        self.far_pictures = if far { self.far_pictures + 1 } else { 0 };
        if self.far_pictures >= VIEW_PICTURES {
            self.view.awaiting = true;
        }
        far
    }
}

/// Distance of two hashes, as if all 64 bits were visible: masked bits are always equal and would hide a change.
fn distance(one: u64, other: u64, visible_bits: u32) -> u32 {
    (one ^ other).count_ones() * 64 / visible_bits.max(1)
}

/// Whether a picture shows nothing at all.
pub fn is_black(measures: &Measures) -> bool {
    measures.mean.is_some_and(|mean| mean < BLACK_MEAN_MAX) && measures.variance < BLACK_VARIANCE_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEARTBEAT: Duration = Duration::from_secs(900);

    fn seen(number: u8, dhash: u64) -> Seen {
        let measures = Measures { dhash, visible_bits: 64, mean: Some(100.0), variance: 900.0, masked_percent: 5 };
        Seen { body_sha256: [number; 32], resolution: (1920, 1080), measures }
    }

    fn judge(has_masks: bool) -> Judge {
        Judge::new(has_masks, 3, HEARTBEAT, View::default())
    }

    #[test]
    fn an_unchanged_scene_is_skipped_until_the_heartbeat() {
        let mut judge = judge(false);
        let mut stored = Vec::new();
        for minute in 0..31_u64 {
            let now = Moment::from_millis(minute * 60_000);
            // Noise moves a few bits; at minute 20 the scene changes.
            let dhash = if minute < 20 { minute % 8 } else { 0xffff };
            let verdict = judge.judge(now, &seen(minute as u8, dhash), false);
            if verdict.store {
                judge.stored(now, dhash);
                stored.push((minute, verdict.changed));
            }
        }
        assert_eq!(stored, [(0, true), (15, false), (20, true)]);
    }

    #[test]
    fn polls_with_jitter_keep_the_heartbeat() {
        let minute = Duration::from_secs(60);
        for (heartbeat, every) in [(minute, 1), (HEARTBEAT, 15)] {
            let mut judge = Judge::new(false, 3, due_after(heartbeat, minute), View::default());
            let mut stored = Vec::new();
            for poll in 0..46_u64 {
                // Up to a twentieth of the interval late, and a moment until it is stored.
                let now = Moment::from_millis(poll * 60_000 + poll * 7_919 % 3_000);
                if judge.judge(now, &seen(poll as u8, 7), false).store {
                    judge.stored(now + Duration::from_millis(300), 7);
                    stored.push(poll);
                }
            }
            assert_eq!(stored, (0..46).step_by(every).collect::<Vec<_>>(), "{heartbeat:?}");
        }
    }

    #[test]
    fn identical_bodies_mean_frozen_and_are_not_stored() {
        let mut judge = judge(false);
        let conditions: Vec<_> = [1, 1, 1, 1, 2]
            .map(|number| {
                let verdict = judge.judge(Moment::ZERO, &seen(number, 7), false);
                (verdict.condition, verdict.store)
            })
            .into();
        use CameraCondition::{Frozen, Good};
        assert_eq!(conditions, [(Good, true), (Good, true), (Frozen, false), (Frozen, false), (Good, true)]);
        assert!(judge.judge(Moment::ZERO, &seen(2, 7), true).store, "someone asked");
    }

    #[test]
    fn black_needs_darkness_and_no_variance() {
        for (mean, variance, black) in [(3.0, 2.0, true), (3.0, 400.0, false), (60.0, 2.0, false), (15.9, 15.9, true)] {
            let mut seen = seen(1, 7);
            seen.measures = Measures { mean: Some(mean), variance, ..seen.measures };
            let verdict = judge(true).judge(Moment::ZERO, &seen, false);
            assert_eq!(verdict.condition == CameraCondition::Black, black, "{mean} {variance}");
        }
    }

    #[test]
    fn a_far_picture_is_masked_at_once_and_a_lasting_one_until_confirmed() {
        let mut judge = judge(true);
        let moved = 0xffff_ffff;
        let mut masked = |dhash, number| {
            let verdict = judge.judge(Moment::ZERO, &seen(number, dhash), false);
            (verdict.mask_all, verdict.condition == CameraCondition::ViewChanged)
        };
        assert_eq!(masked(0, 1), (false, false));
        assert_eq!(masked(moved, 2), (true, false), "a lorry: masked, but no alarm");
        assert_eq!(masked(0, 3), (false, false));
        assert_eq!(masked(moved, 4), (true, false));
        assert_eq!(masked(moved, 5), (true, false));
        assert_eq!(masked(moved, 6), (true, true));
        assert_eq!(masked(0, 7), (true, true), "turning it back does not unmask: someone must look");
        judge.confirm(&seen(8, moved));
        for (number, dhash) in [(9, moved), (10, 0)] {
            let verdict = judge.judge(Moment::ZERO, &seen(number, dhash), false);
            assert!(!verdict.mask_all, "both views are confirmed now");
        }
    }

    #[test]
    fn another_resolution_masks_everything_until_confirmed_also_after_a_restart() {
        let configured = View { resolution: Some((1920, 1080)), ..View::default() };
        let mut judge = Judge::new(true, 3, HEARTBEAT, configured);
        let other = Seen { resolution: (1280, 720), ..seen(1, 7) };
        let verdict = judge.judge(Moment::ZERO, &other, false);
        assert!(verdict.mask_all);
        assert_eq!(
            verdict.detail,
            "resolution is 1280x720, masks are for 1920x1080: everything is masked until confirmed"
        );
        let mut judge = Judge::new(true, 3, HEARTBEAT, judge.view().clone());
        assert!(judge.judge(Moment::ZERO, &seen(2, 7), false).mask_all, "the first resolution again: still");
        judge.confirm(&other);
        assert!(!judge.judge(Moment::ZERO, &other, false).mask_all);
        assert!(judge.judge(Moment::ZERO, &seen(3, 7), false).mask_all, "now the other one is wrong");
    }

    #[test]
    fn what_little_is_visible_decides_and_too_little_decides_nothing() {
        // Ten bits of 24 differ: 26 of 64. Of 7 visible bits nothing is concluded.
        for (visible_bits, far) in [(24, true), (64, false), (7, false)] {
            let mut judge = judge(true);
            let mut other = seen(2, 0x3ff);
            other.measures.visible_bits = visible_bits;
            judge.judge(Moment::ZERO, &Seen { measures: Measures { dhash: 0, ..other.measures }, ..other }, false);
            assert_eq!(judge.judge(Moment::ZERO, &other, false).mask_all, far, "{visible_bits}");
        }
    }

    #[test]
    fn night_black_does_not_count_as_another_view() {
        let mut judge = judge(true);
        judge.judge(Moment::ZERO, &seen(0, u64::MAX), false);
        let mut black = seen(1, 0);
        black.measures = Measures { mean: Some(1.0), variance: 0.5, ..black.measures };
        for number in 2..10 {
            let verdict = judge.judge(Moment::ZERO, &Seen { body_sha256: [number; 32], ..black }, false);
            assert!(!verdict.mask_all && verdict.condition == CameraCondition::Black);
        }
    }

    #[test]
    fn without_masks_a_moved_camera_is_only_a_changed_scene() {
        let mut judge = judge(false);
        for number in 0..10 {
            let verdict = judge.judge(Moment::ZERO, &seen(number, if number < 5 { 0 } else { u64::MAX }), false);
            assert!(!verdict.mask_all && verdict.condition == CameraCondition::Good);
        }
    }

    #[test]
    fn references_are_bounded() {
        let mut judge = judge(true);
        for number in 0..20 {
            judge.confirm(&seen(number, u64::from(number)));
        }
        assert_eq!(judge.view().references, (12..20).collect::<Vec<u64>>());
    }
}
