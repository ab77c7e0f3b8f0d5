//! Where a run was made, so that its figures can be held against those of another day: `env.json`.

use crate::measure::process::vcpus;
use serde::Serialize;
use std::fs;

/// The machine that the tester ran on; on loopback the server's as well.
#[derive(Debug, Serialize)]
pub struct Environment {
    pub kernel: String,
    pub cpu: String,
    pub vcpus: f64,
    pub memory_kib: u64,
    /// What an administrator allows this group of processes; "max" for everything.
    pub memory_limit: String,
    pub drawload: &'static str,
    pub build: &'static str,
    pub arguments: Vec<String>,
}

impl Environment {
    /// Reads it. The admin token is left out of the arguments.
    pub fn read() -> Self {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.map_or(String::new(), |rest| rest.trim_start_matches([' ', '\t', ':']).to_owned())
        };
        let memory = field(&text("/proc/meminfo"), "MemTotal");
        Self {
            kernel: text("/proc/sys/kernel/osrelease").trim().to_owned(),
            cpu: field(&text("/proc/cpuinfo"), "model name"),
            vcpus: vcpus(),
            memory_kib: memory.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0),
            memory_limit: memory_limit(&text),
            drawload: env!("CARGO_PKG_VERSION"),
            build: if cfg!(debug_assertions) { "debug" } else { "release" },
            arguments: without_token(std::env::args().skip(1)),
        }
    }
}

/// Version 2 of memory groups, or version 1, which writes a very large number for no limit.
fn memory_limit(text: &impl Fn(&str) -> String) -> String {
    let of = |path| Some(text(path).trim().to_owned()).filter(|limit| !limit.is_empty());
    of("/sys/fs/cgroup/memory.max").or_else(|| of("/sys/fs/cgroup/memory/memory.limit_in_bytes")).unwrap_or_default()
}

/// The arguments without what opens the server.
fn without_token(arguments: impl Iterator<Item = String>) -> Vec<String> {
    let mut secret_follows = false;
    arguments
        .map(|argument| {
            let secret = std::mem::replace(&mut secret_follows, argument == "--admin-token");
            match argument.starts_with("--admin-token=") {
                true => "--admin-token=***".to_owned(),
                false if secret => "***".to_owned(),
                false => argument,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_not_written_down() {
        let arguments = ["x", "--admin-token", "secret", "--admin-token=secret", "--admin-token-file", "f"].map(str::to_owned);
        let kept = without_token(arguments.into_iter());
        assert_eq!(kept, ["x", "--admin-token", "***", "--admin-token=***", "--admin-token-file", "f"]);
    }
}
