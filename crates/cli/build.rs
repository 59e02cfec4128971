//! Collects the systems' BibTeX from their READMEs, so that each paper is cited once, in its system's folder. A README
//! with "BibTeX as for `NAME`" uses the papers of that system.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let variable = |name| env::var(name).map(PathBuf::from).map_err(io::Error::other);
    let sources = variable("CARGO_MANIFEST_DIR")?.join("../../kernels/src");
    let mut readmes = BTreeMap::new();
    let mut folders = Vec::new();
    // The fixture's paper is printed only where tests register the fixture.
    for root in ["systems", "fixture"].map(|name| sources.join(name)) {
        println!("cargo::rerun-if-changed={}", root.display());
        folders.extend(fs::read_dir(root)?.collect::<Result<Vec<_>, _>>()?);
    }
    for folder in folders {
        let path = folder.path().join("README.md");
        let name =
            path.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().replace('_', "-");
        if path.is_file() {
            readmes.insert(name, fs::read_to_string(&path)?);
        }
    }
    let mut all = String::new();
    for (name, text) in &readmes {
        let other = text.split_once("BibTeX as for `").and_then(|(_, rest)| rest.split_once('`'));
        let source = other.and_then(|(other, _)| readmes.get(other)).unwrap_or(text);
        let blocks = source.split("```bibtex\n").skip(1).filter_map(|rest| rest.split_once("```"));
        for (block, _) in blocks {
            let _ = writeln!(all, "% system: {name}\n{}\n", block.trim());
        }
    }
    fs::write(variable("OUT_DIR")?.join("systems.bib"), all)
}
