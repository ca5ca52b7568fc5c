//! SFP modules by SFF-8472 (rev 12.4): who they are (page A0h, bus address 0x50) and what they measure (A2h, 0x51).
//! This file reads and checks; `convert` turns bytes into quantities.
//!
//! Pages go by in pieces of 32 bytes and only what is needed stays, for a page is 1/32 of the board's memory. A2h
//! is touched only if A0h says that it is there: some modules without it hold the bus when they are asked.

mod convert;

use embedded_hal::i2c::{Error, ErrorKind, I2c};
use heapless::String;
use simpul_wire::Missing;
use simpul_wire::board::{Calibration, Measured, ModuleFound};

use super::bus::read_from;
use convert::{CALIBRATION_BYTES, Calibrated, LIMITS_BYTES, MEASURED_BYTES};

/// Bus address of page A0h.
const IDENTITY: u8 = 0x50;

/// Bus address of page A2h.
const DIAGNOSTICS: u8 = 0x51;

/// One transfer: 3 ms at 100 kHz, and some modules send no more than 32 bytes at once.
const PIECE_BYTES: usize = 32;

/// A0h byte 0 of an SFP (SFF-8024); other kinds of module have other pages.
const SFP: u8 = 0x03;

/// A0h byte 92 (table 8-5).
const HAS_DIAGNOSTICS: u8 = 1 << 6;
const INTERNALLY_CALIBRATED: u8 = 1 << 5;
const EXTERNALLY_CALIBRATED: u8 = 1 << 4;
/// A2h is reached by a sequence that only some old modules know.
const ADDRESS_CHANGE: u8 = 1 << 2;

/// A2h byte 110, within the measured bytes.
const STATUS: usize = 110 - 96;
const RX_LOS: u8 = 1 << 1;
const DATA_NOT_READY: u8 = 1 << 0;

/// What a module measures, each in its own unit or with its own reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Diagnostics {
    /// Received power in nanowatts; [`Missing::NoLight`] in the dark.
    pub rx_power: Measured,
    /// Sent power in nanowatts; [`Missing::NoLight`] if the laser is off.
    pub tx_power: Measured,
    /// Laser bias in microamperes.
    pub tx_bias: Measured,
    /// Temperature in 1/1000 °C.
    pub temperature: Measured,
    /// Supply in millivolts.
    pub supply: Measured,
}

/// The module's description and, if it has any, its limits of the received power.
///
/// Errors: [`Missing::NoModule`], [`Missing::BusStuck`], [`Missing::BadChecksum`] of A0h, [`Missing::NotSupported`] for
/// what is no SFP, [`Missing::Unreadable`]. A module whose A2h cannot be read is described without limits:
/// [`read`] says why.
pub fn describe<I: I2c>(i2c: &mut I) -> Result<ModuleFound, Missing> {
    let Identity { vendor, part, serial, wavelength_nm, calibration } = identify(i2c)?;
    let receive_limits = match calibration {
        Calibration::None => None,
        Calibration::Internal | Calibration::External => {
            constants(i2c, calibration).ok().and_then(|(calibrated, limits)| calibrated.receive_limits(&limits))
        }
    };
    Ok(ModuleFound { vendor, part, serial, wavelength_nm, calibration, receive_limits })
}

/// What the module measures now: 192 bytes in six transfers and one of 16, about 25 ms at 100 kHz.
///
/// Errors: those of [`describe`], [`Missing::NoDiagnostics`] for a module that measures nothing,
/// [`Missing::BadChecksum`] of A2h, [`Missing::NotYet`] while it starts, [`Missing::Timeout`] if A2h does not answer.
pub fn read<I: I2c>(i2c: &mut I) -> Result<Diagnostics, Missing> {
    let calibration = identify(i2c)?.calibration;
    if calibration == Calibration::None {
        return Err(Missing::NoDiagnostics);
    }
    let (calibrated, _) = constants(i2c, calibration)?;
    let mut measured = [0; MEASURED_BYTES];
    read_from(i2c, DIAGNOSTICS, &[96], &mut measured).map_err(|error| reason(error, Missing::Timeout))?;
    if measured[STATUS] & DATA_NOT_READY != 0 {
        return Err(Missing::NotYet);
    }
    let mut diagnostics = calibrated.diagnostics(&measured);
    if measured[STATUS] & RX_LOS != 0 {
        diagnostics.rx_power = Missing::NoLight.into();
    }
    Ok(diagnostics)
}

/// What is needed of page A0h.
struct Identity {
    vendor: String<16>,
    part: String<16>,
    serial: String<16>,
    wavelength_nm: u16,
    calibration: Calibration,
}

/// Read and check A0h: bytes 0..64 with CC_BASE in the last, 64..96 with CC_EXT in the last.
fn identify<I: I2c>(i2c: &mut I) -> Result<Identity, Missing> {
    let mut piece = |from: u8| -> Result<[u8; PIECE_BYTES], Missing> {
        let mut bytes = [0; PIECE_BYTES];
        read_from(i2c, IDENTITY, &[from], &mut bytes).map_err(|error| reason(error, Missing::NoModule))?;
        Ok(bytes)
    };
    let first = piece(0)?;
    // The vendor's name, 20..36, lies across the border.
    let mut vendor = [0; 16];
    vendor[..12].copy_from_slice(&first[20..]);
    let second = piece(32)?;
    vendor[12..].copy_from_slice(&second[..4]);
    check_sum(sum(&first).wrapping_add(sum(&second[..31])), second[31])?;
    if first[0] != SFP {
        return Err(Missing::NotSupported);
    }
    let third = piece(64)?;
    check_sum(sum(&third[..31]), third[31])?;
    let kind = third[92 - 64];
    let calibration = if kind & HAS_DIAGNOSTICS == 0 || kind & ADDRESS_CHANGE != 0 {
        Calibration::None
    } else if kind & INTERNALLY_CALIBRATED != 0 {
        Calibration::Internal
    } else if kind & EXTERNALLY_CALIBRATED != 0 {
        Calibration::External
    } else {
        Calibration::None
    };
    Ok(Identity {
        vendor: text(&vendor),
        part: text(&second[40 - 32..56 - 32]),
        serial: text(&third[68 - 64..84 - 64]),
        wavelength_nm: u16::from_be_bytes([second[60 - 32], second[61 - 32]]),
        calibration,
    })
}

/// Read and check A2h bytes 0..96 with CC_DMI in the last; keep the calibration and the limits of the received power.
fn constants<I: I2c>(i2c: &mut I, calibration: Calibration) -> Result<(Calibrated, [u8; LIMITS_BYTES]), Missing> {
    let mut total = 0_u8;
    let mut limits = [0; LIMITS_BYTES];
    let mut table = [0; CALIBRATION_BYTES];
    let mut bytes = [0; PIECE_BYTES];
    for from in [0_u8, 32, 64] {
        read_from(i2c, DIAGNOSTICS, &[from], &mut bytes).map_err(|error| reason(error, Missing::Timeout))?;
        total = total.wrapping_add(sum(&bytes));
        match from {
            32 => {
                limits.copy_from_slice(&bytes[..LIMITS_BYTES]);
                table[..8].copy_from_slice(&bytes[56 - 32..]);
            }
            64 => table[8..].copy_from_slice(&bytes[..92 - 64]),
            _ => {}
        }
    }
    let expected = bytes[31];
    check_sum(total.wrapping_sub(expected), expected)?;
    let calibrated = match calibration {
        Calibration::External => Calibrated::External(table),
        Calibration::Internal | Calibration::None => Calibrated::Internal,
    };
    Ok((calibrated, limits))
}

fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

fn check_sum(is: u8, expected: u8) -> Result<(), Missing> {
    if is == expected { Ok(()) } else { Err(Missing::BadChecksum) }
}

/// Why a transfer failed; `silent` is what it means that nobody acknowledged.
fn reason<E: Error>(error: E, silent: Missing) -> Missing {
    match error.kind() {
        ErrorKind::NoAcknowledge(_) => silent,
        ErrorKind::Bus | ErrorKind::ArbitrationLoss => Missing::BusStuck,
        _ => Missing::Unreadable,
    }
}

/// ASCII without the blanks (or zeros, of careless vendors) around it; what cannot be printed is `?`.
fn text(bytes: &[u8]) -> String<16> {
    let filler = |byte: &u8| matches!(byte, b' ' | 0);
    let from = bytes.iter().position(|byte| !filler(byte)).unwrap_or(bytes.len());
    let to = bytes.iter().rposition(|byte| !filler(byte)).map_or(from, |last| last + 1);
    // A name has as many bytes as the string: it cannot overflow.
    bytes[from..to].iter().map(|byte| if matches!(byte, b' '..=b'~') { char::from(*byte) } else { '?' }).collect()
}
