//! Metrics: access, values that follow the event, and dashboards and alerts that name existing
//! metrics only.

use crate::event_steps::{EVENT, prize};
use crate::http_client::RequestBuilder;
use crate::test_server::{TestServer, poll};
use hyper::Method;
use std::collections::BTreeSet;
use std::net::SocketAddr;

const TOKEN: &str = "a-token-for-the-metrics";

/// The value of a sample, by its whole name.
fn value(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no sample {name} in\n{text}")).parse().unwrap()
}

async fn metrics(server: &TestServer) -> String {
    let answer = server.request(Method::GET, "/metrics").admin().await;
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").starts_with("text/plain; version=0.0.4"));
    String::from_utf8(answer.body.to_vec()).unwrap()
}

#[tokio::test]
async fn metrics_require_a_token() {
    let server = TestServer::start_with(&[("LUCKYDRAW_METRICS_TOKEN", TOKEN)]).await;
    server.request(Method::GET, "/metrics").await.expect_refusal(401, "UNAUTHORIZED");
    server.request(Method::GET, "/metrics").bearer("another-token-altogether").await.expect_refusal(401, "UNAUTHORIZED");
    assert_eq!(server.request(Method::GET, "/metrics").bearer(TOKEN).await.status, 200);
    assert_eq!(server.request(Method::GET, "/metrics").admin().await.status, 200);
    server.request(Method::GET, "/admin/events").bearer(TOKEN).await.expect_refusal(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn the_local_metrics_port_needs_no_token_and_serves_nothing_else() {
    let server = TestServer::start_with(&[("LUCKYDRAW_METRICS_BIND", "127.0.0.1:0")]).await;
    let address: SocketAddr = poll("the log names the port", || {
        let printed = server.printed();
        let (_, rest) =
            printed.lines().find(|line| line.contains("metrics are served without a token"))?.split_once("127.0.0.1:")?;
        let port = rest.split(|c: char| !c.is_ascii_digit()).next()?;
        format!("127.0.0.1:{port}").parse().ok()
    })
    .await;
    let answer = RequestBuilder::new(address, Method::GET, "/metrics").at_side_port().await;
    assert_eq!(answer.status, 200);
    RequestBuilder::new(address, Method::GET, "/admin/events").at_side_port().await.expect_refusal(404, "NOT_FOUND");
    RequestBuilder::new(address, Method::POST, "/metrics").at_side_port().await.expect_refusal(404, "NOT_FOUND");
}

#[tokio::test]
async fn metrics_follow_the_event() {
    let server = TestServer::start().await;
    server.open_event().await;
    let phones = server.register_many(3).await;
    let mut socket = server.phone_socket(&phones[0]).await;
    server.whole_draw(&prize("TV")).await;
    socket.until("draw_complete").await;

    let text = metrics(&server).await;
    let of = |name: &str| format!("{name}{{event=\"{EVENT}\"}}");
    assert_eq!(value(&text, &of("luckydraw_participants")), 3.0);
    assert_eq!(value(&text, &format!("luckydraw_sockets{{event=\"{EVENT}\",role=\"phone\"}}")), 1.0);
    assert_eq!(value(&text, &format!("luckydraw_announcement_phones{{event=\"{EVENT}\",state=\"delivered\"}}")), 1.0);
    let register = r#"{method="POST",route="/register""#;
    assert_eq!(value(&text, &format!("luckydraw_http_requests_total{register},code=\"201\"}}")), 3.0);
    assert_eq!(value(&text, &format!("luckydraw_http_request_seconds_bucket{register},le=\"+Inf\"}}")), 3.0);
    assert!(value(&text, "luckydraw_commit_seconds_count") >= 5.0 && value(&text, "luckydraw_commits_failed_total") == 0.0);
    assert!(
        value(&text, "process_resident_memory_bytes") > 1e6 && value(&text, "luckydraw_journal_bytes{file=\"journal\"}") > 0.0
    );
    server.request(Method::GET, "/nothing-here").await.expect_refusal(404, "NOT_FOUND");
    let text = metrics(&server).await;
    assert_eq!(value(&text, r#"luckydraw_http_requests_total{method="-",route="-",code="404"}"#), 1.0);
}

#[tokio::test]
async fn dashboards_and_alerts_name_existing_metrics() {
    let server = TestServer::start().await;
    let text = metrics(&server).await;
    let families: BTreeSet<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    for file in ["scripts/monitoring/grafana.json", "scripts/monitoring/alerts.yml"] {
        let text = std::fs::read_to_string(file).unwrap();
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let named: BTreeSet<&str> = words.filter(|word| word.starts_with("luckydraw_") || word.starts_with("process_")).collect();
        assert!(named.len() > 5, "{file} names metrics");
        for name in named {
            let family = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|end| name.strip_suffix(end))
                .filter(|family| families.contains(family));
            assert!(families.contains(name) || family.is_some(), "{file} names {name}, which does not exist");
        }
    }
    let alerts = std::fs::read_to_string("scripts/monitoring/alerts.yml").unwrap();
    assert_eq!(alerts.matches("- alert: ").count(), 11);
    serde_json::from_str::<serde_json::Value>(&std::fs::read_to_string("scripts/monitoring/grafana.json").unwrap()).unwrap();
}
