//! The doctor on a healthy set-up and on broken ones: what it says, and how it ends.

use crate::test_server::{PATIENCE, TestServer};
use serde_json::Value;
use std::net::TcpListener;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A data folder as a start would have made it.
fn folder() -> (TempDir, PathBuf) {
    let temp = tempfile::tempdir().unwrap();
    let data = temp.path().join("data");
    std::fs::DirBuilder::new().mode(0o700).create(&data).unwrap();
    (temp, data)
}

/// What the doctor says of these settings, as JSON; and its exit code, which is held to what it says.
fn consult(data: &Path, settings: &[(&str, &str)], files_max: Option<u64>) -> Value {
    let mut command = Command::new("timeout");
    command.arg(PATIENCE.as_secs().to_string()).args([env!("CARGO_BIN_EXE_luckydraw"), "doctor", "--json"]);
    command.env_clear().env("LUCKYDRAW_DATA_DIR", data).env("LUCKYDRAW_BIND", "127.0.0.1:0").envs(settings.iter().copied());
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    if let Some(most) = files_max {
        let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
        // SAFETY: setrlimit is async-signal-safe and reads one rlimit that the closure owns.
        unsafe {
            command.pre_exec(move || match libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            });
        }
    }
    let output = command.output().unwrap();
    let said: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    let expected = if said["healthy"] == true { 0 } else { 1 };
    assert_eq!(output.status.code(), Some(expected), "{said}");
    said
}

/// The finding of this check that is not good; none: all of them are.
fn trouble<'a>(said: &'a Value, check: &str) -> Option<&'a Value> {
    let findings = said["findings"].as_array().unwrap();
    assert!(findings.iter().any(|finding| finding["check"] == check), "{check} was looked at: {said}");
    findings.iter().find(|finding| finding["check"] == check && finding["grade"] != "good")
}

/// Insists that this is wrong, that nothing else is, and that what is said holds these words.
fn is_wrong(said: &Value, check: &str, words: &[&str]) {
    let finding = trouble(said, check).unwrap_or_else(|| panic!("{check} is wrong: {said}"));
    assert_eq!(finding["grade"], "wrong", "{finding}");
    let line = format!("{} {}", finding["says"], finding["mend"]);
    words.iter().for_each(|word| assert!(line.contains(word), "{word}: {line}"));
    assert!(!finding["mend"].as_str().unwrap().is_empty(), "it says how to mend it: {finding}");
    let wrong = said["findings"].as_array().unwrap().iter().filter(|finding| finding["grade"] == "wrong").count();
    assert_eq!((wrong, &said["healthy"]), (1, &Value::Bool(false)), "{said}");
}

#[test]
fn a_healthy_machine_is_fit_to_serve() {
    let (_temp, data) = folder();
    let said = consult(&data, &[("LUCKYDRAW_DOMAIN", "localhost")], None);
    assert_eq!(said["healthy"], true, "{said}");
    for check in ["data folder", "disk space", "port", "name", "open files", "memory"] {
        assert_eq!(trouble(&said, check), None);
    }
    for check in ["fsync", "clock", "swap", "sysctl", "burst"] {
        trouble(&said, check);
    }
    assert_eq!(std::fs::read_dir(&data).unwrap().count(), 0, "it leaves nothing behind");
}

#[test]
fn people_are_told_in_lines() {
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
    is_wrong(&consult(&data.join("nowhere"), &[], None), "data folder", &["is not there", "install -d"]);
    // Nobody makes a file there, root neither.
    let said = consult(Path::new("/proc"), &[], None);
    let finding = trouble(&said, "data folder").unwrap();
    assert!(finding["grade"] == "wrong" && finding["says"].as_str().unwrap().contains("no file can be made"), "{finding}");
}

#[tokio::test]
async fn a_port_in_use_is_wrong_unless_it_is_a_server_of_ours() {
    let (_temp, data) = folder();
    let stranger = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = stranger.local_addr().unwrap();
    is_wrong(&consult(&data, &[("LUCKYDRAW_BIND", &address.to_string())], None), "port", &["in use", "ss -ltnp"]);
    let house = TestServer::start().await;
    let said = consult(&house.data_dir(), &[("LUCKYDRAW_BIND", &house.address.to_string())], None);
    assert_eq!((trouble(&said, "port"), &said["healthy"]), (None, &Value::Bool(true)), "{said}");
    assert!(said.to_string().contains("the limit of the running server"), "{said}");
}

#[test]
fn too_few_files_for_the_connections_asked_for_is_wrong() {
    let (_temp, data) = folder();
    let said = consult(&data, &[("LUCKYDRAW_CONNECTIONS_MAX", "5000")], Some(256));
    is_wrong(&said, "open files", &["asks for 5000", "LimitNOFILE="]);
}

#[test]
fn a_certificate_has_to_be_there_and_to_fit_its_key_and_the_name() {
    let (temp, data) = folder();
    let file = |name: &str, text: String| {
        let path = temp.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let made = |name: &str| rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let (own, other, foreign) = (made("localhost"), made("localhost"), made("draw.example"));
    let cert = file("cert.pem", own.cert.pem());
    let key = file("key.pem", own.signing_key.serialize_pem());
    let other_key = file("other.pem", other.signing_key.serialize_pem());
    let (foreign_cert, foreign_key) = (file("far.pem", foreign.cert.pem()), file("far.key", foreign.signing_key.serialize_pem()));
    let look = |cert: &str, key: &str| {
        let settings = [("LUCKYDRAW_TLS_CERT", cert), ("LUCKYDRAW_TLS_KEY", key), ("LUCKYDRAW_DOMAIN", "localhost")];
        consult(&data, &settings, None)
    };
    let said = look(&cert, &key);
    assert_eq!((trouble(&said, "certificate"), &said["healthy"]), (None, &Value::Bool(true)), "{said}");
    is_wrong(&look(&cert, &other_key), "certificate", &["LUCKYDRAW_TLS_KEY"]);
    is_wrong(&look(&foreign_cert, &foreign_key), "certificate", &["localhost"]);
    is_wrong(&look("/nowhere/cert.pem", &key), "certificate", &["/nowhere/cert.pem"]);
}

#[test]
fn a_name_that_leads_nowhere_is_wrong() {
    let (_temp, data) = folder();
    // The top-level domain .invalid never has an address (RFC 6761).
    is_wrong(&consult(&data, &[("LUCKYDRAW_DOMAIN", "draw.invalid")], None), "name", &["draw.invalid", "A record"]);
}
