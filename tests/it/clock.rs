//! The trust in the server's wall clock.

use crate::test_server::TestServer;
use hyper::Method;

const CLOCK: &str = "/api/luckydraw/admin/clock";

#[tokio::test]
async fn an_operator_confirms_the_clock_and_the_next_start_knows() {
    let mut server = TestServer::start().await;
    server.request(Method::POST, CLOCK).await.expect_refusal(401, "UNAUTHORIZED");
    let clock = server.request(Method::GET, CLOCK).admin().await.ok();
    assert_eq!(clock["trust"], "new", "it was never watched before: {clock}");
    assert_eq!(server.request(Method::POST, CLOCK).admin().await.ok()["trust"], "steady");
    server.terminate();
    assert!(server.ended().await.success());
    server.restart().await;
    assert_eq!(server.request(Method::GET, CLOCK).admin().await.ok()["trust"], "steady");
    let metrics = server.request(Method::GET, "/metrics").admin().await;
    assert!(String::from_utf8_lossy(&metrics.body).contains("luckydraw_clock_trusted 1"), "the metrics tell it too");
}
