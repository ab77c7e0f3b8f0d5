//! The load tester against one event at several addresses, as an origin and its edges: phones are
//! spread, one ledger judges, and a phone whose address dies comes back by another.
//!
//! The edges are proxies in front of one server, so that each can be killed at a known moment.

use crate::faulty_proxy::Acceptor;
use crate::load::{Run, drawload, full_scenario};
use crate::test_server::{ADMIN_TOKEN, TIMEOUT, TestServer};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

/// A proxy that stands for an edge. Dropping it ends its connections, and refuses new ones.
pub struct Edge {
    pub acceptor: Acceptor,
    _alive: DropGuard,
    /// It has passed on an announcement.
    has_announced: Arc<AtomicBool>,
}

impl Edge {
    pub async fn start(server: SocketAddr) -> Self {
        let (dead, has_announced) = (CancellationToken::new(), Arc::new(AtomicBool::new(false)));
        let (ends, announces) = (dead.clone(), has_announced.clone());
        let acceptor = Acceptor::open(move |client, _| {
            let (ends, announces) = (ends.clone(), announces.clone());
            async move {
                tokio::select! {
                    passed = pass(client, server, &announces) => passed,
                    () = ends.cancelled() => Ok(()),
                }
            }
        });
        Self { acceptor: acceptor.await, _alive: dead.drop_guard(), has_announced }
    }

    async fn until_announced(&self) {
        let announced = async {
            while !self.has_announced.load(Relaxed) {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(TIMEOUT, announced).await.expect("an announcement reaches the phones of this edge");
    }
}

async fn pass(client: TcpStream, server: SocketAddr, announces: &AtomicBool) -> std::io::Result<()> {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = TcpStream::connect(server).await?.into_split();
    let down = async {
        let mut chunk = vec![0; 64 << 10];
        while let size @ 1.. = from_server.read(&mut chunk).await? {
            to_client.write_all(&chunk[..size]).await?;
            if chunk[..size].windows(16).any(|window| window == b"winner_announced") {
                announces.store(true, Relaxed);
            }
        }
        Ok(())
    };
    tokio::select! {
        up = copy(&mut from_client, &mut to_server) => up.map(drop),
        down = down => down,
    }
}

/// A figure of an address of the first scenario.
fn of_address(run: &Run, address: usize, figure: &str) -> u64 {
    let value = &run.summary["scenarios"][0]["addresses"][address][figure];
    value.as_u64().unwrap_or_else(|| panic!("{figure} is {value}: {}", run.output))
}

#[tokio::test]
async fn phones_are_spread_over_all_addresses_and_one_ledger_holds_them() {
    let server = TestServer::start().await;
    let edges = [Edge::start(server.address).await, Edge::start(server.address).await];
    let addresses = [server.address, edges[0].acceptor.address, edges[1].acceptor.address].map(|address| address.to_string());
    let size = ["--scenario", "c", "--users", "30", "--prizes", "6", "--time-scale", "0.02", "--address", &addresses.join(",")];
    let run = drawload(&[("LUCKYDRAW_ADMIN_TOKEN", ADMIN_TOKEN)], &[&["full-scenario"], &size[..]].concat()).await;
    assert_eq!(run.code, Some(0), "{}", run.output);
    assert_eq!((run.metric("register.count"), run.metric("delivery.lost")), (30.0, 0.0), "{}", run.output);
    for (index, address) in addresses.iter().enumerate() {
        assert_eq!(run.summary["scenarios"][0]["addresses"][index]["address"], *address);
        assert_eq!((of_address(&run, index, "phones"), of_address(&run, index, "left")), (10, 0), "{address}: {}", run.output);
        // The display goes to the first.
        assert!(of_address(&run, index, "handshakes") >= if index == 0 { 11 } else { 10 }, "{}", run.output);
        assert!(of_address(&run, index, "deliveries") <= 60, "ten phones, six draws: {}", run.output);
        assert!(run.output.contains(&format!("address  {address}: 10 phones")), "{}", run.output);
    }
    let delivered: u64 = (0..3).map(|index| of_address(&run, index, "deliveries")).sum();
    assert!(delivered > 0, "{}", run.output);
    let nowhere = drawload(&[], &["full-scenario", "--address", "127.0.0.1:1,ftp://x"]).await;
    assert!(nowhere.code == Some(64) && nowhere.output.contains("ftp"), "{:?} {}", nowhere.code, nowhere.output);
}

#[tokio::test]
async fn phones_of_an_edge_that_dies_come_back_by_another_and_lose_nothing() {
    let server = TestServer::start().await;
    let (stays, dies) = (Edge::start(server.address).await, Edge::start(server.address).await);
    let addresses = format!("{},{}", stays.acceptor.address, dies.acceptor.address);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("edges.toml");
    let scenario = "users = 20\nping_interval = 2\n[[phase]]\nkind = 'arrivals'\nseconds = 0.2\n[[phase]]\nkind = 'sockets'\nseconds = 0.3\n\
        [[phase]]\nkind = 'draws'\ncount = 12\ninterval = 0.5\n";
    std::fs::write(&file, scenario).unwrap();
    let arguments = ["full-scenario", "--scenario-file", file.to_str().unwrap(), "--address", &addresses];
    let run = drawload(&[("LUCKYDRAW_ADMIN_TOKEN", ADMIN_TOKEN)], &arguments);
    let killed = async {
        dies.until_announced().await;
        drop(dies);
    };
    let (run, ()) = tokio::join!(run, killed);
    run.expect_all_musts_met();
    assert_eq!((run.metric("delivery.lost"), run.metric("draws.announced")), (0.0, 12.0), "{}", run.output);
    assert!(of_address(&run, 1, "left") > 0 && of_address(&run, 1, "handshakes_failed") > 0, "{}", run.output);
    // A phone that never had to open a socket again still goes by the dead one.
    let phones = [0, 1].map(|address| of_address(&run, address, "phones"));
    assert!(phones[0] > 10 && phones[0] + phones[1] == 20, "{phones:?}: {}", run.output);
    assert_eq!(run.metric("ws.absent"), 0.0, "{}", run.output);
}

#[tokio::test]
async fn an_address_without_the_event_is_named_before_the_run() {
    let (server, other) = (TestServer::start().await, TestServer::start().await);
    let host = other.address.to_string();
    let both = ["--scenario", "a", "--users", "2", "--time-scale", "0.002", "--address", &host];
    let run = full_scenario(server.address, &both).await;
    assert!(run.code == Some(3) && run.output.contains("does not serve the event"), "{:?} {}", run.code, run.output);
}
