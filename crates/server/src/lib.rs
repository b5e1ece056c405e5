//! The chat service: one folder a noun, the realtime gateway, and what they stand on.
//!
//! A request comes in through [`http`] or [`realtime::socket`], is routed by the one table of
//! [`router`], and asks or changes the store through the one door of [`platform::change`]. The rules of a
//! thing stand in its noun's folder and nowhere else; REST and SDK routes call the same ones.
//!
//! Nothing here may acknowledge what is not durable, tell what is not committed, or let one account or
//! chat service see another. Read next: ARCHITECTURE.md, then [`conversations`].

pub mod accounts;
pub mod imports;
pub mod keys;
pub mod services;
pub mod roles;
pub mod users;
pub mod presence;
pub mod conversations;
pub mod participants;
pub mod messages;
pub mod tokens;
pub mod api_tokens;
pub mod revocations;
pub mod audit;
pub mod jobs;
pub mod workflows;

pub mod login;
pub mod realtime;
pub mod router;
pub mod http;
pub mod platform;
pub mod migrations;
pub mod sealing;
pub mod dev;
pub mod pages;

mod app;
mod serve;

pub use app::{App, OpenError, Options};
pub use serve::{Server, StartError};

/// The engines, for whoever opens a service.
pub use tertulia_store as store;
/// Sealing of secret columns, for whoever opens a service.
pub use tertulia_store::seal;
