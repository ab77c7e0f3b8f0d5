//! The QR codes that were drawn last, and a bound on the rate of new ones.
//!
//! Drawing a code takes about a millisecond, thirty times a registration, and no token is needed.
//! A hall asks for few texts, again and again: those are kept. A script could name another text in
//! each request, so new ones are drawn at a bounded rate, and what is asked for often is not
//! displaced by what is asked for once. Neither takes a lock. Times are arguments.

use crate::http::response::HttpError;
use arc_swap::ArcSwap;
use bytes::Bytes;
use qrcode::render::svg::Color;
use qrcode::{EcLevel, QrCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering::Relaxed};

/// Codes that are kept. One is 5 to 20 KB.
const KEPT_MAX: usize = 32;
/// New codes at once, at most: the winners of a whole list open their claims.
const BURST_MAX: i64 = 200;
/// Time between new codes after that: a tenth of a core.
const GAP_MS: i64 = 10;
/// Time after which requests for a code count half.
const HALF_LIFE_MS: i64 = 60_000;

/// The codes that were drawn last.
#[derive(Debug, Default)]
pub struct QrCodes {
    kept: ArcSwap<Vec<Arc<Drawn>>>,
    /// End of the last turn to draw, on the monotonic clock.
    drawn_until_ms: AtomicI64,
    /// Time of the last halving, on the same clock.
    halved_ms: AtomicI64,
}

/// A code.
#[derive(Debug)]
struct Drawn {
    text: Box<str>,
    svg: Bytes,
    /// Requests for it, halved with time. One that meets the halving may be lost.
    asked: AtomicU32,
}

impl QrCodes {
    /// The text as a QR code in SVG: dark on light, with the quiet zone that phones look for.
    ///
    /// # Errors
    /// 422 when it is too long for any code, 503 when too many others were drawn just now.
    pub fn get_or_draw(&self, text: &str, now_ms: i64) -> Result<Bytes, HttpError> {
        if let Some(drawn) = self.kept.load().iter().find(|drawn| *drawn.text == *text) {
            drawn.asked.fetch_add(1, Relaxed);
            return Ok(drawn.svg.clone());
        }
        let svg = self.draw(text, now_ms)?;
        self.halve_counts(now_ms);
        self.keep(&Arc::new(Drawn { text: text.into(), svg: svg.clone(), asked: AtomicU32::new(1) }));
        Ok(svg)
    }

    /// A code that nobody asks for twice.
    ///
    /// # Errors
    /// As [`get_or_draw`](Self::get_or_draw).
    pub fn draw(&self, text: &str, now_ms: i64) -> Result<Bytes, HttpError> {
        let next = |until_ms: i64| Some(until_ms.max(now_ms) + GAP_MS).filter(|next_ms| next_ms - now_ms <= BURST_MAX * GAP_MS);
        self.drawn_until_ms.fetch_update(Relaxed, Relaxed, next).map_err(|_| HttpError::overloaded())?;
        let code =
            QrCode::with_error_correction_level(text, EcLevel::M).map_err(|_| HttpError::invalid("too long for a QR code"))?;
        Ok(code.render::<Color>().quiet_zone(true).min_dimensions(400, 400).build().into())
    }

    /// Forgets what was asked for in past hours.
    fn halve_counts(&self, now_ms: i64) {
        let halved_ms = self.halved_ms.load(Relaxed);
        let is_due = now_ms - halved_ms >= HALF_LIFE_MS;
        if is_due && self.halved_ms.compare_exchange(halved_ms, now_ms, Relaxed, Relaxed).is_ok() {
            self.kept.load().iter().for_each(|drawn| drawn.asked.store(drawn.asked.load(Relaxed) / 2, Relaxed));
        }
    }

    /// Keeps a code in place of the one that was asked for least.
    fn keep(&self, drawn: &Arc<Drawn>) {
        self.kept.rcu(|kept| {
            let mut kept = Vec::clone(kept);
            if kept.len() == KEPT_MAX {
                let least = kept.iter().enumerate().min_by_key(|(_, drawn)| drawn.asked.load(Relaxed));
                let place = least.map_or(0, |(place, _)| place);
                kept.remove(place);
            }
            kept.push(Arc::clone(drawn));
            kept
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_drawn_once_and_then_shared() {
        let codes = QrCodes::default();
        let first = codes.get_or_draw("http://192.168.0.7:8000/j/gala", 0).unwrap();
        for now_ms in 0..1_000 {
            let again = codes.get_or_draw("http://192.168.0.7:8000/j/gala", now_ms).unwrap();
            assert_eq!(again.as_ptr(), first.as_ptr(), "the same bytes");
        }
        assert_eq!(codes.drawn_until_ms.load(Relaxed), GAP_MS, "one code was drawn");
    }

    #[test]
    fn a_flood_of_new_codes_is_refused_and_the_hall_s_own_is_kept() {
        let codes = QrCodes::default();
        let own = codes.get_or_draw("the hall", 0).unwrap();
        let mut drawn = 0;
        for other in 0..400 {
            match codes.get_or_draw(&format!("flood {other}"), 0) {
                Ok(_) => drawn += 1,
                Err(error) => assert_eq!((error.status.as_u16(), error.retry_after), (503, Some(1))),
            }
            if other % 10 == 0 {
                assert_eq!(codes.get_or_draw("the hall", 0).unwrap().as_ptr(), own.as_ptr(), "after {other}");
            }
        }
        assert_eq!(drawn, BURST_MAX - 1);
        assert_eq!(codes.kept.load().len(), KEPT_MAX);
        assert!(codes.draw("a claim", GAP_MS).is_ok(), "the next turn comes");
        assert!(codes.draw("another claim", GAP_MS).is_err(), "one at a time");
    }

    #[test]
    fn what_was_asked_for_in_the_past_makes_room() {
        let codes = QrCodes::default();
        let draw = |text: &str, now_ms| codes.get_or_draw(text, now_ms).unwrap();
        for _ in 0..8 {
            (0..KEPT_MAX).for_each(|old| drop(draw(&format!("old {old}"), 0)));
        }
        for minute in 1..=4 {
            (0..2).for_each(|_| drop(draw("new", minute * HALF_LIFE_MS)));
            draw(&format!("other {minute}"), minute * HALF_LIFE_MS);
        }
        assert!(codes.kept.load().iter().any(|drawn| *drawn.text == *"new"));
    }

    #[test]
    fn a_code_is_an_svg_image() {
        let codes = QrCodes::default();
        assert!(codes.draw("http://192.168.0.7:8000/j/gala", 0).unwrap().starts_with(b"<?xml"));
        assert_eq!(codes.draw(&"x".repeat(3_000), 0).unwrap_err().status.as_u16(), 422);
    }
}
