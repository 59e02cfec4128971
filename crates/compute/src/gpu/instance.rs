//! The wgpu instance through which a native program finds its GPU.
//!
//! On Linux the instance has no windowing extensions: nothing is drawn here, and a Vulkan instance with these
//! extensions connects to a window system. Without one (no `XDG_RUNTIME_DIR`, as over SSH, in containers and in CI),
//! libwayland would print an error to the terminal.

/// An instance with every backend that races use.
pub(super) fn instance() -> wgpu::Instance {
    #[cfg(target_os = "linux")]
    if let Some(instance) = vulkan_without_windows() {
        return instance;
    }
    wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: wgpu::Backends::PRIMARY,
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    })
}

/// A Vulkan instance without the extensions of X11 and Wayland. Vulkan is the only backend in
/// [`wgpu::Backends::PRIMARY`] on Linux. `None` without a Vulkan loader.
#[cfg(target_os = "linux")]
#[allow(
    unsafe_code,
    reason = "wgpu creates instances with chosen extensions only through its hardware layer"
)]
fn vulkan_without_windows() -> Option<wgpu::Instance> {
    use std::ffi::CStr;

    use wgpu::hal::api::Vulkan;
    use wgpu::hal::vulkan::Instance;

    const WINDOW_SYSTEMS: [&CStr; 3] =
        [c"VK_KHR_wayland_surface", c"VK_KHR_xcb_surface", c"VK_KHR_xlib_surface"];

    let wgpu::InstanceDescriptor { flags, memory_budget_thresholds, backend_options, .. } =
        wgpu::InstanceDescriptor::new_without_display_handle();
    let descriptor = wgpu::hal::InstanceDescriptor {
        name: "crossover",
        flags,
        memory_budget_thresholds,
        backend_options,
        telemetry: None,
        display: None,
    };
    // SAFETY: The callback only shortens the list of extensions, which wgpu shortens itself to what the driver has. The
    // three removed here are read by functions that create surfaces, which look them up in this list first and are never
    // called by a program without windows. The list goes into the instance unchanged after that.
    let instance = unsafe {
        Instance::init_with_callback(
            &descriptor,
            Some(Box::new(|arguments| {
                arguments.extensions.retain(|extension| !WINDOW_SYSTEMS.contains(extension));
            })),
        )
    }
    .ok()?;
    // SAFETY: The instance is new, valid, of this backend, and owned by nobody else.
    Some(unsafe { wgpu::Instance::from_hal::<Vulkan>(instance) })
}
