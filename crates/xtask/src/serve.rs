//! A small server for `dist/` on the loopback address, with the headers of a real host.

use std::net::{Ipv4Addr, SocketAddr};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use tower_http::services::ServeDir;

use crate::error::TaskError;
use crate::{Outcome, headers, site};

/// How to serve.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Port; 0 takes a free one.
    pub port: u16,
    /// Whether to send the isolation headers.
    pub isolated: bool,
}

/// Serves `dist/` until it is interrupted. Prints the address once it listens.
///
/// # Errors
/// [`TaskError::NoSite`], or [`TaskError::Serve`] where the port is taken.
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
    let mut response = next.run(request).await;
    for (name, value) in headers::of(&path, isolated) {
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    if response.status() == StatusCode::NOT_FOUND {
        // A wrong address may be right after the next build.
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}
