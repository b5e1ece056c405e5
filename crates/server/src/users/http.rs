//! REST routes of users, and of the conversations that a user has.

use tertulia_protocol::rest::{UserBody, UserConversationBody};
use tertulia_protocol::{Code, Cursor};

use super::User;
use super::commands::{
    ChangeOwn, CreateUser, DeleteUser, FetchOwn, LeaveOwn, ListOwn, ListUsers, Own, OwnPlace, Patch, SeeUser,
    UpdateUser,
};
use crate::conversations::http::timers;
use crate::participants::Patch as OwnPatch;
use crate::participants::http::{last_read_index, links};
use crate::participants::{self, NotificationLevel};
use crate::platform::page::created_key;
use crate::platform::{Call, Error, Form, Outcome, PageRequest, Reply, Route};
use crate::routes;

/// The routes. A user is named by SID or identity.
pub const ROUTES: &[Route] = routes![
    Service Post "/Users" CreateUser => create;
    Service Get "/Users" ListUser => list;
    Service Get "/Users/{Sid}" FetchUser => fetch;
    Service Post "/Users/{Sid}" UpdateUser => update;
    Service Delete "/Users/{Sid}" DeleteUser => delete;
    Service Get "/Users/{UserSid}/Conversations" ListUserConversation => list_own;
    Service Get "/Users/{UserSid}/Conversations/{ConversationSid}" FetchUserConversation => fetch_own;
    Service Post "/Users/{UserSid}/Conversations/{ConversationSid}" UpdateUserConversation => update_own;
    Service Delete "/Users/{UserSid}/Conversations/{ConversationSid}" DeleteUserConversation => delete_own;
];

fn patch(form: &Form) -> Outcome<Patch> {
    Ok(Patch {
        friendly_name: form.clearable("FriendlyName"),
        attributes: form.owned("Attributes"),
        role: form.sid("RoleSid", Code::ServiceRoleNotFound)?,
    })
}

async fn create(call: Call) -> Outcome<Reply> {
    let identity = call.form.required("Identity")?.to_owned();
    let change = CreateUser { service: call.service, identity, patch: patch(&call.form)? };
    let created = call.perform(change).await?;
    Ok(Reply::created(&body(&call, &created, false)))
}

async fn list(call: Call) -> Outcome<Reply> {
    let page = PageRequest::read(&call.query, 50)?;
    let question = ListUsers { service: call.service, page: page.clone() };
    let rows = call.ask(question).await?;
    let page_of = page.cut(rows, |row| created_key(row.created, row.sid.as_str()));
    // A list never says who is online.
    let bodies = page_of.map(|row| body(&call, &row, false));
    Ok(page.reply(&bodies, &format!("{}/Users", call.base()), &call.query, "users", &[]))
}

async fn fetch(call: Call) -> Outcome<Reply> {
    let question = SeeUser { service: call.service, key: call.param("Sid").to_owned() };
    let (user, reachability) = call.ask(question).await?;
    Ok(Reply::ok(&body(&call, &user, reachability)))
}

async fn update(call: Call) -> Outcome<Reply> {
    let key = call.param("Sid").to_owned();
    let change = UpdateUser { service: call.service, key, patch: patch(&call.form)? };
    call.perform(change).await?;
    fetch(call).await
}

/// Far more conversations than anybody is in; only who is added again and again reaches it.
const DELETE_STEPS_MAX: usize = 100_000;

async fn delete(call: Call) -> Outcome<Reply> {
    let change = DeleteUser { service: call.service, key: call.param("Sid").to_owned() };
    for _ in 0..DELETE_STEPS_MAX {
        if call.perform(change.clone()).await? {
            return Ok(Reply::no_content());
        }
    }
    Err(Error::refused(Code::Unavailable, "The user is still being added to conversations; delete it again"))
}

fn body(call: &Call, user: &User, reachability: bool) -> UserBody {
    let url = format!("{}/Users/{}", call.base(), user.sid);
    UserBody {
        sid: user.sid,
        account_sid: call.caller.account_sid,
        chat_service_sid: user.service,
        role_sid: user.role,
        identity: user.identity.clone(),
        friendly_name: user.friendly_name.clone(),
        attributes: user.attributes.clone(),
        is_online: user.online.filter(|_| reachability),
        // Nobody registers for push yet.
        is_notifiable: None,
        date_created: user.created.seconds_text(),
        date_updated: user.updated.seconds_text(),
        links: [("user_conversations", format!("{url}/Conversations"))].into(),
        url,
    }
}

fn place(call: &Call) -> OwnPlace {
    OwnPlace {
        service: call.service,
        user: call.param("UserSid").to_owned(),
        conversation: call.param("ConversationSid").to_owned(),
    }
}

async fn list_own(call: Call) -> Outcome<Reply> {
    let page = PageRequest::read(&call.query, 50)?;
    let user = call.param("UserSid").to_owned();
    let question = ListOwn { service: call.service, user, page: page.clone() };
    let (user, rows) = call.ask(question).await?;
    let mut page_of = page.cut(rows, |own| Cursor::new([own.conversation.sid.to_string()]));
    page_of.rows.retain(|own| own.conversation.removed.is_none());
    let bodies = page_of.map(|own| own_body(&call, own));
    let url = format!("{}/Users/{user}/Conversations", call.base());
    Ok(page.reply(&bodies, &url, &call.query, "conversations", &[]))
}

async fn fetch_own(call: Call) -> Outcome<Reply> {
    let own = call.ask(FetchOwn(place(&call))).await?;
    Ok(Reply::ok(&own_body(&call, own)))
}

async fn update_own(call: Call) -> Outcome<Reply> {
    let form = &call.form;
    let level = form.text("NotificationLevel");
    let level = level.map(|word| NotificationLevel::parse(word).ok_or(participants::Refusal::NotificationLevelInvalid));
    let patch = OwnPatch {
        notification_level: level.transpose()?,
        last_read_index: form.text("LastReadMessageIndex").map(last_read_index).transpose()?,
        last_read_at: form.date("LastReadTimestamp", Code::LastReadTimeInvalid)?,
        ..OwnPatch::default()
    };
    let own = call.perform(ChangeOwn { place: place(&call), patch }).await?;
    Ok(Reply::ok(&own_body(&call, own)))
}

async fn delete_own(call: Call) -> Outcome<Reply> {
    call.perform(LeaveOwn(place(&call))).await?;
    Ok(Reply::no_content())
}

fn own_body(call: &Call, own: Own) -> UserConversationBody {
    let (participant, conversation) = (own.participant, own.conversation);
    UserConversationBody {
        account_sid: call.caller.account_sid,
        chat_service_sid: conversation.service,
        conversation_sid: conversation.sid,
        user_sid: own.user,
        participant_sid: participant.sid,
        unread_messages_count: own.unread,
        last_read_message_index: participant.last_read_index,
        conversation_state: conversation.state.word(),
        timers: timers(&conversation),
        notification_level: participant.notification_level.word(),
        date_created: conversation.created.seconds_text(),
        date_updated: conversation.updated.seconds_text(),
        url: format!("{}/Users/{}/Conversations/{}", call.base(), own.user, conversation.sid),
        links: links(call, &participant),
        friendly_name: conversation.friendly_name,
        unique_name: conversation.unique_name,
        attributes: conversation.attributes,
        created_by: conversation.created_by,
    }
}
