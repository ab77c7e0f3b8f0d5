//! The short form of `scripts/torture`: what the server acknowledged survives kills, crashes at any
//! write, and failed writes; and broadcasts are exact on a bad network.

use crate::test_server::poll;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Exit status of `scripts/torture` when this machine lacks strace or forbids it.
const NOT_TRIED: i32 = 2;
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/torture");
const BINARY: &str = env!("CARGO_BIN_EXE_luckydraw");

/// Runs one promise; returns the line with its figure.
fn torture(promise: &str, rounds: u32) -> String {
    let rounds = rounds.to_string();
    let output = Command::new(SCRIPT).args([promise, "--rounds", &rounds, "--binary", BINARY]).output().unwrap();
    let line = String::from_utf8_lossy(&output.stdout).into_owned();
    match output.status.code() {
        Some(0) => assert!(line.contains("kept"), "{line}"),
        Some(NOT_TRIED) if promise != "kill" => eprintln!("{line}"),
        _ => panic!("{line}{}", String::from_utf8_lossy(&output.stderr)),
    }
    line
}

#[test]
fn acknowledged_facts_survive_random_kills() {
    let line = torture("kill", 12);
    assert!(line.contains("12 kills") && line.contains("0 lost or changed"), "{line}");
}

#[test]
fn acknowledged_facts_survive_a_crash_at_any_write() {
    torture("crash-points", 10);
}

#[test]
fn broadcasts_are_exact_where_packets_are_lost_and_phones_come_and_go() {
    torture("broadcasts", 40);
}

#[test]
fn failed_writes_acknowledge_nothing_and_a_failed_sync_ends_the_server() {
    torture("eio", 10);
}

/// The processes whose environment holds `mark`.
fn marked(mark: &str) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
    let environment = |process: &Path| std::fs::read(process.join("environ")).unwrap_or_default();
    let holds = |process: &PathBuf| environment(process).split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes());
    let command = |process: PathBuf| std::fs::read_to_string(process.join("cmdline")).unwrap_or_default();
    processes.filter(holds).map(command).collect()
}

#[tokio::test]
async fn a_torture_that_is_ended_leaves_no_server_behind() {
    let mark = format!("ENDED_TORTURE={}", std::process::id());
    let mut torture = Command::new(SCRIPT);
    torture.args(["kill", "--rounds", "100000", "--binary", BINARY]).env("ENDED_TORTURE", std::process::id().to_string());
    let mut torture = torture.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let has_server = || marked(&mark).iter().any(|command| command.starts_with(BINARY)).then_some(());
    poll("the server starts", has_server).await;
    // SAFETY: a signal to the child, which is not waited for yet.
    unsafe { libc::kill(torture.id() as libc::pid_t, libc::SIGTERM) };
    let status = poll("the torture ends", || torture.try_wait().unwrap()).await;
    assert_eq!(status.code(), Some(128 + libc::SIGTERM));
    assert_eq!(marked(&mark), Vec::<String>::new());
}
