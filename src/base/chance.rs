//! Random bytes from the kernel, the only source of chance in the server.
//!
//! The rules take entropy as an argument, so that a replay picks the same winners as the live
//! event; this file makes that argument. It must never use a seeded generator: a leaked seed
//! predicts every later draw, and the kernel's bytes cost a microsecond.

use crate::draw::{Entropy, Epoch, SessionId};
use data_encoding::HEXLOWER;
use ring::rand::{SecureRandom, SystemRandom};

/// A new session.
pub fn session_id() -> SessionId {
    SessionId(bytes())
}

/// A new epoch.
pub fn epoch() -> Epoch {
    Epoch(bytes())
}

/// The entropy of one draw.
pub fn entropy() -> Entropy {
    Entropy(bytes())
}

/// `len` random bytes as `2 * len` lower-case hex digits, for names that cannot be guessed.
pub fn hex(len: usize) -> String {
    let mut random = vec![0; len];
    fill(&mut random);
    HEXLOWER.encode(&random)
}

/// An array of random bytes.
pub(crate) fn bytes<const LEN: usize>() -> [u8; LEN] {
    let mut random = [0; LEN];
    fill(&mut random);
    random
}

fn fill(random: &mut [u8]) {
    SystemRandom::new().fill(random).expect("a booted kernel gives random bytes to every process");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_value_repeats() {
        let mut seen = HashSet::new();
        for _ in 0..1_000 {
            assert!(seen.insert(session_id().0.to_vec()));
            assert!(seen.insert(epoch().0.to_vec()));
            assert!(seen.insert(entropy().0.to_vec()));
        }
    }

    #[test]
    fn hex_has_two_digits_per_byte() {
        let text = hex(16);
        assert_eq!(text.len(), 32);
        assert!(text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)), "{text}");
        assert_ne!(text, hex(16));
    }
}
