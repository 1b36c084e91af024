//! Has the page's folder watched, so that a page built anew is embedded anew.

fn main() {
    // An empty folder is a gateway without a page, which says so; a missing one would be looked for at every build.
    let _ = std::fs::create_dir_all("web/dist");
    println!("cargo:rerun-if-changed=web/dist");
    println!("cargo:rerun-if-changed=build.rs");
}
