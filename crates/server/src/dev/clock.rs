//! `/tertulia/v1/Clock`: an account's time, to be frozen, set and advanced. Outside dev mode there is
//! nothing here.

use serde::Serialize;
use tertulia_protocol::Code;

use crate::platform::{Call, Error, Move, Outcome, Reply, Route};
use crate::routes;

/// The routes.
pub const ROUTES: &[Route] = routes![
    Own Get "/Clock" FetchClock => fetch;
    Own Post "/Clock" UpdateClock => update;
];

/// Farther than this nobody has to travel at once: a hundred years.
const SECONDS_MAX: f64 = 100.0 * 366.0 * 86_400.0;

#[derive(Serialize)]
struct Body {
    now: String,
    is_frozen: bool,
    ahead_seconds: f64,
    url: String,
}

async fn fetch(call: Call) -> Outcome<Reply> {
    in_dev_mode(&call)?;
    Ok(Reply::ok(&body(&call)))
}

/// `Reset`, then `At`, then `Advance`, then `Freeze`, whichever are given.
async fn update(call: Call) -> Outcome<Reply> {
    in_dev_mode(&call)?;
    let form = &call.form;
    let mut moves = Vec::new();
    if form.flag("Reset")? == Some(true) {
        moves.push(Move::Reset);
    }
    if let Some(at) = form.date("At", Code::ParameterInvalid)? {
        moves.push(Move::To(at));
    }
    if let Some(seconds) = form.text("Advance") {
        let seconds: f64 = seconds.parse().unwrap_or(f64::NAN);
        if seconds.is_nan() || seconds.abs() > SECONDS_MAX {
            return Err(Error::parameter("Advance must be seconds, such as 90 or 0.5, at most a hundred years"));
        }
        #[expect(clippy::cast_possible_truncation, reason = "bounded just above")]
        moves.push(Move::By((seconds * 1e6) as i64));
    }
    moves.extend(form.flag("Freeze")?.map(|freeze| if freeze { Move::Freeze } else { Move::Thaw }));
    if moves.is_empty() {
        return Err(Error::parameter("Give one or more of At, Advance, Freeze and Reset"));
    }
    call.app.db.clock.shift(call.caller.account, moves);
    let body = body(&call);
    tracing::info!(now = body.now, is_frozen = body.is_frozen, "the clock was moved");
    Ok(Reply::ok(&body))
}

fn in_dev_mode(call: &Call) -> Outcome<()> {
    call.app.dev.as_ref().map(drop).ok_or_else(|| Error::not_found(Code::NotFound))
}

fn body(call: &Call) -> Body {
    let state = call.app.db.clock.state(call.caller.account);
    #[expect(clippy::cast_precision_loss, reason = "seconds with a fraction, for people")]
    let ahead_seconds = state.ahead_micros as f64 / 1e6;
    Body {
        now: state.now.millis_text(),
        is_frozen: state.is_frozen,
        ahead_seconds,
        url: format!("{}/tertulia/v1/Clock", call.origin),
    }
}
