//! What whoever runs a server meets beside the straight way: TLS, several nodes, and mistakes.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::dev::tertulia;
use crate::serve::{Serving, outcome, sealed_folder, serve_fails};

/// A certificate for `localhost` that signs itself, and its key, as files.
pub(crate) fn certificate(folder: &Path) -> (String, String) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let file = |name: &str, text: String| {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    (file("certificate.pem", made.cert.pem()), file("key.pem", made.signing_key.serialize_pem()))
}

#[test]
fn the_command_line_believes_exactly_the_certificate_of_the_server_beside_it() {
    let (folder, data) = sealed_folder();
    let (certificate_file, key_file) = certificate(folder.path());
    let tls = [("TERTULIA__TLS__CERTIFICATE", certificate_file.as_str()), ("TERTULIA__TLS__KEY", &key_file)];
    let server = Serving::with(&data, &tls);
    assert!(server.url.starts_with("https://127.0.0.1:"), "{}", server.url);
    // No name of the certificate is 127.0.0.1, and nobody has signed it: run.json names the file.
    assert!(server.ask(&["account", "list"]).unwrap().contains("First account"));
    let key = server.ask_json(&["key", "create", "ci"])["sid"].as_str().unwrap().to_owned();
    server.ask(&["key", "delete", &key]).unwrap();
    assert_eq!(server.ask_json(&["seal", "rotate"])["resealed_count"], 2);

    // From elsewhere: by the authority and the name, as everywhere.
    let first = server.first();
    let elsewhere = server.url.replace("127.0.0.1", "localhost");
    let from = |url: &str, args: &[&str], more: &[(&str, &str)]| {
        let mut command = tertulia(&[&["account", "list"], args].concat());
        let account = (first["TWILIO_ACCOUNT_SID"].as_str(), first["TWILIO_AUTH_TOKEN"].as_str());
        command.envs([("TERTULIA_URL", url), ("TWILIO_ACCOUNT_SID", account.0), ("TWILIO_AUTH_TOKEN", account.1)]);
        outcome(command.envs(more.iter().copied()))
    };
    let listed = from(&elsewhere, &["--ca", &certificate_file], &[]).unwrap();
    assert!(listed.contains("First account"), "{listed}");
    from(&elsewhere, &[], &[("TERTULIA_CA_FILE", &certificate_file)]).unwrap();
    let (other_folder, _) = sealed_folder();
    let (other, _) = certificate(other_folder.path());
    for (url, authority) in [(elsewhere.as_str(), &other), (&server.url, &certificate_file)] {
        let sentence = from(url, &["--ca", authority], &[]).unwrap_err();
        assert!(sentence.contains("is not believed") && sentence.contains("--ca FILE"), "{sentence}");
    }
    let sentence = from(&elsewhere, &["--ca", &key_file], &[]).unwrap_err();
    assert!(sentence.contains("there is no certificate in"), "{sentence}");

    // Another certificate in its place, and the operator's credential goes nowhere.
    fs::copy(&other, &certificate_file).unwrap();
    let sentence = server.ask(&["account", "list"]).unwrap_err();
    assert!(sentence.contains("another certificate than") && sentence.contains("run.json"), "{sentence}");
    fs::remove_file(&certificate_file).unwrap();
    let sentence = server.ask(&["account", "list"]).unwrap_err();
    assert!(sentence.contains("cannot be read") && sentence.contains(&certificate_file), "{sentence}");
}

/// A connection that trusts the certificate in a file and no other.
struct Trusting(StreamOwned<ClientConnection, TcpStream>);

impl Trusting {
    fn open(server: &Serving, certificate: &str) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(certificate).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
        let session = ClientConnection::new(config, ServerName::try_from("localhost").unwrap()).unwrap();
        Self(StreamOwned::new(session, TcpStream::connect(server.url.strip_prefix("https://").unwrap()).unwrap()))
    }

    /// Whether it is shown that certificate, and answered.
    fn is_answered(&mut self) -> bool {
        let request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let mut answer = Vec::new();
        let mut byte = [0];
        self.0.write_all(request).is_ok() && {
            while !answer.ends_with(b"\r\n\r\nok\n") && self.0.read_exact(&mut byte).is_ok() {
                answer.push(byte[0]);
            }
            answer.starts_with(b"HTTP/1.1 200")
        }
    }
}

#[test]
fn a_new_certificate_is_shown_without_a_restart_and_a_broken_one_is_not() {
    let (folder, data) = sealed_folder();
    let (other_folder, _) = sealed_folder();
    let (certificate_file, key_file) = certificate(folder.path());
    let tls = [("TERTULIA__TLS__CERTIFICATE", certificate_file.as_str()), ("TERTULIA__TLS__KEY", &key_file)];
    let server = Serving::with(&data, &[tls[0], tls[1], ("TERTULIA__HTTP__IDLE_SECONDS", "120")]);
    let old = folder.join("old.pem").to_str().unwrap().to_owned();
    fs::copy(&certificate_file, &old).unwrap();
    let (new, new_key) = certificate(other_folder.path());
    let mut first = Trusting::open(&server, &old);
    assert!(first.is_answered());

    fs::write(&certificate_file, "no certificate").unwrap();
    // It looks every ten seconds, and so long it may take here.
    server.logs("the new certificate cannot be used; the old one stays");
    assert!(Trusting::open(&server, &old).is_answered());

    fs::copy(&new_key, &key_file).unwrap();
    fs::copy(&new, &certificate_file).unwrap();
    server.logs("the certificate was read again");
    assert!(Trusting::open(&server, &new).is_answered());
    assert!(!Trusting::open(&server, &old).is_answered());
    assert!(first.is_answered(), "whoever is connected stays so");
}

#[test]
fn the_seal_key_changes_under_several_nodes() {
    let name = "the_seal_key_changes_under_several_nodes";
    let Some(url) = testkit::fresh_database(name) else { return };
    let environment = [("TERTULIA__STORE__ENGINE", "postgres"), ("TERTULIA__STORE__URL", url.as_str())];
    let (_one, first_data) = sealed_folder();
    let (_two, second_data) = sealed_folder();
    let (_three, spare) = sealed_folder();
    let file = |data: &Path| data.join("seal.key");
    let old = fs::read_to_string(file(&first_data)).unwrap();
    let new = fs::read_to_string(file(&spare)).unwrap();
    fs::write(file(&second_data), &old).unwrap();
    let nodes = [Serving::with(&first_data, &environment), Serving::with(&second_data, &environment)];
    let first = nodes[0].first();
    let account = (first["TWILIO_ACCOUNT_SID"].as_str(), first["TWILIO_AUTH_TOKEN"].as_str());
    let keys = format!("/2010-04-01/Accounts/{}/Keys.json", account.0);
    // As docs/operations.md says: all of them know the new key before one of them seals with it.
    let mut made = Vec::new();
    let mut resealed = Vec::new();
    for content in [format!("{old}{new}"), format!("{new}{old}")] {
        for node in &nodes {
            fs::write(file(&node.data), &content).unwrap();
            resealed.push(node.ask_json(&["seal", "rotate", "--keep-file"])["resealed_count"].as_u64().unwrap());
            for node in &nodes {
                made.push(node.call(account, "POST", &keys, "").1);
            }
            for (node, key) in nodes.iter().zip(made.iter().rev().take(2)) {
                let key = (key["sid"].as_str().unwrap(), key["secret"].as_str().unwrap());
                assert_eq!(node.get(key, "/v1/Services"), 200, "each opens what the other has sealed");
            }
        }
    }
    // The auth token, the first key and four more; then one of the second node's, from before it changed.
    assert_eq!(resealed, [0, 0, 6, 1]);
    for node in &nodes {
        fs::write(file(&node.data), &new).unwrap();
        assert_eq!(node.ask_json(&["seal", "rotate", "--keep-file"])["resealed_count"], 0);
    }
    for node in nodes {
        node.end();
    }
    assert!(serve_fails(&first_data, &[environment[0], environment[1], ("TERTULIA_SEAL_KEY", &old)]).contains("key"));
    let again = Serving::with(&first_data, &environment);
    for key in &made {
        let key = (key["sid"].as_str().unwrap(), key["secret"].as_str().unwrap());
        assert_eq!(again.get(key, "/v1/Services"), 200);
    }
}

#[test]
fn whoever_is_stuck_hears_what_to_do() {
    let (folder, data) = sealed_folder();
    let hears = |args: &[&str], environment: &[(&str, &str)], expected: &[&str]| {
        let sentence = outcome(tertulia(args).envs(environment.iter().copied())).unwrap_err();
        for part in expected {
            assert!(sentence.contains(part), "{args:?}: {part} is not in: {sentence}");
        }
    };
    let at = |args: &[&str], expected: &[&str]| {
        hears(&[args, &["--data", data.to_str().unwrap()]].concat(), &[], expected);
    };
    let no_server = &["no server runs on", "--data", "tertulia serve", "TERTULIA_URL"];
    at(&["account", "list"], no_server);
    at(&["seal", "rotate"], no_server);
    let nowhere = folder.join("nowhere");
    let init = format!("tertulia seal init --data {}", nowhere.display());
    hears(&["serve", "--data", nowhere.to_str().unwrap()], &[], &[&init]);

    let server = Serving::start(&data);
    let nobody = |prefix: &str| format!("{prefix}{}", "f".repeat(32));
    let (account, key, service) = (nobody("AC"), nobody("SK"), nobody("IS"));
    at(&["account", "show", &account], &["no account", &account, "tertulia account list"]);
    at(&["account", "delete", &account, "--yes"], &["no account", &account]);
    at(&["account", "show", "AC1"], &["'AC1'", "an account's SID is AC and 32 hexadecimal digits"]);
    at(&["key", "delete", &account], &["an API key's SID is SK"]);
    at(&["service", "show", "IS1/../../Accounts"], &["a chat service's SID is IS"]);
    at(&["account", "delete", &account], &["--yes", "suspend"]);
    at(&["account", "create", ""], &["<NAME>"]);
    at(&["account", "update", &account], &["--name"]);
    at(&["account", "auth-token", "promote"], &["no secondary auth token", "auth-token secondary"]);
    at(&["key", "show", &key], &["no API key", &key, "tertulia key list"]);
    at(&["key", "delete", &key], &["no API key", &key]);
    at(&["key", "list", "--account", &account], &["no account", &account]);
    at(&["key", "create", "--kind", "restricted"], &["--allow /twilio/conversations/"]);
    at(
        &["key", "create", "--kind", "restricted", "--allow", "messages"],
        &["messages is no permission", "docs/api.md"],
    );
    at(&["service", "delete", &service], &["no chat service", &service, "tertulia service list"]);
    at(&["service", "list", "--account", &account], &["no account", &account]);
    at(&["service", "list", "--account", "AC1"], &["an account's SID is AC"]);
    at(&["fault", "list"], &["tertulia dev"]);
    at(&["clock"], &["tertulia dev"]);
    at(&["serve", "--port", "0"], &["in use by another running server"]);
    server.ask(&["account", "create", "second"]).unwrap();
    at(&["service", "list"], &["several accounts", "--account", "tertulia account list"]);

    // By the environment.
    let list = &["account", "list"];
    let url = ("TERTULIA_URL", server.url.as_str());
    hears(list, &[url], &["TWILIO_ACCOUNT_SID", "--data"]);
    let wrong = [("TWILIO_API_KEY", key.as_str()), ("TWILIO_API_SECRET", "wrong")];
    hears(list, &[url, wrong[0], wrong[1]], &["refuses the credentials in TWILIO_API_KEY"]);
    hears(list, &[("TERTULIA_URL", "chat.example"), wrong[0], wrong[1]], &["https://chat.example.com"]);
    hears(list, &[("TERTULIA_URL", "http://127.0.0.1:1"), wrong[0], wrong[1]], &["does not answer", "TERTULIA_URL"]);
    hears(&["seal", "rotate"], &[url, wrong[0], wrong[1]], &["whoever runs the server", "--data"]);

    // What a server left behind that was killed, and what another one has written since.
    let left = fs::read_to_string(data.join("run.json")).unwrap();
    server.end();
    fs::write(data.join("run.json"), &left).unwrap();
    at(list, &["does not answer", "run.json", "tertulia serve"]);
    let server = Serving::start(&data);
    let run = fs::read_to_string(data.join("run.json")).unwrap();
    let secret = run.split("\"operator\": \"").nth(1).unwrap().split('"').next().unwrap();
    fs::write(data.join("run.json"), run.replace(secret, "of-another-start")).unwrap();
    at(list, &["refuses the credentials in", "run.json"]);
    fs::write(data.join("run.json"), "{").unwrap();
    at(list, &["is damaged", "restart"]);
    drop(server);
}
