//! The judgements for other programs: JUnit's XML for continuous integration, and Prometheus's text
//! format for a textfile collector.

use crate::run::summary::Summary;
use crate::verdict::criteria::Grade;
use maud::{PreEscaped, html};
use std::io::{self, Write};

/// Writes `junit.xml`: a suite per scenario, a case per criterion.
pub fn write_junit(summary: &Summary, file: &mut impl Write) -> io::Result<()> {
    let document = html! {
        (PreEscaped("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"))
        testsuites name="drawload" {
            @for outcome in &summary.scenarios {
                @let judgements = &outcome.judgements;
                @let failed = judgements.iter().filter(|judgement| judgement.is_missed() && !judgement.is_void(&outcome.tester));
                testsuite name=(outcome.scenario) tests=(judgements.len()) failures=(failed.count()) time=(outcome.lasted_s) {
                    @for judgement in judgements {
                        testcase classname=(outcome.scenario) name=(judgement.metric) {
                            @if judgement.is_void(&outcome.tester) || judgement.grade == Grade::Unjudged {
                                skipped {}
                            } @else if judgement.is_missed() {
                                failure message=(format!("{:?}, wanted {}", judgement.value, judgement.wanted)) {
                                    @for fault in outcome.faults.iter().filter(|fault| fault.starts_with(&*judgement.metric)) {
                                        (fault) "\n"
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    };
    file.write_all(document.into_string().as_bytes())
}

/// Writes `metrics.prom`: every metric of every scenario, and the verdict.
pub fn write_prometheus(summary: &Summary, file: &mut impl Write) -> io::Result<()> {
    writeln!(file, "# TYPE drawload_exit_code gauge\ndrawload_exit_code {}", summary.exit_code)?;
    writeln!(file, "# TYPE drawload_metric gauge")?;
    for outcome in &summary.scenarios {
        for (name, value) in outcome.metrics.iter().filter_map(|(name, value)| Some((name, (*value)?))) {
            writeln!(file, "drawload_metric{{scenario=\"{}\",name=\"{name}\"}} {value}", outcome.scenario)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_without_scenarios_is_a_document_all_the_same() {
        let summary = Summary::new("h", 1, 1.0);
        let text = |write: &dyn Fn(&mut Vec<u8>) -> io::Result<()>| {
            let mut file = Vec::new();
            write(&mut file).unwrap();
            String::from_utf8(file).unwrap()
        };
        let junit = text(&|file| write_junit(&summary, file));
        assert!(junit.starts_with("<?xml") && junit.ends_with("<testsuites name=\"drawload\"></testsuites>"), "{junit}");
        assert!(text(&|file| write_prometheus(&summary, file)).contains("\ndrawload_exit_code 0\n"));
    }
}
