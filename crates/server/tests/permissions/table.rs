//! The table of what a user may do, `data/permissions.json`, and what it expects of a set of permissions.
//!
//! The file is written by hand; nothing here asks the service's own rules.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde_json::Value;

/// The table.
pub(crate) static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let file: Value = serde_json::from_str(include_str!("../data/permissions.json")).expect("the file is JSON");
    Table::read(&file)
});

/// Names of permissions.
pub(crate) type Names = BTreeSet<String>;

/// The whole file.
pub(crate) struct Table {
    /// Each permission, and the scopes whose roles may hold it.
    pub(crate) permissions: Vec<(String, Names)>,
    /// Name, type and permissions of the roles that a service is born with.
    pub(crate) roles: Vec<(String, String, Names)>,
    pub(crate) cases: Vec<Case>,
}

/// One request in one situation.
pub(crate) struct Case {
    pub(crate) operation: String,
    /// What is done, in words.
    pub(crate) text: String,
    /// The situation: `participant`, `outsider`, `creator`, `left` or `removed`.
    pub(crate) standing: String,
    /// Whether the chat service has open conversations.
    pub(crate) is_open: bool,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) body: Option<Value>,
    pub(crate) rule: Rule,
    /// Status and code of a refusal.
    pub(crate) refused: (u16, u64),
    /// Status and code to expect in place of a success.
    pub(crate) allowed: Option<(u16, u64)>,
}

/// When it is done.
pub(crate) enum Rule {
    Always,
    Never,
    /// With one permission of each group.
    Needs(Vec<Group>),
}

/// Permissions of which one is enough.
pub(crate) struct Group {
    pub(crate) service: Names,
    pub(crate) conversation: Names,
}

/// What somebody's two roles hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held {
    pub(crate) service: Names,
    pub(crate) conversation: Names,
}

fn names(value: &Value) -> Names {
    let names = value.as_array().into_iter().flatten();
    names.map(|name| name.as_str().expect("a name").to_owned()).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

impl Table {
    fn read(file: &Value) -> Self {
        let rows = |name: &str| file[name].as_array().expect("an array").iter();
        let permissions = rows("permissions").map(|row| (text(&row["name"]), names(&row["scopes"]))).collect();
        let roles =
            rows("roles").map(|row| (text(&row["name"]), text(&row["type"]), names(&row["permissions"]))).collect();
        Self { permissions, roles, cases: rows("cases").map(Case::read).collect() }
    }

    /// Every permission that roles of this scope may hold.
    pub(crate) fn of_scope(&self, scope: &str) -> Names {
        let fits = self.permissions.iter().filter(|(_, scopes)| scopes.contains(scope));
        fits.map(|(name, _)| name.clone()).collect()
    }

    /// Everything.
    pub(crate) fn all(&self) -> Held {
        Held { service: self.of_scope("service"), conversation: self.of_scope("conversation") }
    }
}

impl Group {
    fn read(row: &Value) -> Self {
        Self { service: names(&row["service"]), conversation: names(&row["conversation"]) }
    }
}

impl Case {
    fn read(row: &Value) -> Self {
        let known = [
            "operation",
            "case",
            "as",
            "request",
            "body",
            "service",
            "conversation",
            "all",
            "always",
            "refused",
            "allowed",
            "open",
        ];
        for key in row.as_object().expect("an object").keys() {
            assert!(known.contains(&key.as_str()), "a case has no \"{key}\": {row}");
        }
        let request = text(&row["request"]);
        let (method, path) = request.split_once(' ').expect("a method and a path");
        let answer = |name: &str| {
            let pair = row[name].as_array()?;
            Some((u16::try_from(pair[0].as_u64()?).ok()?, pair[1].as_u64()?))
        };
        let rule = if row["always"] == true {
            Rule::Always
        } else if let Some(groups) = row["all"].as_array() {
            Rule::Needs(groups.iter().map(Group::read).collect())
        } else if row["service"].is_array() || row["conversation"].is_array() {
            Rule::Needs(vec![Group::read(row)])
        } else {
            Rule::Never
        };
        Self {
            operation: text(&row["operation"]),
            text: text(&row["case"]),
            standing: text(&row["as"]),
            is_open: row["open"] == true,
            method: method.to_owned(),
            path: path.to_owned(),
            body: row.get("body").cloned(),
            refused: answer("refused").unwrap_or_default(),
            allowed: answer("allowed"),
            rule,
        }
    }

    /// The groups of permissions that it needs.
    pub(crate) fn groups(&self) -> &[Group] {
        match &self.rule {
            Rule::Needs(groups) => groups,
            Rule::Always | Rule::Never => &[],
        }
    }

    /// Whether the conversation role counts.
    pub(crate) fn takes_part(&self) -> bool {
        self.standing == "participant"
    }

    /// Whether it is to be done for who holds this.
    pub(crate) fn is_done(&self, held: &Held) -> bool {
        let holds = |group: &Group| {
            let in_conversation = self.takes_part() && !group.conversation.is_disjoint(&held.conversation);
            in_conversation || !group.service.is_disjoint(&held.service)
        };
        match &self.rule {
            Rule::Always => true,
            Rule::Never => false,
            Rule::Needs(groups) => groups.iter().all(holds),
        }
    }

    /// A permission of the scope that says nothing about this case: a role holds at least one.
    fn neutral(&self, scope: &str) -> Names {
        let candidates = if scope == "service" {
            ["createConversation", "editOwnMessageAttributes"]
        } else {
            ["editNotificationLevel", "sendMediaMessage"]
        };
        let mut named = self.groups().iter().flat_map(|group| group.service.iter().chain(&group.conversation));
        let other = named.any(|name| name == candidates[0]);
        Names::from([candidates[usize::from(other)].to_owned()])
    }

    /// What is tried: nothing that counts, every single permission, everything, everything but what counts,
    /// and just what counts, by either role.
    pub(crate) fn tried(&self, table: &Table) -> Vec<Held> {
        let all = table.all();
        let nothing = Held { service: self.neutral("service"), conversation: self.neutral("conversation") };
        let mut tried = vec![nothing.clone(), all.clone()];
        if self.groups().is_empty() {
            return tried;
        }
        for name in &all.service {
            tried.push(Held { service: Names::from([name.clone()]), ..nothing.clone() });
        }
        for name in all.conversation.iter().filter(|_| self.takes_part()) {
            tried.push(Held { conversation: Names::from([name.clone()]), ..nothing.clone() });
        }
        let (mut by_service, mut by_conversation) = (nothing.clone(), nothing.clone());
        for group in self.groups() {
            let without = |all: &Names, these: &Names| all.difference(these).cloned().collect();
            tried.push(Held {
                service: without(&all.service, &group.service),
                conversation: without(&all.conversation, &group.conversation),
            });
            by_service.service.extend(group.service.first().cloned());
            by_conversation.conversation.extend(group.conversation.first().cloned());
        }
        tried.extend([by_service, by_conversation]);
        tried
    }
}

/// By each scope the permissions that decide some case.
pub(crate) fn deciding(table: &Table) -> BTreeMap<&'static str, Names> {
    let mut deciding = BTreeMap::from([("service", Names::new()), ("conversation", Names::new())]);
    for group in table.cases.iter().flat_map(Case::groups) {
        deciding.get_mut("service").expect("it is there").extend(group.service.iter().cloned());
        deciding.get_mut("conversation").expect("it is there").extend(group.conversation.iter().cloned());
    }
    deciding
}
