//! The port under connections that are slow, many or from the wrong place: real sockets, real waiting.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use tertulia_server::platform::Config;

use crate::support::World;

fn connect(world: &World) -> TcpStream {
    TcpStream::connect(world.origin.strip_prefix("http://").unwrap()).unwrap()
}

/// What comes until the server closes; nobody waits for ever.
fn rest(stream: &mut TcpStream) -> String {
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(cause) if cause.kind() == std::io::ErrorKind::ConnectionReset => String::new(),
        Err(cause) => panic!("the server neither answers nor closes: {cause}"),
    }
}

fn said(world: &World, text: &str) -> String {
    let mut stream = connect(world);
    stream.write_all(text.as_bytes()).unwrap();
    rest(&mut stream)
}

fn hurried() -> World {
    World::sqlite_with(|config| {
        config.http.idle_seconds = 1;
        config.http.body_seconds = 1;
    })
}

#[test]
fn a_connection_that_says_nothing_is_closed() {
    let world = hurried();
    assert_eq!(rest(&mut connect(&world)), "");
}

#[test]
fn a_connection_that_says_half_a_head_is_closed() {
    assert_eq!(said(&hurried(), "GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: "), "");
}

#[test]
fn a_connection_that_has_been_answered_and_asks_no_more_is_closed() {
    let answer = said(&hurried(), "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("ok\n"), "{answer}");
}

/// Slowly enough, a head never comes to its end, however often something of it comes.
#[test]
fn a_head_that_comes_too_slowly_is_not_waited_for() {
    let world = hurried();
    let mut stream = connect(&world);
    stream.write_all(b"GET /healthz HTTP/1.1\r\nX-Slow: ").unwrap();
    let sent = (0..1000).take_while(|_| {
        std::thread::sleep(Duration::from_millis(20));
        stream.write_all(b"x").is_ok()
    });
    assert!(sent.count() < 1000, "twenty seconds later it is still listened to");
}

/// Who asks and asks and takes no answer.
#[test]
fn answers_that_nobody_takes_are_not_waited_for() {
    let world = World::sqlite_with(|config| {
        config.http.idle_seconds = 1;
        config.http.send_buffer_bytes = 16 * 1024;
    });
    let mut stream = world.play(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let address = world.origin.strip_prefix("http://").unwrap().parse().unwrap();
        socket.connect(address).await.unwrap().into_std().unwrap()
    });
    stream.set_nonblocking(false).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
    let many = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100);
    let ended = std::iter::repeat_with(|| stream.write_all(many.as_bytes())).find_map(Result::err).unwrap().kind();
    assert!(matches!(ended, std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe), "{ended:?}");
}

/// Whoever has closed their half is gone: nothing more can come of it.
#[test]
fn a_connection_that_is_half_closed_is_closed() {
    let world = World::sqlite();
    for begun in ["", "GET /healthz HTTP/1.1\r\nHost: x\r\nX-Half: ", "POST /v1/Conversations HTTP/1.1\r\nHost: x\r\n"]
    {
        let mut stream = connect(&world);
        stream.write_all(begun.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(rest(&mut stream), "", "{begun}");
    }
    let (_, mut websocket) = upgrade(&world, "");
    websocket.shutdown(std::net::Shutdown::Write).unwrap();
    rest(&mut websocket);
}

#[test]
fn a_body_that_does_not_come_is_not_waited_for() {
    let world = hurried();
    let credentials = "Authorization: Basic QUMwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMGRlMDpkZTAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMGRlMA==";
    let head =
        format!("POST /v1/Conversations HTTP/1.1\r\nHost: x\r\n{credentials}\r\nContent-Length: 100\r\n\r\nFriendly");
    let answer = said(&world, &head);
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("http.body_seconds"), "{answer}");
}

#[test]
fn a_head_has_a_bound() {
    let world = World::sqlite();
    let lines = "X-A: b\r\n".repeat(200);
    assert!(said(&world, &format!("GET /healthz HTTP/1.1\r\n{lines}\r\n")).starts_with("HTTP/1.1 431"));
    let long = "a".repeat(1_000_000);
    assert!(said(&world, &format!("GET /healthz HTTP/1.1\r\nX-A: {long}\r\n\r\n")).starts_with("HTTP/1.1 431"));
}

/// A connection that is in: it has been answered once.
fn settled(world: &World) -> TcpStream {
    let mut stream = connect(world);
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    stream
}

fn holds_two(set: impl FnOnce(&mut Config)) {
    let world = World::without_dev_mode(set);
    let (first, second) = (settled(&world), settled(&world));
    assert!(rest(&mut connect(&world)).starts_with("HTTP/1.1 503"));
    drop(first);
    // The place is free once the server has seen the end.
    let third = (0..200).find_map(|_| {
        let mut stream = connect(&world);
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        rest(&mut stream).starts_with("HTTP/1.1 200").then_some(stream)
    });
    assert!(third.is_some(), "a place that was left is free");
    drop(second);
}

#[test]
fn an_address_has_so_many_connections() {
    holds_two(|config| config.http.connections_per_address_max = 2);
}

#[test]
fn so_many_connections_are_no_websocket() {
    holds_two(|config| config.http.plain_connections_max = 2);
}

/// What an upgrade comes with in any case.
const UPGRADE: &str = "GET /v3/wsconnect HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// The status of an upgrade, and the websocket if it is one.
fn upgrade(world: &World, header: &str) -> (String, TcpStream) {
    let mut stream = connect(world);
    write!(stream, "{UPGRADE}{header}\r\n").unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    (String::from_utf8_lossy(&answer[9..]).into_owned(), stream)
}

#[test]
fn a_page_that_is_not_listed_opens_no_websocket() {
    let world =
        World::sqlite_with(|config| config.realtime.allowed_origins = vec!["https://app.example.com".to_owned()]);
    for (header, status) in [
        ("", "101"),
        ("Origin: https://app.example.com\r\n", "101"),
        ("Origin: https://evil.example.com\r\n", "403"),
        ("Origin: null\r\n", "403"),
        ("Origin: https://APP.example.com:443\r\n", "101"),
    ] {
        assert_eq!(upgrade(&world, header).0, status, "{header}");
    }
    let (_, mut stream) = upgrade(&world, "Origin: https://evil.example.com\r\nX-Forwarded-Host: y\r\n");
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let (mut text, mut part) = (String::new(), [0; 1024]);
    while !text.contains("Host)") {
        let length = stream.read(&mut part).unwrap();
        assert_ne!(length, 0, "{text}");
        text.push_str(&String::from_utf8_lossy(&part[..length]));
    }
    for word in ["https://evil.example.com", "realtime.allowed_origins", "http://x", "http.public_url"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    assert!(!text.contains("app.example.com"), "the list is for the log: {text}");
}

#[test]
fn behind_a_proxy_urls_and_addresses_are_the_clients() {
    let set = |config: &mut Config| {
        config.http.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
        config.http.connections_per_address_max = 1;
    };
    let world = World::without_dev_mode(set);
    let told = [("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "chat.example.com")];
    let actor = told
        .iter()
        .fold(world.tenant.with("X-Forwarded-For", "203.0.113.1"), |actor, (name, value)| actor.with(name, value));
    let url = actor.get("/v1/Configuration").is(200)["url"].as_str().unwrap().to_owned();
    assert_eq!(url, "https://chat.example.com/v1/Configuration");
    // The proxy has as many connections as it likes; each of its clients has one websocket here.
    let own = |address: &str| upgrade(&world, &format!("X-Forwarded-For: {address}\r\n"));
    let (first, held) = own("203.0.113.1");
    assert_eq!([first, own("203.0.113.1").0, own("203.0.113.2").0], ["101", "503", "101"]);
    drop(held);
}

/// An address that is no proxy's can write what it likes: it counts, and is noted, as itself.
#[test]
fn who_is_no_proxy_is_who_they_are_whatever_they_say() {
    let set = |config: &mut Config| {
        config.http.failed_authentications_per_minute = 3;
        config.http.trusted_proxies = vec!["192.0.2.0/24".parse().unwrap()];
    };
    let world = World::without_dev_mode(set);
    let mut guesses = (1..).map(|n| {
        let (address, chain) = (format!("203.0.113.{n}"), format!("192.0.2.1, 203.0.113.{n}"));
        let guess = world.with_credentials("AC00000000000000000000000000000000", "a guess");
        guess.with("X-Forwarded-For", if n % 2 == 0 { &address } else { &chain }).get("/v1/Conversations")
    });
    for _ in 0..3 {
        guesses.next().unwrap().refuses(401, 20003);
    }
    guesses.next().unwrap().refuses(429, 20429);
    world.tenant.with("X-Forwarded-For", "203.0.113.9").get("/v1/Conversations").refuses(429, 20429);

    let world = World::without_dev_mode(|config| config.http.connections_per_address_max = 1);
    let (first, held) = upgrade(&world, "X-Forwarded-For: 203.0.113.1\r\n");
    // It is turned away before it has said anything.
    assert!(first == "101" && rest(&mut connect(&world)).starts_with("HTTP/1.1 503"));
    drop(held);
}

/// A certificate for this machine, its key and the certificate again for whoever trusts it.
fn certificate(folder: &std::path::Path) -> (String, String, rustls::pki_types::CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let file = |name: &str, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let files = (file("certificate.pem", made.cert.pem()), file("key.pem", made.signing_key.serialize_pem()));
    (files.0, files.1, made.cert.der().clone())
}

type Encrypted = rustls::StreamOwned<rustls::ClientConnection, TcpStream>;

/// A connection to whoever shows this certificate, on which something has been said.
fn encrypted(
    world: &World,
    trusted: &rustls::pki_types::CertificateDer<'static>,
    text: &str,
) -> std::io::Result<Encrypted> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let session = rustls::ClientConnection::new(config, name).unwrap();
    let mut stream = rustls::StreamOwned::new(session, connect(world));
    stream.write_all(text.as_bytes())?;
    Ok(stream)
}

#[test]
fn everything_is_encrypted_when_there_is_a_certificate() {
    let folder = testkit::temp_dir();
    let (certificate, key, trusted) = certificate(folder.path());
    let world = World::sqlite_with(|config| {
        config.tls.certificate = certificate;
        config.tls.key = key;
        config.http.idle_seconds = 1;
    });
    let secure = |text: &str| encrypted(&world, &trusted, text).unwrap();
    let say = |text: &str| {
        let mut answer = vec![0; 12];
        secure(text).read_exact(&mut answer).unwrap();
        String::from_utf8(answer).unwrap()
    };
    assert_eq!(say("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 200");
    assert_eq!(say(&format!("{UPGRADE}\r\n")), "HTTP/1.1 101");
    // Who speaks without it is no longer listened to than who says nothing.
    assert!(!said(&world, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").starts_with("HTTP"));
    // Nor than who begins a handshake and does not go on; both have ten seconds. After it the port's times hold.
    let begun = || {
        let mut stream = connect(&world);
        stream.write_all(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc]).unwrap();
        stream
    };
    std::thread::scope(|scope| {
        let silent = [connect(&world), begun()].map(|mut stream| scope.spawn(move || rest(&mut stream)));
        assert_eq!(silent.map(|thread| thread.join().unwrap()), ["", ""]);
    });
    let mut half = secure("GET /healthz HTTP/1.1\r\nX-Half: ");
    half.sock.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let left = half.read(&mut [0; 12]).map_err(|cause| cause.kind());
    assert!(matches!(left, Ok(0) | Err(std::io::ErrorKind::UnexpectedEof)), "{left:?}");
}
