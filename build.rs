//! Scripts are embedded by `include_dir!`, which does not notice new files by itself.

fn main() {
    for dir in ["features", "apps"] {
        println!("cargo::rerun-if-changed={dir}");
    }
}
