//! Measurements: the clock, waits, frames, processes, and the recorder that holds them all.
//!
//! This layer knows neither the network nor a criterion. The units of all figures are here.

pub mod address_ledger;
pub mod clock;
pub mod connection_ledger;
pub mod counts;
pub mod delivery_ledger;
pub mod draw_record;
pub mod gap_grid;
pub mod latency;
pub mod process;
pub mod recorder;
pub mod self_metrics;
pub mod server_usage;
pub mod time_series;

use std::time::Duration;

/// The same words in Korean and English, as part of a page's source: they need no escaping.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Label {
    pub ko: &'static str,
    pub en: &'static str,
}

pub const fn label(ko: &'static str, en: &'static str) -> Label {
    Label { ko, en }
}

/// Labels as the headings of a table, in pairs of Korean and English.
macro_rules! labels {
    ($($ko:literal $en:literal),*) => { [$($crate::measure::label($ko, $en)),*] };
}
pub(crate) use labels;

/// A count as a figure.
#[expect(clippy::cast_precision_loss, reason = "counts of a run fit 53 bits")]
pub fn number(count: impl TryInto<u64>) -> f64 {
    count.try_into().unwrap_or(u64::MAX) as f64
}

/// A figure without its fraction, and 0 for one below.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "figures of a run fit, and none is negative")]
pub fn whole(figure: f64) -> usize {
    figure.max(0.0) as usize
}

/// Microseconds in milliseconds.
pub fn ms(us: u64) -> f64 {
    number(us) / 1_000.0
}

/// Bytes in mebibytes.
pub fn mib(bytes: u64) -> f64 {
    number(bytes) / f64::from(1 << 20)
}

/// A duration in whole microseconds.
pub fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
