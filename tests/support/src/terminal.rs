//! A person at a terminal: a program on a pseudo-terminal, what it says, and the keys that are pressed, counted.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::wait;

/// A program that was typed at a shell and runs. Killed when dropped.
#[derive(Debug)]
pub struct Terminal {
    child: Child,
    keyboard: File,
    said: Arc<Mutex<String>>,
    typed: String,
}

impl Terminal {
    /// Type `line` and press Enter: a shell runs it in the terminal.
    pub fn type_line(line: &str, set_up: impl FnOnce(&mut Command)) -> anyhow::Result<Terminal> {
        let near = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&near)?;
        unlockpt(&near)?;
        let path = ptsname(&near, Vec::new())?;
        let path = path.into_string().context("a terminal's name that is no text")?;
        let far = File::options().read(true).write(true).open(&path).with_context(|| format!("cannot open {path}"))?;
        let mut command = Command::new("setsid");
        // Of a session and a terminal of its own, as a person's shell is.
        command.args(["--ctty", "--wait", "sh", "-c", line]);
        command.stdin(Stdio::from(far.try_clone()?)).stdout(Stdio::from(far.try_clone()?)).stderr(Stdio::from(far));
        set_up(&mut command);
        let child = command.spawn().with_context(|| format!("cannot run {line}"))?;
        drop(command);
        let near: OwnedFd = near;
        let keyboard = File::from(near);
        let said = Arc::new(Mutex::new(String::new()));
        let (mut screen, shared) = (keyboard.try_clone()?, Arc::clone(&said));
        // Ends when the last program at the terminal does.
        std::thread::spawn(move || {
            let mut bytes = [0; 4_096];
            while let Ok(length @ 1..) = screen.read(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..length]);
                shared.lock().unwrap_or_else(PoisonError::into_inner).push_str(&text);
            }
        });
        Ok(Terminal { child, keyboard, said, typed: format!("{line}\n") })
    }

    /// What it has said so far.
    pub fn said(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Wait until it says `text`; fails at once when it ends without.
    pub async fn wait_for(&mut self, text: &str, within: Duration) -> anyhow::Result<()> {
        let what = format!("{text:?} at the terminal");
        let found = wait::until(&what, within, || {
            let ended = self.child.try_wait().ok().flatten();
            let there = self.said().contains(text);
            async move { if there { Some(None) } else { ended.map(Some) } }
        });
        match found.await.with_context(|| self.said())? {
            None => Ok(()),
            Some(status) => bail!("it ended ({status}) without {text:?}:\n{}", self.said()),
        }
    }

    /// Press one key.
    pub fn press(&mut self, key: char) -> anyhow::Result<()> {
        self.typed.push(key);
        self.keyboard.write_all(key.to_string().as_bytes()).context("the terminal is gone")
    }

    /// Wait for its end; its status.
    pub async fn wait_for_end(&mut self, within: Duration) -> anyhow::Result<ExitStatus> {
        wait::until("the program's end", within, || {
            let ended = self.child.try_wait().ok().flatten();
            async move { ended }
        })
        .await
        .with_context(|| self.said())
    }

    /// All keys that were pressed, Enter as a line's end.
    pub fn typed(&self) -> &str {
        &self.typed
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // An error only says that it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_question_at_the_terminal_is_answered_and_the_keys_are_counted() {
        let line =
            "printf 'ready? '; stty -icanon -echo; key=$(dd bs=1 count=1 2>/dev/null); test -t 0 && echo got $key";
        let mut terminal = Terminal::type_line(line, |_| ()).unwrap();
        terminal.wait_for("ready? ", Duration::from_secs(10)).await.unwrap();
        terminal.press('y').unwrap();
        terminal.wait_for("got y", Duration::from_secs(10)).await.unwrap();
        assert!(terminal.wait_for_end(Duration::from_secs(10)).await.unwrap().success());
        assert_eq!(terminal.typed(), format!("{line}\ny"));
        assert!(terminal.wait_for("never", Duration::from_secs(10)).await.is_err());
    }
}
