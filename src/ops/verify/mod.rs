//! `luckydraw verify`: checks a proof file, and a phone's receipt against it, without any server.
//!
//! It reads a file from a stranger: sizes and numbers are bounded before anything is computed from
//! them. `src/draw/PROOF.md` specifies the format. The verify page and `scripts/verify-proof` check
//! the same and share no code with this; the vectors in `tests/vectors` hold all three together.

mod draws;
mod file;
mod outside;
mod receipt;

use crate::draw::proof::DrandChain;
use draws::Checker;
use file::{Proof, read_object};
use receipt::Receipt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The largest file, for all three verifiers: 1,000 draws among 300,000 numbers with leaves have
/// half of it.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Why a file cannot be checked at all.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The disk's error.
    #[error("{} cannot be read", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file is too large to be a proof.
    #[error("{} is larger than any proof", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The file is no proof.
    #[error("no proof to read")]
    NoProof(#[source] serde_json::Error),
    /// The file is no receipt.
    #[error("no receipt to read")]
    NoReceipt(#[source] serde_json::Error),
}

/// The findings of a check, a line per draw and further ones about the whole.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// The lines.
    pub lines: Vec<String>,
    /// The number of contradictions.
    pub mismatches: usize,
}

impl Findings {
    fn note(&mut self, subject: &str, result: Result<String, String>) {
        match result {
            Ok(text) => self.lines.push(format!("{subject}: {text}")),
            Err(mismatch) => {
                self.mismatches += 1;
                self.lines.push(format!("{subject}: MISMATCH: {mismatch}"));
            }
        }
    }
}

/// Checks a proof file, and a receipt if there is one.
///
/// # Errors
/// When a file cannot be read, or is not of its kind.
pub fn verify_files(proof: &Path, receipt: Option<&Path>) -> Result<Findings, VerifyError> {
    let proof = read(proof)?;
    let receipt = receipt.map(read).transpose()?;
    verify(&proof, receipt.as_deref())
}

/// Checks the text of a proof, as the server sends it or without its envelope.
///
/// # Errors
/// When a text is not of its kind.
pub fn verify(proof: &[u8], receipt: Option<&[u8]>) -> Result<Findings, VerifyError> {
    verify_with(proof, receipt, &[])
}

/// As [`verify`], with chains of drand beside quicknet, whose signatures are verified too. The
/// findings say that such a chain is another one.
///
/// # Errors
/// When a text is not of its kind.
pub fn verify_with(proof: &[u8], receipt: Option<&[u8]>, chains: &[DrandChain]) -> Result<Findings, VerifyError> {
    let proof: Proof<'_> = read_object(proof).map_err(VerifyError::NoProof)?;
    let receipt: Option<Receipt> = receipt.map(read_object).transpose().map_err(VerifyError::NoReceipt)?;
    let mut findings = Findings::default();
    let mut checker = Checker::new(chains);
    for draw in proof.draws.iter() {
        let (subject, result) = checker.check(&proof, draw);
        findings.note(&subject, result);
    }
    if let Err(mismatch) = checker.check_rest(&proof) {
        findings.note("the file", Err(mismatch));
    }
    if let Some(receipt) = receipt {
        receipt.check(&proof, &checker.locked, &mut findings);
    }
    Ok(findings)
}

fn read(path: &Path) -> Result<Vec<u8>, VerifyError> {
    let io = |source| VerifyError::Io { path: path.to_owned(), source };
    let mut text = Vec::new();
    File::open(path).map_err(io)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut text).map_err(io)?;
    if text.len() as u64 > FILE_BYTES_MAX { Err(VerifyError::TooLarge { path: path.to_owned() }) } else { Ok(text) }
}
