//! Foundations for every module above `draw`: chance, clock, histogram, thread supervision,
//! addresses.
//!
//! No file here may know any of those modules.

pub mod address;
pub mod chance;
pub mod clock;
pub mod histogram;
pub mod threads;
