//! Values of cells as people write them: `1,000`, `３개`, `2등`, `슬롯머신`, `예`.
//!
//! A value that could mean two numbers is none: `2,0` is two in one country and twenty in a program
//! that drops commas, `1.000` a thousand or one.

use super::characters::{folded, narrow};
use super::problem::Problem;
use crate::draw::Mode;

/// The words that Koreans and the English put behind a count of things.
const THINGS: [&str; 46] = [
    "개", "매", "장", "세트", "셋트", "박스", "상자", "병", "대", "권", "벌", "켤레", "족", "자루", "캔", "봉", "봉지", "통",
    "팩", "포", "포대", "송이", "그루", "마리", "모", "줄", "판", "점", "건", "묶음", "쌍", "알", "잔", "인분", "kg", "ea", "pc",
    "pcs", "set", "sets", "box", "boxes", "pack", "packs", "unit", "units",
];
/// The words behind a count of people.
const PEOPLE: [&str; 7] = ["명", "인", "분", "people", "persons", "person", "winners"];
/// The words behind a time.
const SECONDS: [&str; 6] = ["초", "s", "sec", "secs", "second", "seconds"];
/// The words behind a rank.
const RANKS: [&str; 8] = ["등", "위", "순위", "번", "st", "nd", "rd", "th"];

/// The names of modes, as the console and people write them.
const MODES: [(&str, Mode); 16] = [
    ("슬롯", Mode::Slot),
    ("슬롯머신", Mode::Slot),
    ("slotmachine", Mode::Slot),
    ("카드", Mode::Card),
    ("카드뒤집기", Mode::Card),
    ("cards", Mode::Card),
    ("네트워크", Mode::Network),
    ("목록", Mode::List),
    ("리스트", Mode::List),
    ("명단", Mode::List),
    ("명단발표", Mode::List),
    ("slot", Mode::Slot),
    ("card", Mode::Card),
    ("network", Mode::Network),
    ("list", Mode::List),
    ("namelist", Mode::List),
];

/// The meaning of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Things: `3개`.
    Things,
    /// People: `3명`, or things that one person each gets: `3매`.
    People,
    /// A time: `5초`.
    Seconds,
    /// A place in an order: `3등`.
    Rank,
}

/// True for a word that follows a count.
pub fn is_counter(word: &str) -> bool {
    let word = folded(word, &['.']);
    THINGS.contains(&word.as_str()) || PEOPLE.contains(&word.as_str())
}

/// Reads a whole number with its counter.
///
/// # Errors
/// When it is none, or could be another.
pub fn number(text: &str, counted: Counted) -> Result<u32, Problem> {
    let text = folded(text, &[]);
    let text = text.strip_prefix('\'').unwrap_or(&text);
    let digits = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, ',' | '.'))).unwrap_or(text.len());
    let (digits, counter) = text.split_at(digits);
    let (digits, counter) = match digits.strip_suffix('.') {
        // An ordinal, as in `1.`, or an abbreviation behind the number.
        Some(ordinal) if counted == Counted::Rank && counter.is_empty() => (ordinal, counter),
        _ => (digits, counter.trim_matches('.')),
    };
    if digits.is_empty() {
        return Err(Problem::NotANumber);
    }
    if is_date(text) {
        return Err(Problem::Date);
    }
    let counters: &[&[&str]] = match counted {
        Counted::Things | Counted::People => &[&THINGS, &PEOPLE],
        Counted::Seconds => &[&SECONDS],
        Counted::Rank => &[&RANKS],
    };
    if !counter.is_empty() && !counters.iter().any(|words| words.contains(&counter)) {
        return Err(Problem::UnknownCounter);
    }
    whole(digits)
}

/// Reads digits with thousands separators and decimal zeros.
fn whole(text: &str) -> Result<u32, Problem> {
    let (integer, fraction) = text.split_once('.').map_or((text, None), |(integer, fraction)| (integer, Some(fraction)));
    let mut groups = integer.split(',');
    let first = groups.next().unwrap_or("");
    let is_grouped = integer.contains(',');
    if is_grouped && !((1..=3).contains(&first.len()) && !first.starts_with('0') && groups.all(|group| group.len() == 3)) {
        return Err(Problem::DecimalComma);
    }
    match fraction {
        // Some countries separate thousands by points.
        Some(fraction) if fraction.contains([',', '.']) || fraction.len() == 3 && !is_grouped => {
            return Err(Problem::DecimalComma);
        }
        Some(fraction) if fraction.is_empty() || fraction.bytes().any(|byte| byte != b'0') => return Err(Problem::NotWhole),
        _ => {}
    }
    integer.replace(',', "").parse().map_err(|_| Problem::NotANumber)
}

/// True for a date: `2026-11-28`, `11월 28일`, `28-Nov`.
fn is_date(folded: &str) -> bool {
    const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let parts = folded.split(['-', '/', '.']).filter(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    let is_numeric = parts.count() == 3 && folded.chars().all(|c| c.is_ascii_digit() || matches!(c, '-' | '/' | '.'));
    let is_korean = folded.contains('월') && folded.ends_with('일');
    is_numeric || is_korean || MONTHS.iter().any(|month| folded.split('-').any(|part| part == *month))
}

/// The mode of that name.
pub fn mode(text: &str) -> Option<Mode> {
    let name = folded(text, &['-', '_']);
    MODES.iter().find(|(called, _)| *called == name).map(|(_, mode)| *mode)
}

/// A yes or no; an empty cell is a no.
pub fn yes_or_no(text: &str) -> Option<bool> {
    match folded(text, &['.']).as_str() {
        "예" | "네" | "필요" | "필요함" | "받음" | "있음" | "가능" | "o" | "y" | "yes" | "1" | "true" | "참" | "v" | "○"
        | "◯" | "●" | "✓" | "✔" | "☑" => Some(true),
        "" | "아니오" | "아니요" | "불필요" | "필요없음" | "받지않음" | "없음" | "불가" | "x" | "n" | "no" | "0" | "false"
        | "거짓" | "-" | "×" | "✗" | "✕" | "☐" => Some(false),
        _ => None,
    }
}

/// A text that holds more than punctuation and full-width forms of it.
pub fn unpunctuated(text: &str) -> String {
    let dropped = |c: &char| !matches!(c, '_' | '-' | '*' | '.' | ':' | '\'' | '’' | '·' | '/' | '#' | '※');
    text.chars().map(narrow).filter(dropped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        for (text, read) in [
            ("3", 3),
            ("３개", 3),
            ("1,000", 1000),
            ("1，000 매", 1000),
            ("12,345,678", 12_345_678),
            ("1000.0", 1000),
            ("2.00", 2),
            ("10매", 10),
            ("2세트", 2),
            ("6 EA", 6),
            ("7ea.", 7),
            ("5 박스", 5),
            ("3명", 3),
            ("\u{200e}4\u{feff}병", 4),
            ("'5", 5),
        ] {
            assert_eq!(number(text, Counted::Things), Ok(read), "{text}");
        }
        for (text, read) in [("2등", 2), ("1위", 1), ("1.", 1), ("3rd", 3)] {
            assert_eq!(number(text, Counted::Rank), Ok(read), "{text}");
        }
    }

    #[test]
    fn what_could_be_another_number_is_none() {
        for (text, problem) in [
            ("2,0", Problem::DecimalComma),
            ("1,5", Problem::DecimalComma),
            ("0,500", Problem::DecimalComma),
            ("1,00,000", Problem::DecimalComma),
            ("1.000", Problem::DecimalComma),
            ("1.000,0", Problem::DecimalComma),
            ("2.5", Problem::NotWhole),
            ("0.5", Problem::NotWhole),
            ("many", Problem::NotANumber),
            ("여러 개", Problem::NotANumber),
            ("-1", Problem::NotANumber),
            ("99999999999", Problem::NotANumber),
            ("3등", Problem::UnknownCounter),
            ("2~3개", Problem::UnknownCounter),
            ("1만", Problem::UnknownCounter),
            ("50%", Problem::UnknownCounter),
            ("2026-11-28", Problem::Date),
            ("2026. 3. 1.", Problem::Date),
            ("3월 1일", Problem::Date),
            ("1-Mar", Problem::Date),
        ] {
            assert_eq!(number(text, Counted::Things), Err(problem), "{text}");
        }
        assert_eq!(number("3개", Counted::Rank), Err(Problem::UnknownCounter));
    }

    #[test]
    fn modes_and_answers_read_in_both_languages() {
        assert_eq!((mode("슬롯 머신"), mode("CARD"), mode("명단 발표")), (Some(Mode::Slot), Some(Mode::Card), Some(Mode::List)));
        assert_eq!((mode("roulette"), mode("")), (None, None));
        assert_eq!((yes_or_no("Ｏ"), yes_or_no("-"), yes_or_no("maybe")), (Some(true), Some(false), None));
    }
}
