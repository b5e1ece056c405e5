//! The REST route of imports; the command line uses it.

use super::World;
use super::commands::Import;
use crate::platform::{Call, Outcome, Reply, Route};
use crate::routes;

/// The routes.
pub const ROUTES: &[Route] = routes![
    Operator Post "/Imports" CreateImport => create;
];

async fn create(call: Call) -> Outcome<Reply> {
    let world = World::parse(call.form.required("World")?)?;
    let change = Import { world, ring: call.app.sealer.ring() };
    let made = call.perform(change).await?;
    tracing::info!(
        accounts = made.accounts,
        keys = made.keys,
        services = made.services,
        roles = made.roles,
        "an import"
    );
    Ok(Reply::created(&made))
}
