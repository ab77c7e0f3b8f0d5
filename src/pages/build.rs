//! Joins the files of each page, compresses them with brotli and gzip into a table that
//! `api/assets.rs` includes, and collects the licences of all packages for `ops/licences.rs`.
//!
//! Cargo runs it before it compiles the crate. One hash over all files names the folder they are
//! served from: a part's import stays inside one version, and browsers may cache it for ever. Code
//! is not minified, so that it stays readable where it runs. Only lines that hold nothing but a
//! comment are dropped, since prose compresses badly: they were a sixth of what a phone loads.

mod bundle;
mod notices;

use bundle::{FOLDER, Files};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hasher as _};
use std::io::Write as _;
use std::path::{Path, PathBuf};

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

/// One folder per page.
const PAGES: [&str; 5] = ["console", "phone", "staff", "stage", "verify"];

const INFALLIBLE: &str = "writing to a string cannot fail";

/// The folder of what pages share.
const SHARED: &str = "shared";

/// The script that is no module: browsers that know none run it.
const CLASSIC_SCRIPT: &str = "shared/unsupported.js";

fn main() {
    let source = Path::new("src/pages");
    for input in ["src/pages", "Cargo.lock", "Cargo.toml", "LICENSE-MIT", "LICENSE-APACHE"] {
        println!("cargo::rerun-if-changed={input}");
    }
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo names the output folder"));
    // OUT_DIR is target/PROFILE/build/luckydraw-HASH/out.
    let profile = out.ancestors().nth(3).and_then(Path::file_name).and_then(|name| name.to_str());
    println!("cargo::rustc-env=BUILD_PROFILE={}", profile.unwrap_or_default());
    let files = served(&read_all(source));
    let version = hash(files.iter().flat_map(|(name, text)| [name.as_bytes(), text.as_bytes()]));
    for folder in PAGES.into_iter().chain([SHARED]) {
        std::fs::create_dir_all(out.join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    }
    let mut table = format!("/// The hash over all files.\npub const VERSION: &str = \"{version}\";\n");
    writeln!(table, "/// Every file, by name.\npub static FILES: [File; {}] = [", files.len()).expect(INFALLIBLE);
    for (name, text) in &files {
        let text = text.replace(FOLDER, &format!("/lottery/files/{version}"));
        let tag = hash([text.as_bytes()]);
        write(&out.join(format!("{name}.br")), &brotli(text.as_bytes()));
        write(&out.join(format!("{name}.gz")), &gzip(text.as_bytes()));
        let include = |suffix: &str| format!("include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{name}{suffix}\"))");
        writeln!(
            table,
            "File {{ name: {name:?}, media_type: {:?}, tag: {tag:?}, brotli: {}, gzip: {}, plain: OnceLock::new() }},",
            media_type(name),
            include(".br"),
            include(".gz")
        )
        .expect(INFALLIBLE);
    }
    table.push_str("];\n");
    write(&out.join("files.rs"), table.as_bytes());
    write(&out.join("notices.gz"), &gzip(notices::collect().as_bytes()));
}

/// All files of the pages, as `folder/name` and text. Modules and style sheets are without
/// comments, pages have their heads.
fn read_all(source: &Path) -> Files {
    let mut files = Files::new();
    for folder in PAGES.into_iter().chain([SHARED]) {
        let path = source.join(folder);
        let entries = std::fs::read_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for entry in entries {
            let path = entry.unwrap_or_else(|error| panic!("{folder}: {error}")).path();
            let name = path.file_name().and_then(|name| name.to_str()).expect("file names are ASCII");
            let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let text = match name.rsplit('.').next() {
                Some("html") => text.replace(HEAD, &SHARED_HEAD.replace("PAGE", folder)),
                Some("js" | "css") => without_comments(name, &text),
                _ => text,
            };
            files.insert(format!("{folder}/{name}"), text);
        }
    }
    files
}

/// The files as they are served: one script and one style sheet per page, the parts that a page
/// loads later, and what was not joined.
fn served(files: &Files) -> Files {
    let (mut served, mut joined) = (Files::new(), BTreeSet::new());
    for folder in PAGES {
        let page = format!("{folder}/index.html");
        let (html, sheet, linked) = bundle::styles(files, &files[&page], &format!("{folder}/style.css"));
        served.extend([(page, html), (format!("{folder}/style.css"), sheet)]);
        served.extend(bundle::scripts(files, folder));
        joined.extend(linked);
    }
    let is_module = |name: &str| name.ends_with(".js") && name != CLASSIC_SCRIPT;
    for (name, text) in files.iter().filter(|(name, _)| !is_module(name) && !joined.contains(*name)) {
        served.entry(name.clone()).or_insert_with(|| text.clone());
    }
    served
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
