//! The log: text on a terminal, one JSON object per line elsewhere, always on stderr.
//!
//! A bare level concerns this program alone: libraries may log at `debug` or `trace` what they were
//! given, and so names and tokens. Lines of this program hold no name, phone number, token, query
//! string or unrevealed winner, at any level.

use std::io::IsTerminal;
use tracing_subscriber::filter::{LevelFilter, ParseError, Targets};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// Parses `LUCKYDRAW_LOG`: a level, or directives `target=level,…`. A filter by spans and fields as
/// well would cost a regular-expression engine, a megabyte of the binary.
///
/// # Errors
/// When it is neither.
pub fn parse_filter(text: &str) -> Result<Targets, ParseError> {
    match text.parse::<LevelFilter>() {
        Ok(level) => Ok(Targets::new().with_default(level.min(LevelFilter::WARN)).with_target("luckydraw", level)),
        Err(_) => text.parse(),
    }
}

/// Starts to log. A second call changes nothing.
pub fn start(filter: Targets) {
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = if std::io::stderr().is_terminal() {
        lines.with_target(false).boxed()
    } else {
        lines.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed()
    };
    if let Err(error) = tracing_subscriber::registry().with(lines.with_filter(filter)).try_init() {
        tracing::debug!(%error, "logging was started already");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_level_concerns_this_program_alone() {
        let text = parse_filter("trace").unwrap().to_string();
        assert!(text.contains("luckydraw=trace") && text.contains("warn"), "{text}");
        let quiet = parse_filter("error").unwrap().to_string();
        assert!(quiet.contains("luckydraw=error") && !quiet.contains("warn"), "{quiet}");
    }

    #[test]
    fn directives_are_kept_and_nonsense_is_refused() {
        assert_eq!(parse_filter("luckydraw::http=debug").unwrap().to_string(), "luckydraw::http=debug");
        for nonsense in ["luckydraw=loud", "a=b=c"] {
            assert!(parse_filter(nonsense).is_err(), "{nonsense}");
        }
    }
}
