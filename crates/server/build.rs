//! Rebuilds the crate when the built pages change; `web/dist` is always there, perhaps without pages.
fn main() {
    println!("cargo:rerun-if-changed=../../web/dist");
}
