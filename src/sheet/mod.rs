//! Tables in the formats of spreadsheet programs, in and out.
//!
//! [`table`] reads a file into rows of texts, [`prizes`] makes prizes of the rows, and [`export`]
//! writes tables as CSV and XLSX. This module knows the draw's types and their spelling in
//! requests, and no store, socket or clock. Each call computes for milliseconds to seconds: callers
//! run them outside their async threads, one at a time.

pub mod export;
pub mod prizes;
pub mod table;
