//! The bodies of the draw calls: what is drawn, which draw is meant, what is voided or cleared.

use super::{Invalid, image, is_data_url, mode, one_of, optional};
use crate::draw::command::Redraw;
use crate::draw::fact::VoidReason;
use crate::draw::{DrawId, DrawRequest, Mode, Number, PrizeId};
use serde::Deserialize;
use std::sync::Arc;

/// `POST draw/standby` and `draw/start-animation`
#[derive(Deserialize)]
pub struct Spec {
    pub prize_id: Option<u32>,
    pub prize_name: Option<String>,
    pub prize_rank: Option<u32>,
    pub prize_image: Option<String>,
    pub draw_mode: Option<String>,
    pub winner_count: Option<u32>,
    /// The newest draw that the console knows of, 0 for none.
    pub last_draw_id: Option<u32>,
}

/// `POST draw`
#[derive(Deserialize)]
pub struct DrawAtOnce {
    pub prize_id: Option<u32>,
    pub prize_name: Option<String>,
    pub prize_rank: Option<u32>,
    pub prize_image: Option<String>,
    pub count: u32,
    pub last_draw_id: Option<u32>,
    pub request_id: Option<String>,
}

/// `POST draw/reveal` and `draw/complete`: nothing, or the draw that is meant.
pub type Meant = Option<MeantDraw>;

/// The draw that is meant.
#[derive(Default, Deserialize)]
pub struct MeantDraw {
    pub draw_id: Option<u32>,
}

/// `POST draw/cancel`
#[derive(Deserialize)]
pub struct Cancel {
    pub reason: Option<String>,
    pub draw_id: Option<u32>,
}

/// `POST draw/void`
#[derive(Deserialize)]
pub struct Void {
    pub draw_id: u32,
    pub draw_number: u32,
    pub reason: String,
    #[serde(default)]
    pub redraw: bool,
}

/// `POST reset`
#[derive(Deserialize)]
pub struct Reset {
    #[serde(default)]
    pub reset_participants: bool,
    #[serde(default = "super::yes")]
    pub reset_draws: bool,
    /// Whether nothing is cleared before a backup is made.
    #[serde(default)]
    pub backup: bool,
}

impl Spec {
    /// Takes out an image that came as a `data:` URL, to be kept elsewhere before the wish is made.
    pub fn take_data_url(&mut self) -> Option<String> {
        self.prize_image.take_if(|image| is_data_url(image))
    }

    /// The wish it is.
    pub fn wish(self) -> Result<DrawRequest, Invalid> {
        Ok(DrawRequest {
            prize_id: self.prize_id.map(PrizeId),
            prize_name: optional("prize_name", self.prize_name)?,
            prize_rank: self.prize_rank,
            prize_image: image(self.prize_image)?,
            mode: mode(self.draw_mode)?,
            winner_count: self.winner_count,
            last_draw: self.last_draw_id.map(DrawId),
            request: None,
        })
    }
}

impl DrawAtOnce {
    /// The same as the other draw calls say it.
    pub fn spec(self) -> Spec {
        let Self { prize_id, prize_name, prize_rank, prize_image, count, last_draw_id, .. } = self;
        let draw_mode = Some(Mode::List.name().into());
        Spec { prize_id, prize_name, prize_rank, prize_image, draw_mode, winner_count: Some(count), last_draw_id }
    }
}

impl Cancel {
    /// The reason, which everybody will read; a plain word, if none is given.
    pub fn reason(self) -> Result<Arc<str>, Invalid> {
        Ok(optional("reason", self.reason)?.unwrap_or_else(|| "cancelled".into()))
    }
}

impl Void {
    /// The draw, the number, why, and whether it is drawn again.
    pub fn parts(self) -> Result<(DrawId, Number, VoidReason, Redraw), Invalid> {
        let reason = VoidReason::named(&self.reason);
        let reason = reason.ok_or_else(|| Invalid::field("reason", one_of(VoidReason::ALL.map(VoidReason::name))))?;
        Ok((DrawId(self.draw_id), Number(self.draw_number), reason, if self.redraw { Redraw::Yes } else { Redraw::No }))
    }
}
