//! `/tertulia/v1/Jobs`: how far the server is behind with its durable jobs, for whoever runs it.

use serde::Serialize;

use super::Backlog;
use super::commands::ListBacklog;
use crate::platform::{AccountNumber, Call, Outcome, Reply, Route};
use crate::routes;

/// The routes.
pub const ROUTES: &[Route] = routes![
    Operator Get "/Jobs" ListJob => list;
];

#[derive(Serialize)]
struct Body {
    kind: String,
    jobs_count: i64,
    failing_count: i64,
    date_oldest_due: String,
    /// How long the oldest has been due, by the machine's clock; 0 where nothing is late.
    oldest_late_seconds: i64,
}

async fn list(call: Call) -> Outcome<Reply> {
    let now = call.db.clock.now(AccountNumber(0));
    let body = |backlog: Backlog| Body {
        kind: backlog.kind,
        jobs_count: backlog.jobs,
        failing_count: backlog.failing,
        date_oldest_due: backlog.oldest_due.seconds_text(),
        oldest_late_seconds: (now.seconds() - backlog.oldest_due.seconds()).max(0),
    };
    let jobs: Vec<Body> = call.ask(ListBacklog).await?.into_iter().map(body).collect();
    Ok(Reply::ok(&serde_json::json!({ "jobs": jobs })))
}
