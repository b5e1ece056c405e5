//! See `tertulia_fuzz::sync`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| tertulia_fuzz::sync(data));
