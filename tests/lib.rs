//! End-to-end tests, fault runs and benches of the whole system; see the folders beside this file.
