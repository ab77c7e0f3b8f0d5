//! Compresses the pages' files with brotli and gzip into a table that `web/files.rs` includes.
//!
//! Cargo runs it before it compiles the crate. One hash over all files names the folder they are
//! served from: a module's relative imports stay inside one version, and browsers may cache it for
//! ever. Code is not minified, so that it stays readable where it runs. Only lines that hold nothing
//! but a comment are dropped, since prose compresses badly: they were a sixth of what a phone loads.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Placeholder in a page for the address of the files' folder.
const FOLDER: &str = "{{files}}";

/// One folder per page, and one for what pages share.
const FOLDERS: [&str; 6] = ["console", "phone", "shared", "staff", "stage", "verify"];

fn main() {
    let source = Path::new("src/pages");
    println!("cargo::rerun-if-changed={}", source.display());
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo names the output folder"));
    let files = read_all(source);
    let version = hex(&hash(files.iter().flat_map(|(name, bytes)| [name.as_bytes(), bytes])))[..16].to_owned();
    for folder in FOLDERS {
        std::fs::create_dir_all(out.join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    }
    let mut table = format!("/// The hash over all files.\npub const VERSION: &str = \"{version}\";\n");
    table.push_str("/// Every file, by name.\npub static FILES: &[File] = &[\n");
    for (name, bytes) in &files {
        let bytes = prepare(name, bytes, &version);
        let tag = &hex(&hash([bytes.as_slice()]))[..16];
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
}

/// All files to serve, as `folder/name` and content, in order of their names.
fn read_all(source: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for folder in FOLDERS {
        let path = source.join(folder);
        let entries = std::fs::read_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for entry in entries {
            let path = entry.unwrap_or_else(|error| panic!("{folder}: {error}")).path();
            let name = path.file_name().and_then(|name| name.to_str()).expect("file names are ASCII");
            let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            files.push((format!("{folder}/{name}"), bytes));
        }
    }
    files.sort();
    files
}

/// Fills in the files' address in a page; drops the comments of a module or style sheet.
fn prepare(name: &str, bytes: &[u8], version: &str) -> Vec<u8> {
    match std::str::from_utf8(bytes) {
        Ok(text) if name.ends_with(".html") => text.replace(FOLDER, &format!("/lottery/files/{version}")).into_bytes(),
        Ok(text) if name.ends_with(".js") || name.ends_with(".css") => without_comments(name, text).into_bytes(),
        _ => bytes.to_vec(),
    }
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

fn hash<'b>(parts: impl IntoIterator<Item = &'b [u8]>) -> [u8; 32] {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_le_bytes());
        context.update(part);
    }
    context.finish().as_ref().try_into().expect("a SHA-256 has 32 bytes")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn write(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
