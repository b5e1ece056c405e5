//! What a user may do: every permission and every operation, over real sockets, held against a table that
//! knows nothing of the code.

mod docs;
mod stage;
mod table;

use std::collections::BTreeSet;

use futures_util::StreamExt;
use futures_util::stream;
use serde_json::Value;
use tertulia_server::messages::commands::ListMessages;
use tertulia_server::participants::commands::{GetParticipant, ListParticipants};
use tertulia_server::participants::queries::Direction;
use tertulia_server::platform::{Caller, Form, Method, Outcome, PageRequest, Question, Surface};
use tertulia_server::router::{Found, all, find_sdk};

use crate::support::{World, on_sqlite, sid};
use stage::{By, House, Stage};
use table::{Case, Held, Rule, TABLE, deciding};

on_sqlite! {
    every_case_is_decided_by_the_permissions_that_the_table_names,
    the_default_roles_hold_what_the_table_says_and_allow_no_more,
    roles_hold_the_permissions_that_fit_their_scope,
    every_route_has_a_case_and_every_permission_decides_one,
    what_no_route_of_the_sdk_asks_yet_is_told_to_participants_only,
}

/// Cases that are played at a time; each has a connection of its own.
const AT_A_TIME: usize = 8;

/// Plays every case, each with what `tried` says, and shows all that went wrong.
fn play(world: &World, tried: impl Fn(&Case) -> Vec<(Held, By)>) {
    let house = House::new(world);
    let mut wrong = Vec::new();
    world.play(async {
        let played = stream::iter(TABLE.cases.iter().enumerate()).map(|(number, case)| {
            let (house, tried) = (&house, tried(case));
            async move {
                let mut wrong = Vec::new();
                let mut stage = Stage::new(house, case, number).await;
                for (held, by) in tried {
                    wrong.extend(stage.play(&held, by).await.err());
                }
                stage.end().await;
                wrong
            }
        });
        let mut played = played.buffer_unordered(AT_A_TIME);
        while let Some(some) = played.next().await {
            wrong.extend(some);
        }
    });
    assert!(wrong.is_empty(), "{} of the table's answers are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

fn every_case_is_decided_by_the_permissions_that_the_table_names(world: &World) {
    play(world, |case| {
        let tried = case.tried(&TABLE);
        let by_user = tried.iter().map(|held| (held.clone(), By::User));
        // The token's role takes the place of the user's; what it then allows is the same.
        let named = case.groups().iter().flat_map(|group| &group.service).cloned().collect::<BTreeSet<_>>();
        let counts = |held: &&Held| held.service.len() > 1 || !held.service.is_disjoint(&named);
        let by_token = tried.iter().filter(counts).map(|held| (held.clone(), By::Token));
        // And back: without a role in the token the user's own counts again.
        by_user.chain(by_token).chain(tried.first().map(|held| (held.clone(), By::User))).collect()
    });
}

fn the_default_roles_hold_what_the_table_says_and_allow_no_more(world: &World) {
    let list = world.owner.get("/v1/Roles").is(200);
    let rows = list["roles"].as_array().expect("a list");
    let words = |row: &Value| {
        let words = row["permissions"].as_array().expect("a list").iter();
        words.map(|word| word.as_str().expect("a word").to_owned()).collect::<BTreeSet<_>>()
    };
    let born: Vec<_> = rows.iter().map(|row| (row["friendly_name"].clone(), row["type"].clone(), words(row))).collect();
    let wanted: Vec<_> = TABLE
        .roles
        .iter()
        .map(|(name, kind, held)| (Value::from(&**name), Value::from(&**kind), held.clone()))
        .collect();
    assert_eq!(born, wanted);
    let held = |name: &str| TABLE.roles.iter().find(|role| role.0 == name).expect("a role").2.clone();
    let pair = |service: &str, conversation: &str| Held { service: held(service), conversation: held(conversation) };
    play(world, |_| {
        let pairs =
            [("service user", "channel user"), ("service user", "channel admin"), ("service admin", "channel user")];
        pairs.map(|(service, conversation)| (pair(service, conversation), By::User)).to_vec()
    });
}

/// REST alone asks these questions today. A route of the SDK that asks one will find them guarded.
fn what_no_route_of_the_sdk_asks_yet_is_told_to_participants_only(world: &World) {
    let conversation = sid(&world.conversation(&[]));
    world.owner.post(&format!("/v1/Conversations/{conversation}/Participants"), &[("Identity", "ana")]).is(201);
    let page = PageRequest::read(&Form::default(), 50).expect("a page");
    let told = |caller: &Caller| {
        fn is_told<Q: Question>(world: &World, caller: &Caller, question: Q) -> bool {
            let outcome: Outcome<Q::Out> = world.play(world.app().db.ask(caller, question));
            outcome.is_ok()
        }
        let (key, page) = (conversation.clone(), page.clone());
        let one = GetParticipant { service: None, conversation: key.clone(), key: "ana".to_owned() };
        let all = ListParticipants { service: None, conversation: key.clone(), page: page.clone() };
        let messages = ListMessages { service: None, conversation: key, direction: Direction::Up, page };
        [is_told(world, caller, one), is_told(world, caller, all), is_told(world, caller, messages)]
    };
    assert_eq!(told(world.user("ana").caller()), [true; 3]);
    world.user("bob");
    world.give_role("bob", 0);
    assert_eq!(told(world.user("bob").caller()), [false; 3]);
}

fn roles_hold_the_permissions_that_fit_their_scope(world: &World) {
    for (name, scopes) in &TABLE.permissions {
        for scope in ["service", "conversation"] {
            let form = [("FriendlyName", "x"), ("Type", scope), ("Permission", name)];
            let answer = world.owner.post("/v1/Roles", &form);
            if scopes.contains(scope) {
                assert_eq!(answer.is(201)["permissions"], serde_json::json!([name]));
            } else {
                answer.refuses(400, 50104);
            }
        }
    }
}

fn every_route_has_a_case_and_every_permission_decides_one(world: &World) {
    let routes: BTreeSet<_> =
        all().filter(|route| route.surface == Surface::Sdk).map(|route| route.operation.to_owned()).collect();
    let mut cases: BTreeSet<_> = TABLE.cases.iter().map(|case| case.operation.clone()).collect();
    assert!(cases.remove("Subscriptions"), "subscribing is no route of the table, and has cases all the same");
    assert_eq!(cases, routes, "say in permissions.json who may do what is new");
    for (scope, deciding) in deciding(&TABLE) {
        assert_eq!(deciding, TABLE.of_scope(scope), "what a {scope} role may hold decides something");
    }
    let base = format!("/Client/v2/Services/{}", world.service);
    for case in TABLE.cases.iter().filter(|case| case.method != "SUBSCRIBE") {
        let path = case.path.split('?').next().unwrap_or_default().replace("{base}", &base);
        let found = find_sdk(Method::parse(&case.method).expect("a method"), &path);
        let Found::Route(mounted, _) = found else { panic!("{path}: no route") };
        assert_eq!(mounted.operation(), case.operation, "{path}");
        let says_when = !matches!(case.rule, Rule::Never) || case.refused.0 >= 400;
        assert!(says_when, "{} as {}: say when it is refused", case.text, case.standing);
    }
}
