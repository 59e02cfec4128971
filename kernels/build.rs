//! Writes the WGSL files of `src` without comments and blanks to the build's output folder, from which the macro
//! `wgsl!` includes them.

#[path = "build/strip.rs"]
mod strip;

use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build");
    println!("cargo::rerun-if-changed=src");
    let variable = |name| env::var_os(name).map(PathBuf::from).ok_or(io::ErrorKind::NotFound);
    let source = variable("CARGO_MANIFEST_DIR")?.join("src");
    copy(&source, &variable("OUT_DIR")?.join("wgsl"))
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let Some(name) = path.file_name() else { continue };
        let target = to.join(name);
        if path.is_dir() {
            copy(&path, &target)?;
        } else if path.extension().is_some_and(|extension| extension == "wgsl") {
            fs::create_dir_all(to)?;
            fs::write(target, strip::strip(&fs::read_to_string(&path)?))?;
        }
    }
    Ok(())
}
