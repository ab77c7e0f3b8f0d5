//! The journal's views for a person with `sqlite3`: participants, draws and winners, and no secret.

use crate::event_steps::prize;
use crate::test_server::TestServer;
use rusqlite::{Connection, OpenFlags};
use serde_json::json;

/// Opens the journal read-only while the server runs.
fn open(server: &TestServer) -> Connection {
    Connection::open_with_flags(server.journal(), OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap()
}

fn views(journal: &Connection) -> Vec<String> {
    let mut select = journal.prepare("SELECT name FROM sqlite_schema WHERE type = 'view' ORDER BY name").unwrap();
    select.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// A view's rows as text, as a terminal shows them.
fn rows(journal: &Connection, view: &str) -> Vec<String> {
    let mut select = journal.prepare(&format!("SELECT * FROM {view}")).unwrap();
    let width = select.column_count();
    let row_text = |row: &rusqlite::Row<'_>| {
        let cells = (0..width).map(|column| match row.get_ref(column).unwrap() {
            rusqlite::types::ValueRef::Null => String::new(),
            rusqlite::types::ValueRef::Integer(number) => number.to_string(),
            rusqlite::types::ValueRef::Real(number) => number.to_string(),
            rusqlite::types::ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
            rusqlite::types::ValueRef::Blob(bytes) => data_encoding::HEXLOWER.encode(bytes),
        });
        Ok(cells.collect::<Vec<_>>().join("|"))
    };
    select.query_map([], row_text).unwrap().map(Result::unwrap).collect()
}

#[tokio::test]
async fn views_list_participants_draws_and_winners() {
    let server = TestServer::start().await;
    server.open_event().await;
    server.register_many(7).await;
    let (_, winners) = server.whole_draw(&prize("Television")).await;
    let journal = open(&server);
    for view in ["participants", "draws", "winners"] {
        assert!(views(&journal).iter().any(|name| name == view), "{view} is among {:?}", views(&journal));
    }
    assert_eq!(rows(&journal, "participants").len(), 7);
    let draws = rows(&journal, "draws");
    assert!(draws.len() == 1 && draws[0].contains("Television"), "{draws:?}");
    let won = rows(&journal, "winners");
    assert!(won.len() == 1 && won[0].split('|').any(|cell| cell == winners[0].to_string()), "{won:?} {winners:?}");
}

#[tokio::test]
async fn no_view_shows_a_pick_before_its_reveal() {
    let server = TestServer::start().await;
    server.open_event().await;
    server.register_many(3).await;
    let before: Vec<_> = views(&open(&server)).iter().map(|view| rows(&open(&server), view)).collect();
    server.start_draw(&json!({"prize_name": "All", "prize_rank": 1, "draw_mode": "card", "winner_count": 3})).await;
    let journal = open(&server);
    assert_eq!(rows(&journal, "winners").len(), 0);
    for (view, before) in views(&journal).iter().zip(before) {
        for row in rows(&journal, view).iter().filter(|row| !before.contains(row)) {
            for pick in ["1,2,3", "1,3,2", "2,1,3", "2,3,1", "3,1,2", "3,2,1"] {
                assert!(!row.replace([' ', '[', ']'], "").contains(pick), "{view} shows a pick: {row}");
            }
        }
    }
    server.admin_post("draw/reveal", &json!({})).await.ok();
    server.admin_post("draw/complete", &json!({})).await.ok();
    assert_eq!(rows(&open(&server), "winners").len(), 3, "the view shows it after the reveal");
}

#[tokio::test]
async fn only_its_owner_can_read_the_data_folder() {
    use std::os::unix::fs::PermissionsExt;
    let server = TestServer::start().await;
    server.open_event().await;
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&server.data_dir()), 0o700);
    let files = std::fs::read_dir(server.data_dir()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    for file in files {
        assert_eq!(mode(&file) & 0o077, 0, "{} is readable by others", file.display());
    }
}
