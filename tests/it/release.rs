//! The release script from end to end, with a compiler that is played: its files, their sums, and
//! its refusal when another folder makes other bytes.
//!
//! The script runs in a clone of the repository with this tree's scripts, since it releases commits
//! only. The real compiler takes minutes: `scripts/release VERSION --check` runs it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");

/// Plays `cargo build` and `cargo zigbuild`: a static program in C, which prints its first
/// argument, and holds the folder that it was built in where `LEAK` is set.
const CARGO: &str = r#"#!/bin/sh
set -e
while [ $# -gt 0 ]; do
    case "$1" in --target) target=$2 ;; --target-dir) folder=$2 ;; esac
    shift
done
mkdir -p "$folder/$target/dist"
cd "$folder/$target/dist"
printf '#include <stdio.h>\nint main(int count, char **words) { return puts(count > 1 ? words[1] : "%s") < 0; }\n' "${LEAK:+$PWD}" >main.c
musl-gcc -static -o luckydraw main.c
"#;

fn command(program: &str, arguments: &[&str], folder: &Path) -> Output {
    Command::new("timeout").args(["120", program]).args(arguments).current_dir(folder).output().unwrap()
}

fn text_of(output: Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_release_has_every_file_with_its_sum_and_refuses_bytes_that_name_a_folder() {
    let target = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    let libraries = command("rustc", &["--print", "target-libdir", "--target", &target], Path::new("/"));
    let has_target = Path::new(String::from_utf8_lossy(&libraries.stdout).trim()).is_dir();
    if !has_target || Command::new("musl-gcc").arg("--version").output().is_err() {
        return eprintln!("not tried: rustup target add {target}, and Debian's musl-tools");
    }
    let scratch = tempfile::tempdir().unwrap();
    let clone = scratch.path().join("clone");
    let git = |arguments: &[&str]| text_of(command("git", arguments, &clone));
    text_of(command("git", &["clone", "--quiet", "--shared", REPOSITORY, "clone"], scratch.path()));
    text_of(command("cp", &["-r", &format!("{REPOSITORY}/scripts"), &format!("{REPOSITORY}/.github"), "."], &clone));
    git(&["add", "--all"]);
    let author = ["-c", "user.name=test", "-c", "user.email=test@example.com"];
    git(&[&author[..], &["commit", "--quiet", "--allow-empty", "--message", "the scripts of this tree"]].concat());
    let cargo = scratch.path().join("cargo");
    fs::write(&cargo, CARGO).unwrap();
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    let release = |leak: &str| {
        let mut command = Command::new("timeout");
        command.args(["240", "scripts/release", version, "--page", "http://127.0.0.1/files", "--check"]).current_dir(&clone);
        command.env("CARGO", &cargo).env("LEAK", leak).env_remove("CARGO_TARGET_DIR").output().unwrap()
    };

    let leaking = release("1");
    let said = String::from_utf8_lossy(&leaking.stderr).into_owned();
    assert!(!leaking.status.success() && said.contains("names the folder"), "{said}");

    let output = release("");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.contains("byte for byte"), "{said}");
    let files = clone.join("target/releases").join(version);
    let sums = text_of(command("sha256sum", &["--check", "SHA256SUMS"], &files));
    let archive = format!("luckydraw-{version}-{target}.tar.gz");
    for name in [archive.as_str(), "launch.sh", "notices.txt", "changes.md", ".deb"] {
        assert!(sums.lines().any(|line| line.strip_suffix(": OK").is_some_and(|file| file.ends_with(name))), "{name}: {sums}");
    }
    let packed = text_of(command("tar", &["-tzf", &archive], &files));
    for name in ["luckydraw", "luckydraw.1", "luckydraw.bash", "_luckydraw", "luckydraw.fish", "notices.txt", "LICENSE-MIT"] {
        assert!(packed.lines().any(|line| line.rsplit('/').next() == Some(name)), "{name}: {packed}");
    }
    let launch = fs::read_to_string(files.join("launch.sh")).unwrap();
    let sum = text_of(command("sha256sum", &[&archive], &files));
    assert!(launch.contains(sum.trim_end()) && launch.contains(&format!("RELEASE:-{version}")), "launch.sh knows its release");
}

#[test]
fn no_crate_is_shipped_as_the_fast_build_leaves_it() {
    let manifest: toml::Table = include_str!("../../Cargo.toml").parse().unwrap();
    let packages = |profile: &str| manifest["profile"][profile]["package"].as_table().unwrap().clone();
    let level = |own: &toml::Value| own.get("opt-level").cloned();
    let set = packages("dist");
    // The profile that ships inherits what it does not set itself.
    let is_left = |(name, own): &(String, toml::Value)| {
        level(own) == Some(toml::Value::Integer(0)) && set.get(name).and_then(level).is_none()
    };
    let left: Vec<_> = packages("release").into_iter().filter(is_left).map(|(name, _)| name).collect();
    assert!(left.is_empty() && set.len() > 20, "{left:?}");
}
