//! What an examination of a node found: findings with a stable code, typed parameters, and what they follow from.
//!
//! A finding carries its code's number **and** its text id, so that a hub that is older than its agents still shows what
//! it does not know. Words for people are elsewhere: here are codes. An examination travels as an event
//! ([`crate::event::EventBody::Examination`]) and is therefore kept to [`REPORT_BYTES_MAX`].

use alloc::string::ToString;
use alloc::vec::Vec;

use minicbor::decode::{Decoder, Error};
use minicbor::encode::{Encoder, Write};
use minicbor::{Decode, Encode};

use crate::error::to_vec;
use crate::units::numbered;
use crate::{Label, Text, WireError};

/// Most findings of one examination: one for each of some 15 things, 4 hubs and a dozen cameras, twice over.
pub const FINDINGS_MAX: usize = 64;

/// Most parameters of one finding: a sentence has no more places.
pub const PARAMETERS_MAX: usize = 6;

/// Largest report: below the 16 KiB that an agent's buffer takes as one record.
pub const REPORT_BYTES_MAX: usize = 12 * 1024;

numbered! {
    /// How something is. The list is closed: nothing is ever added to it.
    Verdict {
        /// As it should be.
        1 Ok "ok",
        /// Works, and will not for long, or not well.
        2 Warn "warn",
        /// Does not work.
        3 Fail "fail",
        /// Could not be found out. Not the same as well.
        4 Unknown "unknown",
        /// There is nothing of the kind here to examine.
        5 Absent "absent",
    }
}

/// A finding.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Finding {
    /// The code's number: [`Code`], or one of a newer agent's.
    #[n(0)]
    pub code: u16,
    /// The code's text id, such as `hub.wrong_authority`.
    #[n(1)]
    pub id: Label,
    /// How it is.
    #[n(2)]
    pub verdict: Verdict,
    /// What the finding's sentences need, by name.
    #[n(3)]
    #[cbor(default)]
    pub parameters: Parameters,
    /// The code of the finding that this one probably follows from: mend that one first.
    #[n(4)]
    pub follows: Option<u16>,
}

/// A finding's parameters, at most [`PARAMETERS_MAX`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Parameters(Vec<Parameter>);

/// A named value.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Parameter {
    /// Its name.
    #[n(0)]
    pub name: Label,
    /// Its value.
    #[n(1)]
    pub value: Value,
}

/// A value with its kind, so that each language writes it in its way. A kind that is missing here travels as text.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Value {
    /// Text as it is: a name, an address, what a system said.
    #[n(1)]
    Text(#[n(0)] Text),
    /// A number of things.
    #[n(2)]
    Count(#[n(0)] u64),
    /// An amount of data.
    #[n(3)]
    Bytes(#[n(0)] u64),
    /// A duration in milliseconds.
    #[n(4)]
    DurationMs(#[n(0)] u64),
    /// A moment in Unix seconds (UTC).
    #[n(5)]
    UnixS(#[n(0)] i64),
    /// Thousandths of a volt.
    #[n(6)]
    Millivolts(#[n(0)] u64),
}

/// An examination's result: findings, the most likely root cause first, what follows from a cause behind it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Report {
    /// The order that asked for it; nothing: someone on site.
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    pub id: Option<[u8; 16]>,
    /// The examining agent's version.
    #[n(1)]
    pub version: Label,
    /// How long it took.
    #[n(2)]
    pub took_ms: u32,
    /// The findings.
    #[n(3)]
    #[cbor(default)]
    pub findings: Findings,
    /// Findings that were left out for want of room: the last ones.
    #[n(4)]
    #[cbor(default)]
    pub omitted: u32,
}

/// A report's findings, at most [`FINDINGS_MAX`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Findings(Vec<Finding>);

macro_rules! bounded_list {
    ($list:ident of $item:ident at most $max:ident) => {
        impl $list {
            /// As many of these as there is room for, in their order.
            pub fn clipped(items: impl IntoIterator<Item = $item>) -> Self {
                $list(items.into_iter().take($max).collect())
            }
        }

        impl core::ops::Deref for $list {
            type Target = [$item];
            fn deref(&self) -> &[$item] {
                &self.0
            }
        }

        impl<C> Encode<C> for $list {
            fn encode<W: Write>(
                &self,
                e: &mut Encoder<W>,
                context: &mut C,
            ) -> Result<(), minicbor::encode::Error<W::Error>> {
                self.0.encode(e, context)
            }
        }

        impl<'b, C> Decode<'b, C> for $list {
            fn decode(d: &mut Decoder<'b>, context: &mut C) -> Result<Self, Error> {
                let mut items = Vec::new();
                for item in d.array_iter_with::<C, $item>(context)? {
                    if items.len() >= $max {
                        return Err(Error::message("a report of an examination has too many items"));
                    }
                    items.push(item?);
                }
                Ok($list(items))
            }
        }
    };
}
bounded_list!(Findings of Finding at most FINDINGS_MAX);
bounded_list!(Parameters of Parameter at most PARAMETERS_MAX);

/// A [`Report`] as CBOR, at most [`REPORT_BYTES_MAX`]. It is opened where someone looks at it: a store of events neither
/// pays for its parts nor refuses one that it cannot read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedReport(Vec<u8>);

impl SealedReport {
    /// The report.
    pub fn open(&self) -> Result<Report, WireError> {
        Ok(minicbor::decode(&self.0)?)
    }
}

impl<C> Encode<C> for SealedReport {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.bytes(&self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for SealedReport {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, Error> {
        let bytes = d.bytes()?;
        if bytes.len() > REPORT_BYTES_MAX {
            return Err(Error::message("a report of an examination is too large"));
        }
        Ok(SealedReport(bytes.to_vec()))
    }
}

impl Report {
    /// As it travels.
    pub fn seal(&self) -> SealedReport {
        SealedReport(to_vec(self))
    }

    /// A report of these findings, of which the last are left out, and counted, where there is no room for them.
    pub fn clipped(id: Option<[u8; 16]>, version: Label, took_ms: u32, findings: Vec<Finding>) -> Report {
        let all = findings.len();
        let mut report = Report { id, version, took_ms, findings: Findings::clipped(findings), omitted: u32::MAX };
        // Measured with the largest count in place, so that the real one needs no more room.
        while to_vec(&report).len() > REPORT_BYTES_MAX && report.findings.0.pop().is_some() {}
        report.omitted = u32::try_from(all - report.findings.len()).unwrap_or(u32::MAX);
        report
    }

    /// The worst of the findings: a failure, then a warning, then what is not known.
    pub fn worst(&self) -> Verdict {
        let has = |verdict| self.findings.iter().any(|finding| finding.verdict == verdict);
        [Verdict::Fail, Verdict::Warn, Verdict::Unknown].into_iter().find(|v| has(*v)).unwrap_or(Verdict::Ok)
    }
}

numbered! {
    /// What can be found. Numbers and text ids are never reused and never change their meaning.
    Code {
        /// The card has room and takes writes in time.
        1 StorageGood "storage.good",
        /// Little room is left.
        2 StorageLow "storage.low",
        /// No room is left.
        3 StorageFull "storage.full",
        /// The card is mounted read-only.
        4 StorageReadOnly "storage.read_only",
        /// A write failed.
        5 StorageWriteError "storage.write_error",
        /// A write that is on the card for sure takes too long.
        6 StorageSlow "storage.slow",
        /// The card counts itself as nearly worn out.
        7 StorageWorn "storage.worn",
        /// The card could not be looked at.
        8 StorageUnknown "storage.unknown",
        /// The buffer is whole and below its limits.
        10 SpoolGood "spool.good",
        /// A damaged database was set aside.
        11 SpoolQuarantined "spool.quarantined",
        /// The buffer's books cannot be read.
        12 SpoolDamaged "spool.damaged",
        /// A stream of the buffer is near its limit, or at it.
        13 SpoolAtLimit "spool.at_limit",
        /// Records were lost for ever.
        14 SpoolLost "spool.lost",
        /// The buffer is not there.
        15 SpoolMissing "spool.missing",

        /// The clock can be believed.
        20 ClockGood "clock.good",
        /// Nothing sets the clock.
        21 ClockUnsynchronised "clock.unsynchronised",
        /// The clock is before a time that has been.
        22 ClockBehind "clock.behind",
        /// The clock is many years ahead.
        23 ClockAhead "clock.ahead",

        /// The supply is as it should be.
        30 PowerGood "power.good",
        /// The machine's supply voltage is too low.
        31 PowerUndervoltage "power.undervoltage",
        /// The board's supply voltage is low.
        32 PowerBoardLow "power.board_low",
        /// The supply could not be looked at.
        34 PowerUnknown "power.unknown",
        /// Nothing here measures the supply.
        35 PowerAbsent "power.absent",

        /// The board talks and is understood.
        40 BoardGood "board.good",
        /// The board's port is not there.
        41 BoardUnplugged "board.unplugged",
        /// The port is there, nothing comes from it.
        42 BoardSilent "board.silent",
        /// The board waits in its boot loader.
        43 BoardBootLoader "board.boot_loader",
        /// The board speaks another version of the link.
        44 BoardWrongProtocol "board.wrong_protocol",
        /// The board's journal is damaged or cannot be written.
        45 BoardJournal "board.journal",
        /// What comes from the board cannot be read.
        46 BoardNoise "board.noise",
        /// The board sends impossible values.
        47 BoardImpossible "board.impossible",
        /// What the board counts cannot be kept here.
        48 BoardRefused "board.refused",
        /// The board could not be looked at.
        49 BoardUnknown "board.unknown",
        /// No board is configured.
        50 BoardAbsent "board.absent",

        /// The camera delivers good pictures.
        60 CameraGood "camera.good",
        /// The camera's name has no address.
        61 CameraName "camera.name",
        /// The camera does not answer.
        62 CameraUnreachable "camera.unreachable",
        /// The camera answers with an HTTP error.
        63 CameraHttp "camera.http",
        /// The camera refuses user or password.
        64 CameraPassword "camera.password",
        /// The camera is left alone, so that it does not lock us out.
        65 CameraPaused "camera.paused",
        /// The camera wants a login that is not configured, or only sends passwords in clear text.
        66 CameraLogin "camera.login",
        /// What the camera sends is no picture.
        67 CameraNoPicture "camera.no_picture",
        /// The camera's picture is cut short or damaged.
        68 CameraShort "camera.short",
        /// The camera sends the same picture again and again.
        69 CameraFrozen "camera.frozen",
        /// The camera's picture is black.
        70 CameraBlack "camera.black",
        /// The camera's view changed: all is masked until someone confirms it.
        71 CameraView "camera.view",
        /// The camera's password cannot be read here.
        72 CameraSecret "camera.secret",
        /// The camera could not be looked at.
        73 CameraUnknown "camera.unknown",
        /// No camera is configured.
        74 CameraAbsent "camera.absent",

        /// There is a link, an address and a way out.
        80 NetworkGood "network.good",
        /// No cable, no carrier, no Wi-Fi.
        81 NetworkNoLink "network.no_link",
        /// No address.
        82 NetworkNoAddress "network.no_address",
        /// No way out of the local network.
        83 NetworkNoRoute "network.no_route",
        /// The network could not be looked at.
        84 NetworkUnknown "network.unknown",
        /// The hub's name is found.
        90 NameGood "name.good",
        /// The hub's name is not found.
        91 NameNotFound "name.not_found",
        /// No answer to the question for the hub's name.
        92 NameTimeout "name.timeout",

        /// The hub answers and accepts this node.
        100 HubGood "hub.good",
        /// The hub's machine refuses the connection.
        101 HubClosed "hub.closed",
        /// No answer from the hub's address.
        102 HubTimeout "hub.timeout",
        /// The way to the hub's address is refused.
        103 HubUnreachable "hub.unreachable",
        /// What answers speaks no TLS.
        104 HubNoTls "hub.no_tls",
        /// The hub's certificate is not signed by the district's authority.
        105 HubWrongAuthority "hub.wrong_authority",
        /// The hub's certificate is for another name.
        106 HubWrongName "hub.wrong_name",
        /// The hub's certificate has expired.
        107 HubExpired "hub.expired",
        /// The hub's certificate is not valid yet.
        108 HubNotYetValid "hub.not_yet_valid",
        /// The hub refuses this node's certificate.
        109 HubRefusesCertificate "hub.refuses_certificate",
        /// The hub refuses this node's session.
        110 HubRefusesSession "hub.refuses_session",
        /// The hub takes the connection and says nothing.
        111 HubSilent "hub.silent",
        /// The agent has no session with the hub.
        112 HubDisconnected "hub.disconnected",
        /// The hub has not acknowledged for a long time, and something waits.
        113 HubNoAcknowledgement "hub.no_acknowledgement",
        /// Much waits for the hub.
        114 HubBacklog "hub.backlog",
        /// The hub refuses records.
        115 HubRefusesRecords "hub.refuses_records",
        /// The way to the hub could not be looked at.
        116 HubUnknown "hub.unknown",

        /// This node's certificate is good.
        120 CertificateGood "certificate.good",
        /// A file of the certificate cannot be read.
        121 CertificateFile "certificate.file",
        /// The certificate has expired.
        122 CertificateExpired "certificate.expired",
        /// The certificate expires soon.
        123 CertificateExpiresSoon "certificate.expires_soon",
        /// The certificate is not valid yet.
        124 CertificateNotYetValid "certificate.not_yet_valid",
        /// The certificate is for another node.
        125 CertificateWrongNode "certificate.wrong_node",
        /// The key does not belong to the certificate.
        126 CertificateWrongKey "certificate.wrong_key",
        /// The certificate is not signed by the authority in the CA file.
        127 CertificateWrongAuthority "certificate.wrong_authority",

        /// The agent runs.
        140 AgentGood "agent.good",
        /// The agent does not run.
        141 AgentNotRunning "agent.not_running",
        /// The agent does not answer.
        142 AgentSilent "agent.silent",
        /// A part of the examination did not end in time.
        150 CheckTimeout "check.timeout",
    }
}

impl Code {
    /// A finding with this code.
    pub fn finding(self, verdict: Verdict) -> Finding {
        let id = Label::clipped(self.text());
        Finding { code: u16::from(self.number()), id, verdict, parameters: Parameters::default(), follows: None }
    }
}

impl Finding {
    /// With one more parameter.
    pub fn with(mut self, name: &str, value: Value) -> Finding {
        if self.parameters.0.len() < PARAMETERS_MAX {
            self.parameters.0.push(Parameter { name: Label::clipped(name), value });
        }
        self
    }

    /// With one more parameter that is text.
    pub fn with_text(self, name: &str, text: impl core::fmt::Display) -> Finding {
        self.with(name, Value::Text(Text::clipped(&text.to_string())))
    }

    /// Its code, if this program knows it.
    pub fn known(&self) -> Option<Code> {
        u8::try_from(self.code).ok().and_then(Code::from_number)
    }
}
