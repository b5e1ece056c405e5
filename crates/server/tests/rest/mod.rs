//! The REST API, as its helper libraries see it.

mod conversations;
mod messages;
mod participants;
mod users;
mod roles;
mod services;
mod accounts;
mod keys;
mod pages;
mod errors;
mod routes;
mod foreign;
mod sdk;
mod races;
mod together;
mod dev;
mod audit;
