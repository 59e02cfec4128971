//! Steps of a task with their times.
//!
//! [`step`] prints a heading. The step lasts until the next heading of its thread, or the thread's end, which prints
//! the seconds. [`summary`] lists all steps, to show slow ones.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// A finished step.
struct Ended {
    name: String,
    seconds: f64,
}

static ENDED: Mutex<Vec<Ended>> = Mutex::new(Vec::new());

/// The current step of a thread. It ends at the latest with the thread.
struct Running {
    name: String,
    since: Instant,
}

impl Drop for Running {
    fn drop(&mut self) {
        let seconds = self.since.elapsed().as_secs_f64();
        println!("   {}: {seconds:.1} s", self.name);
        let mut ended = ENDED.lock().unwrap_or_else(PoisonError::into_inner);
        ended.push(Ended { name: std::mem::take(&mut self.name), seconds });
    }
}

thread_local! {
    static RUNNING: RefCell<Option<Running>> = const { RefCell::new(None) };
}

/// Ends the thread's current step, prints a heading and begins the next step.
pub fn step(name: &str) {
    end();
    println!("── {name}");
    let next = Running { name: name.to_owned(), since: Instant::now() };
    RUNNING.with_borrow_mut(|running| *running = Some(next));
}

/// Ends the thread's current step and prints its time.
pub fn end() {
    let last = RUNNING.with_borrow_mut(Option::take);
    drop(last);
}

/// One line per finished step, in the order of their ends.
pub fn summary() -> String {
    end();
    let ended = ENDED.lock().unwrap_or_else(PoisonError::into_inner);
    let width = ended.iter().map(|step| step.name.chars().count()).max().unwrap_or_default();
    let mut text = String::new();
    for Ended { name, seconds } in ended.iter() {
        let _ = writeln!(text, "   {name:width$} {seconds:>8.1} s");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_ends_with_the_next_one_and_with_its_thread() {
        // Other threads have their own steps; other tests add to the list.
        std::thread::spawn(|| {
            step("steps: first");
            assert!(!ENDED.lock().unwrap().iter().any(|step| step.name == "steps: first"));
            step("steps: second");
            assert!(ENDED.lock().unwrap().iter().any(|step| step.name == "steps: first"));
        })
        .join()
        .unwrap();
        let text = summary();
        let place = |name| text.find(name).unwrap();
        assert!(place("steps: first") < place("steps: second"), "{text}");
        assert!(text.lines().all(|line| line.ends_with(" s")), "{text}");
    }
}
