//! The template of a list of prizes: the headings that imports know, and rows to write over.

use super::export::{Cell, Sheet};
use super::labels::Language;

/// The template's one sheet. Its headings are the labels of the console's form.
pub fn sheet(language: Language) -> Sheet<'static> {
    let (name, headings, rows): (_, _, [[&str; 10]; 3]) = match language {
        Language::Korean => (
            "경품",
            [
                "경품명",
                "등급",
                "순위",
                "수량",
                "추첨 방식",
                "당첨 인원",
                "연출 길이",
                "다른 경품에 당첨된 사람도 당첨될 수 있음",
                "배송 주소 받기",
                "그룹",
            ],
            [
                ["예) 자전거", "1등", "1", "1", "슬롯머신", "1", "9초", "아니요", "예", ""],
                ["예) 커피 5,000원권", "2등", "2", "10", "카드 뒤집기", "5", "", "아니요", "아니요", ""],
                ["예) 텀블러", "3등", "3", "30", "명단 발표", "30", "", "예", "아니요", ""],
            ],
        ),
        Language::English => (
            "Prizes",
            [
                "Prize",
                "Grade",
                "Rank",
                "Quantity",
                "How it is drawn",
                "Winners",
                "Length of the show",
                "Winners of other prizes may win it too",
                "Asks for an address",
                "Group",
            ],
            [
                ["Example: Bicycle", "First", "1", "1", "Slot machine", "1", "9", "No", "Yes", ""],
                ["Example: Coffee voucher", "Second", "2", "10", "Cards", "5", "", "No", "No", ""],
                ["Example: Tumbler", "Third", "3", "30", "List", "30", "", "Yes", "No", ""],
            ],
        ),
    };
    let cell = |text: &str| text.parse().map_or_else(|_| Cell::from(text), Cell::Number);
    let rows = rows.map(|row| row.map(cell).to_vec());
    Sheet { name, headings: headings.map(str::to_owned).to_vec(), rows: Box::new(rows.into_iter()) }
}

#[cfg(test)]
mod tests {
    use super::super::prizes::read_file;
    use super::super::workbook;
    use super::*;
    use crate::draw::sample;

    #[test]
    fn the_template_imports_without_a_problem_in_both_languages() {
        for language in [Language::Korean, Language::English] {
            let file = workbook::write(vec![sheet(language)]).unwrap();
            let (table, parsed) = read_file(&file, &sample::event().build()).unwrap();
            assert_eq!((parsed.errors.as_slice(), parsed.columns_left_out.len()), (&[][..], 0), "{table:?}");
            let (_, last) = &parsed.prizes[2];
            assert_eq!((last.quantity, last.winner_count, last.repeat_winners, last.needs_address), (30, Some(30), true, false));
        }
    }
}
