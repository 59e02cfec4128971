//! `cargo xtask play`: a site for trying changes, served as soon as the page and one variant of the worker are
//! compiled.
//!
//! The worker module is byte for byte the shipped one, so races show its figures. The page module is compiled quickly.
//! `cargo xtask build` makes other variants, compression and the pictures of mixing patterns. The files about the
//! systems come from the last site that had them; if there is none, they are made in the background after serving
//! starts.

use std::thread;

use crate::error::TaskError;
use crate::site::{self, Recipe, Systems};
use crate::variant::Variant;
use crate::{Outcome, serve, steps};

/// Builds and serves.
///
/// # Errors
/// Those of the build, or if the port is in use.
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
        // The server runs until the process ends, so this thread may too.
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
