//! See `tertulia_fuzz::token`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| tertulia_fuzz::token(data));
