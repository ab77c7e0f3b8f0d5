//! The three verifiers, each run on many files at once: the server's own, Python's, and the page's
//! in Chromium.

use super::Case;
use super::beacon;
use crate::browser::chromium::{Browser, Page, Screen};
use crate::test_server::TestServer;
use luckydraw::ops::verify::verify_with;
use serde_json::{Value, json};
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;
use tokio::task::spawn_blocking;

/// Loads the script as a module and prints 1 or 0 per line of input.
const PYTHON: &str = r#"
import contextlib, importlib.machinery, importlib.util, io, json, sys
sys.dont_write_bytecode = True
loader = importlib.machinery.SourceFileLoader("verify_proof", sys.argv[1])
module = importlib.util.module_from_spec(importlib.util.spec_from_loader("verify_proof", loader))
loader.exec_module(module)
for line in sys.stdin:
    proof, receipt = json.loads(line)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            print_none = module.check(proof, receipt)[0] == 0
    except Exception:
        print_none = False
    print(int(print_none))
"#;

/// Checks files in the page, as its main module does.
const PAGE: &str = r#"
const [cases] = arguments;
const script = document.querySelector('script[type=module]').src;
return (async () => {
  const { $verify_draws: { checkAll }, $verify_receipt: { compare } } = await import(script);
  const verdicts = [];
  for (const [proof, receipt] of cases) {
    try {
      const { checked, rest, locked } = await checkAll(proof);
      const problems = receipt ? compare(receipt, proof, locked) : [];
      verdicts.push(!rest && problems.length === 0 && checked.every(({ mismatch }) => !mismatch));
    } catch {
      verdicts.push(false);
    }
  }
  return verdicts;
})();
"#;

/// Cases per call of the page, so that each call is short.
const PAGE_CASES: usize = 40;

pub struct Verifiers {
    server: TestServer,
    browser: Browser,
}

/// Gives the page this text as the file that a person chose.
const CHOOSE_FILE: &str = r#"
const [text, length] = arguments;
const files = new DataTransfer();
files.items.add(new File([text ?? new Uint8Array(length)], 'proof.json', { type: 'application/json' }));
const input = document.querySelector('#file');
input.files = files.files;
input.dispatchEvent(new Event('change'));
"#;

impl Page<'_> {
    pub async fn choose_file(&self, text: &str) {
        self.run(CHOOSE_FILE, vec![json!(text)]).await;
    }

    /// Chooses a file of so many zeros.
    pub async fn choose_bytes(&self, count: u64) {
        self.run(CHOOSE_FILE, vec![Value::Null, json!(count)]).await;
    }
}

impl Verifiers {
    /// The verify page, of no event.
    pub async fn page(&self) -> Page<'_> {
        let page = self.browser.open(Screen::Phone, &self.server.page("/lottery/verify?event=none")).await;
        page.until_state("no-event").await;
        page
    }

    pub async fn start() -> Self {
        Self { server: TestServer::start().await, browser: Browser::start().await }
    }

    /// The verdict on each case, per verifier: true when it holds.
    pub async fn run(&self, cases: &[Case]) -> Vec<(&'static str, Vec<bool>)> {
        let page = self.page().await;
        let [one, other]: [Arc<[Case]>; 2] = [cases.into(), cases.into()];
        let (rust, python) = (spawn_blocking(move || rust(&one)), spawn_blocking(move || python(&other)));
        let (rust, python, page) = tokio::join!(rust, python, javascript(&page, cases));
        vec![("luckydraw verify", rust.unwrap()), ("scripts/verify-proof", python.unwrap()), ("the page", page)]
    }
}

fn rust(cases: &[Case]) -> Vec<bool> {
    let holds = |(proof, receipt): &Case| {
        let receipt = receipt.as_ref().map(|receipt| receipt.to_string());
        verify_with(proof.to_string().as_bytes(), receipt.as_ref().map(String::as_bytes), &[beacon::chain()])
            .is_ok_and(|findings| findings.mismatches == 0)
    };
    cases.iter().map(holds).collect()
}

fn python(cases: &[Case]) -> Vec<bool> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/verify-proof");
    let mut command = Command::new("python3");
    command.args(["-c", PYTHON, script]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("python3 is installed");
    let mut stdin = child.stdin.take().unwrap();
    let lines: String = cases.iter().map(|case| json!(case).to_string() + "\n").collect();
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let verdicts: Vec<bool> = String::from_utf8(output.stdout).unwrap().lines().map(|line| line == "1").collect();
    assert_eq!(verdicts.len(), cases.len(), "a verdict per case");
    verdicts
}

/// What the script prints about a proof, and its exit code.
pub fn python_prints(proof: &str, receipt: Option<&Value>) -> (String, Option<i32>) {
    let temp = tempfile::tempdir().unwrap();
    let (proof_path, receipt_path) = (temp.path().join("proof.json"), temp.path().join("receipt.json"));
    std::fs::write(&proof_path, proof).unwrap();
    let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/verify-proof"));
    command.arg(&proof_path);
    if let Some(receipt) = receipt {
        std::fs::write(&receipt_path, receipt.to_string()).unwrap();
        command.arg("--receipt").arg(&receipt_path);
    }
    let output = command.output().expect("python3 is installed");
    (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code())
}

async fn javascript(page: &Page<'_>, cases: &[Case]) -> Vec<bool> {
    let mut verdicts = Vec::new();
    for some in cases.chunks(PAGE_CASES) {
        let answer = page.run(PAGE, vec![json!(some)]).await;
        verdicts.extend(answer.as_array().unwrap().iter().map(|verdict| *verdict == Value::Bool(true)));
    }
    verdicts
}
