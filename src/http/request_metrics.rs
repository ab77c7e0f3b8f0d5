//! Counts and times of answers, by route.
//!
//! One row per route, made at the start: a request costs three additions and no lock, and requests
//! for made-up paths cannot make the table grow.

use crate::base::histogram::Histogram;
use crate::http::router::Route;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Upper bounds of an answer's time, in microseconds. Two of them are the load test's limits: 500
/// ms and 1 s.
const ANSWER_US: [u64; 11] = [250, 500, 1_000, 2_500, 5_000, 10_000, 50_000, 100_000, 500_000, 1_000_000, 30_000_000];

/// Status codes that are counted apart; any other counts under the last, 0.
pub const CODES: [u16; 20] = [101, 200, 201, 204, 304, 307, 400, 401, 403, 404, 405, 408, 409, 413, 421, 422, 429, 500, 503, 0];

/// The table. Written by the workers with relaxed ordering: nothing is decided by it.
#[derive(Debug)]
pub struct RequestMetrics {
    rows: Vec<RouteMetrics>,
}

/// Answers of one route.
#[derive(Debug)]
pub struct RouteMetrics {
    /// The route's method and pattern; `-` for requests that fit no route.
    pub method: &'static str,
    /// See `method`.
    pub pattern: &'static str,
    codes: [AtomicU64; CODES.len()],
    /// Microseconds from the head to the answer, a long-poll's wait included.
    pub answer_us: Histogram<11>,
}

impl RequestMetrics {
    /// A row per route, and one for requests that fit none.
    pub fn new<A>(routes: &'static [Route<A>]) -> Self {
        let rows = routes.iter().map(|route| RouteMetrics::new(route.method.as_str(), route.pattern));
        Self { rows: rows.chain([RouteMetrics::new("-", "-")]).collect() }
    }

    /// Counts an answer of the route at `index` of the table; `None`: no route fitted.
    pub fn record(&self, index: Option<usize>, status: u16, took: Duration) {
        let row = &self.rows[index.unwrap_or(self.rows.len() - 1)];
        let code = CODES.iter().position(|code| *code == status).unwrap_or(CODES.len() - 1);
        row.codes[code].fetch_add(1, Relaxed);
        row.answer_us.record(took.as_micros() as u64);
    }

    /// Rows with at least one answer.
    pub fn answered(&self) -> impl Iterator<Item = &RouteMetrics> + Clone {
        self.rows.iter().filter(|row| row.codes().next().is_some())
    }
}

impl RouteMetrics {
    fn new(method: &'static str, pattern: &'static str) -> Self {
        Self { method, pattern, codes: Default::default(), answer_us: Histogram::new(&ANSWER_US) }
    }

    /// Status codes that were answered, with their counts.
    pub fn codes(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        let counts = CODES.iter().zip(&self.codes).map(|(code, count)| (*code, count.load(Relaxed)));
        counts.filter(|(_, count)| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::request::RequestContext;
    use crate::http::response::{HttpResult, success};

    async fn answer(_: RequestContext<()>) -> HttpResult {
        success("{}", "fine")
    }

    static ROUTES: &[Route<()>] = crate::routes![Root GET "/a" => answer, Root GET "/b" => answer,];

    #[test]
    fn an_answer_counts_for_its_route_and_its_code() {
        let metrics = RequestMetrics::new(ROUTES);
        metrics.record(Some(0), 200, Duration::from_millis(3));
        metrics.record(Some(0), 418, Duration::from_millis(3));
        metrics.record(None, 404, Duration::ZERO);
        let rows: Vec<_> = metrics.answered().map(|row| (row.pattern, row.codes().collect::<Vec<_>>())).collect();
        assert_eq!(rows, [("/a", vec![(200, 1), (0, 1)]), ("-", vec![(404, 1)])]);
    }
}
