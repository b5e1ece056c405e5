//! See `tertulia_fuzz::headers`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| tertulia_fuzz::headers(data));
