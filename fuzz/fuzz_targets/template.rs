//! See `tertulia_fuzz::template`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| tertulia_fuzz::template(data));
