//! See `tertulia_fuzz::jwt`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| tertulia_fuzz::jwt(data));
