//! Compiles the two wasm modules and generates their JavaScript.
//!
//! All modules share the target folder `target/wasm`. Cargo separates crates with different flags there, and compiles
//! procedural macros and build scripts, a quarter of the work, once for all modules. With its older layout, linked
//! modules, whose file names have no hash, would overwrite each other: hence `-Z build-dir-new-layout`. The steps after
//! cargo (splitting, wasm-bindgen) are cached by the hash of the module.

use std::fs;
use std::path::{Path, PathBuf};

use wasm_bindgen_cli_support::Bindgen;

use crate::error::TaskError;
use crate::run::{root, run};
use crate::toolchain::{TARGET, Toolchain};
use crate::variant::{self, Variant};
use crate::{Outcome, cache, sections, step};

/// Version of this file's processing of a module, part of the cache key.
const TREATMENT: &[u8] = b"6";

/// Name of the script that loads the split-off module.
const LOADER: &str = "split.js";

/// The script's code that starts a module, and its replacement: hosts may serve modules with another MIME type.
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

/// The replacement in a worker, whose threads start the loaded module in their own instances of the first module.
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
    /// Stem of the files: `worker` for `worker.js` and `worker_bg.wasm`.
    pub name: &'static str,
    /// The folder of the files.
    pub folder: PathBuf,
}

/// Optimisation effort for the page module. Modules of the worker have only one profile: kernels compiled in parts or
/// incrementally are slower, some loops by a factor of thirty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// Smallest size, for visitors.
    Shipped,
    /// Fast compilation.
    Developer,
}

impl Effort {
    /// Cargo's profile of the page module, and the settings that differ from it. A developer's page uses the worker's
    /// profile but for one setting, so that macros and build scripts, which have a folder per profile, are compiled
    /// only once.
    const fn profile(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Shipped => ("page", &[]),
            Self::Developer => (RELEASE, &["profile.release.opt-level=1"]),
        }
    }
}

/// Cargo's profile of everything but the shipped page.
const RELEASE: &str = "release";

/// Compiles the page module: small and without SIMD, so that it starts in every browser. Code that only
/// `www/src/ui/second_module.rs` uses becomes a second module, which the page loads after it has started.
///
/// # Errors
/// Those of cargo, of the splitting tool and of wasm-bindgen.
pub fn page(toolchain: &Toolchain, effort: Effort, split: bool) -> Outcome<Module> {
    step("page module");
    let (profile, settings) = effort.profile();
    let file = cargo(toolchain, "www", profile, settings, &[], &variant::page_rustflags(split))?;
    finish("www", &file, START, false, split)
}

/// Compiles a variant of the worker module. Code that only `crates/worker/src/lazy_module.rs` uses becomes a second
/// module, which the worker loads on demand.
///
/// # Errors
/// Those of cargo, of the splitting tool and of wasm-bindgen.
pub fn worker(toolchain: &Toolchain, variant: Variant, split: bool) -> Outcome<Module> {
    step(&format!("worker module, {variant}"));
    let file = cargo(toolchain, "worker", RELEASE, &[], &variant.features(), &variant.rustflags(split))?;
    let start = if variant.threaded() { START_ON_THREADS } else { START };
    finish("worker", &file, start, variant.threaded(), split)
}

/// Compiles only the kernels with the flags of a variant: a module without JavaScript.
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

/// Target folder of all wasm builds. A build overwrites modules of the previous build with other flags, so each module
/// is read or copied before the next build.
pub fn target() -> PathBuf {
    root().join("target/wasm")
}

/// Generates the served files from a compiled module; `start` is the code that starts the split-off module, if there is
/// one.
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
            // The page requests the loader beside its module even if there is nothing to load.
            cache::write(&folder.join(LOADER), b"")?;
        } else if shared_memory {
            split(name, &changed(&wasm, sections::to_be_split)?, folder, &first, start)?;
            // The splitting tool needs a memory defined in the module, wasm-bindgen an imported one.
            rewrite(&first, sections::with_imported_memory)?;
        } else {
            split(name, &wasm, folder, &first, start)?;
        }
        // Shared items are exported under the linker's names.
        generate(generator(name, &first).keep_lld_exports(true).demangle(false), name, folder)?;
        fs::remove_file(&first).map_err(TaskError::file("remove", &first))
    })?;
    Ok(Module { name, folder })
}

/// Writes the files of the first module to `first`, and the split-off modules with the script that loads them beside
/// it.
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

/// The generator of JavaScript. wasm-opt is not used: it reduced the raw size by a tenth and increased the compressed
/// size by a tenth, and visitors download the compressed module.
fn generator(name: &str, file: &Path) -> Bindgen {
    let mut generator = Bindgen::new();
    generator
        .input_path(file)
        .out_name(name)
        .typescript(false)
        .remove_name_section(true)
        .remove_producers_section(true)
        // Unlike the command, the library omits the module's own address by default.
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
