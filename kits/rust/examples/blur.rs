//! A picture, blurred. Input: width and height as little-endian `u32`, then a byte of grey for each pixel. Output: the pixels.
fn blur(input: Vec<u8>) -> Vec<u8> {
    let word = |at: usize| u32::from_le_bytes(input[at..at + 4].try_into().expect("four bytes")) as usize;
    let (width, height, pixels) = (word(0), word(4), &input[8..]);
    let around = |x: usize, y: usize| {
        let near = (y.saturating_sub(1)..=(y + 1).min(height - 1))
            .flat_map(|y| (x.saturating_sub(1)..=(x + 1).min(width - 1)).map(move |x| (x, y)));
        let (sum, count) = near
            .fold((0_u32, 0_u32), |(sum, count), (x, y)| (sum + u32::from(pixels[y * width + x]), count + 1));
        (sum / count) as u8
    };
    (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).map(|(x, y)| around(x, y)).collect()
}

peeredge_task::export_function!(blur);
