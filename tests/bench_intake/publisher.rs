//! A sender over MQTT 3.1.1 with quality 1 and one publish in flight; the same one for mosquitto and for the hub.

use anyhow::{Result, ensure};
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufStream};

use super::Made;

/// PUBACK of packet id 1.
const ACKNOWLEDGED: (u8, [u8; 2]) = (0x40, [0, 1]);

/// One sender with its connection and what it will send, encoded.
pub struct Publisher<S> {
    stream: BufStream<S>,
    packets: Vec<Bytes>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Publisher<S> {
    /// CONNECT, and SUBSCRIBE to `filter` if there is one.
    pub async fn connect(stream: S, id: &str, filter: Option<&str>, packets: Vec<Bytes>) -> Result<Self> {
        let mut publisher = Publisher { stream: BufStream::new(stream), packets };
        let mut hello = vec![0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 0];
        hello.extend_from_slice(&text(id));
        publisher.write(&packet(0x10, &hello)).await?;
        let accepted = publisher.read().await?;
        ensure!(accepted == (0x20, vec![0, 0]), "refused: {accepted:02x?}");
        if let Some(filter) = filter {
            publisher.write(&packet(0x82, &[&[0, 1], &text(filter)[..], &[0]].concat())).await?;
            let granted = publisher.read().await?;
            ensure!(granted == (0x90, vec![0, 1, 0]), "no subscription: {granted:02x?}");
        }
        Ok(publisher)
    }

    /// Send everything, each after the one before it was acknowledged.
    pub async fn send(mut self) -> Result<()> {
        for packet in std::mem::take(&mut self.packets) {
            self.write(&packet).await?;
            let answer = loop {
                let answer = self.read().await?;
                // What was subscribed to.
                if answer.0 & 0xf0 != 0x30 {
                    break answer;
                }
            };
            ensure!(answer.0 == ACKNOWLEDGED.0 && answer.1 == ACKNOWLEDGED.1, "no PUBACK: {answer:02x?}");
        }
        Ok(())
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).await?;
        Ok(self.stream.flush().await?)
    }

    /// A packet's first byte and what follows its length.
    async fn read(&mut self) -> Result<(u8, Vec<u8>)> {
        let first = self.stream.read_u8().await?;
        let (mut length, mut shift) = (0usize, 0);
        loop {
            let byte = self.stream.read_u8().await?;
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
            ensure!(shift < 28, "a length without an end");
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await?;
        Ok((first, body))
    }
}

/// A publish of quality 1 (section 3.3), its packet id 1: the one before it is always acknowledged.
pub fn publish(made: &Made) -> Bytes {
    packet(0x32, &[&text(&made.topic)[..], &[0, 1], &made.payload].concat()).into()
}

fn text(text: &str) -> Vec<u8> {
    let mut bytes = (text.len() as u16).to_be_bytes().to_vec();
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first];
    let mut left = body.len();
    loop {
        let more = left > 0x7f;
        packet.push((left & 0x7f) as u8 | if more { 0x80 } else { 0 });
        left >>= 7;
        if !more {
            break;
        }
    }
    packet.extend_from_slice(body);
    packet
}
