//! Percentile distributions in the text format of the HDR histogram tools, one file a kind of wait: `a.register.hgrm`.

use crate::measure::latency::in_ms;
use hdrhistogram::Histogram;
use std::io::{self, Write};

/// Lines between two halvings of the distance to 100 %.
const TICKS_PER_HALF_DISTANCE: u32 = 5;

/// What three significant digits take.
const SUB_BUCKETS: u32 = 2_048;

/// Writes a distribution of microseconds in milliseconds.
pub fn write(histogram: &Histogram<u64>, file: &mut impl Write) -> io::Result<()> {
    writeln!(file, "{:>12} {:>14} {:>10} {:>14}\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)")?;
    let mut count = 0;
    for step in histogram.iter_quantiles(TICKS_PER_HALF_DISTANCE) {
        count += step.count_since_last_iteration();
        let quantile = step.quantile();
        let distance = if quantile < 1.0 { format!("{:14.2}", 1.0 / (1.0 - quantile)) } else { format!("{:>14}", "inf") };
        writeln!(file, "{:12.3} {quantile:14.12} {count:>10} {distance}", in_ms(step.value_iterated_to()))?;
    }
    let (mean, deviation) = (histogram.mean() / 1_000.0, histogram.stdev() / 1_000.0);
    writeln!(file, "#[Mean    = {mean:12.3}, StdDeviation   = {deviation:12.3}]")?;
    writeln!(file, "#[Max     = {:12.3}, Total count    = {:>12}]", in_ms(histogram.max()), histogram.len())?;
    writeln!(file, "#[Buckets = {:>12}, SubBuckets     = {SUB_BUCKETS:>12}]", histogram.buckets())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_of_the_distribution_is_the_maximum_and_counts_all() {
        let mut histogram = crate::measure::latency::histogram();
        (1..=1_000).for_each(|ms| histogram.record(ms * 1_000).unwrap());
        let mut file = Vec::new();
        write(&histogram, &mut file).unwrap();
        let text = String::from_utf8(file).unwrap();
        let last = text.lines().rfind(|line| !line.starts_with('#')).unwrap();
        let fields: Vec<&str> = last.split_whitespace().collect();
        assert_eq!((fields[1], fields[2], fields[3]), ("1.000000000000", "1000", "inf"));
        assert!((fields[0].parse::<f64>().unwrap() - 1_000.0).abs() < 1.0, "{last}");
    }

    #[test]
    fn the_plotter_of_the_hdr_tools_reads_every_line_but_the_last() {
        let mut histogram = crate::measure::latency::histogram();
        [300, 450, 450, 9_000, 70_000_000].into_iter().for_each(|us| histogram.record(us).unwrap());
        let mut file = Vec::new();
        write(&histogram, &mut file).unwrap();
        let text = String::from_utf8(file).unwrap();
        // As plotFiles.html does it: lines that are no comment and have four words, the value and 1/(1-percentile) both finite.
        let mut points = Vec::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let words: Vec<&str> = line.split_whitespace().collect();
            if let [value, _, _, distance] = words[..]
                && let (Ok(value), Ok(distance)) = (value.parse::<f64>(), distance.parse::<f64>())
                && distance.is_finite()
            {
                points.push((distance, value));
            }
        }
        assert!(points.len() >= 5 && points.is_sorted() && points[0] == (1.25, 0.3), "{points:?}");
        assert_eq!(text.lines().filter(|line| line.starts_with("#[")).count(), 3);
    }
}
