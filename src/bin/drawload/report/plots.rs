//! The pictures of one scenario: their data, their titles and their captions.

use super::chart::{Axis, Chart, Level, Line, OVER_TIME};
use super::labels::{badge, both, count, figure};
use super::matrix;
use crate::measure::latency::{API, Wait};
use crate::measure::process::vcpus;
use crate::measure::time_series::{Interval, Sample};
use crate::measure::{Label, label, mib, ms, number};
use crate::run::sizing::HOURS_AT_REST;
use crate::verdict::outcome::Outcome;
use hdrhistogram::Histogram;
use maud::{Markup, Render, html};

/// The baseline of the $5 instance in cores: 5 % of each of its two vCPUs.
const BASELINE_CORES: f64 = 0.10;

/// Fewest waits that make a curve.
const CURVE_MIN: u64 = 3;

/// Prefix of waits of an idle server, which have no place beside those of a busy one.
const BASELINE: &str = "baseline.";

/// All pictures of a scenario.
pub fn plots(outcome: &Outcome) -> Markup {
    html! {
        h3 { (label("시간에 따라", "Over time")) }
        div.plots { (people(outcome)) (rates(outcome)) (memory(outcome)) (cpu(outcome)) }
        (deliveries(outcome))
        h3 { (label("얼마나 빨랐나", "Speed")) }
        div.plots { (distribution(outcome)) (spread(outcome)) (curves(outcome)) }
    }
}

fn picture(title: impl Render, chart: &Chart<'_>, caption: impl Render) -> Markup {
    html! { figure { h4 { (title) } (chart.draw()) figcaption { (caption) } } }
}

/// A line over the samples.
fn over_time(outcome: &Outcome, name: Label, of: impl Fn(&Sample) -> Option<f64>) -> Line {
    Line { name, points: outcome.samples.iter().filter_map(|sample| Some((sample.at_s, of(sample)?))).collect() }
}

fn people(outcome: &Outcome) -> Markup {
    let line = |name, of: fn(&Sample) -> u64| over_time(outcome, name, move |sample| Some(number(of(sample))));
    let mut lines = vec![line(label("등록", "registered"), |sample| sample.registered)];
    lines.push(line(label("소켓", "sockets"), |sample| sample.sockets));
    if outcome.draws_planned > 0 {
        lines.push(line(label("발표된 추첨", "draws announced"), |sample| sample.announced));
    }
    if outcome.samples.iter().any(|sample| sample.errors > 0) {
        lines.push(line(label("오류", "errors"), |sample| sample.errors));
    }
    let chart = Chart { lines: &lines, ..OVER_TIME };
    picture(label("등록과 소켓", "Registrations and sockets"), &chart, label("누계", "running totals"))
}

/// Requests and frames per second: the load, as it was.
fn rates(outcome: &Outcome) -> Markup {
    let lines = [
        over_time(outcome, label("요청", "requests"), |sample| Some(sample.requests_per_s)),
        over_time(outcome, label("프레임", "frames"), |sample| Some(sample.frames_per_s)),
    ];
    let chart = Chart { lines: &lines, units: ("s", "/s"), ..OVER_TIME };
    let caption = label("초마다, 모든 폰과 무대 화면이 받은 만큼", "per second, of all phones and the display");
    picture(label("1초의 요청과 프레임", "Requests and frames per second"), &chart, caption)
}

/// Memory close up, since far below a limit any line is flat; the limit is in words.
fn memory(outcome: &Outcome) -> Markup {
    let Some(server) = &outcome.server else { return html! {} };
    let empty = Level { name: label("빈 서버", "empty server"), at: mib(server.empty.rss), is_limit: false };
    let lines = [
        over_time(outcome, label("RSS", "RSS"), |sample| Some(mib(sample.server?.rss))),
        over_time(outcome, label("PSS", "PSS"), |sample| Some(mib(sample.server?.pss))),
    ];
    let chart = Chart { lines: &lines, levels: &[empty], y_axis: Axis::CloseUp, units: ("s", "MB"), ..OVER_TIME };
    let caption = label(
        "점선은 아무도 오기 전의 서버. 한계는 512 MB",
        "the dotted line is the server before the first client; the limit is 512 MB",
    );
    picture(label("서버의 메모리", "The server's memory"), &chart, caption)
}

/// CPU close up, and as burst credit.
fn cpu(outcome: &Outcome) -> Markup {
    if outcome.server.is_none() {
        return html! {};
    }
    let percent = outcome.cpu_usage().into_iter().map(|(at_s, _, busy)| (at_s, 100.0 * busy / vcpus()));
    let lines = [Line { name: label("CPU", "CPU"), points: percent.collect() }];
    let name = label("$5의 기준선: 코어 하나의 10 %", "$5 baseline: 10 % of one core");
    let baseline = Level { name, at: BASELINE_CORES / vcpus() * 100.0, is_limit: false };
    let chart = Chart { lines: &lines, levels: &[baseline], units: ("s", "%"), ..OVER_TIME };
    let caption = label(
        "모든 vCPU에 대한 비율. 기준선 위에서는 버스트 크레딧을 쓰고, 한계는 70 %",
        "of all vCPUs; above the baseline burst credit is spent; the limit is 70 %",
    );
    html! {
        (picture(label("서버의 CPU", "The server's CPU"), &chart, caption))
        (burst(outcome))
    }
}

/// Burst that a $5 instance would have spent so far, below what it earns in an hour at rest.
fn burst(outcome: &Outcome) -> Markup {
    let mut points = vec![(0.0, 0.0)];
    let mut spent = 0.0;
    for (at_s, length_s, busy) in outcome.cpu_usage() {
        spent += (busy - BASELINE_CORES).max(0.0) * length_s / 60.0;
        points.push((at_s, spent));
    }
    let lines = [Line { name: label("버스트", "burst"), points }];
    let name = label("한 시간 쉬고 얻는 크레딧", "credit of an hour at rest");
    let credit = Level { name, at: BASELINE_CORES * 60.0 * HOURS_AT_REST, is_limit: true };
    let chart = Chart { lines: &lines, levels: &[credit], units: ("s", "vCPU-min"), ..OVER_TIME };
    let caption = label("기준선 위에서 쓴 vCPU-분의 누계", "vCPU-minutes above the baseline, running total");
    picture(label("$5 서버가 쓴 버스트", "Burst spent by a $5 box"), &chart, caption)
}

fn deliveries(outcome: &Outcome) -> Markup {
    let cells = &outcome.gaps.cells;
    let (due, lost): (u64, u64) = (cells.iter().map(|cell| cell.due).sum(), cells.iter().map(|cell| cell.lost).sum());
    if due == 0 {
        return html! {};
    }
    let class = if lost == 0 { "good" } else { "missed" };
    let (lost, due) = (count(lost), count(due));
    let total = both(format!("{due}개 중 {lost}개 잃음"), format!("{lost} lost of {due}"));
    let caption = label(
        "초록: 들었음 · 노랑에서 주황으로: 알림이 0.1초, 0.5초, 1초보다 늦음 · 붉은 점: 오지 않은 프레임 하나라도 있음 · 회색: 들을 것이 없던 폰. 맨 아래 줄은 무대 화면입니다. 점은 폰이 아무리 많아도 작아지지 않습니다.",
        "Green: received. Yellow to orange: an announcement more than 0.1 s, 0.5 s and 1 s late. A red dot: at least one lost frame. Grey: no frame was due to that phone. The last row is the display. A dot has the same size for any number of phones.",
    );
    html! {
        h3 { (label("누가 무엇을 들었나: 추첨 × 폰", "Deliveries: draws × phones")) }
        p { (badge(class, total)) }
        figure.matrix { (matrix::draw(&outcome.gaps, &outcome.lost)) figcaption { (caption) } }
    }
}

/// Response times as cumulative distributions, with the slowest drawn out.
fn distribution(outcome: &Outcome) -> Markup {
    let named = outcome
        .histograms
        .iter()
        .filter(|(name, histogram)| !name.starts_with(BASELINE) && **name != API && histogram.len() >= CURVE_MIN);
    let line = |(name, histogram): (&&str, &Histogram<u64>)| {
        let steps = histogram.iter_quantiles(4).map(|step| (ms(step.value_iterated_to()), step.quantile()));
        Some(Line { name: Wait::label_of(name)?, points: [(ms(histogram.min_nz()), 0.0)].into_iter().chain(steps).collect() })
    };
    let lines: Vec<Line> = named.filter_map(line).collect();
    if lines.is_empty() {
        return html! {};
    }
    let chart = Chart { lines: &lines, x_axis: Axis::Log10, y_axis: Axis::Nines, units: ("ms", "%"), ..OVER_TIME };
    let caption =
        label("가로는 열 배씩, 세로는 마지막 1 %가 넓게 보이도록", "powers of ten across; the last percent is stretched upwards");
    picture(label("응답 시간의 분포 (CDF)", "Response times, cumulative (CDF)"), &chart, caption)
}

fn spread(outcome: &Outcome) -> Markup {
    let spreads = outcome.draws.iter().filter_map(|draw| Some((f64::from(draw.draw_id), draw.spread_ms?)));
    let spreads: Vec<(f64, f64)> = spreads.collect();
    if spreads.is_empty() {
        return html! {};
    }
    let chart = Chart { bars: &spreads, x_axis: Axis::Linear, units: ("", "ms"), ..OVER_TIME };
    let title = label("추첨마다 첫 폰과 마지막 폰 사이", "First phone to last phone, by draw");
    picture(title, &chart, label("작을수록 모두가 함께 압니다", "the smaller, the closer together phones receive it"))
}

/// Median, p90 and p99 over time, of each kind of wait.
fn curves(outcome: &Outcome) -> Markup {
    html! { @for (name, intervals) in &outcome.curves { (curve(outcome, name, intervals)) } }
}

fn curve(outcome: &Outcome, name: &str, intervals: &[Interval]) -> Markup {
    let waits: u64 = intervals.iter().map(|interval| interval.count).sum();
    let Some(label_of_wait) = Wait::label_of(name).filter(|_| waits >= CURVE_MIN) else { return html! {} };
    // x, p50, p90, p99
    let mut points: Vec<(f64, f64, f64, f64)> = Vec::new();
    let mut until_s = f64::INFINITY;
    for interval in intervals {
        let at_s = f64::midpoint(interval.from_s, interval.to_s);
        // Nothing is known between two intervals without a wait.
        if interval.from_s > until_s {
            points.push((at_s, f64::NAN, f64::NAN, f64::NAN));
        }
        until_s = interval.to_s;
        points.push((at_s, interval.p50_ms, interval.p90_ms, interval.p99_ms));
    }
    let lines = [
        Line { name: label("p50", "p50"), points: points.iter().map(|(x, p50, ..)| (*x, *p50)).collect() },
        Line { name: label("p99", "p99"), points: points.iter().map(|(x, .., p99)| (*x, *p99)).collect() },
    ];
    let band: Vec<_> = points.iter().map(|(x, p50, p90, _)| (*x, *p50, *p90)).collect();
    let chart = Chart { lines: &lines, band: &band, x_end: outcome.lasted_s, units: ("s", "ms"), ..OVER_TIME };
    let each = figure(intervals.first().map_or(0.0, |interval| interval.to_s - interval.from_s));
    let caption = both(format!("{each} 초마다"), format!("in steps of {each} s"));
    picture(html! { (label_of_wait) " " code { (name) } }, &chart, caption)
}
