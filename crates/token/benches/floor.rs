//! Minting and verifying, measured against what no implementation can do without: base64 and
//! HMAC-SHA256 over the same bytes. Run with `cargo bench -p tertulia-token`.
//!
//! The ratio is floor time divided by our time, so 1.0 is the best there is. Both sides are
//! measured in turn within one run, so that a busy machine slows both.

#![expect(clippy::print_stdout, reason = "a bench reports on standard output")]

use std::hint::black_box;
use std::time::Instant;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tertulia_token::{ChatGrant, Key, Mint, Rules, Secret, parse, verify};

const ACCOUNT: &str = "ACfa4efa4efa4efa4efa4efa4efa4e0001";
const KEY: &str = "SKfa4efa4efa4efa4efa4efa4efa4e0001";
const SERVICE: &str = "ISfa4efa4efa4efa4efa4efa4efa4e0001";
const SECRET: &str = "FAKE-vector-secret-not-real-0001";
const NOW: i64 = 1_700_000_000;

const ROUNDS: usize = 300;
const CALLS: u32 = 200;

const MINT_TARGET: f64 = 0.40;
const VERIFY_TARGET: f64 = 0.35;

fn main() {
    let secret = Secret::new(SECRET);
    let key = Key::new(KEY, ACCOUNT, SECRET);
    let token = mint(&secret);
    let parts: Vec<Vec<u8>> = token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).expect("base64url")).collect();

    let mut times: [Vec<f64>; 4] = Default::default();
    for _ in 0..ROUNDS {
        times[0].push(time(|| floor_encode(&parts)));
        times[1].push(time(|| mint(&secret)));
        times[2].push(time(|| floor_decode(&token)));
        times[3].push(time(|| check(&token, &key)));
    }
    let [mint_floor, mint, verify_floor, verify] = times.map(median);
    println!("a chat token of {} bytes, median of {ROUNDS} rounds:", token.len());
    println!("(all sides set the HMAC key up anew each time, and allocate their results)");
    report("mint", mint_floor, mint, MINT_TARGET);
    report("verify", verify_floor, verify, VERIFY_TARGET);
}

fn report(what: &str, floor: f64, ours: f64, target: f64) {
    let ratio = floor / ours;
    let verdict = if ratio >= target { "reached" } else { "MISSED" };
    println!("{what:<7} {ours:6.0} ns, floor {floor:6.0} ns, ratio {ratio:.2} (target {target:.2} {verdict})");
}

fn mint(secret: &Secret) -> String {
    let mint = Mint::new(ACCOUNT, KEY, secret).identity("alice");
    let minted = mint.grant(ChatGrant::new(SERVICE)).sign(black_box(NOW), black_box([7; 8]));
    minted.expect("a good token").token
}

/// What a service does with a token that arrives: everything up to the verified claims.
fn check(token: &str, key: &Key) -> String {
    let unverified = parse(black_box(token)).expect("well-formed");
    let token = verify(unverified, Some(key), &Rules::at(NOW)).expect("valid");
    token.identity().to_owned()
}

fn hmac(signed: &str) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("any length");
    mac.update(signed.as_bytes());
    mac.finalize().into_bytes().into()
}

/// The floor of minting: encode three parts, sign two.
fn floor_encode(parts: &[Vec<u8>]) -> String {
    let mut token = String::with_capacity(1024);
    URL_SAFE_NO_PAD.encode_string(black_box(&parts[0]), &mut token);
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(&parts[1], &mut token);
    let signature = hmac(&token);
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    token
}

/// The floor of verifying: decode three parts, sign two, compare.
fn floor_decode(token: &str) -> bool {
    let (signed, _) = black_box(token).rsplit_once('.').expect("three parts");
    let mut decoded = token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part));
    let (header, payload) = (decoded.next(), decoded.next());
    black_box((header, payload));
    let signature = decoded.next().expect("three parts").expect("base64url");
    signature == hmac(signed)
}

/// Nanoseconds per call.
fn time<T>(mut call: impl FnMut() -> T) -> f64 {
    #[expect(clippy::disallowed_methods, reason = "a bench measures")]
    let begin = Instant::now();
    for _ in 0..CALLS {
        black_box(call());
    }
    begin.elapsed().as_nanos() as f64 / f64::from(CALLS)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_unstable_by(f64::total_cmp);
    times[times.len() / 2]
}
