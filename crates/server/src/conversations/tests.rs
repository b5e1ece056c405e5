//! When timers are due, as a table.

use tertulia_protocol::{Sid, Timestamp};

use super::{Conversation, Patch, Reason, State};
use crate::platform::AccountNumber;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

fn conversation(state: State, inactive: &str, closed: &str) -> Conversation {
    let timer = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    Conversation {
        account: AccountNumber(1),
        sid: Sid::from_number(1),
        service: Sid::from_number(1),
        friendly_name: None,
        unique_name: None,
        attributes: "{}".to_owned(),
        messaging_service: None,
        state,
        state_since: at(1_500),
        inactive_timer: timer(inactive),
        closed_timer: timer(closed),
        bindings: None,
        created_by: "system".to_owned(),
        created_by_user: None,
        created: at(1_000),
        updated: at(1_000),
        position: 0,
        last_index: -1,
        last_message_at: None,
        active_at: at(1_000),
        messages_count: 0,
        removed: None,
    }
}

#[test]
fn due_moments_count_from_the_last_activity() {
    use State::{Active, Closed, Inactive};
    let table = [
        (Active, "", "", None),
        (Active, "PT1M", "", Some((Inactive, 1_060))),
        (Active, "", "PT10M", Some((Closed, 1_600))),
        (Active, "PT1M", "PT10M", Some((Inactive, 1_060))),
        (Active, "PT1H", "PT10M", Some((Inactive, 4_600))),
        // The timer's own change at 1500 is no activity.
        (Inactive, "PT1M", "PT10M", Some((Closed, 1_600))),
        (Inactive, "PT1M", "", None),
        (Closed, "PT1M", "PT10M", None),
    ];
    for (state, inactive, closed, due) in table {
        let found = conversation(state, inactive, closed).due();
        assert_eq!(found, due.map(|(state, seconds)| (state, at(seconds))), "{state:?} {inactive} {closed}");
    }
}

#[test]
fn a_message_restarts_both_timers_and_a_state_or_timer_that_is_set_too() {
    let inactive = conversation(State::Inactive, "PT1M", "PT10M");
    let after_message = |timers| Conversation {
        active_at: at(2_000),
        state: State::Active,
        ..conversation(State::Inactive, timers, "PT10M")
    };
    assert_eq!(after_message("PT1M").due(), Some((State::Inactive, at(2_060))));
    assert_eq!(after_message("").due(), Some((State::Closed, at(2_600))));

    let patches = [
        Patch { state: Some(State::Inactive), ..Patch::default() },
        Patch { closed_timer: Some(Some("PT10M".to_owned())), ..Patch::default() },
    ];
    for patch in patches {
        let mut changed = inactive.clone();
        patch.apply(&mut changed, at(2_000));
        assert_eq!(changed.due(), Some((State::Closed, at(2_600))));
    }
    let mut renamed = inactive.clone();
    Patch { friendly_name: Some(None), ..Patch::default() }.apply(&mut renamed, at(2_000));
    assert_eq!(renamed.due(), inactive.due());
}

#[test]
fn reasons_have_the_documented_words() {
    assert_eq!([Reason::Api, Reason::Event, Reason::Timer].map(Reason::word), ["API", "EVENT", "TIMER"]);
}
