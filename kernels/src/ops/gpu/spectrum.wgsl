// Products with filters in the frequency domain, for two real channels in a complex transform; prepended to conv_*.wgsl.
//
// Let Z be the transform of the packed signal at a frequency, Z′ at the negative frequency, A and B the spectra of the
// two filters, S = (A + B)/2 and T = (A − B)/2. The packed product is Y = Z·S + conj(Z′)·T, and Y′ = Z′·conj(S) +
// conj(Z)·conj(T). An entry is (S, T). The frequencies 0 and half the size, where A and B are real, share (A₀, B₀, A½,
// B½).

// An entry from the transform of the packed filters.
fn entry(here: vec2<f32>, there: vec2<f32>, alone: bool) -> vec4<f32> {
    if (alone) {
        return vec4<f32>(here, there);
    }
    let a = 0.5 * vec2<f32>(here.x + there.x, here.y - there.y);
    let b = 0.5 * vec2<f32>(here.y + there.y, there.x - here.x);
    return vec4<f32>(0.5 * (a + b), 0.5 * (a - b));
}

// (Y, Y′) from (Z, Z′).
fn filtered(here: vec2<f32>, there: vec2<f32>, spectrum: vec4<f32>, alone: bool) -> vec4<f32> {
    if (alone) {
        return vec4<f32>(here * spectrum.xy, there * spectrum.zw);
    }
    let s = spectrum.xy;
    let t = spectrum.zw;
    // conj(Z′)·T = conj(Z′·conj(T)).
    let from_there = over(there, t);
    return vec4<f32>(
        times(here, s) + vec2<f32>(from_there.x, -from_there.y),
        over(there, s) + vec2<f32>(here.x * t.x - here.y * t.y, -here.x * t.y - here.y * t.x),
    );
}
