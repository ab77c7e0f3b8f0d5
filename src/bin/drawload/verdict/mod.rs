//! The verdict: an audit of the server, the metrics of a run, the criteria, and the outcome.
//!
//! A missing figure never passes: its criterion is missed, or marked as not judged.

pub mod audit;
pub mod criteria;
mod draw_audit;
pub mod metric;
pub mod outcome;
