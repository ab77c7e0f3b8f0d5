//! The guard: invalid HTTP, foreign origins and missing rights are refused.

use crate::event_steps::{EVENT, prize};
use crate::http_client::{RequestBuilder, exchange};
use crate::test_server::{ADMIN_TOKEN, TestServer};
use crate::websocket_client::Socket;
use hyper::Method;
use serde_json::json;

#[tokio::test]
async fn health_checks_and_pages_answer_200() {
    let server = TestServer::start().await;
    let health = server.request(Method::GET, "/health").await;
    assert_eq!((health.status.as_u16(), health.json()["status"].as_str()), (200, Some("healthy")));
    for path in ["/healthz", "/readyz", "/openapi.json", "/asyncapi.json", "/lottery", "/lottery/main", "/lottery/waiting"] {
        assert_eq!(server.request(Method::GET, path).await.status, 200, "{path}");
    }
    for path in ["/lottery/admin", "/lottery/staff", "/lottery/verify", "/lottery?event=x"] {
        assert_eq!(server.request(Method::GET, path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn an_unknown_path_is_404_and_a_wrong_method_405_with_allow() {
    let server = TestServer::start().await;
    for path in [
        "/nothing",
        "/api/luckydraw/nothing",
        "/api/luckydraw/register/",
        "/api/luckydraw",
        "/api//luckydraw/register",
        "/%2e%2e/etc",
    ] {
        server.request(Method::GET, path).await.expect_refusal(404, "NOT_FOUND");
    }
    for path in ["/nothing", "/j/no%20event"] {
        let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/html,*/*;q=0.8\r\nConnection: close\r\n\r\n");
        let page = exchange(server.address, head.as_bytes()).await;
        assert!(page.starts_with("HTTP/1.1 404") && page.contains("text/html") && page.contains("<h1>"), "{page}");
    }
    // A name of the local network is refused with the remedy, to a program as to a person.
    for (accepts, kind) in [("text/html", "<h1>"), ("*/*", "FORBIDDEN_ORIGIN")] {
        let head = format!("GET /lottery HTTP/1.1\r\nHost: laptop.local:8000\r\nAccept: {accepts}\r\n\r\n");
        let answer = exchange(server.address, head.as_bytes()).await;
        let is_refused = answer.starts_with("HTTP/1.1 403") && answer.contains("connection: close");
        assert!(is_refused && answer.contains(kind) && answer.contains("LUCKYDRAW_DOMAIN"), "{answer}");
    }
    for (method, path, allowed) in [
        (Method::GET, "/api/luckydraw/register", vec!["POST", "OPTIONS"]),
        (Method::POST, "/api/luckydraw/results", vec!["GET", "HEAD", "OPTIONS"]),
        (Method::DELETE, "/health", vec!["GET", "HEAD"]),
    ] {
        let answer = server.request(method, path).await;
        assert_eq!(answer.status, 405, "{path}");
        let allow = answer.header("allow");
        assert!(allowed.iter().all(|method| allow.contains(method)), "{path} allows {allow}");
    }
}

#[tokio::test]
async fn head_answers_like_get_without_a_body_and_options_lists_the_methods() {
    let server = TestServer::start().await;
    server.open_event().await;
    let path = format!("/api/luckydraw/results?event_id={EVENT}");
    let (get, head) = (server.request(Method::GET, &path).await, server.request(Method::HEAD, &path).await);
    assert_eq!((head.status, head.body.len()), (get.status, 0));
    assert_eq!(head.header("content-type"), get.header("content-type"));
    assert_eq!(head.header("content-length"), get.body.len().to_string());
    let options = server.request(Method::OPTIONS, "/api/luckydraw/register").await;
    assert!(options.status.is_success(), "{}", options.status);
    assert!(options.header("allow").contains("POST"), "{:?}", options.headers);
}

#[tokio::test]
async fn only_a_request_with_one_host_of_this_server_is_accepted() {
    let server = TestServer::start().await;
    let send = |head: String| async move { exchange(server.address, head.as_bytes()).await };
    for (case, head, expected) in [
        ("no Host", "GET /health HTTP/1.1\r\n\r\n", "400"),
        ("two Hosts", "GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: 127.0.0.1\r\n\r\n", "400"),
        ("a foreign Host", "GET /health HTTP/1.1\r\nHost: evil.example\r\n\r\n", "403"),
        ("a rebinding Host", "GET /health HTTP/1.1\r\nHost: 127.0.0.1.evil.example:80\r\n\r\n", "403"),
        ("a name of the local network", "GET /health HTTP/1.1\r\nHost: laptop.local:8000\r\n\r\n", "403"),
        ("an IP literal", "GET /health HTTP/1.1\r\nHost: 192.168.7.7\r\n\r\n", "200"),
        ("an IPv6 literal", "GET /health HTTP/1.1\r\nHost: [::1]:8000\r\n\r\n", "200"),
        ("localhost", "GET /health HTTP/1.1\r\nHost: localhost:8000\r\n\r\n", "200"),
        (
            "an unknown Transfer-Encoding",
            "POST /api/luckydraw/register HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            "4",
        ),
        (
            "two lengths",
            "POST /api/luckydraw/register HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
            "400",
        ),
        (
            "a length and chunks",
            "POST /api/luckydraw/register HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "4",
        ),
        ("an unknown method", "BREW /health HTTP/1.1\r\nHost: localhost\r\n\r\n", "4"),
        ("no HTTP at all", "hello\r\n\r\n", "400"),
        ("an endless header", &format!("GET /health HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(20_000)), "4"),
    ] {
        let received = send(head.to_owned()).await;
        let line = received.lines().next().unwrap_or_default();
        assert!(line.starts_with(&format!("HTTP/1.1 {expected}")), "{case}: {line:?}");
        assert!(expected != "403" || received.contains("LUCKYDRAW_DOMAIN"), "{case}: the way out is named: {received}");
        if expected.starts_with('4') && expected != "403" {
            assert!(
                received.to_lowercase().contains("connection: close"),
                "{case}: the bytes that follow cannot be trusted: {received}"
            );
        }
    }
}

#[tokio::test]
async fn a_foreign_page_cannot_read_write_or_open_a_socket() {
    let server = TestServer::start().await;
    server.open_event().await;
    let own = format!("http://{}", server.address);
    let results = server.get(&format!("/results?event_id={EVENT}"));
    results.clone().header("Origin", &own).await.ok();
    results.clone().await.ok();
    for origin in ["https://evil.example", "http://127.0.0.1:1", "null", &own.replace("http", "https"), "http://localhost"] {
        results.clone().header("Origin", origin).await.expect_refusal(403, "FORBIDDEN_ORIGIN");
        let body = json!({"event_id": EVENT});
        server.post("/register").header("Origin", origin).json(&body).await.expect_refusal(403, "FORBIDDEN_ORIGIN");
        let socket = Socket::try_connect(server.address, EVENT, "", &[("origin", origin)]).await;
        assert!(socket.is_err(), "{origin} gets no socket");
    }
    Socket::try_connect(server.address, EVENT, "", &[("origin", &own)]).await.unwrap().drain().await;
    assert_eq!(server.admin_get("stats").await["participant_count"], 0);
}

#[tokio::test]
async fn a_listed_origin_is_allowed_and_its_preflight_cached_for_a_day() {
    let page = "https://draw.example";
    let server = TestServer::start_with(&[("LUCKYDRAW_ALLOWED_ORIGINS", page)]).await;
    server.open_event().await;
    let preflight = |origin: &str| {
        server
            .request(Method::OPTIONS, "/api/luckydraw/register")
            .header("Origin", origin)
            .header("Access-Control-Request-Method", "POST")
            .header("Access-Control-Request-Headers", "content-type,idempotency-key")
    };
    let answer = preflight(page).await;
    assert!(answer.status.is_success(), "{}", answer.status);
    assert_eq!(answer.header("access-control-allow-origin"), page);
    assert_eq!(answer.header("access-control-max-age"), "86400");
    assert!(answer.header("access-control-allow-methods").contains("POST"));
    let allowed = answer.header("access-control-allow-headers").to_lowercase();
    assert!(["content-type", "idempotency-key", "authorization"].iter().all(|name| allowed.contains(name)), "{allowed}");
    preflight("https://evil.example").await.expect_refusal(403, "FORBIDDEN_ORIGIN");
    let answer = server.get(&format!("/results?event_id={EVENT}")).header("Origin", page).await;
    answer.ok();
    assert_eq!(answer.header("access-control-allow-origin"), page);
    assert!(answer.header("vary").to_lowercase().contains("origin"), "a cache keeps origins apart");
    let refused = server.get("/results?event_id=nowhere").header("Origin", page).await;
    refused.expect_refusal(404, "EVENT_NOT_FOUND");
    assert_eq!(refused.header("access-control-allow-origin"), page, "a page may read the refusal");
}

#[tokio::test]
async fn admin_calls_require_the_admin_token_under_both_prefixes() {
    let server = TestServer::start().await;
    server.open_event().await;
    let phone = server.register(1).await;
    for prefix in ["/api/luckydraw", ""] {
        for (method, path) in [
            (Method::POST, "draw/standby"),
            (Method::POST, "draw/start-animation"),
            (Method::POST, "draw/reveal"),
            (Method::POST, "draw/complete"),
            (Method::POST, "draw/cancel"),
            (Method::POST, "draw/void"),
            (Method::POST, "draw"),
            (Method::GET, "participants"),
            (Method::GET, "draws"),
            (Method::GET, "winners"),
            (Method::POST, "reset"),
            (Method::GET, "stats"),
            (Method::POST, "images"),
            (Method::GET, "audit"),
        ] {
            let request = server.request(method, &format!("{prefix}/admin/{EVENT}/{path}"));
            request.clone().await.expect_refusal(401, "UNAUTHORIZED");
            request.clone().bearer(&phone.token).await.expect_refusal(401, "UNAUTHORIZED");
            request.clone().bearer(&ADMIN_TOKEN[1..]).await.expect_refusal(401, "UNAUTHORIZED");
            request.header("Authorization", "Basic YWRtaW46YWRtaW4=").await.expect_refusal(401, "UNAUTHORIZED");
        }
        let request = server.request(Method::POST, &format!("{prefix}/admin/{EVENT}/draw/standby")).admin().json(&prize("TV"));
        request.await.ok();
        let stats = server.request(Method::GET, &format!("{prefix}/admin/{EVENT}/stats")).admin().await.ok();
        assert_eq!(stats["participant_count"], 1);
    }
    server.request(Method::GET, "/api/luckydraw/admin/nowhere/stats").admin().await.expect_refusal(404, "EVENT_NOT_FOUND");
}

#[tokio::test]
async fn wrong_tokens_never_lock_out_the_right_one() {
    let server = TestServer::start().await;
    server.open_event().await;
    let events = server.get("/admin/events");
    let guesses = (0..40).map(|index| {
        let guess = events.clone().bearer(&format!("guess-{index}"));
        async move { guess.await.status.as_u16() }
    });
    let guessing = futures_util::future::join_all(guesses);
    let (statuses, answer) = tokio::join!(guessing, events.clone().admin());
    answer.ok();
    assert!(statuses.iter().all(|status| [401, 429].contains(status)), "{statuses:?}");
}

#[tokio::test]
async fn the_login_cookie_permits_changes_only_from_own_pages() {
    let server = TestServer::start().await;
    server.open_event().await;
    server.register(1).await;
    server.post("/admin/login").json(&json!({"token": "wrong"})).await.expect_refusal(401, "UNAUTHORIZED");
    let login = server.post("/admin/login").json(&json!({"token": ADMIN_TOKEN})).await;
    login.ok();
    let whole = login.header("set-cookie").to_owned();
    assert!(whole.contains("HttpOnly") && whole.contains("SameSite=Strict"), "{whole}");
    let cookie = login.cookie().unwrap();
    assert!(!cookie.contains(ADMIN_TOKEN), "a cookie is not the token itself");
    let own = format!("http://{}", server.address);
    let stats = server.request(Method::GET, &format!("/api/luckydraw/admin/{EVENT}/stats")).header("Cookie", &cookie);
    stats.await.ok();
    let standby = server
        .request(Method::POST, &format!("/api/luckydraw/admin/{EVENT}/draw/standby"))
        .json(&prize("TV"))
        .header("Cookie", &cookie);
    standby.clone().await.expect_refusal(403, "FORBIDDEN_ORIGIN");
    standby.clone().header("Origin", &own).await.expect_refusal(403, "FORBIDDEN_ORIGIN");
    standby.clone().header("X-Luckydraw", "1").await.expect_refusal(403, "FORBIDDEN_ORIGIN");
    standby
        .clone()
        .header("X-Luckydraw", "1")
        .header("Origin", "https://evil.example")
        .await
        .expect_refusal(403, "FORBIDDEN_ORIGIN");
    standby.header("X-Luckydraw", "1").header("Origin", &own).await.ok();
    let mut console = server.socket_with(EVENT, "?role=admin", &[("cookie", &cookie), ("origin", &own)]).await;
    console.until("state_sync").await;
}

#[tokio::test]
async fn a_login_link_opens_the_console_once() {
    let server = TestServer::start().await;
    server.open_event().await;
    let log_in = |body: serde_json::Value| server.post("/admin/login").json(&body);
    let cookie = log_in(json!({"token": ADMIN_TOKEN})).await.cookie().unwrap();
    let link = cookie.split_once('=').unwrap().1.to_owned();
    let own = log_in(json!({"link": link})).await;
    own.ok();
    assert_ne!(own.cookie().unwrap(), cookie, "the browser gets a login of its own");
    log_in(json!({"link": link})).await.expect_refusal(401, "UNAUTHORIZED");
    log_in(json!({"link": "1-2.3"})).await.expect_refusal(401, "UNAUTHORIZED");
    log_in(json!({})).await.expect_refusal(422, "INVALID_REQUEST");
    let stats =
        |cookie: &str| server.request(Method::GET, &format!("/api/luckydraw/admin/{EVENT}/stats")).header("Cookie", cookie);
    stats(&own.cookie().unwrap()).await.ok();
    stats(&cookie).await.expect_refusal(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn viewers_and_second_tabs_are_no_connected_phones() {
    let server = TestServer::start().await;
    server.open_event().await;
    let token = server.register(1).await.token;
    let mut sockets = Vec::new();
    for query in [String::new(), format!("?token={token}"), format!("?token={token}")] {
        sockets.push(server.socket(EVENT, &query).await.synced().await);
    }
    let stats = server.get(&format!("/admin/{EVENT}/stats")).admin().await.ok();
    assert_eq!((&stats["connections"]["phone"], &stats["phones_connected"]), (&json!(3), &json!(1)));
}

#[tokio::test]
async fn a_log_out_ends_the_login_and_no_other_also_across_a_restart() {
    let mut server = TestServer::start().await;
    server.open_event().await;
    let address = server.address;
    let log_in = async || {
        let login = RequestBuilder::new(address, Method::POST, "/api/luckydraw/admin/login");
        login.json(&json!({"token": ADMIN_TOKEN})).await.cookie().unwrap()
    };
    let (ended, other) = (log_in().await, log_in().await);
    let stats = |cookie: &str| {
        RequestBuilder::new(address, Method::GET, &format!("/api/luckydraw/admin/{EVENT}/stats")).header("Cookie", cookie)
    };
    stats(&ended).await.ok();
    let logout = server.post("/admin/logout").header("Cookie", &ended).await;
    logout.ok();
    assert_eq!(logout.cookie().as_deref(), Some("luckydraw_login="));
    server.post("/admin/logout").await.ok();
    server.post("/admin/logout").header("Cookie", &ended).await.ok();
    for round in 0..2 {
        stats(&ended).await.expect_refusal(401, "UNAUTHORIZED");
        stats(&other).await.ok();
        let own = format!("http://{address}");
        let mut socket = server.socket_with(EVENT, "?role=admin", &[("cookie", &ended), ("origin", &own)]).await;
        socket.send_json(&json!({"type": "ping"})).await;
        assert_eq!(socket.closed().await, 4401, "round {round}: a socket of the ended login proves nothing");
        server.kill();
        server.restart().await;
    }
}

#[tokio::test]
async fn a_log_out_closes_the_sockets_and_polls_of_its_login_and_no_other() {
    let server = TestServer::start().await;
    server.open_event().await;
    server.register(1).await;
    let own = format!("http://{}", server.address);
    let log_in = async || server.post("/admin/login").json(&json!({"token": ADMIN_TOKEN})).await.cookie().unwrap();
    let (ended, other) = (log_in().await, log_in().await);
    let socket = async |role: &str, cookie: &str| {
        let headers = [("cookie", cookie), ("origin", &own)];
        server.socket_with(EVENT, &format!("?role={role}"), &headers).await.synced().await
    };
    let (mut console, mut display) = (socket("admin", &ended).await, socket("display", &ended).await);
    let mut phone = socket("phone", &ended).await;
    let mut remains = socket("admin", &other).await;
    // A poll that waits meanwhile is refused like one that begins.
    let state = server.get(&format!("/state?event_id={EVENT}&role=admin")).header("Cookie", &ended).await.ok();
    let path = format!("/state?event_id={EVENT}&role=admin&revision={}", state["revision"]);
    let poll = server.get(&path).header("Cookie", &ended);
    let (poll, logout) = tokio::join!(poll, server.post("/admin/logout").header("Cookie", &ended));
    logout.ok();
    poll.expect_refusal(401, "UNAUTHORIZED");
    assert_eq!((console.closed().await, display.closed().await), (4401, 4401));
    server.admin_post("draw/standby", &prize("TV")).await.ok();
    remains.until("draw_standby").await;
    phone.send_json(&json!({"type": "ping"})).await;
    phone.until("pong").await;
}

#[tokio::test]
async fn a_log_out_that_is_not_on_disk_is_not_said_to_be_done() {
    let mut server = TestServer::start().await;
    server.open_event().await;
    let cookie = server.post("/admin/login").json(&json!({"token": ADMIN_TOKEN})).await.cookie().unwrap();
    let address = server.address;
    let stats = |cookie: &str| {
        RequestBuilder::new(address, Method::GET, &format!("/api/luckydraw/admin/{EVENT}/stats")).header("Cookie", cookie)
    };
    // A folder in the file's place: no rename replaces it.
    let in_the_way = server.journal().with_file_name("revoked.logins");
    std::fs::create_dir(&in_the_way).unwrap();
    for _ in 0..2 {
        server.post("/admin/logout").header("Cookie", &cookie).await.expect_refusal(503, "NOT_DURABLE");
        stats(&cookie).await.expect_refusal(401, "UNAUTHORIZED");
    }
    std::fs::remove_dir(&in_the_way).unwrap();
    server.post("/admin/logout").header("Cookie", &cookie).await.ok();
    server.kill();
    server.restart().await;
    stats(&cookie).await.expect_refusal(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn the_api_descriptions_are_served_as_in_the_source() {
    let server = TestServer::start().await;
    let served = server.request(Method::GET, "/openapi.json").await.json();
    assert_eq!(served, serde_json::from_str::<serde_json::Value>(include_str!("../../src/api/docs/openapi.json")).unwrap());
    let served = server.request(Method::GET, "/asyncapi.json").await.json();
    assert_eq!(served, serde_json::from_str::<serde_json::Value>(include_str!("../../src/api/docs/asyncapi.json")).unwrap());
}
