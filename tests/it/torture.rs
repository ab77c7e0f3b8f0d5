//! The short form of `scripts/torture`: what the server acknowledged survives kills, crashes at any
//! write, and failed writes; and broadcasts are exact on a bad network.

use std::process::Command;

/// Exit status of `scripts/torture` when this machine lacks strace or forbids it.
const NOT_TRIED: i32 = 2;

/// Runs one promise; returns the line with its figure.
fn torture(promise: &str, rounds: u32) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/torture");
    let output = Command::new(script)
        .args([promise, "--rounds", &rounds.to_string(), "--binary", env!("CARGO_BIN_EXE_luckydraw")])
        .output()
        .unwrap();
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
