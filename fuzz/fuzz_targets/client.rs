//! See `tertulia_fuzz::client`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| tertulia_fuzz::client(data));
