//! `simpul-agent board monitor`: what a board says, live. Greets, so that it talks; acknowledges nothing, so that all it
//! has is still there for the agent.

use std::io;
use std::path::Path;
use std::time::Duration;

use simpul_wire::board::{
    ENCODED_BYTES_MAX, FrameError, FrameReader, FromBoard, Greet, HELLO_EVERY_MS, PROTOCOL_VERSION, ToBoard,
    protocol_of,
};

use super::describe;
use super::port::Port;

/// Bytes that are read at a time.
const READ_BYTES: usize = 512;

/// Hand each frame's line to `line`, until it returns false.
///
/// # Errors
/// When the port cannot be opened, or is gone; [`io::ErrorKind::ResourceBusy`] when another program holds it.
pub async fn run(path: &Path, mut line: impl FnMut(&str) -> bool) -> io::Result<()> {
    let port = Port::open(path)?;
    let mut frame = [0; ENCODED_BYTES_MAX];
    let greet = ToBoard::Greet(Greet { protocol: PROTOCOL_VERSION, wall_ms: None });
    let length = greet.encode(&mut frame).map_err(io::Error::other)?;
    let mut reader = FrameReader::default();
    let mut bytes = [0; READ_BYTES];
    let mut greeted = false;
    let mut tick = tokio::time::interval(Duration::from_millis(HELLO_EVERY_MS));
    loop {
        let read = tokio::select! {
            read = port.read(&mut bytes) => read?,
            _ = tick.tick(), if !greeted => {
                port.write(&frame[..length]).await?;
                continue;
            }
        };
        if read == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the port is gone"));
        }
        for byte in &bytes[..read] {
            let Some(frame) = reader.push(*byte) else { continue };
            let text = match frame.and_then(|(kind, body)| said(kind, body)) {
                Ok((text, is_hello)) => {
                    greeted |= is_hello;
                    text
                }
                Err(error) => format!("refused   {error}"),
            };
            if !line(&text) {
                return Ok(());
            }
        }
    }
}

/// A frame's line, and whether it is a hello.
fn said(kind: u8, body: &[u8]) -> Result<(String, bool), FrameError> {
    const HELLO: u8 = 0x01;
    if let Some(version) = Some(body).filter(|_| kind == HELLO).and_then(protocol_of)
        && version != PROTOCOL_VERSION
    {
        let text =
            format!("hello     of protocol {version}; this program speaks {PROTOCOL_VERSION}: update the older one");
        return Ok((text, true));
    }
    let message = FromBoard::decode(kind, body)?;
    Ok((describe::message(&message), matches!(message, FromBoard::Hello(_))))
}
