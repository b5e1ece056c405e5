//! Logins: who somebody is by a login that exists already, and what the policy gives them.
//!
//! A [`source`](config::SourceConfig) looks at a request and says who it is: a *subject*, the source's own name
//! for somebody, and *facts*. The [`policy`] makes an identity and what goes with it of them. The noun
//! [`tokens`](crate::tokens) mints. Nothing here trusts what a request says of itself: a bearer's signature, the
//! app's answer, a proxy's address or a stored hash does.

pub mod config;
mod check;
pub mod condition;
pub mod policy;
pub mod template;
pub mod finding;
pub mod start;

pub mod sources;
pub mod app;
pub mod jwt;
pub mod oidc;
pub mod api_token;
pub mod proxy;

pub mod page;
pub mod logout;

pub mod fetch;

pub use config::LoginConfig;
pub use policy::{Decision, Denial, Login, Policy};
pub use sources::Sources;
