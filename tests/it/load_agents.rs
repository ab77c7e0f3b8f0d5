//! The load tester on several machines: agents play the phones, and one ledger judges.
//!
//! The agents are processes of this machine, on loopback.

use crate::faulty_proxy::Acceptor;
use crate::load::{Run, drawload};
use crate::load_addresses::Edge;
use crate::load_honesty::{AGENT_TOKEN, Tester};
use crate::test_server::{ADMIN_TOKEN, TIMEOUT, TestServer};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{Child, Command};
use tokio::time::timeout;

pub struct Agent {
    child: Child,
    pub address: String,
}

impl Agent {
    pub async fn start(token: &str) -> Self {
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
        assert!(due == received && due > 0.0 && due <= 21.0 * 20.0, "{received} of {due}: {}", run.output);
    }
    let [alone, spread] = runs.each_ref().map(|run| &run.summary["scenarios"][0]["latencies"]);
    for wait in ["register", "ws.handshake", "results", "check_winner", "draw.reveal"] {
        let counts = [alone, spread].map(|latencies| &latencies[wait]["response"]["count"]);
        assert_eq!(counts[0], counts[1], "{wait}: the histograms of both agents are added");
    }
    for wait in ["draw.delivery", "winner_info"] {
        // A winner that asks before its announcement submits no details.
        assert!(spread[wait]["response"]["count"].as_u64() > Some(0), "{wait}: {}", runs[1].output);
    }
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
async fn agents_play_a_hall_s_network_over_several_addresses() {
    let server = TestServer::start().await;
    let edge = Edge::start(server.address).await;
    let agents = [Agent::start(AGENT_TOKEN).await, Agent::start(AGENT_TOKEN).await];
    let agents = agents.each_ref().map(|agent| &*agent.address).join(",");
    let hosts = format!("{},{}", server.address, edge.acceptor.address);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hall.toml");
    let scenario = "users = 24\nping_interval = 2\n[[phase]]\nkind = 'arrivals'\nseconds = 0.3\n[[phase]]\nkind = 'sockets'\nseconds = 0.5\n\
        [[phase]]\nkind = 'draws'\ncount = 8\ninterval = 0.5\n";
    std::fs::write(&file, scenario).unwrap();
    let arguments = ["full-scenario", "--scenario-file", file.to_str().unwrap(), "--network", "hall", "--seed", "3"];
    let environment = [("LUCKYDRAW_ADMIN_TOKEN", ADMIN_TOKEN), ("DRAWLOAD_AGENT_TOKEN", AGENT_TOKEN)];
    let run = drawload(&environment, &[&arguments[..], &["--agents", &agents, "--address", &hosts]].concat()).await;
    run.expect_all_musts_met();
    let outcome = &run.summary["scenarios"][0];
    assert!(outcome["network"]["roaming"].as_u64() > Some(0) && run.metric("storm.departed") > 0.0, "{}", run.output);
    for address in outcome["addresses"].as_array().unwrap() {
        assert!(address["deliveries"].as_u64() > Some(0), "{address}: {}", run.output);
    }
    let clocks = outcome["tester"]["agents"].as_array().unwrap();
    // Eight before the run; the others while it lasted.
    assert!(clocks.len() == 2 && clocks.iter().all(|of| of["clock_readings"].as_u64() > Some(8)), "{clocks:?}");
}

#[tokio::test]
async fn nobody_can_read_what_agents_and_their_coordinator_say() {
    let server = TestServer::start().await;
    let agent = Agent::start(AGENT_TOKEN).await;
    let (heard, address) = (Arc::new(Mutex::new(Vec::new())), agent.address.clone());
    let listened = heard.clone();
    let between = Acceptor::open(move |client, _| overhear(client, address.clone(), listened.clone())).await;
    let run = draws(&server, &["--agents", &between.address.to_string()]).await;
    assert_eq!(run.code, Some(0), "{}", run.output);
    let heard = heard.lock().unwrap();
    assert!(heard.len() > 10_000, "{} bytes", heard.len());
    for word in [AGENT_TOKEN, "Registered", "winner_announced", "prize_name"] {
        assert!(!heard.windows(word.len()).any(|window| window == word.as_bytes()), "{word} can be read");
    }
}

/// Passes everything on in both directions, and keeps it.
async fn overhear(client: TcpStream, agent: String, heard: Arc<Mutex<Vec<u8>>>) -> std::io::Result<()> {
    let (from_client, to_client) = client.into_split();
    let (from_agent, to_agent) = TcpStream::connect(agent).await?.into_split();
    let one_way = async |mut from: OwnedReadHalf, mut to: OwnedWriteHalf| {
        let mut chunk = vec![0; 64 << 10];
        while let size @ 1.. = from.read(&mut chunk).await? {
            heard.lock().unwrap().extend_from_slice(&chunk[..size]);
            to.write_all(&chunk[..size]).await?;
        }
        std::io::Result::Ok(())
    };
    tokio::select! {
        up = one_way(from_client, to_agent) => up,
        down = one_way(from_agent, to_client) => down,
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
