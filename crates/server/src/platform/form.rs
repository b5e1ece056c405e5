//! Form and query parameters: PascalCase names, repeated for lists (REST facts §1).

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use tertulia_protocol::sid::Kind;
use tertulia_protocol::{Code, Sid, Timestamp, form};

use super::{Error, Outcome, text};

/// Parameters in the order they came. Unknown names are ignored by whoever reads it.
#[derive(Clone, Debug, Default)]
pub struct Form {
    pairs: Vec<(String, String)>,
    /// Which names were asked for, where a test wants to know.
    asked: Option<Asked>,
}

/// Names that were asked for of a [`Form::watched`].
pub type Asked = Arc<Mutex<BTreeSet<String>>>;

impl Form {
    /// Reads `application/x-www-form-urlencoded` bytes.
    pub fn parse(bytes: &[u8]) -> Outcome<Self> {
        let pairs = form::parse(bytes).map_err(|cause| Error::parameter(cause.to_string()))?;
        Self::from_pairs(pairs)
    }

    /// From pairs that are decoded already. One door for all parameters: no NUL comes through it.
    pub fn from_pairs(pairs: Vec<(String, String)>) -> Outcome<Self> {
        for (name, value) in &pairs {
            text::storable("The name of a parameter", name)?;
            text::storable(name, value)?;
        }
        Ok(Self { pairs, asked: None })
    }

    /// The same, and a list of the names that are asked for from now on: a test holds it against the documentation.
    pub fn watched(pairs: Vec<(String, String)>) -> Outcome<(Self, Asked)> {
        let asked = Asked::default();
        let form = Self::from_pairs(pairs)?;
        Ok((Self { asked: Some(Arc::clone(&asked)), ..form }, asked))
    }

    fn values<'f>(&'f self, name: &'f str) -> impl Iterator<Item = &'f str> {
        if let Some(asked) = &self.asked {
            asked.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
        }
        self.pairs.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The first value of a parameter.
    pub fn text<'f>(&'f self, name: &'f str) -> Option<&'f str> {
        self.values(name).next()
    }

    /// The first value, owned.
    pub fn owned(&self, name: &str) -> Option<String> {
        self.text(name).map(str::to_owned)
    }

    /// A thing that an empty value takes away: then `Some(None)`.
    pub fn clearable(&self, name: &str) -> Option<Option<String>> {
        self.text(name).map(|text| Some(text.to_owned()).filter(|text| !text.is_empty()))
    }

    /// An ISO 8601 duration; nothing and zero both take a timer away.
    pub fn timer(&self, name: &str) -> Option<Option<String>> {
        self.clearable(name).map(|timer| timer.filter(|timer| timer != "PT0S"))
    }

    /// Every value of a repeated parameter.
    pub fn all(&self, name: &str) -> Vec<String> {
        self.values(name).map(str::to_owned).collect()
    }

    /// A parameter that must be there and not be empty.
    pub fn required<'f>(&'f self, name: &'f str) -> Outcome<&'f str> {
        let missing = || Error::parameter(format!("Missing required parameter {name} in the post body"));
        self.text(name).filter(|text| !text.is_empty()).ok_or_else(missing)
    }

    /// `true` or `false` in any letter case.
    pub fn flag(&self, name: &str) -> Outcome<Option<bool>> {
        match self.text(name) {
            None => Ok(None),
            Some(text) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some(text) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
            Some(_) => Err(Error::parameter(format!("{name} must be true or false"))),
        }
    }

    /// A SID, or the given code when it is malformed.
    pub fn sid<K: Kind>(&self, name: &str, malformed: Code) -> Outcome<Option<Sid<K>>> {
        let Some(text) = self.text(name).filter(|text| !text.is_empty()) else { return Ok(None) };
        let refuse = |cause| Error::refused(malformed, format!("{name} is {cause}"));
        Sid::parse(text).map(Some).map_err(refuse)
    }

    /// A date and time, or the given code when it is malformed.
    pub fn date(&self, name: &str, malformed: Code) -> Outcome<Option<Timestamp>> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let wrong = || Error::refused(malformed, format!("{name} must look like 2015-12-16T22:18:37Z"));
        text::date(text).map(Some).ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_a_nul_nor_foreign_bytes_come_in() {
        for wrong in [&b"Unknown=a%00b"[..], b"%00=x", b"a=\0", b"Body=%FF"] {
            assert_eq!(Form::parse(wrong).unwrap_err().code(), Code::ParameterInvalid);
        }
    }

    #[test]
    fn repeated_names_and_percent_escapes() {
        let form = Form::parse(b"Permission=a&Permission=b&Body=%C2%A1hola+se%C3%B1ora%21&Flag=True").unwrap();
        assert_eq!(form.all("Permission"), ["a", "b"]);
        assert_eq!(form.text("Body"), Some("¡hola señora!"));
        assert!(form.flag("Flag").unwrap().unwrap());
        assert!(form.flag("Body").is_err());
        assert!(form.required("FriendlyName").unwrap_err().to_string().contains("FriendlyName"));
    }
}
