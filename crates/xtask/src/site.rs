//! The static site in `dist/`.
//!
//! ```text
//! index.html, …            pages of www/static, with the folders' names filled in
//! crossover.js, .d.ts      the page API under its stable name
//! manifest.json            where crossover.js finds the worker's variants
//! systems.json, .zh.json   the systems in English and in Chinese, in the format of `crossover systems --json`
//! systems/ID.en.json, .zh  the page of each system: words and formulas from its READMEs, patterns as they are computed
//! systems.bib              their papers, as `crossover systems --bibtex` prints them
//! report.schema.json       the JSON Schema of results
//! sw.js, _headers          use without a network, isolation where the host can't send headers; the headers for hosts
//!                          that can
//! embed.html, oembed.json  the embedded race and its description for other sites
//! 404.html, 404.js         page for missing addresses
//! npm/                     the package for bundlers
//! assets/HASH/             everything else of www/static and www/js, in its own layout, so relative imports hold;
//!                          crossover.css is the files of www/static/css, joined in the order of their names
//! page/HASH/               the page module
//! worker/VARIANT-HASH/     the worker module's variants
//! ```
//!
//! All addresses are relative: the site works in any folder of any host.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use walkdir::WalkDir;

use crate::error::TaskError;
use crate::run::{program, read, root};
use crate::variant::{self, Variant};
use crate::wasm::{self, Effort, Module};
use crate::{Outcome, budget, cache, compress, headers, oembed, offline, package, step, toolchain, words};

/// Folder of the site.
pub fn folder() -> PathBuf {
    root().join("dist")
}

/// The page for missing addresses.
pub const NOT_FOUND: &str = "404.html";

/// The site's files by their path.
pub type Files = BTreeMap<String, Vec<u8>>;

/// Options of a site.
#[derive(Debug, Clone)]
pub struct Recipe<'a> {
    /// Optimisation effort for the page module.
    pub page: Effort,
    /// Variants of the worker module.
    pub workers: Vec<Variant>,
    /// Source of the files about the systems.
    pub systems: Systems,
    /// Files with compressed copies.
    pub compress: Compress,
    /// Whether modules are split.
    pub split: bool,
    /// Address of the published site, for the few files that other sites read.
    pub address: Option<&'a str>,
}

/// Files with compressed copies. The highest level takes seconds per module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compress {
    /// All files at the highest level. The size budgets apply to them.
    Best,
    /// All files, but variants of the worker other than the largest at a low level: only the largest has a budget then.
    BestOfLargest,
    /// No files.
    Nothing,
}

/// Source of the files about the systems. Making them takes a native build of the command line, then a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Systems {
    /// Made from the current sources.
    Made,
    /// Those of the last site that had them, even if sources have changed; none if there was no such site.
    Last,
}

impl<'a> Recipe<'a> {
    /// The site for visitors, with these variants.
    pub fn shipped(variants: &[Variant], address: Option<&'a str>) -> Self {
        Self {
            page: Effort::Shipped,
            workers: variants.to_vec(),
            systems: Systems::Made,
            compress: Compress::Best,
            split: true,
            address,
        }
    }

    /// A complete site for tests: the shipped site except for the compression of most variants.
    pub fn tested() -> Self {
        Self { compress: Compress::BestOfLargest, ..Self::shipped(&variant::ALL, None) }
    }

    /// A site for trying a change as soon as possible. The modules of these variants are the shipped ones.
    pub fn developer(variants: &[Variant]) -> Self {
        Self {
            page: Effort::Developer,
            systems: Systems::Last,
            compress: Compress::Nothing,
            ..Self::shipped(variants, None)
        }
    }
}

/// Compiled modules of a site.
pub struct Modules {
    page: Module,
    workers: Vec<(Variant, Module)>,
}

/// Builds a site.
///
/// # Errors
/// Those of the tools and of the file system, or a size over its budget.
pub fn build(recipe: &Recipe<'_>) -> Outcome {
    let modules = compile(recipe)?;
    finish(recipe, &modules)
}

/// Compiles a site's modules.
///
/// # Errors
/// Those of the tools and of the file system.
pub fn compile(recipe: &Recipe<'_>) -> Outcome<Modules> {
    let toolchain = toolchain::find_or_install()?;
    let page = wasm::page(&toolchain, recipe.page, recipe.split)?;
    let mut workers = Vec::new();
    for &variant in &recipe.workers {
        workers.push((variant, wasm::worker(&toolchain, variant, recipe.split)?));
    }
    Ok(Modules { page, workers })
}

/// Writes the site of compiled modules to `dist/`.
///
/// # Errors
/// Those of the `crossover` command and of the file system, or a size over its budget.
pub fn finish(recipe: &Recipe<'_>, modules: &Modules) -> Outcome {
    let systems = match recipe.systems {
        Systems::Made => {
            step("systems");
            let files = systems()?;
            keep(&files)?;
            files
        }
        Systems::Last => last()?,
    };
    step("site");
    let files = assemble(modules, systems, recipe.address)?;
    let written = write(&files, recipe.compress)?;
    println!("   dist/ holds {} files", written.len());
    if recipe.compress == Compress::Nothing { Ok(()) } else { budget::check(&written) }
}

/// Folder with the last files about the systems.
fn last_folder() -> PathBuf {
    root().join("target/site-systems")
}

/// Files about the systems of the last site that had them.
fn last() -> Outcome<Files> {
    collect(&last_folder(), "")
}

/// Whether an earlier site had files about the systems as they are now: as their facts, parameters and READMEs state
/// them. A changed kernel does not change these files.
pub fn has_systems() -> bool {
    let kept = fs::read_to_string(last_stamp()).unwrap_or_default();
    stamp().is_ok_and(|stamp| stamp == kept)
}

fn keep(files: &Files) -> Outcome {
    let folder = last_folder();
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(TaskError::file("remove", &folder))?;
    }
    files.iter().try_for_each(|(path, bytes)| cache::write(&folder.join(path), bytes))?;
    cache::write(&last_stamp(), stamp()?.as_bytes())
}

/// File with the [`stamp`] of the last files about the systems.
fn last_stamp() -> PathBuf {
    root().join("target/site-systems.stamp")
}

/// A hash of the sources of a system's facts, parameters and READMEs.
fn stamp() -> Outcome<String> {
    let mut sources = collect(&root().join("kernels/src/systems"), "")?;
    sources.retain(|path, _| path.ends_with("mod.rs") || path.contains("README"));
    sources.extend(collect(&root().join("crates/mixer/src"), "mixer/")?);
    let parts: Vec<&[u8]> =
        sources.iter().flat_map(|(path, bytes)| [path.as_bytes(), bytes.as_slice()]).collect();
    Ok(cache::hash(&parts))
}

fn assemble(modules: &Modules, systems: Files, address: Option<&str>) -> Outcome<Files> {
    let mut files = Files::new();
    let page_folder = add_folder(&mut files, "page/", &modules.page.folder)?;

    let mut addresses = serde_json::Map::new();
    let mut variants = BTreeMap::new();
    for (variant, module) in &modules.workers {
        let folder = add_folder(&mut files, &format!("worker/{variant}-"), &module.folder)?;
        variants.insert(variant.name().to_owned(), folder.clone());
        addresses.insert(variant.name().to_owned(), json!(format!("{folder}/{}.js", module.name)));
    }

    let mut sources = join_styles(collect(&root().join("www/static"), "")?);
    sources.extend(collect(&root().join("www/js"), "js/")?);
    let stable: Vec<String> = sources.keys().filter(|path| keeps_its_name(path)).cloned().collect();
    let (mut named, hashed): (Files, Files) =
        sources.into_iter().partition(|(path, _)| stable.contains(path));
    let service_worker = named.remove(offline::PATH).unwrap_or_default();
    // The hash covers templates and the values filled in.
    let parts: Vec<&[u8]> = hashed
        .iter()
        .flat_map(|(path, bytes)| [path.as_bytes(), bytes.as_slice()])
        .chain([page_folder.as_bytes()])
        .collect();
    let assets_folder = format!("assets/{}", cache::short(&cache::hash(&parts)));
    let folders = [("assets", assets_folder.as_str()), ("page", page_folder.as_str()), ("root", "")];
    for (path, bytes) in hashed {
        let path = format!("{assets_folder}/{path}");
        let bytes = fill_in(&path, bytes, &folders)?;
        files.insert(path, bytes);
    }
    for (path, bytes) in named {
        let path = path.strip_prefix("js/").map_or(path.clone(), str::to_owned);
        let bytes = fill_in(&path, bytes, &folders)?;
        files.insert(path, bytes);
    }

    let manifest = json!({ "boot": format!("{assets_folder}/js/worker-boot.js"), "workers": addresses });
    files.insert("manifest.json".to_owned(), format!("{manifest:#}\n").into_bytes());
    files.extend(systems);
    files.insert(oembed::PATH.to_owned(), oembed::description(address).into_bytes());
    let script = offline::service_worker(&service_worker, &files, &variants)?;
    files.insert(offline::PATH.to_owned(), script);
    let package = package::tarball(&files, collect(&root().join("www/npm"), "")?)?;
    files.insert(package::PATH.to_owned(), package);
    let paths: Vec<String> = files.keys().cloned().collect();
    files.insert("_headers".to_owned(), headers::file(&paths).into_bytes());
    Ok(files)
}

/// Joins the files of `css/` into `crossover.css`.
fn join_styles(sources: Files) -> Files {
    let (styles, mut files): (Files, Files) =
        sources.into_iter().partition(|(path, _)| path.starts_with("css/"));
    files.insert("crossover.css".to_owned(), styles.into_values().collect::<Vec<_>>().join(&b'\n'));
    files
}

/// Pages, and files that browsers or other sites request by name.
fn keeps_its_name(path: &str) -> bool {
    let in_top_folder = !path.contains('/');
    let named = ["html", "txt", "webmanifest", "ico"];
    let ending = Path::new(path).extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    in_top_folder && (named.contains(&ending) || matches!(path, "sw.js" | "404.js"))
        || path.starts_with("js/crossover.")
}

/// Copies a folder to `PREFIX<hash>` and returns that name.
fn add_folder(files: &mut Files, prefix: &str, folder: &Path) -> Outcome<String> {
    let content = collect(folder, "")?;
    let parts: Vec<&[u8]> =
        content.iter().flat_map(|(path, bytes)| [path.as_bytes(), bytes.as_slice()]).collect();
    let name = format!("{prefix}{}", cache::short(&cache::hash(&parts)));
    files.extend(content.into_iter().map(|(path, bytes)| (format!("{name}/{path}"), bytes)));
    Ok(name)
}

/// All files under a folder by their relative paths; none if the folder doesn't exist.
fn collect(folder: &Path, prefix: &str) -> Outcome<Files> {
    let mut files = Files::new();
    for entry in
        WalkDir::new(folder).into_iter().filter_map(Result::ok).filter(|entry| entry.file_type().is_file())
    {
        let relative = entry.path().strip_prefix(folder).unwrap_or(entry.path());
        let parts: Vec<_> = relative.iter().map(|part| part.to_string_lossy()).collect();
        let bytes = fs::read(entry.path()).map_err(TaskError::file("read", entry.path()))?;
        files.insert(format!("{prefix}{}", parts.join("/")), bytes);
    }
    Ok(files)
}

/// Replaces `{{assets}}`, `{{page}}` and `{{root}}` in text files by those folders' addresses relative to the file.
fn fill_in(path: &str, bytes: Vec<u8>, folders: &[(&str, &str)]) -> Outcome<Vec<u8>> {
    let text = [".html", ".js", ".css", ".webmanifest", ".svg"].iter().any(|ending| path.ends_with(ending));
    let Ok(mut text) = (if text { String::from_utf8(bytes) } else { return Ok(bytes) }) else {
        return Err(TaskError::Asset { page: path.into(), name: "text that is not UTF-8".to_owned() });
    };
    let depth = path.matches('/').count();
    let up = if depth == 0 { "./".to_owned() } else { "../".repeat(depth) };
    for (name, folder) in folders {
        let address = format!("{up}{folder}");
        text = text.replace(&format!("{{{{{name}}}}}"), address.trim_end_matches('/'));
    }
    if let Some(name) = unfilled(&text) {
        return Err(TaskError::Asset { page: path.into(), name });
    }
    Ok(text.into_bytes())
}

/// The first name in double braces. A script's types and templates may have double braces of their own.
fn unfilled(text: &str) -> Option<String> {
    text.split("{{").skip(1).find_map(|rest| {
        let (name, _) = rest.split_once("}}")?;
        (!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase())).then(|| name.to_owned())
    })
}

/// Files from the command line: the catalogue of systems, their pages, the papers, the schema of results.
fn systems() -> Outcome<Files> {
    let catalogue = match serde_json::from_str(&crossover(&["systems", "--json"])?) {
        Ok(serde_json::Value::Array(systems)) if !systems.is_empty() => systems,
        Ok(_) => return Err(unreadable("no list of systems".to_owned())),
        Err(error) => return Err(unreadable(error.to_string())),
    };
    let patterns = serde_json::from_slice(&patterns()?).map_err(|error| unreadable(error.to_string()))?;
    let mut files = words::files(&catalogue, &patterns)?;
    files.insert("systems.bib".to_owned(), crossover(&["systems", "--bibtex"])?.into_bytes());
    files.insert("report.schema.json".to_owned(), crossover(&["schema"])?.into_bytes());
    Ok(files)
}

/// Output of `crossover systems --patterns`: takes a minute, and is cached until a source that it depends on changes.
fn patterns() -> Outcome<Vec<u8>> {
    let mut sources = Files::new();
    for folder in ["kernels/src", "crates/algebra/src", "crates/mixer/src", "crates/cli/src"] {
        let code = collect(&root().join(folder), folder)?.into_iter();
        sources.extend(
            code.filter(|(path, _)| Path::new(path).extension().is_some_and(|ending| ending == "rs")),
        );
    }
    let parts: Vec<&[u8]> =
        sources.iter().flat_map(|(path, bytes)| [path.as_bytes(), bytes.as_slice()]).collect();
    cache::bytes(&format!("patterns-{}.json", cache::hash(&parts)), || {
        step("mixing patterns of the systems (a minute or two, once)");
        Ok(crossover(&["systems", "--patterns"])?.into_bytes())
    })
}

/// Output of the `crossover` command.
fn crossover(args: &[&str]) -> Outcome<String> {
    read(program("cargo", &[&["run", "--quiet", "--package", "cli", "--"], args].concat()))
}

fn unreadable(message: String) -> TaskError {
    TaskError::Output { program: "crossover systems".to_owned(), message }
}

/// Writes the files and their compressed copies to a temporary folder, which then replaces `dist/`.
fn write(files: &Files, compress: Compress) -> Outcome<Vec<budget::Written>> {
    let draft = root().join("target/site-draft");
    if draft.exists() {
        fs::remove_dir_all(&draft).map_err(TaskError::file("remove", &draft))?;
    }
    let mut written = Vec::new();
    for (path, bytes) in files {
        let file = draft.join(path);
        cache::write(&file, bytes)?;
        let best = compress == Compress::Best || !of_smaller_variant(path);
        let compressed = match compress {
            Compress::Nothing => None,
            _ if best => compress::both(path, bytes, compress::Level::Best)?,
            _ => compress::both(path, bytes, compress::Level::Fast)?,
        };
        if let Some(compressed) = &compressed {
            cache::write(&draft.join(format!("{path}.br")), &compressed.brotli)?;
            cache::write(&draft.join(format!("{path}.gz")), &compressed.gzip)?;
        }
        written.push(budget::Written {
            path: path.clone(),
            has_budget: best,
            raw: bytes.len(),
            gzip: compressed.as_ref().map(|compressed| compressed.gzip.len()),
            brotli: compressed.as_ref().map(|compressed| compressed.brotli.len()),
        });
    }
    let (site, old) = (folder(), root().join("target/site-old"));
    if old.exists() {
        fs::remove_dir_all(&old).map_err(TaskError::file("remove", &old))?;
    }
    // Two renames, since the folder may be served at this moment.
    if site.exists() {
        fs::rename(&site, &old).map_err(TaskError::file("move", &site))?;
    }
    fs::rename(&draft, &site).map_err(TaskError::file("write", &site))?;
    if old.exists() {
        fs::remove_dir_all(&old).map_err(TaskError::file("remove", &old))?;
    }
    Ok(written)
}

/// Whether a file belongs to a variant of the worker in which it is not the largest.
fn of_smaller_variant(path: &str) -> bool {
    let largest = if path.ends_with("/split_later.wasm") { variant::LARGEST_LAZY } else { variant::LARGEST };
    path.strip_prefix("worker/")
        .and_then(|path| path.rsplit_once('/')?.0.rsplit_once('-'))
        .is_some_and(|(variant, _)| variant != largest.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOLDERS: [(&str, &str); 3] = [("assets", "assets/ab"), ("page", "page/cd"), ("root", "")];

    fn filled(path: &str, text: &str) -> String {
        String::from_utf8(fill_in(path, text.as_bytes().to_vec(), &FOLDERS).unwrap()).unwrap()
    }

    #[test]
    fn addresses_are_relative_to_the_file() {
        assert_eq!(filled("index.html", "{{assets}}/style.css"), "./assets/ab/style.css");
        assert_eq!(filled("assets/ab/js/start.js", "{{page}}/www.js"), "../../../page/cd/www.js");
        assert_eq!(filled("assets/ab/js/start.js", "{{root}}/crossover.js"), "../../../crossover.js");
        assert_eq!(filled("index.html", "{{root}}/crossover.js"), "./crossover.js");
    }

    #[test]
    fn unknown_names_are_errors_and_other_files_do_not_change() {
        assert!(fill_in("index.html", b"{{nothing}}".to_vec(), &FOLDERS).is_err());
        let typed = "@param {{field?: string}} [more]";
        assert_eq!(filled("js/crossover.js", typed), typed);
        assert_eq!(fill_in("a.png", b"{{nothing}}".to_vec(), &FOLDERS).unwrap(), b"{{nothing}}");
    }

    #[test]
    fn the_largest_variant_is_recognised() {
        assert!(of_smaller_variant("worker/simd128-0a1b/worker.js"));
        assert!(of_smaller_variant("worker/relaxed-simd-0a1b/worker_bg.wasm"));
        for path in
            ["worker/threads-relaxed-simd-0a1b/worker_bg.wasm", "page/0a1b/www_bg.wasm", "crossover.js"]
        {
            assert!(!of_smaller_variant(path), "{path}");
        }
    }

    #[test]
    fn style_files_are_joined_in_the_order_of_their_names() {
        let files = [("css/20-b.css", "b{}"), ("css/10-a.css", "a{}"), ("theme.js", "1")];
        let files = files.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()));
        let joined = join_styles(files.into_iter().collect());
        assert_eq!(joined.keys().collect::<Vec<_>>(), ["crossover.css", "theme.js"]);
        assert_eq!(joined["crossover.css"], b"a{}\nb{}");
    }

    #[test]
    fn pages_and_the_api_keep_their_names() {
        for path in [
            "index.html",
            "embed.html",
            "404.html",
            "404.js",
            "sw.js",
            "robots.txt",
            "js/crossover.js",
            "js/crossover.d.ts",
        ] {
            assert!(keeps_its_name(path), "{path}");
        }
        for path in ["style.css", "js/start.js", "icons/icon.svg", "fonts/readme.txt"] {
            assert!(!keeps_its_name(path), "{path}");
        }
    }

    #[test]
    fn the_pages_of_the_repository_can_be_filled_in() {
        for folder in ["www/static", "www/js"] {
            for (path, bytes) in collect(&root().join(folder), "").unwrap() {
                // Another module fills this in.
                if path == offline::PATH {
                    continue;
                }
                assert!(fill_in(&path, bytes, &FOLDERS).is_ok(), "{path}");
            }
        }
    }
}
