//! Exports: for admins only; typed text stays text in a spreadsheet, and unmasked details are
//! audited.

use crate::event_steps::{EVENT, prize};
use crate::test_server::TestServer;
use hyper::Method;
use serde_json::json;

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
    let table = luckydraw::sheet::table::read(&workbook.body).unwrap();
    assert_eq!(table.rows[1].cells[..6], ["1", "=cmd|'/C calc'!A0", "1", "1", "+홍길동", "01012345678"]);

    let link = server.admin_post("links", &json!({"role": "host"})).await.expect_data(201);
    let path = format!("/api/luckydraw/admin/{EVENT}/export.csv");
    server.request(Method::GET, &path).bearer(link["token"].as_str().unwrap()).await.expect_refusal(403, "FORBIDDEN");
}
