//! The client against a real server in the same process: stories of a few people, over real sockets.
#![expect(clippy::disallowed_methods, reason = "tests wait for what happens on real sockets")]

#[path = "all/house.rs"]
mod house;
#[path = "all/gate.rs"]
mod gate;
#[path = "all/connecting.rs"]
mod connecting;
#[path = "all/tls.rs"]
mod tls;
#[path = "all/talking.rs"]
mod talking;
#[path = "all/history.rs"]
mod history;
#[path = "all/nouns.rs"]
mod nouns;
#[path = "all/cuts.rs"]
mod cuts;
#[path = "all/chaos.rs"]
mod chaos;
#[path = "all/faults.rs"]
mod faults;
