//! How often each route was asked, what it answered, and how long that took.
//!
//! One row a route, made at the start: a request costs three additions and no lock, and nobody who asks for made-up paths can make the table grow.

use crate::api::routes::ROUTES;
use crate::base::histogram::Histogram;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Upper bounds of an answer's time, in microseconds. Two of them are what the load test judges by: 500 ms and 1 s.
const ANSWER_US: [u64; 11] = [250, 500, 1_000, 2_500, 5_000, 10_000, 50_000, 100_000, 500_000, 1_000_000, 30_000_000];

/// The status codes that are told apart; any other counts under the last, which is none.
pub const CODES: [u16; 20] = [101, 200, 201, 204, 304, 307, 400, 401, 403, 404, 405, 408, 409, 413, 421, 422, 429, 500, 503, 0];

/// The table. Written by the workers; relaxed, since the figures are for looking at.
#[derive(Debug)]
pub struct RequestMetrics {
    rows: Vec<Row>,
}

/// What one route has answered.
#[derive(Debug)]
pub struct Row {
    /// The route's method and pattern; `-` for requests that no route fits.
    pub method: &'static str,
    pub pattern: &'static str,
    codes: [AtomicU64; CODES.len()],
    /// Microseconds from the head to the answer. A long-poll's wait is part of it.
    pub answer_us: Histogram<11>,
}

impl Default for RequestMetrics {
    fn default() -> Self {
        let rows = ROUTES.iter().map(|route| Row::new(route.method.as_str(), route.pattern));
        Self { rows: rows.chain([Row::new("-", "-")]).collect() }
    }
}

impl RequestMetrics {
    /// Notes an answer of the route at `place` in the table of routes; none: no route fitted.
    pub fn note(&self, place: Option<usize>, status: u16, took: Duration) {
        let row = &self.rows[place.unwrap_or(ROUTES.len())];
        let code = CODES.iter().position(|code| *code == status).unwrap_or(CODES.len() - 1);
        row.codes[code].fetch_add(1, Relaxed);
        row.answer_us.record(took.as_micros() as u64);
    }

    /// The rows of routes that were asked.
    pub fn asked(&self) -> impl Iterator<Item = &Row> + Clone {
        self.rows.iter().filter(|row| row.codes().next().is_some())
    }
}

impl Row {
    fn new(method: &'static str, pattern: &'static str) -> Self {
        Self { method, pattern, codes: Default::default(), answer_us: Histogram::new(&ANSWER_US) }
    }

    /// The status codes that it has answered, with how often.
    pub fn codes(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        let counts = CODES.iter().zip(&self.codes).map(|(code, count)| (*code, count.load(Relaxed)));
        counts.filter(|(_, count)| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_for_its_route_and_its_code() {
        let traffic = RequestMetrics::default();
        traffic.note(Some(0), 200, Duration::from_millis(3));
        traffic.note(Some(0), 418, Duration::from_millis(3));
        traffic.note(None, 404, Duration::ZERO);
        let asked: Vec<_> = traffic.asked().map(|row| (row.pattern, row.codes().collect::<Vec<_>>())).collect();
        assert_eq!(asked, [(ROUTES[0].pattern, vec![(200, 1), (0, 1)]), ("-", vec![(404, 1)])]);
    }
}
