//! Bytes to packets and back, for one connection. Framing with limits, on top of `rumqttc::mqttbytes::v4`, and every
//! check of MQTT 3.1.1 that codec lacks: fixed-header flags, packet directions, empty or NUL topics, CONNECT's
//! reserved bit and level, bytes behind the last field.
//!
//! A frame's length is judged before anything is allocated for it. A publish over the limit is *oversize*: its first
//! bytes are looked at, the rest is discarded as it streams in. Leaves all state but the discarding to
//! [`super::session`].

use bytes::{Buf, BufMut, Bytes, BytesMut};
use rumqttc::mqttbytes::v4::{Packet, Publish};
use rumqttc::mqttbytes::{self, QoS};
use simpul_wire::limits::PAYLOAD_BYTES_MAX;
use thiserror::Error;

use super::topic::{TOPIC_BYTES_MAX, filter_is_valid, name_is_valid};

/// Largest frame of any kind but PUBLISH and CONNECT: a SUBSCRIBE of 16 longest filters is 8 KiB.
pub(crate) const CONTROL_BYTES_MAX: usize = 8 * 1024;

/// Largest CONNECT. A last will is a node's state: a few hundred bytes.
pub(crate) const CONNECT_BYTES_MAX: usize = 16 * 1024;

/// Most filters in one SUBSCRIBE or UNSUBSCRIBE.
pub(crate) const FILTERS_MAX: usize = 32;

/// How much of an oversize payload is looked at: a batch's header takes under 150 bytes.
pub(crate) const OVERSIZE_HEAD_BYTES: usize = 512;

/// A client broke the protocol, or a limit that has no softer answer. The connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum Violation {
    #[error("packet type {0} does not exist or is not a client's to send")]
    PacketType(u8),
    #[error("fixed-header flags {flags:#06b} are wrong for packet type {packet_type}")]
    Flags { packet_type: u8, flags: u8 },
    #[error("remaining length is longer than four bytes")]
    RemainingLength,
    #[error("packet type {packet_type} of {bytes} bytes, {limit} are the limit")]
    TooLarge { packet_type: u8, bytes: usize, limit: usize },
    #[error("packet type {packet_type} of {bytes} bytes has no such length")]
    Length { packet_type: u8, bytes: usize },
    #[error("protocol name is not MQTT")]
    ProtocolName,
    #[error("protocol level {0} is not spoken here")]
    Level(u8),
    #[error("CONNECT's reserved flag is set")]
    ReservedFlag,
    #[error("CONNECT's flags contradict each other")]
    ConnectFlags,
    #[error("bytes behind the packet's last field")]
    TrailingBytes,
    #[error("empty, overlong or ill-formed topic")]
    Topic,
    #[error("ill-formed client id")]
    ClientId,
    #[error("packet id is zero")]
    PacketId,
    #[error("not one topic filter, or more than {FILTERS_MAX}")]
    Filters,
    #[error("quality of service out of range")]
    QualityOfService,
    #[error("malformed packet")]
    Malformed,
}

/// What came off the wire.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// A whole packet that passed every check.
    Packet(Packet),
    /// A publish over the limit; all of it has been discarded but its beginning.
    Oversize(Oversize),
}

/// A publish that was too large to take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Oversize {
    pub(crate) topic: String,
    pub(crate) qos: QoS,
    pub(crate) packet_id: u16,
    /// The payload's first bytes, at most [`OVERSIZE_HEAD_BYTES`].
    pub(crate) head: Bytes,
    /// The payload's length.
    pub(crate) bytes: usize,
}

/// What the front of the input needs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// A fixed header; its length is not known yet.
    Header,
    /// A whole frame of so many bytes.
    Frame(usize),
    /// As many bytes as come, to throw them away.
    Discard,
}

/// Takes frames off a connection's input.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    discarding: Option<Box<Discard>>,
}

#[derive(Debug)]
struct Discard {
    report: Oversize,
    left: usize,
}

impl Decoder {
    /// What the front of `input` needs before [`Decoder::next`] gives a frame. Judges the fixed header.
    pub(crate) fn wanted(&self, input: &[u8]) -> Result<Wanted, Violation> {
        if self.discarding.is_some() {
            return Ok(Wanted::Discard);
        }
        let Some(fixed) = Fixed::read(input)? else { return Ok(Wanted::Header) };
        let limit = fixed.limit();
        if fixed.remaining <= limit {
            return Ok(Wanted::Frame(fixed.frame()));
        }
        if fixed.packet_type != PUBLISH {
            let bytes = fixed.remaining;
            return Err(Violation::TooLarge { packet_type: fixed.packet_type, bytes, limit });
        }
        // Enough to read the topic and a batch's header.
        Ok(Wanted::Frame(fixed.header + 2 + TOPIC_BYTES_MAX + 2 + OVERSIZE_HEAD_BYTES))
    }

    /// The next frame, taken off the front of `input`; `None` until more has come.
    pub(crate) fn next(&mut self, input: &mut BytesMut) -> Result<Option<Frame>, Violation> {
        if let Some(discard) = &mut self.discarding {
            let step = discard.left.min(input.len());
            input.advance(step);
            discard.left -= step;
            if discard.left > 0 {
                return Ok(None);
            }
            return Ok(self.discarding.take().map(|discard| Frame::Oversize(discard.report)));
        }
        match self.wanted(input)? {
            Wanted::Frame(bytes) if input.len() >= bytes => {}
            _ => return Ok(None),
        }
        let Some(fixed) = Fixed::read(input)? else { return Ok(None) };
        if fixed.remaining > fixed.limit() {
            self.begin_discarding(&fixed, input)?;
            return self.next(input);
        }
        check_body(&fixed, &input[fixed.header..fixed.frame()])?;
        let packet = Packet::read(input, fixed.remaining).map_err(|_| Violation::Malformed)?;
        match check_packet(packet)? {
            Packet::Publish(publish) if publish.payload.len() > PAYLOAD_BYTES_MAX => {
                let (bytes, head) = (publish.payload.len(), publish.payload.slice(..OVERSIZE_HEAD_BYTES));
                let Publish { topic, qos, pkid: packet_id, .. } = publish;
                Ok(Some(Frame::Oversize(Oversize { topic, qos, packet_id, head, bytes })))
            }
            packet => Ok(Some(Frame::Packet(packet))),
        }
    }

    fn begin_discarding(&mut self, fixed: &Fixed, input: &mut BytesMut) -> Result<(), Violation> {
        let mut fields = Fields(&input[fixed.header..]);
        let topic = String::from_utf8(fields.bytes()?.to_vec()).map_err(|_| Violation::Topic)?;
        if !name_is_valid(&topic) {
            return Err(Violation::Topic);
        }
        let qos = fixed.quality()?;
        let packet_id = if qos == QoS::AtMostOnce { 0 } else { fields.u16()? };
        if qos != QoS::AtMostOnce && packet_id == 0 {
            return Err(Violation::PacketId);
        }
        let head = Bytes::copy_from_slice(&fields.0[..fields.0.len().min(OVERSIZE_HEAD_BYTES)]);
        let bytes = fixed.remaining - (input.len() - fixed.header - fields.0.len());
        self.discarding =
            Some(Box::new(Discard { report: Oversize { topic, qos, packet_id, head, bytes }, left: fixed.frame() }));
        Ok(())
    }
}

const CONNECT: u8 = 1;
const PUBLISH: u8 = 3;

/// A fixed header: type, flags, lengths.
struct Fixed {
    packet_type: u8,
    flags: u8,
    /// Bytes of the fixed header itself.
    header: usize,
    remaining: usize,
}

impl Fixed {
    fn read(input: &[u8]) -> Result<Option<Fixed>, Violation> {
        let Some((&first, rest)) = input.split_first() else { return Ok(None) };
        let (packet_type, flags) = (first >> 4, first & 0x0f);
        let expected = match packet_type {
            PUBLISH if flags & 0b0110 == 0b0110 => return Err(Violation::QualityOfService),
            PUBLISH if flags & 0b1110 == 0b1000 => return Err(Violation::Flags { packet_type, flags }),
            PUBLISH => flags,
            6 | 8 | 10 => 0b0010,
            CONNECT | 4 | 5 | 7 | 12 | 14 => 0,
            // CONNACK, SUBACK, UNSUBACK and PINGRESP are the server's.
            _ => return Err(Violation::PacketType(packet_type)),
        };
        if flags != expected {
            return Err(Violation::Flags { packet_type, flags });
        }
        let mut remaining = 0usize;
        for (index, &byte) in rest.iter().take(4).enumerate() {
            remaining |= usize::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                return Ok(Some(Fixed { packet_type, flags, header: index + 2, remaining }));
            }
        }
        if rest.len() >= 4 { Err(Violation::RemainingLength) } else { Ok(None) }
    }

    fn frame(&self) -> usize {
        self.header + self.remaining
    }

    fn limit(&self) -> usize {
        match self.packet_type {
            PUBLISH => PAYLOAD_BYTES_MAX + TOPIC_BYTES_MAX + 4,
            CONNECT => CONNECT_BYTES_MAX,
            _ => CONTROL_BYTES_MAX,
        }
    }

    fn quality(&self) -> Result<QoS, Violation> {
        mqttbytes::qos((self.flags >> 1) & 0b11).map_err(|_| Violation::QualityOfService)
    }
}

/// Checks of a whole body that the codec below leaves out, or makes too late.
fn check_body(fixed: &Fixed, body: &[u8]) -> Result<(), Violation> {
    let wrong_length = Violation::Length { packet_type: fixed.packet_type, bytes: body.len() };
    match fixed.packet_type {
        CONNECT => check_connect(body),
        4..=7 if body.len() != 2 => Err(wrong_length),
        12 | 14 if !body.is_empty() => Err(wrong_length),
        4..=7 if body == [0, 0] => Err(Violation::PacketId),
        8 => {
            let mut fields = Fields(body);
            if fields.u16()? == 0 {
                return Err(Violation::PacketId);
            }
            while !fields.0.is_empty() {
                fields.bytes()?;
                // The upper six bits are reserved, quality 3 does not exist (3.8.3-4).
                if fields.u8()? > 2 {
                    return Err(Violation::QualityOfService);
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn check_connect(body: &[u8]) -> Result<(), Violation> {
    let mut fields = Fields(body);
    let name = fields.bytes()?;
    let level = fields.u8()?;
    match (name, level) {
        (b"MQTT", 4) => {}
        // The forerunner's name: its clients understand the refusal of the level.
        (b"MQTT" | b"MQIsdp", level) => return Err(Violation::Level(level)),
        _ => return Err(Violation::ProtocolName),
    }
    let flags = fields.u8()?;
    if flags & 1 != 0 {
        return Err(Violation::ReservedFlag);
    }
    let (will, will_quality, will_retain) = (flags & 4 != 0, (flags >> 3) & 3, flags & 0x20 != 0);
    let (user, password) = (flags & 0x80 != 0, flags & 0x40 != 0);
    if will_quality == 3 || (!will && (will_quality != 0 || will_retain)) || (password && !user) {
        return Err(Violation::ConnectFlags);
    }
    fields.u16()?;
    let client_id = fields.bytes()?;
    // One per session is kept for as long as the session is.
    if client_id.len() > 256 || client_id.contains(&0) {
        return Err(Violation::ClientId);
    }
    for _ in 0..usize::from(will) * 2 + usize::from(user) + usize::from(password) {
        fields.bytes()?;
    }
    if fields.0.is_empty() { Ok(()) } else { Err(Violation::TrailingBytes) }
}

fn check_packet(packet: Packet) -> Result<Packet, Violation> {
    match &packet {
        Packet::Publish(publish) if !name_is_valid(&publish.topic) => Err(Violation::Topic),
        Packet::Connect(connect) if connect.last_will.as_ref().is_some_and(|will| !name_is_valid(&will.topic)) => {
            Err(Violation::Topic)
        }
        Packet::Subscribe(subscribe) if subscribe.filters.len() > FILTERS_MAX => Err(Violation::Filters),
        Packet::Subscribe(subscribe) if !subscribe.filters.iter().all(|filter| filter_is_valid(&filter.path)) => {
            Err(Violation::Topic)
        }
        Packet::Unsubscribe(unsubscribe) if unsubscribe.pkid == 0 => Err(Violation::PacketId),
        Packet::Unsubscribe(unsubscribe) if !(1..=FILTERS_MAX).contains(&unsubscribe.topics.len()) => {
            Err(Violation::Filters)
        }
        Packet::Unsubscribe(unsubscribe) if !unsubscribe.topics.iter().all(|filter| filter_is_valid(filter)) => {
            Err(Violation::Topic)
        }
        _ => Ok(packet),
    }
}

/// Length-prefixed fields of a body.
struct Fields<'b>(&'b [u8]);

impl<'b> Fields<'b> {
    fn take(&mut self, count: usize) -> Result<&'b [u8], Violation> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Violation::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn u8(&mut self) -> Result<u8, Violation> {
        Ok(self.take(1)?[0])
    }

    fn u16(&mut self) -> Result<u16, Violation> {
        self.take(2).map(|two| u16::from_be_bytes([two[0], two[1]]))
    }

    fn bytes(&mut self) -> Result<&'b [u8], Violation> {
        let count = self.u16()?;
        self.take(usize::from(count))
    }
}

/// CONNACK (3.2): 0 accepted, 1 level, 2 identifier, 5 not authorised.
pub(crate) fn put_connack(output: &mut BytesMut, session_present: bool, code: u8) {
    output.put_slice(&[0x20, 2, u8::from(session_present), code]);
}

/// MQTT 5's CONNACK with reason 0x84, unsupported protocol version: what a client of version 5 understands.
pub(crate) fn put_connack_version_5(output: &mut BytesMut) {
    output.put_slice(&[0x20, 3, 0, 0x84, 0]);
}

/// A packet that is nothing but a type and a packet id.
pub(crate) fn put_acknowledgement(output: &mut BytesMut, kind: Acknowledgement, packet_id: u16) {
    output.put_u8(kind as u8);
    output.put_u8(2);
    output.put_u16(packet_id);
}

/// First bytes of the packets that [`put_acknowledgement`] writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Acknowledgement {
    PubAck = 0x40,
    PubRec = 0x50,
    PubRel = 0x62,
    PubComp = 0x70,
    UnsubAck = 0xb0,
}

/// SUBACK: one code a filter, 0x80 for a refused one.
pub(crate) fn put_suback(output: &mut BytesMut, packet_id: u16, codes: &[u8]) {
    output.put_u8(0x90);
    put_remaining(output, 2 + codes.len());
    output.put_u16(packet_id);
    output.put_slice(codes);
}

/// PINGRESP.
pub(crate) fn put_pingresp(output: &mut BytesMut) {
    output.put_slice(&[0xd0, 0]);
}

/// PUBLISH. `packet_id` counts only from quality 1 on.
pub(crate) fn put_publish(
    output: &mut BytesMut,
    topic: &str,
    payload: &[u8],
    (qos, packet_id): (QoS, u16),
    (retain, dup): (bool, bool),
) {
    let numbered = qos != QoS::AtMostOnce;
    output.put_u8(0x30 | u8::from(dup) << 3 | (qos as u8) << 1 | u8::from(retain));
    put_remaining(output, 2 + topic.len() + usize::from(numbered) * 2 + payload.len());
    // Topics of more than `TOPIC_BYTES_MAX` are refused at every entrance.
    output.put_u16(topic.len() as u16);
    output.put_slice(topic.as_bytes());
    if numbered {
        output.put_u16(packet_id);
    }
    output.put_slice(payload);
}

fn put_remaining(output: &mut BytesMut, mut length: usize) {
    loop {
        let byte = (length & 0x7f) as u8;
        length >>= 7;
        output.put_u8(byte | if length > 0 { 0x80 } else { 0 });
        if length == 0 {
            return;
        }
    }
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
