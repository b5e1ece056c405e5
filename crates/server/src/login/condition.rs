//! Conditions of a rule: facts, and what they must be. No IO.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _};
use serde_json::Value;

use super::finding::{is_secret_name, shown_as};
use super::policy::{Login, as_name};

/// What a condition compares a fact with: one value, or any of several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// This one.
    One(Scalar),
    /// Any of these.
    Any(Vec<Scalar>),
}

/// A value of a condition. A text may begin or end with `*`, which stands for anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// A flag.
    Flag(bool),
    /// A whole number, which is the same as the text of its digits.
    Number(i64),
    /// A text.
    Text(String),
}

impl Wanted {
    fn each(&self) -> &[Scalar] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Any(any) => any,
        }
    }

    /// The texts it compares with.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.each().iter().filter_map(|scalar| if let Scalar::Text(text) = scalar { Some(text.as_str()) } else { None })
    }

    pub(super) fn holds(&self, fact: &Value) -> bool {
        let fits = |fact: &Value| self.each().iter().any(|wanted| wanted.fits(fact));
        match fact {
            Value::Array(facts) => facts.iter().any(fits),
            fact => fits(fact),
        }
    }

    fn read(value: &toml::Value) -> Option<Self> {
        match value {
            toml::Value::Array(list) => list.iter().map(Scalar::read).collect::<Option<_>>().map(Self::Any),
            other => Scalar::read(other).map(Self::One),
        }
    }
}

impl Scalar {
    fn read(value: &toml::Value) -> Option<Self> {
        match value {
            toml::Value::Boolean(flag) => Some(Self::Flag(*flag)),
            toml::Value::Integer(number) => Some(Self::Number(*number)),
            toml::Value::String(text) => Some(Self::Text(text.clone())),
            _ => None,
        }
    }

    fn fits(&self, fact: &Value) -> bool {
        match (self, fact) {
            (Self::Flag(wanted), Value::Bool(fact)) => wanted == fact,
            (Self::Number(wanted), fact) => as_name(fact).is_some_and(|fact| fact == wanted.to_string()),
            (Self::Text(wanted), fact) => as_name(fact).is_some_and(|fact| fits(wanted, &fact)),
            _ => false,
        }
    }
}

fn fits(wanted: &str, fact: &str) -> bool {
    match (wanted.strip_prefix('*'), wanted.strip_suffix('*')) {
        (Some(""), _) => !fact.is_empty(),
        (Some(end), _) => fact.ends_with(end),
        (None, Some(start)) => fact.starts_with(start),
        (None, None) => wanted == fact,
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = |scalar: &Scalar| match scalar {
            Scalar::Flag(flag) => flag.to_string(),
            Scalar::Number(number) => number.to_string(),
            Scalar::Text(text) => format!("\"{text}\""),
        };
        f.write_str(&self.each().iter().map(one).collect::<Vec<_>>().join(" or "))
    }
}

/// A condition that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unmet {
    /// The fact.
    pub fact: String,
    /// What it must be.
    pub wanted: Wanted,
    /// What it is; `None` where the login has no such fact.
    pub found: Option<Value>,
}

impl Unmet {
    /// The condition, unless it holds.
    pub(super) fn of(login: &Login, fact: &str, wanted: &Wanted) -> Option<Self> {
        let found = login.fact(fact);
        let holds = found.as_ref().is_some_and(|found| wanted.holds(found));
        (!holds).then(|| Self { fact: fact.to_owned(), wanted: wanted.clone(), found })
    }

    /// What there is, for a log; `None` where the login has no such fact.
    pub fn found_text(&self) -> Option<String> {
        self.found.as_ref().map(|found| shown_as(&self.fact, found))
    }

    /// What there must be, for a log.
    pub fn wanted_text(&self) -> String {
        if is_secret_name(&self.fact) { "something else".to_owned() } else { self.wanted.to_string() }
    }
}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (fact, wanted) = (&self.fact, self.wanted_text());
        match self.found_text() {
            Some(found) => write!(f, "{fact} must be {wanted}, and is {found}"),
            None => write!(f, "{fact} must be {wanted}, and the login has no such fact"),
        }
    }
}

/// Reads the conditions of a rule. A name with dots leads inside; TOML reads `user.role = "x"` as a table, which is
/// taken for the same.
pub(super) fn conditions<'de, D: Deserializer<'de>>(table: D) -> Result<BTreeMap<String, Wanted>, D::Error> {
    let mut read = BTreeMap::new();
    flatten("", &toml::Table::deserialize(table)?, &mut read).map_err(D::Error::custom)?;
    Ok(read)
}

fn flatten(above: &str, table: &toml::Table, into: &mut BTreeMap<String, Wanted>) -> Result<(), String> {
    for (name, value) in table {
        let name = if above.is_empty() { name.clone() } else { format!("{above}.{name}") };
        if let toml::Value::Table(inner) = value {
            flatten(&name, inner, into)?;
            continue;
        }
        let wanted = Wanted::read(value).ok_or_else(|| {
            format!("the condition \"{name}\" must be a text, a whole number, true, false, or a list of such values")
        })?;
        if into.insert(name.clone(), wanted).is_some() {
            return Err(format!("the condition \"{name}\" stands there twice"));
        }
    }
    Ok(())
}
