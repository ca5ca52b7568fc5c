//! SFP modules by images made here: each reason apart, both calibrations by hand-worked numbers, and noise.

use embedded_hal::i2c::{ErrorKind, ErrorType, I2c, NoAcknowledgeSource, Operation};
use embedded_hal_mock::eh1::i2c::{Mock, Transaction};
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use simpul_firmware::drivers::sff8472::{describe, read};
use simpul_wire::Missing;
use simpul_wire::board::{Calibration, Measured, ReceiveLimits};

const NACK: ErrorKind = ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address);

/// Two pages on a bus without repeated START. No A2h: touching it is a fault of the test's subject.
#[derive(Clone)]
struct Module {
    a0: [u8; 256],
    a2: Option<[u8; 256]>,
    pointer: u8,
}

impl ErrorType for Module {
    type Error = ErrorKind;
}

impl I2c for Module {
    fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), ErrorKind> {
        let page = match address {
            0x50 => self.a0,
            0x51 => self.a2.expect("A2h was touched though A0h says that there is none"),
            other => panic!("address {other:#04x}"),
        };
        match operations {
            [Operation::Write([pointer])] => self.pointer = *pointer,
            [Operation::Read(bytes)] => {
                assert!(bytes.len() <= 32, "a transfer of {}", bytes.len());
                for byte in bytes.iter_mut() {
                    *byte = page[usize::from(self.pointer)];
                    self.pointer = self.pointer.wrapping_add(1);
                }
            }
            _ => panic!("this bus makes no repeated START"),
        }
        Ok(())
    }
}

fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

fn put(page: &mut [u8; 256], at: usize, words: &[u16]) {
    for (index, word) in words.iter().enumerate() {
        page[at + 2 * index..at + 2 * index + 2].copy_from_slice(&word.to_be_bytes());
    }
}

/// Make the checksums fit.
fn sealed(mut module: Module) -> Module {
    module.a0[63] = sum(&module.a0[..63]);
    module.a0[95] = sum(&module.a0[64..95]);
    if let Some(a2) = &mut module.a2 {
        a2[95] = sum(&a2[..95]);
    }
    module
}

/// A module with this byte 92, 40.5 °C, 3.3 V, 10 mA, 500 uW sent, 25 uW received.
fn module(kind: u8) -> Module {
    let mut a0 = [0; 256];
    a0[0] = 3;
    a0[20..36].copy_from_slice(b"ACME OPTICS     ");
    a0[40..56].copy_from_slice(b"SFP-GE-BX\x07      ");
    put(&mut a0, 60, &[1_490]);
    a0[68..84].copy_from_slice(b"  X1234567\0\0\0\0\0\0");
    a0[92] = kind;
    let mut a2 = [0; 256];
    // Received: alarm above 1 mW and below 1 uW, warning above 0.5 mW and below 2 uW.
    put(&mut a2, 32, &[10_000, 10, 5_000, 20]);
    put(&mut a2, 96, &[(40 << 8) | 128, 33_000, 5_000, 5_000, 250]);
    sealed(Module { a0, a2: (kind & 0x40 != 0).then_some(a2), pointer: 0 })
}

const INTERNAL: u8 = 0x60;
const EXTERNAL: u8 = 0x50;

/// The received power is `0.5 * raw + 100`; the other slopes and offsets are given.
fn external(slope: u16, offset: i16) -> Module {
    let mut module = module(EXTERNAL);
    let a2 = module.a2.as_mut().expect("page A2h");
    a2[68..72].copy_from_slice(&0.5_f32.to_be_bytes());
    a2[72..76].copy_from_slice(&100.0_f32.to_be_bytes());
    put(a2, 76, &[slope, offset as u16].repeat(4));
    sealed(module)
}

#[test]
fn an_internally_calibrated_module_is_described_and_read() {
    let found = describe(&mut module(INTERNAL)).unwrap();
    assert_eq!((&*found.vendor, &*found.part, &*found.serial), ("ACME OPTICS", "SFP-GE-BX?", "X1234567"));
    assert_eq!((found.wavelength_nm, found.calibration), (1_490, Calibration::Internal));
    let limits = ReceiveLimits { low_alarm: 1_000, low_warning: 2_000, high_warning: 500_000, high_alarm: 1_000_000 };
    assert_eq!(found.receive_limits, Some(limits));
    let is = read(&mut module(INTERNAL)).unwrap();
    assert_eq!(is.temperature, Measured::MilliCelsius(40_500));
    assert_eq!(is.supply, Measured::Millivolts(3_300));
    assert_eq!(is.tx_bias, Measured::Microamperes(10_000));
    assert_eq!(is.tx_power, Measured::Nanowatts(500_000));
    assert_eq!(is.rx_power, Measured::Nanowatts(25_000));
}

#[test]
fn an_externally_calibrated_module_is_calibrated_here() {
    // Slope 0x0180 = 1.5, offset -16000:
    // temperature 10368 * 1.5 - 16000 = -448 / 256 = -1.75 °C; supply 33000 * 1.5 - 16000 = 33500 -> 3350 mV;
    // bias 5000 * 1.5 - 16000 < 0: impossible; sent the same; received 0.5 * 250 + 100 = 225 -> 22,500 nW.
    let is = read(&mut external(0x0180, -16_000)).unwrap();
    assert_eq!(is.temperature, Measured::MilliCelsius(-1_750));
    assert_eq!(is.supply, Measured::Millivolts(3_350));
    assert_eq!(is.tx_bias, Missing::OutOfRange.into());
    assert_eq!(is.tx_power, Missing::OutOfRange.into());
    assert_eq!(is.rx_power, Measured::Nanowatts(22_500));
    // Slope 2, offset 100: bias 10100 * 2 uA; sent 10100 * 0.1 uW; a supply of 6.61 V is impossible.
    let is = read(&mut external(0x0200, 100)).unwrap();
    assert_eq!((is.tx_bias, is.tx_power), (Measured::Microamperes(20_200), Measured::Nanowatts(1_010_000)));
    assert_eq!(is.supply, Missing::OutOfRange.into());
    // Limits go through the same polynomial: 10 -> 105, 20 -> 110, 5000 -> 2600, 10000 -> 5100 tenths of uW.
    let found = describe(&mut external(0x0100, 0)).unwrap();
    let limits = ReceiveLimits { low_alarm: 10_500, low_warning: 11_000, high_warning: 260_000, high_alarm: 510_000 };
    assert_eq!((found.calibration, found.receive_limits), (Calibration::External, Some(limits)));
}

#[test]
fn a_polynomial_that_is_no_number_is_out_of_range_and_one_below_nothing_is_dark() {
    for (constant, expected) in [
        (f32::NAN, Missing::OutOfRange),
        (f32::INFINITY, Missing::OutOfRange),
        (70_000.0, Missing::OutOfRange),
        (-200.0, Missing::NoLight),
    ] {
        let mut module = external(0x0100, 0);
        module.a2.as_mut().unwrap()[72..76].copy_from_slice(&constant.to_be_bytes());
        assert_eq!(read(&mut sealed(module)).unwrap().rx_power, expected.into(), "{constant}");
    }
}

#[test]
fn every_reason_is_its_own() {
    for kind in [0x00, 0x20, 0x10, 0x64, 0x40] {
        let mut none = module(kind);
        none.a2 = None;
        assert_eq!(read(&mut none), Err(Missing::NoDiagnostics));
        let found = describe(&mut none).unwrap();
        assert_eq!((found.calibration, found.receive_limits), (Calibration::None, None));
    }
    for byte in [20, 63, 70, 95] {
        let mut bad = module(INTERNAL);
        bad.a0[byte] ^= 1;
        assert_eq!(read(&mut bad), Err(Missing::BadChecksum), "A0h byte {byte}");
        assert_eq!(describe(&mut bad), Err(Missing::BadChecksum), "A0h byte {byte}");
    }
    for byte in [0, 33, 64, 95] {
        let mut bad = module(INTERNAL);
        bad.a2.as_mut().unwrap()[byte] ^= 1;
        assert_eq!(read(&mut bad), Err(Missing::BadChecksum), "A2h byte {byte}");
        assert_eq!(describe(&mut bad).unwrap().receive_limits, None, "A2h byte {byte}");
    }
    let mut other = module(INTERNAL);
    other.a0[0] = 0x0D;
    assert_eq!(read(&mut sealed(other)), Err(Missing::NotSupported));
    for (status, dark) in [(1, Err(Missing::NotYet)), (2, Ok(Missing::NoLight.into()))] {
        let mut module = module(INTERNAL);
        module.a2.as_mut().unwrap()[110] = status;
        assert_eq!(read(&mut module).map(|is| is.rx_power), dark);
    }
    let mut dark = module(INTERNAL);
    put(dark.a2.as_mut().unwrap(), 104, &[0]);
    assert_eq!(read(&mut dark).unwrap().rx_power, Missing::NoLight.into());
}

#[test]
fn limits_out_of_order_are_none() {
    // High alarm, low alarm, high warning, low warning.
    for words in [[10_000, 30, 5_000, 20], [10_000, 10, 20, 20], [4_000, 10, 5_000, 20], [0, 0, 0, 0]] {
        let mut module = module(INTERNAL);
        put(module.a2.as_mut().unwrap(), 32, &words);
        assert_eq!(describe(&mut sealed(module)).unwrap().receive_limits, None, "{words:?}");
    }
}

#[test]
fn a_bus_says_why_it_failed() {
    for (error, missing) in [
        (NACK, Missing::NoModule),
        (ErrorKind::ArbitrationLoss, Missing::BusStuck),
        (ErrorKind::Bus, Missing::BusStuck),
        (ErrorKind::Overrun, Missing::Unreadable),
    ] {
        let mut i2c = Mock::new(&[Transaction::write(0x50, vec![0]).with_error(error)]);
        assert_eq!(read(&mut i2c), Err(missing));
        i2c.done();
    }
    let image = module(INTERNAL).a0;
    let mut expected = Vec::new();
    for from in [0_u8, 32, 64] {
        expected.push(Transaction::write(0x50, vec![from]));
        expected.push(Transaction::read(0x50, image[usize::from(from)..][..32].to_vec()));
    }
    expected.push(Transaction::write(0x51, vec![0]).with_error(NACK));
    let mut i2c = Mock::new(&expected);
    assert_eq!(read(&mut i2c), Err(Missing::Timeout));
    i2c.done();
}

#[test]
fn noise_never_becomes_a_number_that_cannot_be() {
    let seed = rand::random();
    println!("seed {seed}");
    let rng = &mut StdRng::seed_from_u64(seed);
    let mut numbers = 0;
    for _ in 0..100_000 {
        let mut noise = Module { a0: [0; 256], a2: Some([0; 256]), pointer: 0 };
        rng.fill_bytes(&mut noise.a0);
        rng.fill_bytes(noise.a2.as_mut().unwrap());
        // Most of them with fitting checksums, or nothing behind these would be tried.
        if rng.random_range(0..4) > 0 {
            noise.a0[0] = 3;
            noise.a0[92] = if rng.random() { INTERNAL } else { EXTERNAL };
            noise.a2.as_mut().unwrap()[110] &= !3;
            noise = sealed(noise);
        }
        if let Ok(found) = describe(&mut noise) {
            assert!(found.vendor.bytes().all(|byte| matches!(byte, b' '..=b'~')));
            let ordered = |is: ReceiveLimits| is.low_alarm <= is.low_warning && is.low_warning < is.high_warning;
            assert!(found.receive_limits.is_none_or(|is| ordered(is) && is.high_warning <= is.high_alarm));
        }
        let Ok(is) = read(&mut noise) else { continue };
        for value in [is.rx_power, is.tx_power, is.tx_bias, is.temperature, is.supply] {
            numbers += usize::from(!matches!(value, Measured::Missing(_)));
            assert!(
                match value {
                    Measured::Missing(_) => true,
                    Measured::Nanowatts(is) => (1..=6_553_500).contains(&is),
                    Measured::Microamperes(is) => is <= 131_070,
                    Measured::MilliCelsius(is) => (-50_000..=110_000).contains(&is),
                    Measured::Millivolts(is) => (2_000..=5_000).contains(&is),
                },
                "{value:?}"
            );
        }
    }
    assert!(numbers > 50_000, "only {numbers} numbers were tried");
}
