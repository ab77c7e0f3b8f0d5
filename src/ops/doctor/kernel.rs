//! Checks of the kernel's limits: open files, of which each connection is one, and the settings
//! that a rush of phones meets, each with its reason. `scripts/deploy/launch.sh` sets them all.

use crate::ops::config::Config;
use crate::ops::doctor::report::Finding;
use crate::ops::limits::connections_within;
use crate::store::lock::last_holder;
use rustix::process::{Resource, getrlimit};

/// Connections for which there should be room where the settings name no number.
const CONNECTIONS_ADVISED: usize = 2_000;

/// Checks the running server's limit on open files where one holds the data folder, else this
/// process's own.
pub fn check_open_files(config: &Config) -> Finding {
    let running = last_holder(config.data_dir.path()).and_then(limit_of);
    let own = || getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    let room = connections_within(running.unwrap_or_else(own), config.workers + config.socket_threads);
    grade_open_files(config.connections_max, room, if running.is_some() { "the running server" } else { "this process" })
}

/// The hard limit of a process, if it exists and is still a luckydraw.
fn limit_of(pid: u32) -> Option<u64> {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).ok();
    let name = read("comm")?;
    hard_limit(&read("limits").filter(|_| name.trim() == "luckydraw")?)
}

/// The hard limit on open files in the text of `/proc/PID/limits`: name, soft, hard, unit.
fn hard_limit(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    let hard = line.split_whitespace().nth(1)?;
    if hard == "unlimited" { Some(u64::MAX) } else { hard.parse().ok() }
}

fn grade_open_files(wanted: Option<usize>, room: usize, process: &str) -> Finding {
    const CHECK: &str = "open files";
    let message = format!("the limit of {process} has room for {room} connections");
    let fix =
        |wanted: usize| format!("LimitNOFILE={} in luckydraw.service, or ulimit -Hn", (wanted + 1_000).next_multiple_of(1_024));
    match wanted {
        Some(wanted) if room < wanted => {
            Finding::wrong(CHECK, format!("{message}, and LUCKYDRAW_CONNECTIONS_MAX asks for {wanted}"), fix(wanted))
        }
        None if room < CONNECTIONS_ADVISED => Finding::advice(CHECK, message, fix(CONNECTIONS_ADVISED)),
        _ => Finding::good(CHECK, message),
    }
}

/// A setting of the kernel, and its least value.
#[derive(Clone, Copy, Debug)]
pub struct Sysctl {
    /// Name below `/proc/sys`, with dots.
    pub name: &'static str,
    /// Index of the number that counts, from 0.
    pub field: usize,
    /// The least value, in the setting's own unit.
    pub least: u64,
    /// The consequence of a lower value.
    consequence: &'static str,
}

/// The settings that are checked.
pub const SYSCTLS: &[Sysctl] = &[
    Sysctl {
        name: "net.core.somaxconn",
        field: 0,
        least: 4_096,
        consequence: "phones that arrive at one instant, or while a new version starts, are refused beyond it",
    },
    Sysctl {
        name: "net.ipv4.tcp_max_syn_backlog",
        field: 0,
        least: 4_096,
        consequence: "half-open connections beyond it retry after a second",
    },
    Sysctl {
        name: "net.ipv4.tcp_syncookies",
        field: 0,
        least: 1,
        consequence: "a flood of half-open connections blocks all clients",
    },
    Sysctl { name: "net.ipv4.tcp_mem", field: 2, least: 8_192, consequence: "sockets share less than 32 MiB, and sends stall" },
    Sysctl { name: "fs.file-max", field: 0, least: 65_536, consequence: "the whole machine runs out of descriptors" },
];

/// Checks the settings; one that this kernel does not have is left out.
pub fn check_sysctls() -> Vec<Finding> {
    let read = |sysctl: &Sysctl| {
        let path = format!("/proc/sys/{}", sysctl.name.replace('.', "/"));
        Some((*sysctl, parse_field(&std::fs::read_to_string(path).ok()?, sysctl.field)?))
    };
    grade_sysctls(&SYSCTLS.iter().filter_map(read).collect::<Vec<_>>())
}

/// The number in a field of a setting's text.
pub fn parse_field(text: &str, field: usize) -> Option<u64> {
    text.split_whitespace().nth(field)?.parse().ok()
}

fn grade_sysctls(values: &[(Sysctl, u64)]) -> Vec<Finding> {
    let low: Vec<_> = values.iter().filter(|(sysctl, value)| *value < sysctl.least).collect();
    if low.is_empty() {
        return vec![Finding::good("sysctl", format!("all {} settings are high enough", values.len()))];
    }
    let finding = |(sysctl, value): &&(Sysctl, u64)| {
        let Sysctl { name, field, least, consequence } = sysctl;
        let which = if *field == 0 { String::new() } else { format!(" (its number {})", field + 1) };
        let message = format!("{name} is {value}{which}: {consequence}");
        Finding::advice("sysctl", message, format!("at least {least}, in /etc/sysctl.d/60-luckydraw.conf, then sysctl --system"))
    };
    low.iter().map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::doctor::report::Grade;

    #[test]
    fn the_limit_on_open_files_has_to_fit_the_connections_asked_for() {
        assert_eq!(grade_open_files(Some(5_000), 5_000, "x").grade, Grade::Good);
        assert_eq!(grade_open_files(Some(5_000), 4_999, "x").grade, Grade::Wrong);
        assert_eq!(grade_open_files(None, 200, "x").grade, Grade::Advice);
        assert_eq!(grade_open_files(None, 9_000, "x").grade, Grade::Good);
    }

    #[test]
    fn the_hard_limit_is_read_from_the_kernel_s_table() {
        let line = |hard: &str| {
            format!("Limit  Soft Limit\nMax processes  1 2 processes\nMax open files            1024      {hard}   files\n")
        };
        assert_eq!(hard_limit(&line("524288")), Some(524_288));
        assert_eq!(hard_limit(&line("unlimited")), Some(u64::MAX));
        assert_eq!(hard_limit(""), None);
        let own = std::fs::read_to_string("/proc/self/limits").unwrap();
        assert_eq!(hard_limit(&own), Some(getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX)));
    }

    #[test]
    fn each_setting_that_is_too_low_is_named_with_its_consequence() {
        let all = |change: i64| SYSCTLS.iter().map(|s| (*s, s.least.saturating_add_signed(change))).collect::<Vec<_>>();
        assert_eq!(grade_sysctls(&all(0)).iter().map(|finding| finding.grade).collect::<Vec<_>>(), [Grade::Good]);
        let low = grade_sysctls(&all(-1));
        assert_eq!(low.len(), SYSCTLS.len());
        assert!(low.iter().zip(SYSCTLS).all(|(finding, sysctl)| {
            finding.grade == Grade::Advice
                && finding.message.contains(sysctl.name)
                && finding.message.contains(sysctl.consequence)
                && finding.fix.contains(&sysctl.least.to_string())
        }));
    }

    #[test]
    fn a_setting_may_have_several_numbers() {
        let fields = (parse_field("10\t20\t30\n", 2), parse_field("4096\n", 0), parse_field("x", 0), parse_field("1", 1));
        assert_eq!(fields, (Some(30), Some(4_096), None, None));
    }
}
