//! Journals with values that no program wrote: taken in from a stranger, or left by an older
//! server.

use crate::backup::{back_up, run, text};
use crate::event_steps::{EVENT, prize};
use crate::test_server::TestServer;
use hyper::Method;
use rusqlite::Connection;
use serde_json::json;
use std::path::Path;

/// Runs SQL in a copy of a file.
fn altered(from: &Path, to: &Path, sql: &str) {
    std::fs::copy(from, to).unwrap();
    let changed = Connection::open(to).unwrap().execute(sql, []).unwrap();
    assert!(changed > 0, "{sql}");
}

#[tokio::test]
async fn a_value_that_would_use_up_the_memory_is_refused_in_an_import_and_in_a_restore() {
    let mut server = TestServer::start().await;
    server.open_event().await;
    server.register_many(3).await;
    server.whole_draw(&prize("TV")).await;
    server.admin_post("prizes", &json!({"prize_name": "Tea", "prize_rank": 2, "quantity": 1})).await.expect_data(201);
    let temp = tempfile::tempdir().unwrap();
    let copy = back_up(&server, temp.path()).await;
    server.terminate();
    server.ended().await;
    let data = server.data_dir();
    let export = temp.path().join("gala.luckydraw");
    run(&data, &["export", EVENT, "--to", text(&export)]).expect_success();
    let replace = |kind: &str, from: &str, to: &str| {
        format!("UPDATE fact SET body = replace(body, '{from}', '{to}') WHERE kind = '{kind}' AND instr(body, '{from}')")
    };
    let cases = [
        (replace("registered", r#""number":3,"#, r#""number":4294967295,"#), "number"),
        (replace("registered", r#""number":3,"#, r#""number":0,"#), "number"),
        (replace("opened", r#""participants_max":20000"#, r#""participants_max":4294967295"#), "participants_max"),
        (replace("started", r#""ranges":[[1,3]]"#, r#""ranges":[[1,4294967295]]"#), "pool"),
        (replace("announced", r#""draw":1"#, r#""draw":4294967295"#), "draw"),
        (replace("prize_added", r#""id":1,"#, r#""id":4294967295,"#), "id"),
        ("UPDATE fact SET at = 9223372036854775807 WHERE kind = 'registered'".to_owned(), "time"),
        ("UPDATE fact SET at = -1 WHERE kind = 'registered'".to_owned(), "time"),
    ];
    for (sql, field) in &cases {
        let bad = temp.path().join("bad.luckydraw");
        altered(&export, &bad, sql);
        let refused = &["nothing was changed", &format!("its {field} is out of bounds")];
        run(&data, &["import", text(&bad), "--as", "other"]).expect_failure(refused);
        let journal = temp.path().join("bad.sqlite");
        altered(&copy.join("luckydraw.sqlite"), &journal, sql);
        run(&data, &["restore", text(&journal)]).expect_failure(refused);
    }
    let crowd = temp.path().join("crowd.luckydraw");
    altered(&export, &crowd, "INSERT INTO event (id) VALUES ('a second one')");
    run(&data, &["import", text(&crowd), "--as", "other"]).expect_failure(&["does not hold one event"]);
    server.restart().await;
    assert_eq!(server.admin_get("stats").await["participant_count"], 3);
}

#[tokio::test]
async fn no_other_file_of_the_server_is_named_or_exported_as_an_image() {
    let mut server = TestServer::start().await;
    server.open_event().await;
    let link = server.admin(Method::POST, "links").json(&json!({"role": "host"})).await.expect_data(201);
    let up = "/api/luckydraw/images/../secret.key";
    let list = json!({"prize_name": "Tea", "prize_rank": 2, "quantity": 1, "prize_image": up});
    let path = format!("/admin/{EVENT}/prizes");
    server.post(&path).bearer(link["token"].as_str().unwrap()).json(&list).await.expect_refusal(422, "INVALID_REQUEST");
    for call in ["draw/standby", "draw/start-animation"] {
        let draw = json!({"prize_name": "TV", "prize_rank": 1, "draw_mode": "slot", "winner_count": 1, "prize_image": up});
        server.admin_post(call, &draw).await.expect_refusal(422, "INVALID_REQUEST");
    }
    server.admin_post("prizes", &json!({"prize_name": "Tea", "prize_rank": 2, "quantity": 1})).await.expect_data(201);
    server.terminate();
    server.ended().await;

    // As a server of before accepted it.
    let data = server.data_dir();
    let sql = format!(r#"UPDATE fact SET body = replace(body, '"image":null', '"image":"{up}"') WHERE kind = 'prize_added'"#);
    assert!(Connection::open(data.join("luckydraw.sqlite")).unwrap().execute(&sql, []).unwrap() > 0);
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("gala.luckydraw");
    run(&data, &["export", EVENT, "--to", text(&file)]).expect_success();
    let secret = std::fs::read(data.join("secret.key")).unwrap();
    let exported = std::fs::read(&file).unwrap();
    assert!(!exported.windows(secret.len()).any(|window| window == secret), "the secret stays at home");
    let images: i64 = Connection::open(&file).unwrap().query_row("SELECT count(*) FROM image", [], |row| row.get(0)).unwrap();
    assert_eq!(images, 0);
}
