//! Who may do what with which credentials, as one table.

use std::sync::Arc;

use tertulia_protocol::Sid;

use super::*;
use crate::platform::UserRef;

const SURFACES: [Surface; 8] = [
    Surface::V1,
    Surface::Service,
    Surface::V2010,
    Surface::Manage,
    Surface::Own,
    Surface::OwnManage,
    Surface::Operator,
    Surface::Sdk,
];

fn account(power: Power) -> Who {
    Who::Account { key: None, power }
}

fn restricted(allow: &[&str]) -> Who {
    account(Power::Permissions(allow.iter().map(|text| (*text).to_owned()).collect()))
}

fn user() -> Who {
    let user =
        UserRef { service: Sid::from_number(1), sid: Sid::from_number(2), identity: "ana".to_owned(), role: None };
    Who::User(Arc::new(user))
}

#[test]
fn what_each_kind_of_credentials_may_do() {
    // In the order of SURFACES: + let in, - refused, 0 as if nothing were there.
    for (who, expected) in [
        (account(Power::Everything), "++++++0-"),
        (account(Power::Product), "++--+-0-"),
        (restricted(&["/x/read"]), "++--+-0-"),
        (restricted(&["/x/write", "/x/rea", "/x/read/", "/X/read"]), "------0-"),
        (restricted(&[]), "------0-"),
        (Who::Operator, "+++++++-"),
        (user(), "-------+"),
    ] {
        let mark = |surface: Surface| {
            let permission = matches!(surface, Surface::V1 | Surface::Service | Surface::Own).then_some("/x/read");
            match may(&who, surface, permission) {
                Ok(()) => '+',
                Err(Refusal::NotFound) => '0',
                Err(_) => '-',
            }
        };
        assert_eq!(SURFACES.map(mark).iter().collect::<String>(), expected, "{who:?}");
    }
}

#[test]
fn only_the_operator_and_the_server_itself_give_main_keys() {
    let all = [Kind::Main, Kind::Standard, Kind::Restricted];
    for (who, source, expected) in [
        (account(Power::Everything), Source::Rest, [false, true, true]),
        (account(Power::Everything), Source::System, [true, true, true]),
        (Who::Operator, Source::Rest, [true, true, true]),
        (account(Power::Product), Source::Rest, [false; 3]),
        (restricted(&["/twilio/iam/keys/create"]), Source::Rest, [false; 3]),
        (user(), Source::Sdk, [false; 3]),
    ] {
        assert_eq!(all.map(|kind| may_create(&who, source, kind).is_ok()), expected, "{who:?}");
    }
}

#[test]
fn a_policy_is_a_list_of_permissions_and_comes_back_as_it_was_given() {
    let policy = Policy::parse(r#" {"allow": ["/twilio/messaging/messages/read", "/twilio/Nonsense"]} "#).unwrap();
    assert_eq!(policy.json().to_string(), r#"{"allow":["/twilio/messaging/messages/read","/twilio/Nonsense"]}"#);
    assert_eq!(Policy::parse(r#"{"allow":[]}"#).unwrap().allow.len(), 0);
    for wrong in
        ["", "[]", "{}", r#"{"allow":1}"#, r#"{"allow":[1]}"#, r#"{"allow":["x"]}"#, r#"{"allow":[],"deny":[]}"#]
    {
        assert_eq!(Policy::parse(wrong), Err(Refusal::PolicyInvalid), "{wrong}");
    }
    assert_eq!(Policy::parse(r#"{"allow":["/a\u0000"]}"#), Err(Refusal::PolicyInvalid));
    let many = serde_json::json!({"allow": vec!["/twilio/x"; PERMISSIONS_MAX + 1]}).to_string();
    assert_eq!(Policy::parse(&many), Err(Refusal::PolicyTooLong));
}
