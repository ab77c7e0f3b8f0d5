//! The list of prizes: read, added to, changed, put in order, cut.

use crate::api::auth::{Rank, enter};
use crate::draw::{Command, Outcome, PrizeId, Refusal};
use crate::http::request::{BODY_MAX, RequestContext};
use crate::http::response::{HttpError, HttpResult, envelope, success};
use crate::wire::parse::parse;
use crate::wire::request::{PrizeBody, PrizeOrder};
use crate::wire::view::prizes;
use hyper::StatusCode;

/// `GET prizes`
pub async fn list(call: RequestContext) -> HttpResult {
    let (room, _) = enter(&call, Rank::Staff).await?;
    success(&prizes::list(&room.snapshot().event), "the prizes")
}

/// `POST prizes`
pub async fn add(mut call: RequestContext) -> HttpResult {
    let (room, proved) = enter(&call, Rank::Host).await?;
    let prize = parse::<PrizeBody>(&call.read_body(BODY_MAX).await?)?.prize(PrizeId(0))?;
    let granted = call.app.inbox.submit(room.id.clone(), proved.actor(), Command::AddPrize(prize)).await?;
    let Outcome::PrizeAdded(id) = granted.outcome else { return success("{}", "added") };
    let event = &granted.snapshot.event;
    let data = event.prize(id).map_or_else(|| prizes::removed(id), |prize| prizes::prize(event, prize));
    Ok(envelope(StatusCode::CREATED, &data, "added"))
}

/// `PUT prizes/{prize_id}`: the prize as a whole.
pub async fn change(mut call: RequestContext) -> HttpResult {
    let (room, proved) = enter(&call, Rank::Host).await?;
    let id = prize_id(&call)?;
    let prize = parse::<PrizeBody>(&call.read_body(BODY_MAX).await?)?.prize(id)?;
    let granted = call.app.inbox.submit(room.id.clone(), proved.actor(), Command::ChangePrize(prize)).await?;
    let event = &granted.snapshot.event;
    let data = event.prize(id).map_or_else(|| "{}".to_owned(), |prize| prizes::prize(event, prize));
    success(&data, "changed")
}

/// `DELETE prizes/{prize_id}`: what was drawn of it stays drawn.
pub async fn remove(call: RequestContext) -> HttpResult {
    let (room, proved) = enter(&call, Rank::Host).await?;
    let id = prize_id(&call)?;
    call.app.inbox.submit(room.id.clone(), proved.actor(), Command::RemovePrize(id)).await?;
    success("{}", "removed")
}

/// `POST prizes/order`
pub async fn order(mut call: RequestContext) -> HttpResult {
    let (room, proved) = enter(&call, Rank::Host).await?;
    let body: PrizeOrder = parse(&call.read_body(BODY_MAX).await?)?;
    let order = body.order.into_iter().map(PrizeId).collect();
    let granted = call.app.inbox.submit(room.id.clone(), proved.actor(), Command::OrderPrizes(order)).await?;
    success(&prizes::list(&granted.snapshot.event), "put in order")
}

fn prize_id(call: &RequestContext) -> Result<PrizeId, HttpError> {
    call.param(1).parse().map(PrizeId).map_err(|_| Refusal::NotFound("prize").into())
}
