//! The service worker with the list of the files that it caches. The list is part of the script, so a new build changes
//! the script, and browsers check the script for changes.

use std::collections::BTreeMap;

use serde_json::json;

use crate::Outcome;
use crate::cache;
use crate::error::TaskError;
use crate::site::Files;

/// Its name in the site.
pub const PATH: &str = "sw.js";

/// Files that no page requests.
fn left_out(path: &str) -> bool {
    path == PATH
        || path == "_headers"
        || path == "oembed.json"
        || path.starts_with("404.")
        || path.starts_with("npm/")
        || path.ends_with(".d.ts")
}

/// Fills `{{build}}`, `{{shell}}` and `{{workers}}` into the script. `variants` are the worker's variants by their
/// folders.
///
/// # Errors
/// If the script lacks one of these names.
pub fn service_worker(
    template: &[u8],
    files: &Files,
    variants: &BTreeMap<String, String>,
) -> Outcome<Vec<u8>> {
    let kept: Vec<(&String, &Vec<u8>)> = files.iter().filter(|(path, _)| !left_out(path)).collect();
    let parts: Vec<&[u8]> =
        kept.iter().flat_map(|(path, bytes)| [path.as_bytes(), bytes.as_slice()]).collect();
    let build = cache::short(&cache::hash(&parts)).to_owned();
    let of = |folder: &str| -> Vec<&str> {
        let inside = kept
            .iter()
            .filter(|(path, _)| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/')));
        inside.map(|(path, _)| path.as_str()).collect()
    };
    // A page is cached under the address of its folder.
    let shell: Vec<&str> = kept
        .iter()
        .filter(|(path, _)| !path.starts_with("worker/"))
        .map(|(path, _)| if path.as_str() == "index.html" { "./" } else { path.as_str() })
        .collect();
    let workers: BTreeMap<&str, Vec<&str>> =
        variants.iter().map(|(variant, folder)| (variant.as_str(), of(folder))).collect();

    let mut script = String::from_utf8_lossy(template).into_owned();
    for (name, value) in
        [("build", build), ("shell", json!(shell).to_string()), ("workers", json!(workers).to_string())]
    {
        let place = format!("{{{{{name}}}}}");
        if !script.contains(&place) {
            return Err(TaskError::Asset { page: PATH.into(), name: name.to_owned() });
        }
        script = script.replace(&place, &value);
    }
    Ok(script.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(change: &str) -> Files {
        let names = [
            "index.html",
            "crossover.js",
            "crossover.d.ts",
            "_headers",
            "npm/crossover-race.tgz",
            "404.html",
            "worker/simd128-ab/worker.js",
            "worker/plain-cd/worker.js",
        ];
        names
            .map(|path| (path.to_owned(), if path == change { b"new".to_vec() } else { b"old".to_vec() }))
            .into()
    }

    fn script(change: &str) -> String {
        let variants = [("simd128", "worker/simd128-ab"), ("plain", "worker/plain-cd")]
            .map(|(v, f)| (v.to_owned(), f.to_owned()));
        let template = b"B = '{{build}}'; S = {{shell}}; W = {{workers}};";
        String::from_utf8(service_worker(template, &files(change), &variants.into()).unwrap()).unwrap()
    }

    #[test]
    fn the_shell_and_each_variant_are_listed() {
        let text = script("");
        assert!(
            text.contains(r#"S = ["./","crossover.js"];"#) || text.contains(r#"S = ["crossover.js","./"];"#),
            "{text}"
        );
        assert!(text.contains(r#""simd128":["worker/simd128-ab/worker.js"]"#), "{text}");
        assert!(text.contains(r#""plain":["worker/plain-cd/worker.js"]"#), "{text}");
    }

    #[test]
    fn the_script_changes_exactly_with_the_cached_files() {
        assert_ne!(script("index.html"), script(""));
        assert_ne!(script("worker/plain-cd/worker.js"), script(""));
        assert_eq!(script("npm/crossover-race.tgz"), script(""));
        assert_eq!(script("_headers"), script(""));
        assert_eq!(script("404.html"), script(""));
    }

    #[test]
    fn a_script_without_the_names_is_an_error() {
        assert!(service_worker(b"{{build}} {{shell}}", &files(""), &BTreeMap::new()).is_err());
    }
}
