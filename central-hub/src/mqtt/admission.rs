//! From an accepted socket to a session: TLS, whom the certificate speaks for, CONNECT. Each refusal leaves one log
//! line that says which it was and what to do.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::BytesMut;
use rumqttc::mqttbytes::v4::{Connect, Packet};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::{info, warn};

use super::Incoming;
use super::acl::Identity;
use super::codec::{Decoder, Frame, Violation, put_connack, put_connack_version_5};
use super::connection::Connection;
use super::revocation::Serial;
use super::shared::{Shared, take_over_will};
use super::stats::Refusal;
use super::tls;

/// CONNACK's return codes (3.2.2.3).
const ACCEPTED: u8 = 0;
const LEVEL_REFUSED: u8 = 1;
const CLIENT_ID_REFUSED: u8 = 2;
const UNAVAILABLE: u8 = 3;
const NOT_AUTHORISED: u8 = 5;

/// The first read: a CONNECT with a last will fits.
const FIRST_READ_BYTES: usize = 1_024;

/// Refused, for the log and the counters.
pub(crate) struct Refused {
    pub(crate) reason: Refusal,
    pub(crate) text: String,
}

fn refused(reason: Refusal, text: impl Into<String>) -> Refused {
    Refused { reason, text: text.into() }
}

/// TLS, then CONNECT. The caller limits the time.
pub(crate) async fn admit(
    tcp: TcpStream,
    acceptor: &TlsAcceptor,
    shared: &Arc<Shared>,
) -> Result<Connection<TlsStream<TcpStream>>, Refused> {
    // Acknowledgements are small and waited for.
    let _ = tcp.set_nodelay(true);
    let mut stream = acceptor.accept(tcp).await.map_err(|error| {
        let (reason, text) = tls::refusal(&error);
        refused(reason, format!("{text} ({error})"))
    })?;
    let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()).cloned();
    let certificate = certificate.ok_or_else(|| refused(Refusal::NoCertificate, "it showed no certificate"))?;
    let who = tls::identity(&certificate);
    drop(certificate);
    let (identity, serial) = match who {
        Ok(who) => who,
        Err(name) => {
            let _ = stream.shutdown().await;
            let text = format!("its certificate's common name {name:?} is neither a node's nor an operator's");
            return Err(refused(Refusal::Identity, text));
        }
    };
    let mut output = BytesMut::new();
    let admitted = connect(&mut stream, &mut output, Arc::new(identity), serial, shared).await;
    match admitted {
        Ok((cell, number, input, backlog)) => {
            Ok(Connection::new(stream, (shared.clone(), cell, number), (input, output), backlog))
        }
        Err(why) => {
            let _ = stream.write_all(&output).await;
            let _ = stream.shutdown().await;
            Err(why)
        }
    }
}

type Admitted = (Arc<super::registry::Cell>, u64, BytesMut, VecDeque<Incoming>);

/// CONNECT; the CONNACK, good or bad, goes to `output`.
async fn connect(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    output: &mut BytesMut,
    identity: Arc<Identity>,
    serial: Serial,
    shared: &Arc<Shared>,
) -> Result<Admitted, Refused> {
    let name = identity.name().to_owned();
    let mut input = BytesMut::new();
    let mut connect = read_connect(stream, &mut input).await.map_err(|why| match why {
        Unreadable::Violation(Violation::Level(5)) => {
            put_connack_version_5(output);
            refused(Refusal::Version, format!("{name} asked for MQTT 5; MQTT 3.1.1 is spoken here"))
        }
        Unreadable::Violation(Violation::Level(level)) => {
            put_connack(output, false, LEVEL_REFUSED);
            refused(Refusal::Version, format!("{name} asked for protocol level {level}; MQTT 3.1.1 is spoken here"))
        }
        Unreadable::Violation(violation) => refused(Refusal::Protocol, format!("{name}: {violation}")),
        Unreadable::Lost(error) => refused(Refusal::Protocol, format!("{name} left before its CONNECT: {error}")),
    })?;
    let number = shared.next_connection.fetch_add(1, Ordering::Relaxed);
    if connect.client_id.is_empty() {
        if !connect.clean_session {
            put_connack(output, false, CLIENT_ID_REFUSED);
            let text = format!("{name} wants to keep a session without a client id");
            return Err(refused(Refusal::ClientId, text));
        }
        // A colon keeps it apart from what clients choose; a session of its own each time (3.1.3-6).
        connect.client_id = format!(":{number}");
    }
    if let Some(will) = &connect.last_will
        && !identity.may_publish(&will.topic)
    {
        put_connack(output, false, NOT_AUTHORISED);
        let text = format!("{name} may not leave a last will on {:?}", will.topic);
        return Err(refused(Refusal::Will, text));
    }
    let now = shared.clock.now();
    let Some(attached) = shared.registry.attach(&identity, &serial, connect, number, now) else {
        put_connack(output, false, UNAVAILABLE);
        return Err(refused(Refusal::Capacity, format!("{name} has too many sessions")));
    };
    // Looked at after the session is known to `revoke`: no gap between the two.
    if shared.revoked.contains(&serial) {
        shared.registry.detach(&attached.cell, number, now, |_, _| {});
        put_connack(output, false, NOT_AUTHORISED);
        return Err(refused(Refusal::Revoked, format!("the certificate of {name} (serial {serial}) was revoked")));
    }
    let mut backlog = VecDeque::new();
    if let Some(will) = attached.will {
        take_over_will(shared, *will, &mut backlog);
    }
    if attached.announced {
        backlog.extend(identity.node().cloned().map(Incoming::Connected));
    }
    put_connack(output, attached.present, ACCEPTED);
    Ok((attached.cell, number, input, backlog))
}

enum Unreadable {
    Violation(Violation),
    Lost(String),
}

impl From<Violation> for Unreadable {
    fn from(violation: Violation) -> Self {
        Unreadable::Violation(violation)
    }
}

async fn read_connect(stream: &mut (impl AsyncRead + Unpin), input: &mut BytesMut) -> Result<Connect, Unreadable> {
    let mut decoder = Decoder::default();
    loop {
        // Before anything else is framed: only a CONNECT may come first (3.1.0-1).
        if let Some(first) = input.first().filter(|first| **first >> 4 != 1) {
            return Err(Violation::PacketType(first >> 4).into());
        }
        match decoder.next(input)? {
            Some(Frame::Packet(Packet::Connect(connect))) => return Ok(connect),
            Some(_) => return Err(Violation::PacketType(0).into()),
            None => {}
        }
        input.reserve(FIRST_READ_BYTES);
        match stream.read_buf(input).await {
            Ok(0) => return Err(Unreadable::Lost("connection closed".into())),
            Ok(_) => {}
            Err(error) => return Err(Unreadable::Lost(error.to_string())),
        }
    }
}

/// The one line of a refusal; `more` of its kind came since the line before.
pub(crate) fn log_refusal(peer: SocketAddr, why: &Refused, more: u64) {
    let (reason, text) = (why.reason.label(), &why.text);
    match why.reason {
        // Port scanners and broken lines: nobody has to act.
        Refusal::Handshake | Refusal::Timeout => info!(%peer, reason, more, "MQTT connection refused: {text}"),
        _ => warn!(%peer, reason, more, "MQTT connection refused: {text}"),
    }
}
