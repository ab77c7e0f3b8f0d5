//! Tables for a spreadsheet: the run over time, and what failed. UTF-8 with a byte order mark, since Excel takes it for something else without.

use crate::measure::process::Reading;
use crate::outcome::Summary;
use std::borrow::Cow;
use std::io::{self, Write};

const BYTE_ORDER_MARK: &str = "\u{feff}";

/// The run over time, one line a second of each scenario.
pub fn write_timeseries(summary: &Summary, file: &mut impl Write) -> io::Result<()> {
    let columns = "scenario,at_s,registered,sockets,announced,errors,api_p50_ms,api_p95_ms,\
         rss_bytes,pss_bytes,uss_bytes,swap_bytes,cpu_s,threads,descriptors,server_sockets";
    writeln!(file, "{BYTE_ORDER_MARK}{columns}")?;
    for outcome in &summary.scenarios {
        for moment in &outcome.series {
            let server = moment.server.map_or(",,,,,,,".to_owned(), |server| {
                let Reading { rss, pss, uss, swap, cpu_s, threads, descriptors, sockets, .. } = server;
                format!("{rss},{pss},{uss},{swap},{cpu_s:.2},{threads},{descriptors},{sockets}")
            });
            writeln!(
                file,
                "{},{:.3},{},{},{},{},{:.3},{:.3},{server}",
                outcome.scenario,
                moment.at_s,
                moment.registered,
                moment.sockets,
                moment.announced,
                moment.errors,
                moment.api_p50_ms,
                moment.api_p95_ms
            )?;
        }
    }
    Ok(())
}

/// Calls and sockets that failed, and faults that were found.
pub fn write_failures(summary: &Summary, file: &mut impl Write) -> io::Result<()> {
    writeln!(file, "{BYTE_ORDER_MARK}scenario,at_s,what,why")?;
    for outcome in &summary.scenarios {
        for failure in &outcome.failures {
            writeln!(file, "{},{:.3},{},{}", outcome.scenario, failure.at_s, cell(&failure.what), cell(&failure.why))?;
        }
        if outcome.failures_unlisted > 0 {
            writeln!(file, "{},,unlisted,{} more failures", outcome.scenario, outcome.failures_unlisted)?;
        }
        for fault in &outcome.faults {
            writeln!(file, "{},,fault,{}", outcome.scenario, cell(fault))?;
        }
    }
    Ok(())
}

/// A text as a cell. What a spreadsheet would take for a formula is told apart by an apostrophe: it may come from the server.
fn cell(text: &str) -> Cow<'_, str> {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    if !formula && !text.contains([',', '"', '\n', '\r']) {
        return Cow::Borrowed(text);
    }
    let apostrophe = if formula { "'" } else { "" };
    Cow::Owned(format!("\"{apostrophe}{}\"", text.replace('"', "\"\"")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_stays_one_cell_and_becomes_no_formula() {
        assert_eq!(cell("plain words"), "plain words");
        assert_eq!(cell("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!(cell("=1+1"), "\"'=1+1\"");
    }
}
