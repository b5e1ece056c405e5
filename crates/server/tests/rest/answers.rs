//! What an app may answer when it is asked whose session it is, and what it may take: time, bytes, detours.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use super::login::given;
use crate::support::World;

/// The largest answer that these worlds take.
const BYTES_MAX: usize = 1000;

/// An app that answers whatever a test says, on a thread for each connection, and counts those.
struct App {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl App {
    fn start(answer: impl Fn(&mut TcpStream, &str) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, asked) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let (count, answer) = (Arc::clone(&asked), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, answer) = (stream.unwrap(), Arc::clone(&answer));
                count.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || {
                    let (mut head, mut byte) = (Vec::new(), [0]);
                    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
                        head.push(byte[0]);
                    }
                    answer(&mut stream, &String::from_utf8_lossy(&head));
                });
            }
        });
        Self { address, asked }
    }

    /// One that answers every request with these bytes, and closes.
    fn saying(bytes: String) -> Self {
        Self::start(move |stream, _| drop(stream.write_all(bytes.as_bytes())))
    }

    fn world(&self, timeout_ms: u32) -> World {
        World::sqlite_with(given(&format!(
            "[[sources]]\nname = \"site\"\nkind = \"app\"\nurl = \"http://{}/me\"\ntimeout_ms = {timeout_ms}\n\
             answer_bytes_max = {BYTES_MAX}\n",
            self.address
        )))
    }

    /// That nobody comes in by it just now: what is noted as the reason.
    #[track_caller]
    fn is_unavailable(&self, timeout_ms: u32) -> String {
        let world = self.world(timeout_ms);
        let answer = world.stranger.with("Cookie", "s=1").post("/token", &[]);
        assert_eq!(answer.header("retry-after"), Some("2"));
        let text = answer.refuses(503, 20503);
        assert_eq!(text, "Who is logged in cannot be found out just now", "the reason is for the log");
        reason(&world)
    }
}

/// The reason of the one refusal in the audit log, where it is noted in a quiet moment.
fn reason(world: &World) -> String {
    world.play(async {
        for _ in 0..1000 {
            let noted = world.owner.get("/tertulia/v1/Audit?Event=mint.refused").is(200);
            if let Value::String(reason) = &noted["audit"][0]["detail"]["reason"] {
                return reason.clone();
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("the refusal is not noted within ten seconds")
    })
}

/// Long enough for any machine: these are not about time.
const PATIENT: u32 = 60_000;

/// An answer of exactly so many bytes that says who it is.
fn padded(bytes: usize) -> String {
    let body = r#"{"identity":"ana","pad":""}"#;
    body.replace("\"\"}", &format!("\"{}\"}}", "x".repeat(bytes - body.len())))
}

fn with_length(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// In chunks of some bytes, without any length.
fn chunked(body: &str) -> String {
    let chunks = body.as_bytes().chunks(64).map(|chunk| {
        let text = std::str::from_utf8(chunk).expect("ASCII");
        format!("{:x}\r\n{text}\r\n", text.len())
    });
    format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n", chunks.collect::<String>())
}

/// Until the connection ends, as it was before there were lengths.
fn until_the_end(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n\r\n{body}")
}

#[test]
fn an_answer_has_so_many_bytes_and_not_one_more() {
    for written in [with_length, chunked, until_the_end] {
        for bytes in [BYTES_MAX - 1, BYTES_MAX] {
            assert_eq!(padded(bytes).len(), bytes);
            let app = App::saying(written(&padded(bytes)));
            let body = app.world(PATIENT).stranger.with("Cookie", "s=1").post("/token", &[]).is(200);
            assert_eq!(body["identity"], "ana");
        }
        let reason = App::saying(written(&padded(BYTES_MAX + 1))).is_unavailable(PATIENT);
        assert_eq!(reason, "size of the answer: found over 1000 bytes, expected less (answer_bytes_max is the bound)");
    }
}

#[test]
fn an_answer_without_an_end_is_left_at_the_bound() {
    let app = App::start(|stream, _| {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let mut going = stream.write_all(head.as_bytes());
        while going.is_ok() {
            going = stream.write_all(b"8\r\n        \r\n");
        }
    });
    assert_eq!(
        app.is_unavailable(PATIENT),
        "size of the answer: found over 1000 bytes, expected less (answer_bytes_max is the bound)"
    );
}

/// Keeps the connection open and says nothing more: until the other side is gone.
fn wait(stream: &mut TcpStream) {
    let _ = stream.read(&mut [0]);
}

#[test]
fn an_app_that_does_not_answer_in_time_is_not_waited_for() {
    let late = "time for an answer: found no answer within 50ms, expected one (timeout_ms)";
    let mute = App::start(|stream, _| wait(stream));
    assert_eq!(mute.is_unavailable(50), late);
    // The time is for everything: a beginning does not win more of it.
    for beginning in ["HTTP/1.1 200", "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{"] {
        let app = App::start(move |stream, _| {
            let _ = stream.write_all(beginning.as_bytes());
            wait(stream);
        });
        assert_eq!(app.is_unavailable(50), late, "{beginning}");
    }
    assert_eq!(mute.asked.load(Ordering::SeqCst), 1, "once, and not again");
}

#[test]
fn an_answer_that_breaks_off_is_none() {
    let whole = padded(100);
    let half = &whole[..50];
    let begun = format!("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{half}");
    let in_chunks = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n32\r\n{half}\r\n");
    // Who it is stands in the part that came, but nobody knows what would have followed.
    assert!(half.contains(r#""identity":"ana""#));
    for broken in [begun, in_chunks] {
        let reason = App::saying(broken).is_unavailable(PATIENT);
        assert!(reason.starts_with("connection: found the answer broke off: "), "{reason}");
    }
    for broken in ["", "HTTP/1.1 200 OK\r\nCont", "SSH-2.0\r\n"] {
        let reason = App::saying(broken.to_owned()).is_unavailable(PATIENT);
        assert!(reason.starts_with("connection: found no answer: "), "{broken}: {reason}");
    }
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let app = App { address: nobody.local_addr().unwrap(), asked: Arc::default() };
    drop(nobody);
    let reason = app.is_unavailable(PATIENT);
    assert!(reason.starts_with("connection: found no connection: "), "{reason}");
}

#[test]
fn an_answer_that_is_no_json_of_somebody_is_none() {
    for (body, wanted) in [
        ("<html>Welcome, ana</html>", "what is not JSON"),
        ("", "what is not JSON"),
        ("{\"identity\": \"ana\"", "what is not JSON"),
        ("{\"identity\": \"ana\"} and more", "what is not JSON"),
        ("\"ana\"", "JSON without a text or whole number \"identity\""),
        ("[{\"identity\": \"ana\"}]", "JSON without a text or whole number \"identity\""),
        ("{\"identity\": \"\"}", "JSON without a text or whole number \"identity\""),
        ("{\"identity\": null}", "JSON without a text or whole number \"identity\""),
    ] {
        let reason = App::saying(with_length(body)).is_unavailable(PATIENT);
        assert!(reason.starts_with(&format!("answer: found {wanted}")), "{body}: {reason}");
    }
}

#[test]
fn nobody_is_led_elsewhere_with_a_cookie() {
    let elsewhere = App::saying(with_length(r#"{"identity":"ana"}"#));
    for status in [301, 302, 303, 307, 308] {
        let address = elsewhere.address;
        let app = App::start(move |stream, head| {
            assert!(head.to_lowercase().contains("cookie: s=1"), "{head}");
            let _ = write!(
                stream,
                "HTTP/1.1 {status} X\r\nLocation: http://{address}/me\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
        });
        let world = app.world(PATIENT);
        let text = world.stranger.with("Cookie", "s=1").post("/token", &[]).refuses(502, 20503);
        assert_eq!(text, "Who is logged in cannot be found out just now");
        assert_eq!(app.asked.load(Ordering::SeqCst), 1);
    }
    assert_eq!(elsewhere.asked.load(Ordering::SeqCst), 0, "nobody was shown the cookie");
}
