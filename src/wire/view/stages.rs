//! Views of stages: what each reports, and what the console asks of it.

use super::json;
use crate::wire::message::StageReport;
use serde::Serialize;

/// The requests of the console that a stage has yet to apply. It applies a revision once, so that
/// the keys at the stage itself go on working.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StageOrders {
    /// Rises by one per change.
    pub revision: u32,
    /// This stage leads: it plays the sound.
    pub is_lead: bool,
    /// The page, one of [`StageReport::PAGES`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<String>,
    /// A black screen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_black: Option<bool>,
    /// No sound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_muted: Option<bool>,
    /// The QR code in place of what is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shows_code: Option<bool>,
}

/// A stage.
#[derive(Serialize)]
pub struct StageView {
    /// Its last report.
    #[serde(flatten)]
    pub report: StageReport,
    /// The requests to it that it has yet to apply.
    pub orders: StageOrders,
    /// Milliseconds since its last report.
    pub reported_ms_ago: u64,
}

/// The stages of an event, the longest present first.
pub fn list(stages: Vec<StageView>) -> String {
    #[derive(Serialize)]
    struct Stages {
        total_count: usize,
        stages: Vec<StageView>,
    }
    json(&Stages { total_count: stages.len(), stages })
}
