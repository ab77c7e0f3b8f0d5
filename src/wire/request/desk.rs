//! The bodies of the prize desk's calls, and of the wiping of a rehearsal.

use super::{Invalid, text};
use serde::Deserialize;
use std::sync::Arc;

/// The longest name of a desk, in characters.
const DESK_CHARS_MAX: usize = 60;
/// What is typed to wipe a rehearsal, in the console's two languages.
const WIPE_WORDS: [&str; 2] = ["리허설", "REHEARSAL"];

/// `POST claims/look-up`
#[derive(Deserialize)]
pub struct ClaimCode {
    pub code: String,
}

/// `POST claims/hand-over`
#[derive(Deserialize)]
pub struct HandOver {
    pub code: String,
    pub desk: String,
}

/// `POST claims/undo`
#[derive(Deserialize)]
pub struct SeatNamed {
    pub draw_id: u32,
    pub draw_number: u32,
}

/// `POST rehearsal/wipe`
#[derive(Deserialize)]
pub struct Wipe {
    pub word: String,
}

impl Wipe {
    /// Whether the word is the right one, so that nobody wipes by a slip of the hand.
    pub fn check(&self) -> Result<(), Invalid> {
        let typed = self.word.trim();
        let is_word = WIPE_WORDS.iter().any(|word| typed.eq_ignore_ascii_case(word));
        if is_word { Ok(()) } else { Err(Invalid::field("word", format!("must be {}", WIPE_WORDS.join(" or ")))) }
    }
}

/// A desk's name.
pub fn desk(name: &str) -> Result<Arc<str>, Invalid> {
    text("desk", name.trim(), DESK_CHARS_MAX)
}
