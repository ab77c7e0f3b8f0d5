//! Latencies by what was waited for, as HDR histograms in microseconds.
//!
//! Response time counts from the planned moment and is what is judged; service time, from the moment of sending, stands beside it: where the two part,
//! people waited in a queue.

use hdrhistogram::Histogram;
use serde::Serialize;

/// The longest time that is told apart: an hour.
const LONGEST_US: u64 = 3_600_000_000;

/// What can be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// A TCP connection to the server at rest.
    Connect,
    /// The TLS handshake on it, where the server speaks TLS.
    Tls,
    /// `GET /health` of the server at rest.
    Health,
    Register,
    /// From the planned moment to the 101.
    Handshake,
    Ping,
    /// From the moment at which a phone was to come back after the storm to its greeting, everything it had missed before it.
    Return,
    Standby,
    Start,
    Reveal,
    /// From the display's word to its acknowledgement; where there is no display, the host's call.
    Complete,
    /// From the display's word to one phone's `winner_announced`.
    Delivery,
    /// From the first phone's `winner_announced` to the last one's.
    Spread,
    /// From the moment at which the reveal was to be asked for to the last phone.
    RevealToLast,
    Results,
    CheckWinner,
    Details,
}

impl Wait {
    pub const ALL: [Wait; 17] = [
        Wait::Connect,
        Wait::Tls,
        Wait::Health,
        Wait::Register,
        Wait::Handshake,
        Wait::Ping,
        Wait::Return,
        Wait::Standby,
        Wait::Start,
        Wait::Reveal,
        Wait::Complete,
        Wait::Delivery,
        Wait::Spread,
        Wait::RevealToLast,
        Wait::Results,
        Wait::CheckWinner,
        Wait::Details,
    ];

    /// Its name in metrics and reports.
    pub fn name(self) -> &'static str {
        match self {
            Wait::Connect => "baseline.connect",
            Wait::Tls => "baseline.tls",
            Wait::Health => "baseline.health",
            Wait::Register => "register",
            Wait::Handshake => "ws.handshake",
            Wait::Ping => "ws.ping",
            Wait::Return => "ws.return",
            Wait::Standby => "draw.standby",
            Wait::Start => "draw.start",
            Wait::Reveal => "draw.reveal",
            Wait::Complete => "draw.complete",
            Wait::Delivery => "draw.delivery",
            Wait::Spread => "draw.spread",
            Wait::RevealToLast => "draw.reveal_to_last",
            Wait::Results => "results",
            Wait::CheckWinner => "check_winner",
            Wait::Details => "winner_info",
        }
    }

    /// Whether it is an API call of the kind that the plan's criteria speak of.
    pub fn is_api(self) -> bool {
        use Wait::{CheckWinner, Details, Register, Results, Reveal, Standby, Start};
        matches!(self, Register | Standby | Start | Reveal | Results | CheckWinner | Details)
    }

    /// Whether it is waited for throughout, so that it can be told over time; the rest is known once, at the beginning or the end.
    pub fn is_over_time(self) -> bool {
        !matches!(self, Wait::Connect | Wait::Tls | Wait::Health | Wait::Spread | Wait::RevealToLast)
    }
}

/// The name of all API calls together.
pub const API: &str = "api";

/// Figures that are told of a histogram.
pub const FIGURES: [&str; 6] = ["p50", "p90", "p95", "p99", "p99.9", "max"];

/// Response and service times of one kind of wait.
#[derive(Clone)]
pub struct Latency {
    pub response: Histogram<u64>,
    pub service: Histogram<u64>,
}

impl Latency {
    pub fn new() -> Self {
        Self { response: histogram(), service: histogram() }
    }

    pub fn record(&mut self, response_us: u64, service_us: u64) {
        self.response.saturating_record(response_us.max(1));
        self.service.saturating_record(service_us.max(1));
    }
}

/// An empty histogram: 3 significant digits up to an hour.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST_US, 3).expect("the bounds are in order")
}

/// A histogram in figures, milliseconds.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    pub count: u64,
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p95_ms: f64,
    pub p99_ms: f64,
    pub p999_ms: f64,
    pub max_ms: f64,
}

impl Figures {
    pub fn of(histogram: &Histogram<u64>) -> Self {
        let at = |quantile: f64| in_ms(histogram.value_at_quantile(quantile));
        Self {
            count: histogram.len(),
            p50_ms: at(0.50),
            p90_ms: at(0.90),
            p95_ms: at(0.95),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: in_ms(histogram.max()),
        }
    }

    /// In the order of [`FIGURES`].
    pub fn values(&self) -> [f64; 6] {
        [self.p50_ms, self.p90_ms, self.p95_ms, self.p99_ms, self.p999_ms, self.max_ms]
    }
}

/// Microseconds in milliseconds.
#[expect(clippy::cast_precision_loss, reason = "an hour in microseconds fits 53 bits")]
pub fn in_ms(us: u64) -> f64 {
    us as f64 / 1_000.0
}
