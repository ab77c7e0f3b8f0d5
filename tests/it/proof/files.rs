//! Files that are no proof, or more than one: too large, cut, and read without any server.

use super::story::{Story, Twist};
use super::verifiers::{Verifiers, python_prints};
use luckydraw::ops::verify::{VerifyError, verify, verify_files};
use serde_json::json;
use std::fs::File;

/// Bytes of a file that all three refuse unread.
const HUGE_BYTES: u64 = 100 << 20;

#[tokio::test]
async fn a_file_of_a_hundred_megabytes_is_refused_unread_by_all_three() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("proof.json");
    File::create(&path).unwrap().set_len(HUGE_BYTES).unwrap();
    assert!(matches!(verify_files(&path, None), Err(VerifyError::TooLarge { .. })));
    let source = path.to_str().unwrap();
    let output =
        std::process::Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/verify-proof")).arg(source).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("larger than any proof"), "{output:?}");
    let verifiers = Verifiers::start().await;
    let page = verifiers.page().await;
    page.choose_bytes(HUGE_BYTES).await;
    page.until_state("bad-file").await;
}

#[tokio::test]
async fn a_cut_file_is_refused_and_a_whole_one_is_checked_offline() {
    let proof = Story::told(&Twist::default()).proof(true).to_string();
    let verifiers = Verifiers::start().await;
    let page = verifiers.page().await;
    let offline = json!({"offline": true, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0});
    page.command("Network.enable", json!({})).await;
    page.command("Network.emulateNetworkConditions", offline).await;
    for cut in [0, 1, proof.len() / 3, proof.len() / 2, proof.len() - 1] {
        let text = &proof[..(0..=cut).rev().find(|at| proof.is_char_boundary(*at)).unwrap()];
        assert!(matches!(verify(text.as_bytes(), None), Err(VerifyError::NoProof(_))), "cut at {cut}");
        assert_eq!(python_prints(text, None).1, Some(2), "cut at {cut}");
        page.choose_file(&proof).await;
        page.until_state("holds").await;
        page.choose_file(text).await;
        page.until_state("bad-file").await;
    }
    let twice = format!("{proof}{proof}");
    assert!(verify(twice.as_bytes(), None).is_err() && python_prints(&twice, None).1 == Some(2));
    let many = format!(r#"{{"event_id":"gala","event_session_id":"{}","draws":[{}0]}}"#, "01".repeat(16), "0,".repeat(20_000));
    assert!(verify(many.as_bytes(), None).is_err(), "a list ends at its bound");
}
