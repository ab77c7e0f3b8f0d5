//! The launch script, run again and again in a fresh root: with any address after any other, with
//! wrong arguments, and with a release's page.

use crate::fresh_root;
use std::fs;
use std::process::Command;

/// Plays the page of a release: the file and its sum under `/whole`; half of the file under `/cut`;
/// under `/other` a file that is not the sum's.
const PAGE: &str = r#"
import hashlib, http.server, os, subprocess
name = f'luckydraw-9.9.9-{os.uname().machine}-unknown-linux-musl'
os.makedirs(f'/run/page/{name}')
subprocess.run(['strip', '-o', f'/run/page/{name}/luckydraw', '/run/luckydraw'], check=True)
subprocess.run(['tar', '-C', '/run/page', '--use-compress-program=gzip -1', '-cf', '/run/page/file', name], check=True)
whole = open('/run/page/file', 'rb').read()
sums = f'{hashlib.sha256(whole).hexdigest()}  {name}.tar.gz\n'.encode()
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        place = self.path.split('/')[1]
        body = sums if self.path.endswith('SHA256SUMS') else whole[:-1] + b'?' if place == 'other' else whole
        self.send_response(200)
        self.send_header('Content-Length', len(body))
        self.end_headers()
        self.wfile.write(body[:len(body) // 2] if place == 'cut' and body is whole else body)
    def log_message(self, *_):
        pass
server = http.server.HTTPServer(('127.0.0.1', 9999), Page)
open('/run/page/ready', 'w').close()
server.serve_forever()
"#;

/// Runs the launch script with each line of `runs`, and prints the state after each.
const RUNS: &str = r#"
    if grep -q 127.0.0.1:9999 /run/runs; then
        python3 /run/page.py </dev/null >/run/page.log 2>&1 &
        for _ in $(seq 600); do [ -e /run/page/ready ] || sleep 0.1; done
    fi
    while read -r arguments; do
        # The operator adds a line of his own after the first run.
        [ ! -f /etc/luckydraw/luckydraw.env ] || grep -q PII_DAYS /etc/luckydraw/luckydraw.env || echo LUCKYDRAW_PII_DAYS=7 >>/etc/luckydraw/luckydraw.env
        before=$(cat /etc/luckydraw/* /etc/systemd/system/luckydraw* /run/played/luckydraw* 2>/dev/null | cksum)
        status=0
        sh /run/scripts/deploy/launch.sh $arguments </dev/null >/run/output 2>&1 || status=$?
        after=$(cat /etc/luckydraw/* /etc/systemd/system/luckydraw* /run/played/luckydraw* 2>/dev/null | cksum)
        [ "$before" = "$after" ] && changed=same || changed=changed
        sockets=$(for each in /run/played/*.socket; do printf "%s," "$(cat "$each")"; done)
        bind=$(sed -n s/^LUCKYDRAW_BIND=//p /etc/luckydraw/luckydraw.env)
        token=$(cksum </etc/luckydraw/admin-token)
        own=$(grep -c PII_DAYS=7 /etc/luckydraw/luckydraw.env)
        health=$(set -a; . /etc/luckydraw/luckydraw.env; /run/luckydraw healthcheck --ready >/dev/null 2>&1 && echo healthy)
        echo "$status|$changed|$sockets|$bind|$token|$own|$health|$(tail -n 3 /run/output | tr "\n" " ")"
    done </run/runs
    systemctl stop luckydraw.service
"#;

/// One invocation's outcome.
#[derive(Debug)]
struct Run {
    arguments: String,
    succeeded: bool,
    changed: bool,
    sockets: String,
    bind: String,
    token: String,
    keeps_own_line: bool,
    is_healthy: bool,
    output: String,
}

/// Runs the launch script with the binary under test and each of these arguments, as
/// [`launch_with`].
fn launch(arguments: &[&str]) -> Option<Vec<Run>> {
    launch_with("--binary /run/luckydraw", arguments)
}

/// Runs the launch script with `first` and each of these arguments in one fresh root; `None` where
/// this machine gives no namespaces or overlays.
fn launch_with(first: &str, arguments: &[&str]) -> Option<Vec<Run>> {
    let lines: String = arguments.iter().map(|arguments| format!("{first} {arguments}\n")).collect();
    let output = fresh_root::run(RUNS, &[("runs", &lines), ("page.py", PAGE)])?;
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let runs: Vec<Run> = text.lines().zip(arguments).map(|(line, arguments)| Run::read(arguments, line)).collect();
    assert_eq!(runs.len(), arguments.len(), "{text}{errors}");
    Some(runs)
}

impl Run {
    fn read(arguments: &str, line: &str) -> Self {
        let mut parts = line.splitn(8, '|').map(str::to_owned);
        let mut next = || parts.next().unwrap_or_else(|| panic!("eight parts: {line}"));
        Self {
            arguments: arguments.to_owned(),
            succeeded: next() == "0",
            changed: next() == "changed",
            sockets: next(),
            bind: next(),
            token: next(),
            keeps_own_line: next() == "1",
            is_healthy: next() == "healthy",
            output: next(),
        }
    }
}

#[test]
fn a_machine_is_launched_with_any_address_after_any_other() {
    const PLAIN: &str = "--port 8080";
    const TLS: &str = "--domain draw.example --contact ops@draw.example";
    const PROXIED: &str = "--port 81 --domain draw.example";
    // Each of the four comes after each of the four.
    let order = ["", "", PLAIN, "", TLS, "", PROXIED, PLAIN, PLAIN, TLS, PLAIN, PROXIED, TLS, TLS, PROXIED, PROXIED, ""];
    let Some(runs) = launch(&order) else { return };
    let (mut expected, token) = (("80 http,", "[::]:80"), runs[0].token.clone());
    for (index, run) in runs.iter().enumerate() {
        expected = match run.arguments.as_str() {
            PLAIN => ("8080 http,", "[::]:8080"),
            TLS => ("80 redirect,443 https,", "[::]:443"),
            PROXIED => ("81 http,", "[::]:81"),
            _ => expected,
        };
        assert!(run.succeeded && run.is_healthy, "run {index}: {run:#?}");
        assert_eq!((run.sockets.as_str(), run.bind.as_str()), expected, "run {index}: {run:#?}");
        assert!(run.keeps_own_line == (index > 0) && run.token == token, "run {index} keeps what is not its own: {run:#?}");
        let is_same = index > 1 && (run.arguments.is_empty() || run.arguments == order[index - 1]);
        assert_eq!(run.changed, !is_same, "run {index} changes only what differs: {run:#?}");
    }
}

#[test]
fn a_launch_that_cannot_be_right_changes_nothing() {
    let wrong = [
        ("--port", "needs a value"),
        ("--port 99999", "no port"),
        ("--port 80x", "no port"),
        ("--domain draw.example", "--contact"),
        ("--contact ops@draw.example", "--domain"),
        ("--domain draw.example --contact ops@draw.example --port 80", "leave out --port"),
        ("--domain draw/example --port 80", "no host name"),
        ("--domain draw.example --contact ops", "no mail address"),
        ("--url http://127.0.0.1/luckydraw", "not both"),
        ("--binary /nowhere", "no file"),
        ("--ports 80", "unknown argument"),
    ];
    let arguments: Vec<&str> = std::iter::once("").chain(wrong.iter().map(|(arguments, _)| *arguments)).collect();
    let Some(runs) = launch(&arguments) else { return };
    for (run, (_, why)) in runs[1..].iter().zip(wrong) {
        assert!(!run.succeeded && run.output.contains(why), "{why}: {run:#?}");
        // The operator's line came before the first of them.
        assert!(!run.changed && run.is_healthy, "{run:#?}");
    }
}

#[test]
fn a_release_is_installed_from_its_page_and_a_cut_or_altered_one_refused_before_anything_changes() {
    let page = |place: &str| format!("--page http://127.0.0.1:9999/{place}");
    let (cut, other, whole) = (page("cut"), page("other"), page("whole"));
    let runs = ["--page", &cut, &other, "--version 9.9.8 --page http://127.0.0.1:9999/whole", &whole, &whole];
    let Some(runs) = launch_with("--version 9.9.9", &runs) else { return };
    for (run, why) in runs[..4].iter().zip(["needs a value", "failed", "does not match", "no sum"]) {
        assert!(!run.succeeded && run.output.contains(why), "{why}: {run:#?}");
        assert!(!run.changed && !run.is_healthy && run.bind.is_empty(), "nothing is there yet: {run:#?}");
    }
    for (run, is_first) in [(&runs[4], true), (&runs[5], false)] {
        assert!(run.succeeded && run.is_healthy && run.output.contains("/lottery/admin"), "{run:#?}");
        assert!(is_first || run.keeps_own_line, "{run:#?}");
    }
}

#[test]
fn a_launch_script_that_was_cut_off_runs_nothing() {
    let script = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/deploy/launch.sh")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let help = |text: &str| {
        let path = folder.path().join("launch.sh");
        fs::write(&path, text).unwrap();
        Command::new("sh").arg(path).arg("--help").output().unwrap().stdout
    };
    assert!(!help(&script).is_empty(), "the whole script has a help");
    let last_command = script.trim_end().rfind('\n').unwrap() + 1;
    let line_ends = script[..last_command].match_indices('\n').map(|(at, _)| at + 1);
    for end in line_ends.chain(last_command..script.trim_end().len()) {
        assert_eq!(help(&script[..end]), b"", "cut at {end}");
    }
}
