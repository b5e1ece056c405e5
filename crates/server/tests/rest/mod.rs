//! The REST API, as its helper libraries see it.

mod conversations;
mod messages;
mod nodes;
mod participants;
mod users;
mod roles;
mod services;
mod accounts;
mod keys;
mod imports;
mod pages;
mod errors;
mod rotation;
mod routes;
mod foreign;
mod sdk;
mod races;
mod together;
mod dev;
mod documented;
mod answers;
mod audit;
mod explain;
pub(crate) mod tokens;
mod signing;
mod leftovers;
pub(crate) mod login;
mod minting;
mod provider;
mod refused_logins;
#[expect(unreachable_pub, reason = "the example of docs/tokens.md, as it stands there")]
mod axum_app;
