//! Every registered system has a complete folder, and every system's folder is registered.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Files of every system's folder.
const FILES: [&str; 8] =
    ["README.md", "README.zh.md", "mod.rs", "cost.rs", "cpu.rs", "gpu.rs", "tests.rs", "trials.rs"];

/// The equations: a model, or a reference where the system is not written as a model yet.
const EQUATIONS: [&str; 2] = ["model.rs", "reference.rs"];

/// Systems whose equations are in a shared module.
const SHARED_EQUATIONS: [(&str, &str); 2] =
    [("attention", "../multi_head/model.rs"), ("attention-naive", "../multi_head/model.rs")];

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
        for file in FILES {
            if !has(id, file) {
                missing.push(format!("{}/{file}", folder(id)));
            }
        }
        let equations = match SHARED_EQUATIONS.iter().find(|(shared, _)| *shared == id) {
            Some((_, module)) => sources().join(module).is_file(),
            None => EQUATIONS.iter().any(|file| has(id, file)),
        };
        if !equations {
            missing.push(format!("{}/{}", folder(id), EQUATIONS[0]));
        }
        checked += 1;
    }
    assert_eq!(checked, kernels::infos().len());
    assert!(missing.is_empty(), "missing: {missing:?}");
}

#[test]
fn no_system_has_unsafe_code() {
    let mut folders = vec![sources()];
    let (mut checked, mut found) = (0, Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                checked += 1;
                if fs::read_to_string(&path).unwrap().contains("unsafe_code") {
                    found.push(path);
                }
            }
        }
    }
    assert!(checked > kernels::infos().len(), "no sources found");
    assert!(found.is_empty(), "use `ops::parts`, or add to `ops`: {found:?}");
}
