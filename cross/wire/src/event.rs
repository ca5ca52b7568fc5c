//! Records of the `event` stream: what happened to the node. Committed at once, sent first.

use minicbor::{Decode, Encode};

use crate::doctor::{SealedReport, Verdict};
use crate::units::numbered;
use crate::update::{Part, Step};
use crate::{Epoch, Label, Missing, SeqRange, Stamp, Stream, Text};

/// One record of the `event` stream.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct EventRecord {
    /// When it happened.
    #[n(0)]
    pub stamp: Stamp,
    /// What happened.
    #[n(1)]
    pub body: EventBody,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum EventBody {
    /// The machine's clock was synchronised: this stamp's boot and uptime were `wall_ms`, give or take `error_ms`.
    #[n(1)]
    #[cbor(map)]
    ClockAnchor {
        /// Unix time in milliseconds.
        #[n(0)]
        wall_ms: i64,
        /// Largest error in milliseconds.
        #[n(1)]
        error_ms: u32,
    },
    /// Records that will never come. Data that arrives after all turns lost into have.
    #[n(2)]
    Loss(#[n(0)] Loss),
    /// The agent started.
    #[n(3)]
    #[cbor(map)]
    Started {
        /// The agent's version.
        #[n(0)]
        version: Label,
        /// Whether the run before it ended in order.
        #[n(1)]
        clean: bool,
        /// Whether the machine booted since (and not the agent alone).
        #[n(2)]
        new_boot: bool,
    },
    /// The agent stops in order.
    #[n(4)]
    #[cbor(map)]
    Stopping {},
    /// A camera's condition changed.
    #[n(5)]
    #[cbor(map)]
    Camera {
        /// The camera's id.
        #[n(0)]
        camera: Label,
        /// Its condition now.
        #[n(1)]
        condition: CameraCondition,
        /// What exactly, for people.
        #[n(2)]
        detail: Text,
    },
    /// The spool's condition changed.
    #[n(6)]
    #[cbor(map)]
    Spool {
        /// The condition.
        #[n(0)]
        condition: SpoolCondition,
        /// The stream it concerns, if one.
        #[n(1)]
        stream: Option<Stream>,
        /// What exactly, for people.
        #[n(2)]
        detail: Text,
    },
    /// The uplink came or went.
    #[n(7)]
    #[cbor(map)]
    Link {
        /// Up or not.
        #[n(0)]
        up: bool,
        /// Why, for people.
        #[n(1)]
        detail: Text,
    },
    /// Power as the machine sees it.
    #[n(8)]
    #[cbor(map)]
    Power {
        /// The condition.
        #[n(0)]
        condition: PowerCondition,
        /// With [`PowerCondition::Mains`]: how long the outage before it lasted, if it was lived through.
        #[n(1)]
        outage_ms: Option<u64>,
    },
    /// The result of a command.
    #[n(9)]
    #[cbor(map)]
    CommandResult {
        /// The command's id.
        #[n(0)]
        #[cbor(with = "minicbor::bytes")]
        id: [u8; 16],
        /// Whether it was done.
        #[n(1)]
        done: bool,
        /// Why not, or what came of it.
        #[n(2)]
        detail: Text,
    },
    /// The I/O board's condition changed.
    #[n(10)]
    #[cbor(map)]
    Board {
        /// The board's serial, if one was ever heard.
        #[n(0)]
        serial: Option<Label>,
        /// Its condition.
        #[n(1)]
        condition: BoardCondition,
        /// What exactly, for people.
        #[n(2)]
        detail: Text,
    },
    /// The I/O board started.
    #[n(11)]
    #[cbor(map)]
    BoardStarted {
        /// Its serial.
        #[n(0)]
        serial: Label,
        /// How often it has started.
        #[n(1)]
        boot: u32,
        /// Why.
        #[n(2)]
        reset: BoardReset,
        /// Firmware and hardware, such as `0.1.0 pico`.
        #[n(3)]
        version: Label,
    },
    /// The lid of the board's case.
    #[n(12)]
    #[cbor(map)]
    Tamper {
        /// Open now.
        #[n(0)]
        open: bool,
    },
    /// A desk's button is down for too long, or free again.
    #[n(13)]
    #[cbor(map)]
    ButtonStuck {
        /// The desk.
        #[n(0)]
        desk: Label,
        /// Stuck now.
        #[n(1)]
        stuck: bool,
    },
    /// What is in an SFP cage, after it changed.
    #[n(14)]
    #[cbor(map)]
    Optics {
        /// Cage, from 0: its readings are `optics.<cage>.*`.
        #[n(0)]
        cage: u8,
        /// The module; none: `missing` says why.
        #[n(1)]
        module: Option<OpticsModule>,
        /// Why there is no module.
        #[n(2)]
        missing: Option<Missing>,
    },
    /// The node was examined.
    #[n(15)]
    #[cbor(map)]
    Examination {
        /// The worst of what was found.
        #[n(0)]
        verdict: Verdict,
        /// The findings.
        #[n(1)]
        report: SealedReport,
    },
    /// An update came one step further.
    #[n(16)]
    #[cbor(map)]
    Update {
        /// The rollout that the hub offered it in.
        #[n(0)]
        #[cbor(with = "minicbor::bytes")]
        rollout: [u8; 16],
        /// What it replaces.
        #[n(1)]
        part: Part,
        /// Version of a program as `1.2.3`, revision of a configuration.
        #[n(2)]
        to: Label,
        /// What it replaces, in the same form; empty if that is not known.
        #[n(3)]
        from: Label,
        /// How far it is.
        #[n(4)]
        step: Step,
        /// Why, for people.
        #[n(5)]
        detail: Text,
    },
    /// Somebody did something at the node, on its phone page.
    #[n(17)]
    #[cbor(map)]
    Site {
        /// What.
        #[n(0)]
        act: SiteAct,
        /// The camera that it concerns, if one.
        #[n(1)]
        camera: Option<Label>,
        /// The phone's network address, or the name that was given at the acceptance.
        #[n(2)]
        who: Label,
        /// More, for people.
        #[n(3)]
        detail: Text,
    },
}

/// An SFP module's own description (SFF-8472).
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct OpticsModule {
    /// Vendor.
    #[n(0)]
    pub vendor: Label,
    /// Part number.
    #[n(1)]
    pub part: Label,
    /// Serial number.
    #[n(2)]
    pub serial: Label,
    /// Nominal wavelength in nanometres.
    #[n(3)]
    pub wavelength_nm: u16,
    /// Whether it measures (digital diagnostics).
    #[n(4)]
    pub measures: bool,
    /// Its own limits of the received power; only when they are in order.
    #[n(5)]
    pub receive_limits: Option<OpticsLimits>,
}

/// Limits of received power in 1/100 dBm: low alarm <= low warning < high warning <= high alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct OpticsLimits {
    /// Below: alarm.
    #[n(0)]
    pub low_alarm_cdbm: i16,
    /// Below: warning.
    #[n(1)]
    pub low_warning_cdbm: i16,
    /// Above: warning.
    #[n(2)]
    pub high_warning_cdbm: i16,
    /// Above: alarm.
    #[n(3)]
    pub high_alarm_cdbm: i16,
}

/// Records `range` of `stream` in `epoch` that will never come, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Loss {
    /// The epoch they had.
    #[n(0)]
    pub epoch: Epoch,
    /// Their stream.
    #[n(1)]
    pub stream: Stream,
    /// Which.
    #[n(2)]
    pub range: SeqRange,
    /// Why.
    #[n(3)]
    pub reason: LossReason,
}

numbered! {
    /// Why records will never come.
    LossReason {
        /// Numbers that were reserved and never given to a record (after an unclean stop).
        1 Unused "unused",
        /// Dropped at the stream's limit, oldest first.
        2 Evicted "evicted",
        /// Thinned at the limit: every second image.
        3 Thinned "thinned",
        /// A damaged store was set aside.
        4 Damaged "damaged",
        /// A hub was restored from a backup that lacks them, and the agent no longer had them.
        5 HubRewound "hub_rewound",
        /// The hub refused them and they could not be mended.
        6 Rejected "rejected",
        /// The store was replaced; the amount is what the hub knew of.
        7 Replaced "replaced",
        /// Readings were rolled up at the limit: their means were sent instead.
        8 RolledUp "rolled_up",
    }
}

numbered! {
    /// What somebody did on a node's phone page.
    SiteAct {
        /// Opened the page with the node's code.
        1 Opened "opened",
        /// Tried wrong codes until it was held up.
        2 Refused "refused",
        /// Looked at a camera's picture live and without masks.
        3 Looked "looked",
        /// Drew a camera's masks anew.
        4 Masked "masked",
        /// Confirmed a camera's view.
        5 Confirmed "confirmed",
        /// Accepted the node as ready.
        6 Accepted "accepted",
        /// Made a new code, at the node itself.
        7 CodeMade "code_made",
    }
}

numbered! {
    /// A camera's condition.
    CameraCondition {
        /// Delivers good images.
        1 Good "good",
        /// Does not answer.
        2 Unreachable "unreachable",
        /// Refuses our password: paused so that it does not lock us out.
        3 Unauthorized "unauthorized",
        /// Answers with something that is no whole JPEG.
        4 BadImage "bad_image",
        /// Delivers the very same bytes again and again.
        5 Frozen "frozen",
        /// Delivers black.
        6 Black "black",
        /// View or resolution changed: everything is masked until someone confirms.
        7 ViewChanged "view_changed",
    }
}

numbered! {
    /// A spool's condition.
    SpoolCondition {
        /// Works.
        1 Good "good",
        /// A damaged database was set aside.
        2 Quarantined "quarantined",
        /// The disk is full: the ballast is spent.
        3 DiskFull "disk_full",
        /// A stream reached its limit.
        4 AtLimit "at_limit",
        /// The card was cloned or rolled back: a new epoch began.
        5 NewEpoch "new_epoch",
    }
}

numbered! {
    /// Power as the machine sees it.
    PowerCondition {
        /// On mains.
        1 Mains "mains",
        /// On battery.
        2 Battery "battery",
        /// About to die: the dying gasp.
        3 DyingGasp "dying_gasp",
        /// Supply voltage too low for the machine.
        4 Undervoltage "undervoltage",
        /// The battery that carries is nearly empty.
        5 BatteryLow "battery_low",
    }
}

numbered! {
    /// An I/O board's condition, as the agent sees it.
    BoardCondition {
        /// Talks and is understood.
        1 Good "good",
        /// The port is there, nothing comes from it.
        2 Silent "silent",
        /// The port is gone.
        3 Unplugged "unplugged",
        /// Speaks another version of the link.
        4 WrongProtocol "wrong_protocol",
        /// Waits in its boot loader (USB 2e8a:0003) and runs no firmware.
        5 BootLoader "boot_loader",
        /// Sends frames longer than a frame may be.
        6 FrameTooLong "frame_too_long",
        /// Sends messages that this agent does not know.
        7 UnknownMessage "unknown_message",
        /// Sends frames that cannot be read: noise, a bad cable, another device.
        8 BadFrame "bad_frame",
        /// Its journal could not be read at its start: its totals began again.
        9 JournalDamaged "journal_damaged",
        /// Its journal cannot be written: totals live until its next power cut only.
        10 JournalFailed "journal_failed",
        /// Sent values outside of what is possible.
        11 ImpossibleValue "impossible_value",
    }
}

numbered! {
    /// Why a board started.
    BoardReset {
        /// Power came.
        1 PowerOn "power_on",
        /// Supply fell below what the chip needs and came back.
        2 Brownout "brownout",
        /// The watchdog: the firmware hung.
        3 Watchdog "watchdog",
        /// The reset pin.
        4 Pin "pin",
        /// The firmware asked for it.
        5 Software "software",
        /// The chip does not tell.
        6 Unknown "unknown",
    }
}
