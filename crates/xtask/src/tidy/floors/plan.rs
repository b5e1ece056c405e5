//! What `tidy.json` says of a crate's floors, bottom first, and of the modules that are one room together.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::tidy::config::{Config, field, strings};

/// The floors of one crate. The root (`lib.rs`, `main.rs`) stands above all of them.
pub(crate) struct Plan<'c> {
    /// The folder below `crates/`.
    pub krate: &'c str,
    pub floors: Vec<Floor<'c>>,
    /// Modules that are declared as one room, by the room's name, and why.
    pub one: BTreeMap<&'c str, (Vec<&'c str>, &'c str)>,
    /// Arrows that may stay for now: a file, and the rooms that it may use against the order.
    pub exceptions: BTreeMap<&'c str, Vec<&'c str>>,
}

pub(crate) struct Floor<'c> {
    pub name: &'c str,
    pub rooms: Vec<&'c str>,
}

/// The room of a crate's root.
pub(crate) const ROOT: &str = "the root";

impl<'c> Plan<'c> {
    pub(crate) fn all(config: &'c Config) -> Vec<Plan<'c>> {
        config.entries("/floors").into_iter().map(|(krate, value)| Plan::of(krate, value)).collect()
    }

    fn of(krate: &'c str, value: &'c Value) -> Plan<'c> {
        let floors = value["order"].as_array().into_iter().flatten();
        let floors = floors.map(|floor| Floor { name: field(floor, "floor"), rooms: strings(&floor["rooms"]) });
        let one = value["one_room"].as_object().into_iter().flatten();
        let one = one.map(|(name, room)| (name.as_str(), (strings(&room["is"]), field(room, "reason"))));
        let exceptions = value["exceptions"].as_object().into_iter().flatten();
        let exceptions = exceptions.map(|(file, rooms)| (file.as_str(), strings(rooms)));
        Plan { krate, floors: floors.collect(), one: one.collect(), exceptions: exceptions.collect() }
    }

    /// The room of a module: the nearest one above it that is named, or the module below the root.
    pub(crate) fn room<'m>(&self, module: &'m str) -> &'m str
    where
        'c: 'm,
    {
        if module.is_empty() {
            return ROOT;
        }
        let mut part = module;
        loop {
            if let Some((room, _)) = self.one.iter().find(|(_, (is, _))| is.contains(&part)) {
                return room;
            }
            if self.floor(part).is_some() {
                return part;
            }
            match part.rsplit_once("::") {
                Some((above, _)) => part = above,
                None => return part,
            }
        }
    }

    /// How high a room stands; the lowest floor is 0.
    pub(crate) fn floor(&self, room: &str) -> Option<usize> {
        if room == ROOT {
            return Some(self.floors.len());
        }
        self.floors.iter().position(|floor| floor.rooms.contains(&room))
    }

    pub(crate) fn floor_name(&self, room: &str) -> &'c str {
        self.floor(room).and_then(|at| self.floors.get(at)).map_or("the top", |floor| floor.name)
    }

    pub(crate) fn source(&self) -> String {
        format!("crates/{}/src/", self.krate)
    }

    pub(crate) fn excepts(&self, file: &str, room: &str) -> bool {
        self.exceptions.get(file).is_some_and(|rooms| rooms.contains(&room))
    }
}
