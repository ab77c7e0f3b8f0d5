//! Settings: all problems are reported at once, secrets are never printed, open mode requires
//! loopback.

use crate::event_steps::EVENT;
use crate::test_server::{ADMIN_TOKEN, TestServer, run_to_end};
use hyper::Method;

#[tokio::test]
async fn all_invalid_settings_are_reported_at_once_and_the_start_refused() {
    let wrong = [("LUCKYDRAW_WOKERS", "2"), ("LUCKYDRAW_ANNOUNCE_AFTER_MS", "soon"), ("LUCKYDRAW_MAX_EVENTS", "-1")];
    let (status, printed) = run_to_end(&[], &wrong).await;
    assert_eq!(status.code(), Some(64), "{printed}");
    for (name, _) in wrong {
        assert!(printed.contains(name), "{name} is named: {printed}");
    }
}

#[tokio::test]
async fn the_old_name_of_a_setting_is_refused_with_its_new_name() {
    let (status, printed) = run_to_end(&[], &[("LUCKYDRAW_STAGES", "1")]).await;
    assert_eq!(status.code(), Some(64), "{printed}");
    assert!(printed.contains("LUCKYDRAW_STAGES") && printed.contains("LUCKYDRAW_SOCKET_THREADS"), "{printed}");
}

#[tokio::test]
async fn a_value_out_of_bounds_is_refused() {
    for (name, value) in [("LUCKYDRAW_ANNOUNCE_AFTER_MS", "120001"), ("LUCKYDRAW_WORKERS", "0"), ("LUCKYDRAW_BIND", "nonsense")] {
        let (status, printed) = run_to_end(&[], &[(name, value)]).await;
        assert_eq!(status.code(), Some(64), "{name}={value}: {printed}");
        assert!(printed.contains(name), "{printed}");
    }
}

#[tokio::test]
async fn open_mode_is_refused_on_a_reachable_address() {
    for bind in ["0.0.0.0:0", "[::]:0", "127.0.0.1:0,0.0.0.0:0"] {
        let (status, printed) = run_to_end(&[], &[("LUCKYDRAW_OPEN", "1"), ("LUCKYDRAW_BIND", bind)]).await;
        assert!(!status.success(), "{bind}: {printed}");
        assert!(printed.to_lowercase().contains("loopback"), "and it says why: {printed}");
    }
}

#[tokio::test]
async fn the_list_of_settings_is_whole_and_print_config_hides_secrets() {
    let (status, help) = run_to_end(&["settings"], &[]).await;
    assert!(status.success());
    for name in [
        "BIND",
        "DATA_DIR",
        "ADMIN_TOKEN",
        "ADMIN_TOKEN_FILE",
        "OPEN",
        "DEFAULT_EVENT",
        "WORKERS",
        "ALLOWED_ORIGINS",
        "ANNOUNCE_AFTER_MS",
        "EVENT_TTL_S",
        "MAX_EVENTS",
        "PII_DAYS",
        "LOG",
    ] {
        assert!(help.contains(&format!("LUCKYDRAW_{name}")), "{name} is listed");
    }
    let (status, config) = run_to_end(&["--print-config"], &[]).await;
    assert!(status.success(), "{config}");
    assert!(!config.contains(ADMIN_TOKEN), "{config}");
}

#[tokio::test]
async fn a_second_server_does_not_touch_a_data_folder_in_use() {
    let server = TestServer::start().await;
    server.open_event().await;
    let folder = server.data_dir();
    let (status, printed) = run_to_end(&[], &[("LUCKYDRAW_DATA_DIR", folder.to_str().unwrap())]).await;
    assert!(!status.success(), "{printed}");
    server.register(1).await;
}

#[tokio::test]
async fn the_first_start_makes_an_admin_token() {
    let server = TestServer::start_with(&[("LUCKYDRAW_ADMIN_TOKEN", "")]).await;
    let mut made = std::fs::read_dir(server.data_dir()).unwrap().map(|entry| entry.unwrap().path());
    let file = made.find(|path| path.to_string_lossy().contains("token")).expect("a token's file is in the data folder");
    let token = std::fs::read_to_string(&file).unwrap();
    let events = server.get("/admin/events");
    events.clone().bearer(token.trim()).await.ok();
    events.bearer(ADMIN_TOKEN).await.expect_refusal(401, "UNAUTHORIZED");
    let printed = server.printed();
    assert!(printed.contains(file.file_name().unwrap().to_str().unwrap()), "off a terminal the file is named: {printed}");
    assert!(!printed.contains(token.trim()), "and the token is not");
}

#[tokio::test]
async fn the_readme_s_table_has_every_setting_and_no_other() {
    let (_, printed) = run_to_end(&["--print-config"], &[]).await;
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let settings = printed.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name);
    let rows = readme.lines().filter_map(|line| line.strip_prefix("| `LUCKYDRAW_")?.split_once('`')).map(|(name, _)| name);
    let known: std::collections::BTreeSet<_> = settings.filter_map(|name| name.strip_prefix("LUCKYDRAW_")).collect();
    assert_eq!(known, rows.collect());
}

#[tokio::test]
async fn the_printed_address_is_of_an_existing_event() {
    let mut server = TestServer::start_with(&[("LUCKYDRAW_DEFAULT_EVENT", "gone")]).await;
    server.open_event().await;
    let lobby = server.get("/join");
    assert!(String::from_utf8_lossy(&lobby.clone().await.body).contains("/j/gone"), "a first start creates the default event");
    server.request(Method::DELETE, "/admin/events/gone").admin().await.ok();
    assert!(String::from_utf8_lossy(&lobby.await.body).contains(&format!("/j/{EVENT}")));
    server.kill();
    server.restart().await;
    let starts: Vec<_> = server.printed().lines().filter(|line| line.contains("/j/")).map(str::to_owned).collect();
    assert_eq!(starts.len(), 2, "{starts:?}");
    assert!(starts[0].ends_with("/j/gone") && starts[1].ends_with(&format!("/j/{EVENT}")), "{starts:?}");
}
