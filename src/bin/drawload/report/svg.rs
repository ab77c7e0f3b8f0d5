//! Charts, drawn by hand: lines, a band and bars over two axes, with the limits that they are held against.
//!
//! A chart library would bring more than these lines, and none follows the page into the dark, prints two languages or tells its colours to a style.
//! Everything here is shape and class; colours and sizes of letters are the style's.

use super::words::{Words, figure};
use std::fmt::{self, Write};

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 250.0;
const LEFT: f64 = 66.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 34.0;

/// Colours that there are.
const COLOURS: usize = 10;

/// A line of a chart. A height that is no number breaks it: nothing was measured there.
pub struct Line {
    pub name: Words,
    pub points: Vec<(f64, f64)>,
}

/// A level that is drawn across.
pub struct Level {
    pub name: Words,
    pub at: f64,
    /// What must not be passed is drawn more strongly than what is only good to know.
    pub is_limit: bool,
}

/// How an axis is divided.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Axis {
    /// From 0, or from the first value across.
    Even,
    /// From a little below the lowest value.
    Near,
    /// Seconds of the run, written as minutes when it is a long one.
    Seconds,
    /// Powers of ten.
    Powers,
    /// Shares of all, the last ones further apart: 0, 90, 99, 99.9 %.
    Nines,
}

/// A picture to be.
pub struct Chart<'a> {
    pub lines: &'a [Line],
    /// Across, from and to; broken as lines are.
    pub band: &'a [(f64, f64, f64)],
    pub bars: &'a [(f64, f64)],
    pub levels: &'a [Level],
    pub across: Axis,
    /// Where the axis across ends at the least.
    pub until: f64,
    pub up: Axis,
    /// What the axes count, in short.
    pub units: (&'static str, &'static str),
}

/// A chart of nothing yet, over the time of the run.
pub const OVER_TIME: Chart<'static> =
    Chart { lines: &[], band: &[], bars: &[], levels: &[], across: Axis::Seconds, until: 0.0, up: Axis::Even, units: ("s", "") };

/// An axis with its ends.
struct Scale {
    axis: Axis,
    from: f64,
    to: f64,
}

impl Chart<'_> {
    /// The picture, and the legend of its lines where there is more than one.
    pub fn draw(&self) -> String {
        let mut picture = String::new();
        self.write(&mut picture).expect("a String takes everything");
        picture
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        if self.lines.len() > 1 || !self.band.is_empty() {
            write!(out, "<ul class=\"legend\">")?;
            if !self.band.is_empty() {
                write!(out, "<li class=\"k0 area\">p50–p90")?;
            }
            for (index, line) in self.lines.iter().enumerate() {
                write!(out, "<li class=\"{}\">{}", class(index), line.name)?;
            }
            write!(out, "</ul>")?;
        }
        let (x, y) = self.scales();
        write!(out, "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"")?;
        self.lines.iter().try_for_each(|line| write!(out, "{} · {}; ", line.name.ko, line.name.en))?;
        write!(out, "\">")?;
        self.write_axes(out, &x, &y)?;
        let at = |point: &(f64, f64)| format!("{:.1},{:.1}", x.across(point.0), y.up(point.1));
        for run in self.band.split(|(_, _, to)| to.is_nan()).filter(|run| run.len() > 1) {
            let upper = run.iter().map(|(across, _, to)| at(&(*across, *to)));
            let lower = run.iter().rev().map(|(across, from, _)| at(&(*across, *from)));
            write!(out, "<polygon class=\"band\" points=\"{}\"/>", upper.chain(lower).collect::<Vec<_>>().join(" "))?;
        }
        if !self.bars.is_empty() {
            let width = ((WIDTH - LEFT - RIGHT) / count(self.bars.len()) * 0.7).clamp(1.0, 14.0);
            write!(out, "<path class=\"bars\" stroke-width=\"{width:.1}\" d=\"")?;
            for (across, height) in self.bars {
                write!(out, "M{:.1} {:.1}V{:.1}", x.across(*across), y.up(0.0), y.up(*height).min(y.up(0.0) - 1.0))?;
            }
            write!(out, "\"/>")?;
        }
        for (index, line) in self.lines.iter().enumerate() {
            for run in line.points.split(|point| point.1.is_nan()).filter(|run| !run.is_empty()) {
                // One point alone is drawn to itself, and so a dot.
                let points: Vec<_> = run.iter().chain(run.first().filter(|_| run.len() == 1)).map(at).collect();
                write!(out, "<polyline class=\"{}\" points=\"{}\"/>", class(index), points.join(" "))?;
            }
        }
        self.levels.iter().try_for_each(|level| write_level(out, level, y.up(level.at)))?;
        write!(out, "</svg>")
    }

    fn scales(&self) -> (Scale, Scale) {
        let points = || self.lines.iter().flat_map(|line| line.points.iter().copied()).chain(self.bars.iter().copied());
        let points = || points().chain(self.band.iter().map(|(across, _, to)| (*across, *to)));
        let left = points().map(|point| point.0).fold(f64::INFINITY, f64::min);
        let left = if !left.is_finite() || self.across == Axis::Seconds { 0.0 } else { left };
        let right = points().map(|point| point.0).fold(left.max(self.until), f64::max);
        let heights = || points().map(|point| point.1).chain(self.levels.iter().map(|level| level.at));
        let top = heights().fold(0.0, f64::max);
        let x = match self.across {
            Axis::Powers => powers(left, right),
            // Bars at both ends have their width.
            axis if !self.bars.is_empty() => Scale { axis, from: left - 1.0, to: right + 1.0 },
            axis => Scale { axis, from: left, to: if right > left { right } else { left + 1.0 } },
        };
        let y = match self.up {
            Axis::Nines => Scale { axis: Axis::Nines, from: 0.0, to: 0.9995 },
            Axis::Powers => powers(0.1, top),
            Axis::Near => near(heights().fold(f64::INFINITY, f64::min), top),
            axis => Scale { axis, from: 0.0, to: round_up(top) },
        };
        (x, y)
    }

    fn write_axes(&self, out: &mut String, x: &Scale, y: &Scale) -> fmt::Result {
        let right = WIDTH - RIGHT;
        for tick in y.ticks(4) {
            let at = y.up(tick);
            let name = if self.up == Axis::Nines { short(tick * 100.0) } else { short(tick) };
            write!(out, "<path class=\"grid\" d=\"M{LEFT} {at:.1}H{right}\"/>")?;
            write!(out, "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{name}</text>", LEFT - 7.0, at + 5.0)?;
        }
        let floor = HEIGHT - BOTTOM;
        write!(out, "<path class=\"axis\" d=\"M{LEFT} {floor}H{right}\"/>")?;
        let (unit_across, unit_up) = self.units;
        let in_minutes = x.axis == Axis::Seconds && x.to >= 240.0;
        let unit_across = if in_minutes { "min" } else { unit_across };
        for tick in x.ticks(6) {
            let at = x.across(tick);
            // The unit stands at the right end.
            if at > right - 12.0 * count(unit_across.len()) - 14.0 {
                continue;
            }
            let name = if in_minutes { short(tick / 60.0) } else { short(tick) };
            write!(out, "<path class=\"axis\" d=\"M{at:.1} {floor}v5\"/>")?;
            write!(out, "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{name}</text>", HEIGHT - 10.0)?;
        }
        write!(out, "<text x=\"{right}\" y=\"{:.1}\" text-anchor=\"end\">{unit_across}</text>", HEIGHT - 10.0)?;
        write!(out, "<text x=\"{:.1}\" y=\"12\">{unit_up}</text>", LEFT + 6.0)
    }
}

/// The colour of a line; when there are no more of them, they come again with dashes.
fn class(index: usize) -> String {
    format!("k{}{}", index % COLOURS, if index < COLOURS { "" } else { " dashed" })
}

fn write_level(out: &mut String, level: &Level, at: f64) -> fmt::Result {
    let class = if level.is_limit { "limit" } else { "mark" };
    let right = WIDTH - RIGHT;
    write!(out, "<path class=\"{class}\" d=\"M{LEFT} {at:.1}H{right}\"/>")?;
    // Above the line; below it where there is no room above.
    let beside = if at < TOP + 12.0 { at + 18.0 } else { at - 6.0 };
    for (language, words) in [("ko", level.name.ko), ("en", level.name.en)] {
        write!(out, "<text class=\"{class} {language}\" x=\"{right}\" y=\"{beside:.1}\" text-anchor=\"end\">{words}</text>")?;
    }
    Ok(())
}

impl Scale {
    /// Where a value is between the ends, from 0 to 1; what lies beyond them is at the end.
    fn place(&self, value: f64) -> f64 {
        let nines = |share: f64| -(1.0 - share.clamp(0.0, 0.999_999)).log10();
        let place = match self.axis {
            Axis::Powers => (value.max(self.from).log10() - self.from.log10()) / (self.to.log10() - self.from.log10()),
            Axis::Nines => nines(value) / nines(self.to),
            Axis::Even | Axis::Near | Axis::Seconds => (value - self.from) / (self.to - self.from),
        };
        place.clamp(0.0, 1.0)
    }

    fn across(&self, value: f64) -> f64 {
        LEFT + self.place(value) * (WIDTH - LEFT - RIGHT)
    }

    fn up(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.place(value) * (HEIGHT - TOP - BOTTOM)
    }

    /// About so many round values.
    fn ticks(&self, wanted: u32) -> Vec<f64> {
        match self.axis {
            Axis::Nines => vec![0.0, 0.5, 0.9, 0.99, 0.999],
            Axis::Powers => {
                let mut ticks = vec![self.from];
                while let Some(last) = ticks.last().filter(|last| **last * 10.0 <= self.to * 1.001 && ticks.len() < 12) {
                    ticks.push(last * 10.0);
                }
                ticks
            }
            Axis::Even | Axis::Near | Axis::Seconds => {
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
fn powers(from: f64, to: f64) -> Scale {
    let from = 10_f64.powf(from.max(1e-3).log10().floor());
    let to = 10_f64.powf(to.max(from).log10().ceil());
    Scale { axis: Axis::Powers, from, to: if to > from { to } else { from * 10.0 } }
}

/// From a round number below to one above, and not so near that noise looks like mountains.
fn near(lowest: f64, highest: f64) -> Scale {
    if !lowest.is_finite() || highest <= 0.0 {
        return Scale { axis: Axis::Near, from: 0.0, to: 1.0 };
    }
    let room = (highest - lowest).max(highest * 0.1);
    let step = 10_f64.powf(room.log10().floor());
    let from = ((lowest - room * 0.3) / step).floor().max(0.0) * step;
    Scale { axis: Axis::Near, from, to: ((highest + room * 0.3) / step).ceil() * step }
}

/// A number of an axis, without the noise of binary fractions.
fn short(value: f64) -> String {
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

fn count(things: usize) -> f64 {
    crate::metric::number(things as u64)
}

#[cfg(test)]
mod tests {
    use super::super::words::words;
    use super::*;

    #[test]
    fn a_chart_of_nothing_is_still_a_picture() {
        let line = |points| Line { name: words("가", "x"), points };
        for lines in [vec![], vec![line(vec![])], vec![line(vec![(1.0, 0.0)])], vec![line(vec![(0.0, 1e-9), (9e9, 1e9)])]] {
            for (across, up) in
                [(Axis::Seconds, Axis::Even), (Axis::Powers, Axis::Nines), (Axis::Even, Axis::Powers), (Axis::Even, Axis::Near)]
            {
                let picture = Chart { lines: &lines, across, up, ..OVER_TIME }.draw();
                assert!(picture.ends_with("</svg>") && !picture.contains("NaN") && !picture.contains("inf"), "{picture}");
            }
        }
        assert_eq!([0.0, 0.2, 7.0, 10.0, 301.0].map(round_up), [1.0, 0.2, 8.0, 10.0, 400.0]);
    }

    #[test]
    fn a_limit_is_in_the_picture_however_far_above_the_line_it_is() {
        let lines = [Line { name: words("가", "x"), points: vec![(0.0, 9.0), (10.0, 11.0)] }];
        let levels = [Level { name: words("한계", "limit"), at: 512.0, is_limit: true }];
        let picture = Chart { lines: &lines, levels: &levels, ..OVER_TIME }.draw();
        let path = picture.split("class=\"limit\" d=\"M66 ").nth(1).unwrap();
        let at: f64 = path.split('H').next().unwrap().parse().unwrap();
        assert!((TOP..HEIGHT - BOTTOM).contains(&at), "{picture}");
    }

    #[test]
    fn axes_have_a_handful_of_round_ticks() {
        let even = Scale { axis: Axis::Even, from: 0.0, to: 600.0 };
        assert_eq!(even.ticks(4), [0.0, 200.0, 400.0, 600.0]);
        let hour = Scale { axis: Axis::Seconds, from: 0.0, to: 3_670.0 };
        assert_eq!(hour.ticks(6), [0.0, 900.0, 1_800.0, 2_700.0, 3_600.0]);
        assert_eq!(powers(0.4, 800.0).ticks(6), [0.1, 1.0, 10.0, 100.0, 1_000.0]);
    }
}
