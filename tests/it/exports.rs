//! Exports: what leaves for a spreadsheet is text where people typed it, masked unless asked on record, and for admins only.

use crate::show::{EVENT, prize};
use crate::test_server::TestServer;
use hyper::Method;
use serde_json::json;

#[tokio::test]
async fn winners_leave_as_files_that_open_as_they_are_meant() {
    let house = TestServer::start().await;
    house.open_event().await;
    let phone = house.register(1).await;
    let (draw, _) = house.whole_draw(&prize("=cmd|'/C calc'!A0")).await;
    let form = json!({"event_id": EVENT, "draw_id": draw, "name": "+홍길동", "phone": "01012345678", "consent": true});
    house.post("/winner-info").bearer(&phone.token).json(&form).await.ok();

    let masked = house.admin(Method::GET, "export.csv").await;
    assert!(
        masked.header("content-type").starts_with("text/csv") && masked.header("content-disposition").contains("winners.csv")
    );
    let text = String::from_utf8(masked.body.to_vec()).unwrap();
    assert!(text.starts_with("\u{feff}draw_id,") && text.contains("\r\n1,'=cmd|"), "{text}");
    assert!(text.contains(",'+홍길동,010-****-5678,"), "{text}");
    assert!(!house.look("audit").await.to_string().contains("details_unmasked"));
    let whole = house.admin(Method::GET, "export.csv?unmask=1").await;
    assert!(String::from_utf8_lossy(&whole.body).contains(",010-1234-5678,"));
    assert!(house.look("audit").await.to_string().contains("details_unmasked"));

    for (what, holds) in [("participants", "1,2"), ("draws", "slot")] {
        let file = house.admin(Method::GET, &format!("export.csv?what={what}")).await;
        assert!(String::from_utf8_lossy(&file.body).contains(holds), "{what}: {:?}", file.body);
    }
    house.admin(Method::GET, "export.csv?what=secrets").await.refused(422, "INVALID_REQUEST");
    let workbook = house.admin(Method::GET, "export.xlsx?unmask=1").await;
    let table = luckydraw::sheet::table::read(&workbook.body).unwrap();
    assert_eq!(table.rows[1].cells[..6], ["1", "=cmd|'/C calc'!A0", "1", "1", "+홍길동", "01012345678"]);

    let link = house.order("links", &json!({"role": "host"})).await.granted(201);
    let path = format!("/api/luckydraw/admin/{EVENT}/export.csv");
    house.ask(Method::GET, &path).bearer(link["token"].as_str().unwrap()).await.refused(403, "FORBIDDEN");
}
