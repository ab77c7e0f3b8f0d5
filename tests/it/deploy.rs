//! The deployment scripts: units that systemd accepts and rates as tight, sysctls that satisfy the
//! doctor, and a push that rolls back by itself.
//!
//! The push runs unchanged, with an `ssh` and an `scp` that use a local folder, and a `systemctl`
//! that stops and starts the real binary.

use crate::test_server::TIMEOUT;
use luckydraw::ops::doctor::kernel::{SYSCTLS, parse_field};
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/deploy");
const BINARY: &str = env!("CARGO_BIN_EXE_luckydraw");

/// A file as the launch script writes it.
fn printed(name: &str) -> String {
    let arguments = ["--domain", "draw.example", "--contact", "ops@draw.example", "--print", name];
    let output = Command::new("sh").arg(format!("{SCRIPTS}/launch.sh")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A folder with the units, whose binary is the one under test.
fn units() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let service = printed("luckydraw.service").replace("/opt/luckydraw/current/luckydraw", BINARY);
    assert!(service.contains(BINARY));
    fs::write(folder.path().join("luckydraw.service"), &service).unwrap();
    for socket in ["luckydraw.socket", "luckydraw-redirect.socket"] {
        assert!(service.contains(socket));
        fs::write(folder.path().join(socket), printed(socket)).unwrap();
    }
    folder
}

fn analyze(folder: &TempDir, arguments: &[&str]) -> (bool, String) {
    let output =
        Command::new("systemd-analyze").args(arguments).current_dir(folder.path()).output().expect("systemd is installed");
    (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

#[test]
fn systemd_accepts_the_units() {
    let folder = units();
    let (accepted, output) =
        analyze(&folder, &["verify", "./luckydraw.socket", "./luckydraw-redirect.socket", "./luckydraw.service"]);
    assert!(accepted && !output.contains("luckydraw."), "{output}");
    let service = folder.path().join("luckydraw.service");
    fs::write(&service, fs::read_to_string(&service).unwrap().replace("WatchdogSec=", "WatchDogs=")).unwrap();
    let (_, output) = analyze(&folder, &["verify", "./luckydraw.service"]);
    assert!(output.contains("WatchDogs"), "a mistake is found: {output}");
}

#[test]
fn the_service_s_exposure_is_at_most_two() {
    let folder = units();
    // The threshold is in tenths.
    let (tight, output) = analyze(&folder, &["security", "--offline=true", "--threshold=20", "./luckydraw.service"]);
    assert!(tight, "{output}");
    let (too_tight, output) = analyze(&folder, &["security", "--offline=true", "--threshold=5", "./luckydraw.service"]);
    assert!(!too_tight, "a lower threshold fails: {output}");
}

#[test]
fn the_sysctls_satisfy_the_doctor_and_each_has_a_comment() {
    let text = printed("sysctl.conf");
    for wanted in SYSCTLS {
        let line = text.lines().find_map(|line| line.strip_prefix(wanted.name)?.trim().strip_prefix('='));
        let value = line.and_then(|line| parse_field(line, wanted.field));
        assert!(value.is_some_and(|value| value >= wanted.least), "{} is set to {value:?}", wanted.name);
    }
    let lines: Vec<_> = text.lines().collect();
    let unexplained = lines.windows(2).find(|pair| !pair[1].starts_with('#') && !pair[0].starts_with('#'));
    assert_eq!(unexplained, None, "each has a comment");
}

#[test]
fn the_scripts_parse_as_shell() {
    for (shell, script) in [("sh", "launch.sh"), ("bash", "build"), ("bash", "package"), ("bash", "push"), ("bash", "../release")]
    {
        let output = Command::new(shell).args(["-n", &format!("{SCRIPTS}/{script}")]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}

/// A remote machine as a folder, with the commands that reach it. Dropping it kills its server.
struct Machine {
    folder: TempDir,
    port: u16,
}

const SSH: &str = r#"#!/bin/sh
shift
exec sh -c "$*"
"#;

const SCP: &str = r#"#!/bin/sh
[ "$1" = -q ] && shift
exec cp "$1" "${2#*:}"
"#;

/// Stops the running server and starts the linked one, as systemd does; reports no outcome.
const SYSTEMCTL: &str = r#"#!/bin/sh
[ "$1 $2" = "restart luckydraw.service" ] || exit 1
if [ -f "$BOX/pid" ]; then
    kill "$(cat "$BOX/pid")" 2>/dev/null
    while kill -0 "$(cat "$BOX/pid")" 2>/dev/null; do sleep 0.02; done
fi
(set -a; . "$BOX/settings"; exec setsid "$BOX/home/current/luckydraw" >>"$BOX/log" 2>&1 </dev/null) &
echo $! >"$BOX/pid"
echo restart >>"$BOX/restarts"
"#;

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let machine = Self { folder, port };
        fs::create_dir(machine.path("bin")).unwrap();
        for (name, text) in [("ssh", SSH), ("scp", SCP), ("systemctl", SYSTEMCTL)] {
            machine.write_program(&format!("bin/{name}"), text);
        }
        let data = machine.path("data");
        fs::write(machine.path("settings"), format!("LUCKYDRAW_BIND=127.0.0.1:{port}\nLUCKYDRAW_DATA_DIR={}\n", data.display()))
            .unwrap();
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write_program(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn push(&self, binary: &Path) -> Output {
        self.command().arg("--binary").arg(binary).output().unwrap()
    }

    /// A push to this machine.
    fn command(&self) -> Command {
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap());
        let mut command = Command::new("timeout");
        command.arg((4 * TIMEOUT.as_secs()).to_string()).arg(format!("{SCRIPTS}/push")).arg("box");
        command.arg("--home").arg(self.path("home")).arg("--settings").arg(self.path("settings"));
        command.env("PATH", path).env("BOX", self.folder.path());
        command
    }

    /// The linked release.
    fn current(&self) -> PathBuf {
        fs::read_link(self.path("home/current")).unwrap()
    }

    fn restarts(&self) -> usize {
        fs::read_to_string(self.path("restarts")).unwrap_or_default().lines().count()
    }

    fn is_healthy(&self) -> bool {
        let bind = format!("127.0.0.1:{}", self.port);
        Command::new(BINARY).env_clear().args(["healthcheck", "--ready", "--bind", &bind]).output().unwrap().status.success()
    }

    /// Asserts that the running program is this release.
    fn assert_runs(&self, release: &Path) {
        assert!(self.is_healthy(), "{}", fs::read_to_string(self.path("log")).unwrap_or_default());
        let pid = fs::read_to_string(self.path("pid")).unwrap();
        let program = fs::read_link(format!("/proc/{}/exe", pid.trim())).unwrap();
        assert_eq!(program, self.path("home").join(release).join("luckydraw").canonicalize().unwrap());
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let pid = fs::read_to_string(self.path("pid")).ok().and_then(|pid| pid.trim().parse::<libc::pid_t>().ok());
        if let Some(pid) = pid {
            // SAFETY: kill takes no pointers; the process was started by this test's own systemctl.
            unsafe { libc::kill(pid, libc::SIGKILL) };
        }
    }
}

#[test]
fn a_push_switches_once_and_rolls_back_by_itself() {
    let machine = Machine::new();
    let first = machine.push(Path::new(BINARY));
    assert!(first.status.success(), "{first:?}");
    let one = machine.current();
    machine.assert_runs(&one);

    let again = machine.push(Path::new(BINARY));
    assert!(again.status.success() && String::from_utf8_lossy(&again.stdout).contains("is already running"), "{again:?}");
    assert_eq!((machine.current(), machine.restarts()), (one.clone(), 1), "the same binary again changes nothing");

    // A different binary by its bytes: an executable ignores what follows its end.
    let next = machine.path("next");
    fs::copy(BINARY, &next).unwrap();
    let mut bytes = fs::OpenOptions::new().append(true).open(&next).unwrap();
    std::io::Write::write_all(&mut bytes, b"another build").unwrap();
    drop(bytes);
    let second = machine.push(&next);
    assert!(second.status.success(), "{second:?}");
    let two = machine.current();
    assert_ne!(one, two);
    machine.assert_runs(&two);

    let unhealthy = machine.write_program("unhealthy", "#!/bin/sh\ncase \"$1\" in --*) exit 0 ;; *) exit 1 ;; esac\n");
    let third = machine.push(&unhealthy);
    let output = String::from_utf8_lossy(&third.stdout).into_owned();
    assert!(
        third.status.code() == Some(1) && output.contains("is not healthy") && output.contains("rolled back to"),
        "{third:?}"
    );
    assert_eq!(machine.current(), two);
    machine.assert_runs(&two);

    let foreign = machine.write_program("foreign", "#!/bin/sh\nexit 126\n");
    let restarts = machine.restarts();
    let fourth = machine.push(&foreign);
    assert!(fourth.status.code() == Some(1) && String::from_utf8_lossy(&fourth.stdout).contains("does not run"), "{fourth:?}");
    assert_eq!((machine.current(), machine.restarts()), (two, restarts), "a binary that does not run is not switched to");
}

/// Plays `cargo build`: a small program of Rust and C, by the compiler and linker that are named.
const CARGO: &str = r#"#!/bin/sh
set -e
while [ $# -gt 0 ]; do
    case "$1" in --target) target=$2 ;; --target-dir) folder=$2 ;; esac
    shift
done
suffix=$(echo "$target" | tr - _)
eval "cc=\$CC_$suffix linker=\${CARGO_TARGET_$(echo "$suffix" | tr a-z A-Z)_LINKER:-}"
mkdir -p "$folder/$target/dist"
cd "$folder/$target/dist"
printf '#include <stdio.h>\nint part(void) { return printf("a part in C\\n"); }\n' >part.c
$cc -c part.c
ar rcs libpart.a part.o
printf 'extern "C" { fn part() -> i32; }\nfn main() { println!("a program of {}", std::env::consts::ARCH); unsafe { part() }; }\n' >main.rs
rustc --target "$target" ${linker:+-C "linker=$linker"} -L . -l static=part -o luckydraw main.rs
"#;

#[test]
fn a_push_builds_a_static_program_that_starts() {
    let target = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    let libraries = Command::new("rustc").args(["--print", "target-libdir", "--target", &target]).output().unwrap();
    let has_target = Path::new(String::from_utf8_lossy(&libraries.stdout).trim()).is_dir();
    if !has_target || Command::new("musl-gcc").arg("--version").output().is_err() {
        return eprintln!("not tried: rustup target add {target}, and Debian's musl-tools");
    }
    let machine = Machine::new();
    let cargo = machine.write_program("bin/cargo", CARGO);
    let folder = machine.path("target");
    let output = machine.command().env("CARGO", cargo).env("CARGO_TARGET_DIR", &folder).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    // It is no server, so it is pushed and found unhealthy; but it has started.
    assert!(printed.contains("a program of") && printed.contains("a part in C"), "{output:?}");
    let bytes = fs::read(folder.join(&target).join("dist/luckydraw")).unwrap();
    assert!(!bytes.windows(8).any(|window| window == b"/ld-musl"), "it needs no loader");
}

#[test]
fn the_image_s_user_owns_the_data_folder_and_it_has_a_health_check() {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(BINARY, folder.path().join("luckydraw")).unwrap();
    let buildah = |arguments: &[&str]| {
        let (root, run) = (folder.path().join("storage"), folder.path().join("run"));
        let mut command = Command::new("buildah");
        command.args(["--storage-driver", "vfs", "--root"]).arg(root).arg("--runroot").arg(run);
        command.args(arguments).current_dir(folder.path()).output()
    };
    if buildah(&["--version"]).is_err() {
        return eprintln!("not tried: Debian's buildah");
    }
    let text = |output: std::io::Result<Output>| {
        let output = output.unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    fs::create_dir_all(folder.path().join("scripts/deploy/image/data")).unwrap();
    for file in ["Containerfile", "image/data/.keep"] {
        fs::copy(format!("{SCRIPTS}/{file}"), folder.path().join("scripts/deploy").join(file)).unwrap();
    }
    let build = ["bud", "--isolation", "chroot", "--format", "docker", "-f", "scripts/deploy/Containerfile"];
    text(buildah(&[&build[..], &["--build-arg", "BINARY=luckydraw", "-t", "luckydraw", "."]].concat()));
    let container = text(buildah(&["from", "luckydraw"]));
    let data = fs::metadata(PathBuf::from(text(buildah(&["mount", &container]))).join("data")).unwrap();
    let described = text(buildah(&["inspect", "--type", "image", "luckydraw"]));
    let user = format!("{}:{}", data.uid(), data.gid());
    assert!(data.uid() != 0 && described.contains(&format!("\"User\": \"{user}\"")), "/data belongs to {user}: {described}");
    assert!(described.contains("\"healthcheck\""), "{described}");
}
