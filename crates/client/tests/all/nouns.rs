//! Everything that a client can do, once.

use tertulia_client::{
    ConversationChange, Event, MyEvent, NewConversation, NewMessage, Order, RosterEvent, UserChange,
};

use crate::house::{House, soon};

#[tokio::test]
async fn messages_have_attributes_and_are_edited_and_removed() {
    let house = House::open().await;
    let (client, [ana, mut ben]) = house.talk(["ana", "ben"]).await;
    let sid = ana.sid();
    let new = NewMessage { body: "first".to_owned(), attributes: Some("{\"n\":1}".to_owned()) };
    assert_eq!(ana.send(new).await.unwrap(), 0);
    let first = soon(ben.next_message()).await.unwrap();
    assert_eq!((first.author.as_str(), first.attributes.as_str()), ("ana", "{\"n\":1}"));
    client.edit_message(sid, first.sid, "changed").await.unwrap();
    let Event::Updated(changed) = soon(ben.next_event()).await.unwrap() else { panic!() };
    assert_eq!((changed.body.as_deref(), changed.attributes.as_str()), (Some("changed"), "{\"n\":1}"));
    client.set_message_attributes(sid, first.sid, "{}").await.unwrap();
    let Event::Updated(changed) = soon(ben.next_event()).await.unwrap() else { panic!() };
    assert_eq!((changed.body.as_deref(), changed.attributes.as_str()), (Some("changed"), "{}"));
    assert_eq!(client.page(sid, None, Order::Ascending).await.unwrap().messages, [changed]);
    client.remove_message(sid, first.sid).await.unwrap();
    assert_eq!(soon(ben.next_event()).await.unwrap(), Event::Removed(0));
    assert_eq!(ana.page(None, Order::Ascending).await.unwrap().messages, []);
    house.close().await;
}

#[tokio::test]
async fn a_conversation_is_found_changed_left_and_deleted() {
    let house = House::open().await;
    let ana = house.enter("ana").await;
    let missing = ana.find_conversation("nothing").await.unwrap_err();
    assert!(missing.is_not_found(), "{missing}");
    let new = NewConversation { unique_name: Some("the one".to_owned()), ..NewConversation::named("One") };
    let sid = ana.create_conversation(&new).await.unwrap();
    let found = ana.find_conversation("the one").await.unwrap();
    assert_eq!((found.sid, found.is_joined, found.friendly_name.as_deref()), (sid, false, Some("One")));
    ana.join(sid).await.unwrap();
    assert!(ana.find_conversation(sid.as_str()).await.unwrap().is_joined);
    let mut open = ana.conversation(sid).await.unwrap();
    let change = ConversationChange {
        friendly_name: Some("Two".to_owned()),
        unique_name: Some("the other".to_owned()),
        attributes: Some("{\"a\":1}".to_owned()),
    };
    ana.update_conversation(sid, &change).await.unwrap();
    assert_eq!(soon(open.next_event()).await.unwrap(), Event::Changed);
    let facts = open.facts();
    assert_eq!((facts.friendly_name.as_deref(), facts.attributes.as_str()), (Some("Two"), "{\"a\":1}"));
    assert!(ana.find_conversation("the one").await.is_err());
    let mut own = ana.events().await.unwrap();
    ana.leave(sid).await.unwrap();
    assert_eq!(soon(own.next()).await.unwrap(), MyEvent::Removed(sid));
    assert_eq!(ana.conversations().await.unwrap(), []);
    let sid = ana.create_conversation(&NewConversation::default()).await.unwrap();
    ana.join(sid).await.unwrap();
    assert_eq!(soon(own.next()).await.unwrap(), MyEvent::Added(sid));
    ana.delete_conversation(sid).await.unwrap();
    assert_eq!(soon(own.next()).await.unwrap(), MyEvent::Removed(sid));
    house.close().await;
}

#[tokio::test]
async fn the_roster_says_who_is_in_and_who_comes_and_goes() {
    let house = House::open().await;
    let (ana, [talk]) = house.talk(["ana"]).await;
    let sid = talk.sid();
    ana.add(sid, "ben").await.unwrap();
    let mut roster = ana.roster(sid).await.unwrap();
    let mut names: Vec<_> = roster.participants().filter_map(|participant| participant.identity.clone()).collect();
    names.sort();
    assert_eq!(names, ["ana", "ben"]);
    ana.add(sid, "c/é@d").await.unwrap();
    let RosterEvent::Joined(third) = soon(roster.next()).await.unwrap() else { panic!() };
    assert_eq!(third.identity.as_deref(), Some("c/é@d"));
    ana.set_participant_attributes(sid, third.sid, "{\"a\":1}").await.unwrap();
    let RosterEvent::Changed(third) = soon(roster.next()).await.unwrap() else { panic!() };
    assert_eq!(third.attributes, "{\"a\":1}");
    ana.remove(sid, "c/é@d").await.unwrap();
    assert_eq!(soon(roster.next()).await.unwrap(), RosterEvent::Left(third));
    assert_eq!(roster.participants().count(), 2);
    house.close().await;
}

#[tokio::test]
async fn a_long_roster_is_read_to_its_end() {
    let house = House::open().await;
    let (ana, [talk]) = house.talk(["ana"]).await;
    for number in 0..120 {
        ana.add(talk.sid(), &format!("p{number}")).await.unwrap();
    }
    assert_eq!(ana.roster(talk.sid()).await.unwrap().participants().count(), 121);
    house.close().await;
}

#[tokio::test]
async fn the_read_horizon_counts_what_is_unread_and_everybody_sees_it() {
    let house = House::open().await;
    let (ana, [talk, _ben]) = house.talk(["ana", "ben"]).await;
    let sid = talk.sid();
    let (mut own, mut roster) = (ana.events().await.unwrap(), ana.roster(sid).await.unwrap());
    for body in ["one", "two", "three"] {
        talk.send(body).await.unwrap();
    }
    assert_eq!(ana.find_conversation(sid.as_str()).await.unwrap().unread, None);
    assert_eq!(ana.set_last_read(sid, Some(0)).await.unwrap(), Some(2));
    let changed = MyEvent::Changed { conversation: sid, last_read_message_index: Some(0) };
    assert_eq!(soon(own.next()).await.unwrap(), changed);
    let RosterEvent::Changed(participant) = soon(roster.next()).await.unwrap() else { panic!() };
    assert_eq!((participant.identity.as_deref(), participant.last_read_message_index), (Some("ana"), Some(0)));
    assert_eq!(ana.find_conversation(sid.as_str()).await.unwrap().unread, Some(2));
    assert_eq!(ana.set_last_read(sid, None).await.unwrap(), None);
    house.close().await;
}

#[tokio::test]
async fn typing_is_heard_by_the_others() {
    let house = House::open().await;
    let (ana, [talk]) = house.talk(["ana"]).await;
    ana.add(talk.sid(), "ben").await.unwrap();
    let ben = house.enter("ben").await;
    let mut messages = ben.conversation(talk.sid()).await.unwrap();
    ana.send(talk.sid(), "whoever hears this has subscribed").await.unwrap();
    soon(messages.next_message()).await.unwrap();
    let mut heard = ben.typing_events();
    ana.typing(talk.sid()).await.unwrap();
    let typing = soon(heard.next()).await.unwrap();
    assert_eq!((typing.conversation, typing.identity.as_str()), (talk.sid(), "ana"));
    let closed = ben.clone();
    ben.close().await;
    assert_eq!(soon(heard.next()).await, None);
    assert_eq!(soon(closed.typing_events().next()).await, None);
    house.close().await;
}

#[tokio::test]
async fn users_have_names_and_attributes() {
    let house = House::open().await;
    let (ana, ben) = (house.enter("ana").await, house.enter("ben").await);
    let change = UserChange { friendly_name: Some("Ana María".to_owned()), attributes: Some("{\"a\":1}".to_owned()) };
    let own = ana.update_own_user(&change).await.unwrap();
    assert_eq!(ben.user("ana").await.unwrap(), own);
    assert_eq!((own.friendly_name.as_deref(), own.attributes.as_str()), (Some("Ana María"), "{\"a\":1}"));
    assert!(ben.user("nobody").await.unwrap_err().is_not_found());
    house.close().await;
}
