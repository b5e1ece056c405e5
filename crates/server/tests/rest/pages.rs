//! Lists and pages, the same for every list.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Actor, World, on_both_engines, on_sqlite, path_of, sid};

on_both_engines! {
    pages_are_whole_while_rows_are_inserted,
    messages_are_paged_in_both_orders,
    every_list_leads_back_as_it_led_on,
}
on_sqlite! {
    meta_has_seven_fields,
    a_page_size_is_clamped_to_the_lists_maximum,
    a_page_size_that_is_no_number_is_refused,
    a_page_token_that_is_nonsense_is_refused,
    numbers_at_the_edge_do_no_harm,
    a_page_number_without_a_token_is_refused,
    start_and_end_say_which_rows_a_page_has,
    urls_begin_with_the_host_that_was_asked,
    forwarded_headers_change_nothing,
    a_page_that_is_just_full_is_the_last,
}

/// Follows `next_page_url` to the end, as the helper libraries do; `between` runs after each page.
fn follow(actor: &Actor, path: &str, mut between: impl FnMut()) -> Vec<Value> {
    let (mut rows, mut next) = (Vec::new(), Some(path.to_owned()));
    while let Some(path) = next {
        let page = actor.get(&path).is(200);
        let key = page["meta"]["key"].as_str().unwrap();
        rows.extend(page[key].as_array().unwrap().iter().cloned());
        next = page["meta"]["next_page_url"].as_str().map(|url| path_of(url).to_owned());
        between();
    }
    rows
}

fn pages_are_whole_while_rows_are_inserted(world: &World) {
    let first: Vec<_> = (0..7).map(|_| sid(&world.conversation(&[]))).collect();
    let mut inserted = 0;
    let rows = follow(&world.owner, "/v1/Conversations?PageSize=2", || {
        if inserted < 3 {
            // Both within the moment of the others and after it.
            world.conversation(&[]);
            world.pass(1);
            world.conversation(&[]);
            inserted += 1;
        }
    });
    let seen: Vec<_> = rows.iter().map(sid).collect();
    let distinct: BTreeSet<_> = seen.iter().collect();
    assert_eq!(distinct.len(), seen.len(), "no row comes twice");
    assert!(first.iter().all(|sid| distinct.contains(sid)), "no row that was there is missing");
}

fn messages_are_paged_in_both_orders(world: &World) {
    let list = format!("/v1/Conversations/{}/Messages", sid(&world.conversation(&[])));
    let sent: Vec<_> = (0..5).map(|_| sid(&world.owner.post(&list, &[("Body", "x")]).is(201))).collect();
    world.owner.delete(&format!("{list}/{}", sent[2])).is(204);
    let indexes = |query: &str| -> Vec<i64> {
        follow(&world.owner, &format!("{list}?{query}"), || ())
            .iter()
            .map(|row| row["index"].as_i64().unwrap())
            .collect()
    };
    assert_eq!(indexes("PageSize=1"), [0, 1, 3, 4]);
    assert_eq!(indexes("PageSize=3"), [0, 1, 3, 4]);
    assert_eq!(indexes("Order=desc&PageSize=1"), [4, 3, 1, 0]);
    assert_eq!(indexes("Order=desc&PageSize=2"), [4, 3, 1, 0]);
    let page = world.owner.get(&format!("{list}?PageSize=2&Order=desc")).is(200);
    let next = page["meta"]["next_page_url"].as_str().unwrap();
    assert!(next.contains("/Messages?Order=desc&PageSize=2&Page=1&PageToken=PT"), "{next}");
}

fn every_list_leads_back_as_it_led_on(world: &World) {
    let room = format!("/v1/Conversations/{}", sid(&world.conversation(&[])));
    for number in 0..5 {
        // Some within one moment, some not.
        world.pass(number % 2);
        let identity = format!("user {number}");
        world.owner.post("/v1/Services", &[("FriendlyName", "x")]).is(201);
        world.owner.post(&format!("{room}/Messages"), &[("Body", "x")]).is(201);
        world.owner.post(&format!("{room}/Participants"), &[("Identity", &identity)]).is(201);
        let other = format!("/v1/Conversations/{}/Participants", sid(&world.conversation(&[])));
        world.owner.post(&other, &[("Identity", "ana")]).is(201);
        let binding = [("MessagingBinding.Address", "+1"), ("MessagingBinding.ProxyAddress", &*format!("+2{number}"))];
        world.owner.post(&other, &binding).is(201);
        world.owner.post(&format!("/2010-04-01/Accounts/{}/Keys.json", world.account), &[]).is(201);
    }
    for path in [
        "/v1/Services?".to_owned(),
        "/v1/Conversations?".to_owned(),
        "/v1/Conversations?StartDate=2020-01-01&".to_owned(),
        format!("{room}/Messages?"),
        format!("{room}/Messages?Order=desc&"),
        format!("{room}/Participants?"),
        "/v1/Users?".to_owned(),
        "/v1/Users/ana/Conversations?".to_owned(),
        "/v1/ParticipantConversations?Identity=ana&".to_owned(),
        "/v1/ParticipantConversations?Address=%2B1&".to_owned(),
        "/v1/Roles?".to_owned(),
        format!("/2010-04-01/Accounts/{}/Keys.json?", world.account),
    ] {
        leads_back(&world.owner, &format!("{path}PageSize=2"));
    }
}

/// Follows a list to its end and back to its beginning: the pages are the same.
fn leads_back(actor: &Actor, path: &str) {
    let page = |path: &str| {
        let body = actor.get(path).is(200);
        let key = body["meta"]["key"].as_str().unwrap_or("keys").to_owned();
        let link =
            |v1: &str, v2010: &str| body["meta"][v1].as_str().map(path_of).or(body[v2010].as_str()).map(str::to_owned);
        (body[&key].clone(), link("next_page_url", "next_page_uri"), link("previous_page_url", "previous_page_uri"))
    };
    let (mut there, mut back) = (Vec::new(), Vec::new());
    let (mut next, mut last) = (Some(path.to_owned()), String::new());
    while let Some(path) = next {
        let (rows, following, previous) = page(&path);
        assert_eq!(previous.is_none(), there.is_empty(), "{path}: only the first page has none before it");
        there.push(rows);
        (next, last) = (following, path);
    }
    let mut previous = Some(last);
    while let Some(path) = previous {
        let (rows, _, before) = page(&path);
        back.push(rows);
        previous = before;
    }
    back.reverse();
    assert!(there.len() >= 2, "{path}: {there:?}");
    assert_eq!(back, there, "{path}");
}

fn meta_has_seven_fields(world: &World) {
    let page = world.owner.get("/v1/Users").is(200);
    let url = format!("{}/v1/Users?PageSize=50&Page=0", world.origin);
    let meta = json!({
        "page": 0, "page_size": 50, "key": "users", "first_page_url": url, "previous_page_url": null, "url": url,
        "next_page_url": null,
    });
    assert_eq!(page, json!({"users": [], "meta": meta}));
}

fn a_page_size_is_clamped_to_the_lists_maximum(world: &World) {
    let conversation = sid(&world.conversation(&[]));
    let room = format!("/v1/Conversations/{conversation}");
    world.owner.post("/v1/Users", &[("Identity", "ana")]).is(201);
    for (path, most) in [
        ("/v1/Services".to_owned(), 100),
        ("/v1/Conversations".to_owned(), 100),
        (format!("{room}/Messages"), 100),
        (format!("{room}/Participants"), 100),
        ("/v1/Users".to_owned(), 50),
        ("/v1/Users/ana/Conversations".to_owned(), 50),
        ("/v1/ParticipantConversations?Identity=ana".to_owned(), 50),
        ("/v1/Roles".to_owned(), 50),
    ] {
        let separator = if path.contains('?') { '&' } else { '?' };
        let page = world.owner.get(&format!("{path}{separator}PageSize=500")).is(200);
        assert_eq!(page["meta"]["page_size"], most, "{path}");
        assert!(page["meta"]["url"].as_str().unwrap().contains(&format!("PageSize={most}")), "{path}");
    }
}

fn a_page_size_that_is_no_number_is_refused(world: &World) {
    for size in ["0", "-1", "x", "", "1.5"] {
        let message = world.owner.get(&format!("/v1/Conversations?PageSize={size}")).refuses(400, 20001);
        assert_eq!(message, "Invalid PageSize.");
    }
}

fn a_page_token_that_is_nonsense_is_refused(world: &World) {
    world.conversation(&[]);
    for token in ["x", "PT0", "PTzz", "PT31", "PB31"] {
        world.owner.get(&format!("/v1/Conversations?PageToken={token}")).refuses(400, 20001);
    }
}

fn numbers_at_the_edge_do_no_harm(world: &World) {
    let list = format!("/v1/Conversations/{}/Messages", sid(&world.conversation(&[])));
    for number in [i64::MAX, i64::MIN] {
        let written = format!("{number}\u{1f}0");
        let token: String = written.bytes().map(|byte| format!("{byte:02x}")).collect();
        for order in ["asc", "desc"] {
            for prefix in ["PT", "PB"] {
                let path = format!("{list}?Order={order}&Page={number}&PageToken={prefix}{token}");
                assert_eq!(world.owner.get(&path).is(200)["messages"], json!([]), "{path}");
            }
        }
        let keys = format!("/2010-04-01/Accounts/{}/Keys.json?Page={number}&PageSize=1", world.account);
        world.owner.get(&keys).refuses(400, 70002);
    }
    // An offset that no page of ours gave.
    for foreign in ["1", "0\u{1f}-1", "0\u{1f}x"] {
        let token: String = foreign.bytes().map(|byte| format!("{byte:02x}")).collect();
        world.owner.get(&format!("{list}?PageToken=PT{token}")).refuses(400, 20001);
    }
}

fn a_page_number_without_a_token_is_refused(world: &World) {
    for _ in 0..3 {
        world.conversation(&[]);
    }
    for list in ["/v1/Conversations", "/v1/Users", "/v1/Roles", "/v1/Services", "/tertulia/v1/Audit"] {
        world.owner.get(&format!("{list}?Page=0&PageSize=1")).is(200);
        world.owner.get(&format!("{list}?Page=1&PageSize=1")).refuses(400, 20001);
        world.owner.get(&format!("{list}?Page=x")).refuses(400, 20001);
    }
    world.owner.get("/2010-04-01/Accounts.json?Page=2").refuses(400, 70002);
    world.owner.get("/2010-04-01/Accounts.json?Page=0").is(200);
}

fn start_and_end_say_which_rows_a_page_has(world: &World) {
    let keys = format!("/2010-04-01/Accounts/{}/Keys.json", world.account);
    for number in 0..4 {
        world.owner.post(&keys, &[("FriendlyName", &format!("key {number}"))]).is(201);
    }
    let at = |page: &Value| ["page", "start", "end"].map(|name| page[name].as_i64().expect("a number"));
    let first = world.owner.get(&format!("{keys}?PageSize=2")).is(200);
    let second = world.owner.get(first["next_page_uri"].as_str().unwrap()).is(200);
    let third = world.owner.get(second["next_page_uri"].as_str().unwrap()).is(200);
    assert_eq!([at(&first), at(&second), at(&third)], [[0, 0, 1], [1, 2, 3], [2, 4, 4]]);
    let back = world.owner.get(third["previous_page_uri"].as_str().unwrap()).is(200);
    assert_eq!(at(&back), [1, 2, 3]);
    // Whatever number comes with a token, the token decides.
    let lied = second["uri"].as_str().unwrap().replace("Page=1", "Page=7");
    assert_eq!(at(&world.owner.get(&lied).is(200)), [1, 2, 3]);
}

fn urls_begin_with_the_host_that_was_asked(world: &World) {
    let created = world.owner.with("Host", "chat.example:8443").post("/v1/Conversations", &[]).is(201);
    assert_eq!(created["url"], format!("http://chat.example:8443/v1/Conversations/{}", sid(&created)));
    world.conversation(&[]);
    let page = world.owner.with("Host", "chat.example:8443").get("/v1/Conversations?PageSize=1").is(200);
    assert!(page["meta"]["next_page_url"].as_str().unwrap().starts_with("http://chat.example:8443/v1/"));
}

fn forwarded_headers_change_nothing(world: &World) {
    let headers = [
        ("X-Forwarded-Host", "evil.example"),
        ("X-Forwarded-Proto", "https"),
        ("Forwarded", "host=evil.example;proto=https"),
        ("X-Original-URL", "/v1/Users"),
    ];
    let actor = headers.iter().fold(world.owner.clone(), |actor, (name, value)| actor.with(name, value));
    let created = actor.post("/v1/Conversations", &[]).is(201);
    assert_eq!(created["url"], format!("{}/v1/Conversations/{}", world.origin, sid(&created)));
}

fn a_page_that_is_just_full_is_the_last(world: &World) {
    for _ in 0..2 {
        world.conversation(&[]);
    }
    let page = world.owner.get("/v1/Conversations?PageSize=2").is(200);
    assert_eq!(page["meta"]["next_page_url"], json!(null));
    assert_eq!(page["conversations"].as_array().unwrap().len(), 2);
}
