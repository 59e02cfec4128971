//! Compiling the two wasm modules and generating their JavaScript.
//!
//! All modules share one target folder, `target/wasm`. Cargo keeps crates with different flags apart there, and compiles
//! procedural macros and build scripts, a quarter of the work, once for all of them. With its older layout it would not
//! tell the linked modules apart, whose file names carry no hash: hence `-Z build-dir-new-layout`. What comes after cargo
//! (splitting, wasm-bindgen) is kept by the hash of the module.

use std::fs;
use std::path::{Path, PathBuf};

use wasm_bindgen_cli_support::Bindgen;

use crate::error::TaskError;
use crate::run::{root, run};
use crate::toolchain::{TARGET, Toolchain};
use crate::variant::{self, Variant};
use crate::{Outcome, cache, sections, step};

/// Version of this file's treatment of a module; part of the cache's key.
const TREATMENT: &[u8] = b"6";

/// The script that loads what was split off a module.
const LOADER: &str = "split.js";

/// How that script starts a module, and how it should: hosts may serve modules by another type than theirs.
const STREAMED: &str = "WebAssembly.instantiateStreaming(src, imports)";
const STARTED: &str = "start(src, imports)";
const START: &str = "
async function start(src, imports) {
    const response = await src;
    if (!response.ok) throw new Error(`${response.url}: HTTP ${response.status}`);
    return response.headers.get('content-type') === 'application/wasm'
        ? WebAssembly.instantiateStreaming(response, imports)
        : WebAssembly.instantiate(await response.arrayBuffer(), imports);
}
";

/// The same in a worker, whose threads start what it loaded, each in its own instance of the first module.
const START_ON_THREADS: &str = "
let loaded;
async function start(src, imports) {
    const response = await src;
    if (!response.ok) throw new Error(`${response.url}: HTTP ${response.status}`);
    loaded = new Uint8Array(await response.arrayBuffer());
    return WebAssembly.instantiate(loaded, imports);
}
export const code = () => loaded;
export function adopt_code(code) {
    new WebAssembly.Instance(new WebAssembly.Module(code.slice()), getSharedImports());
}
";

/// A module with its JavaScript, in a folder.
#[derive(Debug, Clone)]
pub struct Module {
    /// Stem of the files: `worker` means `worker.js` and `worker_bg.wasm`.
    pub name: &'static str,
    /// The folder.
    pub folder: PathBuf,
}

/// How much work the compiler puts into the page module. Modules of the worker have one profile: in parts or incrementally
/// compiled kernels are slower, some loops thirty times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// As small as possible: the module that visitors download.
    Shipped,
    /// Compiled quickly.
    Developer,
}

impl Effort {
    /// Cargo's profile of the page module, and what differs from the profile. A developer's page has the worker's profile
    /// but for one setting: macros and build scripts, which have a folder for each profile, then are compiled once.
    const fn profile(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Shipped => ("page", &[]),
            Self::Developer => (RELEASE, &["profile.release.opt-level=1"]),
        }
    }
}

/// Cargo's profile of everything but the shipped page.
const RELEASE: &str = "release";

/// Compiles the page module: small, without SIMD, so that it starts everywhere. What only `www/src/ui/second_module.rs` leads to
/// becomes a module of its own beside it, which the page loads once it is up.
///
/// # Errors
/// Those of cargo, of the splitting and wasm-bindgen.
pub fn page(toolchain: &Toolchain, effort: Effort, split: bool) -> Outcome<Module> {
    step("page module");
    let (profile, settings) = effort.profile();
    let file = cargo(toolchain, "www", profile, settings, &[], &variant::page_rustflags(split))?;
    finish("www", &file, START, false, split)
}

/// Compiles a variant of the worker module. What only `crates/worker/src/lazy_module.rs` leads to becomes a module of its own,
/// which the worker loads when it needs it.
///
/// # Errors
/// Those of cargo, of the splitting and wasm-bindgen.
pub fn worker(toolchain: &Toolchain, variant: Variant, split: bool) -> Outcome<Module> {
    step(&format!("worker module, {variant}"));
    let file = cargo(toolchain, "worker", RELEASE, &[], &variant.features(), &variant.rustflags(split))?;
    let start = if variant.threaded() { START_ON_THREADS } else { START };
    finish("worker", &file, start, variant.threaded(), split)
}

/// Compiles the kernels alone with a variant's flags: a module that needs no JavaScript.
///
/// # Errors
/// Those of cargo.
pub fn microbench(toolchain: &Toolchain, variant: Variant) -> Outcome<PathBuf> {
    step(&format!("kernels alone, {variant}"));
    let features: Vec<_> = variant.features().into_iter().filter(|feature| *feature != "threads").collect();
    let module = cargo(toolchain, "microbench", RELEASE, &[], &features, &variant.rustflags(true))?;
    let copy = target().join(format!("microbench-{variant}.wasm"));
    fs::copy(&module, &copy).map_err(TaskError::file("copy", &module))?;
    Ok(copy)
}

fn cargo(
    toolchain: &Toolchain,
    package: &str,
    profile: &str,
    settings: &[&str],
    features: &[&str],
    rustflags: &[String],
) -> Outcome<PathBuf> {
    let target = target();
    let target_text = target.to_string_lossy();
    let features = features.join(",");
    let mut args =
        vec!["build", "--lib", "--package", package, "--profile", profile, "--target-dir", &target_text];
    if !features.is_empty() {
        args.extend(["--features", &features]);
    }
    args.extend(settings.iter().flat_map(|setting| ["--config", setting]));
    run(toolchain.cargo(&args, rustflags))?;
    Ok(target.join(TARGET).join(profile).join(format!("{package}.wasm")))
}

/// Target folder of everything that is compiled to wasm. A build overwrites the modules of the last one with other flags:
/// a module is read, or copied, before the next build.
pub fn target() -> PathBuf {
    root().join("target/wasm")
}

/// Makes what is served out of a compiled module; `start` is how what is split off is started, where anything is.
fn finish(
    name: &'static str,
    file: &Path,
    start: &str,
    shared_memory: bool,
    is_split: bool,
) -> Outcome<Module> {
    let wasm = fs::read(file).map_err(TaskError::file("read", file))?;
    let whole: &[u8] = if is_split { b"" } else { b"whole" };
    let key = format!("module-{}", cache::hash(&[TREATMENT, start.as_bytes(), whole, &wasm]));
    let folder = cache::directory(&key, |folder| {
        let first = folder.join("first.wasm");
        if !is_split {
            cache::write(&first, &wasm)?;
            // The page asks for the loader beside its module, whether there is anything to load or not.
            cache::write(&folder.join(LOADER), b"")?;
        } else if shared_memory {
            split(name, &changed(&wasm, sections::to_be_split)?, folder, &first, start)?;
            // The tool that splits asks for a memory that the module makes, the one that writes JavaScript for one from outside.
            rewrite(&first, sections::with_imported_memory)?;
        } else {
            split(name, &wasm, folder, &first, start)?;
        }
        // What the modules share is exported under the linker's names.
        generate(generator(name, &first).keep_lld_exports(true).demangle(false), name, folder)?;
        fs::remove_file(&first).map_err(TaskError::file("remove", &first))
    })?;
    Ok(Module { name, folder })
}

/// Writes what belongs to the first module to `first`, and the others with the script that loads them beside it.
fn split(name: &str, wasm: &[u8], folder: &Path, first: &Path, start: &str) -> Outcome {
    let link_name = format!("./{LOADER}");
    let main_module = format!("./{name}.js");
    let mut options = wasm_split_cli_support::Options::new(wasm);
    options.output_dir = folder;
    options.main_out_path = first;
    options.link_name = &link_name;
    options.main_module = &main_module;
    let split =
        wasm_split_cli_support::transform(options).map_err(|error| TaskError::Split(format!("{error:#}")))?;
    for path in split.split_modules {
        rewrite(&path, sections::as_served)?;
    }
    let path = folder.join(LOADER);
    let loader = fs::read_to_string(&path).map_err(TaskError::file("read", &path))?;
    if !loader.contains(STREAMED) {
        return Err(TaskError::Split(format!("{LOADER} does not start modules by `{STREAMED}`")));
    }
    cache::write(&path, (loader.replace(STREAMED, STARTED) + start).as_bytes())
}

fn rewrite(path: &Path, change: impl Fn(&[u8]) -> Result<Vec<u8>, sections::Refused>) -> Outcome {
    let module = fs::read(path).map_err(TaskError::file("read", path))?;
    cache::write(path, &changed(&module, change)?)
}

fn changed(module: &[u8], change: impl Fn(&[u8]) -> Result<Vec<u8>, sections::Refused>) -> Outcome<Vec<u8>> {
    change(module).map_err(|error| TaskError::Split(error.to_string()))
}

/// A generator of JavaScript. No wasm-opt: it took a tenth off the raw size and added as much to the compressed one, which is
/// what travels.
fn generator(name: &str, file: &Path) -> Bindgen {
    let mut generator = Bindgen::new();
    generator
        .input_path(file)
        .out_name(name)
        .typescript(false)
        .remove_name_section(true)
        .remove_producers_section(true)
        // The library, unlike the command, leaves out the module's own address unless told.
        .omit_default_module_path(false);
    generator
}

fn generate(generator: &mut Bindgen, module: &str, folder: &Path) -> Outcome {
    generator.web(true).map_err(|error| refused(module, error))?;
    generator.generate(folder).map_err(|error| refused(module, error))
}

fn refused(module: &str, error: impl std::fmt::Display) -> TaskError {
    TaskError::Bindgen { module: module.to_owned(), message: format!("{error:#}") }
}
