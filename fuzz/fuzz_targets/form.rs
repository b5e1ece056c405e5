//! See `tertulia_fuzz::form`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| tertulia_fuzz::form(data));
