//! Pages of lists: what was asked for, and the `meta` around what is answered (REST facts §4).

use serde::Serialize;
use tertulia_protocol::Cursor;
use tertulia_protocol::rest::{Meta, list, list_2010};

use super::{Error, Form, Outcome, Reply};

/// Rows of one page when nothing is asked for.
const SIZE_DEFAULT: i64 = 50;

/// Page numbers are decoration; a higher one counts as 0.
const NUMBER_MAX: i64 = 1_000_000_000;

/// Which page is asked for.
#[derive(Clone, Debug)]
pub struct PageRequest {
    /// Rows a page, at least 1.
    pub size: i64,
    /// After which row; `None` for the first page.
    pub after: Option<Cursor>,
    number: i64,
}

/// Some rows, and where the next page begins.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// After the last row, when more follow.
    pub next: Option<Cursor>,
}

/// A token that no page of this list gave.
fn foreign_token() -> Error {
    Error::parameter("Invalid PageToken.")
}

impl PageRequest {
    /// Reads `PageSize`, `Page` and `PageToken`. A size over `max` is cut, not refused: the helper
    /// libraries send their `limit` as the size.
    pub fn read(query: &Form, max: i64) -> Outcome<Self> {
        let size = match query.text("PageSize") {
            None => SIZE_DEFAULT.min(max),
            Some(text) => {
                let size = text.parse::<i64>().ok().filter(|size| *size >= 1);
                size.ok_or_else(|| Error::parameter("Invalid PageSize."))?.min(max)
            }
        };
        let after = match query.text("PageToken").filter(|token| !token.is_empty()) {
            None => None,
            Some(token) => Some(Cursor::parse(token).ok_or_else(foreign_token)?),
        };
        let number =
            query.text("Page").and_then(|text| text.parse().ok()).filter(|number| (0..=NUMBER_MAX).contains(number));
        Ok(Self { size, after, number: number.unwrap_or(0) })
    }

    /// What to ask the store for: one row more than the page has, to see whether a next page follows.
    pub fn limit(&self) -> i64 {
        self.size + 1
    }

    /// The last row of the page before, for lists that are ordered by `(created, sid)`.
    pub fn created_after(&self) -> Outcome<Option<(i64, &str)>> {
        let Some(after) = &self.after else { return Ok(None) };
        let key = after.number(0).zip(after.text(1));
        key.map(Some).ok_or_else(foreign_token)
    }

    /// The last row of the page before, for lists that are ordered by one number.
    pub fn number_after(&self) -> Outcome<Option<i64>> {
        let Some(after) = &self.after else { return Ok(None) };
        after.number(0).map(Some).ok_or_else(foreign_token)
    }

    /// The last row of the page before, for lists that are ordered by one text; empty for the first page.
    pub fn text_after(&self) -> &str {
        self.after.as_ref().and_then(|after| after.text(0)).unwrap_or_default()
    }

    /// Cuts `rows`, which [`PageRequest::limit`] bounded, into the page; `key` gives a row's sort key.
    pub fn cut<T>(&self, mut rows: Vec<T>, key: impl Fn(&T) -> Cursor) -> Page<T> {
        let more = rows.len() as i64 > self.size;
        rows.truncate(usize::try_from(self.size).unwrap_or(usize::MAX));
        let next = if more { rows.last().map(key) } else { None };
        Page { rows, next }
    }

    fn meta<T>(&self, page: &Page<T>, url: &str, query: &Form, key: &'static str, kept: &[&str]) -> Meta {
        let mut filters = String::new();
        for name in kept {
            for value in query.all(name) {
                let pair = serde_html_form::to_string([(name, value)]).unwrap_or_default();
                filters.push_str(&pair);
                filters.push('&');
            }
        }
        let at = |number: i64, token: Option<String>| {
            let token = token.map(|token| format!("&PageToken={token}")).unwrap_or_default();
            format!("{url}?{filters}PageSize={}&Page={number}{token}", self.size)
        };
        Meta {
            page: self.number,
            page_size: self.size,
            first_page_url: at(0, None),
            previous_page_url: None,
            url: at(self.number, self.after.as_ref().map(Cursor::token)),
            next_page_url: page.next.as_ref().map(|next| at(self.number + 1, Some(next.token()))),
            key,
        }
    }

    /// The answer with a v1 page; `url` is the list's own, `kept` the filters its links repeat.
    pub fn reply<T: Serialize>(
        &self,
        page: &Page<T>,
        url: &str,
        query: &Form,
        key: &'static str,
        kept: &[&str],
    ) -> Reply {
        Reply::ok(&list(&self.meta(page, url, query, key, kept), &page.rows))
    }

    /// The answer with a page of the 2010 API, whose URIs are paths.
    pub fn reply_2010<T: Serialize>(&self, page: &Page<T>, uri: &str, query: &Form, key: &'static str) -> Reply {
        Reply::ok(&list_2010(&self.meta(page, uri, query, key, &[]), &page.rows))
    }
}

/// The sort key of lists that are ordered by `(created, sid)`.
pub fn created_key(created: tertulia_protocol::Timestamp, sid: &str) -> Cursor {
    Cursor::new([created.micros().to_string(), sid.to_owned()])
}

impl<T> Page<T> {
    /// The same page with other rows.
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U> {
        Page { rows: self.rows.into_iter().map(change).collect(), next: self.next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_over_the_maximum_is_cut_and_nonsense_is_refused() {
        let read = |query: &str| PageRequest::read(&Form::parse(query.as_bytes()).unwrap(), 100);
        assert_eq!(read("PageSize=500").unwrap().size, 100);
        assert_eq!(read("").unwrap().size, 50);
        for wrong in ["PageSize=0", "PageSize=x", "PageToken=x"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn links_repeat_filters_before_the_size() {
        let query = Form::parse(b"Order=desc&PageSize=1").unwrap();
        let request = PageRequest::read(&query, 100).unwrap();
        let page = request.cut(vec![1, 2], |row| Cursor::new([row.to_string()]));
        let meta = request.meta(&page, "http://x/v1/M", &query, "messages", &["Order"]);
        assert_eq!(meta.url, "http://x/v1/M?Order=desc&PageSize=1&Page=0");
        assert_eq!(meta.next_page_url.unwrap(), "http://x/v1/M?Order=desc&PageSize=1&Page=1&PageToken=PT31");
    }
}
