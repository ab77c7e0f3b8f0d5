//! Telephone numbers, as people type and paste them.
//!
//! A number pasted from an address book or a messenger has full-width digits, dots, invisible
//! direction marks or a hyphen of typography. It is kept in the characters that a telephone has, so
//! that desks, masks and exports need to know no others.

/// The characters of a kept number, at most.
const CHARS_MAX: usize = 20;
/// The digits of a number: the shortest local one, and the longest of E.164.
const DIGITS: std::ops::RangeInclusive<usize> = 7..=15;
/// The digits of a Korean mobile number of 010: 010-123-4567 or 010-1234-5678.
const MOBILE_DIGITS: std::ops::RangeInclusive<usize> = 10..=11;

/// The number in plain characters; `None` for a text that is none.
pub fn telephone(text: &str) -> Option<String> {
    let plain: String = text.chars().filter_map(plain).collect();
    let number = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    let number = number.trim_matches(['-', ' ']);
    let has_plus_inside = number.char_indices().any(|(at, c)| c == '+' && at > 0);
    let is_plausible = number.chars().all(|c| c.is_ascii_digit() || matches!(c, '+' | '-' | '(' | ')' | ' '));
    if !is_plausible || has_plus_inside || number.len() > CHARS_MAX {
        return None;
    }
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    // +82 10 and +82 (0)10 are 010 from abroad.
    let abroad = number.starts_with('+').then(|| digits.strip_prefix("82")).flatten();
    let national = abroad.map_or(digits.clone(), |rest| format!("0{}", rest.trim_start_matches('0')));
    let fits = if national.starts_with("010") { MOBILE_DIGITS.contains(&national.len()) } else { DIGITS.contains(&digits.len()) };
    fits.then(|| number.to_owned())
}

/// A character of a telephone for a character of a text; `None` for one that no screen shows.
fn plain(c: char) -> Option<char> {
    match c {
        '\u{ff10}'..='\u{ff19}' => char::from_digit(u32::from(c) - 0xff10, 10),
        '.' | '．' | '·' | '・' | '。' | '/' | '－' | 'ー' | 'ㅡ' | '−' | '‐' | '‑' | '‒' | '–' | '—' | '―' => {
            Some('-')
        }
        '＋' => Some('+'),
        '（' => Some('('),
        '）' => Some(')'),
        '\u{ad}'
        | '\u{61c}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2064}'
        | '\u{2066}'..='\u{2069}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' => None,
        c if c.is_whitespace() => Some(' '),
        c => Some(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_kept_in_the_characters_of_a_telephone() {
        for (typed, kept) in [
            ("010-1234-5678", "010-1234-5678"),
            ("01012345678", "01012345678"),
            ("０１０－１２３４－５６７８", "010-1234-5678"),
            ("010.1234.5678", "010-1234-5678"),
            ("\u{202a}010\u{2011}1234\u{2011}5678\u{202c}", "010-1234-5678"),
            (" 010\u{a0}1234 5678\u{200b}", "010 1234 5678"),
            ("010ㅡ1234ㅡ5678", "010-1234-5678"),
            ("010-123-4567", "010-123-4567"),
            ("+82 10-1234-5678", "+82 10-1234-5678"),
            ("+82 (0)10-1234-5678", "+82 (0)10-1234-5678"),
            ("02-123-4567", "02-123-4567"),
            ("1588-0000", "1588-0000"),
            ("+44 20 7946 0958", "+44 20 7946 0958"),
        ] {
            assert_eq!(telephone(typed).as_deref(), Some(kept), "{typed:?}");
        }
    }

    #[test]
    fn a_number_that_nobody_can_call_is_none() {
        for typed in [
            "",
            "123456",
            "010-1234-567a",
            "+------+",
            "010-1234-56789",
            "010-1234-5",
            "010 123 456",
            "+82 10-1234-56789",
            "1234567+8",
            "전화 010-1234-5678",
            &"1".repeat(16),
            "010-1234-5678 / 010-1111-2222",
        ] {
            assert_eq!(telephone(typed), None, "{typed:?}");
        }
    }
}
