//! The load tester can be trusted: it passes an honest server, and names what is wrong with any other.
//!
//! The tester is the real binary against the real server, at a fiftieth of the plan's times, with a [`Meddler`] between them that does one
//! thing wrong at a time.

use crate::meddler::{Meddler, Mischief};
use crate::test_server::{ADMIN_TOKEN, TestServer};
use serde_json::Value;
use std::net::SocketAddr;
use std::process::Output;
use std::time::Duration;
use tokio::process::Command;
use tokio::time::timeout;

/// How long one run may take, on a machine that is busy.
const RUN_MAX: Duration = Duration::from_secs(120);

/// What a run came to.
struct Run {
    code: Option<i32>,
    said: String,
    summary: Value,
    /// `report.html`
    page: String,
    files: Vec<String>,
}

impl Run {
    /// Insists that the criterion on this metric was missed, and that the report says so in these words.
    fn names(&self, metric: &str, words: &str) {
        assert_eq!(self.code, Some(99), "{}", self.said);
        let judgements = self.summary["scenarios"][0]["judgements"].as_array().unwrap();
        let grade = &judgements.iter().find(|judgement| judgement["metric"] == metric).unwrap()["grade"];
        assert!(grade == "missed" || grade == "tolerable", "{metric} is {grade}: {}", self.said);
        assert!(self.said.contains(words), "{words:?} is said: {}", self.said);
    }
}

/// `full-scenario`
async fn drawload(address: SocketAddr, arguments: &[&str]) -> Run {
    drawload_as("full-scenario", address, arguments).await
}

async fn drawload_as(subcommand: &str, address: SocketAddr, arguments: &[&str]) -> Run {
    let out = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_drawload"));
    command.env_clear().env("LUCKYDRAW_ADMIN_TOKEN", ADMIN_TOKEN).kill_on_drop(true);
    command.arg(subcommand).args(["--host", &address.to_string()]);
    command.arg("--out").arg(out.path()).args(arguments);
    let Output { status, stdout, stderr } = timeout(RUN_MAX, command.output()).await.expect("the tester ends").unwrap();
    let said = String::from_utf8([stdout, stderr].concat()).unwrap();
    let summary =
        std::fs::read(out.path().join("summary.json")).map_or(Value::Null, |text| serde_json::from_slice(&text).unwrap());
    if !summary.is_null() {
        let schema = serde_json::from_str(include_str!("../../src/bin/drawload/summary.schema.json")).unwrap();
        assert_eq!(misfits(&schema, &schema, &summary, "summary"), Vec::<String>::new());
    }
    let page = std::fs::read_to_string(out.path().join("report.html")).unwrap_or_default();
    let mut files: Vec<_> =
        std::fs::read_dir(out.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    Run { code: status.code(), said, summary, page, files }
}

/// A run with somebody on the line.
async fn meddled(mischief: Mischief, arguments: &[&str]) -> Run {
    let house = TestServer::start().await;
    let meddler = Meddler::before(house.address, mischief).await;
    drawload(meddler.address, arguments).await
}

/// Scenario b with 30 users and 10 draws: 31 sockets hear 40 numbered frames each.
const DRAWS: &[&str] = &["--scenario", "b", "--users", "30", "--prizes", "10", "--time-scale", "0.02"];

/// Scenario c, as large.
const MIXED: &[&str] = &["--scenario", "c", "--users", "30", "--prizes", "10", "--time-scale", "0.02"];

#[tokio::test]
async fn an_honest_server_passes_every_scenario() {
    let house = TestServer::start().await;
    let pid = house.pid().to_string();
    let arguments = ["--scenario", "all", "--users", "30", "--prizes", "10", "--time-scale", "0.005", "--pid", &pid];
    let run = drawload(house.address, &arguments).await;
    assert_eq!(run.code, Some(0), "{}", run.said);
    let scenarios = run.summary["scenarios"].as_array().unwrap();
    assert_eq!(scenarios.len(), 4);
    for (scenario, frames) in scenarios.iter().zip([0.0, 1_240.0, 1_240.0, 0.0]) {
        let metric = |name: &str| scenario["metrics"][name].as_f64();
        assert_eq!(metric("register.count"), Some(30.0));
        let (expected, received) = (metric("delivery.expected").unwrap(), metric("delivery.received"));
        assert_eq!(received, Some(expected), "{}", scenario["what"]);
        // On a busy machine a phone comes when the show has begun, and is owed what follows.
        assert!(expected <= frames && expected >= frames * 0.8, "{expected} frames: {}", scenario["what"]);
        assert!(metric("server.rss_peak_mb").unwrap() > 1.0);
    }
}

#[tokio::test]
async fn a_line_that_nobody_meddles_with_passes() {
    let run = meddled(Mischief::None, MIXED).await;
    assert_eq!(run.code, Some(0), "{}", run.said);
    assert_eq!(run.summary["scenarios"][0]["faults"], serde_json::json!([]));
    for file in
        ["c.api.hgrm", "c.draw.delivery.hgrm", "env.json", "failures.csv", "report.html", "summary.json", "timeseries.csv"]
    {
        assert!(run.files.iter().any(|name| name == file), "{file} is among {:?}", run.files);
    }
    assert!(run.page.contains("통과 PASS") && run.page.contains("<polyline"));
    assert_eq!(run.page.matches("<circle").count(), 0, "nothing was lost");
    for outside in ["src=", "url(", "@import", "<script", "<link", "http-equiv=\"refresh"] {
        assert!(!run.page.contains(outside), "the page asks for nothing: {outside}");
    }
    assert!(run.page.split("href=\"").skip(1).all(|link| link.starts_with('#')), "links lead within the page");
    assert!(run.page.contains("default-src 'none'"), "and it may not ask for anything");
    for both in ["부하 시험 보고서", "Load test report", "추첨 × 폰", "draws × phones"] {
        assert!(run.page.contains(both), "{both}");
    }
}

#[tokio::test]
async fn one_lost_frame_is_named() {
    let run = meddled(Mischief::DropFrame(601), DRAWS).await;
    run.names("delivery.lost", "never heard seq");
    assert_eq!(run.page.matches("<circle").count(), 1, "one lost frame is one visible dot");
}

#[tokio::test]
async fn one_doubled_frame_is_named() {
    meddled(Mischief::DoubleFrame(601), DRAWS).await.names("delivery.doubled", "twice");
}

#[tokio::test]
async fn two_swapped_frames_are_named() {
    meddled(Mischief::SwapFrames(601), DRAWS).await.names("delivery.reordered", " after seq ");
}

#[tokio::test]
async fn late_frames_miss_a_threshold_on_the_spread() {
    let arguments = [DRAWS, &["--threshold", "draw.spread.p99<500ms"]].concat();
    let run = meddled(Mischief::DelayEvery(20), &arguments).await;
    // Where this machine is so busy that the tester calls itself the bottleneck, it says that the time was missed and voids it.
    let limited = run.summary["scenarios"][0]["tester"]["limited_by"] != serde_json::json!([]);
    assert_eq!(run.code, Some(if limited { 4 } else { 99 }), "{}", run.said);
    let judgements = run.summary["scenarios"][0]["judgements"].as_array().unwrap();
    let spread = judgements.iter().find(|judgement| judgement["metric"] == "draw.spread.p99").unwrap();
    assert_eq!(spread["grade"], "missed", "{}", run.said);
}

#[tokio::test]
async fn answers_turned_into_errors_are_named() {
    meddled(Mischief::FailEvery(50), MIXED).await.names("errors.percent", ": 500");
}

#[tokio::test]
async fn refused_upgrades_are_named() {
    let arguments = ["--scenario", "a", "--users", "60", "--time-scale", "0.02"];
    meddled(Mischief::RefuseEvery(50), &arguments).await.names("ws.success.percent", "503");
}

#[tokio::test]
async fn another_winner_on_one_phone_is_named() {
    meddled(Mischief::ChangeWinner(130), DRAWS).await.names("delivery.contradicted", "others heard something else");
}

#[tokio::test]
async fn another_winner_on_every_phone_is_held_against_the_history() {
    meddled(Mischief::ChangeWinners, DRAWS).await.names("winners.wrong", "the history says");
}

#[tokio::test]
async fn sockets_on_which_nothing_is_heard_do_not_pass() {
    let arguments = ["--scenario", "a", "--users", "20", "--time-scale", "0.02"];
    meddled(Mischief::Silence, &arguments).await.names("ws.ungreeted", "ws.ungreeted");
}

#[tokio::test]
async fn what_cannot_run_says_why() {
    let house = TestServer::start().await;
    let nobody = drawload(SocketAddr::from(([127, 0, 0, 1], 1)), &["--scenario", "a", "--users", "1"]).await;
    assert_eq!(nobody.code, Some(3), "{}", nobody.said);
    let stranger = drawload(house.address, &["--scenario", "a", "--admin-token", "not-the-token-of-this-house"]).await;
    assert_eq!((stranger.code, stranger.said.contains("--admin-token")), (Some(3), true), "{}", stranger.said);
    let two_tokens = drawload(house.address, &["--admin-token", "one-token-of-two", "--admin-token-file", "/dev/null"]).await;
    assert_eq!(two_tokens.code, Some(64), "{}", two_tokens.said);
    let no_metric = drawload(house.address, &["--threshold", "speed<1ms"]).await;
    assert_eq!((no_metric.code, no_metric.said.contains("no metric speed")), (Some(64), true), "{}", no_metric.said);
    let greedy = drawload(house.address, &["--users", "3", "--prizes", "4"]).await;
    assert_eq!(greedy.code, Some(64), "{}", greedy.said);
}

#[tokio::test]
async fn sockets_alone_and_calls_alone_are_judged_by_what_they_do() {
    let house = TestServer::start().await;
    let tests: [(&[&str], &str, f64, &str); 4] = [
        (&["websocket-test", "--ramp-up", "0.5"], "ws.handshake.p95", 0.0, "ws.ungreeted"),
        (&["http-test", "--scenario", "registration"], "register.p95", 20.0, "numbers.lost"),
        (&["http-test", "--scenario", "draw", "--prizes", "5"], "draw.complete.p95", 20.0, "winners.wrong"),
        (&["http-test", "--scenario", "mixed", "--prizes", "5"], "winner_info.p95", 20.0, "answers.wrong"),
    ];
    for (words, measured, registered, judged) in tests {
        let arguments = [&words[1..], &["--users", "20", "--duration", "2"]].concat();
        let run = drawload_as(words[0], house.address, &arguments).await;
        let scenario = &run.summary["scenarios"][0];
        assert!(scenario["metrics"][measured].as_f64().is_some_and(|ms| ms > 0.0), "{words:?}: {}", run.said);
        assert_eq!(scenario["metrics"]["register.count"], registered, "{words:?}");
        let judgements = scenario["judgements"].as_array().unwrap();
        assert!(judgements.iter().any(|judgement| judgement["metric"] == judged), "{words:?}: {}", run.said);
        // At the plan's own pace its times are judged as well, and this machine may be busy: what is asserted does not hang on them.
        assert!(judgements.iter().all(|judgement| judgement["origin"] != "must" || judgement["grade"] == "good"), "{}", run.said);
        assert_eq!(scenario["failures"], serde_json::json!([]), "{words:?}");
    }
}

#[tokio::test]
async fn an_event_that_is_there_is_tested_without_the_admin_token() {
    let house = TestServer::start().await;
    let arguments = [
        "--event-id",
        "demo",
        "--admin-token",
        "not-the-token-of-this-house",
        "--users",
        "5",
        "--duration",
        "1",
        "--ramp-up",
        "0.2",
    ];
    let run = drawload_as("websocket-test", house.address, &arguments).await;
    let judgements = run.summary["scenarios"][0]["judgements"].as_array().unwrap_or_else(|| panic!("{}", run.said));
    assert!(judgements.iter().all(|judgement| judgement["origin"] != "must" || judgement["grade"] == "good"), "{}", run.said);
    assert_eq!(run.summary["scenarios"][0]["event_id"], "demo");
}

#[tokio::test]
async fn a_run_is_held_against_an_earlier_one() {
    let folder = tempfile::tempdir().unwrap();
    let run = |name: &str, p95: f64, limited_by: &[&str]| {
        let scenario =
            serde_json::json!({"scenario": "a", "metrics": {"register.p95": p95}, "tester": {"limited_by": limited_by}});
        let path = folder.path().join(name);
        std::fs::write(&path, serde_json::json!({"format": "drawload/1", "scenarios": [scenario]}).to_string()).unwrap();
        path
    };
    let (early, slower, void) = (run("early", 10.0, &[]), run("slower", 13.0, &[]), run("void", 10.0, &["it was busy"]));
    let compare = async |before: &std::path::Path, after: &std::path::Path, limit: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_drawload"));
        command.env_clear().kill_on_drop(true).arg("compare").args([before, after]).args(["--fail-if", limit]);
        let output = timeout(RUN_MAX, command.output()).await.expect("it ends").unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, said) = compare(&early, &slower, "register.p95>+20%").await;
    assert!(code == Some(99) && said.contains("+30.0 %  TOO MUCH"), "{code:?} {said}");
    assert_eq!(compare(&early, &slower, "register.p95>+40%").await.0, Some(0));
    assert_eq!(compare(&slower, &early, "register.p95>+0%").await.0, Some(0));
    assert_eq!(compare(&early, &early, "api.p95>+1%").await.0, Some(99), "what was not measured is not taken for good");
    assert_eq!(compare(&early, &void, "register.p95>+20%").await.0, Some(4));
    assert_eq!(compare(&early, &early, "speed>+20%").await.0, Some(64));
    assert_eq!(compare(&early, folder.path(), "register.p95>+20%").await.0, Some(3));
}

#[tokio::test]
async fn a_run_that_is_cut_short_says_so_and_is_reported() {
    let house = TestServer::start().await;
    let out = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_drawload"));
    command.env_clear().env("LUCKYDRAW_ADMIN_TOKEN", ADMIN_TOKEN).kill_on_drop(true).stderr(std::process::Stdio::piped());
    command
        .args(["full-scenario", "--scenario", "a", "--users", "20", "--host", &house.address.to_string(), "--out"])
        .arg(out.path());
    let mut child = command.stdout(std::process::Stdio::null()).spawn().unwrap();
    // The first line of progress is said when the run has begun.
    let mut first = [0; 1];
    timeout(RUN_MAX, tokio::io::AsyncReadExt::read_exact(child.stderr.as_mut().unwrap(), &mut first)).await.unwrap().unwrap();
    let pid = libc::pid_t::try_from(child.id().unwrap()).unwrap();
    // SAFETY: kill takes no pointers, and the child is not reaped yet, so that the id is still its own.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGTERM) }, 0);
    let status = timeout(RUN_MAX, child.wait()).await.expect("it ends").unwrap();
    assert_eq!(status.code(), Some(105));
    let summary: Value = serde_json::from_slice(&std::fs::read(out.path().join("summary.json")).unwrap()).unwrap();
    assert_eq!((&summary["verdict"], &summary["scenarios"][0]["faults"]), (&"interrupted".into(), &serde_json::json!([])));
    assert!(out.path().join("report.html").exists());
}

#[tokio::test]
async fn a_process_is_watched_for_as_long_as_was_asked() {
    let house = TestServer::start().await;
    let watch = async |pid: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_drawload"));
        command.env_clear().kill_on_drop(true).args(["memory-monitor", "--duration", "0.3", "--interval", "0.1", "--pid", pid]);
        let output = timeout(RUN_MAX, command.output()).await.expect("the monitor ends").unwrap();
        (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    let (code, said) = watch(&house.pid().to_string()).await;
    assert_eq!(code, Some(0), "{said}");
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines.len() >= 5 && lines[0].starts_with("at_s,rss_mb"), "{said}");
    let rss: f64 = lines[1].split(',').nth(1).unwrap().parse().unwrap();
    assert!(rss > 1.0 && lines.last().unwrap().contains("steady"), "{said}");
    let (code, said) = watch("4294967295").await;
    assert_eq!(code, Some(3), "{said}");
}

/// Where a value does not fit a schema; as much of JSON Schema as ours uses.
pub fn misfits(root: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    if let Some(name) = schema["$ref"].as_str() {
        let schema = root.pointer(name.trim_start_matches('#')).unwrap_or_else(|| panic!("{name} is in the schema"));
        return misfits(root, schema, value, at);
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        let fits = choices.iter().any(|choice| misfits(root, choice, value, at).is_empty());
        return if fits { vec![] } else { vec![format!("{at}: fits no choice")] };
    }
    if let Some(values) = schema["enum"].as_array() {
        return if values.contains(value) { vec![] } else { vec![format!("{at}: {value} is not in {values:?}")] };
    }
    let is = |name: &Value| match name.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "null" => value.is_null(),
        other => panic!("{other} is a type of this check"),
    };
    let kinds = schema["type"].as_array().cloned().unwrap_or_else(|| vec![schema["type"].clone()]);
    if !kinds.iter().any(is) {
        return vec![format!("{at}: {value} is not {kinds:?}")];
    }
    let mut found = Vec::new();
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        found.extend(misfits(root, &schema["items"], item, &format!("{at}[{index}]")));
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        if value.get(name.as_str().unwrap()).is_none() {
            found.push(format!("{at}: {name} is missing"));
        }
    }
    for (name, item) in value.as_object().into_iter().flatten() {
        let at = format!("{at}.{name}");
        match (schema["properties"].get(name), &schema["additionalProperties"]) {
            (Some(schema), _) => found.extend(misfits(root, schema, item, &at)),
            (None, Value::Bool(false)) => found.push(format!("{at}: is not in the schema")),
            (None, schema) => found.extend(misfits(root, schema, item, &at)),
        }
    }
    found
}

#[test]
fn the_schema_check_notices_what_does_not_fit() {
    let schema = serde_json::json!({"type": "object", "additionalProperties": false, "required": ["a"], "properties": {
        "a": {"type": ["integer", "null"]}, "b": {"type": "array", "items": {"enum": ["x"]}}}});
    let check = |value: Value| misfits(&schema, &schema, &value, "v").len();
    assert_eq!(check(serde_json::json!({"a": 1, "b": ["x"]})) + check(serde_json::json!({"a": null})), 0);
    for wrong in [
        serde_json::json!({}),
        serde_json::json!({"a": 1.5}),
        serde_json::json!({"a": 1, "c": 1}),
        serde_json::json!({"a": 1, "b": ["y"]}),
        serde_json::json!([]),
    ] {
        assert_eq!(check(wrong.clone()), 1, "{wrong}");
    }
}
