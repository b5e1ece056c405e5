//! Where a key of the configuration stands: in which file and line, or in which environment variable. No IO.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Something that is wrong with a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// The key with the tables above it, such as `login.sources[0].audience`.
    path: String,
    /// The name of the table that it is in, where tables of its kind have names.
    name: Option<String>,
    /// What is wrong, as it goes on after the key.
    text: String,
}

impl Wrong {
    /// Of a key with the tables above it; the text goes on after the key.
    pub(crate) fn at(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self { path: path.into(), name: None, text: text.into() }
    }

    /// In a table that has a name, such as the source "company".
    pub(crate) fn of(self, kind: &str, name: &str) -> Self {
        Self { name: Some(format!("{kind} \"{name}\"")), ..self }
    }

    /// Of what serde says about a value at a path: it names the key of an inner table itself.
    pub(super) fn read(path: &str, message: &str, table: &toml::Table) -> Self {
        let line = message.lines().next().unwrap_or_default();
        let quoted = || line.split('`').nth(1).filter(|_| line.starts_with("unknown field"));
        let inner = line
            .split_once(": ")
            .map(|(key, _)| key)
            .filter(|key| key.bytes().all(|b| b.is_ascii_lowercase() || b"_[]0123456789.".contains(&b)));
        let (key, text) = match (inner, quoted()) {
            (Some(key), _) => (Some(key), &line[key.len() + 2..]),
            (None, key) => (key, line),
        };
        let path = match key {
            Some(key) if !path.ends_with(key) => format!("{path}.{key}"),
            _ => path.to_owned(),
        };
        let name = name_of(&path, table);
        Self { path, name, text: format!("cannot be read: {text}") }
    }

    /// The whole sentence: where it stands, which key it is, and what is wrong with it.
    pub(super) fn told(&self, places: &Places) -> String {
        let place = places.of(&self.path);
        let key = match (self.path.split_once(['[']), &self.name) {
            (Some((list, rest)), name) => {
                let (number, key) = rest.split_once(']').unwrap_or((rest, ""));
                let number = || {
                    number.parse::<usize>().map_or_else(|_| "?".to_owned(), |number| format!("number {}", number + 1))
                };
                let of = name.clone().unwrap_or_else(number);
                format!("{list}, {of}: {}", key.trim_start_matches('.'))
            }
            (None, _) => self.path.clone(),
        };
        format!("{place}: {} {}", key.trim_end_matches([' ', ':']), self.text)
    }
}

/// The name of the element of a list that a path leads into.
fn name_of(path: &str, table: &toml::Table) -> Option<String> {
    let (list, rest) = path.split_once('[')?;
    let place: usize = rest.split_once(']')?.0.parse().ok()?;
    let mut value = None;
    let mut within = Some(table);
    for key in list.split('.') {
        value = within?.get(key);
        within = value.and_then(toml::Value::as_table);
    }
    let name = value?.get(place)?.get("name")?.as_str()?;
    let kind = list.rsplit('.').next().unwrap_or_default();
    Some(format!("{} \"{name}\"", kind.trim_end_matches('s')))
}

/// Where each key was set last.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    /// The file and its lines, by path.
    file: String,
    lines: BTreeMap<String, usize>,
    /// Environment variables, by path.
    variables: BTreeMap<String, String>,
}

impl Places {
    /// Remembers where the keys of a file stand. A text that cannot be parsed has none.
    pub(super) fn file(&mut self, place: &str, text: &str) {
        place.clone_into(&mut self.file);
        let Ok(table) = DeTable::parse(text) else { return };
        let mut lines = Lines { text, found: &mut self.lines };
        lines.table("", table.get_ref());
    }

    /// Remembers that an environment variable set a key.
    pub(super) fn variable(&mut self, path: &str, name: &str) {
        self.variables.insert(path.to_owned(), format!("environment variable {name}"));
    }

    /// Where a key stands: itself, or the nearest table above it.
    pub(super) fn of(&self, path: &str) -> String {
        let mut path = path;
        loop {
            if let Some(variable) = self.variables.get(path) {
                return variable.clone();
            }
            if let Some(line) = self.lines.get(path) {
                return format!("{}, line {line}", self.file);
            }
            let Some(at) = path.rfind(['.', '[']) else { break };
            path = &path[..at];
        }
        if self.file.is_empty() { "the configuration".to_owned() } else { self.file.clone() }
    }
}

struct Lines<'t> {
    text: &'t str,
    found: &'t mut BTreeMap<String, usize>,
}

impl Lines<'_> {
    fn note(&mut self, path: &str, start: usize) {
        let line = self.text[..start].matches('\n').count() + 1;
        self.found.insert(path.to_owned(), line);
    }

    fn table(&mut self, above: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let name = key.get_ref();
            let path = if above.is_empty() { name.to_string() } else { format!("{above}.{name}") };
            self.note(&path, key.span().start);
            self.value(&path, value);
        }
    }

    fn value(&mut self, path: &str, value: &Spanned<DeValue<'_>>) {
        match value.get_ref() {
            DeValue::Table(table) => self.table(path, table),
            DeValue::Array(list) => {
                for (place, value) in list.iter().enumerate() {
                    let path = format!("{path}[{place}]");
                    self.note(&path, value.span().start);
                    self.value(&path, value);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::platform::Config;

    /// What is said of a configuration that cannot be used.
    fn said(text: &str, environment: &[(&str, &str)]) -> String {
        let pairs = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let own = Some(("own.toml".to_owned(), text));
        Config::over("", own, pairs).err().unwrap_or_else(|| panic!("{text} can be used")).to_string()
    }

    const SITE: &str = "[[login.sources]]\nname = \"site\"\nkind = \"app\"\nurl = \"http://127.0.0.1/me\"\n";
    const SSO: &str =
        "[[login.sources]]\nname = \"sso\"\nkind = \"proxy\"\nheader = \"X-User\"\naddresses = [\"127.0.0.1\"]\n";

    #[test]
    fn what_is_wrong_is_said_with_the_key_its_table_and_its_line() {
        for (text, wanted) in [
            ("[http]\n\nlistn = 1".to_owned(), "own.toml, line 3: there is no key \"http.listn\""),
            (
                "[http]\nbody_bytes_max = \"x\"".to_owned(),
                "own.toml, line 2: http.body_bytes_max cannot be read: invalid type",
            ),
            (
                "[tokens]\n# so\ngrace_seconds = 301".to_owned(),
                "own.toml, line 3: tokens.grace_seconds is 301; it must be between 0 and 300",
            ),
            (
                format!("{SITE}retries = 3"),
                "own.toml, line 5: login.sources, source \"site\": retries cannot be read: unknown field `retries`",
            ),
            (
                format!("{SITE}cache_seconds = \"x\""),
                "own.toml, line 5: login.sources, source \"site\": cache_seconds cannot be read: invalid type",
            ),
            (
                format!("{SITE}cache_seconds = 301"),
                "own.toml, line 5: login.sources, source \"site\": cache_seconds is 301; it must be at most 300",
            ),
            (
                format!("{SITE}forward = [\"cookies\"]"),
                "own.toml, line 5: login.sources, source \"site\": forward[0] cannot be read: unknown variant",
            ),
            (
                format!("{SSO}[[login.sources]]\nname = \"x\"\nkind = \"oidc\""),
                "own.toml, line 6: login.sources, source \"x\" cannot be read: missing field `issuer`",
            ),
            (
                format!("{SSO}[[login.sources]]\nname = \"x\"\nkind = \"odic\""),
                "own.toml, line 8: login.sources, source \"x\": kind cannot be read: \"odic\" is none of",
            ),
            (
                format!("{SSO}{SSO}"),
                "own.toml, line 7: login.sources, source \"sso\": name is \"sso\", which another source is called already",
            ),
            (
                "[login.sources]\nname = \"x\"".to_owned(),
                "own.toml, line 1: login.sources cannot be read: invalid type: map, expected a sequence",
            ),
            (
                format!("{SITE}\n[[login.rules]]\nname = \"r\"\nrole = \"{{x\""),
                "own.toml, line 8: login.rules, rule \"r\": role cannot be read: the template",
            ),
            (
                format!("{SITE}\n[[login.rules]]\nname = \"r\"\nwhen = {{ a = 1.5 }}"),
                "own.toml, line 8: login.rules, rule \"r\": when cannot be read: the condition \"a\" must be",
            ),
        ] {
            let said = said(&text, &[]);
            assert!(said.starts_with(wanted) && !said.contains('\n'), "{text}\n{said}\n{wanted}");
        }
        let by_variable = said("[tokens]\ngrace_seconds = 1", &[("TERTULIA__TOKENS__GRACE_SECONDS", "301")]);
        assert!(
            by_variable.starts_with("environment variable TERTULIA__TOKENS__GRACE_SECONDS: tokens.grace_seconds is"),
            "{by_variable}"
        );
    }

    #[test]
    fn what_cannot_work_or_would_believe_everybody_is_refused_before_anybody_comes() {
        let rule = |rule: &str| format!("{SSO}facts = {{ mail = \"X-Mail\" }}\n[[login.rules]]\nname = \"r\"\n{rule}");
        for (text, words) in [
            ("[http]\npublic_url = \"chat.example.com\"".to_owned(), ["http.public_url", "absolute URL"]),
            ("[http]\npublic_url = \"//chat.example.com\"".to_owned(), ["http.public_url", "absolute URL"]),
            ("[http]\npublic_url = \"https://a.example?x\"".to_owned(), ["http.public_url", "query"]),
            ("[http]\ntrusted_proxies = [\"0.0.0.0/0\"]".to_owned(), ["http.trusted_proxies", "everybody"]),
            ("[http]\ntrusted_proxies = [\"::/0\"]".to_owned(), ["http.trusted_proxies", "everybody"]),
            (SSO.replace("127.0.0.1", "0.0.0.0/0"), ["source \"sso\": addresses", "everybody"]),
            (SSO.replace("127.0.0.1", "0.0.0.0"), ["source \"sso\": addresses", "nobody"]),
            (
                "[realtime]\nallowed_origins = [\"https://a.example/\"]".to_owned(),
                ["realtime.allowed_origins", "without a path"],
            ),
            ("[login]\nallowed_origins = [\"a.example\"]".to_owned(), ["login.allowed_origins", "a.example"]),
            (rule("service = \"chat\""), ["rule \"r\": service", "SID"]),
            (rule("grants = { sync_service = \"chat\" }"), ["rule \"r\": grants", "sync_service"]),
            (
                rule("grants = { push_credential = \"IS00000000000000000000000000000000\" }"),
                ["rule \"r\": grants", "CR"],
            ),
            (rule("identity = \"{email}\""), ["rule \"r\": identity asks for the fact \"email\"", "\"sso\""]),
            (rule("when = { groups = \"staff\" }"), ["rule \"r\": when asks for the fact \"groups\"", "\"sso\""]),
            (rule("when = { source = \"company\" }"), ["rule \"r\": when names the source \"company\"", ""]),
            (format!("{SITE}headers = {{ cookie = \"x\" }}"), ["source \"site\": headers", "forward"]),
            (format!("{SITE}headers = {{ Connection = \"x\" }}"), ["source \"site\": headers", "connection"]),
            (format!("{SITE}headers = {{ Host = \"https://a\" }}"), ["source \"site\": headers", "Host"]),
            (
                format!("{SITE}headers = {{ \"X Y\" = \"x\" }}"),
                ["source \"site\": headers", "not the name of a header"],
            ),
            (
                format!("{SITE}[[login.examples]]\nlogin = {{ source = \"x\", subject = \"7\" }}"),
                ["login.examples, number 1: login", "\"x\""],
            ),
            (
                format!(
                    "{SITE}[[login.examples]]\nlogin = {{ source = \"site\", subject = \"7\" }}\nrefused_by = \"x\""
                ),
                ["refused_by", "\"x\""],
            ),
        ] {
            let said = said(&text, &[]);
            assert!(words.iter().all(|word| said.contains(word)), "{text}\n{said}");
        }
        let good = format!(
            "[http]\npublic_url = \"https://a.example/chat/\"\ntrusted_proxies = [\"10.0.0.0/8\", \"::1\"]\n[realtime]\nallowed_origins = [\"null\", \"capacitor://localhost\"]\n{}",
            rule("identity = \"{mail:lower}\"")
        );
        assert!(Config::parse(&good).is_ok());
    }

    #[test]
    fn the_value_of_a_fixed_header_is_not_shown() {
        let text = format!("{SITE}headers = {{ X-Api-Key = \"s3cret\" }}");
        let shown = format!("{:?}", Config::parse(&text).unwrap());
        assert!(shown.contains("x-api-key") && !shown.contains("s3cret"), "{shown}");
    }
}
