//! The view of a running scenario on a terminal: progress, time left over all scenarios, figures,
//! and the matrix of draws and phones as it fills in.
//!
//! No line is longer than 79 characters, so that a terminal of 80 columns needs no wrapping. A
//! bounded part of the ledger is read, once per second.

use crate::measure::delivery_ledger::Announcement;
use crate::measure::recorder::Recorder;
use crate::measure::{number, whole};
use crate::scenario::Scenario;
use std::time::Duration;

/// Cells of the bar, and columns and rows of the matrix.
const BAR: usize = 30;
const COLUMNS: usize = 70;
const ROWS: usize = 6;

/// Marks of a cell: the share of its phones that received the announcement.
const MARKS: [char; 5] = ['·', '░', '▒', '▓', '█'];

/// Missing frames are counted while there are fewer than this.
const FRAMES_COUNTED_MAX: u64 = 500_000;

/// The lines of the view. `later` is the length of the scenarios that follow.
pub fn lines(scenario: &Scenario, phase: &str, recorder: &Recorder, now: Duration, later: Duration) -> Vec<String> {
    let share = (now.as_secs_f64() / scenario.end.as_secs_f64().max(1e-9)).min(1.0);
    let filled = whole(share * number(BAR));
    let bar = "━".repeat(filled) + &"╌".repeat(BAR - filled);
    let left = scenario.end.saturating_sub(now) + later;
    let (name, percent) = (scenario.name.to_uppercase(), share * 100.0);
    let first = format!("{name:.8} {phase:<14}{bar} {percent:3.0} %  {} left", clock_time(left));
    let p95 = recorder.latest_api().map_or("-".to_owned(), |interval| format!("{:.1} ms", interval.p95_ms));
    let ledger = &recorder.ledger;
    let size = ledger.frames.len() as u64 * ledger.socket_count() as u64;
    let missing = (size <= FRAMES_COUNTED_MAX).then(|| ledger.balance(ledger.highest).lost);
    let second = format!(
        "{}/{} users  {} sockets  {}/{} draws  p95 {p95}  {} errors  {} lost",
        recorder.registered(),
        scenario.users,
        recorder.counts.sockets,
        recorder.announced(),
        scenario.draw_count(),
        recorder.counts.errors,
        missing.map_or("?".to_owned(), |missing| missing.to_string()),
    );
    let figures = [first, second].map(|line| line.chars().take(79).collect());
    figures.into_iter().chain(matrix(scenario, recorder)).collect()
}

/// A row per group of phones, a column per group of draws.
fn matrix(scenario: &Scenario, recorder: &Recorder) -> Vec<String> {
    let draws = scenario.draw_count() as usize;
    if draws == 0 || scenario.sockets.is_none() {
        return Vec::new();
    }
    let per_column = draws.div_ceil(COLUMNS);
    let announced: Vec<&Announcement> = recorder.ledger.draws.values().filter(|draw| draw.winners.is_some()).collect();
    let rows = ROWS.min(scenario.users);
    let mark = |row: usize, column: usize| {
        let draws = announced.chunks(per_column).nth(column).unwrap_or_default();
        let received: f64 = draws.iter().map(|draw| recorder.ledger.share_received(draw, row, rows)).sum();
        MARKS[whole(received / number(per_column) * 4.0 + 1e-9).min(4)]
    };
    let line = |row| format!("  {}", (0..draws.div_ceil(per_column)).map(|column| mark(row, column)).collect::<String>());
    (0..rows).map(line).collect()
}

/// Moves over what was drawn before, erases it, and draws the lines.
pub fn redraw(drawn: usize, lines: &[String]) -> String {
    let up = if drawn > 0 { format!("\x1b[{drawn}A") } else { String::new() };
    let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
    format!("\r{up}\x1b[J{lines}")
}

fn clock_time(length: Duration) -> String {
    let seconds = length.as_secs();
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::delivery_ledger::NumberedFrame;
    use crate::scenario::{Size, file};

    #[test]
    fn the_view_fits_80_columns_and_the_matrix_fills_in() {
        let size = Size { users: 20_000, prizes: 9_999, draw_interval_s: 60.0, scale: 1.0, idle_s: 1.0, dead_fraction: 0.0 };
        let scenario = file::planned("c", size).unwrap();
        let view = |recorder: &Recorder| {
            lines(&scenario, "registrations", recorder, Duration::from_secs(100), Duration::from_secs(360_000))
        };
        let mut recorder = Recorder::new(20_000);
        assert!(view(&recorder).len() == 2 + ROWS && view(&recorder)[3].trim().chars().all(|mark| mark == '·'));
        for draw in 1..=143 {
            let seq = u64::from(draw);
            let frame = NumberedFrame {
                kind: "winner_announced",
                seq,
                epoch: "e",
                draw: Some(draw),
                winners: &[1],
                show_us: None,
                text: "t",
            };
            // The first sixth of the phones receives all of them.
            (0..3_300).for_each(|phone| {
                recorder.ledger.sync(phone, 0, "e");
                recorder.ledger.receive(phone, frame, 1);
            });
        }
        let seen = view(&recorder);
        assert!(seen.iter().all(|line| line.chars().count() < 80), "{seen:?}");
        assert!(seen[0].contains("left") && seen[2].starts_with("  ▓··") && seen[3].starts_with("  ···"), "{seen:?}");
    }

    #[test]
    fn a_view_is_drawn_over_the_one_before() {
        let lines = ["a".to_owned(), "b".to_owned()];
        assert_eq!(redraw(0, &lines), "\r\x1b[Ja\nb\n");
        assert_eq!(redraw(2, &lines[..1]), "\r\x1b[2A\x1b[Ja\n");
        assert_eq!([59, 3_700].map(|s| clock_time(Duration::from_secs(s))), ["0:59", "1:01:40"]);
    }
}
