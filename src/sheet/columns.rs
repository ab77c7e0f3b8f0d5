//! Columns of a list of prizes, found by their headings in Korean or English.
//!
//! Every label that the console shows is a heading, and so is every name on the wire. Columns that
//! lists often have and prizes do not, such as prices and notes, are known too, and left out; any
//! other heading is a problem, since its column could hold what its writer means to import.

use super::characters::{clean, folded, narrow};
use super::problem::Problem;
use super::table::Row;
use super::values::{is_counter, unpunctuated};

/// A field of a prize.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// The name.
    Name,
    /// The name of its rank.
    Grade,
    /// The rank.
    Rank,
    /// The number of prizes.
    Quantity,
    /// The animation.
    Mode,
    /// The winners per draw.
    WinnerCount,
    /// The seconds of its show.
    ShowLength,
    /// Winners of other prizes can win it.
    RepeatWinners,
    /// The prize is sent to its winners.
    NeedsAddress,
    /// The only group that can win it.
    Group,
}

impl Field {
    /// Every field, in the order of the console's form.
    pub const ALL: [Field; 10] = {
        use Field::*;
        [Name, Grade, Rank, Quantity, Mode, WinnerCount, ShowLength, RepeatWinners, NeedsAddress, Group]
    };

    /// The field's name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Field::Name => "prize_name",
            Field::Grade => "prize_grade",
            Field::Rank => "prize_rank",
            Field::Quantity => "quantity",
            Field::Mode => "draw_mode",
            Field::WinnerCount => "winner_count",
            Field::ShowLength => "show_seconds",
            Field::RepeatWinners => "repeat_winners",
            Field::NeedsAddress => "needs_address",
            Field::Group => "group",
        }
    }

    /// Its headings, folded.
    fn headings(self) -> &'static [&'static str] {
        HEADINGS[self as usize]
    }
}

/// The headings of each field, in the order of [`Field::ALL`].
const HEADINGS: [&[&str]; Field::ALL.len()] = [
    &[
        "경품명",
        "경품",
        "경품이름",
        "상품명",
        "상품",
        "상품이름",
        "이름",
        "품명",
        "품목",
        "품목명",
        "제품",
        "제품명",
        "제품이름",
        "선물",
        "선물명",
        "명칭",
        "name",
        "prize",
        "prizename",
        "item",
        "itemname",
        "product",
        "productname",
        "gift",
    ],
    &["등급", "상", "상이름", "상명", "상격", "시상명", "grade", "prizegrade", "award"],
    &["순위", "등수", "등위", "rank", "prizerank"],
    &["수량", "개수", "갯수", "총수량", "총개수", "경품수", "경품수량", "quantity", "qty", "count", "ea", "pcs"],
    &["추첨방식", "방식", "추첨방법", "방법", "연출", "mode", "drawmode", "drawingmode", "method", "howitisdrawn"],
    &[
        "당첨인원",
        "당첨자수",
        "당첨인원수",
        "추첨인원",
        "회당인원",
        "회당당첨인원",
        "winnercount",
        "winners",
        "winnersperdraw",
        "numberofwinners",
    ],
    &["연출길이", "연출시간", "연출초", "쇼길이", "showlength", "showseconds", "lengthoftheshow"],
    &[
        "다른경품에당첨된사람도당첨될수있음",
        "중복당첨",
        "중복당첨가능",
        "중복가능",
        "repeatwinners",
        "winnersofotherprizesmaywinittoo",
    ],
    &["배송주소받기", "주소필요", "주소", "배송주소", "배송", "needsaddress", "address", "asksforanaddress"],
    &["이그룹만당첨", "그룹", "대상그룹", "group", "onlythisgroupmaywin"],
];

/// Headings of people: the quantity, unless another column is that; then the winners per draw.
const PEOPLE: [&str; 4] = ["인원", "인원수", "people", "persons"];

/// Headings of columns that are left out.
const LEFT_OUT: [&str; 53] = [
    "no",
    "번호",
    "연번",
    "순번",
    "일련번호",
    "비고",
    "메모",
    "참고",
    "설명",
    "특이사항",
    "memo",
    "note",
    "notes",
    "remark",
    "remarks",
    "comment",
    "comments",
    "description",
    "사진",
    "이미지",
    "그림",
    "사진(5mb까지)",
    "photo",
    "picture",
    "image",
    "prizeimage",
    "picture(upto5mb)",
    "단가",
    "가격",
    "금액",
    "총액",
    "시가",
    "소비자가",
    "price",
    "unitprice",
    "cost",
    "협찬",
    "협찬사",
    "후원",
    "후원사",
    "제공",
    "제공처",
    "제공사",
    "sponsor",
    "담당",
    "담당자",
    "구매처",
    "링크",
    "url",
    "link",
    "prizeid",
    "remaining",
    "version",
];

/// Remarks that follow a heading in brackets.
const REMARKS: [&str; 8] = ["필수", "선택", "선택사항", "필수입력", "비우면모두", "required", "optional", "emptyall"];

/// Rows at the top among which the headings are.
const HEADING_ROWS_MAX: usize = 20;
/// Rows at the top among which one heading alone is one, if its word names nothing else.
const LONE_HEADING_ROWS_MAX: usize = 5;

/// The columns of a table.
#[derive(Debug, Default)]
pub struct Columns {
    /// The place of each field, in the order of [`Field::ALL`].
    places: [Option<usize>; Field::ALL.len()],
    /// The places of the columns that are left out, with their headings.
    pub left_out: Vec<(usize, String)>,
    /// The problems of headings, with their places.
    pub problems: Vec<(usize, Problem)>,
}

impl Columns {
    /// The one column of a table without headings.
    pub fn of_names(place: usize) -> Self {
        let mut columns = Self::default();
        columns.places[0] = Some(place);
        columns
    }

    /// The columns below these headings.
    pub fn below(headings: &Row) -> Self {
        let keys: Vec<_> = headings.cells.iter().map(|cell| key(cell)).collect();
        let mut columns = Self::default();
        for (place, key) in keys.iter().enumerate().filter(|(_, key)| !key.is_empty()) {
            let named = |field: &Field| field.headings().contains(&key.as_str());
            let has_quantity = keys.iter().any(|key| Field::Quantity.headings().contains(&key.as_str()));
            let people = if has_quantity { Field::WinnerCount } else { Field::Quantity };
            let of_people = PEOPLE.contains(&key.as_str()).then_some(people);
            match Field::ALL.into_iter().find(named).or(of_people) {
                Some(field) if columns.places[field as usize].is_some() => {
                    columns.problems.push((place, Problem::DuplicateHeading));
                }
                Some(field) => columns.places[field as usize] = Some(place),
                None if LEFT_OUT.contains(&key.as_str()) => columns.left_out.push((place, headings.cells[place].clone())),
                None => columns.problems.push((place, Problem::UnknownHeading)),
            }
        }
        columns.problems.extend(headings.faults.iter().map(|(place, fault)| (*place, Problem::from(*fault))));
        columns
    }

    /// The place of a field.
    pub fn place(&self, field: Field) -> Option<usize> {
        self.places[field as usize]
    }

    /// The field at a place.
    pub fn field_at(&self, place: usize) -> Option<Field> {
        Field::ALL.into_iter().find(|field| self.place(*field) == Some(place))
    }

    /// True when no heading is above this place.
    pub fn is_without_heading(&self, place: usize) -> bool {
        let is_left_out = self.left_out.iter().any(|(left_out, _)| *left_out == place);
        self.field_at(place).is_none() && !is_left_out && !self.problems.iter().any(|(wrong, _)| *wrong == place)
    }
}

/// The number of known headings in the row that has them.
pub fn count_headings(rows: &[Row]) -> usize {
    heading_row(rows).map_or(0, |row| rows[row].cells.iter().filter(|cell| is_known(&key(cell))).count())
}

/// The row that holds the headings.
pub fn heading_row(rows: &[Row]) -> Option<usize> {
    let keys = |row: &Row| -> Vec<String> { row.cells.iter().map(|cell| key(cell)).filter(|key| !key.is_empty()).collect() };
    let top: Vec<_> = rows.iter().take(HEADING_ROWS_MAX).map(keys).collect();
    let is_field = |key: &String| is_field(key);
    // One known word can be the name of a prize. Two are headings.
    let several = |keys: &Vec<String>| keys.iter().any(is_field) && keys.iter().filter(|key| is_known(key)).count() >= 2;
    // So are the first words of several columns, if one of them heads the names.
    let has_name = |keys: &Vec<String>| {
        keys.len() >= 2
            && keys.iter().any(|key| Field::Name.headings().contains(&key.as_str()))
            && keys.iter().all(|key| !key.contains(|c: char| c.is_ascii_digit()))
    };
    let lone = |(row, keys): (usize, &Vec<String>)| match keys.as_slice() {
        [key] => is_field(key) && (row == 0 || row < LONE_HEADING_ROWS_MAX && (key.ends_with('명') || key.ends_with("name"))),
        _ => false,
    };
    let first_several = top.iter().position(several);
    first_several.or_else(|| top.first().filter(|keys| has_name(keys)).map(|_| 0)).or_else(|| {
        let mut rows = top.iter().enumerate();
        rows.position(lone)
    })
}

fn is_field(key: &str) -> bool {
    PEOPLE.contains(&key) || Field::ALL.iter().any(|field| field.headings().contains(&key))
}

fn is_known(key: &str) -> bool {
    is_field(key) || LEFT_OUT.contains(&key)
}

/// A heading for comparison, without a unit or a remark in brackets behind it.
fn key(heading: &str) -> String {
    let narrowed: String = clean(heading).chars().map(narrow).collect();
    let fold = |text: &str| folded(&unpunctuated(text), &[]);
    let bracketed = narrowed.find(['(', '[']).and_then(|open| {
        let (base, rest) = narrowed.split_at(open);
        let remark = rest[1..].strip_suffix([')', ']'])?;
        let is_remark = is_counter(remark) || REMARKS.contains(&fold(remark).as_str());
        (is_remark && !base.trim().is_empty()).then(|| fold(base))
    });
    bracketed.unwrap_or_else(|| fold(&narrowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(headings: &[&str]) -> Row {
        Row { line: 1, cells: headings.iter().map(|text| (*text).to_owned()).collect(), faults: Vec::new() }
    }

    #[test]
    fn headings_are_known_with_their_units_and_spellings() {
        for (heading, field) in [
            ("수량(개)", Field::Quantity),
            ("수량 [EA]", Field::Quantity),
            ("수량（개）", Field::Quantity),
            ("Ｑｔｙ．", Field::Quantity),
            ("Q'ty (pcs)", Field::Quantity),
            ("인원", Field::Quantity),
            ("인원(명)", Field::Quantity),
            ("Item", Field::Name),
            ("품 명*", Field::Name),
            ("경품명 (필수)", Field::Name),
            ("Prize_Name", Field::Name),
            ("\u{1103}\u{1173}\u{11bc}\u{1100}\u{1173}\u{11b8}", Field::Grade),
        ] {
            let columns = Columns::below(&row(&[heading]));
            assert_eq!(columns.place(field), Some(0), "{heading}: {columns:?}");
        }
        for heading in ["수량(천개)", "색상", "수량/개월", "Colour", "경품명(2026)"] {
            assert_eq!(Columns::below(&row(&[heading])).problems, [(0, Problem::UnknownHeading)], "{heading}");
        }
        let columns = Columns::below(&row(&["품명", "수량", "인원", "비고", "개수"]));
        assert_eq!((columns.place(Field::Quantity), columns.place(Field::WinnerCount)), (Some(1), Some(2)));
        assert_eq!((columns.problems, columns.left_out), (vec![(4, Problem::DuplicateHeading)], vec![(3, "비고".to_owned())]));
    }

    #[test]
    fn every_field_has_its_name_on_the_wire_as_a_heading() {
        for field in Field::ALL {
            assert!(Columns::below(&row(&[field.name()])).place(field) == Some(0), "{field:?}");
        }
    }

    #[test]
    fn one_known_word_among_prizes_is_a_prize() {
        let rows = |rows: &[&[&str]]| rows.iter().map(|cells| row(cells)).collect::<Vec<_>>();
        assert_eq!(heading_row(&rows(&[&["2026 송년회"], &["No", "품명", "수량"]])), Some(1));
        assert_eq!(heading_row(&rows(&[&["송년회 경품"], &["경품명"], &["TV"]])), Some(1));
        assert_eq!(heading_row(&rows(&[&["TV"], &["상품"], &["컵"]])), None);
        assert_eq!(heading_row(&rows(&[&["경품명", "협찬사이름"], &["TV", "x"]])), Some(0));
        assert_eq!(heading_row(&rows(&[&["TV", "3"], &["컵", "1"]])), None);
    }
}
