//! Tables as spreadsheet programs know them, on their way in and out.
//!
//! [`table`] reads whatever a spreadsheet gives, pasted, saved as text or as a workbook, into rows of texts; `workbook` is the part of it that
//! opens XLSX without trusting it; [`prizes`] makes prizes of the rows, or says what is wrong with which; [`export`] writes tables as CSV and
//! XLSX. This room knows the draw's nouns and how requests spell them, and no store, no socket and no clock. All of it computes for
//! milliseconds to seconds: callers run it off their async threads, one at a time.

pub mod export;
pub mod prizes;
pub mod table;
mod workbook;
