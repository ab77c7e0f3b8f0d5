//! The outside value: what nobody knew when the draw was locked.
//!
//! The words of a hall are typed by an operator, who must not be able to try variants that look
//! the same. So only letters and digits count, of two scripts whose letters cannot be mistaken for
//! each other: a space, a capital, another Unicode spelling or a foreign look-alike changes nothing
//! or is refused. The other source is a round of [`drand`].

use super::drand::{self, DrandRound, Signature};
use std::sync::Arc;

/// The rule by which draws get their outside value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OutsideRule {
    /// No outside value: the seed alone decides.
    #[default]
    None,
    /// Words or dice that the hall calls out after the lock.
    Hall,
    /// A round of drand that is to come.
    Drand,
    /// As `Drand`; an operator may fall back on the hall's words.
    DrandOrHall,
    /// As `Drand`; an operator may go on without an outside value.
    DrandOrNone,
}

/// The source of an outside value in place of drand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// The hall's words.
    Hall,
    /// No outside value.
    None,
}

impl OutsideRule {
    /// Every rule.
    pub const ALL: [OutsideRule; 5] =
        [OutsideRule::None, OutsideRule::Hall, OutsideRule::Drand, OutsideRule::DrandOrHall, OutsideRule::DrandOrNone];

    /// The rule's name on the wire and in a lock.
    pub fn name(self) -> &'static str {
        match self {
            OutsideRule::None => "none",
            OutsideRule::Hall => "hall",
            OutsideRule::Drand => "drand",
            OutsideRule::DrandOrHall => "drand-or-hall",
            OutsideRule::DrandOrNone => "drand-or-none",
        }
    }

    /// The rule of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.name() == name)
    }

    /// True when a lock names a round.
    pub fn is_drand(self) -> bool {
        matches!(self, OutsideRule::Drand | OutsideRule::DrandOrHall | OutsideRule::DrandOrNone)
    }

    /// The source that an operator may fall back on.
    pub fn fallback(self) -> Option<Fallback> {
        match self {
            OutsideRule::DrandOrHall => Some(Fallback::Hall),
            OutsideRule::DrandOrNone => Some(Fallback::None),
            OutsideRule::None | OutsideRule::Hall | OutsideRule::Drand => None,
        }
    }
}

impl Fallback {
    /// The source's name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Fallback::Hall => "hall",
            Fallback::None => "none",
        }
    }
}

/// The outside value that a draw waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// The hall's words.
    Words,
    /// A round of drand.
    Round(DrandRound),
}

/// An outside value that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutsideValue {
    /// The hall's words.
    Words(Words),
    /// The signature of the round that the lock names.
    Signature(Signature),
}

impl OutsideValue {
    /// The bytes that decide: the words, or the hash of the signature.
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            OutsideValue::Words(words) => words.as_str().as_bytes().to_vec(),
            OutsideValue::Signature(signature) => drand::randomness(signature).to_vec(),
        }
    }
}

/// The hall's words in the one spelling that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words(Arc<str>);

impl Words {
    /// The most letters and digits.
    pub const CHARS_MAX: usize = 100;

    /// The rule of [`Words::parse`], to be quoted in an error message.
    pub const RULE: &str = "must be 1 to 100 Hangul syllables, letters a-z and digits; spaces and capitals do not count";

    /// Reads typed words; `None` for a text that breaks [`Words::RULE`].
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = String::new();
        for character in text.chars().filter(|character| *character != ' ') {
            let is_counted = character.is_ascii_alphanumeric() || ('가'..='힣').contains(&character);
            if !is_counted || words.len() >= 3 * Self::CHARS_MAX {
                return None;
            }
            words.push(character.to_ascii_lowercase());
        }
        (1..=Self::CHARS_MAX).contains(&words.chars().count()).then(|| Self(words.into()))
    }

    /// The words as they are shown and hashed.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_look_alike_are_one_value_or_refused() {
        let check = |text: &str, words| assert_eq!(Words::parse(text).as_ref().map(Words::as_str), words, "{text:?}");
        for text in ["사과 나무 7", "사과나무7", " 사과나무 7 "] {
            check(text, Some("사과나무7"));
        }
        check("Red 3-5", None);
        check("RED 35", Some("red35"));
        for strange in ["", "  ", "\u{1109}\u{1161}과", "사과\u{200b}", "ｒｅｄ", "rеd", "사과\n", "a\u{7}", "é", "ㅅ", "사과!"]
        {
            check(strange, None);
        }
        assert!(Words::parse(&"가".repeat(Words::CHARS_MAX)).is_some());
        assert!(Words::parse(&"가".repeat(Words::CHARS_MAX + 1)).is_none());
        assert!(Words::parse(&"a".repeat(Words::CHARS_MAX + 1)).is_none());
        assert!(Words::parse(&"x".repeat(10_000)).is_none());
    }
}
