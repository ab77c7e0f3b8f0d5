//! The licences of the program and of every package in it, which must go wherever the binary goes.
//!
//! The build collects them (`pages/notices.rs`); they are kept packed, since few ever read them.

use flate2::read::GzDecoder;
use std::io::{self, Read};

/// The text, packed.
static NOTICES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/notices.gz"));

/// The licences: the program's own, a list of the packages, and every text once.
///
/// # Errors
/// None: the build packed it whole.
pub fn text() -> io::Result<String> {
    let mut text = String::new();
    GzDecoder::new(NOTICES).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_package_has_its_licence_and_nearly_every_one_its_text() {
        let text = text().unwrap();
        let (list, texts) = text.split_once("=====").unwrap();
        let packages: Vec<_> = list.lines().filter_map(|line| line.split_once(": ")).collect();
        assert!(packages.len() > 150, "{}", packages.len());
        for known in ["hyper ", "libsqlite3-sys ", "mimalloc ", "ring ", "rustls "] {
            assert!(packages.iter().any(|(package, _)| package.starts_with(known)), "{known}");
        }
        assert!(packages.iter().all(|(_, licence)| !licence.is_empty()), "{packages:?}");
        let without: Vec<_> = packages.iter().filter(|(package, _)| !texts.contains(package)).collect();
        // Their licence is named, and its text is there as another's.
        assert!(without.len() <= 6, "{without:?}");
        for part in ["Permission is hereby granted", "Apache License", "BoringSSL", "Microsoft Corporation, Daan Leijen"] {
            assert!(texts.contains(part), "{part}");
        }
    }
}
