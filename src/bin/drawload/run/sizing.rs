//! Which Lightsail instance carries how many people, from what a run measured.
//!
//! Memory, burst credit and the busiest ten seconds scale with the number of people, and the
//! smallest of the three is reported. All of it errs on the safe side: everything the server grew
//! by and all of its CPU time is charged to the people, and no instance is credited with more than
//! ten times the people of the run. Assumptions are constants, and appear wherever the sizing does.
//! A run that did not pass, or not in real time, must never give one.

use crate::measure::process::vcpus;
use crate::measure::{mib, number, whole};
use crate::verdict::criteria::Verdict;
use crate::verdict::outcome::Outcome;
use serde::Serialize;

/// Memory of the system and of other programs, in MB. Assumed.
pub const SYSTEM_MB: f64 = 200.0;

/// The kernel's memory per idle socket, in KiB, which is in no process. Assumed.
pub const KERNEL_KIB: f64 = 8.0;

/// Hours at rest whose burst credit an instance has when the event begins. Assumed.
pub const HOURS_AT_REST: f64 = 1.0;

/// The plan's target for CPU, of all vCPUs in the worst ten seconds.
pub const CPU_MAX: f64 = 0.70;

/// Maximum ratio of reported people to people of the run.
pub const EXTRAPOLATION_MAX: f64 = 10.0;

/// Fewer people do not show what one costs: the server grows by pages, and its allocator by more.
pub const PEOPLE_MIN: usize = 50;

/// An instance for rent.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Instance {
    pub price: &'static str,
    pub memory_mb: u32,
    pub vcpus: u32,
    /// The share of each vCPU that may be used without limit.
    pub baseline_percent: u32,
    pub transfer_tb: u32,
    /// The plan's table 5.2: people, prizes and memory, where it has an instance of this price.
    pub plan_says: Option<&'static str>,
}

/// Lightsail's prices per month. The plan has rows for $5, $10 and $20, whose prices have risen to
/// $12 and $24.
const INSTANCES: [Instance; 4] = [
    Instance { price: "$5", memory_mb: 512, vcpus: 2, baseline_percent: 5, transfer_tb: 1, plan_says: Some("300/100, 200 MB") },
    Instance { price: "$7", memory_mb: 1_024, vcpus: 2, baseline_percent: 10, transfer_tb: 2, plan_says: None },
    Instance {
        price: "$12",
        memory_mb: 2_048,
        vcpus: 2,
        baseline_percent: 20,
        transfer_tb: 3,
        plan_says: Some("500/200, 400 MB"),
    },
    Instance {
        price: "$24",
        memory_mb: 4_096,
        vcpus: 2,
        baseline_percent: 20,
        transfer_tb: 4,
        plan_says: Some("1,000/500, 800 MB"),
    },
];

/// The sizing, or the reason why there is none.
#[derive(Clone, Debug, Serialize)]
pub struct Sizing {
    pub why_not: Option<WhyNot>,
    /// The price of the smallest instance for the people of the run.
    pub smallest: Option<&'static str>,
    pub people: usize,
    pub costs: Vec<Cost>,
    #[serde(rename = "boxes")]
    pub fits: Vec<InstanceFit>,
}

/// Reason why a run gives no sizing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhyNot {
    /// With the plan's time, the server's work per second was scaled.
    TimeScaled,
    NotPassed,
    /// The server's process was not measured while it held sockets.
    NotMeasured,
    /// Fewer than [`PEOPLE_MIN`].
    TooFewPeople,
}

/// The cost of one scenario's people.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Cost {
    pub scenario: String,
    pub people: usize,
    pub empty_mb: f64,
    /// Growth of the server from its emptiest to its peak.
    #[serde(rename = "kib_a_person")]
    pub kib_per_person: f64,
    /// Growth from the last sample without sockets to the first with all of them.
    #[serde(rename = "kib_a_socket")]
    pub kib_per_socket: Option<f64>,
    pub cpu_s: f64,
    #[serde(rename = "cpu_ms_a_person")]
    pub cpu_ms_per_person: f64,
    /// The busiest ten seconds, in vCPUs.
    pub worst_10s_vcpus: Option<f64>,
    /// vCPU-minutes above the baseline of the $5 instance.
    pub burst_minutes: f64,
}

/// People that an instance carries, by each limit.
#[derive(Clone, Debug, Serialize)]
pub struct InstanceFit {
    #[serde(flatten)]
    pub instance: Instance,
    pub by_memory: u64,
    pub by_burst: u64,
    pub by_cpu: u64,
    pub people: u64,
    pub limit: Limit,
}

/// The first limit of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Limit {
    Memory,
    Burst,
    Cpu,
    /// None within [`EXTRAPOLATION_MAX`].
    Extrapolation,
}

impl Sizing {
    /// From all scenarios of a run that held sockets.
    pub fn of(scenarios: &[Outcome], time_scale: f64) -> Self {
        // A server keeps the memory it grew to: the first scenario found it emptier than later
        // ones.
        let empty_mb = scenarios.iter().filter_map(|outcome| outcome.server.as_ref()).map(|server| mib(server.empty.rss));
        let empty_mb = empty_mb.fold(f64::INFINITY, f64::min);
        let observed: Vec<Observed> = scenarios.iter().filter_map(|outcome| Observed::of(outcome, empty_mb)).collect();
        let people = observed.iter().map(|observed| observed.cost.people).max().unwrap_or(0);
        let why_not = match () {
            () if time_scale != 1.0 => Some(WhyNot::TimeScaled),
            () if scenarios.iter().any(|outcome| outcome.verdict != Verdict::Pass) => Some(WhyNot::NotPassed),
            () if observed.is_empty() => Some(WhyNot::NotMeasured),
            () if people < PEOPLE_MIN => Some(WhyNot::TooFewPeople),
            () => None,
        };
        if why_not.is_some() {
            return Self { why_not, smallest: None, people, costs: Vec::new(), fits: Vec::new() };
        }
        let fits: Vec<InstanceFit> = INSTANCES.iter().map(|instance| instance.fit(&observed, people)).collect();
        let smallest = fits.iter().find(|fit| fit.people >= people as u64).map(|fit| fit.instance.price);
        Self { why_not, smallest, people, costs: observed.into_iter().map(|observed| observed.cost).collect(), fits }
    }
}

/// The server as one scenario shows it.
struct Observed {
    cost: Cost,
    /// Lengths in seconds, and the vCPUs that were busy meanwhile.
    usage: Vec<(f64, f64)>,
}

impl Observed {
    fn of(outcome: &Outcome, empty_mb: f64) -> Option<Self> {
        let server = outcome.server.as_ref()?;
        let sockets = outcome.samples.iter().map(|sample| sample.sockets).max().filter(|most| *most > 0)?;
        let people = outcome.users;
        let usage: Vec<(f64, f64)> = outcome.cpu_usage().into_iter().map(|(_, length_s, busy)| (length_s, busy)).collect();
        let cost = Cost {
            scenario: outcome.scenario.to_string(),
            people,
            empty_mb,
            kib_per_person: ((server.rss_peak_mb - empty_mb) * 1_024.0 / number(people)).max(0.0),
            kib_per_socket: kib_per_socket(outcome, sockets),
            cpu_s: server.cpu_s,
            cpu_ms_per_person: server.cpu_s * 1_000.0 / number(people),
            worst_10s_vcpus: server.cpu_worst_10s_percent.map(|percent| percent / 100.0 * vcpus()),
            burst_minutes: burst_minutes(&usage, 1.0, INSTANCES[0].baseline_vcpus()),
        };
        Some(Self { cost, usage })
    }
}

impl Instance {
    fn baseline_vcpus(&self) -> f64 {
        f64::from(self.vcpus) * f64::from(self.baseline_percent) / 100.0
    }

    /// Every scenario has to fit.
    fn fit(&self, observed: &[Observed], people: usize) -> InstanceFit {
        let most = number(people) * EXTRAPOLATION_MAX;
        let least = |of: &dyn Fn(&Observed) -> f64| whole(observed.iter().map(of).fold(most, f64::min)) as u64;
        let by_memory = least(&|seen| {
            let free_kib = (f64::from(self.memory_mb) - SYSTEM_MB - seen.cost.empty_mb) * 1_024.0;
            free_kib / (seen.cost.kib_per_person + KERNEL_KIB)
        });
        let by_cpu = least(&|seen| {
            let allowed = CPU_MAX * f64::from(self.vcpus);
            let worst = seen.cost.worst_10s_vcpus.filter(|worst| *worst > 0.0);
            worst.map_or(most, |worst| number(seen.cost.people) * allowed / worst)
        });
        let by_burst = least(&|seen| self.people_by_burst(seen, most));
        let people = by_memory.min(by_cpu).min(by_burst);
        let limit = match people {
            _ if people >= whole(most) as u64 => Limit::Extrapolation,
            _ if people == by_memory => Limit::Memory,
            _ if people == by_burst => Limit::Burst,
            _ => Limit::Cpu,
        };
        InstanceFit { instance: *self, by_memory, by_burst, by_cpu, people, limit }
    }

    /// The most people whose event spends no more than the credit. More people never spend less, so
    /// bisection finds them.
    fn people_by_burst(&self, seen: &Observed, most: f64) -> f64 {
        let baseline = self.baseline_vcpus();
        let credit_minutes = baseline * 60.0 * HOURS_AT_REST;
        let (mut enough, mut too_many) = (0.0, most);
        let spends = |people: f64| burst_minutes(&seen.usage, people / number(seen.cost.people), baseline);
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

fn kib_per_socket(outcome: &Outcome, sockets: u64) -> Option<f64> {
    let first = outcome.samples.iter().position(|sample| sample.sockets > 0)?;
    let before = outcome.samples[..first].last()?.server?;
    let with = outcome.samples.iter().find(|sample| sample.sockets == sockets)?.server?;
    Some(((mib(with.rss) - mib(before.rss)) * 1_024.0 / number(sockets)).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that grew by this much for each of 300 people, and was this busy for this long.
    fn observed(empty_mb: f64, kib_per_person: f64, busy: f64, seconds: usize) -> Observed {
        let cost = Cost { people: 300, empty_mb, kib_per_person, worst_10s_vcpus: Some(busy), ..Cost::default() };
        Observed { cost, usage: vec![(1.0, busy); seconds] }
    }

    fn fits(observed: &Observed) -> Vec<(u64, Limit)> {
        let fits = INSTANCES.iter().map(|instance| instance.fit(std::slice::from_ref(observed), 300));
        fits.map(|fit| (fit.people, fit.limit)).collect()
    }

    #[test]
    fn an_instance_is_limited_by_its_memory_its_credit_or_its_cpu() {
        // 292 MB are left of 512; of 1,024 there are 804.
        let heavy = observed(20.0, 512.0 - KERNEL_KIB, 0.0, 600);
        assert_eq!(fits(&heavy)[..2], [(584, Limit::Memory), (1_608, Limit::Memory)]);
        // 500 s at 0.3 vCPUs for 300 people: the 6 minutes of credit of the $5 instance allow 0.82
        // vCPUs for that long, which is 820 people.
        let busy = observed(20.0, 1.0, 0.3, 500);
        let found = fits(&busy);
        assert!(found[0].0.abs_diff(820) <= 1 && found[0].1 == Limit::Burst, "{found:?}");
        // The larger instances have more credit, and 1.4 vCPUs as well.
        assert_eq!(found[1..], [(1_400, Limit::Cpu), (1_400, Limit::Cpu), (1_400, Limit::Cpu)]);
    }

    #[test]
    fn no_instance_is_credited_with_more_than_ten_times_the_people_of_the_run() {
        assert_eq!(fits(&observed(20.0, 0.0, 0.0, 600)), [(3_000, Limit::Extrapolation); 4]);
        assert_eq!(fits(&observed(20.0, 1.0, 0.001, 60)), [(3_000, Limit::Extrapolation); 4]);
    }

    #[test]
    fn there_is_no_sizing_without_a_measurement_in_real_time() {
        for (scale, why_not) in [(1.0, WhyNot::NotMeasured), (0.5, WhyNot::TimeScaled)] {
            let sizing = Sizing::of(&[], scale);
            assert!(sizing.why_not == Some(why_not) && sizing.fits.is_empty(), "{sizing:?}");
        }
    }
}
