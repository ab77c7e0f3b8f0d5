//! What a check comes to: how grave it is, what is so, and how to mend it; and all of them together, as text and as JSON.

use serde_json::json;
use std::fmt;

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    Good,
    /// It serves as it is, and would serve better otherwise.
    Advice,
    Wrong,
}

/// What one check found, in a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at, in a word.
    pub check: &'static str,
    pub grade: Grade,
    pub says: String,
    /// What to do; empty where nothing is to be done.
    pub mend: String,
}

impl Finding {
    /// All is well.
    pub fn good(check: &'static str, says: impl Into<String>) -> Self {
        Self { check, grade: Grade::Good, says: says.into(), mend: String::new() }
    }

    /// It could be better.
    pub fn advice(check: &'static str, says: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { check, grade: Grade::Advice, says: says.into(), mend: mend.into() }
    }

    /// It has to be mended.
    pub fn wrong(check: &'static str, says: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { check, grade: Grade::Wrong, says: says.into(), mend: mend.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { check, says, mend, .. } = self;
        write!(f, "{:<6} {check}: {says}", self.grade.word())?;
        if mend.is_empty() { Ok(()) } else { write!(f, " — {mend}") }
    }
}

impl Grade {
    fn word(self) -> &'static str {
        match self {
            Grade::Good => "good",
            Grade::Advice => "advice",
            Grade::Wrong => "wrong",
        }
    }
}

/// Everything that was found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether nothing has to be mended.
    pub fn is_healthy(&self) -> bool {
        self.findings.iter().all(|finding| finding.grade < Grade::Wrong)
    }

    /// The report for machines: `{"healthy":bool,"findings":[{"check","grade","says","mend"}]}` and a line's end.
    pub fn json(&self) -> String {
        let finding = |finding: &Finding| {
            let Finding { check, grade, says, mend } = finding;
            json!({"check": check, "grade": grade.word(), "says": says, "mend": mend})
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
    fn advice_leaves_a_machine_healthy_and_one_wrong_does_not() {
        let mut report = Report { findings: vec![Finding::good("a", "is so"), Finding::advice("b", "is slow", "be quick")] };
        assert!(report.is_healthy());
        assert_eq!(report.to_string(), "good   a: is so\nadvice b: is slow — be quick\nfit to serve\n");
        report.findings.push(Finding::wrong("c", "is \"broken\"", "mend it"));
        assert!(!report.is_healthy());
        let read: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
        assert_eq!((&read["healthy"], &read["findings"][2]["says"]), (&json!(false), &json!("is \"broken\"")));
    }
}
