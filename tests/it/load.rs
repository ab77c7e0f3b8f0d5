//! The load tester can be trusted: it passes a correct server and names the fault of any other.
//!
//! The tester is the real binary against the real server, at a fiftieth of the plan's times, with a
//! proxy between them that causes one fault at a time. Its runner serves `load_scenarios` too.

use crate::faulty_proxy::{Fault, gated_proxy};
use crate::test_server::{ADMIN_TOKEN, TestServer};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::time::timeout;

/// Longest run, on a busy machine.
const RUN_MAX: Duration = Duration::from_secs(600);

/// The result of a run.
pub struct Run {
    pub code: Option<i32>,
    /// stdout and stderr.
    pub output: String,
    /// `summary.json`
    pub summary: Value,
    /// `report.html`
    page: String,
    files: Vec<String>,
}

impl Run {
    /// A metric of the first scenario.
    pub fn metric(&self, name: &str) -> f64 {
        let value = self.summary["scenarios"][0]["metrics"][name].as_f64();
        value.unwrap_or_else(|| panic!("{name} was measured: {}", self.output))
    }

    pub fn judgements(&self) -> &[Value] {
        let judgements = self.summary["scenarios"][0]["judgements"].as_array();
        judgements.unwrap_or_else(|| panic!("{}", self.output))
    }

    fn grade(&self, metric: &str) -> &Value {
        &self.judgements().iter().find(|judgement| judgement["metric"] == metric).unwrap()["grade"]
    }

    /// Asserts that every criterion is met that any run must meet.
    pub fn expect_all_musts_met(&self) {
        let met = |judgement: &Value| judgement["origin"] != "must" || judgement["grade"] == "good";
        assert!(self.judgements().iter().all(met), "{}", self.output);
    }

    /// Asserts that the criterion on this metric is missed, and that the report has these words.
    fn expect_missed(&self, metric: &str, words: &str) {
        assert_eq!(self.code, Some(99), "{}", self.output);
        let grade = self.grade(metric);
        assert!(grade == "missed" || grade == "tolerable", "{metric} is {grade}: {}", self.output);
        assert!(self.output.contains(words), "{words:?} is named: {}", self.output);
    }
}

/// The tester with an empty environment, in the folder of the sources.
fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_drawload"));
    command.env_clear().kill_on_drop(true).current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments);
    command
}

/// Runs the tester with this environment, and checks `summary.json` by its schema.
pub async fn drawload(environment: &[(&str, &str)], arguments: &[&str]) -> Run {
    let out = tempfile::tempdir().unwrap();
    let mut command = command(arguments);
    command.envs(environment.iter().copied());
    if !["memory-monitor", "compare", "--help"].contains(&arguments[0]) {
        command.arg("--out").arg(out.path());
    }
    let output = timeout(RUN_MAX, command.output()).await.expect("the tester ends").unwrap();
    let file = |name: &str| std::fs::read_to_string(out.path().join(name)).ok();
    let summary = file("summary.json").map_or(Value::Null, |text| serde_json::from_str(&text).unwrap());
    if !summary.is_null() {
        let schema = serde_json::from_str(include_str!("../../src/bin/drawload/summary.schema.json")).unwrap();
        assert_eq!(schema_violations(&schema, &schema, &summary, "summary"), Vec::<String>::new());
    }
    let files = std::fs::read_dir(out.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    Run {
        code: output.status.code(),
        output: String::from_utf8([output.stdout, output.stderr].concat()).unwrap(),
        summary,
        page: file("report.html").unwrap_or_default(),
        files: files.collect(),
    }
}

/// Runs a subcommand against a server, with its admin token.
async fn run_against(subcommand: &str, address: SocketAddr, arguments: &[&str]) -> Run {
    let host = address.to_string();
    drawload(&[("LUCKYDRAW_ADMIN_TOKEN", ADMIN_TOKEN)], &[&[subcommand, "--host", &host], arguments].concat()).await
}

/// `full-scenario`
pub async fn full_scenario(address: SocketAddr, arguments: &[&str]) -> Run {
    run_against("full-scenario", address, arguments).await
}

/// `full-scenario` through a faulty proxy.
async fn with_fault(fault: Fault, arguments: &[&str]) -> Run {
    let server = TestServer::start().await;
    let proxy = gated_proxy(server.address, fault, 31).await;
    full_scenario(proxy.address, arguments).await
}

/// Scenario b with 30 users and 10 draws: 31 sockets receive 40 numbered frames each.
const DRAWS: &[&str] = &["--scenario", "b", "--users", "30", "--prizes", "10", "--time-scale", "0.02"];

/// Scenario c, as large.
const MIXED: &[&str] = &["--scenario", "c", "--users", "30", "--prizes", "10", "--time-scale", "0.02"];

#[tokio::test]
async fn a_correct_server_passes_every_scenario() {
    let server = TestServer::start().await;
    let pid = server.pid().to_string();
    let arguments = ["--scenario", "all", "--users", "30", "--prizes", "10", "--time-scale", "0.005", "--pid", &pid];
    let run = full_scenario(server.address, &arguments).await;
    assert_eq!(run.code, Some(0), "{}", run.output);
    let scenarios = run.summary["scenarios"].as_array().unwrap();
    assert_eq!(scenarios.len(), 4);
    for (scenario, frames) in scenarios.iter().zip([0.0, 1_240.0, 1_240.0, 0.0]) {
        let metric = |name: &str| scenario["metrics"][name].as_f64();
        assert_eq!(metric("register.count"), Some(30.0));
        let (expected, received) = (metric("delivery.expected").unwrap(), metric("delivery.received"));
        assert_eq!(received, Some(expected), "{}", scenario["what"]);
        // On a busy machine a phone connects after the first draw; only later frames are due.
        assert!(expected <= frames && (expected > 0.0) == (frames > 0.0), "{expected} frames: {}", scenario["what"]);
        assert!(metric("server.rss_peak_mb").unwrap() > 1.0);
    }
}

#[tokio::test]
async fn a_proxy_without_a_fault_passes() {
    let run = with_fault(Fault::None, MIXED).await;
    assert_eq!(run.code, Some(0), "{}", run.output);
    assert_eq!(run.summary["scenarios"][0]["faults"], serde_json::json!([]));
    for file in
        ["c.api.hgrm", "c.draw.delivery.hgrm", "env.json", "failures.csv", "report.html", "summary.json", "timeseries.csv"]
    {
        assert!(run.files.iter().any(|name| name == file), "{file} is among {:?}", run.files);
    }
    assert!(run.page.contains("통과 PASS") && run.page.contains("<polyline"));
    assert_eq!(run.page.matches("<circle").count(), 0, "no frame was lost");
    for outside in ["src=", "url(", "@import", "<script", "<link", "http-equiv=\"refresh"] {
        assert!(!run.page.contains(outside), "the page makes no request: {outside}");
    }
    assert!(run.page.split("href=\"").skip(1).all(|link| link.starts_with('#')), "links lead within the page");
    assert!(run.page.contains("default-src 'none'"), "its policy permits no request");
    for both in ["부하 시험 보고서", "Load test report", "추첨 × 폰", "draws × phones"] {
        assert!(run.page.contains(both), "{both}");
    }
}

#[tokio::test]
async fn one_lost_frame_is_named() {
    let run = with_fault(Fault::DropFrame(601), DRAWS).await;
    run.expect_missed("delivery.lost", "never received seq");
    assert_eq!(run.page.matches("<circle").count(), 1, "one lost frame is one visible dot");
}

#[tokio::test]
async fn one_duplicate_frame_is_named() {
    with_fault(Fault::DuplicateFrame(601), DRAWS).await.expect_missed("delivery.doubled", "twice");
}

#[tokio::test]
async fn two_swapped_frames_are_named() {
    with_fault(Fault::SwapFrames(601), DRAWS).await.expect_missed("delivery.reordered", " after seq ");
}

#[tokio::test]
async fn late_frames_miss_a_threshold_on_the_spread() {
    let arguments = [DRAWS, &["--threshold", "draw.spread.p99<500ms"]].concat();
    let run = with_fault(Fault::DelayEvery(20), &arguments).await;
    // On a machine so busy that the tester is the bottleneck, the missed time is void.
    let limited = run.summary["scenarios"][0]["tester"]["limited_by"] != serde_json::json!([]);
    assert!(run.code == Some(99) || (limited && run.code == Some(4)), "{}", run.output);
    assert_eq!(run.grade("draw.spread.p99"), "missed", "{}", run.output);
}

#[tokio::test]
async fn answers_turned_into_errors_are_named() {
    with_fault(Fault::FailEvery(50), MIXED).await.expect_missed("errors.percent", ": 500");
}

#[tokio::test]
async fn refused_upgrades_are_named() {
    let arguments = ["--scenario", "a", "--users", "60", "--time-scale", "0.02"];
    with_fault(Fault::RefuseEvery(50), &arguments).await.expect_missed("ws.success.percent", "503");
}

#[tokio::test]
async fn another_winner_on_one_phone_is_named() {
    with_fault(Fault::ChangeWinner(130), DRAWS).await.expect_missed("delivery.contradicted", "others received other bytes");
}

#[tokio::test]
async fn another_winner_on_every_phone_contradicts_the_history() {
    with_fault(Fault::ChangeWinners, DRAWS).await.expect_missed("winners.wrong", "the history says");
}

#[tokio::test]
async fn silent_sockets_do_not_pass() {
    let arguments = ["--scenario", "a", "--users", "20", "--time-scale", "0.02"];
    with_fault(Fault::Silence, &arguments).await.expect_missed("ws.ungreeted", "ws.ungreeted");
}

#[tokio::test]
async fn a_run_that_cannot_start_names_the_reason() {
    let server = TestServer::start().await;
    let no_server = full_scenario(SocketAddr::from(([127, 0, 0, 1], 1)), &["--scenario", "a", "--users", "1"]).await;
    assert_eq!(no_server.code, Some(3), "{}", no_server.output);
    let wrong_token = full_scenario(server.address, &["--scenario", "a", "--admin-token", "not-the-token-of-this-server"]).await;
    assert_eq!((wrong_token.code, wrong_token.output.contains("--admin-token")), (Some(3), true), "{}", wrong_token.output);
    let two_tokens =
        full_scenario(server.address, &["--admin-token", "one-token-of-two", "--admin-token-file", "/dev/null"]).await;
    assert_eq!(two_tokens.code, Some(64), "{}", two_tokens.output);
    let no_metric = full_scenario(server.address, &["--threshold", "speed<1ms"]).await;
    assert_eq!((no_metric.code, no_metric.output.contains("no metric speed")), (Some(64), true), "{}", no_metric.output);
    let too_many_prizes = full_scenario(server.address, &["--users", "3", "--prizes", "4"]).await;
    assert_eq!(too_many_prizes.code, Some(64), "{}", too_many_prizes.output);
}

#[tokio::test]
async fn sockets_alone_and_calls_alone_are_judged() {
    let server = TestServer::start().await;
    let tests: [(&[&str], &str, f64, &str); 4] = [
        (&["websocket-test", "--ramp-up", "0.5"], "ws.handshake.p95", 0.0, "ws.ungreeted"),
        (&["http-test", "--scenario", "registration"], "register.p95", 20.0, "numbers.lost"),
        (&["http-test", "--scenario", "draw", "--prizes", "5"], "draw.complete.p95", 20.0, "winners.wrong"),
        (&["http-test", "--scenario", "mixed", "--prizes", "5"], "winner_info.p95", 20.0, "answers.wrong"),
    ];
    for (subcommand, measured, registered, judged) in tests {
        let arguments = [&subcommand[1..], &["--users", "20", "--duration", "2"]].concat();
        let run = run_against(subcommand[0], server.address, &arguments).await;
        let scenario = &run.summary["scenarios"][0];
        assert!(scenario["metrics"][measured].as_f64().is_some_and(|ms| ms > 0.0), "{subcommand:?}: {}", run.output);
        assert_eq!(scenario["metrics"]["register.count"], registered, "{subcommand:?}");
        assert!(run.judgements().iter().any(|judgement| judgement["metric"] == judged), "{subcommand:?}: {}", run.output);
        // The plan's times are judged too, but this machine may be busy: they are not asserted.
        run.expect_all_musts_met();
        assert_eq!(scenario["failures"], serde_json::json!([]), "{subcommand:?}");
    }
}

#[tokio::test]
async fn an_existing_event_needs_no_admin_token() {
    let server = TestServer::start().await;
    let event = ["--event-id", "demo", "--admin-token", "not-the-token-of-this-server"];
    let size = ["--users", "5", "--duration", "1", "--ramp-up", "0.2"];
    let run = run_against("websocket-test", server.address, &[&event[..], &size].concat()).await;
    run.expect_all_musts_met();
    assert_eq!(run.summary["scenarios"][0]["event_id"], "demo");
}

#[tokio::test]
async fn a_run_is_compared_with_an_earlier_one() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, p95: f64, limited_by: &[&str], users: u32, verdict: &str| {
        let scenario = serde_json::json!({"scenario": "a", "users": users, "verdict": verdict, "metrics": {"register.p95": p95},
            "tester": {"limited_by": limited_by}});
        let path = folder.path().join(name);
        std::fs::write(&path, serde_json::json!({"format": "drawload/1", "scenarios": [scenario]}).to_string()).unwrap();
        path.into_os_string().into_string().unwrap()
    };
    let run = |name: &str, p95: f64, limited_by: &[&str]| write(name, p95, limited_by, 300, "pass");
    let (early, slower, void) = (run("early", 10.0, &[]), run("slower", 13.0, &[]), run("void", 10.0, &["it was busy"]));
    let (small, failed) = (write("small", 5.0, &[], 30, "pass"), write("failed", 10.0, &[], 300, "fail"));
    let compare =
        async |before: &str, after: &str, limit: &str| drawload(&[], &["compare", before, after, "--fail-if", limit]).await;
    let worse = compare(&early, &slower, "register.p95>+20%").await;
    assert!(worse.code == Some(99) && worse.output.contains("+30.0 %  TOO MUCH"), "{:?} {}", worse.code, worse.output);
    assert_eq!(compare(&early, &slower, "register.p95>+40%").await.code, Some(0));
    assert_eq!(compare(&slower, &early, "register.p95>+0%").await.code, Some(0));
    assert_eq!(compare(&early, &early, "api.p95>+1%").await.code, Some(99), "a missing measurement never passes");
    assert_eq!(compare(&early, &void, "register.p95>+20%").await.code, Some(4));
    let unequal = compare(&early, &small, "register.p95>+20%").await;
    assert!(unequal.code == Some(3) && unequal.output.contains("users is 300 before and 30 after"), "{}", unequal.output);
    assert_eq!(compare(&early, &failed, "register.p95>+20%").await.code, Some(99), "a failed run is never better");
    assert_eq!(compare(&failed, &early, "register.p95>+20%").await.code, Some(4), "and it is no measure");
    assert_eq!(compare(&early, &early, "speed>+20%").await.code, Some(64));
    assert_eq!(compare(&early, folder.path().to_str().unwrap(), "register.p95>+20%").await.code, Some(3));
}

#[tokio::test]
async fn an_interrupted_run_is_reported_as_interrupted() {
    let server = TestServer::start().await;
    let out = tempfile::tempdir().unwrap();
    let host = server.address.to_string();
    let mut command = command(&["full-scenario", "--scenario", "a", "--users", "20", "--host", &host, "--out"]);
    command.arg(out.path()).env("LUCKYDRAW_ADMIN_TOKEN", ADMIN_TOKEN).stderr(Stdio::piped()).stdout(Stdio::null());
    let mut child = command.spawn().unwrap();
    // The line of progress arrives after the start of the run.
    let stderr = child.stderr.as_mut().unwrap();
    timeout(RUN_MAX, async { while stderr.read_u8().await.unwrap() != b'[' {} }).await.unwrap();
    // The child is not reaped yet, so its id is still its own.
    let pid = Pid::from_raw(child.id().unwrap().try_into().unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    let status = timeout(RUN_MAX, child.wait()).await.expect("it ends").unwrap();
    assert_eq!(status.code(), Some(105));
    let summary: Value = serde_json::from_slice(&std::fs::read(out.path().join("summary.json")).unwrap()).unwrap();
    assert_eq!((&summary["verdict"], &summary["scenarios"][0]["faults"]), (&"interrupted".into(), &serde_json::json!([])));
    assert!(out.path().join("report.html").exists());
}

#[tokio::test]
async fn a_process_is_monitored_for_the_given_time() {
    let server = TestServer::start().await;
    let monitor =
        async |pid: &str| drawload(&[], &["memory-monitor", "--duration", "0.3", "--interval", "0.1", "--pid", pid]).await;
    let run = monitor(&server.pid().to_string()).await;
    assert_eq!(run.code, Some(0), "{}", run.output);
    let rows: Vec<&str> = run.output.lines().collect();
    // The heading, a reading or more, and the verdict: on a busy machine readings are left out.
    assert!(rows.len() >= 3 && rows[0].starts_with("at_s,rss_mb"), "{}", run.output);
    let rss: f64 = rows[1].split(',').nth(1).unwrap().parse().unwrap();
    assert!(rss > 1.0 && rows.last().unwrap().contains("steady"), "{}", run.output);
    let missing = monitor("4294967295").await;
    assert_eq!(missing.code, Some(3), "{}", missing.output);
}

/// Violations of a schema; supports the subset of JSON Schema that `summary.schema.json` uses.
fn schema_violations(root: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    if let Some(name) = schema["$ref"].as_str() {
        let schema = root.pointer(name.trim_start_matches('#')).unwrap_or_else(|| panic!("{name} is in the schema"));
        return schema_violations(root, schema, value, at);
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        let fits = choices.iter().any(|choice| schema_violations(root, choice, value, at).is_empty());
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
        found.extend(schema_violations(root, &schema["items"], item, &format!("{at}[{index}]")));
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        if value.get(name.as_str().unwrap()).is_none() {
            found.push(format!("{at}: {name} is missing"));
        }
    }
    for (name, item) in value.as_object().into_iter().flatten() {
        let at = format!("{at}.{name}");
        match (schema["properties"].get(name), &schema["additionalProperties"]) {
            (Some(schema), _) => found.extend(schema_violations(root, schema, item, &at)),
            (None, Value::Bool(false)) => found.push(format!("{at}: is not in the schema")),
            (None, schema) => found.extend(schema_violations(root, schema, item, &at)),
        }
    }
    found
}

#[test]
fn the_schema_check_detects_every_violation() {
    let schema = serde_json::json!({"type": "object", "additionalProperties": false, "required": ["a"], "properties": {
        "a": {"type": ["integer", "null"]}, "b": {"type": "array", "items": {"enum": ["x"]}}}});
    let check = |value: Value| schema_violations(&schema, &schema, &value, "v").len();
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
