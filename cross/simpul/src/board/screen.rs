//! What is shown while boards are worked on: a bar each at a terminal, lines elsewhere. Every line begins with whose it is.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar that waits for a person turns this often.
const TURN: Duration = Duration::from_millis(200);

/// All boards'.
#[derive(Debug)]
pub struct Screen {
    bars: Option<MultiProgress>,
}

/// One board's.
#[derive(Debug)]
pub struct Line {
    place: String,
    bars: Option<(MultiProgress, ProgressBar)>,
    stage: String,
    tenths_said: usize,
}

impl Screen {
    /// Bars if stderr is a terminal.
    pub fn new() -> Screen {
        let terminal = std::io::stderr().is_terminal();
        let target = || MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(4));
        Screen { bars: terminal.then(target) }
    }

    /// The line of the board at `place`.
    pub fn line(&self, place: &str) -> Line {
        let bars = self.bars.as_ref().map(|bars| {
            let bar = bars.add(ProgressBar::new(0));
            // A template of this file's own; were it refused, the default one shows the same bar.
            if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix:<20} {bar:20} {percent:>3}%  {wide_msg}")
            {
                bar.set_style(style.progress_chars("=> "));
            }
            bar.set_prefix(place.to_owned());
            bar.enable_steady_tick(TURN);
            (bars.clone(), bar)
        });
        Line { place: place.to_owned(), bars, stage: String::new(), tenths_said: 0 }
    }
}

impl Line {
    /// What is done now, or what the person is to do.
    pub fn stage(&mut self, text: String) {
        match &self.bars {
            Some((_, bar)) => bar.set_message(text.clone()),
            None => eprintln!("{}: {text}", self.place),
        }
        self.stage = text;
        self.tenths_said = 0;
    }

    /// `done` of `total` of it are done.
    pub fn at(&mut self, done: usize, total: usize) {
        if let Some((_, bar)) = &self.bars {
            bar.set_length(total as u64);
            bar.set_position(done as u64);
            return;
        }
        let tenths = (done * 10).checked_div(total).unwrap_or(10).min(10);
        // A line each half is enough where ten boards write at once.
        if tenths >= self.tenths_said + 5 {
            self.tenths_said = tenths;
            eprintln!("{}: {} {}%", self.place, self.stage, tenths * 10);
        }
    }

    /// Something to be kept on the screen.
    pub fn say(&self, text: &str) {
        let line = format!("{}: {text}", self.place);
        match &self.bars {
            // A terminal that is gone takes no line; the table says the same at the end.
            Some((bars, _)) => drop(bars.println(line)),
            None => eprintln!("{line}"),
        }
    }

    /// All is done that is done.
    pub fn end(&self, text: &str) {
        self.say(text);
        if let Some((bars, bar)) = &self.bars {
            bar.finish_and_clear();
            bars.remove(bar);
        }
    }
}
