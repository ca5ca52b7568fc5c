//! The machine's own LED, so that how the node is shows without any screen (docs/phone.md).
//!
//! The pattern is pure, `(light, time) -> (on, until when)`; the LED is two files in `/sys/class/leds`, which udev gives to
//! the agent's group.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use simpul_wire::event::CameraCondition;
use tokio::sync::watch;

use crate::config::LedConfig;
use crate::sources::told;
use crate::status::Shown;

/// LEDs that a Pi's system calls its card's: the green one, with newer and older kernels.
const CARD_LEDS: [&str; 2] = ["ACT", "led0"];

/// What the light says; the most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Light {
    /// The disk is full, or a camera does not deliver.
    Fault,
    /// A code is open: the node waits for its acceptance.
    Waiting,
    /// No session with a hub.
    NoHub,
    /// All is well.
    Good,
}

/// A light's pattern: spans of on and off in turn, in milliseconds, beginning with on.
fn pattern(light: Light) -> &'static [u64] {
    match light {
        Light::Fault => &[125, 125],
        Light::Waiting => &[1_000, 1_000],
        Light::NoHub => &[150, 250, 150, 1_450],
        Light::Good => &[3_850, 150],
    }
}

/// Whether the LED is on at a time, and for how long it stays so.
pub fn step(light: Light, at_ms: u64) -> (bool, Duration) {
    let spans = pattern(light);
    let mut into_ms = at_ms % spans.iter().sum::<u64>();
    for (index, span_ms) in spans.iter().enumerate() {
        if into_ms < *span_ms {
            return (index % 2 == 0, Duration::from_millis(span_ms - into_ms));
        }
        into_ms -= span_ms;
    }
    (false, Duration::from_secs(1))
}

/// What the light says of a node.
pub fn light(shown: &Shown, expecting: bool) -> Light {
    let camera_down = |condition: Option<CameraCondition>| condition.is_some_and(|it| it != CameraCondition::Good);
    let fault = shown.spool.borrow().disk_full
        || shown.cameras.iter().any(|(_, camera)| camera_down(camera.borrow().condition));
    if fault {
        Light::Fault
    } else if expecting {
        Light::Waiting
    } else if !shown.uplink.borrow().up {
        Light::NoHub
    } else {
        Light::Good
    }
}

/// An LED of the machine.
#[derive(Debug)]
struct Led {
    brightness: PathBuf,
    trigger: PathBuf,
    /// What the kernel showed with it before.
    before: String,
}

impl Led {
    /// The configured one, taken from the kernel; nothing: there is none.
    fn take(config: &LedConfig, class: &Path) -> io::Result<Option<Led>> {
        let found = match &config.name {
            Some(name) => Some(class.join(name)),
            None => CARD_LEDS.iter().map(|name| class.join(name)).find(|path| path.exists()),
        };
        let Some(folder) = found else { return Ok(None) };
        let (brightness, trigger) = (folder.join("brightness"), folder.join("trigger"));
        // The one in use stands in brackets: "none [mmc0] timer".
        let known = std::fs::read_to_string(&trigger)?;
        let before = known.split(['[', ']']).nth(1).unwrap_or("none").to_owned();
        std::fs::write(&trigger, "none")?;
        Ok(Some(Led { brightness, trigger, before }))
    }

    /// The kernel cuts 255 down to what the LED can.
    fn set(&self, on: bool) -> io::Result<()> {
        std::fs::write(&self.brightness, if on { "255" } else { "0" })
    }
}

impl Drop for Led {
    fn drop(&mut self) {
        // Given back; at the machine's stop it does not matter.
        let _ = std::fs::write(&self.trigger, &self.before);
    }
}

/// Show how the node is until `shutdown`. Without an LED, or without permission, that is said once.
pub async fn run(
    config: LedConfig,
    class: &Path,
    shown: Shown,
    expecting: watch::Receiver<bool>,
    mut shutdown: watch::Receiver<bool>,
) {
    let led = match Led::take(&config, class) {
        Ok(Some(led)) => led,
        Ok(None) => return tracing::info!("this machine has no LED called ACT or led0: nothing is shown"),
        Err(error) => return tracing::warn!(%error, "the LED cannot be used; see docs/phone.md about its permissions"),
    };
    let mut last = None;
    loop {
        let waiting = *expecting.borrow();
        let (on, left) = step(light(&shown, waiting), shown.clock.now().as_millis());
        if last != Some(on) {
            if let Err(error) = led.set(on) {
                return tracing::warn!(%error, "the LED does not answer any more");
            }
            last = Some(on);
        }
        tokio::select! {
            () = told(&mut shutdown) => return,
            () = tokio::time::sleep(left) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One letter each 125 ms: `#` on, `.` off.
    fn drawn(light: Light) -> String {
        (0..32).map(|eighth| if step(light, eighth * 125).0 { '#' } else { '.' }).collect()
    }

    #[test]
    fn each_light_is_told_apart_by_eye() {
        assert_eq!(drawn(Light::Fault), "#.#.#.#.#.#.#.#.#.#.#.#.#.#.#.#.");
        assert_eq!(drawn(Light::Waiting), "########........########........");
        assert_eq!(drawn(Light::NoHub), "##..#...........##..#...........");
        assert_eq!(drawn(Light::Good), "###############################.");
    }

    #[test]
    fn a_step_ends_exactly_where_the_light_changes() {
        for light in [Light::Fault, Light::Waiting, Light::NoHub, Light::Good] {
            let (mut at_ms, mut on) = (0, true);
            while at_ms < 20_000 {
                let (now_on, left) = step(light, at_ms);
                assert_eq!(now_on, on, "{light:?} at {at_ms} ms");
                at_ms += left.as_millis() as u64;
                on = !on;
            }
        }
    }

    #[test]
    fn an_led_is_taken_from_the_kernel_and_given_back() {
        let class = tempfile::tempdir().unwrap();
        assert!(Led::take(&LedConfig { name: None }, class.path()).unwrap().is_none());
        let folder = class.path().join("led0");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("trigger"), "none kbd-scrolllock [mmc0] timer\n").unwrap();
        let led = Led::take(&LedConfig { name: None }, class.path()).unwrap().unwrap();
        led.set(true).unwrap();
        assert_eq!(std::fs::read_to_string(folder.join("brightness")).unwrap(), "255");
        assert_eq!(std::fs::read_to_string(folder.join("trigger")).unwrap(), "none");
        drop(led);
        assert_eq!(std::fs::read_to_string(folder.join("trigger")).unwrap(), "mmc0");
        assert!(Led::take(&LedConfig { name: Some("gone".into()) }, class.path()).is_err());
    }
}
