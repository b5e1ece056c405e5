//! The REST API, as its helper libraries see it.

mod conversations;
mod messages;
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
mod answers;
mod audit;
mod tokens;
mod leftovers;
mod login;
mod minting;
mod provider;
mod refused_logins;
#[expect(unreachable_pub, reason = "the example of docs/tokens.md, as it stands there")]
mod axum_app;
