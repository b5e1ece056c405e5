//! The policy: from what a login says of somebody to what they get. No IO; the same function answers
//! requests, `tertulia policy explain` and `tertulia policy test`.
//!
//! Rules are tried in their order; the first one whose conditions all hold decides. Where no rule holds,
//! nobody comes in. A configuration without rules has one: everybody whom a source knows comes in under
//! the name that the source gives.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use tertulia_protocol::Timestamp;

use super::condition::conditions;
pub use super::condition::{Scalar, Unmet, Wanted};
use super::template::{Template, Unfilled};
use crate::revocations::NAME_BYTES_MAX;

/// The name of one login session, if it can have one: it must be no longer than what can be revoked, and not the
/// name of all sessions of somebody.
pub fn session(source: &str, sid: &str) -> Option<String> {
    let name = format!("{source}:{sid}");
    (!sid.is_empty() && !sid.starts_with(':') && name.len() <= NAME_BYTES_MAX).then_some(name)
}

/// The name of all login sessions of a source's subject together.
pub fn every_session(source: &str, subject: &str) -> String {
    format!("{source}::{subject}")
}

/// A text, or a whole number as one. Of other numbers digits are lost when they are read, and two things would have one
/// name.
pub fn as_name(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) if !number.is_f64() => Some(number.to_string()),
        _ => None,
    }
}

/// A text or a whole number, where one is written down.
fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let value = Value::deserialize(deserializer)?;
    as_name(&value).ok_or_else(|| D::Error::custom(format!("{value} is neither a text nor a whole number")))
}

/// Somebody whom a source knows.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The source's name in the configuration.
    pub source: String,
    /// The source's own name for somebody: it never means anybody else.
    #[serde(deserialize_with = "name")]
    pub subject: String,
    /// What else the source says: an object.
    #[serde(default)]
    pub facts: Value,
}

impl Login {
    /// The name of the login session, where the source says which it is: a fact `sid`. Its tokens carry it, and can
    /// be revoked by it.
    pub fn session(&self) -> Option<String> {
        session(&self.source, &as_name(self.facts.get("sid")?)?)
    }

    /// The name of all login sessions of the subject together.
    pub fn every_session(&self) -> String {
        every_session(&self.source, &self.subject)
    }

    /// When the source vouched for it, as far as it says so: a fact `iat`.
    pub fn issued(&self) -> Timestamp {
        Timestamp::from_seconds(self.facts.get("iat").and_then(Value::as_i64).unwrap_or_default())
    }

    /// A fact: `source`, `subject`, or a member of the facts. Dots lead inside, unless a member has them in
    /// its name.
    pub fn fact(&self, name: &str) -> Option<Value> {
        match name {
            "source" => return Some(Value::String(self.source.clone())),
            "subject" => return Some(Value::String(self.subject.clone())),
            _ => {}
        }
        lookup(&self.facts, name).cloned()
    }

    /// A fact as text.
    pub fn text(&self, name: &str) -> Option<String> {
        match self.fact(name)? {
            Value::String(text) => Some(text),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(flag.to_string()),
            _ => None,
        }
    }
}

/// A value of an object by its name, which may lead inside. Names may have dots themselves, as URLs do: the whole name
/// goes first, then every dot is tried as the one that leads inside.
pub(super) fn lookup<'v>(object: &'v Value, name: &str) -> Option<&'v Value> {
    if let Some(value) = object.get(name) {
        return Some(value);
    }
    let mut dots = name.match_indices('.').map(|(at, _)| at);
    dots.find_map(|at| lookup(object.get(&name[..at])?, &name[at + 1..]))
}

/// One rule.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its name, for logs and for examples.
    pub name: String,
    /// Facts and what they must be; all of them.
    #[serde(default, deserialize_with = "conditions")]
    pub when: BTreeMap<String, Wanted>,
    /// Refuses whom the rule is about; the text is for the log.
    #[serde(default)]
    pub deny: Option<String>,
    /// The chat service's SID; without one, the account's default service.
    #[serde(default)]
    pub service: Option<Template>,
    /// The identity.
    #[serde(default = "Template::subject")]
    pub identity: Template,
    /// Service role of the connection, by SID or name; without one, the user's own.
    #[serde(default)]
    pub role: Option<Template>,
    /// Lifetime of the token; without one, the configuration's.
    #[serde(default)]
    pub ttl_seconds: Option<i64>,
    /// What the token grants beside chat.
    #[serde(default)]
    pub grants: Grants,
}

/// What a token grants beside chat.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grants {
    /// Push credential for the chat grant (`CR…`).
    pub push_credential: Option<String>,
    /// A Sync service (`IS…`).
    pub sync_service: Option<String>,
    /// A video room; empty is any room.
    pub video_room: Option<String>,
    /// Incoming calls.
    #[serde(default)]
    pub voice_incoming: bool,
    /// The application for outgoing calls (`AP…`).
    pub voice_application: Option<String>,
}

/// What somebody gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The rule that decided.
    pub rule: String,
    /// The chat service; `None` is the account's default.
    pub service: Option<String>,
    /// The identity.
    pub identity: String,
    /// Role of the connection, by SID or name.
    pub role: Option<String>,
    /// Lifetime of the token.
    pub ttl_seconds: i64,
    /// What the token grants beside chat.
    pub grants: Grants,
}

/// Why somebody gets nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denial {
    /// No rule is about them.
    NoRule,
    /// A rule says so.
    Rule {
        /// Which.
        rule: String,
        /// In its own words.
        reason: String,
    },
    /// A rule is about them, and cannot be carried out.
    Unfilled {
        /// Which.
        rule: String,
        /// For what.
        field: &'static str,
        /// Why.
        cause: Unfilled,
    },
}

impl Denial {
    /// The rule that decided, if one did.
    pub fn rule(&self) -> Option<&str> {
        match self {
            Self::NoRule => None,
            Self::Rule { rule, .. } | Self::Unfilled { rule, .. } => Some(rule),
        }
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRule => f.write_str("no rule is about this login"),
            Self::Rule { reason, .. } => f.write_str(reason),
            Self::Unfilled { field, cause, .. } => write!(f, "{field}: {cause}"),
        }
    }
}

/// Rules with what holds for all of them.
#[derive(Clone, Debug)]
pub struct Policy {
    /// In the order in which they are tried.
    pub rules: Vec<Rule>,
    /// Lifetime of a token when its rule has none.
    pub ttl_seconds: i64,
    /// No token lives longer, whatever a rule says.
    pub ttl_seconds_max: i64,
}

/// What came of one rule, for people who ask why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The rule.
    pub rule: String,
    /// The condition that does not hold; `None`: all of them hold, and this rule decides.
    pub fails: Option<Unmet>,
}

impl Step {
    /// For an audit entry.
    pub(super) fn json(&self) -> Value {
        let unmet = self.fails.as_ref();
        json!({
            "rule": self.rule,
            "fact": unmet.map(|unmet| &unmet.fact),
            "found": unmet.and_then(Unmet::found_text),
            "expected": unmet.map(Unmet::wanted_text),
        })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.fails {
            Some(unmet) => write!(f, "{}: {unmet}", self.rule),
            None => write!(f, "{}: every condition holds", self.rule),
        }
    }
}

/// The name of the one rule of a policy without rules.
pub const DEFAULT_RULE: &str = "default";

impl Policy {
    /// The rules, or the one rule of a policy without any.
    fn all(&self) -> Vec<Rule> {
        if !self.rules.is_empty() {
            return self.rules.clone();
        }
        let default = Rule {
            name: DEFAULT_RULE.to_owned(),
            when: BTreeMap::new(),
            deny: None,
            service: None,
            identity: Template::subject(),
            role: None,
            ttl_seconds: None,
            grants: Grants::default(),
        };
        vec![default]
    }

    /// What a login gets.
    pub fn decide(&self, login: &Login) -> Result<Decision, Denial> {
        let rules = self.all();
        let rule = rules.iter().find(|rule| rule.fails(login).is_none()).ok_or(Denial::NoRule)?;
        if let Some(reason) = &rule.deny {
            return Err(Denial::Rule { rule: rule.name.clone(), reason: reason.clone() });
        }
        let wrap = |field| move |cause| Denial::Unfilled { rule: rule.name.clone(), field, cause };
        let plain = |field, template: &Option<Template>| {
            template.as_ref().map(|template| template.plain(login)).transpose().map_err(wrap(field))
        };
        Ok(Decision {
            rule: rule.name.clone(),
            service: plain("service", &rule.service)?,
            identity: rule.identity.identity(login).map_err(wrap("identity"))?,
            role: plain("role", &rule.role)?,
            ttl_seconds: rule.ttl_seconds.unwrap_or(self.ttl_seconds).min(self.ttl_seconds_max),
            grants: rule.grants.clone(),
        })
    }

    /// How a decision comes about: every rule that was tried.
    pub fn steps(&self, login: &Login) -> Vec<Step> {
        let mut steps = Vec::new();
        for rule in self.all() {
            let fails = rule.fails(login);
            let decides = fails.is_none();
            steps.push(Step { rule: rule.name, fails });
            if decides {
                break;
            }
        }
        steps
    }
}

impl Rule {
    /// Its templates, with their keys.
    pub(super) fn templates(&self) -> impl Iterator<Item = (&'static str, &Template)> {
        let own =
            [("service", self.service.as_ref()), ("identity", Some(&self.identity)), ("role", self.role.as_ref())];
        own.into_iter().filter_map(|(key, template)| Some((key, template?)))
    }

    /// The first condition that does not hold.
    fn fails(&self, login: &Login) -> Option<Unmet> {
        self.when.iter().find_map(|(name, wanted)| Unmet::of(login, name, wanted))
    }
}

/// What a login should come to, written beside the rules.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// Who.
    pub login: Login,
    /// What they get; only what is named is compared.
    #[serde(default)]
    pub gives: Option<Gives>,
    /// The rule that refuses them, or "no rule".
    #[serde(default)]
    pub refused_by: Option<String>,
}

/// What an example names of a decision.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gives {
    /// The rule that decides.
    pub rule: Option<String>,
    /// The chat service; empty: the account's default.
    pub service: Option<String>,
    /// The identity.
    pub identity: Option<String>,
    /// The role; empty: the user's own.
    pub role: Option<String>,
    /// Lifetime of the token.
    pub ttl_seconds: Option<i64>,
    /// What is granted beside chat.
    pub grants: Option<Grants>,
}

/// What an example calls being refused because no rule holds.
pub const NO_RULE: &str = "no rule";

impl Example {
    /// Where the policy differs from the example; nothing if it does as it should.
    pub fn differences(&self, policy: &Policy) -> Vec<String> {
        match (policy.decide(&self.login), &self.gives, &self.refused_by) {
            (_, None, None) => vec!["the example says neither `gives` nor `refused_by`".to_owned()],
            (_, Some(_), Some(_)) => vec!["the example says both `gives` and `refused_by`".to_owned()],
            (Ok(decision), Some(gives), None) => gives.differences(&decision),
            (Err(denial), Some(_), None) => {
                vec![format!("is refused by {}: {denial}", denial.rule().unwrap_or(NO_RULE))]
            }
            (Ok(decision), None, Some(_)) => {
                vec![format!("should be refused, and gets {:?} by rule {}", decision.identity, decision.rule)]
            }
            (Err(denial), None, Some(by)) => {
                let rule = denial.rule().unwrap_or(NO_RULE);
                if rule == by { Vec::new() } else { vec![format!("should be refused by {by}, and is by {rule}")] }
            }
        }
    }
}

impl Gives {
    fn differences(&self, decision: &Decision) -> Vec<String> {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let pairs = [
            ("rule", self.rule.clone(), decision.rule.clone()),
            ("service", self.service.clone(), text(&decision.service)),
            ("identity", self.identity.clone(), decision.identity.clone()),
            ("role", self.role.clone(), text(&decision.role)),
            ("ttl_seconds", self.ttl_seconds.map(|ttl| ttl.to_string()), decision.ttl_seconds.to_string()),
        ];
        let differs = |(name, wanted, got): (&str, Option<String>, String)| {
            let wanted = wanted.filter(|wanted| *wanted != got)?;
            Some(format!("{name} should be {wanted:?}, and is {got:?}"))
        };
        let mut differences: Vec<String> = pairs.into_iter().filter_map(differs).collect();
        if let Some(grants) = self.grants.as_ref().filter(|grants| **grants != decision.grants) {
            differences.push(format!("grants should be {grants:?}, and are {:?}", decision.grants));
        }
        differences
    }
}

#[cfg(test)]
mod tests;
