//! A server's process as its own `/metrics` tells of it, in Prometheus's text format (version 0.0.4).
//!
//! The names are the usual ones of every Prometheus client. Of the format as much is read as four samples without labels take; whatever else stands
//! there is passed over.

use super::process::Reading;

/// What may be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    Memory,
    Cpu,
    Descriptors,
    Threads,
}

impl Told {
    pub const ALL: [Told; 4] = [Told::Memory, Told::Cpu, Told::Descriptors, Told::Threads];

    /// Its name there.
    pub fn name(self) -> &'static str {
        match self {
            Told::Memory => "process_resident_memory_bytes",
            Told::Cpu => "process_cpu_seconds_total",
            Told::Descriptors => "process_open_fds",
            Told::Threads => "process_threads",
        }
    }
}

/// A reading; what is not told is 0. None without the memory.
pub fn reading(text: &str) -> Option<Reading> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a sample is finite and not negative")]
    let count = |told: Told| sample(text, told.name()).map(|value| value as u64);
    let rss = count(Told::Memory)?;
    Some(Reading {
        rss,
        rss_peak: rss,
        cpu_s: sample(text, Told::Cpu.name()).unwrap_or(0.0),
        descriptors: count(Told::Descriptors).unwrap_or(0),
        threads: count(Told::Threads).unwrap_or(0),
        ..Reading::default()
    })
}

/// The value of a sample, with labels or without; of several the first. None when it is no number that can be counted with.
pub fn sample(text: &str, name: &str) -> Option<f64> {
    let rest =
        text.lines().find_map(|line| line.trim_start().strip_prefix(name).filter(|rest| rest.starts_with([' ', '\t', '{'])))?;
    let value = rest.rsplit_once('}').map_or(rest, |(_, value)| value).split_whitespace().next()?;
    value.parse().ok().filter(|value: &f64| value.is_finite() && *value >= 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# HELP process_open_fds Open.\n# TYPE process_open_fds gauge\nprocess_open_fds 12\n\
        process_resident_memory_bytes{instance=\"a b\"} 2.5e+07 1700000000000\nprocess_threads NaN\nprocess_open_fds_more 3\n\
        process_cpu_seconds_total 1.25";

    #[test]
    fn samples_are_found_by_their_whole_name() {
        let reading = reading(TEXT).unwrap();
        assert_eq!((reading.rss, reading.descriptors, reading.threads), (25_000_000, 12, 0));
        assert!((reading.cpu_s - 1.25).abs() < 1e-9);
        assert_eq!(sample(TEXT, "process_threads"), None, "no number");
        assert_eq!(sample(TEXT, "process_open"), None);
    }

    #[test]
    fn without_the_memory_there_is_nothing_to_judge() {
        assert!(reading("process_open_fds 12\n").is_none());
    }
}
