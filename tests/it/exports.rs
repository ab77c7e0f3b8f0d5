//! Exports: for admins only; typed text stays text in a spreadsheet, and unmasked details are
//! audited.

use crate::event_steps::{EVENT, prize};
use crate::test_server::TestServer;
use hyper::Method;
use serde_json::json;

/// The rows of a workbook's sheet.
fn sheet(workbook: &[u8], name: &str) -> Vec<Vec<String>> {
    let mut book: calamine::Xlsx<_> = calamine::Reader::new(std::io::Cursor::new(workbook)).unwrap();
    let range = calamine::Reader::worksheet_range(&mut book, name).unwrap();
    range.rows().map(|row| row.iter().map(ToString::to_string).collect()).collect()
}

#[tokio::test]
async fn winners_are_exported_as_files_that_spreadsheets_read_as_text() {
    let server = TestServer::start().await;
    server.open_event().await;
    let phone = server.register(1).await;
    let (draw, _) = server.whole_draw(&prize("=cmd|'/C calc'!A0")).await;
    let form = json!({"event_id": EVENT, "draw_id": draw, "name": "+홍길동", "phone": "01012345678", "consent": true});
    server.post("/winner-info").bearer(&phone.token).json(&form).await.ok();

    let masked = server.admin(Method::GET, "export.csv").await;
    assert!(
        masked.header("content-type").starts_with("text/csv") && masked.header("content-disposition").contains("winners.csv")
    );
    let text = String::from_utf8(masked.body.to_vec()).unwrap();
    assert!(text.starts_with("\u{feff}draw_id,") && text.contains("\r\n1,'=cmd|"), "{text}");
    assert!(text.contains(",'+홍길동,010-****-5678,"), "{text}");
    assert!(!server.admin_get("audit").await.to_string().contains("details_unmasked"));
    let whole = server.admin(Method::GET, "export.csv?unmask=1").await;
    assert!(String::from_utf8_lossy(&whole.body).contains(",010-1234-5678,"));
    assert!(server.admin_get("audit").await.to_string().contains("details_unmasked"));

    for (table, text) in [("participants", "1,2"), ("draws", "slot")] {
        let file = server.admin(Method::GET, &format!("export.csv?what={table}")).await;
        assert!(String::from_utf8_lossy(&file.body).contains(text), "{table}: {:?}", file.body);
    }
    server.admin(Method::GET, "export.csv?what=secrets").await.expect_refusal(422, "INVALID_REQUEST");
    let workbook = server.admin(Method::GET, "export.xlsx?unmask=1").await;
    let table = sheet(&workbook.body, "winners");
    assert_eq!(table[1][..7], ["1", "=cmd|'/C calc'!A0", "", "1", "1", "+홍길동", "01012345678"]);

    let link = server.admin_post("links", &json!({"role": "host"})).await.expect_data(201);
    let path = format!("/api/luckydraw/admin/{EVENT}/export.csv");
    server.request(Method::GET, &path).bearer(link["token"].as_str().unwrap()).await.expect_refusal(403, "FORBIDDEN");
}

#[tokio::test]
async fn an_export_has_the_words_and_the_local_time_of_its_reader() {
    let server = TestServer::start().await;
    server.open_event().await;
    let phone = server.register(1).await;
    let listed = json!({"prize_name": "TV", "prize_rank": 1, "prize_grade": "특별상", "quantity": 2, "draw_mode": "slot"});
    server.admin_post("prizes", &listed).await.expect_data(201);
    let (draw, _) = server.whole_draw(&prize("TV")).await;
    let form = json!({"event_id": EVENT, "draw_id": draw, "name": "홍길동", "phone": "01012345678", "consent": true});
    server.post("/winner-info").bearer(&phone.token).json(&form).await.ok();

    let workbook = server.admin(Method::GET, "export.xlsx?lang=ko&utc_offset_min=540").await;
    let winners = sheet(&workbook.body, "당첨자");
    let column = |heading: &str| winners[0].iter().position(|cell| cell == heading).unwrap_or_else(|| panic!("{:?}", winners[0]));
    assert_eq!((&*winners[1][column("경품명")], &*winners[1][column("등급")]), ("TV", "특별상"));
    let submitted = &winners[1][column("정보 제출 (UTC+09:00)")];
    let wire = server.admin_get("winners?all=1").await["winners"][0]["submitted_at"].as_str().unwrap().to_owned();
    let hour = |text: &str| text[11..13].parse::<u32>().unwrap();
    assert_eq!((hour(&wire) + 9) % 24, hour(submitted), "{wire} is {submitted} in Korea");
    assert_eq!((&wire[13..19], submitted.len()), (&submitted[13..19], "2026-11-28 19:03:07".len()));
    let draws = sheet(&workbook.body, "추첨 결과");
    assert!(draws[0].contains(&"등급".to_owned()) && draws[1].contains(&"슬롯머신".to_owned()), "{draws:?}");

    let english = server.admin(Method::GET, "export.csv?what=participants&lang=en&utc_offset_min=-210").await;
    let text = String::from_utf8(english.body.to_vec()).unwrap();
    assert!(text.starts_with("\u{feff}Number,Registered (UTC-03:30),May win,Group,Weight\r\n"), "{text}");
    assert!(text.contains(",Yes,"), "{text}");
    for wrong in ["lang=fr", "utc_offset_min=841", "utc_offset_min=x"] {
        server.admin(Method::GET, &format!("export.csv?{wrong}")).await.expect_refusal(422, "INVALID_REQUEST");
    }
}
