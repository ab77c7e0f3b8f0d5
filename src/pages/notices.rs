//! Collects the licences of every package in the binary, for `luckydraw licences`.
//!
//! Part of the build script: the packages and their files are then those that are compiled in. A
//! list kept by hand would be wrong after the next update. Equal texts are kept once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Beginnings of the names of files that state a licence, in lower case.
const NAMES: [&str; 6] = ["copying", "copyright", "licence", "license", "notice", "unlicense"];

/// Folders searched below a package's own: C sources have theirs two or three deep.
const DEPTH_MAX: usize = 3;

/// A package: name, version and licence expression.
type Package = (String, String, String);

/// The whole text: the program's own licences, the list of packages, and every text once.
pub fn collect() -> String {
    let own = |name: &str| std::fs::read_to_string(name).unwrap_or_else(|error| panic!("{name}: {error}"));
    let packages = packages();
    let mut text = format!(
        "luckydraw is licensed under the MIT licence or the Apache License 2.0, as you choose.\n\
         It contains Rust's standard library under the same two, and {} packages:\n\n",
        packages.len()
    );
    let mut by_text: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, version, licence) in &packages {
        text.push_str(&format!("{name} {version}: {licence}\n"));
        let folder = source_folder(name, version);
        let texts = folder.map(|folder| licence_texts(&folder, DEPTH_MAX)).unwrap_or_default();
        for one in texts {
            by_text.entry(one).or_default().insert(format!("{name} {version}"));
        }
    }
    for name in ["LICENSE-MIT", "LICENSE-APACHE"] {
        by_text.entry(tidied(&own(name))).or_default().insert("luckydraw".into());
    }
    for (licence, holders) in by_text {
        let holders = holders.into_iter().collect::<Vec<_>>().join(", ");
        text.push_str(&format!("\n{}\n{holders}\n\n{licence}\n", "=".repeat(80)));
    }
    text
}

/// The packages of the binary, without those that only build it.
fn packages() -> BTreeSet<Package> {
    let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"));
    let output = Command::new(variable("CARGO"))
        .args(["tree", "--offline", "--edges", "normal,no-proc-macro", "--prefix", "none", "--format", "{p}\t{l}"])
        .args(["--target", &variable("TARGET")])
        .output()
        .unwrap_or_else(|error| panic!("cargo tree: {error}"));
    assert!(output.status.success(), "cargo tree: {}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).expect("cargo prints UTF-8");
    let read = |line: &str| {
        let (package, licence) = line.split_once('\t')?;
        let (name, version) = package.split_once(" v")?;
        let version = version.split(' ').next()?;
        Some((name.to_owned(), version.to_owned(), licence.trim_end_matches(" (*)").to_owned()))
    };
    lines.lines().filter_map(read).filter(|(name, ..)| name != "luckydraw").collect()
}

/// The folder that cargo unpacked a package into; `None` where the sources come from elsewhere.
fn source_folder(name: &str, version: &str) -> Option<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")))?;
    let registries = std::fs::read_dir(home.join("registry/src")).ok()?;
    registries.flatten().map(|registry| registry.path().join(format!("{name}-{version}"))).find(|folder| folder.is_dir())
}

/// The texts of the licence files in a folder and those below it.
fn licence_texts(folder: &Path, depth: usize) -> Vec<String> {
    let mut paths: Vec<_> = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let mut texts = Vec::new();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        if path.is_dir() && depth > 0 {
            texts.extend(licence_texts(&path, depth - 1));
        } else if path.is_file() && NAMES.iter().any(|start| name.starts_with(start)) && !name.ends_with(".rs") {
            texts.extend(std::fs::read_to_string(&path).ok().map(|text| tidied(&text)));
        }
    }
    texts
}

/// A text without trailing spaces and empty lines at its ends, so that equal ones are equal.
fn tidied(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(str::trim_end).collect();
    lines.join("\n").trim_matches('\n').to_owned()
}
