//! One example per fact with its record, spelled out as the journals out there hold it.

use crate::draw::entry_code::EntryDigits;
use crate::draw::fact::{Cause, Eligibility, SealedPick, SecretScope, Settings, VoidReason};
use crate::draw::proof::{DrandRound, Lock, OutsideRule, OutsideValue, Seed, Words};
use crate::draw::{
    DrawId, DrawSpec, Entropy, Epoch, EventId, Fact, Link, LinkId, LinkRole, Mode, Number, Phase, Pool, Timestamp,
};
use crate::draw::{Prize, PrizeId, SessionId, ShowLength};
use std::sync::Arc;

pub fn gala() -> EventId {
    EventId::parse("gala").unwrap()
}

fn prize() -> Prize {
    Prize {
        id: PrizeId(3),
        name: "자전거 \"A\"".into(),
        rank: 1,
        grade: Some("1등".into()),
        quantity: 2,
        mode: Some(Mode::Network),
        winner_count: Some(2),
        show_length: ShowLength::from_seconds(9),
        image: Some("/images/b.png".into()),
        repeat_winners: true,
        group: Some("staff".into()),
        needs_address: true,
    }
}

fn plain_prize() -> Prize {
    Prize {
        grade: None,
        mode: None,
        winner_count: None,
        show_length: None,
        image: None,
        repeat_winners: false,
        group: None,
        needs_address: false,
        ..prize()
    }
}

fn spec(mode: Mode) -> DrawSpec {
    let (prize_id, prize_image) = (Some(PrizeId(3)), Some("/images/b.png".into()));
    let (prize_name, show_length) = ("자전거".into(), None);
    DrawSpec { prize_id, prize_name, prize_rank: 1, prize_grade: None, prize_image, mode, winner_count: 2, show_length }
}

fn pool() -> Pool {
    Pool { ranges: vec![(1, 3), (5, 5)], size: 4, through: 5, weights: vec![(2, 7)] }
}

fn sealed() -> SealedPick {
    SealedPick { entropy: Entropy([0xab; 32]), picks: [5, 2].map(Number).into() }
}

fn lock(outside: OutsideRule) -> Arc<Lock> {
    let (anchor, previous, roster_root, head) = ([0x66; 32], [0; 32], [0x11; 32], [0x22; 32]);
    let round =
        outside.is_drand().then_some(DrandRound { chain: [0x52; 32], number: 34_567_890, at: Timestamp(1_796_507_034_000) });
    Arc::new(Lock { event: gala(), anchor, place: 3, previous, roster_root, outside, round, head })
}

fn settings() -> Settings {
    let (consent_text, privacy_purpose) = (Some("사진을\n찍습니다".into()), Some("경품 발송".into()));
    Settings { consent_text, privacy_purpose, rehearsal: true, outside: OutsideRule::Hall, ..plain_settings() }
}

fn plain_settings() -> Settings {
    Settings { title: "송년회".into(), participants_max: 20_000, groups: true, ..Settings::default() }
}

/// Records of the first version, where the layout has changed since, with the facts they mean.
pub fn first_version() -> Vec<(&'static str, &'static str, Fact)> {
    let (session, epoch) = (SessionId([0x11; 16]), Epoch([0x22; 8]));
    let settings = plain_settings;
    vec![
        (
            "opened",
            r#"{"id":"gala","settings":{"title":"송년회","participants_max":20000,"groups":true,"weights":false},"session":"11111111111111111111111111111111","epoch":"2222222222222222"}"#,
            Fact::Opened { id: gala(), settings: settings(), session, epoch },
        ),
        (
            "settings_changed",
            r#"{"settings":{"title":"송년회","participants_max":20000,"groups":true,"weights":false}}"#,
            Fact::SettingsChanged { settings: settings() },
        ),
        (
            "prize_added",
            r#"{"prize":{"id":3,"name":"자전거 \"A\"","rank":1,"grade":null,"quantity":2,"mode":null,"winner_count":null,"image":null,"repeat_winners":false,"group":null}}"#,
            Fact::PrizeAdded { prize: plain_prize() },
        ),
        (
            "prize_changed",
            r#"{"prize":{"id":3,"name":"자전거 \"A\"","rank":1,"grade":null,"quantity":2,"mode":null,"winner_count":null,"image":null,"repeat_winners":false,"group":null}}"#,
            Fact::PrizeChanged { prize: plain_prize() },
        ),
        (
            "registered",
            r#"{"number":17,"key":"cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"}"#,
            Fact::Registered { number: Number(17), key: [0xcd; 32], secrets: SecretScope::Session },
        ),
    ]
}

/// Facts and their `kind body`, in the order of the kinds; several of a kind where its fields vary.
pub fn examples() -> Vec<(Fact, &'static str)> {
    [about_the_event(), about_people(), about_draws()].concat().into_iter().inspect(|(fact, _)| has_example(fact)).collect()
}

/// Stops compiling when there is a new fact: give it an example below, and a name among the kinds.
fn has_example(fact: &Fact) {
    match fact {
        Fact::Opened { .. } | Fact::SettingsChanged { .. } | Fact::PhaseChanged { .. } | Fact::EntryCodeSet { .. } => {}
        Fact::PrizeAdded { .. } | Fact::PrizeChanged { .. } | Fact::PrizeRemoved { .. } | Fact::PrizesOrdered { .. } => {}
        Fact::Registered { .. } | Fact::ParticipantMarked { .. } | Fact::StandbyShown { .. } | Fact::StandbyEnded => {}
        Fact::EntryCodeRotates | Fact::ParticipantsRemoved { .. } => {}
        Fact::ChainBegun { .. } | Fact::OutsideReceived { .. } | Fact::FellBack { .. } => {}
        Fact::Started { .. } | Fact::Revealed { .. } | Fact::Announced { .. } | Fact::Cancelled { .. } => {}
        Fact::SeatVoided { .. } | Fact::DetailsReceived { .. } | Fact::Arrived { .. } | Fact::Reset { .. } => {}
        Fact::HandedOver { .. } | Fact::HandOverUndone { .. } => {}
        Fact::LinkMade { .. } | Fact::LinkRevoked { .. } | Fact::DetailsUnmasked | Fact::EpochRenewed { .. } => {}
    }
}

fn about_the_event() -> Vec<(Fact, &'static str)> {
    let (session, epoch) = (SessionId([0x11; 16]), Epoch([0x22; 8]));
    vec![
        (
            Fact::Opened { id: gala(), settings: settings(), session, epoch },
            r#"opened {"id":"gala","settings":{"title":"송년회","participants_max":20000,"groups":true,"weights":false,"consent_text":"사진을\n찍습니다","privacy_purpose":"경품 발송","rehearsal":true,"outside":"hall"},"session":"11111111111111111111111111111111","epoch":"2222222222222222"}"#,
        ),
        (
            Fact::SettingsChanged { settings: plain_settings() },
            r#"settings_changed {"settings":{"title":"송년회","participants_max":20000,"groups":true,"weights":false,"consent_text":null,"privacy_purpose":null,"rehearsal":false,"outside":"none"}}"#,
        ),
        (Fact::PhaseChanged { phase: Phase::Open }, r#"phase_changed {"phase":"open"}"#),
        (Fact::PhaseChanged { phase: Phase::Drawing }, r#"phase_changed {"phase":"drawing"}"#),
        (Fact::PhaseChanged { phase: Phase::Closed }, r#"phase_changed {"phase":"closed"}"#),
        (Fact::EntryCodeSet { code: EntryDigits::parse("0417") }, r#"entry_code_set {"code":[48,52,49,55]}"#),
        (Fact::EntryCodeSet { code: EntryDigits::parse("04171") }, r#"entry_code_set {"code":[48,52,49,55,49]}"#),
        (Fact::EntryCodeSet { code: None }, r#"entry_code_set {"code":null}"#),
        (Fact::EntryCodeRotates, "entry_code_rotates {}"),
        (
            Fact::PrizeAdded { prize: prize() },
            r#"prize_added {"prize":{"id":3,"name":"자전거 \"A\"","rank":1,"grade":"1등","quantity":2,"mode":"network","winner_count":2,"image":"/images/b.png","repeat_winners":true,"group":"staff","needs_address":true,"show_length":9}}"#,
        ),
        (
            Fact::PrizeChanged { prize: plain_prize() },
            r#"prize_changed {"prize":{"id":3,"name":"자전거 \"A\"","rank":1,"grade":null,"quantity":2,"mode":null,"winner_count":null,"image":null,"repeat_winners":false,"group":null,"needs_address":false}}"#,
        ),
        (Fact::PrizeRemoved { prize: PrizeId(3) }, r#"prize_removed {"prize":3}"#),
        (Fact::PrizesOrdered { order: [2, 1].map(PrizeId).into() }, r#"prizes_ordered {"order":[2,1]}"#),
    ]
}

fn about_people() -> Vec<(Fact, &'static str)> {
    let number = Number(17);
    vec![
        (
            Fact::Registered { number, key: [0xcd; 32], secrets: SecretScope::Registration },
            r#"registered {"number":17,"key":"cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"}"#,
        ),
        (
            Fact::ParticipantMarked { number, mark: Eligibility { eligible: false, group: Some("staff".into()), weight: 3 } },
            r#"participant_marked {"number":17,"mark":{"eligible":false,"group":"staff","weight":3}}"#,
        ),
        (Fact::ParticipantsRemoved { ranges: vec![(2, 9), (17, 17)] }, r#"participants_removed {"ranges":[[2,9],[17,17]]}"#),
    ]
}

fn about_draws() -> Vec<(Fact, &'static str)> {
    let (draw, number) = (DrawId(4), Number(5));
    let mut facts = vec![
        (
            Fact::StandbyShown { spec: spec(Mode::List).into() },
            r#"standby_shown {"spec":{"prize_id":3,"prize_name":"자전거","prize_rank":1,"prize_image":"/images/b.png","mode":"list","winner_count":2}}"#,
        ),
        (
            Fact::StandbyShown { spec: DrawSpec { prize_id: None, prize_image: None, ..spec(Mode::Slot) }.into() },
            r#"standby_shown {"spec":{"prize_id":null,"prize_name":"자전거","prize_rank":1,"prize_image":null,"mode":"slot","winner_count":2}}"#,
        ),
        (Fact::StandbyEnded, "standby_ended {}"),
        (
            Fact::ChainBegun { anchor: [0x66; 32], length: 10_000, last: Seed([0x77; 32]) },
            r#"chain_begun {"anchor":"6666666666666666666666666666666666666666666666666666666666666666","length":10000,"sealed":"…"}"#,
        ),
        (
            Fact::Started {
                draw,
                spec: spec(Mode::Card).into(),
                pool: pool().into(),
                sealed: Some(sealed()),
                lock: Some(lock(OutsideRule::None)),
                redraw_of: Some((DrawId(1), Number(9))),
                request: Some([0xef; 32]),
            },
            r#"started {"draw":4,"spec":{"prize_id":3,"prize_name":"자전거","prize_rank":1,"prize_image":"/images/b.png","mode":"card","winner_count":2},"pool":{"ranges":[[1,3],[5,5]],"size":4,"through":5,"weights":[[2,7]]},"sealed":"…","lock":{"event":"gala","anchor":"6666666666666666666666666666666666666666666666666666666666666666","place":3,"previous":"0000000000000000000000000000000000000000000000000000000000000000","roster_root":"1111111111111111111111111111111111111111111111111111111111111111","outside":"none","head":"2222222222222222222222222222222222222222222222222222222222222222"},"redraw_of":[1,9],"request":"efefefefefefefefefefefefefefefefefefefefefefefefefefefefefefefef"}"#,
        ),
        (
            Fact::Started {
                draw,
                spec: spec(Mode::Card).into(),
                pool: pool().into(),
                sealed: None,
                lock: Some(lock(OutsideRule::Hall)),
                redraw_of: None,
                request: None,
            },
            r#"started {"draw":4,"spec":{"prize_id":3,"prize_name":"자전거","prize_rank":1,"prize_image":"/images/b.png","mode":"card","winner_count":2},"pool":{"ranges":[[1,3],[5,5]],"size":4,"through":5,"weights":[[2,7]]},"sealed":null,"lock":{"event":"gala","anchor":"6666666666666666666666666666666666666666666666666666666666666666","place":3,"previous":"0000000000000000000000000000000000000000000000000000000000000000","roster_root":"1111111111111111111111111111111111111111111111111111111111111111","outside":"hall","head":"2222222222222222222222222222222222222222222222222222222222222222"},"redraw_of":null,"request":null}"#,
        ),
        (
            Fact::Started {
                draw,
                spec: spec(Mode::Card).into(),
                pool: pool().into(),
                sealed: None,
                lock: Some(lock(OutsideRule::DrandOrHall)),
                redraw_of: None,
                request: None,
            },
            r#"started {"draw":4,"spec":{"prize_id":3,"prize_name":"자전거","prize_rank":1,"prize_image":"/images/b.png","mode":"card","winner_count":2},"pool":{"ranges":[[1,3],[5,5]],"size":4,"through":5,"weights":[[2,7]]},"sealed":null,"lock":{"event":"gala","anchor":"6666666666666666666666666666666666666666666666666666666666666666","place":3,"previous":"0000000000000000000000000000000000000000000000000000000000000000","roster_root":"1111111111111111111111111111111111111111111111111111111111111111","outside":"drand_or_hall","round":{"chain":"5252525252525252525252525252525252525252525252525252525252525252","number":34567890,"at":1796507034000},"head":"2222222222222222222222222222222222222222222222222222222222222222"},"redraw_of":null,"request":null}"#,
        ),
        (
            Fact::OutsideReceived { draw, value: OutsideValue::Words(Words::parse("사과7").unwrap()), sealed: sealed() },
            r#"outside_received {"draw":4,"words":"사과7","sealed":"…"}"#,
        ),
        (
            Fact::OutsideReceived { draw, value: OutsideValue::Signature([0x9a; 48]), sealed: sealed() },
            r#"outside_received {"draw":4,"signature":"9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a9a","sealed":"…"}"#,
        ),
        (
            Fact::FellBack { draw, reason: "no network".into(), sealed: None },
            r#"fell_back {"draw":4,"reason":"no network","sealed":null}"#,
        ),
        (
            Fact::FellBack { draw, reason: "no network".into(), sealed: Some(sealed()) },
            r#"fell_back {"draw":4,"reason":"no network","sealed":"…"}"#,
        ),
        (
            Fact::Revealed { draw, sealed: sealed(), show_at: None },
            r#"revealed {"draw":4,"sealed":{"entropy":"abababababababababababababababababababababababababababababababab","picks":[5,2]}}"#,
        ),
        (Fact::Announced { draw, cause: Cause::Completed }, r#"announced {"draw":4,"cause":"completed"}"#),
        (Fact::Announced { draw, cause: Cause::Deadline }, r#"announced {"draw":4,"cause":"deadline"}"#),
        (Fact::Announced { draw, cause: Cause::ShowEnd }, r#"announced {"draw":4,"cause":"show_end"}"#),
        (Fact::Announced { draw, cause: Cause::NoDisplay }, r#"announced {"draw":4,"cause":"no_display"}"#),
        (Fact::Announced { draw, cause: Cause::NextDraw }, r#"announced {"draw":4,"cause":"next_draw"}"#),
        (
            Fact::Cancelled { draw, sealed: None, reason: "wrong prize".into() },
            r#"cancelled {"draw":4,"sealed":null,"reason":"wrong prize"}"#,
        ),
        (
            Fact::Cancelled { draw, sealed: Some(sealed()), reason: "wrong prize".into() },
            r#"cancelled {"draw":4,"sealed":{"entropy":"abababababababababababababababababababababababababababababababab","picks":[5,2]},"reason":"wrong prize"}"#,
        ),
    ];
    let golden = [
        r#"seat_voided {"draw":4,"number":5,"reason":"absent"}"#,
        r#"seat_voided {"draw":4,"number":5,"reason":"declined"}"#,
        r#"seat_voided {"draw":4,"number":5,"reason":"ineligible"}"#,
        r#"seat_voided {"draw":4,"number":5,"reason":"duplicate_person"}"#,
        r#"seat_voided {"draw":4,"number":5,"reason":"operator_error"}"#,
        r#"seat_voided {"draw":4,"number":5,"reason":"other"}"#,
    ];
    facts.extend(VoidReason::ALL.into_iter().map(|reason| Fact::SeatVoided { draw, number, reason }).zip(golden));
    facts.extend(after_a_draw(draw, number));
    facts
}

fn after_a_draw(draw: DrawId, number: Number) -> Vec<(Fact, &'static str)> {
    let link = |role, revoked_at| Link { id: LinkId(2), role, made_at: Timestamp(1_795_360_011_042), revoked_at };
    let made = |role, revoked_at| Fact::LinkMade { link: link(role, revoked_at) };
    vec![
        (Fact::DetailsReceived { draw, number }, r#"details_received {"draw":4,"number":5}"#),
        (Fact::Arrived { draw, number }, r#"arrived {"draw":4,"number":5}"#),
        (Fact::HandedOver { draw, number, desk: "로비 2번".into() }, r#"handed_over {"draw":4,"number":5,"desk":"로비 2번"}"#),
        (Fact::HandOverUndone { draw, number }, r#"hand_over_undone {"draw":4,"number":5}"#),
        (Fact::Reset { session: None }, r#"reset {"session":null}"#),
        (Fact::Reset { session: Some(SessionId([0x33; 16])) }, r#"reset {"session":"33333333333333333333333333333333"}"#),
        (
            made(LinkRole::Display, None),
            r#"link_made {"link":{"id":2,"role":"display","made_at":1795360011042,"revoked_at":null}}"#,
        ),
        (
            made(LinkRole::Staff, Some(Timestamp(-1))),
            r#"link_made {"link":{"id":2,"role":"staff","made_at":1795360011042,"revoked_at":-1}}"#,
        ),
        (made(LinkRole::Host, None), r#"link_made {"link":{"id":2,"role":"host","made_at":1795360011042,"revoked_at":null}}"#),
        (Fact::LinkRevoked { link: LinkId(2) }, r#"link_revoked {"link":2}"#),
        (Fact::DetailsUnmasked, "details_unmasked {}"),
        (Fact::EpochRenewed { epoch: Epoch([0x44; 8]) }, r#"epoch_renewed {"epoch":"4444444444444444"}"#),
    ]
}
