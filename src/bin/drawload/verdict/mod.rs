//! The verdict: what the server remembers, the metrics of a run, the criteria, and the outcome.
//!
//! Nothing that was not measured may pass: a missing figure is a missed criterion or says that it
//! was not judged.

pub mod audit;
pub mod criteria;
pub mod metric;
pub mod outcome;
