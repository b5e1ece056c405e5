//! See `tertulia_fuzz::claims`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| tertulia_fuzz::claims(data));
