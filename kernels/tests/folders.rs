//! Every registered system has a complete folder, and every system's folder is registered.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Files of every system's folder.
const FILES: [&str; 7] = ["README.md", "README.zh.md", "mod.rs", "cpu.rs", "gpu.rs", "tests.rs", "trials.rs"];

/// Files of every folder that has equations of its own.
const EQUATIONS: [&str; 2] = ["reference.rs", "cost.rs"];

/// Systems that compute another system's equations by another program, so that its reference and costs hold for them.
const PROGRAMS_OF_OTHERS: [&str; 1] = ["attention-naive"];

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/systems")
}

fn folder(id: &str) -> String {
    id.replace('-', "_")
}

/// Where folders of systems are; the fixture, which tests alone have, lies apart from those that are served.
fn roots() -> Vec<PathBuf> {
    let fixture = cfg!(feature = "fixture").then(|| sources().join("../fixture"));
    [sources()].into_iter().chain(fixture).collect()
}

/// Whether a system's folder has a file.
fn has(id: &str, file: &str) -> bool {
    roots().iter().any(|root| root.join(folder(id)).join(file).is_file())
}

#[test]
fn the_folders_with_a_readme_are_the_registered_systems() {
    let registered: BTreeSet<String> = kernels::infos().iter().map(|info| folder(info.id)).collect();
    assert_eq!(registered.len(), kernels::infos().len(), "two systems share a folder");
    let found: BTreeSet<String> = roots()
        .iter()
        .flat_map(|root| fs::read_dir(root).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("README.md").is_file())
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(found, registered);
}

#[test]
fn every_system_has_the_files_of_a_system() {
    let mut checked = 0;
    let mut missing = Vec::new();
    for system in kernels::systems() {
        let id = system.info().id;
        let equations: &[&str] = if PROGRAMS_OF_OTHERS.contains(&id) { &[] } else { &EQUATIONS };
        for file in FILES.iter().chain(equations) {
            if !has(id, file) {
                missing.push(format!("{}/{file}", folder(id)));
            }
        }
        checked += 1;
    }
    assert_eq!(checked, kernels::infos().len());
    assert!(missing.is_empty(), "missing: {missing:?}");
}
