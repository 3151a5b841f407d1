//! Characters made of blocks, by a bit for each block, row by row from the upper left one.
//!
//! By the names of the characters in the Unicode Standard: BLOCK OCTANT-1 has block 1 filled and so on,
//! numbered as the bits are here. Octants (U+1CD00 on, Unicode 16) and sextants (U+1FB00 on, Unicode 13)
//! stand in the order of their bits, but for those that had been encoded before.

/// 2×2 blocks.
pub(super) const QUADRANTS: [char; 16] = [
    ' ', '▘', '▝', '▀', '▖', '▌', '▞', '▛', '▗', '▚', '▐', '▜', '▄', '▙', '▟', '█',
];

/// 2×3 blocks.
pub(super) const SEXTANTS: [char; 64] =
    in_order(0x1_FB00, [(0, ' '), (21, '▌'), (42, '▐'), (63, '█')]);

/// 2×4 blocks.
pub(super) const OCTANTS: [char; 256] = in_order(
    0x1_CD00,
    [
        (0, ' '),
        (1, '\u{1CEA8}'),
        (2, '\u{1CEAB}'),
        (3, '\u{1FB82}'),
        (5, '▘'),
        (10, '▝'),
        (15, '▀'),
        (20, '\u{1FBE6}'),
        (40, '\u{1FBE7}'),
        (63, '\u{1FB85}'),
        (64, '\u{1CEA3}'),
        (80, '▖'),
        (85, '▌'),
        (90, '▞'),
        (95, '▛'),
        (128, '\u{1CEA0}'),
        (160, '▗'),
        (165, '▚'),
        (170, '▐'),
        (175, '▜'),
        (192, '▂'),
        (240, '▄'),
        (245, '▙'),
        (250, '▟'),
        (252, '▆'),
        (255, '█'),
    ],
);

/// Returns the characters from `first` on, in the order of their bits, without those that are elsewhere
/// (ascending, each with its bits).
const fn in_order<const COUNT: usize, const ELSEWHERE: usize>(
    first: u32,
    elsewhere: [(usize, char); ELSEWHERE],
) -> [char; COUNT] {
    let mut characters = [' '; COUNT];
    let (mut bits, mut next, mut passed) = (0, first, 0);
    while bits < COUNT {
        if passed < ELSEWHERE && elsewhere[passed].0 == bits {
            characters[bits] = elsewhere[passed].1;
            passed += 1;
        } else if let Some(character) = char::from_u32(next) {
            characters[bits] = character;
            next += 1;
        }
        bits += 1;
    }
    characters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_where_their_names_say() {
        // BLOCK SEXTANT-1, SEXTANT-23, SEXTANT-23456.
        assert_eq!(SEXTANTS[1], '\u{1FB00}');
        assert_eq!(SEXTANTS[0b00_0110], '\u{1FB05}');
        assert_eq!(SEXTANTS[0b11_1110], '\u{1FB3B}');
        // BLOCK OCTANT-3, OCTANT-124, OCTANT-12567, OCTANT-2345678.
        assert_eq!(OCTANTS[0b0000_0100], '\u{1CD00}');
        assert_eq!(OCTANTS[0b0000_1011], '\u{1CD05}');
        assert_eq!(OCTANTS[0b1111_1110], '\u{1CDE5}');
    }
}
