//! The migrations are built in: a new or changed file builds this crate again.

fn main() {
    println!("cargo:rerun-if-changed=../../migrations");
}
