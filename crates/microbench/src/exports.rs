//! Functions for a script: write a workload's name at [`name`], `prepare` it, then `run` it.

#![expect(unsafe_code, reason = "names that a script calls must be kept as they are")]

use std::cell::RefCell;
use std::rc::Rc;

use mixer::Serial;

use crate::workload::Workload;

/// Longest name of a workload.
const LONGEST: usize = 64;

thread_local! {
    static NAME: RefCell<[u8; LONGEST]> = const { RefCell::new([0; LONGEST]) };
    static WORKLOAD: RefCell<Option<Workload>> = const { RefCell::new(None) };
}

/// Address of a buffer of 64 bytes for the name.
#[unsafe(no_mangle)]
pub extern "C" fn name() -> *mut u8 {
    NAME.with_borrow_mut(|name| name.as_mut_ptr())
}

/// Prepares the workload whose name has `len` bytes. Returns its operations per run; NaN if there is no such workload.
#[unsafe(no_mangle)]
pub extern "C" fn prepare(len: usize) -> f64 {
    WORKLOAD.set(None);
    let name = NAME.with_borrow(|name| String::from_utf8_lossy(&name[..len.min(LONGEST)]).into_owned());
    let Ok(workload) = Workload::named(&name, Rc::new(Serial)) else { return f64::NAN };
    let flops = workload.flops;
    WORKLOAD.set(Some(workload));
    flops
}

/// Runs the prepared workload; returns NaN if there is none or the kernel failed.
#[unsafe(no_mangle)]
pub extern "C" fn run(times: u32) -> f32 {
    WORKLOAD.with_borrow_mut(|workload| match workload {
        Some(workload) => workload.run(times).unwrap_or(f32::NAN),
        None => f32::NAN,
    })
}
