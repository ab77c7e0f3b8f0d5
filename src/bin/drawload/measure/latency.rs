//! Latencies by kind of wait, as HDR histograms in microseconds.
//!
//! Response time counts from the planned time and is judged. Service time counts from the time
//! of sending and is reported beside it: where the two differ, users waited in a queue.

use super::{Label, label, ms};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// The longest recorded time: an hour.
pub const LONGEST_US: u64 = 3_600_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Known once, at the beginning or at the end; it has no curve over time.
    Once,
    OverTime,
    /// An API call of the kind that the plan's criteria mean; also over time.
    Api,
}

/// Declares all waits in one table, so that no list of them can miss one: variant, name in metrics
/// and reports, kind, and label in Korean and English.
macro_rules! waits {
    ($($(#[$doc:meta])* $wait:ident $name:literal $kind:ident $ko:literal $en:literal)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum Wait { $($(#[$doc])* $wait),* }

        impl Wait {
            pub const ALL: &[Wait] = &[$(Wait::$wait),*];

            fn row(self) -> (&'static str, Kind, Label) {
                match self { $(Wait::$wait => ($name, Kind::$kind, label($ko, $en))),* }
            }
        }
    };
}

waits! {
    /// A TCP connection to the idle server.
    Connect "baseline.connect" Once "기준선: 연결" "baseline: connect"
    /// The TLS handshake on it, where the server speaks TLS.
    Tls "baseline.tls" Once "기준선: TLS" "baseline: TLS"
    /// `GET /health` of the idle server.
    Health "baseline.health" Once "기준선: 빈 GET" "baseline: empty GET"
    Register "register" Api "등록" "registration"
    /// From the planned time to the 101.
    Handshake "ws.handshake" OverTime "소켓 연결" "socket handshake"
    /// From the 101 to the first state sync.
    Greeting "ws.greeting" OverTime "소켓 인사" "socket greeting"
    Ping "ws.ping" OverTime "소켓 핑" "socket ping"
    /// From the time at which a phone is due to reconnect after the storm to its state sync, which
    /// follows everything that it missed.
    Return "ws.return" OverTime "재접속과 따라잡기" "reconnect and catch-up"
    Standby "draw.standby" Api "추첨 준비" "standby"
    Start "draw.start" Api "추첨 시작" "start animation"
    Reveal "draw.reveal" Api "당첨 공개" "reveal"
    /// From the display's message to its acknowledgement; without a display, the host's call.
    Complete "draw.complete" OverTime "추첨 완료 신호" "draw complete"
    /// From the display's message to one phone's `winner_announced`.
    Delivery "draw.delivery" OverTime "당첨 알림 도착" "announcement to a phone"
    /// From the first phone's `winner_announced` to the last one's.
    Spread "draw.spread" Once "첫 폰–마지막 폰 편차" "first to last phone"
    /// From the moment that the server planned for every page, by a phone's estimate of the
    /// server's clock, to its `winner_announced`; 0 for one that waits for the moment.
    ShowLate "draw.show.late" OverTime "함께 보기에 늦음" "late for the common moment"
    /// From the first phone that shows the winners to the last one.
    ShowSpread "draw.show.spread" Once "첫 화면–마지막 화면 편차" "first to last phone to show"
    /// From the planned time of the reveal to the last phone.
    RevealToLast "draw.reveal_to_last" Once "공개 요청–마지막 폰" "reveal to last phone"
    /// The question of a page of another origin, before a call of another kind than its own.
    Preflight "cors.preflight" OverTime "CORS 사전 요청" "CORS preflight"
    Results "results" Api "결과 조회" "results"
    CheckWinner "check_winner" Api "당첨 확인" "winner check"
    Details "winner_info" Api "당첨자 정보 제출" "winner details"
}

impl Wait {
    /// Its name in metrics and reports.
    pub fn name(self) -> &'static str {
        self.row().0
    }

    pub fn is_api(self) -> bool {
        self.row().1 == Kind::Api
    }

    pub fn is_over_time(self) -> bool {
        self.row().1 != Kind::Once
    }

    /// The label of a wait, or of all API calls together, by its name.
    pub fn label_of(name: &str) -> Option<Label> {
        let api = (API, label("API 전체", "all API calls"));
        let mut rows = Self::ALL.iter().map(|wait| (wait.name(), wait.row().2)).chain([api]);
        rows.find(|(known, _)| *known == name).map(|(_, label)| label)
    }
}

/// The name of all API calls together.
pub const API: &str = "api";

/// Figures that are reported of a histogram.
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

    pub fn add(&mut self, other: &Self) {
        let same_bounds = "all histograms have the same bounds";
        self.response.add(&other.response).expect(same_bounds);
        self.service.add(&other.service).expect(same_bounds);
    }
}

/// An empty histogram: 3 significant digits up to an hour.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST_US, 3).expect("the bounds are in order")
}

/// A histogram in figures.
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
        let at = |quantile: f64| ms(histogram.value_at_quantile(quantile));
        Self {
            count: histogram.len(),
            p50_ms: at(0.50),
            p90_ms: at(0.90),
            p95_ms: at(0.95),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: ms(histogram.max()),
        }
    }

    /// In the order of [`FIGURES`].
    pub fn values(&self) -> [f64; 6] {
        [self.p50_ms, self.p90_ms, self.p95_ms, self.p99_ms, self.p999_ms, self.max_ms]
    }
}
