//! Present so that build dependencies are unified too.
fn main() {}
