//! The picture of deliveries: draws from left to right, phones from top to bottom, and a mark for
//! each lost frame.
//!
//! A mark has a fixed size for any number of phones: one lost frame among two million must be seen
//! at a glance. None may be left out, so it is drawn from the grid of all gaps and not from the
//! list, which is bounded.

use super::chart::text;
use super::labels::count;
use crate::measure::delivery_ledger::LostFrame;
use crate::measure::gap_grid::{Cell, GapGrid};
use crate::measure::number;
use maud::{Markup, html};
use std::fmt::Write;

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

/// Lateness in microseconds from which on a cell has the colour of its class.
const LATE_US: [(u64, &str); 3] = [(100_000, "late1"), (500_000, "late2"), (1_000_000, "late3")];

/// More marks than this are drawn as strokes: they would hide each other's names anyway.
const DOTS_MAX: usize = 200;

/// Draws the picture. `listed` names the phones and draws of the first gaps.
pub fn draw(gaps: &GapGrid, listed: &[LostFrame]) -> Markup {
    Matrix::new(gaps, listed).draw()
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

    fn draw(&self) -> Markup {
        let gaps = self.gaps;
        let cells = (0..gaps.rows).flat_map(|row| (0..self.columns).map(move |column| (row, column)));
        let marks: Vec<_> = cells.filter(|(row, column)| gaps.cells[row * gaps.columns + column].lost > 0).collect();
        let lost: u64 = gaps.cells.iter().map(|cell| cell.lost).sum();
        let (width, height) = (WIDTH - LEFT - RIGHT, TOP + FIELD + BOTTOM);
        html! {
            svg viewBox=(format!("0 0 {WIDTH} {height}")) role="img" aria-label=(format!("잃은 프레임 {lost} · {lost} frames lost")) {
                rect.received x=(LEFT) y=(TOP) width=(width) height=(FIELD) rx="3" {}
                path.quiet stroke-width=(format!("{:.2}", self.cell_height + 0.3)) d=(self.cells(&|cell| cell.due == 0)) {}
                @for (class, path) in self.late_cells() {
                    path class=(class) stroke-width=(format!("{:.2}", self.cell_height + 0.3)) d=(path) {}
                }
                (self.axes())
                @if marks.len() > DOTS_MAX {
                    path.losts stroke-width=(format!("{:.1}", self.cell_height.max(DOT_MIN / 2.0))) d=(self.strokes(&marks)) {}
                } @else {
                    @for mark in &marks { (self.dot(*mark)) }
                }
                @if marks.len() <= NAMED_MAX { @for mark in &marks { (self.name(*mark)) } }
            }
        }
    }

    /// Cells of late announcements, by class; a class without one is left out.
    fn late_cells(&self) -> impl Iterator<Item = (&'static str, String)> {
        let class_of = |cell: &Cell| LATE_US.iter().rposition(|(from_us, _)| cell.late_us >= *from_us);
        let classes = LATE_US.iter().enumerate();
        let paths = classes.map(move |(class, (_, name))| (*name, self.cells(&|cell| class_of(cell) == Some(class))));
        paths.filter(|(_, path)| !path.is_empty())
    }

    /// Cells of a kind as strokes: those in which nothing was due, before a phone joined or after
    /// it vanished on purpose; and late ones.
    fn cells(&self, is_of_kind: &dyn Fn(&Cell) -> bool) -> String {
        let mut path = String::new();
        for row in 0..self.gaps.rows {
            let cells = &self.gaps.cells[row * self.gaps.columns..][..self.columns];
            let mut from = 0;
            for run in cells.chunk_by(|one, next| is_of_kind(one) == is_of_kind(next)) {
                if is_of_kind(&run[0]) {
                    let (x, length) = (LEFT + number(from) * self.cell_width, number(run.len()) * self.cell_width);
                    let _ = write!(path, "M{x:.1} {:.1}h{length:.1}", self.y(row));
                }
                from += run.len();
            }
        }
        path
    }

    /// Names of the first, middle and last draw, and of the first and last phone.
    fn axes(&self) -> Markup {
        let (gaps, half) = (self.gaps, self.cell_width / 2.0);
        let (middle, last) = (gaps.draws.len() / 2, gaps.draws.len().saturating_sub(1));
        let mut named = vec![(0, "start", -half), (middle, "middle", 0.0), (last, "end", half)];
        named.dedup_by_key(|(index, ..)| *index);
        // Within the field, and under the marks: a picture on a phone has no room beside it.
        let phones = [(0, TOP + 26.0), (gaps.sockets.saturating_sub(2), TOP + FIELD - 10.0)];
        html! {
            @for (index, anchor, offset) in named {
                @if let Some(draw) = gaps.draws.get(index) {
                    (texts((self.x(index / gaps.draws_per_column) + offset, TOP + FIELD + 30.0), anchor,
                        &format!("추첨 {draw}"), &format!("draw {draw}")))
                }
            }
            @if self.has_column_of_no_draw {
                path.axis d=(format!("M{:.1} {TOP}v{FIELD}", self.x(self.columns - 1) - half)) {}
            }
            @for (phone, y) in phones {
                (texts((LEFT + 10.0, y), "start", &format!("폰 {}", count(phone)), &format!("phone {}", count(phone))))
            }
        }
    }

    /// A mark with its title, and ticks at the edges that lead the eye to it.
    fn dot(&self, (row, column): (usize, usize)) -> Markup {
        let cell = self.gaps.cells[row * self.gaps.columns + column];
        let (x, y) = (self.x(column), self.y(row));
        let radius = (self.cell_width.min(self.cell_height) / 2.0).clamp(DOT_MIN, 2.0 * DOT_MIN);
        html! {
            path.losts stroke-width="2" d=(format!("M{x:.1} {:.1}v7M{:.1} {y:.1}h6", TOP + FIELD, LEFT - 6.0)) {}
            circle.lost cx=(format!("{x:.1}")) cy=(format!("{y:.1}")) r=(format!("{radius:.1}")) {
                title {
                    @if let Some(lost) = self.find(row, column) {
                        "phone " (lost.phone)
                        @if let Some(draw) = lost.draw { ", draw " (draw) }
                        ", seq " (lost.seq) ", " (lost.kind)
                        @if cell.lost > 1 { " (+" (cell.lost - 1) ")" }
                    } @else {
                        (cell.lost) " frames lost"
                    }
                }
            }
        }
    }

    /// A mark's phone and draw beside it, on the side where there is room.
    fn name(&self, (row, column): (usize, usize)) -> Markup {
        let Some(lost) = self.find(row, column) else { return html! {} };
        let (x, y) = (self.x(column), self.y(row).clamp(TOP + 16.0, TOP + FIELD - 6.0));
        let (x, anchor) = if x > WIDTH / 2.0 { (x - 14.0, "end") } else { (x + 14.0, "start") };
        let (phone, draw) = (count(lost.phone), lost.draw.map_or("–".to_owned(), |draw| draw.to_string()));
        // The display has the last row.
        let is_display = lost.phone + 1 == self.gaps.sockets;
        let ko = if is_display { "무대 화면".to_owned() } else { format!("폰 {phone}") };
        let en = if is_display { "the display".to_owned() } else { format!("phone {phone}") };
        texts((x, y + 5.0), anchor, &format!("{ko} · 추첨 {draw}"), &format!("{en} · draw {draw}"))
    }

    /// The first listed gap of a cell.
    fn find(&self, row: usize, column: usize) -> Option<&LostFrame> {
        let gaps = self.gaps;
        self.listed.iter().find(|lost| {
            let index = lost.draw.and_then(|draw| gaps.draws.binary_search(&draw).ok());
            let of_draw = index.map_or(gaps.columns - 1, |index| index / gaps.draws_per_column);
            lost.phone / gaps.sockets_per_row == row && of_draw == column
        })
    }

    /// Many marks as one path: neighbours in a row are one stroke.
    fn strokes(&self, marks: &[(usize, usize)]) -> String {
        marks.chunk_by(|one, next| one.0 == next.0 && one.1 + 1 == next.1).fold(String::new(), |mut path, run| {
            let ((row, column), length) = (run[0], number(run.len() - 1) * self.cell_width);
            let _ = write!(path, "M{:.1} {:.1}h{length:.1}", self.x(column), self.y(row));
            path
        })
    }
}

/// A text in both languages at the same place.
fn texts(at: (f64, f64), anchor: &str, ko: &str, en: &str) -> Markup {
    html! { (text("ko", at, anchor, ko)) (text("en", at, anchor, en)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(gaps: &GapGrid, listed: &[LostFrame]) -> String {
        draw(gaps, listed).into_string()
    }

    /// A grid in which a frame was due in every cell, and lost in these.
    fn gaps(sockets: usize, draws: u32, sockets_per_row: usize, lost: &[(usize, usize)]) -> GapGrid {
        let (columns, rows) = (draws as usize + 1, sockets.div_ceil(sockets_per_row));
        let mut cells = vec![Cell { due: 1, ..Cell::default() }; rows * columns];
        lost.iter().for_each(|(row, column)| cells[row * columns + column].lost = 1);
        GapGrid { draws: (1..=draws).collect(), draws_per_column: 1, sockets, sockets_per_row, columns, rows, cells }
    }

    #[test]
    fn a_lost_frame_is_one_mark_at_its_place_and_a_complete_run_has_none() {
        assert_eq!(picture(&gaps(11, 2, 1, &[]), &[]).matches("<circle").count(), 0);
        let picture = picture(&gaps(11, 2, 1, &[(9, 1)]), &[]);
        assert_eq!(picture.matches("<circle").count(), 1);
        assert!(picture.contains("cx=\"743.0\""), "in the right half: {picture}");
    }

    #[test]
    fn one_gap_among_two_million_is_as_large_as_any_and_names_its_phone() {
        let lost = [LostFrame { phone: 12_345, seq: 267, kind: "winner_<announced>".into(), draw: Some(67) }];
        let picture = picture(&gaps(19_901, 100, 50, &[(246, 66)]), &lost);
        assert_eq!(picture.matches("<circle").count(), 1);
        assert!(picture.contains(&format!("r=\"{DOT_MIN:.1}\"")), "{picture}");
        assert!(picture.contains("phone 12345, draw 67, seq 267, winner_&lt;announced&gt;"), "{picture}");
    }

    #[test]
    fn a_late_announcement_has_the_colour_of_its_class() {
        let mut gaps = gaps(11, 2, 1, &[]);
        assert!(!picture(&gaps, &[]).contains("late"));
        (gaps.cells[3].late_us, gaps.cells[4].late_us, gaps.cells[6].late_us) = (99_999, 100_000, 3_000_000);
        let picture = picture(&gaps, &[]);
        let found = ["late1", "late2", "late3"].map(|class| picture.matches(class).count());
        assert_eq!(found, [1, 0, 1], "{picture}");
    }

    #[test]
    fn a_lost_frame_of_no_draw_has_a_column_and_a_flood_stays_small() {
        assert_eq!(picture(&gaps(11, 2, 1, &[(3, 2)]), &[]).matches("<circle").count(), 1);
        let all: Vec<_> = (0..398).flat_map(|row| (0..100).map(move |column| (row, column))).collect();
        let flood = picture(&gaps(19_900, 100, 50, &all), &[]);
        assert!(flood.len() < 40_000 && flood.contains("h962"), "{} bytes", flood.len());
    }
}
