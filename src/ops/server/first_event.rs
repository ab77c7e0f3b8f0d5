//! The event that a fresh server starts with: a demonstration, with five prizes and their pictures.
//!
//! The demonstration is a rehearsal, so that its console offers simulated phones and every page
//! says what it is. An event that the operator names may become a real one and is none.

use crate::base::durable_file;
use crate::base::image_name::ImageName;
use crate::draw::fact::Settings;
use crate::draw::{EventId, Mode, Prize, PrizeId};
use crate::ops::config::Config;
use crate::ops::config::table::DEMO_EVENT;
use crate::ops::server::demo;
use std::path::Path;

/// The first event, not yet opened.
#[derive(Debug)]
pub struct FirstEvent {
    /// Its name, by the settings.
    pub id: EventId,
    /// Its settings.
    pub settings: Settings,
    /// Its prizes: at least one per draw mode.
    pub prizes: Vec<Prize>,
}

impl FirstEvent {
    /// Makes the event of these settings, and writes its pictures to the folder of images, which
    /// exists. A picture that cannot be written is left out.
    pub fn create(config: &Config) -> Self {
        let id = config.default_event.clone();
        let settings = Settings {
            title: "럭키드로우 데모 · Lucky draw demo".into(),
            participants_max: config.app.participants_max,
            rehearsal: config.is_demo || id.as_str() == DEMO_EVENT,
            ..Settings::default()
        };
        let images = config.data_dir.images();
        let prize = |name: &str, rank, quantity, mode, winner_count, picture: &[u8]| Prize {
            // Assigned when the event is created.
            id: PrizeId(0),
            name: name.into(),
            rank,
            grade: None,
            // One that runs by itself draws each prize for an hour.
            quantity: if config.is_demo { demo::DRAWS as u32 } else { quantity },
            mode: Some(mode),
            winner_count: Some(if config.is_demo { 1 } else { winner_count }),
            show_length: None,
            image: store(&images, picture).map(Into::into),
            repeat_winners: config.is_demo,
            group: None,
            needs_address: false,
        };
        let prizes = vec![
            prize("커피 쿠폰 · Coffee coupon", 5, 20, Mode::List, 10, include_bytes!("pictures/coffee.webp")),
            prize("영화 관람권 · Cinema ticket", 4, 10, Mode::Card, 5, include_bytes!("pictures/ticket.webp")),
            prize("무선 이어폰 · Earbuds", 3, 6, Mode::Network, 3, include_bytes!("pictures/earbuds.webp")),
            prize("태블릿 · Tablet", 2, 2, Mode::Card, 2, include_bytes!("pictures/tablet.webp")),
            prize("자전거 · Bicycle", 1, 1, Mode::Slot, 1, include_bytes!("pictures/bicycle.webp")),
        ];
        Self { id, settings, prizes }
    }
}

/// Writes a picture under the name of its content; returns its path on this server.
fn store(images: &Path, picture: &[u8]) -> Option<String> {
    let name = ImageName::of(picture, "webp");
    match durable_file::write(&images.join(name.as_str()), picture) {
        Ok(()) => Some(name.path()),
        Err(error) => {
            tracing::warn!(%error, "a picture of the demonstration is left out");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::config::{self, Invocation};
    use std::ffi::OsString;

    /// The first event of a server with these arguments, in this data folder.
    fn first_event(data: &Path, words: &[&str]) -> FirstEvent {
        std::fs::create_dir_all(data.join("images")).unwrap();
        let words = ["luckydraw"].iter().chain(words).map(OsString::from);
        let words = words.chain(["--data-dir".into(), data.as_os_str().to_owned()]);
        let Ok(Invocation::Run { config, .. }) = config::parse(words, []) else { panic!() };
        FirstEvent::create(&config)
    }

    #[test]
    fn five_prizes_have_their_pictures_and_names_in_both_languages() {
        let folder = tempfile::tempdir().unwrap();
        let prizes = first_event(folder.path(), &[]).prizes;
        let pictures: Vec<_> = prizes.iter().map(|prize| ImageName::in_path(prize.image.as_deref().unwrap()).unwrap()).collect();
        assert_eq!(pictures.iter().collect::<std::collections::BTreeSet<_>>().len(), 5);
        for picture in &pictures {
            let bytes = std::fs::read(folder.path().join("images").join(picture.as_str())).unwrap();
            assert!(bytes.starts_with(b"RIFF") && bytes[8..].starts_with(b"WEBP") && bytes.len() > 1_000, "{picture}");
        }
        for prize in prizes {
            let (korean, english) = prize.name.split_once(" · ").unwrap();
            assert!(!korean.is_ascii() && english.is_ascii(), "{}", prize.name);
            assert!(prize.winner_count.unwrap() <= prize.quantity);
        }
    }

    #[test]
    fn the_demonstration_is_a_rehearsal_and_the_operator_s_own_event_is_none() {
        let folder = tempfile::tempdir().unwrap();
        assert!(first_event(folder.path(), &[]).settings.rehearsal);
        assert!(!first_event(folder.path(), &["--default-event", "gala"]).settings.rehearsal);
        let demo = first_event(folder.path(), &["demo", "--default-event", "gala"]);
        assert!(demo.settings.rehearsal && demo.prizes.iter().all(|prize| prize.quantity == demo::DRAWS as u32));
    }

    #[test]
    fn a_picture_is_stored_under_its_hash_and_left_out_where_it_cannot_be() {
        let folder = tempfile::tempdir().unwrap();
        let path = store(folder.path(), b"abc").unwrap();
        let name = ImageName::in_path(&path).unwrap();
        assert_eq!(std::fs::read(folder.path().join(name.as_str())).unwrap(), b"abc");
        assert_eq!(name.hash(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "FIPS 180-2, appendix B.1");
        assert_eq!(store(&folder.path().join("missing"), b"abc"), None);
    }
}
