//! What all messages of protobuf are made of.
//!
//! It is here because it is a page: a crate's would be as many calls on a trait of buffers that checks
//! its room for each byte, and the one thing that costs, a message's length in front of it, is not
//! among them. It is written when the message is there, into room that was left for it; of those for
//! which that was too little or too much, which should be few, the bytes are moved.

/// How a field is encoded, in the last three bits of its key.
pub(super) const VARINT: u8 = 0;
pub(super) const FIXED64: u8 = 1;
pub(super) const BYTES: u8 = 2;

/// The key of a field below 16.
pub(super) const fn key(field: u8, wire: u8) -> u8 {
    field << 3 | wire
}

/// Of a message's or a text's field.
pub(super) const fn long(field: u8) -> u8 {
    key(field, BYTES)
}

#[inline]
pub(super) fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(super) fn varint_len(value: u64) -> usize {
    (70 - (value | 1).leading_zeros() as usize) / 7
}

#[inline]
pub(super) fn int(key: u8, value: u64, out: &mut Vec<u8>) {
    out.push(key);
    varint(value, out);
}

#[inline]
pub(super) fn fixed64(field: u8, value: u64, out: &mut Vec<u8>) {
    let mut bytes = [key(field, FIXED64); 9];
    bytes[1..].copy_from_slice(&value.to_le_bytes());
    out.extend_from_slice(&bytes);
}

#[inline]
pub(super) fn bytes(key: u8, bytes: &[u8], out: &mut Vec<u8>) {
    int(key, bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// An integer whose small values are of either sign.
pub(super) fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63) as u64
}

/// A message that `fill` writes. Its length is expected to have `ROOM` bytes.
#[inline(always)]
pub(super) fn message<const ROOM: usize>(
    key: u8,
    out: &mut Vec<u8>,
    fill: impl FnOnce(&mut Vec<u8>),
) {
    out.push(key);
    let at = begin::<ROOM>(out);
    fill(out);
    end::<ROOM>(at, out);
}

/// Leaves room for the length of what follows; gives what [`end`] wants to know.
#[inline(always)]
pub(super) fn begin<const ROOM: usize>(out: &mut Vec<u8>) -> usize {
    let at = out.len();
    out.extend_from_slice(&[0; ROOM]);
    at
}

/// Says how long what has been written since [`begin`] is.
#[inline(always)]
pub(super) fn end<const ROOM: usize>(at: usize, out: &mut Vec<u8>) {
    let length = out.len() - at - ROOM;
    if varint_len(length as u64) == ROOM {
        // As many bytes as there is room for: all but the last say that there is another.
        for byte in 0..ROOM {
            let more = if byte + 1 < ROOM { 0x80 } else { 0 };
            out[at + byte] = (length >> (7 * byte)) as u8 & 0x7f | more;
        }
        return;
    }
    resize::<ROOM>(at, length, out);
}

#[cold]
#[inline(never)]
fn resize<const ROOM: usize>(at: usize, length: usize, out: &mut Vec<u8>) {
    let end = out.len();
    varint(length as u64, out);
    let prefix: [u8; 10] = std::array::from_fn(|byte| out.get(end + byte).copied().unwrap_or(0));
    let used = out.len() - end;
    out.truncate(end);
    out.splice(at..at + ROOM, prefix.into_iter().take(used));
}
