//! A small server for `dist/` on the loopback address that sends the headers of a real host.

use std::net::{Ipv4Addr, SocketAddr};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Redirect, Response};
use tower_http::services::ServeDir;

use crate::error::TaskError;
use crate::{Outcome, headers, site};

/// Options of the server.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Port; 0 selects a free one.
    pub port: u16,
    /// Whether to send the isolation headers.
    pub isolated: bool,
}

/// Serves `dist/` until interrupted. Prints the address when it is listening.
///
/// # Errors
/// [`TaskError::NoSite`], or [`TaskError::Serve`] if the port is in use.
pub fn serve(options: &Options) -> Outcome {
    if !site::folder().join("index.html").is_file() {
        return Err(TaskError::NoSite);
    }
    let failed = |source| TaskError::Serve { port: options.port, source };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(failed)?;
    runtime.block_on(async {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port));
        let listener = tokio::net::TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        println!("Crossover is at http://{address}/");
        if !options.isolated {
            println!("without the headers that isolate it: one thread, a coarser clock");
        }
        println!("Ctrl+C stops it.");
        axum::serve(listener, router(options.isolated))
            .with_graceful_shutdown(async {
                let _ = tokio::signal::ctrl_c().await;
            })
            .await
            .map_err(failed)
    })
}

fn router(isolated: bool) -> Router {
    let files = ServeDir::new(site::folder()).precompressed_br().precompressed_gzip();
    Router::new().fallback_service(files).layer(middleware::from_fn_with_state(isolated, add_headers))
}

async fn add_headers(State(isolated): State<bool>, request: Request, next: Next) -> Response {
    let path = request.uri().path().trim_start_matches('/').to_owned();
    let mut response = match escaped_link(&path) {
        Some(address) => Redirect::temporary(&address).into_response(),
        None => next.run(request).await,
    };
    // For names that the file system rejects, such as those over 255 bytes, the file service reports an error of its
    // own. There is no such file.
    let missing = response.status() == StatusCode::NOT_FOUND || response.status().is_server_error();
    if missing {
        let page = tokio::fs::read_to_string(site::folder().join(site::NOT_FOUND)).await.unwrap_or_default();
        response = (StatusCode::NOT_FOUND, Html(page)).into_response();
    }
    for (name, value) in headers::of(&path, isolated) {
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    if missing {
        // A missing file may exist after the next build.
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

/// Redirect target of a share link whose `#` was escaped up to three times, so that browsers take it for part of the
/// path: the page, which decodes the other escapes.
fn escaped_link(path: &str) -> Option<String> {
    ["%23r", "%2523r", "%252523r"].into_iter().find_map(|mark| {
        let (head, rest) = path.split_at_checked(mark.len())?;
        head.eq_ignore_ascii_case(mark).then(|| format!("/#r{rest}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_with_an_escaped_hash_lead_to_the_page() {
        for (path, address) in [
            ("%23r=1AAAA", "/#r=1AAAA"),
            ("%23r%3D1AAAA", "/#r%3D1AAAA"),
            ("%2523r%253D1AAAA", "/#r%253D1AAAA"),
            ("%252523R=1AAAA", "/#r=1AAAA"),
        ] {
            assert_eq!(escaped_link(path).as_deref(), Some(address), "{path}");
        }
        for path in ["", "%23", "index.html", "assets/%23r=1AAAA", "%24r=1"] {
            assert_eq!(escaped_link(path), None, "{path}");
        }
    }
}
