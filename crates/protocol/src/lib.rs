//! Messages between the page, the worker and host pages.
