//! See `tertulia_fuzz::text`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| tertulia_fuzz::text(data));
