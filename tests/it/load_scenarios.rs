//! The load tester plays what it is told to: scenarios of one's own, trouble in the hall, TLS, and the way to the ceiling.
//!
//! The tester is the real binary against the real server. Times are small and nothing here asserts one: what is asserted is who heard what, what was counted, and
//! what the tester says of it.

use crate::load::misfits;
use crate::test_server::{ADMIN_TOKEN, TestServer};
use serde_json::Value;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// How long one run may take, on a machine that is busy.
const RUN_MAX: Duration = Duration::from_secs(180);

/// What a run came to.
struct Run {
    code: Option<i32>,
    said: String,
    summary: Value,
}

impl Run {
    fn metric(&self, name: &str) -> f64 {
        self.summary["scenarios"][0]["metrics"][name].as_f64().unwrap_or_else(|| panic!("{name} was measured: {}", self.said))
    }

    /// Insists that every frame that was owed came, and that something was; no more than this is owed. Less is where a busy machine lets a phone connect late.
    fn heard_everything(&self, most: f64) {
        let expected = self.metric("delivery.expected");
        assert_eq!((self.metric("delivery.received"), self.metric("delivery.lost")), (expected, 0.0), "{}", self.said);
        assert!(expected > 0.0 && expected <= most, "{expected} of {most}: {}", self.said);
    }

    /// Insists that no run may miss anything, and this one has not.
    fn keeps_all_musts(&self) {
        let judgements = self.summary["scenarios"][0]["judgements"].as_array().unwrap_or_else(|| panic!("{}", self.said));
        assert!(
            judgements.iter().all(|judgement| judgement["origin"] != "must" || judgement["grade"] == "good"),
            "{}",
            self.said
        );
    }
}

/// Runs the tester with nothing in its environment but what stands here.
async fn drawload(environment: &[(&str, &str)], arguments: &[&str]) -> Run {
    let out = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_drawload"));
    command.env_clear().envs(environment.iter().copied()).kill_on_drop(true).current_dir(env!("CARGO_MANIFEST_DIR"));
    command.args(arguments);
    if arguments[0] != "memory-monitor" {
        command.arg("--out").arg(out.path());
    }
    let output = timeout(RUN_MAX, command.output()).await.expect("the tester ends").unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    let summary =
        std::fs::read(out.path().join("summary.json")).map_or(Value::Null, |text| serde_json::from_slice(&text).unwrap());
    if !summary.is_null() {
        let schema = serde_json::from_str(include_str!("../../src/bin/drawload/summary.schema.json")).unwrap();
        assert_eq!(misfits(&schema, &schema, &summary, "summary"), Vec::<String>::new());
    }
    Run { code: output.status.code(), said, summary }
}

/// `full-scenario` against a house, by its host.
async fn full_scenario(house: &TestServer, arguments: &[&str]) -> Run {
    let host = house.address.to_string();
    drawload(&[("LUCKYDRAW_ADMIN_TOKEN", ADMIN_TOKEN)], &[&["full-scenario", "--host", &host], arguments].concat()).await
}

#[tokio::test]
async fn the_example_of_a_scenario_file_is_played_as_it_is_written() {
    let house = TestServer::start().await;
    let file = "scripts/scenarios/evening.toml";
    let run = full_scenario(&house, &["--scenario-file", file, "--users", "60", "--time-scale", "0.01"]).await;
    assert_eq!(run.code, Some(0), "{}", run.said);
    let scenario = &run.summary["scenarios"][0];
    assert_eq!((&scenario["scenario"], &scenario["what"]), (&"file".into(), &"company evening".into()));
    assert_eq!((run.metric("register.count"), run.metric("draws.announced")), (60.0, 30.0));
    assert!(run.metric("storm.departed") >= 50.0 && run.metric("storm.caught_up") > 0.0, "{}", run.said);
    assert_eq!(scenario["latencies"]["results"]["response"]["count"], 60, "everybody looked up the results");
    assert!(scenario["latencies"]["winner_info"]["response"]["count"].as_u64() > Some(0), "winners handed in details");
}

#[tokio::test]
async fn a_scenario_file_that_makes_no_sense_is_refused_by_the_key() {
    let house = TestServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("play.toml");
    let path = file.to_str().unwrap();
    for (text, key) in [
        ("users = 5\ncolour = 'red'\n[[phase]]\nkind = 'arrivals'\nseconds = 1\n", "colour"),
        ("users = 5\n[[phase]]\nkind = 'arrivals'\nseconds = -1\n", "phase 1 (arrivals): seconds"),
        ("users = 5\n[[phase]]\nkind = 'draws'\ncount = 2\ninterval = 1\n", "draws come before all have arrived"),
        ("users = \n", "line 1"),
    ] {
        std::fs::write(&file, text).unwrap();
        let run = full_scenario(&house, &["--scenario-file", path]).await;
        assert!(run.code == Some(64) && run.said.contains(key), "{key:?} is named: {:?} {}", run.code, run.said);
    }
    let missing = full_scenario(&house, &["--scenario-file", "no/such/file.toml"]).await;
    assert!(missing.code == Some(64) && missing.said.contains("no/such/file.toml"), "{}", missing.said);
    let both = full_scenario(&house, &["--scenario-file", path, "--scenario", "a"]).await;
    assert_eq!(both.code, Some(64), "{}", both.said);
}

#[tokio::test]
async fn everybody_catches_up_after_a_storm_and_exactly_once() {
    let house = TestServer::start().await;
    let size = ["--users", "40", "--prizes", "40", "--time-scale", "0.02"];
    let run = full_scenario(&house, &[&["--scenario", "b", "--reconnect-storm"], &size[..]].concat()).await;
    assert_eq!(run.code, Some(0), "{}", run.said);
    assert_eq!(run.metric("storm.departed"), 41.0, "every phone and the display");
    assert_eq!(run.metric("storm.absent"), 0.0);
    // Away for at least 0.1 s, while draws begin every 0.06 s: everybody misses something.
    assert!(run.metric("storm.caught_up") >= 40.0, "{}", run.said);
    run.heard_everything(41.0 * 160.0);
    assert_eq!(run.summary["scenarios"][0]["latencies"]["ws.return"]["response"]["count"], 41);
    assert_eq!(run.metric("ws.drops"), 0.0, "what the tester broke off is not held against the server");
    let idle = full_scenario(&house, &["--scenario", "a", "--reconnect-storm", "--users", "20", "--time-scale", "0.01"]).await;
    assert_eq!((idle.code, idle.metric("storm.departed"), idle.metric("storm.absent")), (Some(0), 20.0, 0.0), "{}", idle.said);
}

#[tokio::test]
async fn slow_phones_are_let_go_of_and_nobody_else_notices() {
    let house = TestServer::start().await;
    // 400 frames of some 250 bytes: more than the server's kernel and its queue hold for one who does not read.
    let size = ["--users", "100", "--prizes", "100", "--time-scale", "0.007"];
    let slow = ["--slow-clients", "4%", "--threshold", "ws.slow_kept<=0", "--threshold", "ws.slow_evicted>=2"];
    let run = full_scenario(&house, &[&["--scenario", "b"], &size[..], &slow].concat()).await;
    assert_eq!(run.code, Some(0), "{}", run.said);
    run.keeps_all_musts();
    // 96 phones and the display; nothing is owed to the 4.
    run.heard_everything(97.0 * 400.0);
}

#[tokio::test]
async fn the_ceiling_is_where_the_server_has_no_more_sockets() {
    // 33 users, their display and the calls beside them fit; a hundred do not.
    let house = TestServer::start_with(&[("LUCKYDRAW_CONNECTIONS_MAX", "48")]).await;
    let arguments = ["--scenario", "ceiling", "--users", "8", "--users-max", "100", "--prizes", "2", "--time-scale", "0.02"];
    let run = full_scenario(&house, &arguments).await;
    let ceiling = &run.summary["ceiling"];
    let (held, broke) = (ceiling["held"].as_u64().unwrap(), ceiling["broke"].as_u64().unwrap());
    let steps: Vec<_> = ceiling["steps"].as_array().unwrap().iter().map(|step| step["users"].as_u64().unwrap()).collect();
    assert!(steps.starts_with(&[8, 16]) && steps.len() >= 4, "it doubles, and then closes the gap: {steps:?}\n{}", run.said);
    let limited = |step: &Value| step["limited_by"].as_array().is_some_and(|why| !why.is_empty());
    if run.code == Some(4) {
        // This machine was too busy for the tester to keep up, and it says so.
        assert!(ceiling["steps"].as_array().unwrap().iter().any(limited), "{}", run.said);
        return;
    }
    assert_eq!(
        (run.code, &ceiling["ended_by"], &run.summary["verdict"]),
        (Some(0), &"server".into(), &"pass".into()),
        "{}",
        run.said
    );
    assert!((8..48).contains(&held) && broke > held && broke - held <= 2.max(held / 20), "{held} to {broke}: {}", run.said);
    assert!(ceiling["why"][0].as_str().unwrap().contains("wanted"), "{ceiling}");
    assert!(run.said.contains(&format!("ceiling: {held} users held, {broke} did not: ")), "{}", run.said);
    let names: Vec<_> = run.summary["scenarios"].as_array().unwrap().iter().map(|outcome| &outcome["scenario"]).collect();
    assert_eq!(names, ["ceiling", "ceiling-broken"]);
}

#[tokio::test]
async fn a_server_that_bears_all_that_is_asked_has_no_known_ceiling() {
    let house = TestServer::start().await;
    let arguments = ["--scenario", "ceiling", "--users", "5", "--users-max", "15", "--prizes", "2", "--time-scale", "0.01"];
    let run = full_scenario(&house, &arguments).await;
    let ceiling = &run.summary["ceiling"];
    assert_eq!((run.code, &ceiling["ended_by"], &ceiling["held"]), (Some(0), &"bound".into(), &15.into()), "{}", run.said);
    assert_eq!(ceiling["broke"], Value::Null);
    assert!(run.said.contains("--users-max is 15"), "{}", run.said);
    // One user for whom a criterion breaks is a server that fails.
    let never = [&arguments[..], &["--threshold", "register.p99<0.001ms"]].concat();
    let run = full_scenario(&house, &never).await;
    let nobody = (&run.summary["ceiling"]["held"], &run.summary["ceiling"]["broke"]);
    assert!(run.code == Some(99) || run.code == Some(4), "{}", run.said);
    assert_eq!(nobody, (&0.into(), &1.into()), "{}", run.said);
}

#[tokio::test]
async fn connections_come_from_the_addresses_that_were_named() {
    let house = TestServer::start().await;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let (address, server) = (listener.local_addr().unwrap(), house.address);
    let seen = Arc::new(std::sync::Mutex::new(std::collections::BTreeSet::new()));
    let noted = seen.clone();
    let _door = Door::open(listener, move |client, peer| {
        noted.lock().unwrap().insert(peer.ip().to_string());
        pipe(client, server)
    });
    let host = address.to_string();
    let arguments = ["websocket-test", "--host", &host, "--users", "9", "--duration", "1", "--ramp-up", "0.2"];
    let sources = ["--source-ips", "127.0.0.2-127.0.0.3,127.0.0.7"];
    let run = drawload(&[("LUCKYDRAW_ADMIN_TOKEN", ADMIN_TOKEN)], &[&arguments[..], &sources].concat()).await;
    run.keeps_all_musts();
    let seen: Vec<_> = seen.lock().unwrap().iter().cloned().collect();
    assert_eq!(seen, ["127.0.0.2", "127.0.0.3", "127.0.0.7"]);
    let wrong = drawload(&[], &[&arguments[..], &["--source-ips", "127.0.0.9-127.0.0.2"]].concat()).await;
    assert!(wrong.code == Some(64) && wrong.said.contains("--source-ips"), "{}", wrong.said);
}

#[tokio::test]
async fn a_server_behind_tls_is_tested_when_its_authority_is_known() {
    let house = TestServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (port, ca, _door) = tls_before(house.address, folder.path()).await;
    let https = format!("https://localhost:{port}");
    let test = async |host: &str, more: &[&str]| {
        let arguments =
            ["full-scenario", "--scenario", "b", "--users", "15", "--prizes", "5", "--time-scale", "0.02", "--host", host];
        drawload(&[("LUCKYDRAW_ADMIN_TOKEN", ADMIN_TOKEN)], &[&arguments[..], more].concat()).await
    };
    for host in [&https, &format!("wss://127.0.0.1:{port}/api/luckydraw/ws/demo")] {
        let run = test(host, &["--ca", &ca]).await;
        assert_eq!(run.code, Some(0), "{}", run.said);
        assert!(run.metric("baseline.tls.p50") > 0.0 && run.metric("baseline.connect.p50") > 0.0);
        run.heard_everything(16.0 * 20.0);
    }
    let stranger = test(&https, &[]).await;
    assert!(stranger.code == Some(3) && stranger.said.contains("UnknownIssuer"), "{:?} {}", stranger.code, stranger.said);
    assert_eq!(test(&https, &["--insecure"]).await.code, Some(0), "it is on this machine");
    let far = test("https://192.0.2.1", &["--insecure"]).await;
    assert!(far.code == Some(64) && far.said.contains("--insecure"), "{}", far.said);
    let no_ca = test(&https, &["--ca", "/dev/null"]).await;
    assert!(no_ca.code == Some(64) && no_ca.said.contains("holds no certificate"), "{}", no_ca.said);
}

#[tokio::test]
async fn a_flag_outweighs_the_token_of_the_environment() {
    let house = TestServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, token: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("{token}\n")).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (right, wrong) = (file("right", ADMIN_TOKEN), file("wrong", "another-token-0123456789"));
    let host = house.address.to_string();
    let code = async |environment: &[(&str, &str)], flags: &[&str]| {
        let test = ["full-scenario", "--scenario", "a", "--users", "2", "--time-scale", "0.002", "--host", &host];
        drawload(environment, &[&test[..], flags].concat()).await.code
    };
    let (token, token_file) = ("LUCKYDRAW_ADMIN_TOKEN", "LUCKYDRAW_ADMIN_TOKEN_FILE");
    assert_eq!(code(&[(token, "a-token-for-somebody-else")], &["--admin-token-file", &right]).await, Some(0));
    assert_eq!(code(&[(token_file, &wrong)], &["--admin-token", ADMIN_TOKEN]).await, Some(0));
    assert_eq!(code(&[(token, ADMIN_TOKEN)], &["--admin-token-file", &wrong]).await, Some(3));
    assert_eq!(code(&[(token_file, &right)], &[]).await, Some(0));
    assert_eq!(
        code(&[], &["--admin-token", ADMIN_TOKEN, "--admin-token-file", &right]).await,
        Some(64),
        "two flags are one too many"
    );
}

#[tokio::test]
async fn a_server_elsewhere_is_watched_by_its_own_words() {
    let monitor = async |text: &'static str| {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let url = format!("http://{}/metrics", listener.local_addr().unwrap());
        let _door = Door::open(listener, move |client, _| answer(client, text));
        drawload(&[], &["memory-monitor", "--duration", "0.3", "--interval", "0.1", "--metrics-url", &url]).await
    };
    let all = "process_resident_memory_bytes 26214400\nprocess_cpu_seconds_total 1.5\nprocess_open_fds 12\nprocess_threads 7\n";
    let run = monitor(all).await;
    assert!(run.code == Some(0) && run.said.contains(",25.00,25.00,,,,0.0,7,12,\n"), "{:?} {}", run.code, run.said);
    assert!(run.said.contains("peak 25.0 MB") && !run.said.contains("not told"), "{}", run.said);
    let run = monitor("process_resident_memory_bytes 26214400\n").await;
    assert!(run.code == Some(0) && run.said.contains("process_threads is not told"), "{:?} {}", run.code, run.said);
    assert!(run.said.contains(",25.00,25.00,,,,,,,\n") && run.said.contains("its CPU time is not told"), "{}", run.said);
    let run = monitor("process_threads 7\n").await;
    assert!(run.code == Some(3) && run.said.contains("process_resident_memory_bytes is not told"), "{:?} {}", run.code, run.said);
    let run = monitor("process_resident_memory_bytes 1073741824\n").await;
    assert_eq!(run.code, Some(99), "a gigabyte is too much: {}", run.said);
}

/// A listener that gives each connection to a closure. Dropping it closes it.
struct Door(JoinHandle<()>);

impl Door {
    fn open<F>(listener: TcpListener, mut serve: impl FnMut(TcpStream, SocketAddr) -> F + Send + 'static) -> Self
    where
        F: Future<Output = std::io::Result<()>> + Send + 'static,
    {
        Self(tokio::spawn(async move {
            loop {
                let (client, peer) = listener.accept().await.unwrap();
                // A connection that breaks is the client's to notice.
                tokio::spawn(serve(client, peer));
            }
        }))
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn pipe(mut client: TcpStream, server: SocketAddr) -> std::io::Result<()> {
    let mut server = TcpStream::connect(server).await?;
    copy_bidirectional(&mut client, &mut server).await.map(drop)
}

/// One request, whatever it asks for.
async fn answer(mut client: TcpStream, text: &str) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
    }
    let length = text.len();
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {length}\r\n\r\n{text}");
    client.write_all(answer.as_bytes()).await
}

/// A door that speaks TLS before a server that does not: its port, and the file with its authority.
async fn tls_before(server: SocketAddr, folder: &Path) -> (u16, String, Door) {
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let ca = folder.join("ca.pem");
    std::fs::write(&ca, signed.cert.pem()).unwrap();
    let key = PrivateKeyDer::try_from(signed.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![signed.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let door = Door::open(listener, move |client, _| {
        let acceptor = acceptor.clone();
        async move {
            let mut client = acceptor.accept(client).await?;
            let mut server = TcpStream::connect(server).await?;
            copy_bidirectional(&mut client, &mut server).await.map(drop)
        }
    });
    (port, ca.to_str().unwrap().to_owned(), door)
}
