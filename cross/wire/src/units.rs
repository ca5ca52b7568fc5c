//! Units and reasons. A number never travels without its unit; a missing number is a reason, never 0 or NaN.

#[cfg(feature = "alloc")]
use minicbor::{Decode, Encode};

macro_rules! numbered {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $number:literal $variant:ident $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "alloc", derive(Encode, Decode), cbor(index_only))]
        pub enum $name { $($(#[$vdoc])* #[cfg_attr(feature = "alloc", n($number))] $variant,)* }

        impl $name {
            /// Every variant, in the order of its number.
            pub const ALL: &'static [$name] = &[$($name::$variant,)*];

            /// The number on the wire: never reused.
            pub const fn number(self) -> u8 {
                match self { $($name::$variant => $number,)* }
            }

            /// The variant with this number.
            pub const fn from_number(number: u8) -> Option<Self> {
                match number { $($number => Some($name::$variant),)* _ => None }
            }

            /// The short text for APIs and pages.
            pub const fn text(self) -> &'static str {
                match self { $($name::$variant => $text,)* }
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(self.text())
            }
        }
    };
}
#[cfg(feature = "alloc")]
pub(crate) use numbered;

numbered! {
    /// Unit of a reading (SI or the field's own).
    Unit {
        /// A plain number of things.
        1 Count "count",
        /// Per hundred.
        2 Percent "%",
        /// Degrees Celsius.
        3 Celsius "°C",
        /// Volts.
        4 Volts "V",
        /// Milliamperes.
        5 Milliamperes "mA",
        /// Optical power relative to 1 mW (ITU-T G.984.2).
        6 DecibelMilliwatts "dBm",
        /// Bytes.
        7 Bytes "B",
        /// Bytes per second.
        8 BytesPerSecond "B/s",
        /// Milliseconds.
        9 Milliseconds "ms",
        /// Seconds.
        10 Seconds "s",
        /// Yes (1) or no (0).
        11 Flag "flag",
        /// Nanometres (wavelength).
        12 Nanometres "nm",
    }
}

numbered! {
    /// Why a value is missing. Unknown is not zero.
    Missing {
        /// This device does not measure it.
        1 NotSupported "not supported",
        /// The device is switched off.
        2 DeviceOff "device off",
        /// The device did not answer in time.
        3 Timeout "timeout",
        /// No light on the fibre: a state, not a number.
        4 NoLight "no light",
        /// No module in the cage.
        5 NoModule "no module",
        /// The data came with a bad checksum.
        6 BadChecksum "bad checksum",
        /// The device gave a value outside of what is possible.
        7 OutOfRange "out of range",
        /// The bus is stuck.
        8 BusStuck "bus stuck",
        /// The system does not let us read it.
        9 Forbidden "forbidden",
        /// It could not be read for another reason.
        10 Unreadable "unreadable",
        /// Not measured yet since the start.
        11 NotYet "not yet",
        /// The module is there but measures nothing itself (SFF-8472: no digital diagnostics).
        12 NoDiagnostics "no diagnostics",
    }
}

macro_rules! quantity {
    ($(#[$doc:meta])* $name:ident $unit:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
        pub struct $name(pub f64);

        impl $name {
            /// The unit on the wire.
            pub const UNIT: Unit = Unit::$unit;
        }
    };
}

quantity! {
    /// A temperature.
    Celsius Celsius
}
quantity! {
    /// An electric potential.
    Volts Volts
}
quantity! {
    /// A current.
    Milliamperes Milliamperes
}
quantity! {
    /// An optical power.
    DecibelMilliwatts DecibelMilliwatts
}
quantity! {
    /// A share.
    Percent Percent
}
quantity! {
    /// A duration.
    Milliseconds Milliseconds
}
quantity! {
    /// An amount of data.
    Bytes Bytes
}
