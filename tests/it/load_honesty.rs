//! The load tester about itself: signals, stalls, a server that dies, reports on disk, and what it
//! does without being told.
//!
//! The tester is the real binary, and signals are real. Nothing is asserted about the time that
//! anything takes, but that it ends.

use crate::fake_server::FakeServer;
use crate::faulty_proxy::Acceptor;
use crate::load::drawload;
use crate::test_server::{ADMIN_TOKEN, TIMEOUT, TestServer};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::{sleep, timeout};

/// Longest run, on a busy machine.
const RUN_MAX: Duration = Duration::from_secs(600);

/// The token of agents and their coordinator.
pub const AGENT_TOKEN: &str = "a-token-for-agents-only";

/// A tester at work.
pub struct Tester {
    child: Child,
    stderr: Lines<BufReader<ChildStderr>>,
    out: TempDir,
}

impl Tester {
    pub fn start(host: &str, arguments: &[&str]) -> Self {
        let out = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_drawload"));
        command.env_clear().env("LUCKYDRAW_ADMIN_TOKEN", ADMIN_TOKEN).env("DRAWLOAD_AGENT_TOKEN", AGENT_TOKEN);
        command.kill_on_drop(true);
        command.args(arguments).args(["--host", host, "--out"]).arg(out.path());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, stderr, out }
    }

    /// Waits for a line that begins like this; `[` is that of the running scenario.
    pub async fn until(&mut self, beginning: &str) {
        let lines = async {
            while let Some(line) = self.stderr.next_line().await.unwrap() {
                if line.starts_with(beginning) {
                    return;
                }
            }
            panic!("{beginning} was never printed");
        };
        timeout(TIMEOUT, lines).await.unwrap();
    }

    fn signal(&self, signal: Signal) {
        // The child is not reaped yet, so its id is still its own.
        kill_process(Pid::from_raw(self.child.id().unwrap().try_into().unwrap()).unwrap(), signal).unwrap();
    }

    pub async fn code(&mut self) -> Option<i32> {
        timeout(RUN_MAX, self.child.wait()).await.expect("the tester ends").unwrap().code()
    }

    pub fn summary(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.out.path().join("summary.json")).unwrap()).unwrap()
    }
}

#[tokio::test]
async fn a_tester_that_stood_still_is_void_and_no_fault_of_the_server() {
    let server = FakeServer::start("none").await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("paced.toml");
    std::fs::write(&file, crate::planted_faults::PACED).unwrap();
    let arguments = ["full-scenario", "--scenario-file", file.to_str().unwrap()];
    let mut tester = Tester::start(&server.address().to_string(), &arguments);
    tester.until("[").await;
    tester.signal(Signal::STOP);
    // The stall is the stimulus, and its length is what the tester must report.
    sleep(Duration::from_secs(3)).await;
    tester.signal(Signal::CONT);
    assert_eq!(tester.code().await, Some(4), "{}", tester.summary());
    let health = &tester.summary()["scenarios"][0]["tester"];
    assert!(health["longest_stall_ms"].as_f64() > Some(2_500.0) && health["limited_by"].to_string().contains("stood still"));
}

#[tokio::test]
async fn the_first_interrupt_ends_any_part_of_a_run() {
    let server = TestServer::start().await;
    let mut running = Tester::start(&server.address.to_string(), &["full-scenario", "--scenario", "a,d", "--users", "5"]);
    running.until("[").await;
    running.signal(Signal::INT);
    assert_eq!(running.code().await, Some(105));
    assert_eq!(running.summary()["scenarios"].as_array().unwrap().len(), 1);
    // A server that accepts and never answers keeps the tester before its scenario.
    let silent = Acceptor::open(|client, _| async move {
        let _client = client;
        std::future::pending().await
    });
    let mut waiting = Tester::start(&silent.await.address.to_string(), &["full-scenario", "--scenario", "a", "--users", "5"]);
    waiting.until("drawload: A at").await;
    waiting.signal(Signal::INT);
    assert_eq!(waiting.code().await, Some(105));
}

#[tokio::test]
async fn a_server_that_dies_ends_the_run_long_before_its_time() {
    let mut server = TestServer::start().await;
    let mut tester = Tester::start(&server.address.to_string(), &["full-scenario", "--scenario", "d,b", "--users", "5"]);
    tester.until("[").await;
    server.kill();
    assert_eq!(tester.code().await, Some(99));
    let summary = tester.summary();
    let scenarios = summary["scenarios"].as_array().unwrap();
    assert_eq!(
        (scenarios.len(), &scenarios[0]["metrics"]["server.unreachable"]),
        (1, &1.0.into()),
        "the next one cannot be played"
    );
    let files = std::fs::read_dir(tester.out.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let files: Vec<String> = files.collect();
    assert!(files.contains(&"report.html".to_owned()) && !files.iter().any(|name| name.starts_with('.')), "{files:?}");
}

#[tokio::test]
async fn a_live_event_is_not_drawn_into_unless_asked() {
    let server = TestServer::start().await;
    let host = server.address.to_string();
    let environment = [("LUCKYDRAW_ADMIN_TOKEN", ADMIN_TOKEN)];
    let test =
        ["http-test", "--scenario", "registration", "--event-id", "demo", "--users", "3", "--duration", "0.2s", "--host", &host];
    drawload(&environment, &test).await.expect_all_musts_met();
    let refused = drawload(&environment, &test).await;
    assert!(refused.code == Some(64) && refused.output.contains("--into-live-event"), "{:?} {}", refused.code, refused.output);
    let allowed = drawload(&environment, &[&test[..], &["--into-live-event"]].concat()).await;
    allowed.expect_all_musts_met();
    assert_eq!(allowed.metric("register.count"), 3.0);
}

#[tokio::test]
async fn the_next_run_removes_the_event_of_a_killed_one() {
    let server = TestServer::start().await;
    let host = server.address.to_string();
    let events = async || {
        let listed = server.get("/admin/events").admin().await.ok();
        listed["events"].as_array().unwrap().iter().map(|event| event["event_id"].to_string()).collect::<Vec<_>>()
    };
    let mut killed = Tester::start(&host, &["full-scenario", "--scenario", "a", "--users", "2"]);
    killed.until("[").await;
    killed.signal(Signal::KILL);
    assert_eq!(killed.code().await, None);
    let left = events().await;
    assert!(left.iter().any(|event| event.contains("drawload-")), "{left:?}");
    let test = ["full-scenario", "--scenario", "a", "--users", "2", "--time-scale", "0.002", "--host", &host];
    assert_eq!(drawload(&[("LUCKYDRAW_ADMIN_TOKEN", ADMIN_TOKEN)], &test).await.code, Some(0));
    let left = events().await;
    assert!(!left.iter().any(|event| event.contains("drawload-")), "{left:?}");
}

#[tokio::test]
async fn options_are_understood_as_people_write_them() {
    let server = TestServer::start().await;
    let host = format!("localhost:{}", server.address.port());
    let environment = [("LUCKYDRAW_ADMIN_TOKEN", ADMIN_TOKEN)];
    let test = ["full-scenario", "--scenario", "a,d", "--users", "3", "--idle", "1m", "--time-scale", "0.002", "--host", &host];
    let run = drawload(&environment, &test).await;
    assert_eq!(run.code, Some(0), "{}", run.output);
    let played: Vec<_> = run.summary["scenarios"].as_array().unwrap().iter().map(|outcome| &outcome["scenario"]).collect();
    assert_eq!(played, ["a", "d"]);
    assert!(run.output.contains("drawload: A, D at localhost:"), "it says what it does, and how long: {}", run.output);
    let nowhere = drawload(&environment, &[&test[..], &["--threshold", "winner_info.p95<1s"]].concat()).await;
    assert!(nowhere.code == Some(64) && nowhere.output.contains("winner_info.p95"), "{}", nowhere.output);
    let help = drawload(&[], &["--help"]).await;
    for part in ["99 a criterion was missed", "draws.missing", "draw.spread", "Examples:"] {
        assert!(help.output.contains(part), "{part}: {}", help.output);
    }
    let no_folder = Path::new("/dev/null/results");
    let arguments = ["full-scenario", "--host", &host, "--out", no_folder.to_str().unwrap()];
    let mut command = Command::new(env!("CARGO_BIN_EXE_drawload"));
    let output = timeout(RUN_MAX, command.env_clear().args(arguments).output()).await.unwrap().unwrap();
    assert_eq!(output.status.code(), Some(3), "a folder that takes no file shows before the run");
}

/// Threads that keep every core of this machine busy until they are dropped.
struct BusyMachine(Arc<AtomicBool>);

impl BusyMachine {
    fn start() -> Self {
        let busy = Arc::new(AtomicBool::new(true));
        for _ in 0..std::thread::available_parallelism().unwrap().get() {
            let busy = busy.clone();
            std::thread::spawn(move || while busy.load(Relaxed) {});
        }
        Self(busy)
    }
}

impl Drop for BusyMachine {
    fn drop(&mut self) {
        self.0.store(false, Relaxed);
    }
}

#[tokio::test]
#[ignore = "takes some minutes: 50 runs on a busy machine"]
async fn an_honest_server_passes_fifty_of_fifty_on_a_busy_machine() {
    let server = TestServer::start().await;
    let environment = [("LUCKYDRAW_ADMIN_TOKEN", ADMIN_TOKEN)];
    let host = server.address.to_string();
    let _busy = BusyMachine::start();
    let mut failed = Vec::new();
    for (round, scenario) in (0..50).zip(["a", "b", "c", "d"].iter().cycle()) {
        let seed = round.to_string();
        let arguments = ["full-scenario", "--scenario", scenario, "--users", "20", "--time-scale", "0.01", "--seed", &seed];
        let size: &[&str] = if *scenario == "b" || *scenario == "c" { &["--prizes", "10"] } else { &["--idle", "120"] };
        let run = drawload(&environment, &[&arguments[..], size, &["--host", &host]].concat()).await;
        if run.code != Some(0) {
            failed.push(format!("round {round}, {scenario}: exit {:?}\n{}", run.code, run.output));
        }
    }
    assert!(failed.is_empty(), "{} of 50 did not pass:\n{}", failed.len(), failed.join("\n"));
}
