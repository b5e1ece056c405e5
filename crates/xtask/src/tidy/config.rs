//! `crates/xtask/tidy.json`: the lists that the rules read. Every exception in it has a reason.

use serde_json::Value;

pub(crate) struct Config {
    root: Value,
}

impl Config {
    pub(crate) fn parse(text: &str) -> Result<Config, String> {
        let root = serde_json::from_str(text).map_err(|error| format!("{FILE}: {error}"))?;
        Ok(Config { root })
    }

    /// The value at a JSON pointer; absent lists and objects read as empty.
    fn at(&self, pointer: &str) -> &Value {
        self.root.pointer(pointer).unwrap_or(&Value::Null)
    }

    pub(crate) fn number(&self, pointer: &str) -> Option<u64> {
        self.at(pointer).as_u64()
    }

    pub(crate) fn list(&self, pointer: &str) -> Vec<&str> {
        strings(self.at(pointer))
    }

    pub(crate) fn entries(&self, pointer: &str) -> Vec<(&str, &Value)> {
        let object = self.at(pointer).as_object();
        object.into_iter().flatten().map(|(key, value)| (key.as_str(), value)).collect()
    }

    pub(crate) fn objects(&self, pointer: &str) -> Vec<&Value> {
        self.at(pointer).as_array().into_iter().flatten().collect()
    }

    /// Every exception, of whatever rule.
    pub(crate) fn exceptions(&self) -> Vec<&Value> {
        let lists = self.entries("/exceptions").into_iter();
        lists.flat_map(|(_, list)| list.as_array().into_iter().flatten()).collect()
    }

    /// Whether an exception in the list at `pointer` names this file and this thing.
    pub(crate) fn excepts(&self, pointer: &str, file: &str, thing: &str) -> bool {
        self.objects(pointer).into_iter().any(|exception| {
            matches_path(field(exception, "file"), file)
                && (exception["of"].is_null() || strings(&exception["of"]).contains(&thing))
        })
    }
}

pub(crate) const FILE: &str = "crates/xtask/tidy.json";

pub(crate) fn strings(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

pub(crate) fn field<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or("")
}

/// A path, or a folder when the pattern ends in a slash.
fn matches_path(pattern: &str, file: &str) -> bool {
    pattern == file || (pattern.ends_with('/') && file.starts_with(pattern))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exception_is_for_a_file_or_a_folder_and_for_some_things_or_all() {
        let config = Config::parse(
            r#"{"exceptions": {"words": [
                {"file": "a.rs", "of": ["channel"], "reason": "r"},
                {"file": "b/", "reason": "r"}]}}"#,
        )
        .unwrap();
        let excepts = |file, thing| config.excepts("/exceptions/words", file, thing);
        assert!(excepts("a.rs", "channel") && !excepts("a.rs", "member"));
        assert!(excepts("b/c.rs", "member") && !excepts("c.rs", "member"));
    }
}
