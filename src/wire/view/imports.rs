//! What a list of prizes out of a spreadsheet came to, or would come to.

use super::json;
use crate::draw::Prize;
use serde::Serialize;

/// Whether the prizes are on the list now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Imported {
    Yes,
    No,
}

/// An import, without its prizes.
pub struct ImportView<'a> {
    pub format: &'static str,
    pub encoding: Option<&'static str>,
    pub imported: Imported,
    /// The first of them.
    pub errors: Vec<ErrorView<'a>>,
    pub error_count: usize,
}

/// What is wrong with a cell.
#[derive(Serialize)]
pub struct ErrorView<'a> {
    pub row: u64,
    pub column: &'a str,
    pub why: &'a str,
}

/// An import with its prizes and the rows they stand in.
pub fn import<'a>(import: ImportView<'_>, prizes: impl Iterator<Item = (u64, &'a Prize)>) -> String {
    #[derive(Serialize)]
    struct Whole<'a> {
        format: &'static str,
        encoding: Option<&'static str>,
        imported: bool,
        count: usize,
        prizes: Vec<RowView<'a>>,
        errors: Vec<ErrorView<'a>>,
        error_count: usize,
    }
    #[derive(Serialize)]
    struct RowView<'a> {
        row: u64,
        prize_name: &'a str,
        prize_grade: Option<&'a str>,
        prize_rank: u32,
        quantity: u32,
        draw_mode: Option<&'static str>,
        winner_count: Option<u32>,
        needs_address: bool,
    }
    let row = |(row, prize): (u64, &'a Prize)| RowView {
        row,
        prize_name: &prize.name,
        prize_grade: prize.grade.as_deref(),
        prize_rank: prize.rank,
        quantity: prize.quantity,
        draw_mode: prize.mode.map(|mode| mode.name()),
        winner_count: prize.winner_count,
        needs_address: prize.needs_address,
    };
    let ImportView { format, encoding, imported, errors, error_count } = import;
    let prizes: Vec<_> = prizes.map(row).collect();
    json(&Whole { format, encoding, imported: imported == Imported::Yes, count: prizes.len(), prizes, errors, error_count })
}
