//! What every noun stands on: who calls, what may fail, the one door for changes, the table of routes.
//!
//! The platform knows no noun. It must never name a table, and nothing in it may read the clock or
//! draw a random number but [`clock`] and [`ids`], which are passed in.

pub mod caller;
pub mod change;
pub mod clock;
pub mod config;
pub mod db;
pub mod error;
pub mod form;
pub mod ids;
pub mod origin;
pub mod page;
pub mod places;
pub mod rate;
pub mod route;
pub mod rows;
pub mod sealed;
pub mod text;

pub use caller::{AccountNumber, Caller, Power, Source, UserRef, Who};
pub use change::{Change, Cx, DomainEvent, Question};
pub use clock::{Clock, ClockState, Move};
pub use config::{Config, Limits};
pub use db::Db;
pub use error::{Error, Outcome, Refusal};
pub use form::Form;
pub use ids::Ids;
pub use page::{Page, PageRequest};
pub use route::{Call, Method, Reply, Route, Surface};
pub use rows::Columns;
