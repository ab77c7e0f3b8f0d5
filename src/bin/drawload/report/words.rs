//! What the page says, in Korean and English, and how it writes numbers.
//!
//! Both languages stand in the page and a style shows one of them, so that the switch needs no script. A metric that is not named here is called by its id.

use crate::verdict::{Grade, Verdict};
use std::fmt;

/// The same words in both languages. They are part of the page's source and need no escaping.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Words {
    pub ko: &'static str,
    pub en: &'static str,
}

pub const fn words(ko: &'static str, en: &'static str) -> Words {
    Words { ko, en }
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ko == self.en {
            return f.write_str(self.ko);
        }
        write!(f, "<span class=\"ko\">{}</span><span class=\"en\" lang=\"en\">{}</span>", self.ko, self.en)
    }
}

/// A verdict's class and its name.
pub fn verdict(verdict: Verdict) -> (&'static str, Words) {
    match verdict {
        Verdict::Pass => ("pass", words("통과", "PASS")),
        Verdict::Void => ("void", words("무효", "VOID")),
        Verdict::Fail => ("fail", words("실패", "FAIL")),
        Verdict::Interrupted => ("interrupted", words("중단", "INTERRUPTED")),
    }
}

/// A grade's class and its name.
pub fn grade(grade: Grade) -> (&'static str, Words) {
    match grade {
        Grade::Good => ("good", words("✓ 충족", "✓ met")),
        Grade::Tolerable => ("tolerable", words("목표 미달 · 허용 범위", "missed · acceptable")),
        Grade::Missed => ("missed", words("✗ 미달", "✗ missed")),
        Grade::Unjudged => ("unjudged", words("판정 안 함", "not judged")),
    }
}

/// What a scenario of the plan is called; the others go by what their plan says they are.
pub fn scenario(name: &str) -> Option<Words> {
    Some(match name {
        "a" => words("등록 폭주", "registration spike"),
        "b" => words("연속 추첨", "draws"),
        "c" => words("복합 행사", "mixed evening"),
        "d" => words("장시간 유지", "idle sockets"),
        "websocket" => words("웹소켓 단독", "sockets alone"),
        "http-registration" => words("HTTP 등록", "registrations over HTTP"),
        "http-draw" => words("HTTP 추첨", "draws over HTTP"),
        "http-mixed" => words("HTTP 복합", "mixed calls over HTTP"),
        "ceiling" => words("한계: 버틴 단계", "ceiling: the step that held"),
        "ceiling-broken" => words("한계: 버티지 못한 단계", "ceiling: the step that did not"),
        _ => return None,
    })
}

/// What a kind of wait is called.
pub fn wait(name: &str) -> Option<Words> {
    Some(match name {
        "api" => words("API 전체", "all API calls"),
        "baseline.connect" => words("기준선: 연결", "baseline: connect"),
        "ws.return" => words("재접속과 따라잡기", "coming back, all caught up"),
        "baseline.tls" => words("기준선: TLS", "baseline: TLS"),
        "baseline.health" => words("기준선: 빈 GET", "baseline: empty GET"),
        "register" => words("등록", "registration"),
        "ws.handshake" => words("소켓 연결", "socket handshake"),
        "ws.ping" => words("소켓 핑", "socket ping"),
        "draw.standby" => words("추첨 준비", "standby"),
        "draw.start" => words("추첨 시작", "start animation"),
        "draw.reveal" => words("당첨 공개", "reveal"),
        "draw.complete" => words("추첨 완료 신호", "draw complete"),
        "draw.delivery" => words("당첨 알림 도착", "announcement to a phone"),
        "draw.spread" => words("첫 폰–마지막 폰 편차", "first to last phone"),
        "draw.reveal_to_last" => words("공개 요청–마지막 폰", "reveal asked to last phone"),
        "results" => words("결과 조회", "results"),
        "check_winner" => words("당첨 확인", "winner check"),
        "winner_info" => words("당첨자 정보 제출", "winner details"),
        _ => return None,
    })
}

/// What a metric of the verdict is called.
pub fn metric(name: &str) -> Option<Words> {
    Some(match name {
        "api.p95" => words("API 응답 95 %", "API response p95"),
        "api.p99" => words("API 응답 99 %", "API response p99"),
        "errors.percent" => words("오류율", "errors"),
        "ws.success.percent" => words("웹소켓 성공률", "WebSocket success"),
        "server.rss_peak_mb" => words("메모리 최대 (RSS)", "memory, peak RSS"),
        "server.cpu_percent" => words("CPU, 최악의 10초", "CPU, worst 10 s"),
        "ws.ungreeted" => words("인사 못 받은 소켓", "sockets never greeted"),
        "draws.unannounced" => words("발표되지 않은 추첨", "draws never announced"),
        "delivery.lost" => words("잃은 프레임", "frames lost"),
        "delivery.doubled" => words("두 번 온 프레임", "frames doubled"),
        "delivery.reordered" => words("순서가 바뀐 프레임", "frames reordered"),
        "delivery.contradicted" => words("서로 다른 내용", "frames that contradict"),
        "ws.slow_kept" => words("느린 소켓을 끊지 않음", "slow sockets kept"),
        "storm.absent" => words("돌아오지 못한 소켓", "sockets that never came back"),
        "delivery.strange" => words("있을 수 없는 프레임", "frames that cannot be"),
        "winners.repeated" => words("중복 당첨", "winners repeated"),
        "winners.wrong" => words("기록과 다른 당첨", "winners not as recorded"),
        "history.missing" => words("기록에 없는 추첨", "draws not in the history"),
        "numbers.doubled" => words("중복 번호", "numbers given twice"),
        "numbers.lost" => words("사라진 번호", "numbers acknowledged and lost"),
        "numbers.holes" => words("빠진 번호", "holes among the numbers"),
        "answers.wrong" => words("틀린 조회 답", "public answers that were wrong"),
        _ => return None,
    })
}

/// The unit of a metric, to be put behind its value.
pub fn unit(metric: &str) -> &'static str {
    let count = crate::metric::METRICS.iter().any(|known| known.name == metric);
    match metric.rsplit(['.', '_']).next().unwrap_or_default() {
        "percent" => " %",
        "mb" => " MB",
        "minutes" => " min",
        "s" if count => " s",
        _ if count => "",
        _ => " ms",
    }
}

/// A number as people read it: few digits after the point, thousands apart.
pub fn figure(value: f64) -> String {
    let magnitude = value.abs();
    let text = match () {
        () if magnitude == 0.0 || (magnitude.fract() == 0.0 && magnitude < 1e15) => format!("{value:.0}"),
        () if magnitude < 9.995 => format!("{value:.2}"),
        () if magnitude < 99.95 => format!("{value:.1}"),
        () => format!("{value:.0}"),
    };
    let (sign, digits) = text.strip_prefix('-').map_or(("", &*text), |digits| ("−", digits));
    let (whole, fraction) = digits.split_once('.').map_or((digits, String::new()), |(whole, rest)| (whole, format!(".{rest}")));
    let mut apart = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            apart.push(',');
        }
        apart.push(digit);
    }
    format!("{sign}{apart}{fraction}")
}

/// Text from elsewhere as part of a page.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::latency::{API, Wait};
    use crate::metric::{Held, METRICS, PLAN_TIMES};

    #[test]
    fn every_wait_and_every_standing_criterion_has_a_name_in_both_languages() {
        for name in Wait::ALL.iter().map(|wait| wait.name()).chain([API]) {
            assert!(wait(name).is_some_and(|words| words.ko != words.en), "{name}");
        }
        let judged = METRICS.iter().filter(|metric| metric.held != Held::Told).map(|metric| metric.name);
        for name in judged.chain(PLAN_TIMES.map(|(name, ..)| name)) {
            assert!(metric(name).is_some_and(|words| words.ko != words.en), "{name}");
        }
    }

    #[test]
    fn numbers_are_written_for_people() {
        let written = [0.0, 7.0, 0.456, 12.34, 123.4, 37_200.0, 1_234_567.0, -0.5].map(figure);
        assert_eq!(written, ["0", "7", "0.46", "12.3", "123", "37,200", "1,234,567", "−0.50"]);
        assert_eq!(
            [unit("api.p95"), unit("errors.percent"), unit("delivery.lost"), unit("server.cpu_s")],
            [" ms", " %", "", " s"]
        );
    }
}
