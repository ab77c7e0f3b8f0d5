//! The pictures of one scenario: which there are, from what they are drawn, and what is said beneath them.

use super::matrix;
use super::svg::{Axis, Chart, Level, Line, OVER_TIME};
use super::words::{Words, figure, wait, words};
use crate::advice::HOURS_AT_REST;
use crate::book::Moment;
use crate::measure::latency::{API, in_ms};
use crate::measure::process::vcpus;
use crate::metric::number;
use crate::outcome::{Outcome, megabytes};
use hdrhistogram::Histogram;
use std::fmt::{self, Write};

/// The plan's limits that are drawn across the pictures.
const MEMORY_MAX_MB: f64 = 512.0;
const CPU_MAX_PERCENT: f64 = 70.0;

/// The baseline of the $5 box in cores: 5 % of each of its two vCPUs.
const BASELINE_CORES: f64 = 0.10;

/// Kinds of wait with fewer than this have no curve.
const CURVE_MIN: u64 = 3;

/// Waits of a server at rest: no curve of them belongs beside those of one at work.
const AT_REST: &str = "baseline.";

/// All of them.
pub fn write(page: &mut String, outcome: &Outcome) -> fmt::Result {
    write!(page, "<h3>{}</h3><div class=\"plots\">", words("시간에 따라", "Over time"))?;
    write_people(page, outcome)?;
    write_server(page, outcome)?;
    write!(page, "</div>")?;
    write_matrix(page, outcome)?;
    write!(page, "<h3>{}</h3><div class=\"plots\">", words("얼마나 빨랐나", "How fast it was"))?;
    write_distribution(page, outcome)?;
    write_spread(page, outcome)?;
    write_curves(page, outcome)?;
    write!(page, "</div>")
}

fn figure_of(page: &mut String, title: &str, picture: &str, said: Words) -> fmt::Result {
    write!(page, "<figure><h4>{title}</h4>{picture}<figcaption>{said}</figcaption></figure>")
}

/// A line over the series.
fn over_time(outcome: &Outcome, name: Words, of: impl Fn(&Moment) -> Option<f64>) -> Line {
    Line { name, points: outcome.series.iter().filter_map(|moment| Some((moment.at_s, of(moment)?))).collect() }
}

fn write_people(page: &mut String, outcome: &Outcome) -> fmt::Result {
    let line = |name, of: fn(&Moment) -> u64| over_time(outcome, name, move |moment| Some(number(of(moment))));
    let mut lines = vec![line(words("등록", "registered"), |moment| moment.registered)];
    lines.push(line(words("소켓", "sockets"), |moment| moment.sockets));
    if outcome.draws_planned > 0 {
        lines.push(line(words("발표된 추첨", "draws announced"), |moment| moment.announced));
    }
    if outcome.series.iter().any(|moment| moment.errors > 0) {
        // The fifth colour is the one of what went wrong.
        lines.push(line(words("오류", "errors"), |moment| moment.errors));
    }
    let picture = Chart { lines: &lines, ..OVER_TIME }.draw();
    figure_of(page, &words("등록과 소켓", "Registrations and sockets").to_string(), &picture, words("누계", "running totals"))
}

/// Memory and CPU, each once below its limits and once by itself: far below a limit a line is flat, however it moves.
fn write_server(page: &mut String, outcome: &Outcome) -> fmt::Result {
    let Some(server) = &outcome.server else { return Ok(()) };
    let empty = Level { name: words("빈 서버", "empty server"), at: megabytes(server.empty.rss), is_limit: false };
    let limit = Level { name: words("512 MB", "512 MB"), at: MEMORY_MAX_MB, is_limit: true };
    let memory = [
        over_time(outcome, words("RSS", "RSS"), |moment| Some(megabytes(moment.server?.rss))),
        over_time(outcome, words("PSS", "PSS"), |moment| Some(megabytes(moment.server?.pss))),
    ];
    let below = Chart { lines: &memory, levels: &[limit], units: ("s", "MB"), ..OVER_TIME }.draw();
    let title = words("메모리와 512 MB", "Memory below 512 MB").to_string();
    figure_of(page, &title, &below, words("서버 프로세스", "the server's process"))?;
    let near = Chart { lines: &memory, levels: &[empty], up: Axis::Near, units: ("s", "MB"), ..OVER_TIME }.draw();
    let title = words("메모리, 가까이", "Memory, close up").to_string();
    figure_of(page, &title, &near, words("점선은 아무도 오기 전의 서버", "the dotted line is the server before anybody came"))?;
    let cpu = [Line { name: words("CPU", "CPU"), points: cpu_percent(outcome) }];
    let baseline = || Level {
        name: words("$5의 기준선: 코어 하나의 10 %", "$5 baseline: 10 % of one core"),
        at: BASELINE_CORES / vcpus() * 100.0,
        is_limit: false,
    };
    let limit = Level { name: words("70 %", "70 %"), at: CPU_MAX_PERCENT, is_limit: true };
    let below = Chart { lines: &cpu, levels: &[limit], units: ("s", "%"), ..OVER_TIME }.draw();
    let title = words("CPU와 70 %", "CPU below 70 %").to_string();
    figure_of(page, &title, &below, words("모든 vCPU에 대한 비율, 표본마다", "of all vCPUs, from sample to sample"))?;
    let near = Chart { lines: &cpu, levels: &[baseline()], units: ("s", "%"), ..OVER_TIME }.draw();
    let title = words("CPU, 가까이", "CPU, close up").to_string();
    figure_of(page, &title, &near, words("기준선 위에서는 버스트 크레딧을 씁니다", "above the baseline burst credit is spent"))?;
    write_burst(page, outcome)
}

/// What a $5 box would have spent so far of what it earns in an hour at rest.
fn write_burst(page: &mut String, outcome: &Outcome) -> fmt::Result {
    let (mut spent, mut before_s) = (0.0, 0.0);
    let mut points = vec![(0.0, 0.0)];
    for (at_s, percent) in cpu_percent(outcome) {
        let busy = percent / 100.0 * vcpus();
        spent += (busy - BASELINE_CORES).max(0.0) * (at_s - before_s) / 60.0;
        before_s = at_s;
        points.push((at_s, spent));
    }
    let lines = [Line { name: words("버스트", "burst"), points }];
    let credit = Level {
        name: words("한 시간 쉬고 얻는 크레딧", "credit of an hour at rest"),
        at: BASELINE_CORES * 60.0 * HOURS_AT_REST,
        is_limit: true,
    };
    let picture = Chart { lines: &lines, levels: &[credit], units: ("s", "vCPU-min"), ..OVER_TIME }.draw();
    let title = words("$5 서버가 쓴 버스트", "Burst spent by a $5 box").to_string();
    figure_of(page, &title, &picture, words("기준선 위에서 쓴 vCPU-분의 누계", "vCPU-minutes above the baseline, running total"))
}

/// Between each two lines of the series, in percent of all vCPUs.
fn cpu_percent(outcome: &Outcome) -> Vec<(f64, f64)> {
    let used = |two: &[Moment]| {
        let (from, to) = (&two[0], &two[1]);
        let busy = (to.server?.cpu_s - from.server?.cpu_s) / (to.at_s - from.at_s);
        (busy.is_finite() && busy >= 0.0).then_some((to.at_s, 100.0 * busy / vcpus()))
    };
    outcome.series.windows(2).filter_map(used).collect()
}

fn write_matrix(page: &mut String, outcome: &Outcome) -> fmt::Result {
    if outcome.gaps.cells.iter().all(|cell| cell.owed == 0) {
        return Ok(());
    }
    let lost: u64 = outcome.gaps.cells.iter().map(|cell| cell.lost).sum();
    let owed: u64 = outcome.gaps.cells.iter().map(|cell| cell.owed).sum();
    write!(page, "<h3>{}</h3>", words("누가 무엇을 들었나: 추첨 × 폰", "Who heard what: draws × phones"))?;
    let (lost, owed) = (figure(number(lost)), figure(number(owed)));
    let class = if lost == "0" { "good" } else { "missed" };
    write!(
        page,
        "<p><span class=\"badge {class}\"><span class=\"ko\">{owed}개 중 {lost}개 잃음</span><span class=\"en\" lang=\"en\">{lost} lost of {owed}</span></span></p>"
    )?;
    let said = words(
        "초록: 들었음 · 붉은 점: 오지 않은 프레임 하나라도 있음 · 회색: 들을 것이 없던 폰. 맨 아래 줄은 무대 화면입니다. 점은 폰이 아무리 많아도 작아지지 않습니다.",
        "Green: heard. A red dot: at least one frame never came. Grey: nothing was owed to that phone. The last row is the display. A dot does not shrink, however many phones there are.",
    );
    write!(
        page,
        "<figure class=\"matrix\">{}<figcaption>{said}</figcaption></figure>",
        matrix::draw(&outcome.gaps, &outcome.lost)
    )
}

/// Response times as cumulative distributions, the slowest ones drawn out.
fn write_distribution(page: &mut String, outcome: &Outcome) -> fmt::Result {
    let told = |name: &str| !name.starts_with(AT_REST) && name != API;
    let named = outcome.histograms.iter().filter(|(name, histogram)| told(name) && histogram.len() >= CURVE_MIN);
    let lines: Vec<Line> =
        named.filter_map(|(name, histogram)| Some(Line { name: wait(name)?, points: cumulative(histogram) })).collect();
    if lines.is_empty() {
        return Ok(());
    }
    let picture = Chart { lines: &lines, across: Axis::Powers, up: Axis::Nines, units: ("ms", "%"), ..OVER_TIME }.draw();
    let title = words("응답 시간의 분포 (CDF)", "Response times, cumulative (CDF)").to_string();
    figure_of(
        page,
        &title,
        &picture,
        words("가로는 열 배씩, 세로는 마지막 1 %가 넓게 보이도록", "powers of ten across; upwards the last percent is drawn out"),
    )
}

fn cumulative(histogram: &Histogram<u64>) -> Vec<(f64, f64)> {
    let mut points = vec![(in_ms(histogram.min_nz()), 0.0)];
    points.extend(histogram.iter_quantiles(4).map(|step| (in_ms(step.value_iterated_to()), step.quantile())));
    points
}

fn write_spread(page: &mut String, outcome: &Outcome) -> fmt::Result {
    let spreads = outcome.draws.iter().filter_map(|draw| Some((f64::from(draw.draw_id), draw.spread_ms?)));
    let spreads: Vec<(f64, f64)> = spreads.collect();
    if spreads.is_empty() {
        return Ok(());
    }
    let picture = Chart { bars: &spreads, across: Axis::Even, units: ("", "ms"), ..OVER_TIME }.draw();
    let title = words("추첨마다 첫 폰과 마지막 폰 사이", "First phone to last phone, by draw").to_string();
    figure_of(page, &title, &picture, words("작을수록 모두가 함께 압니다", "the smaller, the more everybody learns at once"))
}

/// For each kind of wait its median, most and slowest, over time.
fn write_curves(page: &mut String, outcome: &Outcome) -> fmt::Result {
    for (name, curve) in &outcome.curves {
        let Some(words_of) = wait(name).filter(|_| curve.iter().map(|slice| slice.count).sum::<u64>() >= CURVE_MIN) else {
            continue;
        };
        let (mut band, mut median, mut slowest) = (Vec::new(), Vec::new(), Vec::new());
        let mut until_s = 0.0;
        for slice in curve {
            let at_s = f64::midpoint(slice.from_s, slice.to_s);
            // Between two intervals in which nothing was waited for, nothing is known.
            if slice.from_s > until_s && !band.is_empty() {
                band.push((at_s, f64::NAN, f64::NAN));
                median.push((at_s, f64::NAN));
                slowest.push((at_s, f64::NAN));
            }
            until_s = slice.to_s;
            band.push((at_s, slice.p50_ms, slice.p90_ms));
            median.push((at_s, slice.p50_ms));
            slowest.push((at_s, slice.p99_ms));
        }
        let lines = [Line { name: words("p50", "p50"), points: median }, Line { name: words("p99", "p99"), points: slowest }];
        let picture = Chart { lines: &lines, band: &band, until: outcome.lasted_s, units: ("s", "ms"), ..OVER_TIME }.draw();
        let each = curve.first().map_or(0.0, |slice| slice.to_s - slice.from_s);
        let title = format!("{words_of} <code>{name}</code>");
        write!(page, "<figure><h4>{title}</h4>{picture}<figcaption>")?;
        write!(
            page,
            "<span class=\"ko\">{} 초마다</span><span class=\"en\" lang=\"en\">in steps of {} s</span>",
            figure(each),
            figure(each)
        )?;
        write!(page, "</figcaption></figure>")?;
    }
    Ok(())
}
