// Complex numbers.

const HALF_ROOT: f32 = 0.7071067811865476;

fn times(x: vec2<f32>, w: vec2<f32>) -> vec2<f32> {
    return vec2<f32>(x.x * w.x - x.y * w.y, x.x * w.y + x.y * w.x);
}

// x · conj(w).
fn over(x: vec2<f32>, w: vec2<f32>) -> vec2<f32> {
    return vec2<f32>(x.x * w.x + x.y * w.y, x.y * w.x - x.x * w.y);
}
