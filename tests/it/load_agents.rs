//! The load tester on several machines: agents play the phones, and one ledger judges.
//!
//! The agents are processes of this machine, on loopback.

use crate::load::{Run, drawload};
use crate::load_honesty::{AGENT_TOKEN, Tester};
use crate::test_server::{ADMIN_TOKEN, TIMEOUT, TestServer};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

struct Agent {
    child: Child,
    address: String,
}

impl Agent {
    async fn start(token: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_drawload"));
        command.env_clear().env("DRAWLOAD_AGENT_TOKEN", token).kill_on_drop(true);
        let mut child = command.args(["agent", "--listen", "127.0.0.1:0"]).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let line = timeout(TIMEOUT, lines.next_line()).await.unwrap().unwrap().unwrap();
        let address = line.strip_prefix("drawload: agent at ").unwrap_or_else(|| panic!("{line}")).to_owned();
        // It writes a line per scenario, which somebody must read.
        tokio::spawn(async move { while lines.next_line().await.is_ok_and(|line| line.is_some()) {} });
        Self { child, address }
    }
}

async fn draws(server: &TestServer, more: &[&str]) -> Run {
    let host = server.address.to_string();
    let scenario =
        ["full-scenario", "--scenario", "c", "--users", "20", "--prizes", "5", "--time-scale", "0.02", "--host", &host];
    let environment = [("LUCKYDRAW_ADMIN_TOKEN", ADMIN_TOKEN), ("DRAWLOAD_AGENT_TOKEN", AGENT_TOKEN)];
    drawload(&environment, &[&scenario[..], more].concat()).await
}

#[tokio::test]
async fn two_agents_and_one_process_reach_the_same_verdict() {
    let server = TestServer::start().await;
    let agents = [Agent::start(AGENT_TOKEN).await, Agent::start(AGENT_TOKEN).await];
    let addresses = agents.each_ref().map(|agent| &*agent.address).join(",");
    let runs = [draws(&server, &[]).await, draws(&server, &["--agents", &addresses]).await];
    for run in &runs {
        assert_eq!(run.code, Some(0), "{}", run.output);
        let counts =
            ["register.count", "draws.announced", "delivery.lost", "phones.success.percent"].map(|name| run.metric(name));
        assert_eq!(counts, [20.0, 5.0, 0.0, 100.0], "{}", run.output);
        // On a busy machine a phone connects late, and fewer frames are due.
        let (due, received) = (run.metric("delivery.expected"), run.metric("delivery.received"));
        assert!(due == received && due > 20.0 && due <= 21.0 * 20.0, "{received} of {due}: {}", run.output);
    }
    let [alone, spread] = runs.each_ref().map(|run| &run.summary["scenarios"][0]["latencies"]);
    for wait in ["register", "ws.handshake", "results", "check_winner", "draw.reveal", "winner_info"] {
        let counts = [alone, spread].map(|latencies| &latencies[wait]["response"]["count"]);
        assert_eq!(counts[0], counts[1], "{wait}: the histograms of both agents are added");
    }
    assert!(spread["draw.delivery"]["response"]["count"].as_u64() > Some(0), "{}", runs[1].output);
}

#[tokio::test]
async fn an_agent_that_ends_or_stalls_makes_the_run_void_by_its_name() {
    for signal in [Signal::KILL, Signal::STOP] {
        let server = TestServer::start().await;
        let [stays, fails] = [Agent::start(AGENT_TOKEN).await, Agent::start(AGENT_TOKEN).await];
        let addresses = format!("{},{}", stays.address, fails.address);
        let host = server.address.to_string();
        let mut tester = Tester::start(&host, &["full-scenario", "--scenario", "a", "--users", "6", "--agents", &addresses]);
        tester.until("[").await;
        kill_process(Pid::from_raw(fails.child.id().unwrap() as i32).unwrap(), signal).unwrap();
        assert_eq!(tester.code().await, Some(4), "{signal:?}: {}", tester.summary());
        let summary = tester.summary();
        let named = |why: &Value| why.as_str().is_some_and(|why| why.contains(&fails.address));
        let panics = summary["scenarios"][0]["tester"]["panics"].as_array().unwrap();
        assert!(panics.len() == 1 && panics.iter().all(named), "{signal:?}: {panics:?}");
    }
}

#[tokio::test]
async fn an_agent_with_another_token_plays_nothing() {
    let server = TestServer::start().await;
    let stranger = Agent::start("the-token-of-somebody-else").await;
    let run = draws(&server, &["--agents", &stranger.address]).await;
    let named = run.output.contains(&stranger.address) && run.output.contains("the token is another");
    assert!(run.code == Some(3) && named, "{:?} {}", run.code, run.output);
    let host = server.address.to_string();
    let without = drawload(&[], &["full-scenario", "--host", &host, "--agents", &stranger.address]).await;
    assert!(without.code == Some(64) && without.output.contains("--agent-token-file"), "{:?} {}", without.code, without.output);
}
