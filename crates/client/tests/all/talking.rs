//! Two people and a conversation.

use futures_util::StreamExt;
use serde_json::json;
use tertulia_client::{ChangeKind, Error, Event, ItemKey, NewConversation};

use crate::house::{House, soon};

#[tokio::test]
async fn messages_arrive_at_everybody_once_and_in_order() {
    let house = House::open().await;
    let (_ana, [mut ana, mut ben]) = house.talk(["ana", "ben"]).await;
    for index in 0..20 {
        let from = if index % 3 == 0 { &ben } else { &ana };
        assert_eq!(from.send(&format!("¡{index}!")).await.unwrap(), index);
    }
    for expected in 0..20 {
        let author = if expected % 3 == 0 { "ben" } else { "ana" };
        for reader in [&mut ana, &mut ben] {
            let message = soon(reader.next_message()).await.unwrap();
            assert_eq!((message.index, &*message.author), (expected, author));
            assert_eq!(message.body, Some(format!("¡{expected}!")));
        }
    }
    assert_eq!(ben.facts().friendly_name.as_deref(), Some("Friday"));
    house.close().await;
}

#[tokio::test]
async fn they_are_a_stream_too() {
    let house = House::open().await;
    let (_ana, [ana, mut ben]) = house.talk(["ana", "ben"]).await;
    for body in ["one", "two", "three"] {
        ana.send(body).await.unwrap();
    }
    let bodies: Vec<_> = soon(ben.messages().take(3).map(|message| message.unwrap().body.unwrap()).collect()).await;
    assert_eq!(bodies, ["one", "two", "three"]);
    house.close().await;
}

#[tokio::test]
async fn changes_and_removals_are_told() {
    let house = House::open().await;
    let (client, [ana, mut ben]) = house.talk(["ana", "ben"]).await;
    ana.send("first").await.unwrap();
    let Event::Added(first) = soon(ben.next_event()).await.unwrap() else { panic!() };
    let path = house.path_of(ana.sid());
    let message = format!("{path}/Messages/{}", first.sid);
    let (status, _) = client.request("POST", &message, Some(&json!({"body": "changed"}))).await.unwrap();
    assert_eq!(status, 200);
    let Event::Updated(changed) = soon(ben.next_event()).await.unwrap() else { panic!() };
    assert_eq!((changed.index, changed.body.as_deref()), (0, Some("changed")));
    client.request("DELETE", &message, None).await.unwrap();
    assert_eq!(soon(ben.next_event()).await.unwrap(), Event::Removed(0));
    client.request("POST", &path, Some(&json!({"friendly_name": "Saturday"}))).await.unwrap();
    assert_eq!(soon(ben.next_event()).await.unwrap(), Event::Changed);
    assert_eq!(ben.facts().friendly_name.as_deref(), Some("Saturday"));
    house.close().await;
}

#[tokio::test]
async fn the_own_list_tells_who_is_added_and_what_is_deleted() {
    let house = House::open().await;
    let (ana, ben) = (house.enter("ana").await, house.enter("ben").await);
    let mut own = ben.subscribe_own().await.unwrap();
    let sid = ana.create_conversation(&NewConversation::named("Friday")).await.unwrap();
    ana.join(sid).await.unwrap();
    ana.add(sid, "ben").await.unwrap();
    let change = soon(own.next()).await.unwrap();
    assert_eq!((change.place, change.kind), (0, ChangeKind::Added));
    assert_eq!(change.key, ItemKey::Key(sid.as_str().into()));
    let conversations = ben.conversations().await.unwrap();
    assert_eq!((conversations[0].sid, conversations[0].friendly_name.as_deref()), (sid, Some("Friday")));
    let (status, _) = ana.request("DELETE", &house.path_of(sid), None).await.unwrap();
    assert_eq!(status, 204);
    assert_eq!(soon(own.next()).await.unwrap().kind, ChangeKind::Removed);
    house.close().await;
}

#[tokio::test]
async fn refusals_bring_their_code() {
    let house = House::open().await;
    let (ana, stranger) = (house.enter("ana").await, house.enter("stranger").await);
    let named = NewConversation { unique_name: Some("only-one".to_owned()), ..NewConversation::default() };
    let sid = ana.create_conversation(&named).await.unwrap();
    let taken = ana.create_conversation(&named).await.unwrap_err();
    assert_eq!(taken.code(), Some(50353), "{taken}");
    ana.join(sid).await.unwrap();
    let twice = ana.join(sid).await.unwrap_err();
    assert_eq!(twice.code(), Some(50433), "{twice}");
    let unseen = stranger.conversation(sid).await.unwrap_err();
    assert!(matches!(&unseen, Error::Refused(refusal) if [403, 404].contains(&refusal.status)), "{unseen}");
    house.close().await;
}

#[tokio::test]
async fn one_subscription_an_object_until_it_is_dropped() {
    let house = House::open().await;
    let (client, [ana]) = house.talk(["ana"]).await;
    let sid = ana.sid();
    assert!(matches!(client.conversation(sid).await, Err(Error::AlreadySubscribed(_))));
    drop(ana);
    let mut again = client.conversation(sid).await.unwrap();
    again.send("still here").await.unwrap();
    assert_eq!(soon(again.next_message()).await.unwrap().body.as_deref(), Some("still here"));
    house.close().await;
}
