//! The task that runs conversations' timers: it sleeps until the next one is due, and changes what is due in
//! batches of ordinary changes.
//!
//! It keeps nothing in memory. What is due stands in the store, so a restart does what was due meanwhile, and
//! several nodes may look at once. It need not hear of new timers: none is shorter than the time between
//! two looks. It must never decide that a timer has run out; that is [`RunTimer`]'s, under the row's lock.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use crate::App;
use crate::conversations::TIMER_SECONDS_MIN;
use crate::conversations::commands::{DueConversations, FirstDue, RunTimer};
use crate::platform::{AccountNumber, Caller, Outcome};

/// The longest sleep.
const LOOK_EVERY: Duration = Duration::from_secs(TIMER_SECONDS_MIN.unsigned_abs());
/// The shortest one: a clock that stands still just before something is due must not keep us busy.
const PAUSE: Duration = Duration::from_millis(200);
/// The sleep after a failure.
const PATIENCE: Duration = Duration::from_secs(5);

/// Runs timers until the server goes away.
pub(crate) async fn run(app: Arc<App>) {
    let mut changes = app.db.clock.changes();
    let mut draining = app.draining();
    loop {
        // What changes from here on is looked at again.
        changes.mark_unchanged();
        let wait = look(&app).await.unwrap_or_else(|error| {
            tracing::error!(cause = %error, "timers could not be run");
            PATIENCE
        });
        tokio::select! {
            _ = draining.wait_for(|draining| *draining) => return,
            changed = changes.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Runs what is due; gives the time until the next look.
async fn look(app: &App) -> Outcome<Duration> {
    let mut wait = LOOK_EVERY;
    let mut after = AccountNumber(i64::MIN);
    loop {
        let firsts = app.db.ask(&Caller::nobody(), FirstDue(after)).await?;
        let Some((last, _)) = firsts.last() else { return Ok(wait) };
        after = *last;
        for (account, due) in firsts {
            let ahead = due.micros().saturating_sub(app.db.clock.now(account).micros());
            let ahead = Duration::from_micros(u64::try_from(ahead).unwrap_or(0));
            if ahead.is_zero() {
                catch_up(app, account).await?;
            }
            wait = wait.min(ahead.max(PAUSE));
        }
    }
}

/// Runs the timers of one account that are due. A batch's changes are asked for at once, so that they share
/// commits.
async fn catch_up(app: &App, account: AccountNumber) -> Outcome<()> {
    let caller = Caller::system(account, Caller::nobody().account_sid);
    while !app.is_draining() {
        let due = app.db.ask(&caller, DueConversations).await?;
        if due.is_empty() {
            break;
        }
        let ran = join_all(due.into_iter().map(|sid| app.db.perform(&caller, RunTimer(sid)))).await;
        ran.into_iter().collect::<Outcome<()>>()?;
    }
    Ok(())
}
