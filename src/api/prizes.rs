//! The list of prizes: read, added to, changed, ordered, removed from.

use crate::api::app::ApiRequest;
use crate::api::auth::AccessLevel;
use crate::api::pictures;
use crate::draw::{Command, Outcome, PrizeId, Refusal};
use crate::http::response::{HttpError, HttpResult, created, success};
use crate::wire::request::{PrizeBody, PrizeOrder};
use crate::wire::view::prizes;

/// `GET prizes`
pub async fn list(request: ApiRequest) -> HttpResult {
    let access = request.require_event(AccessLevel::Staff).await?;
    success(&prizes::list(&access.room.snapshot().event), "the prizes")
}

/// `POST prizes`
pub async fn add(mut request: ApiRequest) -> HttpResult {
    let access = request.require_event(AccessLevel::Host).await?;
    let prize = request.json::<PrizeBody>().await?.prize(PrizeId(0))?;
    pictures::mark_used(&request.app, prize.image.as_deref()).await;
    let accepted = request.submit(&access, Command::AddPrize(prize)).await?;
    let Outcome::PrizeAdded(id) = accepted.outcome else { return success("{}", "added") };
    let event = &accepted.snapshot.event;
    let data = event.prize(id).map_or_else(|| prizes::removed(id), |prize| prizes::prize(event, prize));
    created(&data, "added")
}

/// `PUT prizes/{prize_id}`: the prize as a whole, in place of the version that the body names.
pub async fn change(mut request: ApiRequest) -> HttpResult {
    let access = request.require_event(AccessLevel::Host).await?;
    let id = prize_id(&request)?;
    let body: PrizeBody = request.json().await?;
    let made_from = body.made_from(request.app.settings.http.open)?;
    let prize = body.prize(id)?;
    pictures::mark_used(&request.app, prize.image.as_deref()).await;
    let command = Command::ChangePrize { prize, made_from };
    let accepted = request.submit(&access, command).await?;
    let event = &accepted.snapshot.event;
    let data = event.prize(id).map_or_else(|| "{}".to_owned(), |prize| prizes::prize(event, prize));
    success(&data, "changed")
}

/// `DELETE prizes/{prize_id}`: its draws remain.
pub async fn remove(request: ApiRequest) -> HttpResult {
    let access = request.require_event(AccessLevel::Host).await?;
    request.submit(&access, Command::RemovePrize(prize_id(&request)?)).await?;
    success("{}", "removed")
}

/// `POST prizes/order`
pub async fn order(mut request: ApiRequest) -> HttpResult {
    let access = request.require_event(AccessLevel::Host).await?;
    let body: PrizeOrder = request.json().await?;
    let made_from = body.made_from(request.app.settings.http.open)?;
    let order = body.order.into_iter().map(PrizeId).collect();
    let command = Command::OrderPrizes { order, made_from };
    let accepted = request.submit(&access, command).await?;
    success(&prizes::list(&accepted.snapshot.event), "put in order")
}

fn prize_id(request: &ApiRequest) -> Result<PrizeId, HttpError> {
    request.param(1).parse().map(PrizeId).map_err(|_| Refusal::NotFound("prize").into())
}
