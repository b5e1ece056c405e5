//! See `tertulia_fuzz::logout`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| tertulia_fuzz::logout(data));
