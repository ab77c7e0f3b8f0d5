//! Words of exported tables and of the template, in the console's two languages.
//!
//! Without a language a table has the names on the wire, which scripts rely on.

/// A language of the console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// Korean.
    Korean,
    /// English.
    English,
}

/// Names on the wire, with their words in Korean and English.
const WORDS: [(&str, &str, &str); 36] = [
    ("winners", "당첨자", "Winners"),
    ("participants", "참가자", "Participants"),
    ("draws", "추첨 결과", "Draws"),
    ("draw_id", "추첨", "Draw"),
    ("prize_name", "경품명", "Prize"),
    ("prize_grade", "등급", "Grade"),
    ("prize_rank", "순위", "Rank"),
    ("draw_number", "번호", "Number"),
    ("name", "이름", "Name"),
    ("phone", "연락처", "Telephone"),
    ("address", "주소", "Address"),
    ("submitted_at", "정보 제출", "Details in"),
    ("arrived_at", "현장 확인", "Was here"),
    ("handed_over_at", "전달 완료", "Handed over"),
    ("desk", "데스크", "Desk"),
    ("voided", "무효", "Void"),
    ("registered_at", "등록 시각", "Registered"),
    ("eligible", "추첨 대상", "May win"),
    ("group", "그룹", "Group"),
    ("weight", "가중치", "Weight"),
    ("draw_mode", "추첨 방식", "Mode"),
    ("started_at", "추첨 시작", "Started"),
    ("revealed_at", "당첨 공개", "Revealed"),
    ("announced_at", "발표", "Announced"),
    ("yes", "예", "Yes"),
    ("no", "아니요", "No"),
    ("slot", "슬롯머신", "Slot machine"),
    ("card", "카드 뒤집기", "Cards"),
    ("network", "네트워크", "Network"),
    ("list", "명단 발표", "List"),
    ("absent", "부재", "Absent"),
    ("declined", "수령 거절", "Declined"),
    ("ineligible", "자격 없음", "Not eligible"),
    ("duplicate_person", "중복 참가", "Same person twice"),
    ("operator_error", "진행 실수", "Operator’s mistake"),
    ("other", "기타", "Other"),
];

impl Language {
    /// The language of this tag of BCP 47.
    pub fn named(tag: &str) -> Option<Self> {
        match tag {
            "ko" => Some(Language::Korean),
            "en" => Some(Language::English),
            _ => None,
        }
    }
}

/// The word for a name on the wire.
pub fn word(name: &'static str, language: Option<Language>) -> &'static str {
    let words = WORDS.iter().find(|(wire, ..)| *wire == name);
    match (language, words) {
        (Some(Language::Korean), Some((_, korean, _))) => korean,
        (Some(Language::English), Some((.., english))) => english,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::Mode;
    use crate::draw::fact::VoidReason;

    #[test]
    fn every_mode_and_reason_has_its_words() {
        for name in Mode::ALL.map(Mode::name).into_iter().chain(VoidReason::ALL.map(VoidReason::name)) {
            assert_ne!(word(name, Some(Language::Korean)), name);
            assert_eq!(word(name, None), name);
        }
        assert_eq!((Language::named("ko"), Language::named("fr")), (Some(Language::Korean), None));
    }
}
