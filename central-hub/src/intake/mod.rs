//! decode -> validate -> dedupe -> commit -> acknowledge.
