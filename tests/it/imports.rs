//! Imports of prizes from spreadsheets: previewed, then added whole or not at all.
//!
//! `lists` holds a small file of each kind that people have, and `expected.json` what each of them
//! gives: prizes, problems by cell, and the rows and columns that are left out.

use crate::event_steps::EVENT;
use crate::http_client::Response;
use crate::test_server::TestServer;
use hyper::Method;
use luckydraw::sheet::problem::Problem;
use luckydraw::sheet::table::TableError;
use serde_json::{Value, json};
use std::path::Path;

async fn import(server: &TestServer, query: &str, file: impl Into<bytes::Bytes>) -> Response {
    server.admin(Method::POST, &format!("prizes/import{query}")).body("text/plain", file).await
}

#[tokio::test]
async fn a_list_is_previewed_and_then_added_whole() {
    let mut server = TestServer::start().await;
    server.open_event().await;
    let list = "경품명\t수량\t방식\t당첨자 수\t주소 필요\r\n<script>alert(1)</script>\t2\t카드\t2\tO\r\n=1+1 😀\t1\t\t\t\r\n";
    let preview = import(&server, "?preview=1", list).await.ok();
    assert_eq!((&preview["format"], &preview["count"], &preview["imported"]), (&json!("tsv"), &json!(2), &json!(false)));
    assert_eq!(preview["prizes"][0]["needs_address"], true);
    assert_eq!(server.admin_get("prizes").await["total_count"], 0, "a preview changes nothing");
    let imported = import(&server, "", list).await.expect_data(201);
    assert_eq!((&imported["count"], &imported["imported"]), (&json!(2), &json!(true)));
    server.kill();
    server.restart().await;
    let listed = server.admin_get("prizes").await;
    assert_eq!((&listed["total_count"], &listed["prizes"][1]["prize_name"]), (&json!(2), &json!("=1+1 😀")));
    assert_eq!(listed["prizes"][0]["draw_mode"], "card");
}

#[tokio::test]
async fn a_workbook_reads_as_a_spreadsheet_shows_it() {
    let server = TestServer::start().await;
    server.open_event().await;
    let mut book = rust_xlsxwriter::Workbook::new();
    let sheet = book.add_worksheet();
    for (column, heading) in (0..).zip(["경품명", "수량", "방식", "당첨자 수", "주소 필요"]) {
        sheet.write(0, column, heading).unwrap();
    }
    sheet.write(1, 0, "65인치 텔레비전 📺").unwrap();
    sheet.write(1, 1, 2).unwrap();
    sheet.write(1, 2, "카드").unwrap();
    sheet.write(1, 3, 2).unwrap();
    sheet.write(1, 4, "O").unwrap();
    // An empty row, then a row of a name alone.
    sheet.write(3, 0, "커피 쿠폰").unwrap();
    let file = book.save_to_buffer().unwrap();
    let preview = import(&server, "?preview=1", file.clone()).await.ok();
    assert_eq!(
        (&preview["format"], &preview["count"], &preview["error_count"]),
        (&json!("xlsx"), &json!(2), &json!(0)),
        "{preview}"
    );
    assert_eq!(server.admin_get("prizes").await["total_count"], 0);
    import(&server, "", file).await.expect_data(201);
    let listed = server.admin_get("prizes").await;
    let tv = &listed["prizes"][0];
    assert_eq!((&tv["prize_name"], &tv["quantity"], &tv["winner_count"]), (&json!("65인치 텔레비전 📺"), &json!(2), &json!(2)));
    assert_eq!((&tv["draw_mode"], &tv["needs_address"]), (&json!("card"), &json!(true)));
    assert_eq!(listed["prizes"][1]["prize_name"], "커피 쿠폰");
}

#[tokio::test]
async fn an_error_in_a_workbook_names_its_row() {
    let server = TestServer::start().await;
    server.open_event().await;
    let mut book = rust_xlsxwriter::Workbook::new();
    let sheet = book.add_worksheet();
    for (row, (name, quantity)) in (0..).zip([("경품명", "수량"), ("TV", "1"), ("머그컵", "여러 개")]) {
        sheet.write(row, 0, name).unwrap();
        sheet.write(row, 1, quantity).unwrap();
    }
    let refused = import(&server, "", book.save_to_buffer().unwrap()).await;
    refused.expect_refusal(422, "IMPORT_FAILED");
    let detail = &refused.json()["detail"];
    assert_eq!((&detail["errors"][0]["row"], &detail["errors"][0]["column"]), (&json!(3), &json!("quantity")), "{detail}");
    assert_eq!(server.admin_get("prizes").await["total_count"], 0, "nothing is added");
}

#[tokio::test]
async fn text_saved_by_korean_excel_is_decoded() {
    let server = TestServer::start().await;
    server.open_event().await;
    // CP949 has the last syllable, EUC-KR does not.
    let (file, _, is_lossy) = encoding_rs::EUC_KR.encode("경품명,수량\r\n한우 선물세트,3\r\n뷁,1\r\n");
    assert!(!is_lossy && std::str::from_utf8(&file).is_err());
    let imported = import(&server, "", file.into_owned()).await.expect_data(201);
    assert_eq!((&imported["format"], &imported["encoding"], &imported["count"]), (&json!("csv"), &json!("cp949"), &json!(2)));
    let listed = server.admin_get("prizes").await;
    assert_eq!((&listed["prizes"][0]["prize_name"], &listed["prizes"][0]["quantity"]), (&json!("한우 선물세트"), &json!(3)));
    assert_eq!(listed["prizes"][1]["prize_name"], "뷁");
}

#[tokio::test]
async fn a_list_with_errors_adds_nothing_and_names_the_cells() {
    let server = TestServer::start().await;
    server.open_event().await;
    let list = "name,quantity\nTV,1\nMug,many\nTV,2\n";
    let preview = import(&server, "?preview=1", list).await.ok();
    assert_eq!((&preview["count"], &preview["error_count"]), (&json!(1), &json!(2)));
    let refused = import(&server, "", list).await;
    refused.expect_refusal(422, "IMPORT_FAILED");
    let detail = &refused.json()["detail"];
    let error = &detail["errors"][0];
    assert_eq!((&error["row"], &error["column"], &error["cell"]), (&json!(3), &json!("quantity"), &json!("B3")));
    assert_eq!((&error["code"], &error["value"]), (&json!("not_a_number"), &json!("many")));
    assert_eq!(error["why"], "must be a whole number: write digits, such as 3");
    assert_eq!((&detail["errors"][1]["row"], &detail["error_count"]), (&json!(4), &json!(2)));
    assert_eq!(server.admin_get("prizes").await["total_count"], 0);
}

#[tokio::test]
async fn a_file_that_is_no_table_is_refused_and_the_server_continues() {
    let server = TestServer::start().await;
    server.open_event().await;
    for file in [&b"\x89PNG\r\n\x1a\n\0\0"[..], b"PK\x03\x04broken", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"] {
        import(&server, "?preview=1", file.to_vec()).await.expect_refusal(422, "IMPORT_FAILED");
    }
    import(&server, "", vec![b'a'; (2 << 20) + 1]).await.expect_refusal(413, "BODY_TOO_LARGE");
    let path = format!("/api/luckydraw/admin/{EVENT}/prizes/import");
    server.request(Method::POST, &path).body("text/plain", "name\nTV").await.expect_refusal(401, "UNAUTHORIZED");
    assert_eq!(import(&server, "", "TV").await.expect_data(201)["count"], 1);
}

#[tokio::test]
async fn only_a_rehearsal_is_wiped_and_only_with_its_word() {
    let server = TestServer::start().await;
    server.open_event_with(json!({"event_id": EVENT, "rehearsal": true})).await;
    let sync = server.public("/state").await["state_sync"].clone();
    assert_eq!(sync["rehearsal"], true, "every page can show it");
    let phone = server.register(1).await;
    let (draw, _) = server.whole_draw(&crate::event_steps::prize("TV")).await;
    let form = json!({"event_id": EVENT, "draw_id": draw, "name": "연습", "phone": "010-1234-5678", "consent": true});
    server.post("/winner-info").bearer(&phone.token).json(&form).await.ok();
    server.admin_post("rehearsal/wipe", &json!({"word": "yes"})).await.expect_refusal(422, "INVALID_REQUEST");
    let wiped = server.admin_post("rehearsal/wipe", &json!({"word": "리허설"})).await.ok();
    assert_ne!(wiped["event_session_id"], sync["event_session_id"]);
    assert_eq!(server.admin_get("participants").await["total_count"], 0);
    assert_eq!(server.admin_get("winners?all=1").await["total_count"], 0);
    assert_eq!(server.register(2).await.number, 1, "numbers start at one again");

    server.post("/admin/events").admin().json(&json!({"event_id": "real"})).await.expect_data(201);
    let real = server.post("/admin/real/rehearsal/wipe").admin().json(&json!({"word": "REHEARSAL"})).await;
    real.expect_refusal(409, "NOT_A_REHEARSAL");
}

/// The answer to a preview, in the form of `expected.json`.
fn summary(answer: &Value) -> Value {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let prize = |prize: &Value| {
        let grade = prize["prize_grade"].as_str().map(|grade| format!(" ({grade})")).unwrap_or_default();
        format!("{}={}{grade}", text(&prize["prize_name"]), prize["quantity"])
    };
    let error = |error: &Value| {
        let place = match (&error["cell"], &error["row"]) {
            (Value::String(cell), _) => cell.clone(),
            (_, Value::Null) => "file".to_owned(),
            (_, row) => format!("row {row}"),
        };
        format!("{place} {}", text(&error["code"]))
    };
    let row = |row: &Value| format!("{} {}", row["row"], text(&row["kind"]));
    json!({
        "prizes": list(&answer["prizes"]).iter().map(prize).collect::<Vec<_>>(),
        "errors": list(&answer["errors"]).iter().map(error).collect::<Vec<_>>(),
        "rows_left_out": list(&answer["rows_left_out"]).iter().map(row).collect::<Vec<_>>(),
        "columns_left_out": list(&answer["columns_left_out"]),
    })
}

#[tokio::test]
async fn every_list_that_people_have_reads_as_they_mean_it_or_says_what_to_change() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/lists");
    let expected: serde_json::Map<String, Value> =
        serde_json::from_str(&std::fs::read_to_string(folder.join("expected.json")).unwrap()).unwrap();
    let mut names: Vec<_> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name != "expected.json");
    names.sort();
    assert_eq!(names, expected.keys().cloned().collect::<Vec<_>>(), "each file has its expectation");
    let server = TestServer::start().await;
    server.open_event().await;
    let mut wrong = Vec::new();
    for (name, expected) in &expected {
        let answer = import(&server, "?preview=1", std::fs::read(folder.join(name)).unwrap()).await.json();
        let read = summary(if answer["success"] == true { &answer["data"] } else { &answer["detail"] });
        if read != *expected {
            wrong.push(format!("{name}:\n  read     {read}\n  expected {expected}\n  answer {answer}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The text of a message of the console's messages, as many as there are languages.
fn labels(messages: &str, key: &str) -> Vec<String> {
    let start = format!(" {key}: '");
    let texts = messages.split(&start).skip(1).map(|rest| rest[..rest.find('\'').unwrap()].to_owned());
    texts.collect()
}

#[tokio::test]
async fn every_label_that_the_console_shows_is_a_heading() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/pages/console");
    let messages = std::fs::read_to_string(root.join("messages.js")).unwrap();
    let server = TestServer::start().await;
    server.open_event().await;
    let keys = [
        "prizeName",
        "grade",
        "rank",
        "quantity",
        "mode",
        "winnerCount",
        "showLength",
        "repeatWinners",
        "needsAddress",
        "groupOnly",
        "picture",
    ];
    for language in [0, 1] {
        let label = |key: &str| {
            let labels = labels(&messages, key);
            assert_eq!(labels.len(), 2, "{key} has a text per language");
            labels[language].clone()
        };
        for mode in ["slot", "card", "network", "list"] {
            let headings: Vec<_> = keys.map(|key| format!("\"{}\"", label(key))).into();
            let values = format!("TV,1등,1,1,{},1,9초,,,VIP,", label(&format!("mode_{mode}")));
            let answer = import(&server, "?preview=1", format!("{}\n{values}\n", headings.join(","))).await.ok();
            assert_eq!(answer["errors"], json!([]), "{headings:?} {values}");
            let prize = &answer["prizes"][0];
            let read = (&prize["draw_mode"], &prize["show_seconds"], &prize["group"]);
            assert_eq!(read, (&json!(mode), &json!(9), &json!("VIP")));
        }
    }
}

#[test]
fn every_problem_has_its_remedy_in_both_languages() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/pages/console/import-messages.js");
    let messages = std::fs::read_to_string(path).unwrap();
    let codes = Problem::ALL.map(Problem::code).into_iter().chain(TableError::ALL.map(TableError::code));
    for code in codes {
        assert_eq!(messages.matches(&format!(" problem_{code}: ")).count(), 2, "{code}");
    }
}

#[tokio::test]
async fn the_template_imports_as_it_is() {
    let server = TestServer::start().await;
    server.open_event().await;
    for language in ["ko", "en"] {
        let template = server.admin(Method::GET, &format!("prizes/template.xlsx?lang={language}")).await;
        let answer = import(&server, "?preview=1", template.body.to_vec()).await.ok();
        assert_eq!((&answer["error_count"], &answer["count"]), (&json!(0), &json!(3)), "{answer}");
    }
    server.admin(Method::GET, "prizes/template.xlsx?lang=fr").await.expect_refusal(422, "INVALID_REQUEST");
}
