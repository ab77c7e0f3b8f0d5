//! Who heard which draw, as one picture: draws from left to right, phones from top to bottom, and a mark for each frame that never came.
//!
//! A mark has a size of its own, whatever the number of phones: among two million deliveries the one that is missing must be seen at a glance. It must
//! never leave one out, so that it is drawn from the grid of all gaps and not from the list, which ends somewhere.

use super::words::{escape, figure};
use crate::measure::ledger::{Gaps, Lost};
use std::fmt::{self, Write};

const WIDTH: f64 = 1_000.0;
const LEFT: f64 = 14.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 44.0;
const FIELD: f64 = 300.0;

/// A mark is at least so large, in the units of a picture that is a thousand wide.
const DOT_MIN: f64 = 6.0;

/// So many are called by their names beside them.
const NAMED_MAX: usize = 5;

/// More missing cells than this are drawn as strokes, since each would hide its neighbours' names anyhow.
const DOTS_MAX: usize = 200;

/// The picture. The list names the phones and draws of the first gaps.
pub fn draw(gaps: &Gaps, listed: &[Lost]) -> String {
    let mut picture = String::new();
    write_all(&mut picture, gaps, listed).expect("a String takes everything");
    picture
}

/// How the grid lies in the picture.
struct Field {
    across: f64,
    down: f64,
}

impl Field {
    fn x(&self, column: usize) -> f64 {
        LEFT + (count(column) + 0.5) * self.across
    }

    fn y(&self, row: usize) -> f64 {
        TOP + (count(row) + 0.5) * self.down
    }
}

fn write_all(out: &mut String, gaps: &Gaps, listed: &[Lost]) -> fmt::Result {
    let of_no_draw = (0..gaps.rows).any(|row| gaps.cells[row * gaps.columns + gaps.columns - 1].lost > 0);
    // The column of frames that belong to no draw is there when one of them is missing.
    let columns = if of_no_draw { gaps.columns } else { gaps.columns.saturating_sub(1) };
    let width = WIDTH - LEFT - RIGHT;
    let field = Field { across: width / count(columns.max(1)), down: FIELD / count(gaps.rows.max(1)) };
    let missing: Vec<(usize, usize)> = (0..gaps.rows)
        .flat_map(|row| (0..columns).map(move |column| (row, column)))
        .filter(|(row, column)| gaps.cells[row * gaps.columns + column].lost > 0)
        .collect();
    let lost: u64 = gaps.cells.iter().map(|cell| cell.lost).sum();
    let height = TOP + FIELD + BOTTOM;
    write!(out, "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"잃은 프레임 {lost} · {lost} frames lost\">")?;
    write!(out, "<rect class=\"heard\" x=\"{LEFT}\" y=\"{TOP}\" width=\"{width}\" height=\"{FIELD}\" rx=\"3\"/>")?;
    write_quiet(out, gaps, columns, &field)?;
    write_names(out, gaps, &field, of_no_draw.then_some(columns - 1))?;
    if missing.len() <= DOTS_MAX {
        missing.iter().try_for_each(|place| write_dot(out, gaps, listed, &field, *place))?;
        if missing.len() <= NAMED_MAX {
            missing.iter().try_for_each(|place| write_name(out, gaps, listed, &field, *place))?;
        }
    } else {
        write_strokes(out, &missing, &field)?;
    }
    write!(out, "</svg>")
}

/// Where nothing was owed: before a phone came, or after it vanished on purpose.
fn write_quiet(out: &mut String, gaps: &Gaps, columns: usize, field: &Field) -> fmt::Result {
    write!(out, "<path class=\"quiet\" stroke-width=\"{:.2}\" d=\"", field.down + 0.3)?;
    for row in 0..gaps.rows {
        let cells = &gaps.cells[row * gaps.columns..row * gaps.columns + columns];
        let mut from = 0;
        for run in cells.chunk_by(|one, next| (one.owed == 0) == (next.owed == 0)) {
            if run[0].owed == 0 {
                let length = count(run.len()) * field.across;
                write!(out, "M{:.1} {:.1}h{length:.1}", LEFT + count(from) * field.across, field.y(row))?;
            }
            from += run.len();
        }
    }
    write!(out, "\"/>")
}

/// Which draws and which phones.
fn write_names(out: &mut String, gaps: &Gaps, field: &Field, of_no_draw: Option<usize>) -> fmt::Result {
    let below = TOP + FIELD + 30.0;
    let named = [0, gaps.draws.len() / 2, gaps.draws.len().saturating_sub(1)];
    for (index, place) in named.into_iter().enumerate().filter(|(index, place)| *index == 0 || *place != named[index - 1]) {
        let Some(draw) = gaps.draws.get(place) else { continue };
        let (x, anchor) = (field.x(place / gaps.draws_per_column), ["start", "middle", "end"][index]);
        let x = x + [-field.across / 2.0, 0.0, field.across / 2.0][index];
        for (language, name) in [("ko", format!("추첨 {draw}")), ("en", format!("draw {draw}"))] {
            write!(out, "<text class=\"{language}\" x=\"{x:.1}\" y=\"{below}\" text-anchor=\"{anchor}\">{name}</text>")?;
        }
    }
    if let Some(column) = of_no_draw {
        let x = field.x(column);
        write!(out, "<path class=\"axis\" d=\"M{:.1} {TOP}v{FIELD}\"/>", x - field.across / 2.0)?;
    }
    // Within the field, and under the marks: a picture on a phone has no room beside it.
    let last = gaps.sockets.saturating_sub(2);
    for (phone, y) in [(0, TOP + 26.0), (last, TOP + FIELD - 10.0)] {
        for (language, name) in [("ko", "폰"), ("en", "phone")] {
            let phone = figure(count(phone));
            let x = LEFT + 10.0;
            write!(out, "<text class=\"{language}\" x=\"{x}\" y=\"{y}\">{name} {phone}</text>")?;
        }
    }
    Ok(())
}

/// A mark with its name, and a tick at the edge that leads the eye to it.
fn write_dot(out: &mut String, gaps: &Gaps, listed: &[Lost], field: &Field, (row, column): (usize, usize)) -> fmt::Result {
    let cell = gaps.cells[row * gaps.columns + column];
    let (x, y) = (field.x(column), field.y(row));
    let radius = (field.across.min(field.down) / 2.0).clamp(DOT_MIN, 2.0 * DOT_MIN);
    write!(out, "<path class=\"losts\" stroke-width=\"2\" d=\"M{x:.1} {:.1}v7M{:.1} {y:.1}h6\"/>", TOP + FIELD, LEFT - 6.0)?;
    write!(out, "<circle class=\"lost\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius:.1}\"><title>")?;
    match find(gaps, listed, (row, column)) {
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

/// Whose it is, beside its mark, on the side where there is room.
fn write_name(out: &mut String, gaps: &Gaps, listed: &[Lost], field: &Field, (row, column): (usize, usize)) -> fmt::Result {
    let Some(lost) = find(gaps, listed, (row, column)) else { return Ok(()) };
    let (x, y) = (field.x(column), field.y(row).clamp(TOP + 16.0, TOP + FIELD - 6.0));
    let (x, anchor) = if x > WIDTH / 2.0 { (x - 14.0, "end") } else { (x + 14.0, "start") };
    let (phone, draw) = (figure(count(lost.phone)), lost.draw.map_or("–".to_owned(), |draw| draw.to_string()));
    // The display has the last row.
    let is_display = lost.phone + 1 == gaps.sockets;
    for (language, who, display, of) in [("ko", "폰", "무대 화면", "추첨"), ("en", "phone", "the display", "draw")] {
        let who = if is_display { display.to_owned() } else { format!("{who} {phone}") };
        write!(out, "<text class=\"{language}\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">", y + 5.0)?;
        write!(out, "{who} · {of} {draw}</text>")?;
    }
    Ok(())
}

/// The first listed gap of a cell.
fn find<'a>(gaps: &Gaps, listed: &'a [Lost], (row, column): (usize, usize)) -> Option<&'a Lost> {
    listed.iter().find(|lost| {
        let place = lost.draw.and_then(|draw| gaps.draws.binary_search(&draw).ok());
        let of_draw = place.map_or(gaps.columns - 1, |place| place / gaps.draws_per_column);
        lost.phone / gaps.sockets_per_row == row && of_draw == column
    })
}

/// Many marks as one path: neighbours in a row are one stroke.
fn write_strokes(out: &mut String, missing: &[(usize, usize)], field: &Field) -> fmt::Result {
    let thick = field.down.max(DOT_MIN / 2.0);
    write!(out, "<path class=\"losts\" stroke-width=\"{thick:.1}\" d=\"")?;
    for run in missing.chunk_by(|one, next| one.0 == next.0 && one.1 + 1 == next.1) {
        let (row, column) = run[0];
        write!(out, "M{:.1} {:.1}h{:.1}", field.x(column), field.y(row), count(run.len() - 1) * field.across)?;
    }
    write!(out, "\"/>")
}

fn count(things: usize) -> f64 {
    crate::metric::number(things as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::ledger::Cell;

    /// A grid in which everything was owed and these cells have a gap.
    fn gaps(sockets: usize, draws: u32, sockets_per_row: usize, lost: &[(usize, usize)]) -> Gaps {
        let (columns, rows) = (draws as usize + 1, sockets.div_ceil(sockets_per_row));
        let mut cells = vec![Cell { owed: 1, lost: 0 }; rows * columns];
        lost.iter().for_each(|(row, column)| cells[row * columns + column].lost = 1);
        Gaps { draws: (1..=draws).collect(), draws_per_column: 1, sockets, sockets_per_row, columns, rows, cells }
    }

    #[test]
    fn a_lost_frame_is_one_mark_at_its_place_and_an_honest_run_has_none() {
        assert_eq!(draw(&gaps(11, 2, 1, &[]), &[]).matches("<circle").count(), 0);
        let picture = draw(&gaps(11, 2, 1, &[(9, 1)]), &[]);
        assert_eq!(picture.matches("<circle").count(), 1);
        assert!(picture.contains("cx=\"743.0\""), "in the right half: {picture}");
    }

    #[test]
    fn one_gap_among_two_million_is_as_large_as_any_and_says_whose_it_is() {
        let lost = [Lost { phone: 12_345, seq: 267, kind: "winner_<announced>".into(), draw: Some(67) }];
        let picture = draw(&gaps(19_901, 100, 50, &[(246, 66)]), &lost);
        assert_eq!(picture.matches("<circle").count(), 1);
        assert!(picture.contains(&format!("r=\"{DOT_MIN:.1}\"")), "{picture}");
        assert!(picture.contains("phone 12345, draw 67, seq 267, winner_&lt;announced&gt;"), "{picture}");
    }

    #[test]
    fn a_frame_of_no_draw_has_a_column_when_it_is_lost_and_a_flood_stays_small() {
        assert_eq!(draw(&gaps(11, 2, 1, &[(3, 2)]), &[]).matches("<circle").count(), 1);
        let all: Vec<_> = (0..398).flat_map(|row| (0..100).map(move |column| (row, column))).collect();
        let flood = draw(&gaps(19_900, 100, 50, &all), &[]);
        assert!(flood.len() < 40_000 && flood.contains("h962"), "{} bytes", flood.len());
    }
}
