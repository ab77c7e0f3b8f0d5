//! Memory that the server holds, as the kernel counts it.

use crate::event_steps::EVENT;
use crate::test_server::TestServer;
use hyper::Method;
use serde_json::json;

/// Events of each round, and the participants each is made for: a roster of 0.8 MB.
const EVENTS: usize = 40;
const PARTICIPANTS_MAX: u32 = 20_000;

/// Resident memory in bytes.
fn resident(server: &TestServer) -> u64 {
    let pages = std::fs::read_to_string(format!("/proc/{}/statm", server.pid())).unwrap();
    let pages: u64 = pages.split(' ').nth(1).unwrap().parse().unwrap();
    pages * rustix::param::page_size() as u64
}

#[tokio::test]
async fn empty_events_cost_no_memory_also_after_others_were_deleted() {
    let server = TestServer::start_with(&[("LUCKYDRAW_MAX_EVENTS", "100")]).await;
    server.open_event().await;
    let mut grown = Vec::new();
    for _ in 0..3 {
        let before = resident(&server);
        let names: Vec<_> = (0..EVENTS).map(|index| format!("{EVENT}-{index}")).collect();
        for name in &names {
            let body = json!({"event_id": name, "title": "T", "prizes": [], "participants_max": PARTICIPANTS_MAX});
            server.request(Method::POST, "/api/luckydraw/admin/events").admin().json(&body).await.expect_data(201);
        }
        grown.push(resident(&server).saturating_sub(before) >> 10);
        for name in &names {
            server.request(Method::DELETE, &format!("/api/luckydraw/admin/events/{name}")).admin().await.ok();
        }
    }
    eprintln!("{EVENTS} empty events took {grown:?} KiB");
    let tables_kib = EVENTS as u64 * 768;
    assert!(grown.iter().all(|kib| *kib < tables_kib / 2), "{grown:?} KiB of tables that hold {tables_kib}");
}
