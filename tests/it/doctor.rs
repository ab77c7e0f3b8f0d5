//! The doctor on a healthy set-up and on broken ones: findings and exit code.

use crate::test_server::{TIMEOUT, TestServer};
use serde_json::Value;
use std::net::TcpListener;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A data folder as the server creates it.
fn folder() -> (TempDir, PathBuf) {
    let temp = tempfile::tempdir().unwrap();
    let data = temp.path().join("data");
    std::fs::DirBuilder::new().mode(0o700).create(&data).unwrap();
    (temp, data)
}

/// The doctor's report on these settings, as JSON. Checks that its exit code agrees.
fn examine(data: &Path, settings: &[(&str, &str)], files_max: Option<u64>) -> Value {
    let mut command = Command::new("timeout");
    command.arg(TIMEOUT.as_secs().to_string()).args([env!("CARGO_BIN_EXE_luckydraw"), "doctor", "--json"]);
    command.env_clear().env("LUCKYDRAW_DATA_DIR", data).env("LUCKYDRAW_BIND", "127.0.0.1:0").envs(settings.iter().copied());
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    if let Some(files) = files_max {
        let limit = libc::rlimit { rlim_cur: files, rlim_max: files };
        // SAFETY: setrlimit is async-signal-safe and reads one rlimit that the closure owns.
        unsafe {
            command.pre_exec(move || match libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            });
        }
    }
    let output = command.output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    let expected = if report["healthy"] == true { 0 } else { 1 };
    assert_eq!(output.status.code(), Some(expected), "{report}");
    report
}

/// The first finding of this check that is not good; `None` if all are.
fn first_problem<'a>(report: &'a Value, check: &str) -> Option<&'a Value> {
    let findings = report["findings"].as_array().unwrap();
    assert!(findings.iter().any(|finding| finding["check"] == check), "{check} was checked: {report}");
    findings.iter().find(|finding| finding["check"] == check && finding["grade"] != "good")
}

/// Requires that this check alone is wrong, and that its finding holds these words.
fn require_wrong(report: &Value, check: &str, words: &[&str]) {
    let finding = first_problem(report, check).unwrap_or_else(|| panic!("{check} is wrong: {report}"));
    assert_eq!(finding["grade"], "wrong", "{finding}");
    let line = format!("{} {}", finding["message"], finding["fix"]);
    words.iter().for_each(|word| assert!(line.contains(word), "{word}: {line}"));
    assert!(!finding["fix"].as_str().unwrap().is_empty(), "it says how to fix it: {finding}");
    let wrong = report["findings"].as_array().unwrap().iter().filter(|finding| finding["grade"] == "wrong").count();
    assert_eq!((wrong, &report["healthy"]), (1, &Value::Bool(false)), "{report}");
}

#[test]
fn a_healthy_machine_is_fit_to_serve() {
    let (_temp, data) = folder();
    let report = examine(&data, &[("LUCKYDRAW_DOMAIN", "localhost")], None);
    assert_eq!(report["healthy"], true, "{report}");
    for check in ["data folder", "disk space", "port", "name", "open files", "memory"] {
        assert_eq!(first_problem(&report, check), None);
    }
    for check in ["fsync", "clock", "swap", "sysctl", "burst"] {
        first_problem(&report, check);
    }
    assert_eq!(std::fs::read_dir(&data).unwrap().count(), 0, "it leaves nothing behind");
}

#[test]
fn the_text_report_has_one_line_per_finding() {
    let (temp, data) = folder();
    let output = Command::new(env!("CARGO_BIN_EXE_luckydraw"))
        .env_clear()
        .args(["--bind=127.0.0.1:0", "doctor", "--data-dir"])
        .arg(data.join("nowhere"))
        .current_dir(temp.path())
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{printed}");
    let lines: Vec<_> = printed.lines().collect();
    assert!(lines[0].starts_with("wrong  data folder: ") && lines[0].contains(" — "), "{printed}");
    assert_eq!(lines.last(), Some(&"not fit to serve"));
}

#[test]
fn a_folder_that_is_missing_or_unwritable_is_wrong() {
    let (_temp, data) = folder();
    require_wrong(&examine(&data.join("nowhere"), &[], None), "data folder", &["is not there", "install -d"]);
    // Not even root can create a file there.
    let report = examine(Path::new("/proc"), &[], None);
    let finding = first_problem(&report, "data folder").unwrap();
    assert!(finding["grade"] == "wrong" && finding["message"].as_str().unwrap().contains("no file can be made"), "{finding}");
}

#[tokio::test]
async fn a_port_in_use_is_wrong_unless_luckydraw_uses_it() {
    let (_temp, data) = folder();
    let other = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = other.local_addr().unwrap();
    require_wrong(&examine(&data, &[("LUCKYDRAW_BIND", &address.to_string())], None), "port", &["in use", "ss -ltnp"]);
    let server = TestServer::start().await;
    let report = examine(&server.data_dir(), &[("LUCKYDRAW_BIND", &server.address.to_string())], None);
    assert_eq!((first_problem(&report, "port"), &report["healthy"]), (None, &Value::Bool(true)), "{report}");
    assert!(report.to_string().contains("the limit of the running server"), "{report}");
}

#[test]
fn too_few_files_for_the_configured_connections_is_wrong() {
    let (_temp, data) = folder();
    let report = examine(&data, &[("LUCKYDRAW_CONNECTIONS_MAX", "5000")], Some(256));
    require_wrong(&report, "open files", &["asks for 5000", "LimitNOFILE="]);
}

#[test]
fn a_certificate_has_to_exist_and_fit_its_key_and_name() {
    let (temp, data) = folder();
    let file = |name: &str, text: String| {
        let path = temp.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let make = |name: &str| rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let (own, other, foreign) = (make("localhost"), make("localhost"), make("draw.example"));
    let cert = file("cert.pem", own.cert.pem());
    let key = file("key.pem", own.signing_key.serialize_pem());
    let other_key = file("other.pem", other.signing_key.serialize_pem());
    let (foreign_cert, foreign_key) = (file("far.pem", foreign.cert.pem()), file("far.key", foreign.signing_key.serialize_pem()));
    let examine_tls = |cert: &str, key: &str| {
        let settings = [("LUCKYDRAW_TLS_CERT", cert), ("LUCKYDRAW_TLS_KEY", key), ("LUCKYDRAW_DOMAIN", "localhost")];
        examine(&data, &settings, None)
    };
    let report = examine_tls(&cert, &key);
    assert_eq!((first_problem(&report, "certificate"), &report["healthy"]), (None, &Value::Bool(true)), "{report}");
    require_wrong(&examine_tls(&cert, &other_key), "certificate", &["LUCKYDRAW_TLS_KEY"]);
    require_wrong(&examine_tls(&foreign_cert, &foreign_key), "certificate", &["localhost"]);
    require_wrong(&examine_tls("/nowhere/cert.pem", &key), "certificate", &["/nowhere/cert.pem"]);
}

#[test]
fn a_name_without_an_address_is_wrong() {
    let (_temp, data) = folder();
    // The top-level domain .invalid never has an address (RFC 6761).
    require_wrong(&examine(&data, &[("LUCKYDRAW_DOMAIN", "draw.invalid")], None), "name", &["draw.invalid", "A record"]);
}
