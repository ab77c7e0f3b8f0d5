//! Edges are set up: an edge joins by one code, phones are led to boxes by their load, the doctor
//! names what is wrong with a link, and a link that is cut off for being slow catches up.

use crate::edges::{Boxes, borrowed, numbered_until, until_served, until_stats};
use crate::event_steps::{EVENT, prize};
use crate::http_client::Response;
use crate::nats::{NatsServer, TAP};
use crate::test_server::{TIMEOUT, TestServer, run_to_end};
use hyper::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_luckydraw");

#[tokio::test]
async fn an_edge_joins_by_one_code_which_only_an_operator_gets() {
    let nats = NatsServer::start().await;
    let mut settings = nats.settings("origin");
    settings.push(("LUCKYDRAW_NATS_EDGE_CREDENTIALS".into(), nats.edge_credentials()));
    let origin = TestServer::start_with(&borrowed(&settings)).await;
    origin.open_event().await;
    origin.post("/admin/edge-code").await.expect_refusal(401, "UNAUTHORIZED");
    let link = origin.admin(Method::POST, "links").json(&json!({"role": "host"})).await.expect_data(201);
    origin.post("/admin/edge-code").bearer(link["token"].as_str().unwrap()).await.expect_refusal(401, "UNAUTHORIZED");
    let made = origin.post("/admin/edge-code").admin().await.ok();
    assert_eq!(made["name"], "edge1");
    let code = made["code"].as_str().unwrap();

    let edge = TestServer::start_program(&[PROGRAM, "edge", "--join", code], &[]).await;
    until_served(&edge).await;
    let phone = edge.register(1).await;
    assert_eq!(phone.number, 1);
    let mut socket = edge.phone_socket(&phone).await;
    origin.whole_draw(&prize("TV")).await;
    numbered_until(&mut socket, 1).await;

    // The next code is another edge's, and the command line gives the same.
    let stats = until_stats(&origin, "the edge is listed", |stats| stats["edges"][0]["name"] == "edge1").await;
    assert_eq!(stats["takes_edges"], true);
    assert_eq!(origin.post("/admin/edge-code").admin().await.ok()["name"], "edge2");
    let (status, printed) = run_to_end(&["edge-code"], &borrowed(&settings)).await;
    assert!(status.success() && printed.starts_with("edge1 ") && printed.contains("\nedge2 "), "{printed}");
    let (status, printed) = run_to_end(&["edge-code", "edge9"], &borrowed(&settings)).await;
    assert!(!status.success() && printed.contains("LUCKYDRAW_NATS_EDGE_CREDENTIALS"), "{printed}");

    for server in [&origin, &edge] {
        let log = server.printed();
        assert!(!log.contains(code) && !log.contains("secret-of-edge1"), "{log}");
    }
    // A code that was cut off is refused by its name, and not repeated.
    let (status, printed) = run_to_end(&["edge", "--join", &code[..code.len() - 5]], &[]).await;
    assert!(status.code() == Some(64) && printed.contains("LUCKYDRAW_JOIN") && !printed.contains(&code[..30]), "{printed}");
    let (status, printed) = run_to_end(&["--join", code], &[]).await;
    assert!(status.code() == Some(64) && printed.contains("LUCKYDRAW_JOIN"), "{printed}");
}

/// The address of the box that a phone is led to; the origin's where it gets the page.
fn place(origin: &TestServer, answer: &Response) -> String {
    match answer.status.as_u16() {
        302 => {
            let location = answer.header("location");
            location.strip_suffix(&format!("/j/{EVENT}")).unwrap_or_else(|| panic!("{location}")).to_owned()
        }
        status => {
            assert_eq!(status, 200);
            format!("http://{}", origin.address)
        }
    }
}

async fn join(origin: &TestServer, query: &str, cookie: &str) -> Response {
    origin.request(Method::GET, &format!("/j/{EVENT}{query}")).header("cookie", cookie).await
}

#[tokio::test]
async fn phones_are_led_to_boxes_by_load_and_each_to_its_own_again() {
    let mut boxes = Boxes::start(2).await;
    let alone = TestServer::start().await;
    alone.open_event().await;
    let page = join(&alone, "", "a=b").await;
    assert!(page.status == 200 && page.cookie().is_none(), "a server without edges leads nobody");

    // Phones without a box are shared by all three.
    let deadline = Instant::now() + TIMEOUT;
    let mut cookies = BTreeMap::new();
    while cookies.len() < 3 {
        assert!(Instant::now() < deadline, "phones are led to {cookies:?} alone");
        let answer = join(&boxes.origin, "", "a=b").await;
        cookies.insert(place(&boxes.origin, &answer), answer.cookie().unwrap());
    }
    for _ in 0..3 {
        for (box_of, cookie) in &cookies {
            assert_eq!(place(&boxes.origin, &join(&boxes.origin, "", cookie).await), *box_of);
        }
    }
    let at_origin = format!("http://{}", boxes.origin.address);
    let numbered = join(&boxes.origin, "", &format!("ld_{EVENT}=x")).await;
    assert_eq!(place(&boxes.origin, &numbered), at_origin, "its number is of this address");

    // The page of an edge knows the way back.
    let at_edge = |index: usize| format!("http://{}", boxes.edges[index].address);
    let page = boxes.edges[0].request(Method::GET, &format!("/j/{EVENT}")).await;
    assert_eq!(page.cookie().unwrap(), format!("luckydraw_origin={at_origin}"));
    assert!(page.header("content-security-policy").contains(&format!("connect-src 'self' {at_origin} ")));

    // An edge that died: its phones say so at once, and others learn of it within seconds.
    let (dead, cookie) = (at_edge(0), cookies[&at_edge(0)].clone());
    boxes.edges[0].kill();
    for _ in 0..6 {
        let answer = join(&boxes.origin, "?back", &cookie).await;
        assert_ne!(place(&boxes.origin, &answer), dead, "it comes from there");
    }
    let is_silent = |stats: &Value| stats["edges"][0]["silent_ms"].as_u64() >= Some(3_000);
    until_stats(&boxes.origin, "the edge is silent", is_silent).await;
    for cookie in [&*cookie, "a=b", "a=b", "a=b"] {
        assert_ne!(place(&boxes.origin, &join(&boxes.origin, "", cookie).await), dead);
    }
}

/// The doctor's findings about NATS that are not good, each on a line.
async fn findings(settings: &[(String, String)]) -> String {
    let mut settings = borrowed(settings);
    // No relay is asked for long.
    settings.push(("LUCKYDRAW_DRAND_URLS", "http://127.0.0.1:9"));
    let (_, printed) = run_to_end(&["doctor", "--json"], &settings).await;
    let report: Value = serde_json::from_str(&printed).unwrap_or_else(|_| panic!("{printed}"));
    let of_nats = |finding: &&Value| finding["check"] == "nats" && finding["grade"] != "good";
    let line = |finding: &Value| format!("{} {} {}\n", finding["grade"], finding["message"], finding["fix"]);
    report["findings"].as_array().unwrap().iter().filter(of_nats).map(line).collect()
}

#[tokio::test]
async fn the_doctor_names_what_is_wrong_with_a_link() {
    let boxes = Boxes::start(1).await;
    assert_eq!(findings(&boxes.nats.settings("edge1")).await, "");
    assert_eq!(findings(&boxes.nats.settings("origin")).await, "");
    // A check disturbs nobody.
    let (_, mut socket) = boxes.phone_at(0, 1).await;
    boxes.origin.whole_draw(&prize("TV")).await;
    numbered_until(&mut socket, 1).await;
    assert_eq!(boxes.origin.request(Method::GET, "/readyz").await.status, 200);

    let mut wrong = boxes.nats.settings("edge1");
    std::fs::write(&wrong[1].1, "edge1:another").unwrap();
    let found = findings(&wrong).await;
    assert!(found.contains("refuses these credentials"), "{found}");
    // An origin with such credentials serves its own phones, and says what is wrong.
    let origin = TestServer::start_with(&borrowed(&wrong)).await;
    origin.open_event().await;
    origin.register(1).await;
    crate::test_server::poll("the log names it", || origin.printed().to_lowercase().contains("authorization").then_some(()))
        .await;
    wrong[1].1.push_str(".missing");
    let found = findings(&wrong).await;
    assert!(found.contains("cannot be read"), "{found}");

    let mut loose = NatsServer::start_edited(|conf| {
        conf.replace("\"ld.edge.edge1.>\"]", "\"ld.edge.edge1.>\", \"ld.*.frames\"]")
            .replace("subscribe: [\"ld.*.frames\", \"_INBOX.edge2.>\"]", "subscribe: [\"_INBOX.edge2.>\"]")
            .replace("max_payload: 4MB", "max_payload: 4KB")
    })
    .await;
    let found = findings(&loose.settings("edge1")).await;
    assert!(found.contains("permits edge1 to publish ld.-.frames") && found.contains("4096 bytes"), "{found}");
    assert!(found.contains("no origin answers"), "{found}");
    let found = findings(&loose.settings("edge2")).await;
    assert!(found.contains("refuses edge2 to subscribe ld.*.frames"), "{found}");
    loose.kill();
    let found = findings(&loose.settings("edge1")).await;
    assert!(found.contains("is not reached"), "{found}");
}

#[tokio::test]
async fn an_edge_that_nats_cut_off_for_being_slow_catches_up() {
    // So little is buffered that a stopped edge is cut off soon.
    let nats = NatsServer::start_edited(|conf| conf.replace("8MB", "1MB").replace("4MB", "1MB")).await;
    let boxes = Boxes::start_on(nats, 1).await;
    let (_, mut socket) = boxes.phone_at(0, 1).await;
    for index in 2..=6 {
        boxes.origin.register(index).await;
    }
    boxes.origin.whole_draw(&prize("before")).await;
    numbered_until(&mut socket, 1).await;
    boxes.edges[0].signal(libc::SIGSTOP);
    boxes.origin.whole_draw(&prize("while it is stopped")).await;
    let mut tap = boxes.nats.client(TAP);
    let long = "x".repeat(500_000);
    let deadline = Instant::now() + TIMEOUT;
    while !boxes.nats.printed().contains("Slow Consumer") {
        assert!(Instant::now() < deadline, "NATS cuts nobody off: {}", boxes.nats.printed());
        tap.publish("ld.-.frames", "", "x: y\r\n", &long);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    boxes.origin.whole_draw(&prize("after it was cut off")).await;
    boxes.edges[0].signal(libc::SIGCONT);
    numbered_until(&mut socket, 3).await;
    boxes.origin.whole_draw(&prize("later")).await;
    numbered_until(&mut socket, 4).await;
}

#[test]
fn the_launch_script_sets_up_an_edge_and_keeps_its_code_out_of_the_unit() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/deploy/launch.sh");
    let print = |arguments: &[&str]| {
        let output = std::process::Command::new("sh").arg(script).args(arguments).args(["--print", "luckydraw.service"]).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    let unit = print(&["--edge", "a-secret-code"]);
    assert!(unit.contains("/luckydraw edge\n") && unit.contains("\nEnvironmentFile=/etc/luckydraw/edge.env\n"), "{unit}");
    assert!(!unit.contains("a-secret-code"), "{unit}");
    assert!(!print(&[]).contains("edge"), "a server is none");
    let refused = std::process::Command::new("sh").arg(script).args(["--edge", "code"]).output().unwrap();
    let why = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && why.contains("--public-url"), "{why}");
}
