//! Charts as SVG: lines, a band and bars over two axes, with the limits that apply to them.
//!
//! A chart library would bring more than these lines, and none follows the page into its dark mode,
//! prints two languages or leaves its colours to a style. Everything here is shape and class;
//! colours and font sizes belong to the style.

use super::labels::figure;
use crate::measure::{Label, number};
use maud::{Markup, html};
use std::fmt::Write;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 250.0;
const LEFT: f64 = 66.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 34.0;

/// Number of colours of the style.
const COLOURS: usize = 10;

/// A line of a chart. A y that is NaN breaks it: nothing was measured there.
pub struct Line {
    pub name: Label,
    pub points: Vec<(f64, f64)>,
}

/// A horizontal line at a value.
pub struct Level {
    pub name: Label,
    pub at: f64,
    /// A limit is drawn more strongly than a mark for orientation.
    pub is_limit: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Axis {
    /// From 0; on the x axis from the first value.
    Linear,
    /// From a little below the lowest value.
    CloseUp,
    /// Seconds of the run, written as minutes when it is a long one.
    Seconds,
    Log10,
    /// Shares of all, with the last ones further apart: 0, 90, 99, 99.9 %.
    Nines,
}

pub struct Chart<'a> {
    pub lines: &'a [Line],
    /// x, lower and upper y; broken as lines are.
    pub band: &'a [(f64, f64, f64)],
    pub bars: &'a [(f64, f64)],
    pub levels: &'a [Level],
    pub x_axis: Axis,
    /// The x axis ends here at the earliest.
    pub x_end: f64,
    pub y_axis: Axis,
    /// Units of x and y, in short.
    pub units: (&'static str, &'static str),
}

/// An empty chart over the time of the run.
pub const OVER_TIME: Chart<'static> = Chart {
    lines: &[],
    band: &[],
    bars: &[],
    levels: &[],
    x_axis: Axis::Seconds,
    x_end: 0.0,
    y_axis: Axis::Linear,
    units: ("s", ""),
};

/// An axis with its ends.
struct Scale {
    axis: Axis,
    from: f64,
    to: f64,
}

impl Chart<'_> {
    /// The picture, with a legend if it has more than one line.
    pub fn draw(&self) -> Markup {
        let (x, y) = self.scales();
        let names: String = self.lines.iter().map(|line| format!("{} · {}; ", line.name.ko, line.name.en)).collect();
        html! {
            (self.legend())
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(names) {
                (self.axes(&x, &y))
                (self.shapes(&x, &y))
                @for level in self.levels { (draw_level(level, y.y(level.at))) }
            }
        }
    }

    /// The band, the bars and the lines.
    fn shapes(&self, x: &Scale, y: &Scale) -> Markup {
        let at = |point: (f64, f64)| format!("{:.1},{:.1} ", x.x(point.0), y.y(point.1));
        let bands = self.band.split(|(_, _, upper)| upper.is_nan()).filter(|run| run.len() > 1);
        let band_points = |run: &[(f64, f64, f64)]| -> String {
            let lowers = run.iter().rev().map(|(x, lower, _)| at((*x, *lower)));
            run.iter().map(|(x, _, upper)| at((*x, *upper))).chain(lowers).collect()
        };
        let width = ((WIDTH - LEFT - RIGHT) / number(self.bars.len().max(1)) * 0.7).clamp(1.0, 14.0);
        let bars = self.bars.iter().fold(String::new(), |mut path, (at, height)| {
            let (foot, top) = (y.y(0.0), y.y(*height).min(y.y(0.0) - 1.0));
            let _ = write!(path, "M{:.1} {foot:.1}V{top:.1}", x.x(*at));
            path
        });
        // A single point is joined to itself, which draws a dot.
        let line_points = |run: &[(f64, f64)]| -> String {
            run.iter().chain(run.first().filter(|_| run.len() == 1)).map(|point| at(*point)).collect()
        };
        html! {
            @for run in bands { polygon.band points=(band_points(run)) {} }
            @if !self.bars.is_empty() { path.bars stroke-width=(format!("{width:.1}")) d=(bars) {} }
            @for (index, line) in self.lines.iter().enumerate() {
                @for run in line.points.split(|point| point.1.is_nan()).filter(|run| !run.is_empty()) {
                    polyline class=(class(index)) points=(line_points(run)) {}
                }
            }
        }
    }

    fn legend(&self) -> Markup {
        if self.lines.len() < 2 && self.band.is_empty() {
            return html! {};
        }
        html! {
            ul.legend {
                @if !self.band.is_empty() { li class="k0 area" { "p50–p90" } }
                @for (index, line) in self.lines.iter().enumerate() { li class=(class(index)) { (line.name) } }
            }
        }
    }

    fn scales(&self) -> (Scale, Scale) {
        let points = || self.lines.iter().flat_map(|line| line.points.iter().copied()).chain(self.bars.iter().copied());
        let points = || points().chain(self.band.iter().map(|(x, _, upper)| (*x, *upper)));
        let left = points().map(|point| point.0).fold(f64::INFINITY, f64::min);
        let left = if !left.is_finite() || self.x_axis == Axis::Seconds { 0.0 } else { left };
        let right = points().map(|point| point.0).fold(left.max(self.x_end), f64::max);
        let heights = || points().map(|point| point.1).chain(self.levels.iter().map(|level| level.at));
        let top = heights().fold(0.0, f64::max);
        let x = match self.x_axis {
            Axis::Log10 => log10(left, right),
            // Room for the width of the bars at both ends.
            axis if !self.bars.is_empty() => Scale { axis, from: left - 1.0, to: right + 1.0 },
            axis => Scale { axis, from: left, to: if right > left { right } else { left + 1.0 } },
        };
        let y = match self.y_axis {
            Axis::Nines => Scale { axis: Axis::Nines, from: 0.0, to: 0.9995 },
            Axis::Log10 => log10(0.1, top),
            Axis::CloseUp => close_up(heights().fold(f64::INFINITY, f64::min), top),
            axis => Scale { axis, from: 0.0, to: round_up(top) },
        };
        (x, y)
    }

    fn axes(&self, x: &Scale, y: &Scale) -> Markup {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        let share = if self.y_axis == Axis::Nines { 100.0 } else { 1.0 };
        let in_minutes = x.axis == Axis::Seconds && x.to >= 240.0;
        let (x_unit, seconds) = if in_minutes { ("min", 60.0) } else { (self.units.0, 1.0) };
        // The unit is at the right end.
        let x_ticks = x.ticks(6).into_iter().map(|tick| (x.x(tick), tick_name(tick / seconds)));
        let x_ticks = x_ticks.filter(|(at, _)| *at <= right - 12.0 * number(x_unit.len()) - 14.0);
        html! {
            @for tick in y.ticks(4) {
                path.grid d=(format!("M{LEFT} {:.1}H{right}", y.y(tick))) {}
                (text("", (LEFT - 7.0, y.y(tick) + 5.0), "end", &tick_name(tick * share)))
            }
            path.axis d=(format!("M{LEFT} {bottom}H{right}")) {}
            @for (at, name) in x_ticks {
                path.axis d=(format!("M{at:.1} {bottom}v5")) {}
                (text("", (at, HEIGHT - 10.0), "middle", &name))
            }
            (text("", (right, HEIGHT - 10.0), "end", x_unit))
            (text("", (LEFT + 6.0, 12.0), "start", self.units.1))
        }
    }
}

/// A text of a picture; `anchor` as in SVG.
pub fn text(class: &str, (x, y): (f64, f64), anchor: &str, text: &str) -> Markup {
    html! { text class=(class) x=(format!("{x:.1}")) y=(format!("{y:.1}")) text-anchor=(anchor) { (text) } }
}

/// The class of a line's colour; colours repeat with dashes.
fn class(index: usize) -> String {
    format!("k{}{}", index % COLOURS, if index < COLOURS { "" } else { " dashed" })
}

fn draw_level(level: &Level, at: f64) -> Markup {
    let class = if level.is_limit { "limit" } else { "mark" };
    // Above the line; below it where there is no room above.
    let place = (WIDTH - RIGHT, if at < TOP + 12.0 { at + 18.0 } else { at - 6.0 });
    html! {
        path class=(class) d=(format!("M{LEFT} {at:.1}H{}", WIDTH - RIGHT)) {}
        (text(&format!("{class} ko"), place, "end", level.name.ko))
        (text(&format!("{class} en"), place, "end", level.name.en))
    }
}

impl Scale {
    /// The position of a value between the ends, from 0 to 1. Values beyond an end are at that end.
    fn position(&self, value: f64) -> f64 {
        let nines = |share: f64| -(1.0 - share.clamp(0.0, 0.999_999)).log10();
        let position = match self.axis {
            Axis::Log10 => (value.max(self.from).log10() - self.from.log10()) / (self.to.log10() - self.from.log10()),
            Axis::Nines => nines(value) / nines(self.to),
            Axis::Linear | Axis::CloseUp | Axis::Seconds => (value - self.from) / (self.to - self.from),
        };
        position.clamp(0.0, 1.0)
    }

    fn x(&self, value: f64) -> f64 {
        LEFT + self.position(value) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.position(value) * (HEIGHT - TOP - BOTTOM)
    }

    /// About `wanted` round values.
    fn ticks(&self, wanted: u32) -> Vec<f64> {
        match self.axis {
            Axis::Nines => vec![0.0, 0.5, 0.9, 0.99, 0.999],
            Axis::Log10 => {
                let powers = std::iter::successors(Some(self.from), |last| Some(last * 10.0));
                powers.take_while(|tick| *tick <= self.to * 1.001).take(12).collect()
            }
            Axis::Linear | Axis::CloseUp | Axis::Seconds => {
                let rough = (self.to - self.from) / f64::from(wanted);
                let power = 10_f64.powf(rough.log10().floor());
                let steps: &[f64] = match self.axis {
                    Axis::Seconds if self.to >= 240.0 => &[60.0, 120.0, 300.0, 600.0, 900.0, 1_800.0, 3_600.0],
                    _ => &[power, 2.0 * power, 5.0 * power, 10.0 * power],
                };
                let step = steps.iter().copied().find(|step| *step >= rough * 0.999).unwrap_or(7_200.0);
                let first = (self.from / step).ceil() * step;
                (0..24).map(|index| first + f64::from(index) * step).take_while(|tick| *tick <= self.to * 1.001).collect()
            }
        }
    }
}

/// From the power of ten below to the one above.
fn log10(from: f64, to: f64) -> Scale {
    let from = 10_f64.powf(from.max(1e-3).log10().floor());
    let to = 10_f64.powf(to.max(from).log10().ceil());
    Scale { axis: Axis::Log10, from, to: if to > from { to } else { from * 10.0 } }
}

/// From a round number below to one above, and wide enough that noise is not magnified.
fn close_up(lowest: f64, highest: f64) -> Scale {
    if !lowest.is_finite() || highest <= 0.0 {
        return Scale { axis: Axis::CloseUp, from: 0.0, to: 1.0 };
    }
    let room = (highest - lowest).max(highest * 0.1);
    let step = 10_f64.powf(room.log10().floor());
    let from = ((lowest - room * 0.3) / step).floor().max(0.0) * step;
    Scale { axis: Axis::CloseUp, from, to: ((highest + room * 0.3) / step).ceil() * step }
}

/// A tick's number, without the noise of binary fractions.
fn tick_name(value: f64) -> String {
    let rounded = (value * 1_000.0).round() / 1_000.0;
    if rounded.fract() == 0.0 {
        return figure(rounded);
    }
    format!("{rounded:.3}").trim_end_matches('0').to_owned()
}

/// The next of 1, 1.5, 2, 3, 4, 5, 6, 8, 10, 15 … that is not below.
fn round_up(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0];
    steps.into_iter().map(|step| step * power).find(|step| *step >= value).unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::label;

    #[test]
    fn an_empty_chart_is_still_a_picture() {
        let line = |points| Line { name: label("가", "x"), points };
        for lines in [vec![], vec![line(vec![])], vec![line(vec![(1.0, 0.0)])], vec![line(vec![(0.0, 1e-9), (9e9, 1e9)])]] {
            for (x_axis, y_axis) in [
                (Axis::Seconds, Axis::Linear),
                (Axis::Log10, Axis::Nines),
                (Axis::Linear, Axis::Log10),
                (Axis::Linear, Axis::CloseUp),
            ] {
                let picture = Chart { lines: &lines, x_axis, y_axis, ..OVER_TIME }.draw().into_string();
                assert!(picture.ends_with("</svg>") && !picture.contains("NaN") && !picture.contains("inf"), "{picture}");
            }
        }
        assert_eq!([0.0, 0.2, 7.0, 10.0, 301.0].map(round_up), [1.0, 0.2, 8.0, 10.0, 400.0]);
    }

    #[test]
    fn a_limit_far_above_the_line_is_in_the_picture() {
        let lines = [Line { name: label("가", "x"), points: vec![(0.0, 9.0), (10.0, 11.0)] }];
        let levels = [Level { name: label("한계", "limit"), at: 512.0, is_limit: true }];
        let picture = Chart { lines: &lines, levels: &levels, ..OVER_TIME }.draw().into_string();
        let path = picture.split("class=\"limit\" d=\"M66 ").nth(1).unwrap();
        let at: f64 = path.split('H').next().unwrap().parse().unwrap();
        assert!((TOP..HEIGHT - BOTTOM).contains(&at), "{picture}");
    }

    #[test]
    fn axes_have_a_handful_of_round_ticks() {
        let linear = Scale { axis: Axis::Linear, from: 0.0, to: 600.0 };
        assert_eq!(linear.ticks(4), [0.0, 200.0, 400.0, 600.0]);
        let hour = Scale { axis: Axis::Seconds, from: 0.0, to: 3_670.0 };
        assert_eq!(hour.ticks(6), [0.0, 900.0, 1_800.0, 2_700.0, 3_600.0]);
        assert_eq!(log10(0.4, 800.0).ticks(6), [0.1, 1.0, 10.0, 100.0, 1_000.0]);
    }
}
