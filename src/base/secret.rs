//! A secret of the settings: parsed once, and hidden from every `Debug` output.
//!
//! A struct that holds a [`Secret`] may derive `Debug`; only [`Secret::expose`] returns the text.

use std::fmt;

/// The shortest token, in characters: 16 are beyond guessing at the limited rate of attempts.
pub const LEN_MIN: usize = 16;

/// The longest token, in characters.
pub const LEN_MAX: usize = 256;

/// A token whose `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Parses a token: long enough, and of visible ASCII characters, so that a header can carry it.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (LEN_MIN..=LEN_MAX).contains(&text.len());
        (fits && text.bytes().all(|b| b.is_ascii_graphic())).then(|| Self(text.into()))
    }

    /// The token's text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}
