//! A claim code, as a desk gets it: typed, or by a hand scanner that types the QR code's address.
//!
//! A scanner is a keyboard: under a Korean input method its keys become Hangul. The syllables are
//! taken apart into the keys that made them (Dubeolsik, KS X 5002), so that the code is the same.

use std::borrow::Cow;

/// The part of the QR code's address before the code.
const MARK: &str = "claim=";

/// Keys of the letters of compatibility Jamo, U+3131 to U+3163.
const KEYS: [&str; 51] = [
    "r", "R", "rt", "s", "sw", "sg", "e", "E", "f", "fr", "fa", "fq", "ft", "fx", "fv", "fg", "a", "q", "Q", "qt", "t", "T", "d",
    "w", "W", "c", "z", "x", "v", "g", "k", "o", "i", "O", "j", "p", "u", "P", "h", "hk", "ho", "hl", "y", "n", "nj", "np", "nl",
    "b", "m", "ml", "l",
];
/// Keys of a syllable's first consonant, by its index.
const LEADS: [&str; 19] = ["r", "R", "s", "e", "E", "f", "a", "q", "Q", "t", "T", "d", "w", "W", "c", "z", "x", "v", "g"];
/// Keys of a syllable's vowel, by its index.
const VOWELS: [&str; 21] =
    ["k", "o", "i", "O", "j", "p", "u", "P", "h", "hk", "ho", "hl", "y", "n", "nj", "np", "nl", "b", "m", "ml", "l"];
/// Keys of a syllable's last consonant, by its index; the first is none.
const TAILS: [&str; 28] = [
    "", "r", "R", "rt", "s", "sw", "sg", "e", "f", "fr", "fa", "fq", "ft", "fx", "fv", "fg", "a", "q", "qt", "t", "T", "d", "w",
    "c", "z", "x", "v", "g",
];

/// The code in a text: the end of an address that carries one, else the whole text.
pub fn claim_code(text: &str) -> Cow<'_, str> {
    let keys = pressed_keys(text.trim());
    let Some(at) = keys.to_ascii_lowercase().rfind(MARK).map(|at| at + MARK.len()) else { return keys };
    let rest = &keys[at..];
    let end = rest.find(['&', '#', ' ']).unwrap_or(rest.len());
    rest[..end].to_owned().into()
}

/// A text as the keys that were pressed for it.
fn pressed_keys(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return text.into();
    }
    let mut keys = String::with_capacity(text.len());
    for c in text.chars() {
        match u32::from(c) {
            code @ 0xac00..=0xd7a3 => {
                let index = (code - 0xac00) as usize;
                keys.extend([LEADS[index / 588], VOWELS[index % 588 / 28], TAILS[index % 28]]);
            }
            code @ 0x3131..=0x3163 => keys.push_str(KEYS[(code - 0x3131) as usize]),
            // Full-width characters, which a Japanese or Chinese input method types.
            code @ 0xff01..=0xff5e => keys.push(char::from((code - 0xfee0) as u8)),
            _ => keys.push(c),
        }
    }
    keys.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_found_in_every_text_that_a_scanner_types() {
        for (typed, code) in [
            ("ABCD-EFGH", "ABCD-EFGH"),
            (" abcdefgh\n", "abcdefgh"),
            ("https://10.0.0.5:8000/lottery/staff?event=gala#claim=ABCD1234", "ABCD1234"),
            ("HTTPS://LUCKY.EXAMPLE/LOTTERY/STAFF?EVENT=GALA#CLAIM=ABCD1234&x=1", "ABCD1234"),
            ("ㅗㅅ세://10.0.0.5:8000/ㅣㅐㅅㅅㄷ교/ㄴㅅㅁㄹㄹ?ㄷㅍ둣=ㅎ밈#치먀ㅡ=뮻ㅇ1234", "abcd1234"),
            ("뮻ㅇ1234", "abcd1234"),
            ("ＡＢＣＤ１２３４", "ABCD1234"),
            ("뚐ㅃㅉ", "EyaQW"),
        ] {
            assert_eq!(claim_code(typed), code, "{typed}");
        }
    }

    #[test]
    fn every_letter_comes_back_from_its_hangul() {
        let jamo = |key: &str| char::from_u32(0x3131 + KEYS.iter().position(|each| *each == key).unwrap() as u32).unwrap();
        for key in "rseaqtdwczxvgkoijpuhynbmlf".chars().map(String::from) {
            assert_eq!(pressed_keys(&jamo(&key).to_string()), key);
        }
        // The tables of syllables are those of the letters.
        for (index, lead) in LEADS.iter().enumerate() {
            for (place, vowel) in VOWELS.iter().enumerate() {
                let syllable = char::from_u32(0xac00 + (index * 588 + place * 28) as u32).unwrap();
                assert_eq!(pressed_keys(&syllable.to_string()), format!("{lead}{vowel}"));
            }
        }
    }
}
