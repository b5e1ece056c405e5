//! Takes out of an explanation what must not be repeated.
//!
//! People put secrets into the wrong argument, and then a secret is a claim of the token. What is
//! explained ends in logs and tickets.

use serde_json::Value as Json;

use super::Explanation;
use super::kind::{is_auth_token, is_secret};
use crate::secret::Secret;
use crate::sid;

const HIDDEN: &str = "(a secret, not shown)";

pub(super) fn scrub(mut explanation: Explanation, secret: Option<&Secret>) -> Explanation {
    hide_misplaced(explanation.payload.as_mut());
    // Short ones are words that stand everywhere.
    let Some(secret) = secret.map(|secret| secret.reveal().trim()).filter(|secret| secret.len() >= 8) else {
        return explanation;
    };
    let hide = |text: &mut String| {
        if text.contains(secret) {
            *text = text.replace(secret, HIDDEN);
        }
    };
    explanation.notes.iter_mut().chain(&mut explanation.changes).for_each(hide);
    explanation.steps.iter_mut().for_each(|step| hide(&mut step.found));
    if let Some(refusal) = &mut explanation.refusal
        && refusal.found.contains(secret)
    {
        refusal.found = refusal.found.replace(secret, HIDDEN).into();
    }
    if let Some(payload) = &mut explanation.payload {
        hide_everywhere(payload, secret);
    }
    explanation
}

/// Where a SID belongs, a text with the shape of a secret is one that strayed.
fn hide_misplaced(payload: Option<&mut Json>) {
    let Some(payload) = payload.and_then(Json::as_object_mut) else {
        return;
    };
    for name in ["iss", "sub", "jti"] {
        if let Some(Json::String(text)) = payload.get_mut(name) {
            // A jti is the key's SID and a time: the secret is its first part then.
            if let Some(strayed) = text.split('-').next().filter(|text| is_strayed(text)) {
                *text = text.replace(strayed, HIDDEN);
            }
        }
    }
}

fn is_strayed(text: &str) -> bool {
    (is_secret(text) || is_auth_token(text)) && !sid::is_sid(text, "SK")
}

fn hide_everywhere(value: &mut Json, secret: &str) {
    match value {
        Json::String(text) if text.contains(secret) => *text = text.replace(secret, HIDDEN),
        Json::Array(items) => items.iter_mut().for_each(|item| hide_everywhere(item, secret)),
        Json::Object(members) => members.values_mut().for_each(|member| hide_everywhere(member, secret)),
        _ => {}
    }
}
