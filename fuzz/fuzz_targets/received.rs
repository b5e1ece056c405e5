//! See `tertulia_fuzz::received`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| tertulia_fuzz::received(data));
