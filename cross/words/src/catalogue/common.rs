//! What every program says: units of time.

crate::macros::catalogue! {
    /// Units of time.
    Common {
        Seconds { n } id "{n} dtk" en "{n} s";
        Minutes { n } id "{n} mnt" en "{n} min";
        Hours { n } id "{n} jam" en "{n} h";
        Days { n } id "{n} hari" en "{n} d";
    }
}
