//! Every documented parameter of every operation that is served is read, or listed as one that is not read yet.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;
use tertulia_server::platform::{Call, Caller, Form, Method, Surface};
use tertulia_server::router::{Mounted, mounted};

use crate::support::{World, on_sqlite};

on_sqlite!(every_documented_parameter_is_read);

/// What an operation cannot do without: others are not read before these are there.
const REQUIRED: [(&str, &str); 7] = [
    ("FriendlyName", "x"),
    ("Identity", "x"),
    ("Type", "service"),
    ("Permission", "editOwnUserInfo"),
    ("AccountSid", "AC00000000000000000000000000000de0"),
    ("KeyType", "restricted"),
    ("Policy", r#"{"allow":["/twilio/conversations/messages/list"]}"#),
];

/// The kind of SID that a path parameter holds, by the word before it.
fn dummy(word: &str) -> String {
    let kind = match word {
        "Conversations" => "CH",
        "Participants" => "MB",
        "Messages" => "IM",
        "Users" => "US",
        "Services" => "IS",
        "Roles" => "RL",
        "Accounts" => "AC",
        _ => "SK",
    };
    format!("{kind}{}", "1".repeat(32))
}

fn params(mounted: &Mounted) -> Vec<(&'static str, String)> {
    let words: Vec<&'static str> = mounted.route.path.split('/').collect();
    let name = |part: &'static str| Some(part.strip_prefix('{')?.split('}').next().unwrap_or_default());
    let pairs = words.windows(2).filter_map(|pair| Some((name(pair[1])?, dummy(pair[0]))));
    pairs.collect()
}

/// The names that an operation asks for when it is given these parameters.
async fn asked(world: &World, caller: &Caller, mounted: &Mounted, given: &[(&str, &str)]) -> BTreeSet<String> {
    let pairs = || given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let (query, in_query) = Form::watched(pairs()).expect("parameters");
    let (form, in_form) = Form::watched(pairs()).expect("parameters");
    let call = Call {
        app: Arc::clone(world.app()),
        db: world.app().db.clone(),
        caller: caller.clone(),
        origin: "http://here".to_owned(),
        path: mounted.route.path.to_owned(),
        params: params(mounted),
        query,
        form,
        body: Vec::new(),
        service: None,
    };
    // Nothing is there; what counts is what is asked for on the way to that.
    let _ = (mounted.route.handler)(call).await;
    let asked = if mounted.route.method == Method::Post { in_form } else { in_query };
    let asked = asked.lock().expect("nobody panicked").clone();
    asked
}

fn every_documented_parameter_is_read(world: &World) {
    let file: Value = serde_json::from_str(include_str!("../data/parameters.json")).expect("the file is JSON");
    let documented = file["operations"].as_object().expect("an object");
    let mut unread: BTreeMap<(String, String), &Value> = BTreeMap::new();
    for entry in file["unread"].as_array().expect("an array") {
        let text = |name: &str| entry[name].as_str().unwrap_or_else(|| panic!("{entry} has no {name}")).to_owned();
        assert!(!text("reason").is_empty() && text("since").len() == 10, "{entry}");
        unread.insert((text("operation"), text("parameter")), entry);
    }
    let caller = world.system();
    let mut wrong = Vec::new();
    for mounted in mounted().filter(|mounted| !matches!(mounted.route.surface, Surface::Sdk | Surface::Operator)) {
        let operation = mounted.operation();
        let is_2010 = mounted.route.surface == Surface::V2010;
        let of_2010 = documented.get(&format!("2010:{operation}")).filter(|_| is_2010);
        let Some(parameters) = of_2010.or_else(|| documented.get(&operation)) else { continue };
        let read = world.play(async {
            let mut read = asked(world, &caller, &mounted, &[]).await;
            read.extend(asked(world, &caller, &mounted, &REQUIRED).await);
            read
        });
        for parameter in parameters.as_array().expect("names") {
            let name = parameter.as_str().expect("a name").to_owned();
            let is_listed = unread.remove(&(operation.clone(), name.clone())).is_some();
            match (read.contains(&name), is_listed) {
                (false, false) => wrong.push(format!("{operation} does not read {name}")),
                (true, true) => wrong.push(format!("{operation} reads {name} by now: take it off the list")),
                _ => {}
            }
        }
    }
    wrong.extend(unread.into_values().map(|entry| format!("no operation that is served has this: {entry}")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
