//! REST routes of users.

use crate::platform::Route;
use crate::routes;

/// The routes.
pub const ROUTES: &[Route] = routes![];
