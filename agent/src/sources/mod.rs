//! Where records come from; each source yields records to the spool.
