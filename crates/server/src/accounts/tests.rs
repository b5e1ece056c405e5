//! Whose account is whose, and what may become of it.

use tertulia_protocol::Sid;

use super::*;

fn account(number: i64, parent: Option<i64>) -> Account {
    Account {
        number: AccountNumber(number),
        sid: Sid::from_number(1),
        parent: parent.map(AccountNumber),
        friendly_name: String::new(),
        status: Status::Active,
        default_service: None,
        default_messaging_service: None,
        default_inactive_timer: None,
        default_closed_timer: None,
        created: Timestamp::from_seconds(0),
        updated: Timestamp::from_seconds(0),
        owner: Sid::from_number(1),
        owner_status: Status::Active,
    }
}

#[test]
fn an_account_is_its_own_its_parents_and_the_operators() {
    let caller = |number| Caller::system(AccountNumber(number), Sid::from_number(1));
    let operator = Caller { who: Who::Operator, ..caller(0) };
    let (top, sub) = (account(1, None), account(2, Some(1)));
    for (caller, expected) in [
        (caller(1), [Some(Hand::Own), Some(Hand::Parent)]),
        (caller(2), [None, Some(Hand::Own)]),
        (caller(3), [None, None]),
        (operator, [Some(Hand::Operator), Some(Hand::Operator)]),
    ] {
        assert_eq!([&top, &sub].map(|account| hand(&caller, account)), expected, "{caller:?}");
    }
}

#[test]
fn status_changes_come_from_above_and_closed_is_final() {
    use Status::{Active, Closed, Suspended};
    for (from, to, own, above) in [
        (Active, Suspended, Err(Refusal::NotFromWithin), Ok(())),
        (Suspended, Active, Err(Refusal::NotFromWithin), Ok(())),
        (Suspended, Closed, Err(Refusal::NotFromWithin), Ok(())),
        (Closed, Active, Err(Refusal::NotFromWithin), Err(Refusal::Closed)),
        (Closed, Suspended, Err(Refusal::NotFromWithin), Err(Refusal::Closed)),
        (Closed, Closed, Ok(()), Ok(())),
        (Active, Active, Ok(()), Ok(())),
    ] {
        assert_eq!(may_become(Hand::Own, from, to), own, "{from:?} {to:?}");
        assert_eq!(may_become(Hand::Parent, from, to), above, "{from:?} {to:?}");
        assert_eq!(may_become(Hand::Operator, from, to), above, "{from:?} {to:?}");
    }
}

#[test]
fn a_subaccount_follows_its_parent() {
    use Status::{Active, Closed, Suspended};
    for (status, owner_status, expected) in [
        (Active, Active, Active),
        (Active, Suspended, Suspended),
        (Suspended, Active, Suspended),
        (Closed, Suspended, Closed),
        // Suspended before its parent was closed: nothing brings it back.
        (Suspended, Closed, Closed),
    ] {
        let account = Account { status, owner_status, ..account(2, Some(1)) };
        assert_eq!(account.effective_status(), expected);
    }
}
