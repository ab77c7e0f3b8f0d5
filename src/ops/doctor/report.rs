//! The result of a check: its grade, what was found and how to fix it; and the report of all
//! checks, as text and as JSON.

use serde_json::json;
use std::fmt;

/// The severity of a finding, the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// Nothing to do.
    Good,
    /// The server works, and would work better otherwise.
    Advice,
    /// The server does not work, or would lose something.
    Wrong,
}

/// One finding, printed on a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The thing that was checked, in one or two words.
    pub check: &'static str,
    /// Seriousness.
    pub grade: Grade,
    /// One line, for people.
    pub message: String,
    /// The remedy; empty for [`Grade::Good`].
    pub fix: String,
}

impl Finding {
    /// All is well.
    pub fn good(check: &'static str, message: impl Into<String>) -> Self {
        Self { check, grade: Grade::Good, message: message.into(), fix: String::new() }
    }

    /// It could be better.
    pub fn advice(check: &'static str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check, grade: Grade::Advice, message: message.into(), fix: fix.into() }
    }

    /// It has to be fixed.
    pub fn wrong(check: &'static str, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check, grade: Grade::Wrong, message: message.into(), fix: fix.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { check, message, fix, .. } = self;
        write!(f, "{:<6} {check}: {message}", self.grade.as_str())?;
        if fix.is_empty() { Ok(()) } else { write!(f, " — {fix}") }
    }
}

impl Grade {
    fn as_str(self) -> &'static str {
        match self {
            Grade::Good => "good",
            Grade::Advice => "advice",
            Grade::Wrong => "wrong",
        }
    }
}

/// All findings, in the order of the checks.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// All findings, in the order of the checks.
    pub findings: Vec<Finding>,
}

impl Report {
    /// True if no finding is [`Grade::Wrong`].
    pub fn is_healthy(&self) -> bool {
        self.findings.iter().all(|finding| finding.grade < Grade::Wrong)
    }

    /// The report for machines:
    /// `{"healthy":bool,"findings":[{"check","grade","message","fix"}]}` and
    /// a newline.
    pub fn json(&self) -> String {
        let finding = |finding: &Finding| {
            let Finding { check, grade, message, fix } = finding;
            json!({"check": check, "grade": grade.as_str(), "message": message, "fix": fix})
        };
        let findings: Vec<_> = self.findings.iter().map(finding).collect();
        format!("{}\n", json!({"healthy": self.is_healthy(), "findings": findings}))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.findings.iter().try_for_each(|finding| writeln!(f, "{finding}"))?;
        writeln!(f, "{}", if self.is_healthy() { "fit to serve" } else { "not fit to serve" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_with_advice_is_healthy_and_one_with_a_fault_is_not() {
        let mut report = Report { findings: vec![Finding::good("a", "is so"), Finding::advice("b", "is slow", "be quick")] };
        assert!(report.is_healthy());
        assert_eq!(report.to_string(), "good   a: is so\nadvice b: is slow — be quick\nfit to serve\n");
        report.findings.push(Finding::wrong("c", "is \"broken\"", "fix it"));
        assert!(!report.is_healthy());
        let read: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
        assert_eq!((&read["healthy"], &read["findings"][2]["message"]), (&json!(false), &json!("is \"broken\"")));
    }
}
