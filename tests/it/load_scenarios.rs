//! The load tester's options: scenario files, storms and slow clients, TLS, and the search for the
//! ceiling.
//!
//! The tester is the real binary against the real server. Times are small and never asserted. The
//! tests assert deliveries, counts, and the tester's report.

use crate::faulty_proxy::{Acceptor, Fault, gated_proxy, read_head};
use crate::load::{Run, drawload, full_scenario};
use crate::test_server::{ADMIN_TOKEN, TestServer};
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// Asserts that some frames were due, at most this many, and that all of them came. On a busy
/// machine a phone connects late, and fewer are due.
fn assert_all_received(run: &Run, most: f64) {
    let expected = run.metric("delivery.expected");
    assert_eq!((run.metric("delivery.received"), run.metric("delivery.lost")), (expected, 0.0), "{}", run.output);
    assert!(expected > 0.0 && expected <= most, "{expected} of {most}: {}", run.output);
}

#[tokio::test]
async fn the_example_scenario_file_runs_as_written() {
    let server = TestServer::start().await;
    let file = "scripts/scenarios/company-event.toml";
    let run = full_scenario(server.address, &["--scenario-file", file, "--users", "60", "--time-scale", "0.01"]).await;
    assert_eq!(run.code, Some(0), "{}", run.output);
    let scenario = &run.summary["scenarios"][0];
    assert_eq!((&scenario["scenario"], &scenario["what"]), (&"file".into(), &"company event".into()));
    assert_eq!((run.metric("register.count"), run.metric("draws.announced")), (60.0, 30.0));
    assert!(run.metric("storm.departed") > 0.0 && run.metric("storm.absent") == 0.0, "{}", run.output);
    assert_eq!(scenario["latencies"]["results"]["response"]["count"], 60, "every phone requested the results");
    assert!(scenario["latencies"]["winner_info"]["response"]["count"].as_u64() > Some(0), "winners submitted details");
}

#[tokio::test]
async fn an_invalid_scenario_file_is_refused_by_its_key() {
    let server = TestServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("scenario.toml");
    let path = file.to_str().unwrap();
    for (text, key) in [
        ("users = 5\ncolour = 'red'\n[[phase]]\nkind = 'arrivals'\nseconds = 1\n", "colour"),
        ("users = 5\n[[phase]]\nkind = 'arrivals'\nseconds = -1\n", "phase 1 (arrivals): seconds"),
        ("users = 5\n[[phase]]\nkind = 'draws'\ncount = 2\ninterval = 1\n", "draws come before all have arrived"),
        ("users = \n", "line 1"),
    ] {
        std::fs::write(&file, text).unwrap();
        let run = full_scenario(server.address, &["--scenario-file", path]).await;
        assert!(run.code == Some(64) && run.output.contains(key), "{key:?} is named: {:?} {}", run.code, run.output);
    }
    let missing = full_scenario(server.address, &["--scenario-file", "no/such/file.toml"]).await;
    assert!(missing.code == Some(64) && missing.output.contains("no/such/file.toml"), "{}", missing.output);
    let both = full_scenario(server.address, &["--scenario-file", path, "--scenario", "a"]).await;
    assert_eq!(both.code, Some(64), "{}", both.output);
}

#[tokio::test]
async fn every_phone_catches_up_after_a_storm_exactly_once() {
    let server = TestServer::start().await;
    // Each phone is away until the next draw has begun, however busy the machine is.
    let proxy = gated_proxy(server.address, Fault::HoldReturning, 41).await;
    let size = ["--users", "40", "--prizes", "40", "--time-scale", "0.02"];
    let run = full_scenario(proxy.address, &[&["--scenario", "b", "--reconnect-storm"], &size[..]].concat()).await;
    assert_eq!(run.code, Some(0), "{}", run.output);
    // All that were connected by then: every phone and the display, or fewer on a busy machine.
    let departed = run.metric("storm.departed");
    assert!((2.0..=41.0).contains(&departed) && run.metric("storm.absent") == 0.0, "{}", run.output);
    assert!(run.metric("storm.caught_up") >= departed - 1.0, "each phone missed a draw: {}", run.output);
    assert_all_received(&run, 41.0 * 160.0);
    assert_eq!(run.summary["scenarios"][0]["latencies"]["ws.return"]["response"]["count"].as_f64(), Some(departed));
    assert_eq!(run.metric("ws.drops"), 0.0, "the server is not blamed for sockets that the tester dropped");
}

#[tokio::test]
async fn a_storm_among_idle_phones_loses_none() {
    let server = TestServer::start().await;
    let idle =
        full_scenario(server.address, &["--scenario", "a", "--reconnect-storm", "--users", "20", "--time-scale", "0.01"]).await;
    assert_eq!((idle.code, idle.metric("storm.absent")), (Some(0), 0.0), "{}", idle.output);
    assert!((1.0..=20.0).contains(&idle.metric("storm.departed")), "{}", idle.output);
}

#[tokio::test]
async fn slow_phones_harm_no_others_and_their_eviction_is_no_drop() {
    let server = TestServer::start().await;
    // Some 150 KB of frames. A kernel with large receive buffers takes them all for a phone that
    // does not read, and the server then has no reason to evict it.
    let size = ["--users", "150", "--prizes", "150", "--time-scale", "0.03", "--slow-clients", "4%"];
    let run = full_scenario(server.address, &[&["--scenario", "b"], &size[..]].concat()).await;
    assert_eq!(run.code, Some(0), "{}", run.output);
    run.expect_all_musts_met();
    assert_eq!(run.metric("ws.drops"), 0.0, "an eviction that the scenario plans is no drop: {}", run.output);
    assert!(run.metric("ws.slow_evicted") + run.metric("ws.slow_kept") <= 6.0, "{}", run.output);
    // 144 phones and the display; nothing is due to the other 6, which may have received some
    // frames before they became slow.
    let (received, expected) = (run.metric("delivery.received"), run.metric("delivery.expected"));
    assert!(expected > 0.0 && received >= expected && expected <= 145.0 * 600.0, "{}", run.output);
}

#[tokio::test]
async fn the_ceiling_is_the_server_s_connection_limit() {
    // 33 users, their display and the calls beside them fit; a hundred do not.
    let server = TestServer::start_with(&[("LUCKYDRAW_CONNECTIONS_MAX", "48")]).await;
    let arguments = ["--scenario", "ceiling", "--users", "8", "--users-max", "100", "--prizes", "2", "--time-scale", "0.02"];
    let run = full_scenario(server.address, &arguments).await;
    let ceiling = &run.summary["ceiling"];
    let (held, broke) = (ceiling["held"].as_u64().unwrap(), ceiling["broke"].as_u64().unwrap());
    let steps: Vec<_> = ceiling["steps"].as_array().unwrap().iter().map(|step| step["users"].as_u64().unwrap()).collect();
    assert!(
        steps.starts_with(&[8, 16]) && steps.len() >= 4,
        "the number doubles, and then the gap closes: {steps:?}\n{}",
        run.output
    );
    assert_eq!(
        (run.code, &ceiling["ended_by"], &run.summary["verdict"]),
        (Some(0), &"server".into(), &"pass".into()),
        "{}",
        run.output
    );
    assert!((8..48).contains(&held) && broke > held && broke - held <= 2.max(held / 20), "{held} to {broke}: {}", run.output);
    assert!(ceiling["why"][0].as_str().unwrap().contains("wanted"), "{ceiling}");
    assert!(run.output.contains(&format!("ceiling: {held} users held, {broke} did not: ")), "{}", run.output);
    let names: Vec<_> = run.summary["scenarios"].as_array().unwrap().iter().map(|outcome| &outcome["scenario"]).collect();
    assert_eq!(names, ["ceiling", "ceiling-broken"]);
}

#[tokio::test]
async fn a_server_that_closes_connections_is_full_and_not_gone() {
    let server = TestServer::start().await;
    let address = server.address;
    // A full server closes what it accepts: here the display, for ever, and the host's first step.
    let full = Acceptor::open(move |mut client, _| async move {
        let head = read_head(&mut client).await?;
        let text = String::from_utf8_lossy(&head).into_owned();
        if text.contains("role=display") || text.contains("/draw/standby") {
            return Ok(());
        }
        let mut server = TcpStream::connect(address).await?;
        server.write_all(&head).await?;
        copy_bidirectional(&mut client, &mut server).await.map(drop)
    });
    let size = ["--scenario", "b", "--users", "5", "--prizes", "1", "--time-scale", "0.02"];
    let run = full_scenario(full.await.address, &size).await;
    assert_eq!(run.code, Some(99), "{}", run.output);
    let metrics = ["server.unreachable", "ws.absent", "draws.order", "draws.missing"].map(|metric| run.metric(metric));
    assert_eq!(metrics, [0.0, 1.0, 0.0, 1.0], "{}", run.output);
    assert!(run.metric("errors.refused") >= 2.0, "{}", run.output);
}

#[tokio::test]
async fn a_server_that_holds_every_step_has_no_known_ceiling() {
    let server = TestServer::start().await;
    let arguments = ["--scenario", "ceiling", "--users", "5", "--users-max", "15", "--prizes", "2", "--time-scale", "0.01"];
    let run = full_scenario(server.address, &arguments).await;
    let ceiling = &run.summary["ceiling"];
    assert_eq!((run.code, &ceiling["ended_by"], &ceiling["held"]), (Some(0), &"bound".into(), &15.into()), "{}", run.output);
    assert_eq!(ceiling["broke"], Value::Null);
    assert!(run.output.contains("--users-max is 15"), "{}", run.output);
    // A server that fails with one user fails the run.
    let never = [&arguments[..], &["--threshold", "register.p99<0.001ms"]].concat();
    let run = full_scenario(server.address, &never).await;
    let bounds = (&run.summary["ceiling"]["held"], &run.summary["ceiling"]["broke"]);
    assert!(run.code == Some(99) || run.code == Some(4), "{}", run.output);
    assert_eq!(bounds, (&0.into(), &1.into()), "{}", run.output);
}

#[tokio::test]
async fn connections_come_from_the_given_addresses() {
    let server = TestServer::start().await;
    let (seen, address) = (Arc::new(Mutex::new(BTreeSet::new())), server.address);
    let recorded = seen.clone();
    let acceptor = Acceptor::open(move |client, peer| {
        recorded.lock().unwrap().insert(peer.ip().to_string());
        forward(client, address)
    })
    .await;
    let host = acceptor.address.to_string();
    let arguments = ["websocket-test", "--host", &host, "--users", "9", "--duration", "1", "--ramp-up", "0.2"];
    let sources = ["--source-ips", "127.0.0.2-127.0.0.3,127.0.0.7"];
    let run = drawload(&[("LUCKYDRAW_ADMIN_TOKEN", ADMIN_TOKEN)], &[&arguments[..], &sources].concat()).await;
    run.expect_all_musts_met();
    let seen: Vec<_> = seen.lock().unwrap().iter().cloned().collect();
    assert_eq!(seen, ["127.0.0.2", "127.0.0.3", "127.0.0.7"]);
    let wrong = drawload(&[], &[&arguments[..], &["--source-ips", "127.0.0.9-127.0.0.2"]].concat()).await;
    assert!(wrong.code == Some(64) && wrong.output.contains("--source-ips"), "{}", wrong.output);
}

#[tokio::test]
async fn a_server_behind_tls_is_tested_with_its_authority() {
    let server = TestServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (acceptor, ca) = tls_proxy(server.address, folder.path()).await;
    let port = acceptor.address.port();
    let https = format!("https://localhost:{port}");
    let test = async |host: &str, more: &[&str]| {
        let arguments =
            ["full-scenario", "--scenario", "b", "--users", "15", "--prizes", "5", "--time-scale", "0.02", "--host", host];
        drawload(&[("LUCKYDRAW_ADMIN_TOKEN", ADMIN_TOKEN)], &[&arguments[..], more].concat()).await
    };
    for host in [&https, &format!("wss://127.0.0.1:{port}/api/luckydraw/ws/demo")] {
        let run = test(host, &["--ca", &ca]).await;
        assert_eq!(run.code, Some(0), "{}", run.output);
        assert!(run.metric("baseline.tls.p50") > 0.0 && run.metric("baseline.connect.p50") > 0.0);
        assert_all_received(&run, 16.0 * 20.0);
    }
    let without_ca = test(&https, &[]).await;
    assert!(
        without_ca.code == Some(3) && without_ca.output.contains("UnknownIssuer"),
        "{:?} {}",
        without_ca.code,
        without_ca.output
    );
    assert_eq!(test(&https, &["--insecure"]).await.code, Some(0), "it is on this machine");
    let far = test("https://192.0.2.1", &["--insecure"]).await;
    assert!(far.code == Some(64) && far.output.contains("--insecure"), "{}", far.output);
    let no_ca = test(&https, &["--ca", "/dev/null"]).await;
    assert!(no_ca.code == Some(64) && no_ca.output.contains("holds no certificate"), "{}", no_ca.output);
}

#[tokio::test]
async fn a_flag_overrides_the_token_of_the_environment() {
    let server = TestServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, token: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("{token}\n")).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (right, wrong) = (file("right", ADMIN_TOKEN), file("wrong", "another-token-0123456789"));
    let host = server.address.to_string();
    let code = async |environment: &[(&str, &str)], flags: &[&str]| {
        let test = ["full-scenario", "--scenario", "a", "--users", "2", "--time-scale", "0.002", "--host", &host];
        drawload(environment, &[&test[..], flags].concat()).await.code
    };
    let (token, token_file) = ("LUCKYDRAW_ADMIN_TOKEN", "LUCKYDRAW_ADMIN_TOKEN_FILE");
    assert_eq!(code(&[(token, "a-token-for-somebody-else")], &["--admin-token-file", &right]).await, Some(0));
    assert_eq!(code(&[(token_file, &wrong)], &["--admin-token", ADMIN_TOKEN]).await, Some(0));
    assert_eq!(code(&[(token, ADMIN_TOKEN)], &["--admin-token-file", &wrong]).await, Some(3));
    assert_eq!(code(&[(token_file, &right)], &[]).await, Some(0));
    assert_eq!(code(&[], &["--admin-token", ADMIN_TOKEN, "--admin-token-file", &right]).await, Some(64), "two flags conflict");
}

#[tokio::test]
async fn a_remote_server_is_monitored_through_its_metrics() {
    let monitor = async |text: &'static str| {
        let acceptor = Acceptor::open(move |client, _| answer(client, text)).await;
        let url = format!("http://{}/metrics", acceptor.address);
        drawload(&[], &["memory-monitor", "--duration", "0.3", "--interval", "0.1", "--metrics-url", &url]).await
    };
    let all = "process_resident_memory_bytes 26214400\nprocess_cpu_seconds_total 1.5\nprocess_open_fds 12\nprocess_threads 7\n";
    let run = monitor(all).await;
    assert!(run.code == Some(0) && run.output.contains(",25.00,25.00,,,,0.0,7,12,\n"), "{:?} {}", run.code, run.output);
    assert!(run.output.contains("peak 25.0 MB") && !run.output.contains("not reported"), "{}", run.output);
    let run = monitor("process_resident_memory_bytes 26214400\n").await;
    assert!(run.code == Some(0) && run.output.contains("process_threads is not reported"), "{:?} {}", run.code, run.output);
    assert!(
        run.output.contains(",25.00,25.00,,,,,,,\n") && run.output.contains("its CPU time is not reported"),
        "{}",
        run.output
    );
    let run = monitor("process_threads 7\n").await;
    assert!(
        run.code == Some(3) && run.output.contains("process_resident_memory_bytes is not reported"),
        "{:?} {}",
        run.code,
        run.output
    );
    let run = monitor("process_resident_memory_bytes 1073741824\n").await;
    assert_eq!(run.code, Some(99), "a gigabyte is too much: {}", run.output);
}

async fn forward(mut client: impl AsyncRead + AsyncWrite + Unpin, server: SocketAddr) -> std::io::Result<()> {
    let mut server = TcpStream::connect(server).await?;
    copy_bidirectional(&mut client, &mut server).await.map(drop)
}

/// Answers one request for any path.
async fn answer(mut client: TcpStream, text: &str) -> std::io::Result<()> {
    read_head(&mut client).await?;
    let length = text.len();
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {length}\r\n\r\n{text}");
    client.write_all(answer.as_bytes()).await
}

/// A TLS proxy in front of a plain server, and the file with its authority.
async fn tls_proxy(server: SocketAddr, folder: &Path) -> (Acceptor, String) {
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
    let proxy = Acceptor::open(move |client, _| {
        let acceptor = acceptor.clone();
        async move { forward(acceptor.accept(client).await?, server).await }
    });
    (proxy.await, ca.to_str().unwrap().to_owned())
}

#[tokio::test]
async fn phones_of_a_stage_show_the_winners_at_one_moment() {
    let server = TestServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("staged.toml");
    std::fs::write(&file, crate::planted_faults::STAGED).unwrap();
    let proxy = gated_proxy(server.address, Fault::None, 11).await;
    let run = full_scenario(proxy.address, &["--scenario-file", file.to_str().unwrap()]).await;
    // Times are judged, and this machine may be busy: only the musts are asserted.
    run.expect_all_musts_met();
    let shown = &run.summary["scenarios"][0]["latencies"]["draw.show.late"]["response"]["count"];
    assert_eq!(shown, 10, "ten phones waited for the moment: {}", run.output);
    let hasty = full_scenario(server.address, &["--scenario", "b", "--stage", "--users", "3", "--draw-interval", "1"]).await;
    assert!(hasty.code == Some(64) && hasty.output.contains("--stage"), "{:?} {}", hasty.code, hasty.output);
}

#[tokio::test]
async fn pages_of_another_origin_ask_before_they_call() {
    let server = TestServer::start_with(&[("LUCKYDRAW_ALLOWED_ORIGINS", "https://pages.example")]).await;
    let host = server.address.to_string();
    let test = async |origin: &str| {
        let size = ["--scenario", "registration", "--users", "20", "--duration", "0.5", "--host", &host, "--origin", origin];
        drawload(&[("LUCKYDRAW_ADMIN_TOKEN", ADMIN_TOKEN)], &[&["http-test"], &size[..]].concat()).await
    };
    let allowed = test("https://pages.example").await;
    allowed.expect_all_musts_met();
    // One phone in twenty registers twice.
    assert_eq!(allowed.metric("cors.preflights"), 21.0, "{}", allowed.output);
    let refused = test("https://others.example").await;
    assert_eq!((refused.code, refused.metric("register.count")), (Some(99), 0.0), "{}", refused.output);
    assert!(refused.output.contains("does not allow the origin"), "{}", refused.output);
}

#[tokio::test]
async fn errors_in_the_server_s_log_are_named() {
    let server = TestServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("server.log");
    std::fs::write(&log, "t ERROR luckydraw: of another run\n").unwrap();
    let host = server.address.to_string();
    let test = async || {
        let arguments = ["http-test", "--scenario", "registration", "--users", "3", "--duration", "1", "--host", &host];
        let options = ["--server-log", log.to_str().unwrap()];
        drawload(&[("LUCKYDRAW_ADMIN_TOKEN", ADMIN_TOKEN)], &[&arguments[..], &options].concat()).await
    };
    test().await.expect_all_musts_met();
    // Lines come for as long as the run lasts, since its beginning is not known here.
    let writing = tokio::spawn({
        let log = log.clone();
        async move {
            loop {
                let mut file = std::fs::OpenOptions::new().append(true).open(&log).unwrap();
                std::io::Write::write_all(&mut file, b"t ERROR luckydraw::store: the disk is full\n").unwrap();
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    });
    let run = test().await;
    writing.abort();
    assert!(run.code == Some(99) && run.output.contains("the disk is full"), "{:?} {}", run.code, run.output);
}

#[tokio::test]
async fn phones_in_a_hall_miss_nothing_unless_the_server_forgets_what_they_missed() {
    let server = TestServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hall.toml");
    let scenario = "users = 40\nping_interval = 2\n[[phase]]\nkind = 'arrivals'\nseconds = 0.3\n[[phase]]\nkind = 'sockets'\nseconds = 1\n\
        [[phase]]\nkind = 'draws'\ncount = 12\ninterval = 0.5\n";
    std::fs::write(&file, scenario).unwrap();
    let arguments = ["--scenario-file", file.to_str().unwrap(), "--network", "hall", "--seed", "3"];
    let run = full_scenario(server.address, &arguments).await;
    run.expect_all_musts_met();
    assert!(run.metric("storm.departed") >= 3.0 && run.metric("storm.caught_up") > 0.0, "{}", run.output);
    let network = &run.summary["scenarios"][0]["network"];
    assert!(network["roaming"].as_u64() > Some(0) && network["asleep"].as_u64() > Some(0), "{network}");
    // A server that resends nothing: the position of a returning phone never reaches it.
    let address = server.address;
    let forgetful = Acceptor::open(move |mut client, _| async move {
        let head = String::from_utf8(read_head(&mut client).await?).unwrap_or_default().replace("since=", "sunce=");
        let mut server = TcpStream::connect(address).await?;
        server.write_all(head.as_bytes()).await?;
        copy_bidirectional(&mut client, &mut server).await.map(drop)
    });
    let run = full_scenario(forgetful.await.address, &arguments).await;
    assert_eq!(run.code, Some(99), "{}", run.output);
    assert!(run.metric("delivery.lost") > 0.0, "{}", run.output);
}
