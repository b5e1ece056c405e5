//! See `tertulia_fuzz::provider`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| tertulia_fuzz::provider(data));
