//! See `tertulia_fuzz::packet`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| tertulia_fuzz::packet(data));
