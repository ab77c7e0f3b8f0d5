//! Encryption at rest: a sealed text opens only with its key, and only in the place it was sealed
//! for.
//!
//! ChaCha20-Poly1305 (RFC 8439) under a random nonce, which goes before the text. The place (which
//! draw of which event) is authenticated along, so that a row moved to another place does not open
//! there. A counter as the nonce would have to survive every crash; 96 random bits need not, and a
//! server seals thousands of times in its life, not billions.

use crate::base::chance;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

/// Seals and opens under one key.
pub(super) struct Seal {
    key: LessSafeKey,
}

impl Seal {
    pub fn new(key: &[u8; 32]) -> Self {
        let key = UnboundKey::new(&CHACHA20_POLY1305, key).expect("ChaCha20-Poly1305 takes any 32 bytes");
        Self { key: LessSafeKey::new(key) }
    }

    /// Encrypts `text` for `place`. The result is 28 bytes longer: nonce and tag.
    pub fn seal(&self, place: &[u8], text: &[u8]) -> Vec<u8> {
        let nonce: [u8; NONCE_LEN] = chance::bytes();
        let mut sealed = [&nonce[..], text].concat();
        let tag = self
            .key
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(place), &mut sealed[NONCE_LEN..])
            .expect("a text of this size is never too long to seal");
        sealed.extend_from_slice(tag.as_ref());
        sealed
    }

    /// Decrypts a text that was sealed for `place`; `None` when it was not, or has changed since.
    pub fn open(&self, place: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, text) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut text = text.to_vec();
        let len = self.key.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(place), &mut text).ok()?.len();
        text.truncate(len);
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_text_opens_only_unchanged_and_in_its_place() {
        let seal = Seal::new(&[1; 32]);
        let sealed = seal.seal(b"here", b"secret");
        assert_eq!(sealed.len(), b"secret".len() + 28);
        assert_eq!(seal.open(b"here", &sealed).as_deref(), Some(&b"secret"[..]));
        assert_eq!(seal.open(b"there", &sealed), None);
        assert_eq!(Seal::new(&[2; 32]).open(b"here", &sealed), None);
        for i in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[i] ^= 1;
            assert_eq!(seal.open(b"here", &changed), None, "byte {i}");
            assert_eq!(seal.open(b"here", &sealed[..i]), None, "{i} bytes");
        }
    }

    #[test]
    fn texts_of_any_length_come_back() {
        let seal = Seal::new(&[3; 32]);
        for len in (0..130).chain([4_096, 70_001]) {
            let text: Vec<u8> = (0..len).map(|i| i as u8).collect();
            assert_eq!(seal.open(b"", &seal.seal(b"", &text)), Some(text), "{len} bytes");
        }
    }

    #[test]
    fn the_same_text_never_looks_the_same() {
        let seal = Seal::new(&[1; 32]);
        assert_ne!(seal.seal(b"", b"secret"), seal.seal(b"", b"secret"));
    }
}
