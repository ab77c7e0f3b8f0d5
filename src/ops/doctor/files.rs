//! How many files the server may hold open: each connection is one.

use crate::ops::config::Config;
use crate::ops::doctor::finding::Finding;
use crate::ops::limits;
use crate::store::last_holder;
use rustix::process::{Resource, getrlimit};

const CHECK: &str = "open files";

/// Enough for a hall where the operator says no number.
const CONNECTIONS_ADVISED: usize = 2_000;

/// Looks at the running server's limit where one holds the data folder, else at this process's own.
pub fn examine(config: &Config) -> Finding {
    let running = last_holder(&config.data_dir).and_then(limit_of);
    let own = || getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    let room = limits::connections_within(running.unwrap_or_else(own), config.workers + config.socket_threads);
    judge(config.connections_max, room, if running.is_some() { "the running server" } else { "this process" })
}

/// The limit of a process, if it is there and still one of ours.
fn limit_of(pid: u32) -> Option<u64> {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).ok();
    let name = read("comm")?;
    hard_limit(&read("limits").filter(|_| name.trim() == "luckydraw")?)
}

/// The hard limit on open files, as `/proc/PID/limits` has it: name, soft, hard, unit.
fn hard_limit(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    let hard = line.split_whitespace().nth(1)?;
    if hard == "unlimited" { Some(u64::MAX) } else { hard.parse().ok() }
}

fn judge(wanted: Option<usize>, room: usize, whose: &str) -> Finding {
    let says = format!("the limit of {whose} has room for {room} connections");
    let mend =
        |wanted: usize| format!("LimitNOFILE={} in luckydraw.service, or ulimit -Hn", (wanted + 1_000).next_multiple_of(1_024));
    match wanted {
        Some(wanted) if room < wanted => {
            Finding::wrong(CHECK, format!("{says}, and LUCKYDRAW_CONNECTIONS_MAX asks for {wanted}"), mend(wanted))
        }
        None if room < CONNECTIONS_ADVISED => Finding::advice(CHECK, says, mend(CONNECTIONS_ADVISED)),
        _ => Finding::good(CHECK, says),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::doctor::finding::Grade;

    #[test]
    fn the_limit_is_held_against_what_is_asked_for() {
        assert_eq!(judge(Some(5_000), 5_000, "x").grade, Grade::Good);
        assert_eq!(judge(Some(5_000), 4_999, "x").grade, Grade::Wrong);
        assert_eq!((judge(None, 200, "x").grade, judge(None, 9_000, "x").grade), (Grade::Advice, Grade::Good));
    }

    #[test]
    fn the_kernel_s_table_is_read() {
        let line = |hard: &str| {
            format!("Limit  Soft Limit\nMax processes  1 2 processes\nMax open files            1024      {hard}   files\n")
        };
        assert_eq!(hard_limit(&line("524288")), Some(524_288));
        assert_eq!(hard_limit(&line("unlimited")), Some(u64::MAX));
        assert_eq!(hard_limit(""), None);
        let own = std::fs::read_to_string("/proc/self/limits").unwrap();
        assert_eq!(hard_limit(&own), Some(getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX)));
    }
}
