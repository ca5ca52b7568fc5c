//! Progress on stderr: a bar at a terminal, a line each tenth elsewhere (a log, a pipe).

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use simpul_clock::{Clock, Moment};
use simpul_words::Language;

/// Shows how far a stage is.
pub struct Progress {
    language: Language,
    clock: Clock,
    stage: Option<(String, Moment)>,
    bar: Option<ProgressBar>,
    tenths_said: u64,
    plain: bool,
}

impl Progress {
    /// Progress in `language`; plain lines when stderr is no terminal.
    pub fn new(language: Language, clock: Clock) -> Self {
        let plain = !std::io::stderr().is_terminal();
        Progress { language, clock, stage: None, bar: None, tenths_said: 0, plain }
    }

    /// `stage` has done `done` of `total` bytes.
    pub fn at(&mut self, stage: &str, done: u64, total: u64) {
        if self.stage.as_ref().is_none_or(|(name, _)| name != stage) {
            self.end();
            self.stage = Some((stage.to_owned(), self.clock.now()));
            self.tenths_said = 0;
            if !self.plain {
                let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(4));
                // A template of this file's own; were it refused, the default one shows the same bar.
                if let Ok(style) = ProgressStyle::with_template("{prefix:<14} {bar:30} {percent:>3}%  {msg}") {
                    bar.set_style(style.progress_chars("=> "));
                }
                bar.set_prefix(stage.to_owned());
                self.bar = Some(bar);
            }
        }
        if let Some(bar) = &self.bar {
            bar.set_length(total);
            bar.set_message(self.rate(done, total));
            bar.set_position(done);
        } else {
            let tenths = (done * 10).checked_div(total).unwrap_or(10).min(10);
            if tenths > self.tenths_said {
                self.tenths_said = tenths;
                eprintln!("{stage}: {}% {}", tenths * 10, self.rate(done, total));
            }
        }
    }

    /// The stage is over.
    pub fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        self.stage = None;
    }

    fn rate(&self, done: u64, total: u64) -> String {
        let Some((_, since)) = &self.stage else { return String::new() };
        let passed = self.clock.now().since(*since);
        // In the first second a rate is noise.
        if passed.as_secs() < 1 || done == 0 {
            return String::new();
        }
        let left = passed.mul_f64(total.saturating_sub(done) as f64 / done as f64);
        let per_second = (done as f64 / passed.as_secs_f64()) as u64;
        format!("{}/s  {}", self.language.bytes(per_second), self.language.duration(left))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}
