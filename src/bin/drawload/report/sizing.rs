//! The sizing for the page and for the terminal: the plan's table 5.2 beside what was measured.
//!
//! Assumptions are listed beside the measurements, so that no reader takes one for the other.

use super::labels::{both, count, figure, maybe, row, table};
use crate::measure::{Label, label, labels};
use crate::run::sizing::{CPU_MAX, EXTRAPOLATION_MAX, HOURS_AT_REST, InstanceFit, KERNEL_KIB, Limit, SYSTEM_MB, Sizing, WhyNot};
use maud::{Markup, html};
use std::fmt::{self, Write};

fn limit(limit: Limit) -> Label {
    match limit {
        Limit::Memory => label("메모리", "memory"),
        Limit::Burst => label("버스트 크레딧", "burst credit"),
        Limit::Cpu => label("CPU 70 %", "CPU 70 %"),
        Limit::Extrapolation => label("–", "–"),
    }
}

fn why_not(why: WhyNot) -> Label {
    match why {
        WhyNot::TimeScaled => label(
            "계획의 시간을 줄이거나 늘려서, 서버가 1초에 할 일도 달라졌습니다 (--time-scale)",
            "the plan's time was scaled, and so was the server's work per second (--time-scale)",
        ),
        WhyNot::NotPassed => label("통과하지 못했습니다", "the run did not pass"),
        WhyNot::NotMeasured => label(
            "소켓이 열려 있는 동안 서버 프로세스를 재지 않았습니다 (--pid)",
            "the server's process was not measured while it held sockets (--pid)",
        ),
        WhyNot::TooFewPeople => label(
            "사람이 너무 적어 한 명의 비용을 알 수 없습니다 (50명부터)",
            "too few people to measure the cost of one (50 are needed)",
        ),
    }
}

/// People that an instance carries; a lower bound where the run cannot show more.
fn people(fit: &InstanceFit) -> String {
    let more = if fit.limit == Limit::Extrapolation { "≥ " } else { "" };
    format!("{more}{}", count(fit.people))
}

/// A section of the page.
pub fn section(sizing: &Sizing) -> Markup {
    html! {
        section.card {
            h2 { (label("어떤 서버가 몇 명에게 맞는가", "Which box for how many people")) }
            @if let Some(why) = sizing.why_not {
                p.note { (label("이번 실행으로는 권하지 않습니다:", "No advice from this run:")) " " (why_not(why)) "." }
            } @else {
                p { (smallest(sizing)) }
                (instances(sizing))
                (costs(sizing))
                p.note { (assumptions()) }
            }
        }
    }
}

fn smallest(sizing: &Sizing) -> Markup {
    let people = count(sizing.people);
    let Some(price) = sizing.smallest else {
        return html! { (label("이 인원에 맞는 서버가 표에 없습니다.", "No box of this table is enough for that many.")) };
    };
    both(
        html! { b { (people) "명" } "에게는 Lightsail " b { (price) } "로 충분합니다." },
        html! { "For " b { (people) " people" } " the " b { (price) } " Lightsail box is enough." },
    )
}

fn assumptions() -> Markup {
    let cpu = CPU_MAX * 100.0;
    let ko = format!(
        "가정: 시스템에 {SYSTEM_MB} MB를 남기고, 소켓마다 커널이 {KERNEL_KIB} KiB를 더 쓰고, 서버는 시작 전 {HOURS_AT_REST}시간 쉬어 그만큼의 \
         버스트만 모았으며, 최악의 10초가 모든 vCPU의 {cpu} %를 넘지 않아야 하고, 참석 인원의 {EXTRAPOLATION_MAX}배까지만 말합니다. vCPU 하나가 이 \
         기계의 코어만큼 빠르다고 봅니다. Lightsail에서 잰 것은 아닙니다. 갓 시작한 서버여야 한 명당 메모리가 맞습니다. 계획의 표는 인원/경품 수와 메모리입니다."
    );
    let en = format!(
        "Assumed: {SYSTEM_MB} MB for the system; {KERNEL_KIB} KiB per socket in the kernel; burst credit of {HOURS_AT_REST} h at rest and \
         no more; at most {cpu} % of all vCPUs in the worst ten seconds; at most {EXTRAPOLATION_MAX} times the people of the run. A vCPU is \
         assumed to be as fast as a core of this machine; nothing was measured on Lightsail. Memory per person is correct for a server that was \
         started for the run. The plan's table names people/prizes and memory."
    );
    both(ko, en)
}

fn instances(sizing: &Sizing) -> Markup {
    let columns = labels![
        "월 요금" "per month", "메모리" "memory", "vCPU × 기준" "vCPU × baseline", "전송량" "transfer",
        "계획의 표 5.2" "the plan's table 5.2", "잰 결과" "as measured", "메모리로" "by memory", "버스트로" "by burst",
        "CPU로" "by CPU", "먼저 닿는 한계" "first limit"
    ];
    let rows = sizing.fits.iter().map(|fit| {
        let instance = &fit.instance;
        html! {
            tr.own[Some(instance.price) == sizing.smallest] {
                td { (instance.price) }
                td { (count(instance.memory_mb)) " MB" }
                td { (instance.vcpus) " × " (instance.baseline_percent) " %" }
                td { (instance.transfer_tb) " TB" }
                td { (instance.plan_says.unwrap_or("–")) }
                td { b { (people(fit)) } }
                @for limit in [fit.by_memory, fit.by_burst, fit.by_cpu] { td { (count(limit)) } }
                td { (limit(fit.limit)) }
            }
        }
    });
    table(columns, rows)
}

/// The cost of the people of each scenario.
fn costs(sizing: &Sizing) -> Markup {
    let columns = labels![
        "" "", "인원" "people", "빈 서버" "empty server", "한 명당 메모리" "memory per person",
        "소켓당 메모리" "memory per socket", "CPU 시간" "CPU time", "한 명당 CPU" "CPU per person",
        "최악 10초" "worst 10 s", "$5의 버스트" "burst of $5"
    ];
    let rows = sizing.costs.iter().map(|cost| {
        row![
            cost.scenario.to_uppercase(),
            count(cost.people),
            format!("{} MB", figure(cost.empty_mb)),
            format!("{} KiB", figure(cost.kib_per_person)),
            maybe(cost.kib_per_socket, " KiB"),
            format!("{} s", figure(cost.cpu_s)),
            format!("{} ms", figure(cost.cpu_ms_per_person)),
            maybe(cost.worst_10s_vcpus, " vCPU"),
            format!("{} min", figure(cost.burst_minutes)),
        ]
    });
    html! { h3 { (label("잰 비용", "Measured costs")) } (table(columns, rows)) }
}

/// Writes the same for a terminal.
pub fn write_text(text: &mut String, sizing: &Sizing) -> fmt::Result {
    if let Some(why) = sizing.why_not {
        return writeln!(text, "\nadvice   none: {}", why_not(why).en);
    }
    writeln!(text, "\n== which Lightsail box for how many people")?;
    for cost in &sizing.costs {
        let (scenario, people, kib, cpu_ms) =
            (cost.scenario.to_uppercase(), cost.people, cost.kib_per_person, cost.cpu_ms_per_person);
        write!(text, "cost     {scenario}: {people} people, {kib:.1} KiB and {cpu_ms:.1} CPU-ms each, ")?;
        writeln!(text, "{:.2} vCPU-minutes above the $5 baseline", cost.burst_minutes)?;
    }
    writeln!(
        text,
        "{:<6}{:>8}{:>10}{:>7}{:>19}{:>10}{:>10}{:>10}{:>13}  first limit",
        "box", "memory", "baseline", "TB", "table 5.2", "memory", "burst", "CPU", "as measured"
    )?;
    for fit in &sizing.fits {
        let instance = &fit.instance;
        let baseline = format!("{} x {} %", instance.vcpus, instance.baseline_percent);
        let (plan_says, people) = (instance.plan_says.unwrap_or("-"), people(fit).replace("≥", ">="));
        write!(text, "{:<6}{:>5} MB{baseline:>10}", instance.price, instance.memory_mb)?;
        write!(text, "{:>7}{plan_says:>19}{:>10}{:>10}", instance.transfer_tb, fit.by_memory, fit.by_burst)?;
        writeln!(text, "{:>10}{people:>13}  {}", fit.by_cpu, limit(fit.limit).en)?;
    }
    writeln!(
        text,
        "assumed  {SYSTEM_MB} MB for the system, {KERNEL_KIB} KiB per socket in the kernel, burst credit of {HOURS_AT_REST} h at rest, at most {:.0} % CPU, \
         at most {EXTRAPOLATION_MAX} times the people of the run, a vCPU as fast as a core here, a server started for this run",
        CPU_MAX * 100.0
    )
}
