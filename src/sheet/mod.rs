//! Tables in the formats of spreadsheet programs, in and out.
//!
//! [`table`] reads a file into rows of texts, [`prizes`] makes prizes of the rows by their
//! [`columns`] and `values`, and [`problem`] says why one is none. [`export`] writes tables as
//! CSV, and [`workbook`] as XLSX, with the words of [`labels`]; [`template`] is a list to fill in.
//! This module knows the draw's types and their spelling in requests, and no store, socket or
//! clock. Each call computes for milliseconds to seconds: callers run them outside their async
//! threads, one at a time.

mod characters;
pub mod columns;
pub mod export;
pub mod labels;
pub mod prizes;
pub mod problem;
pub mod table;
pub mod template;
mod values;
pub mod workbook;
