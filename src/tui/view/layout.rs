//! Division of the screen, by its size. No size is refused.

use ratatui::layout::{Constraint, Layout, Rect};

/// Smallest screen with all panes.
pub const FULL: (u16, u16) = (100, 30);
/// Smallest screen with one view and its surroundings.
pub const COMPACT: (u16, u16) = (60, 16);
/// Rows of the trust pane, with its frame: at least, and at most.
const TRUST: [u16; 2] = [14, 18];

/// Areas of the parts. A part that has no room has no area.
///
/// ```text
/// full                                compact                  tiny
/// ┌ header ───────────────────────┐   ┌ header ────────────┐   ┌ map ──────┐
/// │ banner, when there is one     │   │ banner             │   │           │
/// ├ map ───────────────┬ slices ──┤   ├ map or slices ─────┤   │           │
/// │                    │          │   │                    │   │           │
/// │                    ├ trust ───┤   │                    │   ├ status ───┤
/// │                    │          │   ├ trust, one line ───┤   └───────────┘
/// ├ status ────────────┴──────────┤   ├ status ────────────┤
/// └───────────────────────────────┘   └────────────────────┘
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScreenLayout {
    /// Everything side by side.
    Full {
        /// One line.
        header: Rect,
        /// One line, or none.
        banner: Rect,
        /// Framed.
        map: Rect,
        /// Framed.
        slices: Rect,
        /// Framed; the whole side if there is nothing to stand above it.
        trust: Rect,
        /// One line.
        status: Rect,
    },
    /// One view.
    Compact {
        /// One line.
        header: Rect,
        /// One line, or none.
        banner: Rect,
        /// Framed.
        body: Rect,
        /// One line.
        trust: Rect,
        /// One line.
        status: Rect,
    },
    /// One view on the whole screen.
    Zoomed {
        /// One line, or none.
        banner: Rect,
        /// Framed.
        body: Rect,
        /// One line.
        status: Rect,
    },
    /// The map without a frame.
    Tiny {
        /// All but the last line.
        map: Rect,
        /// One line.
        status: Rect,
    },
}

/// The parts that do not always have a place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// True if there is a banner.
    pub banner: bool,
    /// True if a view is zoomed: it has the screen for itself.
    pub zoomed: bool,
    /// True if there is something to show above the trust pane.
    pub slices: bool,
}

/// Divides an area.
#[must_use]
pub fn arrange(area: Rect, parts: Parts) -> ScreenLayout {
    use Constraint::{Length, Min};
    let fits = |size: (u16, u16)| area.width >= size.0 && area.height >= size.1;
    let banner_rows = u16::from(parts.banner);
    if parts.zoomed && fits(COMPACT) {
        let rows = [Length(banner_rows), Min(0), Length(1)];
        let [banner, body, status] = Layout::vertical(rows).areas(area);
        ScreenLayout::Zoomed {
            banner,
            body,
            status,
        }
    } else if fits(FULL) {
        let [header, banner, body, status] =
            Layout::vertical([Length(1), Length(banner_rows), Min(0), Length(1)]).areas(area);
        // The map has two thirds, but the numbers beside it need no more than this.
        let side = (area.width / 3).clamp(40, 48);
        let [map, right] = Layout::horizontal([Min(0), Length(side)]).areas(body);
        let trust = if parts.slices {
            (area.height * 3 / 7).clamp(TRUST[0], TRUST[1])
        } else {
            right.height
        };
        let [slices, trust] = Layout::vertical([Min(0), Length(trust)]).areas(right);
        ScreenLayout::Full {
            header,
            banner,
            map,
            slices,
            trust,
            status,
        }
    } else if fits(COMPACT) {
        let rows = [Length(1), Length(banner_rows), Min(0), Length(1), Length(1)];
        let [header, banner, body, trust, status] = Layout::vertical(rows).areas(area);
        ScreenLayout::Compact {
            header,
            banner,
            body,
            trust,
            status,
        }
    } else {
        let [map, status] = Layout::vertical([Min(0), Length(1)]).areas(area);
        ScreenLayout::Tiny { map, status }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITH_ALL: Parts = Parts {
        banner: true,
        zoomed: false,
        slices: true,
    };
    const ZOOMED: Parts = Parts {
        zoomed: true,
        ..WITH_ALL
    };

    fn kind(width: u16, height: u16) -> &'static str {
        named(arrange(Rect::new(0, 0, width, height), WITH_ALL))
    }

    fn named(arrangement: ScreenLayout) -> &'static str {
        match arrangement {
            ScreenLayout::Full { .. } => "full",
            ScreenLayout::Compact { .. } => "compact",
            ScreenLayout::Zoomed { .. } => "zoomed",
            ScreenLayout::Tiny { .. } => "tiny",
        }
    }

    #[test]
    fn a_zoomed_view_has_all_but_a_line() {
        for (width, height) in [FULL, COMPACT] {
            let area = Rect::new(0, 0, width, height);
            let ScreenLayout::Zoomed {
                banner,
                body,
                status,
            } = arrange(
                area,
                Parts {
                    banner: false,
                    ..ZOOMED
                },
            )
            else {
                unreachable!("{width}×{height} can be zoomed");
            };
            assert_eq!(
                (banner.height, body.height, status.height),
                (0, height - 1, 1)
            );
        }
        assert_eq!(named(arrange(Rect::new(0, 0, 30, 10), ZOOMED)), "tiny");
    }

    #[test]
    fn the_size_chooses_the_arrangement() {
        assert_eq!(
            (kind(100, 30), kind(99, 30), kind(100, 29)),
            ("full", "compact", "compact")
        );
        assert_eq!(
            (kind(60, 16), kind(59, 16), kind(60, 15)),
            ("compact", "tiny", "tiny")
        );
        assert_eq!(kind(0, 0), "tiny");
    }

    #[test]
    fn parts_cover_the_screen_and_do_not_overlap() {
        let area = Rect::new(0, 0, 120, 40);
        let ScreenLayout::Full {
            header,
            banner,
            map,
            slices,
            trust,
            status,
        } = arrange(area, WITH_ALL)
        else {
            unreachable!("120×40 is full");
        };
        let parts = [header, banner, map, slices, trust, status];
        let cells: u32 = parts.iter().map(|part| part.area()).sum();
        assert_eq!(cells, area.area());
        for (i, a) in parts.iter().enumerate() {
            assert!(parts[i + 1..].iter().all(|b| !a.intersects(*b)));
        }
    }

    #[test]
    fn without_slices_the_trust_pane_has_the_side() {
        let parts = Parts {
            slices: false,
            ..WITH_ALL
        };
        let ScreenLayout::Full {
            map, slices, trust, ..
        } = arrange(Rect::new(0, 0, 120, 40), parts)
        else {
            unreachable!("120×40 is full");
        };
        assert_eq!((slices.height, trust.height), (0, map.height));
    }

    #[test]
    fn without_a_banner_its_line_is_the_maps() {
        let ScreenLayout::Compact { banner, body, .. } =
            arrange(Rect::new(0, 0, 70, 20), Parts::default())
        else {
            unreachable!("70×20 is compact");
        };
        assert_eq!((banner.height, body.height), (0, 17));
    }
}
