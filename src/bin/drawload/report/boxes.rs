//! The advice which box to rent, for the page and for the terminal: the plan's table 5.2 with what was measured beside it.
//!
//! What is assumed stands beside what was measured, so that nobody takes one for the other.

use super::words::{Words, escape, figure, words};
use crate::advice::{Advice, CPU_MAX, EXTRAPOLATION_MAX, Fit, HOURS_AT_REST, KERNEL_KIB, Limit, SYSTEM_MB, WhyNot};
use std::fmt::{self, Write};

/// What a box runs out of first.
fn limit(limit: Limit) -> Words {
    match limit {
        Limit::Memory => words("메모리", "memory"),
        Limit::Burst => words("버스트 크레딧", "burst credit"),
        Limit::Cpu => words("CPU 70 %", "CPU 70 %"),
        Limit::Extrapolation => words("–", "–"),
    }
}

fn why_not(why: WhyNot) -> Words {
    match why {
        WhyNot::TimeScaled => words(
            "계획의 시간을 줄이거나 늘려서, 서버가 1초에 할 일도 달라졌습니다 (--time-scale)",
            "the plan's time was scaled, and so is what the server had to do in each second (--time-scale)",
        ),
        WhyNot::NotPassed => words("통과하지 못했습니다", "the run did not pass"),
        WhyNot::NotMeasured => words(
            "소켓이 열려 있는 동안 서버 프로세스를 재지 않았습니다 (--pid)",
            "the server's process was not measured while it held sockets (--pid)",
        ),
        WhyNot::TooFewPeople => words(
            "사람이 너무 적어 한 명의 비용을 알 수 없습니다 (50명부터)",
            "too few people to tell what one costs (50 are needed)",
        ),
    }
}

/// Whether a box is for more people than this run can speak of.
fn people(fit: &Fit) -> String {
    let more = if fit.limit == Limit::Extrapolation { "≥ " } else { "" };
    format!("{more}{}", figure(crate::metric::number(fit.people)))
}

/// A section of the page.
pub fn write(page: &mut String, advice: &Advice) -> fmt::Result {
    let heading = words("어떤 서버가 몇 명에게 맞는가", "Which box for how many people");
    write!(page, "<section class=\"card\"><h2>{heading}</h2>")?;
    if let Some(why) = advice.why_not {
        let none = words("이번 실행으로는 권하지 않습니다:", "No advice from this run:");
        return write!(page, "<p class=\"note\">{none} {}.</p></section>", why_not(why));
    }
    match advice.smallest {
        Some(price) => write!(
            page,
            "<p><span class=\"ko\"><b>{0}명</b>에게는 Lightsail <b>{price}</b>로 충분합니다.</span>\
             <span class=\"en\" lang=\"en\">For <b>{0} people</b> the <b>{price}</b> Lightsail box is enough.</span></p>",
            figure(crate::metric::number(advice.people as u64))
        )?,
        None => write!(
            page,
            "<p>{}</p>",
            words("이 인원에 맞는 서버가 표에 없습니다.", "No box of this table is enough for that many.")
        )?,
    }
    let columns = [
        words("메모리", "memory"),
        words("vCPU × 기준", "vCPU × baseline"),
        words("전송량", "transfer"),
        words("계획의 표 5.2", "the plan's table 5.2"),
        words("잰 결과", "as measured"),
        words("메모리로", "by memory"),
        words("버스트로", "by burst"),
        words("CPU로", "by CPU"),
        words("먼저 닿는 한계", "runs out of"),
    ];
    write!(page, "<div class=\"scroll\"><table><tr><th>{}", words("월 요금", "a month"))?;
    columns.iter().try_for_each(|column| write!(page, "<th>{column}"))?;
    for fit in &advice.boxes {
        let own = if Some(fit.price) == advice.smallest { " class=\"own\"" } else { "" };
        let count = |people: u64| figure(crate::metric::number(people));
        write!(
            page,
            "<tr{own}><td>{}<td>{} MB<td>{} × {} %",
            fit.price,
            count(fit.memory_mb.into()),
            fit.vcpus,
            fit.baseline_percent
        )?;
        write!(page, "<td>{} TB<td>{}<td><b>{}</b>", fit.transfer_tb, fit.plan_says.unwrap_or("–"), people(fit))?;
        let by = [fit.by_memory, fit.by_burst, fit.by_cpu].map(count);
        write!(page, "<td>{}<td>{}<td>{}<td>{}", by[0], by[1], by[2], limit(fit.limit))?;
    }
    write!(page, "</table></div>")?;
    write_costs(page, advice)?;
    write!(
        page,
        "<p class=\"note\"><span class=\"ko\">가정: 시스템에 {SYSTEM_MB} MB를 남기고, 소켓마다 커널이 {KERNEL_KIB} KiB를 더 쓰고, 서버는 시작 전 {HOURS_AT_REST}시간 쉬어 그만큼의 \
         버스트만 모았으며, 최악의 10초가 모든 vCPU의 {cpu} %를 넘지 않아야 하고, 참석 인원의 {EXTRAPOLATION_MAX}배까지만 말합니다. vCPU 하나가 이 \
         기계의 코어만큼 빠르다고 봅니다. Lightsail에서 잰 것은 아닙니다. 갓 시작한 서버여야 한 명당 메모리가 맞습니다. 계획의 표는 $40에 1,000명까지라고 했습니다.</span>\
         <span class=\"en\" lang=\"en\">Assumed: {SYSTEM_MB} MB for the system; {KERNEL_KIB} KiB a socket in the kernel; burst credit of {HOURS_AT_REST} h at rest and \
         no more; the worst ten seconds keep to {cpu} % of all vCPUs; nothing is said beyond {EXTRAPOLATION_MAX} times the people that were there. A vCPU \
         is taken to be as fast as a core of this machine; none of it was measured on Lightsail. Memory a person is right for a server that was started for the run. The plan's table went on with $40 for 1,000 people.</span></p></section>",
        cpu = CPU_MAX * 100.0
    )
}

/// What a person cost in each scenario.
fn write_costs(page: &mut String, advice: &Advice) -> fmt::Result {
    let columns = [
        words("인원", "people"),
        words("빈 서버", "empty server"),
        words("한 명당 메모리", "memory a person"),
        words("소켓당 메모리", "memory a socket"),
        words("CPU 시간", "CPU time"),
        words("한 명당 CPU", "CPU a person"),
        words("최악 10초", "worst 10 s"),
        words("$5의 버스트", "burst of $5"),
    ];
    write!(page, "<h3>{}</h3><div class=\"scroll\"><table><tr><th>", words("잰 비용", "What was measured"))?;
    columns.iter().try_for_each(|column| write!(page, "<th>{column}"))?;
    for cost in &advice.costs {
        let unit = |value: Option<f64>, unit: &str| value.map_or("–".to_owned(), |value| figure(value) + unit);
        write!(
            page,
            "<tr><td>{}<td>{}",
            escape(&cost.scenario.to_uppercase()),
            figure(crate::metric::number(cost.people as u64))
        )?;
        write!(page, "<td>{} MB<td>{} KiB", figure(cost.empty_mb), figure(cost.kib_a_person))?;
        write!(page, "<td>{}<td>{} s", unit(cost.kib_a_socket, " KiB"), figure(cost.cpu_s))?;
        write!(page, "<td>{} ms<td>{}", figure(cost.cpu_ms_a_person), unit(cost.worst_10s_vcpus, " vCPU"))?;
        write!(page, "<td>{} min", figure(cost.burst_minutes))?;
    }
    write!(page, "</table></div>")
}

/// The same for a terminal.
pub fn write_text(text: &mut String, advice: &Advice) -> fmt::Result {
    if let Some(why) = advice.why_not {
        return writeln!(text, "\nadvice   none: {}", why_not(why).en);
    }
    writeln!(text, "\n== which Lightsail box for how many people")?;
    for cost in &advice.costs {
        writeln!(
            text,
            "cost     {}: {} people, {:.1} KiB and {:.1} CPU-ms each, {:.2} vCPU-minutes above the $5 baseline",
            cost.scenario.to_uppercase(),
            cost.people,
            cost.kib_a_person,
            cost.cpu_ms_a_person,
            cost.burst_minutes
        )?;
    }
    writeln!(
        text,
        "{:<6}{:>8}{:>10}{:>7}{:>16}{:>10}{:>10}{:>10}{:>13}  runs out of",
        "box", "memory", "baseline", "TB", "table 5.2 says", "memory", "burst", "CPU", "as measured"
    )?;
    for fit in &advice.boxes {
        writeln!(
            text,
            "{:<6}{:>5} MB{:>10}{:>7}{:>16}{:>10}{:>10}{:>10}{:>13}  {}",
            fit.price,
            fit.memory_mb,
            format!("{} x {} %", fit.vcpus, fit.baseline_percent),
            fit.transfer_tb,
            fit.plan_says.unwrap_or("-"),
            fit.by_memory,
            fit.by_burst,
            fit.by_cpu,
            people(fit).replace("≥", ">="),
            limit(fit.limit).en
        )?;
    }
    writeln!(
        text,
        "assumed  {SYSTEM_MB} MB for the system, {KERNEL_KIB} KiB a socket in the kernel, burst credit of {HOURS_AT_REST} h at rest, at most {:.0} % CPU, at most {EXTRAPOLATION_MAX} times the people \
         that were there, a vCPU as fast as a core here, a server started for this run",
        CPU_MAX * 100.0
    )
}
