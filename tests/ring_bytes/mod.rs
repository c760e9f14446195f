//! Ring files that nobody wrote, decoded. A test and a fuzz target share it.

use mcp_vitals::recover::{Recovered, decode};

/// A small file as the library writes one; see `ring/durable/tests/fault_tests.rs`.
pub const BASE: &[u8] = include_bytes!("../../fuzz/bases/ring");

/// The bytes as a whole file, when they begin with an uneven byte; else as changes of [`BASE`], each
/// of which is an offset (3 bytes), a length (1 byte), and so many bytes.
pub fn file(input: &[u8]) -> Vec<u8> {
    let Some((how, mut rest)) = input.split_first() else { return Vec::new() };
    if how % 2 == 1 {
        return rest.to_vec();
    }
    let mut bytes = BASE.to_vec();
    while let Some(([a, b, c, length], behind)) = rest.split_first_chunk() {
        let offset = u32::from_le_bytes([*a, *b, *c, 0]) as usize % bytes.len();
        let new = &behind[..behind.len().min((*length).into())];
        let new = &new[..new.len().min(bytes.len() - offset)];
        bytes[offset..offset + new.len()].copy_from_slice(new);
        rest = &behind[behind.len().min((*length).into())..];
    }
    bytes
}

/// Neither a panic nor a wild read, and no more lines than there is room for.
pub fn are_survived(input: &[u8]) -> Option<Recovered> {
    let bytes = file(input);
    let most = bytes.len() as u64 / 32;
    let mut lines = 0;
    let recovered = decode(bytes, |record| {
        lines += 1;
        let all = record.fields().chain(record.context.fields());
        let length: usize = all.map(|field| format!("{field:?}").len()).sum();
        assert!(length < 1 << 20 && format!("{}", record.message).len() < 1 << 20);
        assert!(record.recovered);
    });
    let recovered = recovered.ok()?;
    assert_eq!(recovered.lines, lines);
    assert!(lines <= most, "{lines} lines");
    Some(recovered)
}
