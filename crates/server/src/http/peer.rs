//! Where a request comes from: the address at the other end, or what a trusted proxy says of it.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use axum::http::{HeaderMap, header};
use ipnet::{IpNet, Ipv4Net};

use crate::platform::config::Http;
use crate::platform::places::Place;

/// The widest networks that one organisation has for itself: 10.0.0.0/8 and fc00::/7.
const WIDEST_V4: u8 = 8;
const WIDEST_V6: u8 = 7;

/// The other end of a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its address.
    pub address: IpAddr,
    /// Whether the connection is encrypted.
    pub is_secure: bool,
    /// Its place among the connections of its address; none for a proxy, which is many people's.
    pub place: Option<Arc<Place<IpAddr>>>,
}

/// What a request says of itself, as far as it is to be believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct From {
    /// Who asks.
    pub address: IpAddr,
    /// Scheme and host that absolute URLs begin with.
    pub origin: String,
    /// Whether a proxy speaks for it.
    pub is_forwarded: bool,
}

impl From {
    /// Of a request. `X-Forwarded-For`, `-Proto` and `-Host` count when a trusted proxy sends them; from
    /// anybody else they are what anybody can write. A proxy may add a line of its own below those that came, so
    /// of several lines the last counts, and the addresses of all are one chain.
    pub fn read(config: &Http, peer: &Peer, headers: &HeaderMap) -> Self {
        let is_forwarded = is_trusted(config, peer.address);
        let lines = |name: &str| headers.get_all(name).iter().rev().filter(|_| is_forwarded);
        let forwarded = |name: &str| lines(name).next().and_then(|value| value.to_str().ok());
        // What is no text is no address.
        let chain = lines("x-forwarded-for").flat_map(|line| line.to_str().unwrap_or("?").rsplit(','));
        let address = client_of(config, chain).unwrap_or(peer.address);
        Self { address, origin: origin(config, peer, headers, forwarded), is_forwarded }
    }
}

fn origin<'h>(
    config: &Http,
    peer: &Peer,
    headers: &'h HeaderMap,
    forwarded: impl Fn(&str) -> Option<&'h str>,
) -> String {
    if !config.public_url.is_empty() {
        return config.public_url.trim_end_matches('/').to_owned();
    }
    let scheme = match forwarded("x-forwarded-proto") {
        Some("https") => "https",
        Some("http") => "http",
        _ if peer.is_secure => "https",
        _ => "http",
    };
    let own = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = [forwarded("x-forwarded-host"), own].into_iter().flatten().find(|host| is_host(host));
    let host = host.unwrap_or("localhost");
    format!("{scheme}://{host}")
}

/// A host and perhaps a port, and nothing that would end them in a URL.
fn is_host(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]_".contains(&byte))
}

/// Whether this address is a proxy whose word counts.
pub fn is_trusted(config: &Http, address: IpAddr) -> bool {
    config.trusted_proxies.iter().any(|net| net.contains(&address.to_canonical()))
}

/// The last address of the chain (which comes in from its end) that is not a trusted proxy's: what stands before it
/// anybody can write.
fn client_of<'h>(config: &Http, chain: impl Iterator<Item = &'h str>) -> Option<IpAddr> {
    let mut addresses = chain.map(|text| text.trim().parse::<IpAddr>());
    addresses.find_map(|address| match address {
        Ok(address) if is_trusted(config, address) => None,
        Ok(address) => Some(Some(address)),
        // What is no address ends what can be believed.
        Err(_) => Some(None),
    })?
}

/// A household has a /64 of IPv6, and may take any address of it.
pub(crate) fn bundled(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

/// Reads a list of addresses and networks, such as `127.0.0.1` and `10.0.0.0/8`.
pub(crate) fn networks<'de, D: serde::Deserializer<'de>>(list: D) -> Result<Vec<IpNet>, D::Error> {
    let texts = <Vec<String> as serde::Deserialize>::deserialize(list)?;
    let read = |text: &String| {
        let one = text.parse::<IpAddr>().map(IpNet::from);
        let wrong = || serde::de::Error::custom(format!("\"{text}\" is neither an address nor a network"));
        one.or_else(|_| text.parse()).map(as_compared).map_err(|_| wrong())
    };
    texts.iter().map(read).collect()
}

/// Addresses are compared in their own family, so a network of IPv4 that is written as one of IPv6 becomes what it is.
fn as_compared(net: IpNet) -> IpNet {
    match net {
        IpNet::V6(net) if net.prefix_len() >= 96 => match net.addr().to_canonical() {
            IpAddr::V4(address) => Ipv4Net::new(address, net.prefix_len() - 96).map_or(net.into(), IpNet::V4),
            IpAddr::V6(_) => net.into(),
        },
        net => net,
    }
}

/// What is wrong with a list of addresses whose word counts, as it goes on after the key's name: it must not mean
/// everybody, by one network or by several that are one together, nor nobody.
pub(crate) fn check_networks(networks: &[IpNet]) -> Result<(), String> {
    if let Some(net) =
        networks.iter().find(|net| net.addr().is_unspecified() && net.prefix_len() == net.max_prefix_len())
    {
        return Err(format!("has {}, an address that nobody comes from; list the proxy's own", net.addr()));
    }
    let widest = |net: &IpNet| match net {
        IpNet::V4(_) => WIDEST_V4,
        IpNet::V6(_) => WIDEST_V6,
    };
    let wide = IpNet::aggregate(&networks.to_vec()).into_iter().find(|net| net.prefix_len() < widest(net));
    match wide {
        Some(net) => Err(format!(
            "has {net}, which is everybody or nearly so, and what anybody writes into a header would be believed; \
             list the proxy's own addresses (at most a /{})",
            widest(&net)
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::Config;
    use crate::platform::places::Places;

    fn from(peer: &str, headers: &[(&'static str, &str)]) -> From {
        let mut config = Config::defaults().http;
        config.trusted_proxies = ["10.0.0.0/8", "192.0.2.1/32"].map(|net| net.parse().unwrap()).to_vec();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        From::read(&config, &Peer { address: peer.parse().unwrap(), is_secure: false, place: None }, &map)
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        let told = [
            ("x-forwarded-for", "203.0.113.9"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "chat.example.com"),
            ("host", "inside"),
        ];
        let trusted = from("10.1.2.3", &told);
        assert_eq!(
            (trusted.address.to_string().as_str(), trusted.origin.as_str()),
            ("203.0.113.9", "https://chat.example.com")
        );
        let stranger = from("203.0.113.7", &told);
        assert_eq!((stranger.address.to_string().as_str(), stranger.origin.as_str()), ("203.0.113.7", "http://inside"));
    }

    #[test]
    fn what_stands_before_the_last_stranger_is_not_believed() {
        for (chain, client) in [
            ("1.1.1.1, 203.0.113.9, 10.9.9.9, 192.0.2.1", "203.0.113.9"),
            ("203.0.113.9", "203.0.113.9"),
            ("1.1.1.1, nonsense, 10.9.9.9", "10.1.2.3"),
            ("10.9.9.9", "10.1.2.3"),
            ("", "10.1.2.3"),
        ] {
            assert_eq!(from("10.1.2.3", &[("x-forwarded-for", chain)]).address.to_string(), client, "{chain}");
        }
    }

    #[test]
    fn a_line_that_a_proxy_adds_counts_more_than_one_that_came() {
        let told = [
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-for", "203.0.113.9, 10.9.9.9"),
            ("x-forwarded-for", "192.0.2.1"),
            ("x-forwarded-host", "evil.example"),
            ("x-forwarded-host", "chat.example.com"),
        ];
        let read = from("10.1.2.3", &told);
        assert_eq!(
            (read.address.to_string().as_str(), read.origin.as_str()),
            ("203.0.113.9", "http://chat.example.com")
        );
        let odd = [("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "\u{e9}")];
        assert_eq!(from("10.1.2.3", &odd).address.to_string(), "10.1.2.3");
    }

    #[test]
    fn a_host_is_a_host() {
        let told = [("x-forwarded-host", "evil.example/path?"), ("host", "inside:1")];
        assert_eq!(from("10.1.2.3", &told).origin, "http://inside:1");
        assert_eq!(from("203.0.113.7", &[("host", "ana@evil.example/path?")]).origin, "http://localhost");
    }

    #[test]
    fn addresses_that_mean_everybody_or_nobody_are_refused() {
        let check = |list: &[&str]| {
            let list: Vec<_> = list.iter().map(|text| (*text).to_owned()).collect();
            let list = serde::de::value::SeqDeserializer::<_, serde::de::value::Error>::new(list.into_iter());
            check_networks(&networks(list).unwrap())
        };
        for list in [
            &["0.0.0.0/0"][..],
            &["::/0"],
            &["10.0.0.1", "0.0.0.0/1", "128.0.0.0/1"],
            &["::ffff:0.0.0.0/96"],
            &["2000::/3"],
            &["0.0.0.0"],
            &["::"],
        ] {
            assert!(check(list).is_err(), "{list:?}");
        }
        for list in [&["10.0.0.0/8", "fc00::/7"][..], &["127.0.0.1", "::1"], &["0.0.0.0/8"], &[]] {
            assert_eq!(check(list), Ok(()), "{list:?}");
        }
    }

    #[test]
    fn an_ipv4_network_may_be_written_as_one_of_ipv6() {
        let list = serde::de::value::SeqDeserializer::<_, serde::de::value::Error>::new(
            ["::ffff:10.0.0.0/104".to_owned()].into_iter(),
        );
        assert_eq!(networks(list).unwrap(), ["10.0.0.0/8".parse::<IpNet>().unwrap()]);
    }

    #[test]
    fn an_address_has_so_many_places_and_a_household_shares_them() {
        let places = Arc::new(Places::default());
        let take = |address: &str| places.take(bundled(address.parse().unwrap()), 2);
        let first = take("2001:db8::1").unwrap();
        let second = take("2001:db8::ffff").unwrap();
        assert!(take("2001:db8::2").is_none());
        assert!(take("2001:db8:1::1").is_some());
        assert!(take("::ffff:203.0.113.1").is_some());
        drop(first);
        assert!(take("2001:db8::2").is_some());
        drop(second);
        assert_eq!(places.names(), 0);
    }
}
