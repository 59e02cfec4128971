//! Writes to the build's output folder the WGSL files of `src` without comments and blanks, where the macro `wgsl!` takes
//! them from, and the registry of systems.

#[path = "build/registry.rs"]
mod registry;
#[path = "build/strip.rs"]
mod strip;

use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build");
    println!("cargo::rerun-if-changed=src");
    let variable = |name| env::var_os(name).map(PathBuf::from).ok_or(io::ErrorKind::NotFound);
    let source = variable("CARGO_MANIFEST_DIR")?.join("src");
    let out = variable("OUT_DIR")?;
    let systems = fs::read_to_string(source.join("systems/mod.rs"))?;
    fs::write(out.join("registry.rs"), registry::registry(&systems))?;
    copy(&source, &out.join("wgsl"))
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
