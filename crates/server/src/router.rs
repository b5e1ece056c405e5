//! The one table of routes, and finding a route in it.
//!
//! Each noun brings its `ROUTES`; [`all`] is the list that the router, the documentation and the
//! permission test read.

use std::sync::LazyLock;

use matchit::Router;
use percent_encoding::percent_decode_str;

use crate::platform::{Method, Route, Surface};
use crate::{
    accounts, api_tokens, audit, conversations, dev, imports, jobs, keys, messages, participants, realtime,
    revocations, roles, sealing, services, tokens, users,
};

/// Where operations of Tertulia's own are.
pub const OWN_MOUNT: &str = "/tertulia/v1";

/// Every route, noun by noun.
pub fn all() -> impl Iterator<Item = &'static Route> {
    let nouns: [&[Route]; 22] = [
        accounts::http::ROUTES,
        imports::http::ROUTES,
        keys::http::ROUTES,
        services::http::ROUTES,
        roles::http::ROUTES,
        users::http::ROUTES,
        users::sdk::ROUTES,
        conversations::http::ROUTES,
        conversations::sdk::ROUTES,
        participants::http::ROUTES,
        participants::sdk::ROUTES,
        messages::http::ROUTES,
        messages::sdk::ROUTES,
        tokens::http::ROUTES,
        api_tokens::http::ROUTES,
        realtime::http::ROUTES,
        revocations::http::ROUTES,
        audit::http::ROUTES,
        jobs::http::ROUTES,
        sealing::ROUTES,
        dev::clock::ROUTES,
        dev::faults::http::ROUTES,
    ];
    nouns.into_iter().flatten()
}

/// One place where a route can be reached.
#[derive(Clone, Copy, Debug)]
pub struct Mounted {
    /// The route.
    pub route: &'static Route,
    /// Whether it is the form with the chat service in the path.
    pub service_form: bool,
}

impl Mounted {
    /// The whole path pattern.
    pub fn pattern(&self) -> String {
        let path = self.route.path;
        match self.route.surface {
            Surface::Service if self.service_form => format!("/v1/Services/{{ChatServiceSid}}{path}"),
            Surface::V1 | Surface::Service | Surface::Manage => format!("/v1{path}"),
            Surface::V2010 => format!("/2010-04-01{path}"),
            Surface::Own | Surface::OwnManage | Surface::Operator => format!("{OWN_MOUNT}{path}"),
            Surface::Sdk => path.to_owned(),
        }
    }

    /// The operation's name in the contract: the service form has `Service` after the verb.
    pub fn operation(&self) -> String {
        let name = self.route.operation;
        let verb_end = self.route.verb().len();
        if self.service_form { format!("{}Service{}", &name[..verb_end], &name[verb_end..]) } else { name.to_owned() }
    }
}

/// Every place where a route can be reached.
pub fn mounted() -> impl Iterator<Item = Mounted> {
    all().flat_map(|route| {
        let short = Mounted { route, service_form: false };
        let service = (route.surface == Surface::Service).then_some(Mounted { route, service_form: true });
        std::iter::once(short).chain(service)
    })
}

/// What a path leads to.
#[derive(Debug)]
pub enum Found {
    /// A route, and its parameters, decoded.
    Route(Mounted, Vec<(&'static str, String)>),
    /// The path exists, with other methods.
    OtherMethod,
    /// Nothing.
    Nothing,
}

type Table = Router<Vec<Mounted>>;

static REST: LazyLock<Table> = LazyLock::new(|| table(|surface| surface != Surface::Sdk));
static SDK: LazyLock<Table> = LazyLock::new(|| table(|surface| surface == Surface::Sdk));

fn table(wanted: impl Fn(Surface) -> bool) -> Table {
    let mut by_pattern: Vec<(String, Vec<Mounted>)> = Vec::new();
    for mounted in mounted().filter(|mounted| wanted(mounted.route.surface)) {
        let pattern = mounted.pattern();
        match by_pattern.iter_mut().find(|(known, _)| *known == pattern) {
            Some((_, routes)) => routes.push(mounted),
            None => by_pattern.push((pattern, vec![mounted])),
        }
    }
    let mut table = Table::new();
    for (pattern, routes) in by_pattern {
        table.insert(pattern, routes).expect("a test holds that the table has no two equal patterns");
    }
    table
}

/// Finds the REST route for a path, which is still percent-encoded.
pub fn find_rest(method: Method, path: &str) -> Found {
    find(&REST, method, path)
}

/// Finds the route of a request that an SDK tunnelled.
pub fn find_sdk(method: Method, path: &str) -> Found {
    find(&SDK, method, path)
}

fn find(table: &'static Table, method: Method, path: &str) -> Found {
    let Ok(matched) = table.at(path) else { return Found::Nothing };
    let Some(mounted) = matched.value.iter().find(|mounted| mounted.route.method == method) else {
        return Found::OtherMethod;
    };
    let mut params = Vec::new();
    for (name, value) in matched.params.iter() {
        // One round of decoding; `+` stays a plus sign in a path.
        let Ok(value) = percent_decode_str(value).decode_utf8() else { return Found::Nothing };
        // Nothing has a NUL in its name; PostgreSQL would not even take it as a parameter.
        if value.contains('\0') {
            return Found::Nothing;
        }
        params.push((name_of(mounted, name), value.into_owned()));
    }
    Found::Route(*mounted, params)
}

/// The parameter's name with the table's own lifetime.
fn name_of(mounted: &Mounted, name: &str) -> &'static str {
    if name == "ChatServiceSid" {
        return "ChatServiceSid";
    }
    let start = mounted.route.path.find(&format!("{{{name}}}")).map_or(0, |at| at + 1);
    &mounted.route.path[start..start + name.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_a_route_are_found_and_named() {
        let Found::Route(short, params) = find_rest(Method::Get, "/v1/Conversations/a%20b+c") else { panic!() };
        assert_eq!((short.operation().as_str(), params[0].1.as_str()), ("FetchConversation", "a b+c"));
        let Found::Route(service, _) = find_rest(Method::Get, "/v1/Services/IS1/Conversations/CH1") else { panic!() };
        assert_eq!(service.operation(), "FetchServiceConversation");
    }

    #[test]
    fn another_method_is_told_from_nothing() {
        assert!(matches!(find_rest(Method::Delete, "/v1/Conversations"), Found::OtherMethod));
        assert!(matches!(find_rest(Method::Get, "/v1/Nonsense"), Found::Nothing));
        for nameless in ["/v1/Conversations/%ff", "/v1/Conversations/a%00b"] {
            assert!(matches!(find_rest(Method::Get, nameless), Found::Nothing), "{nameless}");
        }
    }

    #[test]
    fn no_operation_stands_twice() {
        let mut names: Vec<_> = mounted().map(|mounted| (mounted.route.surface as u8, mounted.operation())).collect();
        names.sort();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
