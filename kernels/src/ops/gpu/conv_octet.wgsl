// Transforms of eight numbers, of two pairs of channels at once; prepended to conv_step.wgsl and conv_middle.wgsl after
// complex.wgsl.

struct Octet {
    a: vec4<f32>,
    b: vec4<f32>,
    c: vec4<f32>,
    d: vec4<f32>,
    e: vec4<f32>,
    f: vec4<f32>,
    g: vec4<f32>,
    h: vec4<f32>,
}

fn both_times(value: vec4<f32>, w: vec2<f32>) -> vec4<f32> {
    return value * w.x + vec4<f32>(-value.y, value.x, -value.w, value.z) * w.y;
}

// Both times −i.
fn turned(value: vec4<f32>) -> vec4<f32> {
    return vec4<f32>(value.y, -value.x, value.w, -value.z);
}

// The frequencies 0 to 7.
fn transformed(x: Octet) -> Octet {
    let c_g = turned(x.c - x.g);
    let d_h = turned(x.d - x.h);
    // Transforms of the even and of the odd elements.
    let even0 = (x.a + x.e) + (x.c + x.g);
    let even1 = (x.a - x.e) + c_g;
    let even2 = (x.a + x.e) - (x.c + x.g);
    let even3 = (x.a - x.e) - c_g;
    let odd0 = (x.b + x.f) + (x.d + x.h);
    let odd1 = (x.b - x.f) + d_h;
    let odd2 = turned((x.b + x.f) - (x.d + x.h));
    let odd3 = (x.b - x.f) - d_h;
    let w_odd1 = HALF_ROOT * (odd1 + turned(odd1));
    let w_odd3 = HALF_ROOT * (turned(odd3) - odd3);
    return Octet(
        even0 + odd0,
        even1 + w_odd1,
        even2 + odd2,
        even3 + w_odd3,
        even0 - odd0,
        even1 - w_odd1,
        even2 - odd2,
        even3 - w_odd3,
    );
}
