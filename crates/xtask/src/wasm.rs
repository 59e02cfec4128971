//! Compiling the two wasm modules and generating their JavaScript.
//!
//! Each set of compiler flags has a target folder of its own, since cargo would otherwise rebuild everything whenever the
//! flags change. What comes after cargo (wasm-bindgen, wasm-opt) is kept by the hash of the module.

use std::fs;
use std::path::{Path, PathBuf};

use wasm_bindgen_cli_support::Bindgen;

use crate::error::TaskError;
use crate::run::{probe, root, run};
use crate::toolchain::{TARGET, Toolchain};
use crate::variant::Variant;
use crate::{Outcome, cache, step};

/// Version of this file's treatment of a module; part of the cache's key.
const TREATMENT: &[u8] = b"2";

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
pub fn page(toolchain: &Toolchain, optimizer: Option<&Path>) -> Outcome<Module> {
    step("page module");
    // Leptos then compiles views behind one type instead of one per shape: a third less to download.
    let erased = ["--cfg=erase_components".to_owned()];
    let file = cargo(toolchain, "www", "page", "page", &[], &erased, false)?;
    finish("www", &file, optimizer, "-Oz")
}

/// Compiles a variant of the worker module.
///
/// # Errors
/// Those of cargo and wasm-bindgen.
pub fn worker(toolchain: &Toolchain, variant: Variant, optimizer: Option<&Path>) -> Outcome<Module> {
    step(&format!("worker module, {variant}"));
    let file = cargo(
        toolchain,
        "worker",
        "release",
        variant.name(),
        &variant.features(),
        &variant.rustflags(),
        variant.threaded(),
    )?;
    finish("worker", &file, optimizer, "-O3")
}

/// The wasm-opt of the npm package `binaryen`, where the packages of `e2e/` are installed. Distributions ship versions
/// that are too old for today's modules, so those on the PATH are not used.
pub fn optimizer() -> Option<PathBuf> {
    let path = root().join("e2e/node_modules/binaryen/bin/wasm-opt");
    (path.is_file() && probe("node", &["--version"]).is_some()).then_some(path)
}

fn cargo(
    toolchain: &Toolchain,
    package: &str,
    profile: &str,
    folder: &str,
    features: &[&str],
    rustflags: &[String],
    build_std: bool,
) -> Outcome<PathBuf> {
    let target = root().join("target/wasm").join(folder);
    let target_text = target.to_string_lossy();
    let features = features.join(",");
    let mut args =
        vec!["build", "--lib", "--package", package, "--profile", profile, "--target-dir", &target_text];
    if !features.is_empty() {
        args.extend(["--features", &features]);
    }
    run(toolchain.cargo(&args, rustflags, build_std))?;
    Ok(target.join(TARGET).join(profile).join(format!("{package}.wasm")))
}

/// Generates the JavaScript and optimizes the module.
fn finish(name: &'static str, file: &Path, optimizer: Option<&Path>, level: &str) -> Outcome<Module> {
    let wasm = fs::read(file).map_err(TaskError::file("read", file))?;
    let optimized: &[u8] = if optimizer.is_some() { level.as_bytes() } else { b"as compiled" };
    let key = format!("module-{}", cache::hash(&[TREATMENT, optimized, &wasm]));
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
        generator.generate(folder).map_err(|error| refused(name, error))?;
        optimizer
            .map_or(Ok(()), |optimizer| optimize(optimizer, &folder.join(format!("{name}_bg.wasm")), level))
    })?;
    Ok(Module { name, folder })
}

fn refused(module: &str, error: impl std::fmt::Display) -> TaskError {
    TaskError::Bindgen { module: module.to_owned(), message: format!("{error:#}") }
}

fn optimize(optimizer: &Path, module: &Path, level: &str) -> Outcome {
    let module = module.to_string_lossy();
    let mut command =
        crate::run::program("node", &[&optimizer.to_string_lossy(), level, &module, "-o", &module]);
    command.env("BINARYEN_CORES", "2");
    run(command)
}
