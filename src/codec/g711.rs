//! µ-law and A-law (ITU-T G.711), between 16-bit samples and octets.
//!
//! Samples are 16 bits wide; µ-law sees the upper 14 and A-law the upper 13 of them. Compression is arithmetic, expansion a
//! table. We do not follow G.711's conversion tables 3 and 4: µ-law to A-law goes by way of the samples.

const ULAW: [i16; 256] = expand_all(true);
const ALAW: [i16; 256] = expand_all(false);
const ULAW_TO_ALAW: [u8; 256] = convert(&ULAW, false);
const ALAW_TO_ULAW: [u8; 256] = convert(&ALAW, true);

/// µ-law of silence.
pub const ULAW_SILENCE: u8 = 0xff;
/// A-law of silence: the least positive value.
pub const ALAW_SILENCE: u8 = 0xd5;

/// Compresses as many samples as both slices hold, and returns how many.
#[inline]
pub fn encode_ulaw(pcm: &[i16], out: &mut [u8]) -> usize {
    map(pcm, out, compress_ulaw)
}

/// Expands as many octets as both slices hold, and returns how many.
#[inline]
pub fn decode_ulaw(octets: &[u8], out: &mut [i16]) -> usize {
    map(octets, out, |octet| ULAW[usize::from(octet)])
}

/// Compresses as many samples as both slices hold, and returns how many.
#[inline]
pub fn encode_alaw(pcm: &[i16], out: &mut [u8]) -> usize {
    map(pcm, out, compress_alaw)
}

/// Expands as many octets as both slices hold, and returns how many.
#[inline]
pub fn decode_alaw(octets: &[u8], out: &mut [i16]) -> usize {
    map(octets, out, |octet| ALAW[usize::from(octet)])
}

/// Turns µ-law into A-law, in place.
#[inline]
pub fn ulaw_to_alaw(octets: &mut [u8]) {
    for octet in octets {
        *octet = ULAW_TO_ALAW[usize::from(*octet)];
    }
}

/// Turns A-law into µ-law, in place.
#[inline]
pub fn alaw_to_ulaw(octets: &mut [u8]) {
    for octet in octets {
        *octet = ALAW_TO_ULAW[usize::from(*octet)];
    }
}

#[inline]
fn map<A: Copy, B>(from: &[A], to: &mut [B], f: impl Fn(A) -> B) -> usize {
    for (to, from) in to.iter_mut().zip(from) {
        *to = f(*from);
    }
    from.len().min(to.len())
}

/// Compresses one sample: sign, 3 bits of segment, 4 of step, all inverted.
#[inline]
pub const fn compress_ulaw(sample: i16) -> u8 {
    // 33 shifts the segments' ends to powers of two (G.711, table 2).
    let magnitude = ((sample ^ (sample >> 15)) >> 2) as u16 + 33;
    let magnitude = if magnitude > 0x1fff { 0x1fff } else { magnitude };
    let segment = 10 - magnitude.leading_zeros() as u16;
    let step = (magnitude >> (segment + 1)) & 0x0f;
    let sign = if sample < 0 { 0x80 } else { 0 };
    !(sign | (segment << 4) as u8 | step as u8)
}

/// Compresses one sample: sign, 3 bits of segment, 4 of step, even bits inverted.
#[inline]
pub const fn compress_alaw(sample: i16) -> u8 {
    let magnitude = ((sample ^ (sample >> 15)) >> 4) as u16;
    let code = if magnitude < 32 {
        magnitude
    } else {
        let segment = 12 - magnitude.leading_zeros() as u16;
        (segment << 4) | ((magnitude >> (segment - 1)) & 0x0f)
    };
    let sign = if sample < 0 { 0 } else { 0x80 };
    (code as u8 | sign) ^ 0x55
}

const fn expand_ulaw(octet: u8) -> i16 {
    let code = !octet;
    let segment = (code >> 4) & 7;
    let step = (code & 0x0f) as i16;
    let magnitude = ((((step << 1) + 33) << segment) - 33) << 2;
    if code & 0x80 == 0 { magnitude } else { -magnitude }
}

const fn expand_alaw(octet: u8) -> i16 {
    let code = octet ^ 0x55;
    let segment = (code >> 4) & 7;
    let step = (code & 0x0f) as i16;
    let halves = (step << 1) + 1;
    let magnitude = if segment == 0 { halves } else { (halves + 32) << (segment - 1) };
    if code & 0x80 == 0 { -(magnitude << 3) } else { magnitude << 3 }
}

const fn expand_all(ulaw: bool) -> [i16; 256] {
    let mut table = [0; 256];
    let mut n = 0;
    while n < 256 {
        table[n] = if ulaw { expand_ulaw(n as u8) } else { expand_alaw(n as u8) };
        n += 1;
    }
    table
}

const fn convert(from: &[i16; 256], to_ulaw: bool) -> [u8; 256] {
    let mut table = [0; 256];
    let mut n = 0;
    while n < 256 {
        table[n] = if to_ulaw { compress_ulaw(from[n]) } else { compress_alaw(from[n]) };
        n += 1;
    }
    table
}

#[cfg(test)]
#[path = "g711_tests.rs"]
mod tests;
