//! `cargo xtask play`: a site to try changes on, served as soon as the page and one variant of the worker are compiled.
//!
//! The worker's module is the shipped one to the last byte, so races show its figures; the page's is compiled quickly. Other
//! variants, compression and the pictures of mixing patterns are the business of `cargo xtask build`. The files about the systems
//! are those of the last site that had them; where there was none, they are made in the background once the site is served.

use std::thread;

use crate::error::TaskError;
use crate::site::{self, Recipe, Systems};
use crate::variant::Variant;
use crate::{Outcome, serve, steps};

/// Builds and serves.
///
/// # Errors
/// Of the build, or where the port is taken.
pub fn play(variants: &[Variant], split: bool, options: &serve::Options) -> Outcome {
    let recipe = Recipe { split, ..Recipe::developer(variants) };
    let modules = site::compile(&recipe)?;
    site::finish(&recipe, &modules)?;
    steps::end();
    if !site::has_systems() {
        println!(
            "   The pages of the systems follow in some minutes, once; until then they share the processor with races."
        );
        let later = Recipe { systems: Systems::Made, ..recipe };
        // The server runs until the process ends, and so may this thread.
        thread::spawn(move || report(site::finish(&later, &modules)));
    }
    serve::serve(options)
}

fn report(outcome: Result<(), TaskError>) {
    steps::end();
    match outcome {
        Ok(()) => println!("   The pages of the systems are there: reload the page."),
        Err(error) => eprintln!("xtask: the pages of the systems could not be made: {error}"),
    }
}
