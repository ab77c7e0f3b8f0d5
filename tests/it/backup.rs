//! Backups and their restore: made during an event, compared row by row, and restored after a loss.

use crate::event_steps::{EVENT, Phone, prize, request_id};
use crate::http_client::Response;
use crate::test_server::{TIMEOUT, TestServer};
use hyper::Method;
use rusqlite::Connection;
use serde_json::{Value, json};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use tempfile::TempDir;

/// The output of a command, and whether it succeeded.
pub struct CommandOutput {
    text: String,
    succeeded: bool,
}

impl CommandOutput {
    /// Checks that it succeeded; returns its text.
    pub fn expect_success(self) -> String {
        assert!(self.succeeded, "{}", self.text);
        self.text
    }

    /// Checks that it failed with a message of these words.
    pub fn expect_failure(self, words: &[&str]) {
        assert!(!self.succeeded, "{}", self.text);
        words.iter().for_each(|word| assert!(self.text.contains(word), "{word}: {}", self.text));
        assert!(!self.text.contains("panicked"), "{}", self.text);
    }
}

/// Runs the program with these arguments over a data folder until it ends by itself.
pub fn run(data: &Path, arguments: &[&str]) -> CommandOutput {
    let mut command = Command::new("timeout");
    command.arg(TIMEOUT.as_secs().to_string()).arg(env!("CARGO_BIN_EXE_luckydraw")).args(arguments).env_clear();
    command.env("LUCKYDRAW_DATA_DIR", data).env("LUCKYDRAW_BIND", "127.0.0.1:0");
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    let output = command.output().unwrap();
    assert_ne!(output.status.code(), Some(124), "{arguments:?} did not end");
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    CommandOutput { text, succeeded: output.status.success() }
}

/// Runs the program while this test's server uses the folder.
pub async fn run_while_serving(data: &Path, arguments: &[&str]) -> CommandOutput {
    let (data, arguments) = (data.to_owned(), arguments.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
    let command = move || run(&data, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
    tokio::task::spawn_blocking(command).await.unwrap()
}

/// Makes a backup in `to`; returns its path.
pub async fn back_up(server: &TestServer, to: &Path) -> PathBuf {
    let output = run_while_serving(&server.data_dir(), &["backup", "--to", text(to)]).await.expect_success();
    PathBuf::from(output.lines().next().unwrap())
}

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn journal(folder: &Path) -> PathBuf {
    folder.join("luckydraw.sqlite")
}

/// Every row of every table of a journal, in the order of its key.
fn rows(path: &Path) -> Vec<(&'static str, Vec<rusqlite::types::Value>)> {
    let db = Connection::open(path).unwrap();
    let mut rows = Vec::new();
    for (table, order) in [("event", "key"), ("fact", "id"), ("details", "event, draw, number")] {
        let mut statement = db.prepare(&format!("SELECT * FROM {table} ORDER BY {order}")).unwrap();
        let columns = statement.column_count();
        let read = statement.query_map([], |row| (0..columns).map(|column| row.get(column)).collect::<Result<Vec<_>, _>>());
        rows.extend(read.unwrap().map(|row| (table, row.unwrap())));
    }
    rows
}

/// Runs SQL in a journal that no server uses.
fn alter(folder: &Path, sql: &str) {
    Connection::open(journal(folder)).unwrap().execute_batch(sql).unwrap();
}

/// The names in a folder.
fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Gives a server phones, an announced draw with a winner's details, and a draw that is started and
/// not revealed.
async fn begin_event(server: &TestServer) -> Vec<Phone> {
    server.open_event().await;
    let phones = server.register_many(12).await;
    let (draw, winners) = server.whole_draw(&prize("TV")).await;
    let winner = phones.iter().find(|phone| phone.number == winners[0]).unwrap();
    let form = json!({"event_id": EVENT, "draw_id": draw, "name": "홍길동", "phone": "010-1234-5678", "consent": true});
    server.post("/winner-info").bearer(&winner.token).json(&form).await.ok();
    server.start_draw(&prize("Car")).await;
    phones
}

/// The answers to a console and to the public that a restore must not change.
async fn answers(server: &TestServer) -> Vec<Value> {
    let mut answers = Vec::new();
    for path in ["draws", "participants", "winners?unmask=1", "winners?all=1"] {
        answers.push(server.admin_get(path).await);
    }
    answers.push(server.public("/results").await);
    let mut proof = server.public("/proof").await;
    // A restore begins another seed chain.
    proof["anchors"].as_array_mut().unwrap().truncate(1);
    answers.push(proof);
    answers
}

/// Checks that every phone has its number by its token and by its `request_id`.
async fn check_phones(server: &TestServer, phones: &[Phone]) {
    for (phone, index) in phones.iter().zip(1..) {
        let own = server.get(&format!("/my-number?event_id={EVENT}")).bearer(&phone.token).await.ok();
        assert_eq!(own["draw_number"].as_u64(), Some(phone.number));
        assert_eq!(server.register(index).await, *phone, "number, token and recovery code");
    }
}

async fn epoch(server: &TestServer, phone: &Phone) -> String {
    let mut socket = server.socket(EVENT, &format!("?token={}", phone.token)).await;
    socket.until("state_sync").await["epoch"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_backup_under_load_holds_every_earlier_row_and_a_restore_returns_them() {
    const PHONES: u64 = 300;
    let mut server = TestServer::start().await;
    begin_event(&server).await;
    let answered = Arc::new(AtomicU64::new(0));
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..10 {
        let request = |index| server.post("/register").json(&json!({"event_id": EVENT, "request_id": request_id(index)}));
        let requests: Vec<_> = (1_000 + client..1_000 + PHONES).step_by(10).map(request).collect();
        let answered = answered.clone();
        clients.spawn(async move {
            for request in requests {
                request.await.expect_data(201);
                answered.fetch_add(1, SeqCst);
            }
        });
    }
    crate::test_server::poll("some have registered", || (answered.load(SeqCst) > 20).then_some(())).await;
    let temp = tempfile::tempdir().unwrap();
    let backup = back_up(&server, &temp.path().join("copies")).await;
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    assert_eq!(
        server.admin_get("stats").await["participant_count"],
        12 + PHONES,
        "no registration was refused during the backup"
    );
    server.terminate();
    server.ended().await;

    let (copied, all) = (rows(&journal(&backup)), rows(&journal(&server.data_dir())));
    let of = |rows: &[(&'static str, Vec<_>)], table| rows.iter().filter(|row| row.0 == table).cloned().collect::<Vec<_>>();
    for table in ["event", "fact", "details"] {
        let (copied, all) = (of(&copied, table), of(&all, table));
        assert!(!copied.is_empty() && all.starts_with(&copied), "{table}: {} of {} rows", copied.len(), all.len());
    }
    assert!(of(&copied, "fact").len() > 12 + 20, "it holds the registrations answered before it");

    let fresh = temp.path().join("data");
    run(&fresh, &["restore", text(&backup)]).expect_success();
    let (restored, new): (Vec<_>, Vec<_>) = rows(&journal(&fresh)).into_iter().partition(|row| copied.contains(row));
    assert_eq!(restored, copied);
    assert_eq!(new.len(), 2 * of(&copied, "event").len(), "and a new epoch and a new seed chain per event");
}

#[tokio::test]
async fn a_restore_after_the_loss_of_the_folder_changes_only_the_epoch() {
    let mut server = TestServer::start().await;
    let phones = begin_event(&server).await;
    let link = server.admin(Method::POST, "links").json(&json!({"role": "staff"})).await.expect_data(201);
    let (before, old_epoch) = (answers(&server).await, epoch(&server, &phones[0]).await);
    let temp = tempfile::tempdir().unwrap();
    let backup = back_up(&server, temp.path()).await;
    let modes = ["", "luckydraw.sqlite", "secret.key"].map(|name| mode(&backup.join(name)));
    assert_eq!(modes, [0o700, 0o600, 0o600]);
    server.kill();
    std::fs::remove_dir_all(server.data_dir()).unwrap();

    let output = run(&server.data_dir(), &["restore", text(&backup)]).expect_success();
    assert!(output.contains(&format!("{EVENT}: 12 participants, 2 draws")), "{output}");
    server.restart().await;
    assert_eq!(answers(&server).await, before);
    check_phones(&server, &phones).await;
    let new_epoch = epoch(&server, &phones[0]).await;
    assert_ne!(new_epoch, old_epoch);
    let mut phone = server.socket(EVENT, &format!("?token={}&since=1&epoch={old_epoch}", phones[0].token)).await;
    phone.until("state_sync").await;
    assert!(phone.numbered().is_empty(), "frames of the old epoch are not sent again");
    let token = link["token"].as_str().unwrap();
    server.get(&format!("/admin/{EVENT}/participants")).bearer(token).await.ok();
    // The pick from before the loss is revealed after it.
    server.admin_post("draw/reveal", &json!({})).await.ok();
    server.kill();
    server.restart().await;
    assert_eq!(epoch(&server, &phones[0]).await, new_epoch, "a restart changes no epoch");
    assert!(server.admin_get("audit").await.to_string().contains("epoch_renewed"));
}

#[tokio::test]
async fn a_spare_machine_takes_over_with_one_file() {
    let server = TestServer::start().await;
    let mut picture = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(8, 8).write_to(&mut picture, image::ImageFormat::Png).unwrap();
    let first = picture.into_inner();
    let phones = begin_event(&server).await;
    let stored = server.admin(Method::POST, "images").body("image/png", first).await.ok();
    let path = stored["prize_image"].as_str().unwrap().to_owned();
    let listed = json!({"prize_name": "Tea", "prize_rank": 3, "quantity": 1, "prize_image": path});
    server.admin_post("prizes", &listed).await.expect_data(201);
    let link = server.admin(Method::POST, "links").json(&json!({"role": "staff"})).await.expect_data(201);
    let temp = tempfile::tempdir().unwrap();
    let file = temp.path().join("gala.luckydraw");
    let output = run_while_serving(&server.data_dir(), &["export", EVENT, "--to", text(&file)]).await.expect_success();
    assert!(output.contains("12 participants, 2 draws, 1 winners' details, 1 images"), "{output}");
    assert_eq!((mode(&file), names(temp.path())), (0o600, vec!["gala.luckydraw".to_owned()]));
    run_while_serving(&server.data_dir(), &["export", "nobody", "--to", text(&temp.path().join("x"))])
        .await
        .expect_failure(&["no event nobody"]);
    let (before, old_epoch, shown) = (answers(&server).await, epoch(&server, &phones[0]).await, image(&server, &path).await.body);
    let claim = claim_code(&server, &phones).await;

    let mut spare = TestServer::start().await;
    run_while_serving(&spare.data_dir(), &["import", text(&file)]).await.expect_failure(&["in use by process", "stop it first"]);
    spare.terminate();
    spare.ended().await;
    run(&spare.data_dir(), &["import", text(&file)]).expect_success();
    run(&spare.data_dir(), &["import", text(&file)]).expect_failure(&[EVENT, "is there already", "--as"]);
    run(&spare.data_dir(), &["import", text(&file), "--as", "copy"]).expect_success();
    spare.restart().await;
    assert_eq!(answers(&spare).await, before, "history, proof and details");
    let anchors = spare.public("/proof").await["anchors"].clone();
    assert_eq!(anchors.as_array().unwrap().len(), 2, "the seeds of the other server are not used again: {anchors}");
    check_phones(&spare, &phones).await;
    assert_ne!(epoch(&spare, &phones[0]).await, old_epoch);
    assert_eq!(image(&spare, &path).await.body, shown);
    assert_eq!(claim_code(&spare, &phones).await, claim, "the code on a winner's screen stays valid");
    spare.get(&format!("/admin/{EVENT}/participants")).bearer(link["token"].as_str().unwrap()).await.ok();
    let copied = spare.get("/admin/copy/draws").admin().await.ok();
    assert_eq!(copied["total_count"], before[0]["total_count"], "and once more under another name");
    let newcomer = spare.register(500).await;
    assert_eq!((newcomer.number, spare.register(500).await), (13, newcomer.clone()));
    spare.admin_post("draw/reveal", &json!({})).await.ok();

    // A third machine, which has never run, takes over from here.
    let onward = temp.path().join("onward.luckydraw");
    run_while_serving(&spare.data_dir(), &["export", EVENT, "--to", text(&onward)]).await.expect_success();
    spare.kill();
    std::fs::remove_dir_all(spare.data_dir()).unwrap();
    run(&spare.data_dir(), &["import", text(&onward)]).expect_success();
    spare.restart().await;
    check_phones(&spare, &phones).await;
}

/// The claim code of the first of these phones that has won.
async fn claim_code(server: &TestServer, phones: &[Phone]) -> Value {
    for phone in phones {
        let asked = server.get(&format!("/check-winner?event_id={EVENT}&draw_number={}", phone.number)).bearer(&phone.token);
        let checked = asked.await.ok();
        if checked["won"] == true {
            assert!(checked["prizes"][0]["claim_code"].is_string(), "{checked}");
            return checked["prizes"][0]["claim_code"].clone();
        }
    }
    panic!("nobody has won");
}

async fn image(server: &TestServer, path: &str) -> Response {
    let answer = server.request(Method::GET, path).await;
    assert_eq!(answer.status, 200);
    answer
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// A server that has stopped during an event, with a backup of it.
async fn stopped() -> (TestServer, TempDir, PathBuf) {
    let mut server = TestServer::start().await;
    begin_event(&server).await;
    let temp = tempfile::tempdir().unwrap();
    let backup = back_up(&server, temp.path()).await;
    server.terminate();
    server.ended().await;
    (server, temp, backup)
}

/// Overwrites the last page of a journal, since the first ones are read before all others.
fn damage(path: &Path) {
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    let len = file.metadata().unwrap().len();
    file.write_all_at(&[0xff; 4_096], len - 4_096).unwrap();
}

#[tokio::test]
async fn a_damaged_journal_is_refused_and_a_restore_repairs_it() {
    let (mut server, _temp, backup) = stopped().await;
    let data = server.data_dir();
    damage(&journal(&data));
    let damaged = std::fs::read(journal(&data)).unwrap();
    run(&data, &[]).expect_failure(&["damaged", "luckydraw restore"]);
    run(&data, &["backup"]).expect_failure(&["damaged", "luckydraw restore"]);
    assert_eq!(names(&data.join("backups")), ["luckydraw.lock"], "nothing half-made is left");
    run(&data, &["export", EVENT]).expect_failure(&["damaged", "luckydraw restore"]);
    let output = run(&data, &["restore", text(&backup)]).expect_success();
    let aside = PathBuf::from(output.lines().last().unwrap().split(" kept in ").nth(1).unwrap());
    assert_eq!(std::fs::read(journal(&aside)).unwrap(), damaged, "the damaged journal is kept as it was");
    server.restart().await;
    assert_eq!(server.admin_get("stats").await["participant_count"], 12);
}

#[tokio::test]
async fn an_unusable_backup_changes_nothing() {
    let (mut server, temp, backup) = stopped().await;
    let data = server.data_dir();
    let export = temp.path().join("one.luckydraw");
    run(&data, &["export", EVENT, "--to", text(&export)]).expect_success();
    run(&data, &["export", EVENT, "--to", text(&export)]).expect_failure(&["exists", "--to"]);
    // Rows first: reading them removes the side files that a plain open may leave.
    let contents = || {
        let rows = rows(&journal(&data));
        (names(&data), rows)
    };
    let before = contents();
    let expect_refused = |from: &Path, words: &[&str]| {
        run(&data, &["restore", text(from)]).expect_failure(words);
        assert_eq!(contents(), before, "{words:?}");
    };
    expect_refused(&temp.path().join("nowhere"), &["neither a backup's folder nor a copy", "choose another"]);
    let text_file = temp.path().join("poem.txt");
    std::fs::write(&text_file, "text of the length of a database header, which is a hundred bytes, and of a few lines more")
        .unwrap();
    expect_refused(&text_file, &["cannot be put back", "nothing was changed", "choose another backup"]);
    let other = temp.path().join("other.sqlite");
    Connection::open(&other).unwrap().execute_batch("CREATE TABLE other (id)").unwrap();
    expect_refused(&other, &["choose another backup", "no journal of luckydraw"]);
    expect_refused(&export, &["luckydraw import"]);

    let damaged_backup = |name: &str, how: &dyn Fn(&Path)| {
        let folder = temp.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        for name in ["luckydraw.sqlite", "secret.key"] {
            std::fs::copy(backup.join(name), folder.join(name)).unwrap();
        }
        how(&folder);
        folder
    };
    expect_refused(&damaged_backup("torn", &|folder| damage(&journal(folder))), &["choose another backup", "damaged"]);
    expect_refused(
        &damaged_backup("keyless", &|folder| std::fs::write(folder.join("secret.key"), [7; 32]).unwrap()),
        &["secret.key does not belong"],
    );
    let newer = "UPDATE meta SET value = 99 WHERE name = 'schema'";
    expect_refused(&damaged_backup("newer", &|folder| alter(folder, newer)), &["schema 99", "newer program"]);
    let orphan = "UPDATE fact SET body = replace(body, '\"number\":3,', '\"number\":2,') WHERE kind = 'registered'";
    let contradicting = damaged_backup("contradicting", &|folder| alter(folder, orphan));
    assert!(!run(&data, &["restore", text(&contradicting)]).succeeded, "two participants with one number");
    assert_eq!(contents(), before);

    run(&data, &["import", "/nowhere/gala.luckydraw"]).expect_failure(&["luckydraw: /nowhere/gala.luckydraw cannot be used"]);
    run(&data, &["import", text(&text_file)]).expect_failure(&["no export of luckydraw", "luckydraw restore"]);
    damage(&export);
    run(&data, &["import", text(&export), "--as", "other"]).expect_failure(&["nothing was changed", "export the event again"]);
    server.restart().await;
    assert_eq!(server.admin_get("stats").await["participant_count"], 12);
}

#[tokio::test]
async fn a_folder_of_another_version_is_refused_with_advice() {
    let (mut server, _temp, backup) = stopped().await;
    let data = server.data_dir();
    for (change, words) in [
        ("UPDATE meta SET value = 2 WHERE name = 'schema'", ["newer program", "luckydraw restore"]),
        ("UPDATE fact SET v = 77 WHERE id = 2", ["version 77", "luckydraw restore"]),
        ("UPDATE fact SET kind = 'levitated' WHERE id = 2", ["levitated", "luckydraw restore"]),
    ] {
        alter(&data, change);
        run(&data, &[]).expect_failure(&words);
        run(&data, &["restore", text(&backup)]).expect_success();
    }
    server.restart().await;
    assert_eq!(server.admin_get("stats").await["participant_count"], 12);
}

#[tokio::test]
async fn a_folder_serves_one_server_and_backups_beside_it() {
    let server = TestServer::start().await;
    server.open_event().await;
    let data = server.data_dir();
    run_while_serving(&data, &[]).await.expect_failure(&["in use by process", "stop it first, or choose another folder"]);
    let temp = tempfile::tempdir().unwrap();
    let backup = back_up(&server, temp.path()).await;
    run_while_serving(&data, &["restore", text(&backup)]).await.expect_failure(&["in use by process", "stop it first"]);
    assert_eq!(server.admin_get("stats").await["participant_count"], 0, "it is unaffected");
    run(&temp.path().join("nothing"), &["backup"]).expect_failure(&["holds no journal", "--data-dir"]);
}

#[tokio::test]
async fn a_restore_that_was_cut_short_is_detected_and_repeated() {
    let (mut server, _temp, backup) = stopped().await;
    let data = server.data_dir();
    // The state between the move of the old journal and that of the new one.
    std::fs::rename(journal(&data), data.join("moved-away")).unwrap();
    std::fs::create_dir(data.join("restore.swap")).unwrap();
    run(&data, &[]).expect_failure(&["cut short", "luckydraw restore"]);
    assert!(!journal(&data).exists(), "no empty event was begun");
    run(&data, &["restore", text(&backup)]).expect_success();
    server.restart().await;
    assert_eq!(server.admin_get("stats").await["participant_count"], 12);
}

#[tokio::test]
async fn a_copy_from_before_a_deletion_comes_back_with_the_folders_own_key() {
    let mut server = TestServer::start().await;
    begin_event(&server).await;
    server.request(Method::DELETE, &format!("/api/luckydraw/admin/events/{EVENT}")).admin().await.ok();
    let copies = server.get("/admin/demo/backup").admin().await.ok();
    let copy = copies["backups"].as_array().unwrap().iter().find(|copy| copy["cause"] == "before_delete").unwrap().clone();
    server.terminate();
    server.ended().await;
    let path = server.data_dir().join("backups").join(copy["name"].as_str().unwrap());
    run(&server.data_dir(), &["restore", text(&path)]).expect_success();
    server.restart().await;
    assert_eq!(server.admin_get("winners?unmask=1").await["winners"][0]["name"], "홍길동");
}

#[tokio::test]
async fn the_console_and_the_doctor_say_when_the_details_in_a_backup_go() {
    let server = TestServer::start().await;
    begin_event(&server).await;
    let sealed: Vec<u8> = Connection::open(journal(&server.data_dir()))
        .unwrap()
        .query_row("SELECT sealed FROM details", [], |row| row.get(0))
        .unwrap();
    let made = server.admin(Method::POST, "backup").await.expect_data(201);
    let submitted = server.admin_get("winners").await["winners"][0]["submitted_at"].as_str().unwrap().to_owned();
    let goes_at = made["details_go_at"].as_str().unwrap();
    assert!(
        goes_at > submitted.as_str() && goes_at[10..] == submitted[10..],
        "a whole number of days after {submitted}: {goes_at}"
    );
    assert_eq!(server.admin_get("backup").await["backups"][0]["details_go_at"], goes_at);
    let report = run_while_serving(&server.data_dir(), &["doctor"]).await.text;
    let name = made["name"].as_str().unwrap();
    assert!(report.contains(&format!("winners' details in backups/{name}/luckydraw.sqlite go from {goes_at}")), "{report}");

    server.admin_post("reset", &json!({"reset_participants": true})).await.ok();
    let empty = server.admin(Method::POST, "backup").await.expect_data(201);
    assert_eq!(empty["details_go_at"], Value::Null);
    std::fs::remove_dir_all(server.data_dir().join("backups").join(name)).unwrap();
    assert!(!server.data_holds(&sealed), "the reset left no byte of them outside the copies");
}

#[tokio::test]
async fn a_console_makes_and_lists_backups_and_old_ones_are_removed() {
    let server = TestServer::start_with(&[("LUCKYDRAW_BACKUP_KEEP", "2")]).await;
    begin_event(&server).await;
    assert_eq!(server.admin_get("backup").await, json!({"backups": [], "total_count": 0}));
    let mut made = Vec::new();
    for _ in 0..3 {
        made.push(server.admin(Method::POST, "backup").await.expect_data(201));
    }
    assert!(made.iter().all(|made| made["verified"] == true && made["cause"] == "asked" && made["bytes"].as_u64() > Some(4_096)));
    let listed = server.admin_get("backup").await;
    let named = |list: &Value| list["backups"].as_array().unwrap().iter().map(|one| one["name"].clone()).collect::<Vec<_>>();
    assert_eq!(named(&listed), [made[2]["name"].clone(), made[1]["name"].clone()], "the newest first, and only two remain");
    server.request(Method::POST, &format!("/api/luckydraw/admin/{EVENT}/backup")).await.expect_refusal(401, "UNAUTHORIZED");

    let plain = server.admin_post("reset", &json!({"reset_draws": false})).await.ok();
    assert_eq!(plain["backup"], Value::Null);
    let reset = server.admin_post("reset", &json!({"reset_participants": true, "backup": true})).await.ok();
    let copy = server.data_dir().join("backups").join(reset["backup"].as_str().unwrap());
    let count = "SELECT count(*) FROM fact WHERE kind = 'reset'";
    let resets: i64 = Connection::open(journal(&copy)).unwrap().query_row(count, [], |row| row.get(0)).unwrap();
    assert_eq!(resets, 0, "it was made before anything was cleared");

    server.admin_post("phase", &json!({"phase": "drawing"})).await.ok();
    let phase_copies = || names(&server.data_dir().join("backups")).iter().filter(|name| is_named(name, "phase")).count();
    crate::test_server::poll("the new phase is backed up", || (phase_copies() == 1).then_some(())).await;
    for _ in 0..3 {
        run_while_serving(&server.data_dir(), &["backup", "--keep", "1"]).await.expect_success();
    }
    let asked = names(&server.data_dir().join("backups")).into_iter().filter(|name| is_named(name, "asked")).count();
    assert_eq!(asked, 1);
}

/// True for the name of a finished backup of that cause.
fn is_named(name: &str, cause: &str) -> bool {
    let made_at = name.strip_prefix(cause).and_then(|rest| rest.strip_prefix('-'));
    made_at.is_some_and(|made_at| made_at.bytes().all(|b| b.is_ascii_digit()))
}

#[tokio::test]
async fn a_failed_backup_leaves_no_file_and_fails_the_call_that_requires_it() {
    let server = TestServer::start().await;
    begin_event(&server).await;
    server.limit_files(Some(16_384));
    server.admin(Method::POST, "backup").await.expect_refusal(503, "NOT_DURABLE");
    server.admin_post("reset", &json!({"reset_participants": true, "backup": true})).await.expect_refusal(503, "NOT_DURABLE");
    assert_eq!(names(&server.data_dir().join("backups")), ["luckydraw.lock"]);
    server.limit_files(None);
    assert_eq!(server.admin_get("stats").await["participant_count"], 12, "nothing was cleared");
    server.admin(Method::POST, "backup").await.expect_data(201);
}
