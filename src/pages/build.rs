//! Compresses the pages' files with brotli and gzip into a table that `api/assets.rs` includes, and
//! collects the licences of all packages for `ops/licences.rs`.
//!
//! Cargo runs it before it compiles the crate. One hash over all files names the folder they are
//! served from: a module's relative imports stay inside one version, and browsers may cache it for
//! ever. Code is not minified, so that it stays readable where it runs. Only lines that hold
//! nothing but a comment are dropped, since prose compresses badly: they were a sixth of what a
//! phone loads.

mod notices;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hasher as _};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Placeholder in a page for the address of the files' folder.
const FOLDER: &str = "{{files}}";

/// Placeholder in a page for the part of its head that all pages have.
const HEAD: &str = "{{head}}";

/// The shared part itself; `PAGE` is the name of the page's folder.
const SHARED_HEAD: &str = r#"<meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1, viewport-fit=cover">
    <link rel="icon" href="{{files}}/shared/icon.svg">
    <link rel="stylesheet" href="{{files}}/shared/base.css">
    <link rel="stylesheet" href="{{files}}/PAGE/style.css">
    <script defer src="{{files}}/shared/unsupported.js"></script>
    <script type="module" src="{{files}}/PAGE/main.js"></script>"#;

/// One folder per page, and one for what pages share.
const FOLDERS: [&str; 6] = ["console", "phone", "shared", "staff", "stage", "verify"];

fn main() {
    let source = Path::new("src/pages");
    for input in ["src/pages", "Cargo.lock", "Cargo.toml", "LICENSE-MIT", "LICENSE-APACHE"] {
        println!("cargo::rerun-if-changed={input}");
    }
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo names the output folder"));
    // OUT_DIR is target/PROFILE/build/luckydraw-HASH/out.
    let profile = out.ancestors().nth(3).and_then(Path::file_name).and_then(|name| name.to_str());
    println!("cargo::rustc-env=BUILD_PROFILE={}", profile.unwrap_or_default());
    let files = read_all(source);
    let version = hash(files.iter().flat_map(|(name, bytes)| [name.as_bytes(), bytes]));
    for folder in FOLDERS {
        std::fs::create_dir_all(out.join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    }
    let mut table = format!("/// The hash over all files.\npub const VERSION: &str = \"{version}\";\n");
    table.push_str("/// Every file, by name.\npub static FILES: &[File] = &[\n");
    for (name, bytes) in &files {
        let bytes = prepare(name, bytes, &files, &version);
        let tag = hash([bytes.as_slice()]);
        write(&out.join(format!("{name}.br")), &brotli(&bytes));
        write(&out.join(format!("{name}.gz")), &gzip(&bytes));
        let include = |suffix: &str| format!("include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{name}{suffix}\"))");
        writeln!(
            table,
            "File {{ name: {name:?}, media_type: {:?}, tag: {tag:?}, brotli: {}, gzip: {} }},",
            media_type(name),
            include(".br"),
            include(".gz")
        )
        .expect("writing to a string cannot fail");
    }
    table.push_str("];\n");
    write(&out.join("files.rs"), table.as_bytes());
    write(&out.join("notices.gz"), &gzip(notices::collect().as_bytes()));
}

/// All files to serve, as `folder/name` and content, in order of their names.
fn read_all(source: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for folder in FOLDERS {
        let path = source.join(folder);
        let entries = std::fs::read_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for entry in entries {
            let path = entry.unwrap_or_else(|error| panic!("{folder}: {error}")).path();
            let name = path.file_name().and_then(|name| name.to_str()).expect("file names are ASCII");
            let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            files.insert(format!("{folder}/{name}"), bytes);
        }
    }
    files
}

/// Fills in the head and the files' address of a page; drops the comments of a module or style
/// sheet.
fn prepare(name: &str, bytes: &[u8], files: &BTreeMap<String, Vec<u8>>, version: &str) -> Vec<u8> {
    match std::str::from_utf8(bytes) {
        Ok(text) if name.ends_with(".html") => {
            let (folder, _) = name.split_once('/').expect("each file is in a folder");
            let page = text.replace(HEAD, &head(folder, files));
            page.replace(FOLDER, &format!("/lottery/files/{version}")).into_bytes()
        }
        Ok(text) if name.ends_with(".js") || name.ends_with(".css") => without_comments(name, text).into_bytes(),
        _ => bytes.to_vec(),
    }
}

/// The shared part of a page's head. It preloads each module that the main one imports, directly or
/// not: a browser that found them one import after another would make one round trip per level.
fn head(folder: &str, files: &BTreeMap<String, Vec<u8>>) -> String {
    let mut head = SHARED_HEAD.replace("PAGE", folder);
    let mut seen = BTreeSet::new();
    let mut open = vec![format!("{folder}/main.js")];
    while let Some(name) = open.pop() {
        let (folder, _) = name.split_once('/').expect("each file is in a folder");
        let text = files.get(&name).unwrap_or_else(|| panic!("there is no {name}"));
        let text = std::str::from_utf8(text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let quoted = text.split(" from \"").skip(1).filter_map(|rest| rest.split('"').next());
        let imports = quoted.map(|path| match path.strip_prefix("../") {
            Some(name) => name.to_owned(),
            None => format!("{folder}/{}", path.trim_start_matches("./")),
        });
        open.extend(imports.filter(|import| seen.insert(import.clone())));
    }
    for name in seen {
        write!(head, "\n    <link rel=\"modulepreload\" href=\"{FOLDER}/{name}\">").expect("writing to a string cannot fail");
    }
    head
}

/// Drops the lines that hold nothing but a comment. A comment beside code stays. A text of several
/// lines must not have a line that begins like a comment.
fn without_comments(name: &str, text: &str) -> String {
    let mut is_inside = false;
    let mut kept = String::with_capacity(text.len());
    for line in text.lines() {
        let code = line.trim();
        let closes = code.ends_with("*/");
        assert!(!is_inside || closes || !code.contains("*/"), "{name}: code follows a comment: {line}");
        let opens = code.starts_with("/*") && (closes || !code.contains("*/"));
        let is_comment = is_inside || opens || (name.ends_with(".js") && code.starts_with("//"));
        is_inside = (is_inside || opens) && !closes;
        if !is_comment {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    assert!(!is_inside, "{name}: a comment never ends");
    kept
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => panic!("{name}: unknown media type"),
    }
}

fn brotli(bytes: &[u8]) -> Vec<u8> {
    let params = brotli::enc::BrotliEncoderParams { quality: 11, lgwin: 18, ..Default::default() };
    let mut packed = Vec::new();
    brotli::BrotliCompress(&mut &*bytes, &mut packed, &params).expect("writing to memory cannot fail");
    packed
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packer.write_all(bytes).and_then(|()| packer.finish()).expect("writing to memory cannot fail")
}

/// SipHash with a fixed key, in hexadecimal digits. It tells versions apart and guards nothing, so
/// the build does without a crate for it.
fn hash<'b>(parts: impl IntoIterator<Item = &'b [u8]>) -> String {
    let mut hasher = DefaultHasher::new();
    for part in parts {
        hasher.write_usize(part.len());
        hasher.write(part);
    }
    format!("{:016x}", hasher.finish())
}

fn write(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
