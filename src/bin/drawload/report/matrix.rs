//! The picture of who received which draw: draws from left to right, phones from top to bottom, and
//! a mark for each lost frame.
//!
//! A mark has a fixed size for any number of phones: one lost frame among two million must be seen
//! at a glance. None may be left out, so it is drawn from the grid of all gaps and not from the
//! list, which is bounded.

use super::labels::{count, escape};
use crate::measure::delivery_ledger::{GapGrid, LostFrame};
use crate::measure::number;
use std::fmt::{self, Write};

const WIDTH: f64 = 1_000.0;
const LEFT: f64 = 14.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 44.0;
const FIELD: f64 = 300.0;

/// The minimum radius of a mark, in a picture that is 1,000 wide.
const DOT_MIN: f64 = 6.0;

/// Up to this many marks have names beside them.
const NAMED_MAX: usize = 5;

/// More marks than this are drawn as strokes: they would hide each other's names anyway.
const DOTS_MAX: usize = 200;

/// Draws the picture. `listed` names the phones and draws of the first gaps.
pub fn draw(gaps: &GapGrid, listed: &[LostFrame]) -> String {
    let matrix = Matrix::new(gaps, listed);
    let mut picture = String::new();
    matrix.write(&mut picture).expect("a String takes everything");
    picture
}

struct Matrix<'a> {
    gaps: &'a GapGrid,
    listed: &'a [LostFrame],
    /// Columns that are drawn. The one for frames of no draw is drawn when such a frame is lost.
    columns: usize,
    has_column_of_no_draw: bool,
    /// Size of a cell.
    cell_width: f64,
    cell_height: f64,
}

impl<'a> Matrix<'a> {
    fn new(gaps: &'a GapGrid, listed: &'a [LostFrame]) -> Self {
        let has_column_of_no_draw = (1..=gaps.rows).any(|row| gaps.cells[row * gaps.columns - 1].lost > 0);
        let columns = if has_column_of_no_draw { gaps.columns } else { gaps.columns.saturating_sub(1) };
        let cell_width = (WIDTH - LEFT - RIGHT) / number(columns.max(1));
        let cell_height = FIELD / number(gaps.rows.max(1));
        Self { gaps, listed, columns, has_column_of_no_draw, cell_width, cell_height }
    }

    fn x(&self, column: usize) -> f64 {
        LEFT + (number(column) + 0.5) * self.cell_width
    }

    fn y(&self, row: usize) -> f64 {
        TOP + (number(row) + 0.5) * self.cell_height
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        let gaps = self.gaps;
        let places = (0..gaps.rows).flat_map(|row| (0..self.columns).map(move |column| (row, column)));
        let marks: Vec<_> = places.filter(|(row, column)| gaps.cells[row * gaps.columns + column].lost > 0).collect();
        let lost: u64 = gaps.cells.iter().map(|cell| cell.lost).sum();
        let (width, height) = (WIDTH - LEFT - RIGHT, TOP + FIELD + BOTTOM);
        write!(
            out,
            "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"잃은 프레임 {lost} · {lost} frames lost\">"
        )?;
        write!(out, "<rect class=\"heard\" x=\"{LEFT}\" y=\"{TOP}\" width=\"{width}\" height=\"{FIELD}\" rx=\"3\"/>")?;
        self.write_quiet(out)?;
        self.write_axes(out)?;
        if marks.len() > DOTS_MAX {
            self.write_strokes(out, &marks)?;
        } else {
            marks.iter().try_for_each(|place| self.write_dot(out, *place))?;
        }
        if marks.len() <= NAMED_MAX {
            marks.iter().try_for_each(|place| self.write_name(out, *place))?;
        }
        write!(out, "</svg>")
    }

    /// Cells in which nothing was due: before a phone came, or after it vanished on purpose.
    fn write_quiet(&self, out: &mut String) -> fmt::Result {
        write!(out, "<path class=\"quiet\" stroke-width=\"{:.2}\" d=\"", self.cell_height + 0.3)?;
        for row in 0..self.gaps.rows {
            let cells = &self.gaps.cells[row * self.gaps.columns..][..self.columns];
            let mut from = 0;
            for run in cells.chunk_by(|one, next| (one.due == 0) == (next.due == 0)) {
                if run[0].due == 0 {
                    let (x, length) = (LEFT + number(from) * self.cell_width, number(run.len()) * self.cell_width);
                    write!(out, "M{x:.1} {:.1}h{length:.1}", self.y(row))?;
                }
                from += run.len();
            }
        }
        write!(out, "\"/>")
    }

    /// Names of the first, middle and last draw, and of the first and last phone.
    fn write_axes(&self, out: &mut String) -> fmt::Result {
        let (gaps, half) = (self.gaps, self.cell_width / 2.0);
        let named = [0, gaps.draws.len() / 2, gaps.draws.len().saturating_sub(1)];
        let sides = [("start", -half), ("middle", 0.0), ("end", half)];
        for (index, (place, (anchor, offset))) in named.into_iter().zip(sides).enumerate() {
            let Some(draw) = gaps.draws.get(place).filter(|_| index == 0 || place != named[index - 1]) else { continue };
            let x = self.x(place / gaps.draws_per_column) + offset;
            write_text(out, (x, TOP + FIELD + 30.0), anchor, format!("추첨 {draw}"), format!("draw {draw}"))?;
        }
        if self.has_column_of_no_draw {
            write!(out, "<path class=\"axis\" d=\"M{:.1} {TOP}v{FIELD}\"/>", self.x(self.columns - 1) - half)?;
        }
        // Within the field, and under the marks: a picture on a phone has no room beside it.
        for (phone, y) in [(0, TOP + 26.0), (gaps.sockets.saturating_sub(2), TOP + FIELD - 10.0)] {
            let phone = count(phone);
            write_text(out, (LEFT + 10.0, y), "start", format!("폰 {phone}"), format!("phone {phone}"))?;
        }
        Ok(())
    }

    /// A mark with its title, and ticks at the edges that lead the eye to it.
    fn write_dot(&self, out: &mut String, (row, column): (usize, usize)) -> fmt::Result {
        let cell = self.gaps.cells[row * self.gaps.columns + column];
        let (x, y) = (self.x(column), self.y(row));
        let radius = (self.cell_width.min(self.cell_height) / 2.0).clamp(DOT_MIN, 2.0 * DOT_MIN);
        write!(out, "<path class=\"losts\" stroke-width=\"2\" d=\"M{x:.1} {:.1}v7M{:.1} {y:.1}h6\"/>", TOP + FIELD, LEFT - 6.0)?;
        write!(out, "<circle class=\"lost\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius:.1}\"><title>")?;
        match self.find(row, column) {
            Some(lost) => {
                let draw = lost.draw.map_or(String::new(), |draw| format!(", draw {draw}"));
                // The kind came from the server.
                write!(out, "phone {}{draw}, seq {}, {}", lost.phone, lost.seq, escape(&lost.kind))?;
                if cell.lost > 1 { write!(out, " (+{})", cell.lost - 1) } else { Ok(()) }?;
            }
            None => write!(out, "{} frames lost", cell.lost)?,
        }
        write!(out, "</title></circle>")
    }

    /// A mark's phone and draw beside it, on the side where there is room.
    fn write_name(&self, out: &mut String, (row, column): (usize, usize)) -> fmt::Result {
        let Some(lost) = self.find(row, column) else { return Ok(()) };
        let (x, y) = (self.x(column), self.y(row).clamp(TOP + 16.0, TOP + FIELD - 6.0));
        let (x, anchor) = if x > WIDTH / 2.0 { (x - 14.0, "end") } else { (x + 14.0, "start") };
        let (phone, draw) = (count(lost.phone), lost.draw.map_or("–".to_owned(), |draw| draw.to_string()));
        // The display has the last row.
        let is_display = lost.phone + 1 == self.gaps.sockets;
        let ko = if is_display { "무대 화면".to_owned() } else { format!("폰 {phone}") };
        let en = if is_display { "the display".to_owned() } else { format!("phone {phone}") };
        write_text(out, (x, y + 5.0), anchor, format!("{ko} · 추첨 {draw}"), format!("{en} · draw {draw}"))
    }

    /// The first listed gap of a cell.
    fn find(&self, row: usize, column: usize) -> Option<&LostFrame> {
        let gaps = self.gaps;
        self.listed.iter().find(|lost| {
            let place = lost.draw.and_then(|draw| gaps.draws.binary_search(&draw).ok());
            let of_draw = place.map_or(gaps.columns - 1, |place| place / gaps.draws_per_column);
            lost.phone / gaps.sockets_per_row == row && of_draw == column
        })
    }

    /// Many marks as one path: neighbours in a row are one stroke.
    fn write_strokes(&self, out: &mut String, marks: &[(usize, usize)]) -> fmt::Result {
        write!(out, "<path class=\"losts\" stroke-width=\"{:.1}\" d=\"", self.cell_height.max(DOT_MIN / 2.0))?;
        for run in marks.chunk_by(|one, next| one.0 == next.0 && one.1 + 1 == next.1) {
            let ((row, column), length) = (run[0], number(run.len() - 1) * self.cell_width);
            write!(out, "M{:.1} {:.1}h{length:.1}", self.x(column), self.y(row))?;
        }
        write!(out, "\"/>")
    }
}

/// Writes a text in both languages at the same place.
fn write_text(out: &mut String, (x, y): (f64, f64), anchor: &str, ko: String, en: String) -> fmt::Result {
    for (language, text) in [("ko", ko), ("en", en)] {
        write!(out, "<text class=\"{language}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::delivery_ledger::Cell;

    /// A grid in which a frame was due in every cell, and lost in these.
    fn gaps(sockets: usize, draws: u32, sockets_per_row: usize, lost: &[(usize, usize)]) -> GapGrid {
        let (columns, rows) = (draws as usize + 1, sockets.div_ceil(sockets_per_row));
        let mut cells = vec![Cell { due: 1, lost: 0 }; rows * columns];
        lost.iter().for_each(|(row, column)| cells[row * columns + column].lost = 1);
        GapGrid { draws: (1..=draws).collect(), draws_per_column: 1, sockets, sockets_per_row, columns, rows, cells }
    }

    #[test]
    fn a_lost_frame_is_one_mark_at_its_place_and_a_complete_run_has_none() {
        assert_eq!(draw(&gaps(11, 2, 1, &[]), &[]).matches("<circle").count(), 0);
        let picture = draw(&gaps(11, 2, 1, &[(9, 1)]), &[]);
        assert_eq!(picture.matches("<circle").count(), 1);
        assert!(picture.contains("cx=\"743.0\""), "in the right half: {picture}");
    }

    #[test]
    fn one_gap_among_two_million_is_as_large_as_any_and_names_its_phone() {
        let lost = [LostFrame { phone: 12_345, seq: 267, kind: "winner_<announced>".into(), draw: Some(67) }];
        let picture = draw(&gaps(19_901, 100, 50, &[(246, 66)]), &lost);
        assert_eq!(picture.matches("<circle").count(), 1);
        assert!(picture.contains(&format!("r=\"{DOT_MIN:.1}\"")), "{picture}");
        assert!(picture.contains("phone 12345, draw 67, seq 267, winner_&lt;announced&gt;"), "{picture}");
    }

    #[test]
    fn a_lost_frame_of_no_draw_has_a_column_and_a_flood_stays_small() {
        assert_eq!(draw(&gaps(11, 2, 1, &[(3, 2)]), &[]).matches("<circle").count(), 1);
        let all: Vec<_> = (0..398).flat_map(|row| (0..100).map(move |column| (row, column))).collect();
        let flood = draw(&gaps(19_900, 100, 50, &all), &[]);
        assert!(flood.len() < 40_000 && flood.contains("h962"), "{} bytes", flood.len());
    }
}
