//! See `tertulia_fuzz::session`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| tertulia_fuzz::session(data));
