//! The two pictures of a report, drawn by hand: lines over an axis, and a grid with a dot for each thing that is missing.
//!
//! A chart library would bring more than these hundred lines, and none draws the grid.

use std::fmt::{self, Write};

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 240.0;
const MARGIN: f64 = 46.0;

/// Told apart by lightness as well as by hue.
const COLOURS: [&str; 3] = ["#0b57a4", "#e07b00", "#2a9d5c"];

/// A line of a chart.
pub struct Line {
    pub name: &'static str,
    pub points: Vec<(f64, f64)>,
}

/// Lines from 0 up, with an axis of round numbers and, if wanted, a limit.
pub fn chart(lines: &[Line], limit: Option<f64>) -> String {
    let mut picture = String::new();
    write_chart(&mut picture, lines, limit).expect("a String takes everything");
    picture
}

fn write_chart(picture: &mut String, lines: &[Line], limit: Option<f64>) -> fmt::Result {
    let points = || lines.iter().flat_map(|line| &line.points);
    let left = points().map(|point| point.0).fold(f64::INFINITY, f64::min);
    let left = if left.is_finite() { left } else { 0.0 };
    let right = points().map(|point| point.0).fold(left, f64::max).max(left + 1e-9);
    let top = round_up(points().map(|point| point.1).chain(limit).fold(0.0, f64::max));
    let x = |value: f64| MARGIN + (value - left) / (right - left) * (WIDTH - 2.0 * MARGIN);
    let y = |value: f64| HEIGHT - MARGIN / 2.0 - value / top * (HEIGHT - MARGIN);
    let names: Vec<_> = lines.iter().map(|line| line.name).collect();
    write!(picture, "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\" font-size=\"12\">", names.join(", "))?;
    for step in 0..=4 {
        let value = top * f64::from(step) / 4.0;
        let (from, to, at) = (MARGIN, WIDTH - MARGIN, y(value));
        write!(
            picture,
            "<path d=\"M{from} {at:.1}H{to}\" stroke=\"#ddd\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            from - 4.0,
            at + 4.0,
            short(value)
        )?;
        let value = left + (right - left) * f64::from(step) / 4.0;
        write!(picture, "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{value:.1}</text>", x(value), HEIGHT - 6.0)?;
    }
    if let Some(limit) = limit {
        write!(
            picture,
            "<path d=\"M{MARGIN} {:.1}H{}\" stroke=\"#b00020\" stroke-dasharray=\"6 4\"/>",
            y(limit),
            WIDTH - MARGIN
        )?;
    }
    for ((line, colour), place) in lines.iter().zip(COLOURS).zip(0_u32..) {
        let points: Vec<_> = line.points.iter().map(|point| format!("{:.1},{:.1}", x(point.0), y(point.1))).collect();
        write!(picture, "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>", points.join(" "))?;
        let at = MARGIN + 8.0 + 160.0 * f64::from(place);
        write!(picture, "<text x=\"{at}\" y=\"14\" fill=\"{colour}\">{}</text>", line.name)?;
    }
    write!(picture, "</svg>")
}

/// A grid of draws from left to right and phones from top to bottom, with a dot where something is missing.
pub fn matrix(draws: &[u32], phones: usize, missing: &[(u32, usize)]) -> String {
    let rows = f64::from(u32::try_from(phones).unwrap_or(u32::MAX));
    let columns = f64::from(u32::try_from(draws.len()).unwrap_or(u32::MAX));
    let (across, down) = ((WIDTH - 2.0 * MARGIN) / columns.max(1.0), (HEIGHT - MARGIN) / rows.max(1.0));
    let radius = (across.min(down) / 2.0).max(2.5);
    let mut picture = format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{} missing\">", missing.len());
    let (width, height) = (WIDTH - 2.0 * MARGIN, HEIGHT - MARGIN);
    picture.push_str(&format!(
        "<rect x=\"{MARGIN}\" y=\"{}\" width=\"{width}\" height=\"{height}\" fill=\"#cfe8d8\"/>",
        MARGIN / 2.0
    ));
    for (draw, phone) in missing {
        let Some(column) = draws.iter().position(|id| id == draw).and_then(|column| u32::try_from(column).ok()) else { continue };
        let row = f64::from(u32::try_from(*phone).unwrap_or(u32::MAX));
        let (x, y) = (MARGIN + (f64::from(column) + 0.5) * across, MARGIN / 2.0 + (row + 0.5) * down);
        picture.push_str(&format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius:.1}\" fill=\"#b00020\"/>"));
    }
    picture.push_str("</svg>");
    picture
}

/// A number of an axis, without the noise of binary fractions.
fn short(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The next of 1, 2, 4, 5, 10, 20 … that is not below.
fn round_up(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(value.log10().floor());
    [1.0, 2.0, 4.0, 5.0, 10.0].into_iter().map(|step| step * power).find(|step| *step >= value).unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_frame_is_one_dot_at_its_place_and_an_honest_run_has_none() {
        assert_eq!(matrix(&[4, 5], 10, &[]).matches("<circle").count(), 0);
        let picture = matrix(&[4, 5], 10, &[(5, 9)]);
        assert_eq!(picture.matches("<circle").count(), 1);
        assert!(picture.contains("cx=\"652.0\""), "in the right half: {picture}");
    }

    #[test]
    fn a_chart_of_nothing_is_still_a_picture() {
        for lines in [&[][..], &[Line { name: "x", points: vec![] }], &[Line { name: "x", points: vec![(1.0, 0.0)] }]] {
            let picture = chart(lines, None);
            assert!(picture.ends_with("</svg>") && !picture.contains("NaN") && !picture.contains("inf"), "{picture}");
        }
        assert_eq!([0.0, 0.3, 7.0, 10.0, 301.0].map(round_up), [1.0, 0.4, 10.0, 10.0, 400.0]);
    }
}
