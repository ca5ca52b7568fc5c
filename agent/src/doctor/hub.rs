//! The way to one hub address: name, connection, TLS, session; the first step that fails is told and the rest not asked.
//!
//! A session is opened only while no agent runs: another one with the node's name would end the agent's own.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use rumqttc::mqttbytes::v4::{Connect, ConnectReturnCode, Packet};
use rustls::pki_types::ServerName;
use rustls::{AlertDescription, CertificateError, Error as TlsError};
use simpul_wire::doctor::{Code, Finding, Value, Verdict};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::{Patient, Word};
use crate::uplink::mqtt::split_address;

/// A resolver asks two servers once each; more is a name server that is away.
const NAME_MAX: Duration = Duration::from_secs(5);
/// All of a name's addresses together; a slow satellite link needs two seconds.
const CONNECT_MAX: Duration = Duration::from_secs(6);
/// A handshake is two round trips and some seconds of a small processor.
const TLS_MAX: Duration = Duration::from_secs(6);
/// CONNACK comes at once, or the hub is very busy.
const SESSION_MAX: Duration = Duration::from_secs(5);
/// In TLS 1.3 a server refuses a certificate only after the handshake: so long it is listened for.
const REFUSAL_MAX: Duration = Duration::from_millis(700);
/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 4;
/// A CONNACK has 4 bytes; what may come behind it is not read.
const ANSWER_BYTES_MAX: usize = 4_096;

/// The first byte of a CONNACK (MQTT 3.1.1, 3.2).
const CONNACK: u8 = 0x20;

/// How far it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reached {
    /// The agent has a session with it, or one was accepted, or (beside a running agent) its TLS is right.
    Accepted,
    NotAsked(String),
    NameNotFound(String),
    NameTimeout,
    Closed,
    Timeout,
    Unreachable(String),
    NoTls(String),
    WrongAuthority,
    WrongName,
    Expired(Option<i64>),
    NotYetValid(Option<i64>),
    RefusesCertificate(String),
    RefusesSession(String),
    Silent,
}

pub(super) async fn gather(patient: &Patient, word: Option<&Word>, address: &str) -> Reached {
    if word.is_some_and(|word| word.uplink.up && word.uplink.hub == address) {
        return Reached::Accepted;
    }
    match walk(patient, word.is_none(), address).await {
        Ok(()) => Reached::Accepted,
        Err(reached) => reached,
    }
}

async fn walk(patient: &Patient, open_session: bool, address: &str) -> Result<(), Reached> {
    let no_address = || Reached::NotAsked(format!("{address:?} is no host:port"));
    let (host, port) = split_address(address).ok_or_else(no_address)?;
    let name = ServerName::try_from(host.to_owned()).map_err(|_| no_address())?;
    let access = patient.enrolment().current().map_err(|error| error.to_string());
    let config = access.and_then(|access| access.tls.get());

    let found = timeout(NAME_MAX, lookup_host((host, port))).await.map_err(|_| Reached::NameTimeout)?;
    let found: Vec<_> = found.map_err(|error| Reached::NameNotFound(error.to_string()))?.take(ADDRESSES_MAX).collect();
    let connect = async {
        let mut failed = Reached::NameNotFound("no address".to_owned());
        for to in found {
            match TcpStream::connect(to).await {
                Ok(stream) => return Ok(stream),
                Err(error) => failed = name_connect_error(&error),
            }
        }
        Err(failed)
    };
    let stream = timeout(CONNECT_MAX, connect).await.map_err(|_| Reached::Timeout)??;

    // After the connection, so that a cut fibre is told before a file that is missing as well.
    let config = config.map_err(Reached::NotAsked)?;
    let handshake = TlsConnector::from(config).connect(name, stream);
    let shaken = timeout(TLS_MAX, handshake).await.map_err(|_| Reached::Silent)?;
    let mut stream = shaken.map_err(|error| name_tls_error(&error))?;
    if !open_session {
        let mut byte = [0];
        return match timeout(REFUSAL_MAX, stream.read(&mut byte)).await {
            Ok(Err(error)) => Err(name_tls_error(&error)),
            // Closed, or it waits for our CONNECT: both are after it took our certificate.
            Ok(Ok(_)) | Err(_) => Ok(()),
        };
    }
    let mut connect = Connect::new(patient.config.node.as_str());
    // As the agent connects: a clean session would delete what waits for it there.
    connect.clean_session = false;
    let mut packet = BytesMut::new();
    connect.write(&mut packet).map_err(|error| Reached::NotAsked(error.to_string()))?;
    let answered = timeout(SESSION_MAX, async {
        stream.write_all(&packet).await.map_err(|error| name_tls_error(&error))?;
        answer(&mut stream).await
    });
    let answer = answered.await.map_err(|_| Reached::Silent)??;
    // DISCONNECT (MQTT 3.1.1, 3.14): without it the node's last will would be due.
    let _ = timeout(REFUSAL_MAX, stream.write_all(&[0xe0, 0])).await;
    match answer {
        ConnectReturnCode::Success => Ok(()),
        refused => Err(Reached::RefusesSession(format!("{refused:?}"))),
    }
}

/// The hub's CONNACK.
async fn answer(stream: &mut (impl AsyncRead + Unpin)) -> Result<ConnectReturnCode, Reached> {
    let mut bytes = BytesMut::new();
    loop {
        // Another program's first words may look like the beginning of a long packet that is then waited for.
        if bytes.first().is_some_and(|kind| *kind != CONNACK) {
            return Err(Reached::NoTls("no MQTT".to_owned()));
        }
        match Packet::read(&mut bytes, ANSWER_BYTES_MAX) {
            Ok(Packet::ConnAck(answer)) => return Ok(answer.code),
            Ok(_) => return Err(Reached::NoTls("no MQTT".to_owned())),
            Err(rumqttc::mqttbytes::Error::InsufficientBytes(_)) if bytes.len() < ANSWER_BYTES_MAX => {}
            Err(error) => return Err(Reached::NoTls(format!("no MQTT: {error}"))),
        }
        match stream.read_buf(&mut bytes).await {
            Ok(0) => return Err(Reached::RefusesSession("connection closed".to_owned())),
            Ok(_) => {}
            Err(error) => return Err(name_tls_error(&error)),
        }
    }
}

fn name_connect_error(error: &io::Error) -> Reached {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Reached::Closed,
        io::ErrorKind::TimedOut => Reached::Timeout,
        _ => Reached::Unreachable(error.to_string()),
    }
}

/// What an error of the TLS connection means.
fn name_tls_error(error: &io::Error) -> Reached {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>());
    let Some(inner) = inner else { return Reached::NoTls(error.to_string()) };
    let seconds = |time: &rustls::pki_types::UnixTime| i64::try_from(time.as_secs()).ok();
    match inner {
        TlsError::InvalidCertificate(why) => match why {
            CertificateError::Expired => Reached::Expired(None),
            CertificateError::ExpiredContext { not_after, .. } => Reached::Expired(seconds(not_after)),
            CertificateError::NotValidYet => Reached::NotYetValid(None),
            CertificateError::NotValidYetContext { not_before, .. } => Reached::NotYetValid(seconds(not_before)),
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => Reached::WrongName,
            // A foreign signature, a certificate for another purpose, one that signs itself.
            _ => Reached::WrongAuthority,
        },
        TlsError::AlertReceived(
            alert @ (AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::DecryptError
            | AlertDescription::CertificateRequired),
        ) => Reached::RefusesCertificate(format!("{alert:?}")),
        other => Reached::NoTls(other.to_string()),
    }
}

pub(super) fn judge(address: &str, reached: &Reached, server_name: Option<&str>) -> Vec<Finding> {
    let host = split_address(address).map_or(address, |(host, _)| host);
    let fail = |code: Code| code.finding(Verdict::Fail).with_text("address", address);
    let at = |finding: Finding, at: &Option<i64>| match at {
        Some(at) => finding.with("at", Value::UnixS(*at)),
        None => finding,
    };
    let by_name = |code: Code| code.finding(Verdict::Fail).with_text("name", host);
    vec![match reached {
        Reached::Accepted => Code::HubGood.finding(Verdict::Ok).with_text("address", address),
        Reached::NotAsked(why) => {
            let unknown = Code::HubUnknown.finding(Verdict::Unknown);
            unknown.with_text("address", address).with_text("detail", why)
        }
        Reached::NameNotFound(error) => by_name(Code::NameNotFound).with_text("error", error),
        Reached::NameTimeout => by_name(Code::NameTimeout),
        Reached::Closed => fail(Code::HubClosed),
        Reached::Timeout => fail(Code::HubTimeout),
        Reached::Unreachable(error) => fail(Code::HubUnreachable).with_text("error", error),
        Reached::NoTls(error) => fail(Code::HubNoTls).with_text("error", error),
        Reached::WrongAuthority => fail(Code::HubWrongAuthority),
        Reached::WrongName => fail(Code::HubWrongName).with_text("expected", server_name.unwrap_or(host)),
        Reached::Expired(when) => at(fail(Code::HubExpired), when),
        Reached::NotYetValid(when) => at(fail(Code::HubNotYetValid), when),
        Reached::RefusesCertificate(error) => fail(Code::HubRefusesCertificate).with_text("error", error),
        Reached::RefusesSession(error) => fail(Code::HubRefusesSession).with_text("error", error),
        Reached::Silent => fail(Code::HubSilent),
    }]
}

#[cfg(test)]
mod tests {
    use super::super::testing::told;
    use super::*;

    #[test]
    fn each_step_has_its_finding() {
        let error = || "e".to_owned();
        for (reached, expected) in [
            (Reached::Accepted, "hub.good ok"),
            (Reached::NotAsked(error()), "hub.unknown unknown"),
            (Reached::NameNotFound(error()), "name.not_found fail"),
            (Reached::NameTimeout, "name.timeout fail"),
            (Reached::Closed, "hub.closed fail"),
            (Reached::Timeout, "hub.timeout fail"),
            (Reached::Unreachable(error()), "hub.unreachable fail"),
            (Reached::NoTls(error()), "hub.no_tls fail"),
            (Reached::WrongAuthority, "hub.wrong_authority fail"),
            (Reached::WrongName, "hub.wrong_name fail"),
            (Reached::Expired(Some(1)), "hub.expired fail"),
            (Reached::NotYetValid(None), "hub.not_yet_valid fail"),
            (Reached::RefusesCertificate(error()), "hub.refuses_certificate fail"),
            (Reached::RefusesSession(error()), "hub.refuses_session fail"),
            (Reached::Silent, "hub.silent fail"),
        ] {
            assert_eq!(told(&judge("hub.example:8883", &reached, None)), [expected]);
        }
    }

    #[test]
    fn errors_are_named_by_what_they_mean() {
        let tls = |error: TlsError| name_tls_error(&io::Error::other(error));
        let bad = |why| tls(TlsError::InvalidCertificate(why));
        assert_eq!(bad(CertificateError::UnknownIssuer), Reached::WrongAuthority);
        assert_eq!(bad(CertificateError::NotValidForName), Reached::WrongName);
        assert_eq!(bad(CertificateError::Expired), Reached::Expired(None));
        assert_eq!(bad(CertificateError::NotValidYet), Reached::NotYetValid(None));
        let refused = tls(TlsError::AlertReceived(AlertDescription::UnknownCA));
        assert_eq!(refused, Reached::RefusesCertificate("UnknownCA".to_owned()));
        assert!(matches!(tls(TlsError::HandshakeNotComplete), Reached::NoTls(_)));
        let io = |kind: io::ErrorKind| name_connect_error(&kind.into());
        assert_eq!(io(io::ErrorKind::ConnectionRefused), Reached::Closed);
        assert_eq!(io(io::ErrorKind::TimedOut), Reached::Timeout);
        assert!(matches!(io(io::ErrorKind::NetworkUnreachable), Reached::Unreachable(_)));
    }

    #[tokio::test]
    async fn only_a_connack_is_an_answer() {
        for (bytes, expected) in [
            (&[0x20, 2, 0, 0][..], Ok(ConnectReturnCode::Success)),
            (&[0x20, 2, 0, 5], Ok(ConnectReturnCode::NotAuthorized)),
            (&[], Err("closed")),
            (&[0x20, 2], Err("closed")),
            (b"HTTP/1.1 400 Bad Request\r\n\r\n", Err("no MQTT")),
        ] {
            match (answer(&mut &bytes[..]).await, expected) {
                (Ok(code), Ok(wanted)) => assert_eq!(code, wanted),
                (Err(Reached::RefusesSession(_)), Err("closed")) | (Err(Reached::NoTls(_)), Err("no MQTT")) => {}
                (other, _) => panic!("{bytes:?}: {other:?}"),
            }
        }
    }
}
