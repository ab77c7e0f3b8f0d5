//! Which Lightsail plan for how many people, from what a run measured.
//!
//! Memory, burst credit and the busiest ten seconds are scaled by the number of people, and the smallest of the three is told. All of it errs to the safe
//! side: whatever the server grew by is charged to the people, the whole of its CPU time as well, and no box is credited with more than
//! ten times the people that were really there. What is assumed and not measured is in constants, and is said wherever the advice is.
//! It must never be given for a run that did not pass, or that was played in other than real time.

use crate::outcome::{Outcome, megabytes};
use crate::verdict::Verdict;
use serde::Serialize;

/// Memory that is not the server's, in MB: the system and what runs beside it. Assumed.
pub const SYSTEM_MB: f64 = 200.0;

/// The kernel's side of an idle socket, in KiB: it is in no process's memory. Assumed.
pub const KERNEL_KIB: f64 = 8.0;

/// Burst credit that a box is taken to have when the evening begins: what it earns in so many hours at rest. Assumed.
pub const HOURS_AT_REST: f64 = 1.0;

/// The plan's target for CPU, of all vCPUs in the worst ten seconds.
pub const CPU_MAX: f64 = 0.70;

/// Nobody is told of more than so many times the people that were there.
pub const EXTRAPOLATION_MAX: f64 = 10.0;

/// Fewer people than this say nothing of what one costs: the server grows in pages and its allocator in larger pieces.
pub const PEOPLE_MIN: usize = 50;

/// A box that can be rented.
struct Rented {
    price: &'static str,
    memory_mb: u32,
    vcpus: u32,
    /// The share of each vCPU that may be used for ever.
    baseline_percent: u32,
    transfer_tb: u32,
    /// What the plan's table 5.2 says of it, as far as it speaks of a box of this price.
    plan_says: Option<&'static str>,
}

/// Lightsail's prices a month. The plan's lines are those for $5, $10-12 and $20; its last one, $40 for 1,000 people, has no box here.
const RENTED: [Rented; 4] = [
    Rented { price: "$5", memory_mb: 512, vcpus: 2, baseline_percent: 5, transfer_tb: 1, plan_says: Some("100") },
    Rented { price: "$7", memory_mb: 1_024, vcpus: 2, baseline_percent: 10, transfer_tb: 2, plan_says: None },
    Rented { price: "$12", memory_mb: 2_048, vcpus: 2, baseline_percent: 20, transfer_tb: 3, plan_says: Some("300 ($10-12)") },
    Rented { price: "$24", memory_mb: 4_096, vcpus: 2, baseline_percent: 20, transfer_tb: 4, plan_says: Some("500 ($20)") },
];

/// The advice, or why there is none.
#[derive(Clone, Debug, Serialize)]
pub struct Advice {
    pub why_not: Option<WhyNot>,
    /// The price of the smallest box for as many people as were there.
    pub smallest: Option<&'static str>,
    pub people: usize,
    pub costs: Vec<Cost>,
    pub boxes: Vec<Fit>,
}

/// Why a run says nothing of boxes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhyNot {
    /// With the plan's time, what the server had to do in each second was scaled.
    TimeScaled,
    NotPassed,
    /// Nobody looked at the server's process while it held sockets.
    NotMeasured,
    /// Fewer than [`PEOPLE_MIN`].
    TooFewPeople,
}

/// What the people of one scenario cost the server.
#[derive(Clone, Debug, Serialize)]
pub struct Cost {
    pub scenario: String,
    pub people: usize,
    pub empty_mb: f64,
    /// What the server grew by from its emptiest to its peak, for each of them.
    pub kib_a_person: f64,
    /// What it grew by from the last moment without sockets to the first with all of them, for each socket; none where that was not seen.
    pub kib_a_socket: Option<f64>,
    pub cpu_s: f64,
    pub cpu_ms_a_person: f64,
    /// The busiest ten seconds, in vCPUs.
    pub worst_10s_vcpus: Option<f64>,
    /// vCPU-minutes above the baseline of the $5 box.
    pub burst_minutes: f64,
}

/// How many people a box is for, and by what.
#[derive(Clone, Debug, Serialize)]
pub struct Fit {
    pub price: &'static str,
    pub memory_mb: u32,
    pub vcpus: u32,
    pub baseline_percent: u32,
    pub transfer_tb: u32,
    pub plan_says: Option<&'static str>,
    pub by_memory: u64,
    pub by_burst: u64,
    pub by_cpu: u64,
    pub people: u64,
    pub limit: Limit,
}

/// What a box runs out of first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Limit {
    Memory,
    Burst,
    Cpu,
    /// Nothing, as far as this run can tell.
    Extrapolation,
}

impl Advice {
    /// From all scenarios of a run that held sockets.
    pub fn of(scenarios: &[Outcome], time_scale: f64) -> Self {
        // A server keeps what it once grew to: the first scenario found it emptier than those that came after.
        let empty_mb = scenarios.iter().filter_map(|outcome| outcome.server.as_ref()).map(|server| megabytes(server.empty.rss));
        let empty_mb = empty_mb.fold(f64::INFINITY, f64::min);
        let observed: Vec<Observed> = scenarios.iter().filter_map(|outcome| Observed::of(outcome, empty_mb)).collect();
        let people = observed.iter().map(|observed| observed.cost.people).max().unwrap_or(0);
        let why_not = if time_scale != 1.0 {
            Some(WhyNot::TimeScaled)
        } else if scenarios.iter().any(|outcome| outcome.verdict != Verdict::Pass) {
            Some(WhyNot::NotPassed)
        } else if observed.is_empty() {
            Some(WhyNot::NotMeasured)
        } else if people < PEOPLE_MIN {
            Some(WhyNot::TooFewPeople)
        } else {
            None
        };
        if why_not.is_some() {
            return Self { why_not, smallest: None, people, costs: Vec::new(), boxes: Vec::new() };
        }
        let boxes: Vec<Fit> = RENTED.iter().map(|rented| rented.fit(&observed, people)).collect();
        let smallest = boxes.iter().find(|fit| fit.people >= people as u64).map(|fit| fit.price);
        Self { why_not, smallest, people, costs: observed.into_iter().map(|observed| observed.cost).collect(), boxes }
    }
}

/// What one scenario shows of the server.
struct Observed {
    cost: Cost,
    /// How long, and how many vCPUs were busy meanwhile.
    usage: Vec<(f64, f64)>,
}

impl Observed {
    fn of(outcome: &Outcome, empty_mb: f64) -> Option<Self> {
        let server = outcome.server.as_ref()?;
        let sockets = outcome.series.iter().map(|moment| moment.sockets).max().filter(|most| *most > 0)?;
        let people = outcome.users;
        let usage: Vec<(f64, f64)> = outcome
            .series
            .windows(2)
            .filter_map(|two| {
                let length_s = two[1].at_s - two[0].at_s;
                let used_s = two[1].server?.cpu_s - two[0].server?.cpu_s;
                (length_s > 0.0).then(|| (length_s, (used_s / length_s).max(0.0)))
            })
            .collect();
        let cost = Cost {
            scenario: outcome.scenario.to_string(),
            people,
            empty_mb,
            kib_a_person: ((server.rss_peak_mb - empty_mb) * 1_024.0 / count(people)).max(0.0),
            kib_a_socket: kib_a_socket(outcome, sockets),
            cpu_s: server.cpu_s,
            cpu_ms_a_person: server.cpu_s * 1_000.0 / count(people),
            worst_10s_vcpus: server.cpu_worst_10s_percent.map(|percent| percent / 100.0 * crate::measure::process::vcpus()),
            burst_minutes: burst_minutes(&usage, 1.0, RENTED[0].baseline_vcpus()),
        };
        Some(Self { cost, usage })
    }
}

impl Rented {
    fn baseline_vcpus(&self) -> f64 {
        f64::from(self.vcpus) * f64::from(self.baseline_percent) / 100.0
    }

    /// Every scenario has to fit.
    fn fit(&self, observed: &[Observed], people: usize) -> Fit {
        let most = count(people) * EXTRAPOLATION_MAX;
        let least = |of: &dyn Fn(&Observed) -> f64| whole(observed.iter().map(of).fold(most, f64::min));
        let by_memory = least(&|seen| {
            let room_kib = (f64::from(self.memory_mb) - SYSTEM_MB - seen.cost.empty_mb) * 1_024.0;
            room_kib / (seen.cost.kib_a_person + KERNEL_KIB)
        });
        let by_cpu = least(&|seen| {
            let allowed = CPU_MAX * f64::from(self.vcpus);
            let worst = seen.cost.worst_10s_vcpus.filter(|worst| *worst > 0.0);
            worst.map_or(most, |worst| count(seen.cost.people) * allowed / worst)
        });
        let by_burst = least(&|seen| self.people_by_burst(seen, most));
        let people = by_memory.min(by_cpu).min(by_burst);
        let limit = match people {
            _ if people >= whole(most) => Limit::Extrapolation,
            _ if people == by_memory => Limit::Memory,
            _ if people == by_burst => Limit::Burst,
            _ => Limit::Cpu,
        };
        let Rented { price, memory_mb, vcpus, baseline_percent, transfer_tb, plan_says } = *self;
        Fit { price, memory_mb, vcpus, baseline_percent, transfer_tb, plan_says, by_memory, by_burst, by_cpu, people, limit }
    }

    /// The most people whose evening spends no more than the credit there is. More people never spend less, so that halving finds them.
    fn people_by_burst(&self, seen: &Observed, most: f64) -> f64 {
        let baseline = self.baseline_vcpus();
        let credit_minutes = baseline * 60.0 * HOURS_AT_REST;
        let (mut enough, mut too_many) = (0.0, most);
        let spends = |people: f64| burst_minutes(&seen.usage, people / count(seen.cost.people), baseline);
        if spends(most) <= credit_minutes {
            return most;
        }
        for _ in 0..40 {
            let middle = f64::midpoint(enough, too_many);
            if spends(middle) <= credit_minutes { enough = middle } else { too_many = middle }
        }
        enough
    }
}

/// vCPU-minutes above a baseline when everything takes `factor` times as much.
fn burst_minutes(usage: &[(f64, f64)], factor: f64, baseline_vcpus: f64) -> f64 {
    usage.iter().map(|(length_s, busy)| (busy * factor - baseline_vcpus).max(0.0) * length_s).sum::<f64>() / 60.0
}

/// Growth between the last moment without a socket and the first with all of them, a socket.
fn kib_a_socket(outcome: &Outcome, sockets: u64) -> Option<f64> {
    let first = outcome.series.iter().position(|moment| moment.sockets > 0)?;
    let before = outcome.series[..first].last()?.server?;
    let with = outcome.series.iter().find(|moment| moment.sockets == sockets)?.server?;
    let grown = megabytes(with.rss) - megabytes(before.rss);
    Some((grown * 1_024.0 / crate::metric::number(sockets)).max(0.0))
}

fn count(people: usize) -> f64 {
    crate::metric::number(people as u64)
}

/// Whole people.
fn whole(people: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most ten times the people of a run")]
    let people = people.max(0.0) as u64;
    people
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that grew so much for 300 people, and was so busy for so long.
    fn observed(empty_mb: f64, kib_a_person: f64, busy: f64, seconds: u32) -> Observed {
        let cost = Cost {
            scenario: "x".into(),
            people: 300,
            empty_mb,
            kib_a_person,
            kib_a_socket: None,
            cpu_s: 0.0,
            cpu_ms_a_person: 0.0,
            worst_10s_vcpus: Some(busy),
            burst_minutes: 0.0,
        };
        Observed { cost, usage: vec![(1.0, busy); seconds as usize] }
    }

    fn fits(observed: &Observed) -> Vec<(u64, Limit)> {
        RENTED.iter().map(|rented| rented.fit(std::slice::from_ref(observed), 300)).map(|fit| (fit.people, fit.limit)).collect()
    }

    #[test]
    fn a_box_is_for_as_many_as_it_has_memory_credit_and_time_for() {
        // 292 MB are left of 512, of 1,024 there are 804.
        let heavy = observed(20.0, 512.0 - KERNEL_KIB, 0.0, 600);
        assert_eq!(fits(&heavy)[..2], [(584, Limit::Memory), (1_608, Limit::Memory)]);
        // 500 s at 0.3 vCPUs for 300 people: with 6 minutes of credit on the $5 box 0.82 vCPUs may be busy so long, by 820 people.
        let busy = observed(20.0, 1.0, 0.3, 500);
        let found = fits(&busy);
        assert!(found[0].0.abs_diff(820) <= 1 && found[0].1 == Limit::Burst, "{found:?}");
        // The larger boxes have more credit, and 1.4 vCPUs for all that.
        assert_eq!(found[1..], [(1_400, Limit::Cpu), (1_400, Limit::Cpu), (1_400, Limit::Cpu)]);
    }

    #[test]
    fn nobody_is_promised_more_than_ten_times_what_was_there() {
        assert_eq!(fits(&observed(20.0, 0.0, 0.0, 600)), [(3_000, Limit::Extrapolation); 4]);
        assert_eq!(fits(&observed(20.0, 1.0, 0.001, 60)), [(3_000, Limit::Extrapolation); 4]);
    }

    #[test]
    fn there_is_no_advice_without_a_measurement_in_real_time() {
        for (scale, why_not) in [(1.0, WhyNot::NotMeasured), (0.5, WhyNot::TimeScaled)] {
            let advice = Advice::of(&[], scale);
            assert!(advice.why_not == Some(why_not) && advice.boxes.is_empty(), "{advice:?}");
        }
    }
}
