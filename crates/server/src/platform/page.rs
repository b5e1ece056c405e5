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
    edge: Edge,
    number: i64,
}

/// Where a page lies in its list.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Edge {
    Beginning,
    After(Cursor),
    Before(Cursor),
}

/// Some rows, and where the pages around them lie.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// After the last row, when more follow.
    pub next: Option<Cursor>,
    /// Before the first row, when others precede.
    pub previous: Option<Cursor>,
}

/// What a page asks the store for: up to `limit` rows beyond a key, in the order of the list, or against
/// it for a page before.
#[derive(Clone, Copy, Debug)]
pub struct Span<K> {
    /// The key; the row that has it is left out.
    pub key: K,
    /// Against the order of the list.
    pub backwards: bool,
    /// Rows at most.
    pub limit: i64,
}

impl<K> Span<K> {
    /// In the order of the list.
    pub const fn forwards(key: K, limit: i64) -> Self {
        Self { key, backwards: false, limit }
    }
}

/// The key of lists that are ordered by `(created, sid)`.
pub type Created<'a> = (i64, &'a str);

/// Before every row of a list in ascending order of `(created, sid)`.
pub const OLDEST: Created<'_> = (i64::MIN, "");

/// Before every row of a list in descending order of `(created, sid)`.
pub const NEWEST: Created<'_> = (i64::MAX, "");

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
        let edge = match query.text("PageToken").filter(|token| !token.is_empty()) {
            None => Edge::Beginning,
            Some(token) => {
                let after = Cursor::parse(token).map(Edge::After);
                after.or_else(|| Cursor::parse_before(token).map(Edge::Before)).ok_or_else(foreign_token)?
            }
        };
        let number =
            query.text("Page").and_then(|text| text.parse().ok()).filter(|number| (0..=NUMBER_MAX).contains(number));
        Ok(Self { size, edge, number: number.unwrap_or(0) })
    }

    /// The rows to ask the store for, one more than the page has, to see whether others follow; `key`
    /// reads a row's key, `beginning` lies before every row.
    pub fn span<'a, K>(&'a self, beginning: K, key: impl Fn(&'a Cursor) -> Option<K>) -> Outcome<Span<K>> {
        let (cursor, backwards) = match &self.edge {
            Edge::Beginning => return Ok(Span::forwards(beginning, self.size + 1)),
            Edge::After(cursor) => (cursor, false),
            Edge::Before(cursor) => (cursor, true),
        };
        Ok(Span { key: key(cursor).ok_or_else(foreign_token)?, backwards, limit: self.size + 1 })
    }

    /// As [`PageRequest::span`], of a list that is ordered by `(created, sid)`.
    pub fn created_span<'a>(&'a self, beginning: Created<'a>) -> Outcome<Span<Created<'a>>> {
        self.span(beginning, |cursor| Some((cursor.number(0)?, cursor.text(1)?)))
    }

    /// As [`PageRequest::span`], of a list that is ordered by one text.
    pub fn text_span(&self) -> Outcome<Span<&str>> {
        self.span("", |cursor| cursor.text(0))
    }

    /// What to ask the store for, in lists that are ordered by two texts.
    pub fn pair_span(&self) -> Outcome<Span<(&str, &str)>> {
        self.span(("", ""), |cursor| cursor.text(0).zip(cursor.text(1)))
    }

    /// Cuts `rows`, which came for the [`Span`], into the page; `key` gives a row's sort key.
    pub fn cut<T>(&self, mut rows: Vec<T>, key: impl Fn(&T) -> Cursor) -> Page<T> {
        let more = rows.len() as i64 > self.size;
        rows.truncate(usize::try_from(self.size).unwrap_or(usize::MAX));
        if let Edge::Before(_) = self.edge {
            rows.reverse();
        }
        let (first, last) = (rows.first().map(&key), rows.last().map(&key));
        let (previous, next) = match &self.edge {
            Edge::Beginning => (None, last.filter(|_| more)),
            Edge::After(row) => (first.or_else(|| Some(row.clone())), last.filter(|_| more)),
            // The row that the page lies before was there, so others follow.
            Edge::Before(_) => (first.filter(|_| more), last),
        };
        Page { rows, next, previous }
    }

    fn meta<T>(&self, page: &Page<T>, url: &str, query: &Form, key: &'static str, kept: &[&str]) -> Meta {
        let mut filters = form_urlencoded::Serializer::new(String::new());
        for name in kept {
            filters.extend_pairs(query.all(name).iter().map(|value| (name, value)));
        }
        let mut filters = filters.finish();
        if !filters.is_empty() {
            filters.push('&');
        }
        let at = |number: i64, token: Option<String>| {
            let token = token.map(|token| format!("&PageToken={token}")).unwrap_or_default();
            format!("{url}?{filters}PageSize={}&Page={number}{token}", self.size)
        };
        Meta {
            page: self.number,
            page_size: self.size,
            first_page_url: at(0, None),
            previous_page_url: page.previous.as_ref().map(|row| at((self.number - 1).max(0), Some(row.token_before()))),
            url: at(self.number, self.token()),
            next_page_url: page.next.as_ref().map(|next| at(self.number + 1, Some(next.token()))),
            key,
        }
    }

    fn token(&self) -> Option<String> {
        match &self.edge {
            Edge::Beginning => None,
            Edge::After(row) => Some(row.token()),
            Edge::Before(row) => Some(row.token_before()),
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
    pub fn reply_2010<T: Serialize>(
        &self,
        page: &Page<T>,
        uri: &str,
        query: &Form,
        key: &'static str,
        kept: &[&str],
    ) -> Reply {
        Reply::ok(&list_2010(&self.meta(page, uri, query, key, kept), &page.rows))
    }
}

/// The sort key of lists that are ordered by `(created, sid)`.
pub fn created_key(created: tertulia_protocol::Timestamp, sid: &str) -> Cursor {
    Cursor::new([created.micros().to_string(), sid.to_owned()])
}

impl<T> Page<T> {
    /// The same page with other rows.
    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U> {
        Page { rows: self.rows.into_iter().map(change).collect(), next: self.next, previous: self.previous }
    }
}

/// Which way items of a map or list are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the lowest key.
    Up,
    /// From the highest key.
    Down,
}

impl Direction {
    /// The other way.
    pub const fn turned(self) -> Self {
        match self {
            Self::Up => Self::Down,
            Self::Down => Self::Up,
        }
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
    fn a_page_before_is_turned_and_leads_both_ways() {
        let key = |row: &i32| Cursor::new([row.to_string()]);
        let token = Cursor::new(["5".to_owned()]).token_before();
        let query = Form::parse(format!("PageSize=2&PageToken={token}").as_bytes()).unwrap();
        let request = PageRequest::read(&query, 100).unwrap();
        assert!(request.text_span().unwrap().backwards);
        let page = request.cut(vec![4, 3, 2], key);
        assert_eq!(page.rows, [3, 4]);
        assert_eq!((page.previous, page.next), (Some(key(&3)), Some(key(&4))));
        let first = request.cut(vec![4, 3], key);
        assert_eq!((first.previous, first.next), (None, Some(key(&4))));
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
