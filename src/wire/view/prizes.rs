//! The list of prizes, and imports into it.
//!
//! The number left of a prize tells that a draw was revealed, so each caller must pass its own
//! audience.

use super::json;
use crate::draw::event::Audience;
use crate::draw::{Event, Prize, PrizeId, ShowLength};
use data_encoding::HEXLOWER;
use serde::Serialize;

/// A prize on the list.
#[derive(Serialize)]
pub struct PrizeView<'a> {
    prize_id: u32,
    prize_name: &'a str,
    prize_rank: u32,
    prize_grade: Option<&'a str>,
    quantity: u32,
    remaining: u32,
    draw_mode: Option<&'static str>,
    winner_count: Option<u32>,
    show_seconds: Option<u32>,
    prize_image: Option<&'a str>,
    repeat_winners: bool,
    group: Option<&'a str>,
    needs_address: bool,
    /// The numbers that can win it now, on a console's list.
    #[serde(skip_serializing_if = "Option::is_none")]
    can_win: Option<u32>,
    /// Version of its content, which a change names as its base.
    version: String,
}

/// The prizes in their order.
pub fn prizes(event: &Event, audience: Audience) -> Vec<PrizeView<'_>> {
    event.prizes.iter().map(|prize| view(event, prize, audience)).collect()
}

/// The list for consoles.
pub fn list(event: &Event) -> String {
    #[derive(Serialize)]
    struct List<'a> {
        prizes: Vec<PrizeView<'a>>,
        total_count: usize,
    }
    let mut prizes = prizes(event, Audience::Operators);
    for (view, can_win) in prizes.iter_mut().zip(event.eligible_counts()) {
        view.can_win = Some(can_win);
    }
    json(&List { total_count: prizes.len(), prizes })
}

/// One prize, for consoles.
pub fn prize(event: &Event, prize: &Prize) -> String {
    json(&view(event, prize, Audience::Operators))
}

/// The answer about a prize that is no longer on the list.
pub fn removed(prize: PrizeId) -> String {
    #[derive(Serialize)]
    struct Removed {
        prize_id: u32,
    }
    json(&Removed { prize_id: prize.0 })
}

/// The effect of an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Imported {
    /// The prizes are on the list.
    Yes,
    /// The import was a preview or has errors.
    No,
}

/// An import of prizes from a spreadsheet, without its prizes.
pub struct ImportView<'a> {
    /// `xlsx`, `tsv` or `csv`.
    pub format: &'static str,
    /// The encoding of a text file.
    pub encoding: Option<&'static str>,
    /// Its effect.
    pub imported: Imported,
    /// The first errors.
    pub errors: Vec<ErrorView<'a>>,
    /// The number of all errors.
    pub error_count: usize,
    /// The name of a workbook's sheet.
    pub sheet: Option<&'a str>,
    /// The first rows that are no prizes.
    pub rows_left_out: Vec<LeftOutView<'a>>,
    /// Headings of columns that are left out.
    pub columns_left_out: &'a [String],
}

/// An error of a list.
#[derive(Serialize)]
pub struct ErrorView<'a> {
    /// The row in the file, from 1; `None` for an error of the whole file.
    pub row: Option<u64>,
    /// The field's name on the wire; empty for an error of no field.
    pub column: &'a str,
    /// The cell's name in a spreadsheet program.
    pub cell: Option<String>,
    /// The start of the cell's text.
    pub value: &'a str,
    /// The error's name, for pages.
    pub code: &'static str,
    /// The bound, or the other row, that the error is about.
    pub limit: Option<u64>,
    /// The rule that the cell breaks, with a remedy.
    pub why: String,
}

/// A row that is no prize.
#[derive(Serialize)]
pub struct LeftOutView<'a> {
    /// The row in the file, from 1.
    pub row: u64,
    /// `title`, `heading`, `total` or `note`.
    pub kind: &'static str,
    /// The start of its first text.
    pub text: &'a str,
}

/// An import with its prizes and their rows in the file.
pub fn import<'a>(import: ImportView<'_>, prizes: impl Iterator<Item = (u64, &'a Prize)>) -> String {
    #[derive(Serialize)]
    struct Whole<'a, 'i> {
        format: &'static str,
        encoding: Option<&'static str>,
        sheet: Option<&'i str>,
        imported: bool,
        count: usize,
        prizes: Vec<RowView<'a>>,
        errors: Vec<ErrorView<'i>>,
        error_count: usize,
        rows_left_out: Vec<LeftOutView<'i>>,
        columns_left_out: &'i [String],
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
        show_seconds: Option<u32>,
        repeat_winners: bool,
        needs_address: bool,
        group: Option<&'a str>,
    }
    let row = |(row, prize): (u64, &'a Prize)| RowView {
        row,
        prize_name: &prize.name,
        prize_grade: prize.grade.as_deref(),
        prize_rank: prize.rank,
        quantity: prize.quantity,
        draw_mode: prize.mode.map(|mode| mode.name()),
        winner_count: prize.winner_count,
        show_seconds: prize.show_length.map(ShowLength::seconds),
        repeat_winners: prize.repeat_winners,
        needs_address: prize.needs_address,
        group: prize.group.as_deref(),
    };
    let prizes: Vec<_> = prizes.map(row).collect();
    json(&Whole {
        format: import.format,
        encoding: import.encoding,
        sheet: import.sheet,
        imported: import.imported == Imported::Yes,
        count: prizes.len(),
        prizes,
        errors: import.errors,
        error_count: import.error_count,
        rows_left_out: import.rows_left_out,
        columns_left_out: import.columns_left_out,
    })
}

fn view<'a>(event: &Event, prize: &'a Prize, audience: Audience) -> PrizeView<'a> {
    PrizeView {
        prize_id: prize.id.0,
        prize_name: &prize.name,
        prize_rank: prize.rank,
        prize_grade: prize.grade.as_deref(),
        quantity: prize.quantity,
        remaining: event.remaining(prize, audience),
        draw_mode: prize.mode.map(|mode| mode.name()),
        winner_count: prize.winner_count,
        show_seconds: prize.show_length.map(ShowLength::seconds),
        prize_image: prize.image.as_deref(),
        repeat_winners: prize.repeat_winners,
        group: prize.group.as_deref(),
        needs_address: prize.needs_address,
        can_win: None,
        version: HEXLOWER.encode(&prize.version().0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::fact::VoidReason;
    use crate::draw::sample;

    #[test]
    fn a_voided_seat_returns_its_prize() {
        let event = sample::event().announced("TV", &[3]).revealed("TV", &[4]).build();
        assert!(list(&event).contains(r#""remaining":0"#), "operators know of both");
        let event = sample::event().announced("TV", &[3]).voided(VoidReason::Absent).build();
        assert!(list(&event).contains(r#""remaining":2"#));
    }
}
