//! The characters of a cell: what a person sees in it, without what only a program sees.
//!
//! Files from macOS spell Hangul in separate letters (NFD), and pages and messengers add characters
//! that no screen shows. Both would make two cells differ that look the same. Signs that belong to
//! a name stay: joiners of emoji, and direction marks, which every page isolates.

use std::iter::Peekable;

/// A cell's text on one line: trimmed, in composed Hangul, without invisible characters.
pub fn clean(text: &str) -> String {
    let visible = text.chars().filter(|c| !is_invisible(*c)).map(|c| if c.is_whitespace() { '\u{20}' } else { c });
    let composed = Composed { letters: visible.peekable() }.collect::<String>();
    let one_line = composed.split_whitespace().collect::<Vec<_>>().join(" ");
    if one_line.chars().all(|c| is_joiner(c) || is_direction_mark(c)) { String::new() } else { one_line }
}

/// A text for comparison: in lower case, full-width characters as narrow ones, without blanks,
/// joiners, direction marks and the signs of `dropped`.
pub fn folded(text: &str, dropped: &[char]) -> String {
    let kept = |c: &char| !c.is_whitespace() && !is_joiner(*c) && !is_direction_mark(*c) && !dropped.contains(c);
    clean(text).chars().map(narrow).filter(kept).flat_map(char::to_lowercase).collect()
}

/// The ASCII character of a full-width one.
pub fn narrow(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        '、' => ',',
        '−' | '–' | '—' => '-',
        c => c,
    }
}

/// Control characters and others that take no room on any screen; Hangul fillers among them.
fn is_invisible(c: char) -> bool {
    let is_hidden = matches!(
        c,
        '\u{ad}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}' | '\u{2060}'..='\u{2064}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}'
    );
    is_hidden || c.is_control() && !c.is_whitespace()
}

fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}')
}

fn is_direction_mark(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Characters with their Hangul letters composed into syllables (The Unicode Standard, 3.12).
struct Composed<I: Iterator<Item = char>> {
    letters: Peekable<I>,
}

impl<I: Iterator<Item = char>> Composed<I> {
    /// The offset of the next letter above `first`, taken when it is one of `count`.
    fn take_letter(&mut self, first: u32, count: u32) -> Option<u32> {
        let offset = u32::from(*self.letters.peek()?).checked_sub(first).filter(|offset| *offset < count)?;
        self.letters.next();
        Some(offset)
    }
}

impl<I: Iterator<Item = char>> Iterator for Composed<I> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        const LEADS: u32 = 19;
        const VOWELS: u32 = 21;
        const TAILS: u32 = 28;
        let first = self.letters.next()?;
        let code = u32::from(first);
        let open = match code.checked_sub(0x1100).filter(|lead| *lead < LEADS) {
            Some(lead) => match self.take_letter(0x1161, VOWELS) {
                Some(vowel) => 0xac00 + (lead * VOWELS + vowel) * TAILS,
                None => return Some(first),
            },
            // A syllable without a tail, which a tail can follow.
            None if (0xac00..=0xd7a3).contains(&code) && (code - 0xac00) % TAILS == 0 => code,
            None => return Some(first),
        };
        let tail = self.take_letter(0x11a8, TAILS - 1).map_or(0, |offset| offset + 1);
        Some(char::from_u32(open + tail).unwrap_or(first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_that_look_the_same_are_the_same() {
        for (text, seen) in [
            ("경품명", "경품명"),
            ("\u{1100}\u{1167}\u{11bc}\u{1111}\u{116e}\u{11b7}명", "경품명"),
            ("가\u{11a8}", "각"),
            ("각\u{11a8}", "각\u{11a8}"),
            ("\u{1100}", "\u{1100}"),
            ("\u{feff}자\u{200b}전\u{2060}거\u{3164}", "자전거"),
            (" \u{a0}두\u{3000}줄\r\n짜리\t", "두 줄 짜리"),
            ("\u{200e}\u{200b}\u{202c}", ""),
            ("a\u{7}b", "ab"),
            ("👨\u{200d}👩\u{200d}👧 ❤\u{fe0f}", "👨\u{200d}👩\u{200d}👧 ❤\u{fe0f}"),
            ("שלום \u{202e}RTL", "שלום \u{202e}RTL"),
        ] {
            assert_eq!(clean(text), seen, "{text:?}");
        }
        assert_eq!(folded("Ｐｒｉｚｅ　_Name\u{200e}", &['_']), "prizename");
    }
}
