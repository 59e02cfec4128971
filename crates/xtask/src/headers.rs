//! Headers of every response: isolation for threads, the content security policy, caching. The local server sends them.
//! `dist/_headers` contains them for hosts that read this file (Netlify, Cloudflare Pages).

use std::fmt::Write as _;

/// Cross-origin isolation, required for shared memory and the fine clock. `require-corp` because Safari lacks
/// `credentialless`. The document isolation policy gives Chromium an isolated frame inside any host page, in which the
/// other three headers have no effect.
pub const ISOLATION: [(&str, &str); 4] = [
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-embedder-policy", "require-corp"),
    ("cross-origin-resource-policy", "cross-origin"),
    ("document-isolation-policy", "isolate-and-credentialless"),
];

/// The content security policy. Compiling wasm needs a keyword of its own. The threads' helper starts workers from a
/// blob. Inline styles are allowed as attributes, not as sheets.
const POLICY: &str = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; \
     style-src 'self'; style-src-attr 'unsafe-inline'; img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; \
     object-src 'none'; form-action 'none'";

/// One year: files with a hash in their path never change.
const FOREVER: &str = "public, max-age=31536000, immutable";

/// Folders of the site with a hash in the paths of their files.
pub const HASHED_FOLDERS: [&str; 3] = ["assets", "page", "worker"];

/// Headers of the file at `path` (without leading slash). [`ISOLATION`] is included if `isolated` is true.
pub fn of(path: &str, isolated: bool) -> Vec<(&'static str, String)> {
    let mut headers = vec![
        ("x-content-type-options", "nosniff".to_owned()),
        ("referrer-policy", "no-referrer".to_owned()),
        // Other sites load crossover.js as a module, and sandboxed frames load every file; both need the server's
        // consent.
        ("access-control-allow-origin", "*".to_owned()),
        ("content-security-policy", policy(path)),
        ("cache-control", if hashed(path) { FOREVER } else { "no-cache" }.to_owned()),
    ];
    if isolated {
        headers.extend(ISOLATION.map(|(name, value)| (name, value.to_owned())));
    }
    headers
}

/// Whether the path carries a hash.
fn hashed(path: &str) -> bool {
    path.split_once('/').is_some_and(|(folder, _)| HASHED_FOLDERS.contains(&folder))
}

/// Only the embed page may be framed by other sites.
fn policy(path: &str) -> String {
    if path.starts_with("embed") { POLICY.to_owned() } else { format!("{POLICY}; frame-ancestors 'self'") }
}

/// The text of `_headers`. Hosts merge all rules that match a path, so each header is in one rule only. Headers that
/// depend on the path are listed path by path.
pub fn file(paths: &[String]) -> String {
    let mut text = String::from("# Written by `cargo xtask build`.\n/*\n");
    let everywhere = ["x-content-type-options", "referrer-policy", "access-control-allow-origin"];
    for (name, value) in of("", true) {
        if everywhere.contains(&name) || ISOLATION.iter().any(|(isolation, _)| *isolation == name) {
            let _ = writeln!(text, "  {name}: {value}");
        }
    }
    // Workers have the content security policy of their script, documents have their own.
    for folder in HASHED_FOLDERS {
        let policy = policy(folder);
        let _ =
            writeln!(text, "/{folder}/*\n  cache-control: {FOREVER}\n  content-security-policy: {policy}");
    }
    let mut documents: Vec<String> = paths.iter().filter(|path| !hashed(path)).cloned().collect();
    documents.sort();
    for path in documents {
        let policy = policy(&path);
        let address = address(&path);
        let _ = writeln!(text, "/{address}\n  cache-control: no-cache\n  content-security-policy: {policy}");
        if address != path {
            let _ = writeln!(text, "/{path}\n  cache-control: no-cache\n  content-security-policy: {policy}");
        }
    }
    text
}

/// Path at which hosts serve a page: `index.html` at its folder, `embed.html` also without its extension.
fn address(path: &str) -> String {
    match path.strip_suffix(".html") {
        Some("index") => String::new(),
        Some(page) => {
            page.strip_suffix("/index").map_or_else(|| page.to_owned(), |folder| format!("{folder}/"))
        }
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(path: &str, isolated: bool, name: &str) -> Option<String> {
        of(path, isolated).into_iter().find(|(header, _)| *header == name).map(|(_, value)| value)
    }

    #[test]
    fn only_hashed_files_are_cached_without_revalidation() {
        assert!(
            value("worker/simd128-0123/worker_bg.wasm", true, "cache-control").unwrap().contains("immutable")
        );
        assert_eq!(value("index.html", true, "cache-control").unwrap(), "no-cache");
        assert_eq!(value("sw.js", true, "cache-control").unwrap(), "no-cache");
        assert_eq!(value("crossover.js", true, "cache-control").unwrap(), "no-cache");
    }

    #[test]
    fn only_the_embed_page_may_be_framed() {
        assert!(
            value("index.html", true, "content-security-policy").unwrap().contains("frame-ancestors 'self'")
        );
        assert!(!value("embed.html", true, "content-security-policy").unwrap().contains("frame-ancestors"));
    }

    #[test]
    fn without_isolation_no_isolation_header_is_sent() {
        for (name, _) in ISOLATION {
            assert!(value("index.html", true, name).is_some());
            assert!(value("index.html", false, name).is_none());
        }
    }

    #[test]
    fn the_headers_file_sets_each_header_once_per_path() {
        let text = file(&["index.html".to_owned(), "embed.html".to_owned(), "assets/a-12.css".to_owned()]);
        assert!(text.contains("/\n  cache-control: no-cache"));
        assert!(text.contains("/embed\n"));
        assert!(text.contains("cross-origin-embedder-policy: require-corp"));
        assert_eq!(text.matches("cross-origin-opener-policy").count(), 1);
        assert!(!text.contains("/assets/a-12.css"));
    }
}
