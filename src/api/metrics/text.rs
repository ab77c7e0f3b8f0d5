//! Prometheus's text format, version 0.0.4: families of samples, each described once.
//!
//! Written by hand: a library would want a registry beside counts that are kept anyway, or writes
//! the newer OpenMetrics.

use crate::base::histogram::HistogramSnapshot;
use std::fmt::{Display, Write};

/// Type of a family.
#[expect(missing_docs, reason = "the names are the format's own")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A text being written.
#[derive(Debug, Default)]
pub struct MetricsText {
    text: String,
    /// The current family.
    name: &'static str,
}

impl MetricsText {
    /// Begins a family.
    pub fn family(&mut self, name: &'static str, kind: Kind, help: &str) -> &mut Self {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.name = name;
        self.put(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        self
    }

    /// A sample of the family.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        let (name, labels) = (self.name, braced(labels, None));
        self.put(format_args!("{name}{labels} {value}\n"));
    }

    /// A histogram of the family; `per_unit` values make one unit.
    pub fn histogram(&mut self, labels: &[(&str, &str)], counted: &HistogramSnapshot, per_unit: f64) {
        let name = self.name;
        for (bound, count) in &counted.up_to {
            let labels = braced(labels, Some(&(*bound as f64 / per_unit).to_string()));
            self.put(format_args!("{name}_bucket{labels} {count}\n"));
        }
        let (all, plain) = (braced(labels, Some("+Inf")), braced(labels, None));
        let (count, sum) = (counted.count, counted.sum as f64 / per_unit);
        self.put(format_args!("{name}_bucket{all} {count}\n{name}_sum{plain} {sum}\n{name}_count{plain} {count}\n"));
    }

    /// The whole text.
    pub fn finish(self) -> String {
        self.text
    }

    fn put(&mut self, line: std::fmt::Arguments<'_>) {
        self.text.write_fmt(line).expect("writing to a string cannot fail");
    }
}

/// Labels in braces. No value holds a quote, backslash or line break: ids, patterns and words of
/// our own.
fn braced(labels: &[(&str, &str)], bound: Option<&str>) -> String {
    let all = labels.iter().copied().chain(bound.map(|bound| ("le", bound)));
    let pairs: Vec<String> = all.map(|(name, value)| format!("{name}=\"{value}\"")).collect();
    if pairs.is_empty() { String::new() } else { format!("{{{}}}", pairs.join(",")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_stand_under_their_family() {
        let mut text = MetricsText::default();
        text.family("up", Kind::Gauge, "Whether.").sample(&[], 1);
        text.family("took_seconds", Kind::Histogram, "How long.");
        text.histogram(
            &[("route", "/a/{b}")],
            &HistogramSnapshot { up_to: vec![(500, 1), (1_000, 3)], count: 4, sum: 2_500 },
            1e3,
        );
        assert_eq!(
            text.finish(),
            "# HELP up Whether.\n# TYPE up gauge\nup 1\n\
             # HELP took_seconds How long.\n# TYPE took_seconds histogram\n\
             took_seconds_bucket{route=\"/a/{b}\",le=\"0.5\"} 1\ntook_seconds_bucket{route=\"/a/{b}\",le=\"1\"} 3\n\
             took_seconds_bucket{route=\"/a/{b}\",le=\"+Inf\"} 4\ntook_seconds_sum{route=\"/a/{b}\"} 2.5\n\
             took_seconds_count{route=\"/a/{b}\"} 4\n"
        );
    }
}
