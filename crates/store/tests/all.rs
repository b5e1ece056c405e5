//! All tests of the store, in one binary: it is linked once.
//!
//! `contract` holds for both engines; the other modules hold for one of them, or for its files.

mod contract;
mod crash;
mod disk;
mod durability;
mod group;
mod opening;
mod postgres;
mod proxy;
mod support;
