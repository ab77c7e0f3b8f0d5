//! Makes of the files beside it what the server sends: each one by brotli and by gzip, in a table that `web/files.rs` includes.
//!
//! Run by cargo before the crate is compiled. One hash over all files names the folder they are served from, so that a module's relative imports
//! stay inside one version, and browsers may keep it for ever. Code is not minified, so that it stays readable where it runs; only lines that are
//! comment and nothing else stay behind, since prose packs badly: they were a sixth of what a phone loads.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// What stands in the pages where the folder's address belongs.
const FOLDER: &str = "{{files}}";

fn main() {
    let source = Path::new("src/pages");
    println!("cargo::rerun-if-changed={}", source.display());
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo names the folder for what is built"));
    let files = read_all(source);
    let version = hex(&hash(files.iter().flat_map(|(name, bytes)| [name.as_bytes(), bytes])))[..16].to_owned();
    let mut table = format!("/// The hash over all files.\npub const VERSION: &str = \"{version}\";\n");
    table.push_str("/// Every file, by name.\npub static FILES: &[File] = &[\n");
    for (name, bytes) in &files {
        let bytes = with_folder(name, bytes, &version);
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
        .expect("a string takes what is written to it");
    }
    table.push_str("];\n");
    write(&out.join("files.rs"), table.as_bytes());
}

/// The files to serve, by name.
fn read_all(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries
        .map(|entry| entry.unwrap_or_else(|error| panic!("{}: {error}", folder.display())).path())
        .filter(|path| path.extension().is_some_and(|extension| extension != "rs"))
        .map(|path| {
            let name = path.file_name().and_then(|name| name.to_str()).expect("names of pages are plain").to_owned();
            (name, std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
        })
        .collect();
    files.sort();
    files
}

/// A page with the address of its files in place, a module or style without its comments.
fn with_folder(name: &str, bytes: &[u8], version: &str) -> Vec<u8> {
    match std::str::from_utf8(bytes) {
        Ok(text) if name.ends_with(".html") => text.replace(FOLDER, &format!("/lottery/files/{version}")).into_bytes(),
        Ok(text) if name.ends_with(".js") || name.ends_with(".css") => without_comments(name, text).into_bytes(),
        _ => bytes.to_vec(),
    }
}

/// The lines that are more than comment. What stands beside code stays, and so does all that is inside of a line; no text that runs over several
/// lines may have a line that begins like a comment.
fn without_comments(name: &str, text: &str) -> String {
    let mut is_inside = false;
    let mut kept = String::with_capacity(text.len());
    for line in text.lines() {
        let code = line.trim();
        let closes = code.ends_with("*/");
        assert!(!is_inside || closes || !code.contains("*/"), "{name}: code after the end of a comment: {line}");
        let opens = code.starts_with("/*") && (closes || !code.contains("*/"));
        let is_comment = is_inside || opens || (name.ends_with(".js") && code.starts_with("//"));
        is_inside = (is_inside || opens) && !closes;
        if !is_comment {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    assert!(!is_inside, "{name}: a comment without an end");
    kept
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("webmanifest") => "application/manifest+json",
        _ => panic!("{name}: no media type is known for it"),
    }
}

fn brotli(bytes: &[u8]) -> Vec<u8> {
    let params = brotli::enc::BrotliEncoderParams { quality: 11, lgwin: 18, ..Default::default() };
    let mut packed = Vec::new();
    brotli::BrotliCompress(&mut &*bytes, &mut packed, &params).expect("memory takes what is written to it");
    packed
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packer.write_all(bytes).and_then(|()| packer.finish()).expect("memory takes what is written to it")
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
