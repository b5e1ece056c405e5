//! The store, with what every change and every question needs beside it.

use std::sync::Arc;

use tertulia_store::Store;

use super::change::{Asked, Frame, Performed};
use super::{Caller, Change, Clock, Limits, Outcome, Question};

/// Where changes and questions go. Cloning gives another handle on the same store.
#[derive(Clone)]
pub struct Db {
    /// The store.
    pub store: Store,
    /// The clock.
    pub clock: Clock,
    /// What is allowed at most.
    pub limits: Arc<Limits>,
}

impl Db {
    /// The one door for changes: returns once the change is durable.
    pub async fn perform<C: Change>(&self, caller: &Caller, change: C) -> Outcome<C::Out> {
        self.store.write(Performed { change, frame: self.frame(caller) }).await
    }

    /// The one door for questions.
    pub async fn ask<Q: Question>(&self, caller: &Caller, question: Q) -> Outcome<Q::Out> {
        self.store.read(Asked { question, frame: self.frame(caller) }).await
    }

    fn frame(&self, caller: &Caller) -> Frame {
        Frame {
            caller: caller.clone(),
            limits: Arc::clone(&self.limits),
            now: self.clock.now(caller.account),
            seed: super::ids::fresh_seed(),
        }
    }
}
