//! Compiling the two wasm modules and generating their JavaScript.
//!
//! Each set of compiler flags has a target folder of its own, since cargo would otherwise rebuild everything whenever the
//! flags change. What comes after cargo (wasm-bindgen) is kept by the hash of the module.

use std::fs;
use std::path::{Path, PathBuf};

use wasm_bindgen_cli_support::Bindgen;

use crate::error::TaskError;
use crate::run::{root, run};
use crate::toolchain::{TARGET, Toolchain};
use crate::variant::{self, Variant};
use crate::{Outcome, cache, step};

/// Version of this file's treatment of a module; part of the cache's key.
const TREATMENT: &[u8] = b"3";

/// A module with its JavaScript, in a folder.
#[derive(Debug, Clone)]
pub struct Module {
    /// Stem of the files: `worker` means `worker.js` and `worker_bg.wasm`.
    pub name: &'static str,
    /// The folder.
    pub folder: PathBuf,
}

/// Compiles the page module: small, without SIMD, so that it starts everywhere.
///
/// # Errors
/// Those of cargo and wasm-bindgen.
pub fn page(toolchain: &Toolchain) -> Outcome<Module> {
    step("page module");
    let file = cargo(toolchain, "www", "page", "page", &[], &variant::page_rustflags())?;
    finish("www", &file)
}

/// Compiles a variant of the worker module.
///
/// # Errors
/// Those of cargo and wasm-bindgen.
pub fn worker(toolchain: &Toolchain, variant: Variant) -> Outcome<Module> {
    step(&format!("worker module, {variant}"));
    let file =
        cargo(toolchain, "worker", "release", variant.name(), &variant.features(), &variant.rustflags())?;
    finish("worker", &file)
}

/// Compiles the kernels alone with a variant's flags: a module that needs no JavaScript.
///
/// # Errors
/// Those of cargo.
pub fn microbench(toolchain: &Toolchain, variant: Variant) -> Outcome<PathBuf> {
    step(&format!("kernels alone, {variant}"));
    let features: Vec<_> = variant.features().into_iter().filter(|feature| *feature != "threads").collect();
    let folder = format!("microbench-{variant}");
    cargo(toolchain, "microbench", "release", &folder, &features, &variant.rustflags())
}

fn cargo(
    toolchain: &Toolchain,
    package: &str,
    profile: &str,
    folder: &str,
    features: &[&str],
    rustflags: &[String],
) -> Outcome<PathBuf> {
    let target = root().join("target/wasm").join(folder);
    let target_text = target.to_string_lossy();
    let features = features.join(",");
    let mut args =
        vec!["build", "--lib", "--package", package, "--profile", profile, "--target-dir", &target_text];
    if !features.is_empty() {
        args.extend(["--features", &features]);
    }
    run(toolchain.cargo(&args, rustflags))?;
    Ok(target.join(TARGET).join(profile).join(format!("{package}.wasm")))
}

/// Generates the JavaScript. No wasm-opt: it took a tenth off the raw size and added as much to the compressed one, which is
/// what travels.
fn finish(name: &'static str, file: &Path) -> Outcome<Module> {
    let wasm = fs::read(file).map_err(TaskError::file("read", file))?;
    let key = format!("module-{}", cache::hash(&[TREATMENT, &wasm]));
    let folder = cache::directory(&key, |folder| {
        let mut generator = Bindgen::new();
        generator
            .input_path(file)
            .out_name(name)
            .typescript(false)
            .remove_name_section(true)
            .remove_producers_section(true)
            // The library, unlike the command, leaves out the module's own address unless told.
            .omit_default_module_path(false);
        generator.web(true).map_err(|error| refused(name, error))?;
        generator.generate(folder).map_err(|error| refused(name, error))
    })?;
    Ok(Module { name, folder })
}

fn refused(module: &str, error: impl std::fmt::Display) -> TaskError {
    TaskError::Bindgen { module: module.to_owned(), message: format!("{error:#}") }
}
