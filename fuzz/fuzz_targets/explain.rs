//! See `tertulia_fuzz::explain`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| tertulia_fuzz::explain(data));
