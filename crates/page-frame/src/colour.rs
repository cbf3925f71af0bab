//! The body's colour, and the shades that follow from it with the contrast of WCAG 2.2.

use std::fmt;

/// A colour of the screen: red, green, blue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Colour([u8; 3]);

impl Colour {
    /// What pages use while no body is set: a dark blue.
    pub const STANDARD: Self = Self([0x1f, 0x3a, 0x5f]);
    const WHITE: Self = Self([0xff; 3]);
    const BLACK: Self = Self([0; 3]);
    /// The page at night, as in the style sheet.
    const NIGHT: Self = Self([0x14, 0x17, 0x1a]);

    /// Reads `#rrggbb` or `rrggbb`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('#').unwrap_or(text);
        if digits.len() != 6 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let part = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).ok();
        Some(Self([part(0)?, part(2)?, part(4)?]))
    }

    /// Contrast ratio to another colour, 1 to 21 (WCAG 2.2, contrast ratio).
    #[must_use]
    pub fn contrast(self, other: Self) -> f64 {
        let (a, b) = (self.luminance(), other.luminance());
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    /// Whether white text on it can be read: a contrast of at least 4.5.
    #[must_use]
    pub fn carries_white_text(self) -> bool {
        self.contrast(Self::WHITE) >= 4.5
    }

    /// The same or, where white text could not be read on it, as much darker as that needs.
    pub(crate) fn for_white_text(self) -> Self {
        self.mixed_until(Self::BLACK, Self::carries_white_text)
    }

    /// A lighter shade that can be read as text on the page at night.
    pub(crate) fn for_text_at_night(self) -> Self {
        self.mixed_until(Self::WHITE, |shade| shade.contrast(Self::NIGHT) >= 7.0)
    }

    /// Darker, for the button under the pointer.
    pub(crate) fn darker(self) -> Self {
        self.mixed(Self::BLACK, 25)
    }

    fn mixed_until(self, with: Self, good: impl Fn(Self) -> bool) -> Self {
        (0..=100)
            .map(|percent| self.mixed(with, percent))
            .find(|shade| good(*shade))
            .unwrap_or(with)
    }

    fn mixed(self, with: Self, percent: u16) -> Self {
        let mut mixed = self.0;
        for (part, other) in mixed.iter_mut().zip(with.0) {
            let sum = u16::from(*part) * (100 - percent) + u16::from(other) * percent;
            *part = u8::try_from(sum / 100).unwrap_or(u8::MAX);
        }
        Self(mixed)
    }

    fn luminance(self) -> f64 {
        let linear = |part: u8| {
            let part = f64::from(part) / 255.0;
            if part <= 0.04045 {
                part / 12.92
            } else {
                ((part + 0.055) / 1.055).powf(2.4)
            }
        };
        let [red, green, blue] = self.0;
        0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)
    }
}

/// Six hexadecimal digits, without `#`.
impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| write!(f, "{part:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_six_hexadecimal_digits_are_a_colour() {
        assert_eq!(Colour::parse("#1F3a5f"), Some(Colour::STANDARD));
        assert_eq!(Colour::parse("1f3a5f"), Some(Colour::STANDARD));
        for bad in [
            "", "#", "#fff", "#1f3a5", "#1f3a5g", "##1f3a5", "#ééé", "1f3a5f;",
        ] {
            assert_eq!(Colour::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn contrast_is_that_of_wcag() {
        assert!((Colour::WHITE.contrast(Colour::BLACK) - 21.0).abs() < 1e-9);
        let grey = Colour::parse("#767676").unwrap();
        assert!((grey.contrast(Colour::WHITE) - 4.54).abs() < 0.01);
        assert!(grey.carries_white_text());
        assert!(!Colour::parse("#777777").unwrap().carries_white_text());
    }

    #[test]
    fn every_colour_gets_readable_shades() {
        for step in 0..512_u32 {
            let text = format!("{:06x}", step * 32_768 + step);
            let colour = Colour::parse(&text).unwrap();
            assert!(colour.for_white_text().carries_white_text(), "{text}");
            assert!(
                colour.for_text_at_night().contrast(Colour::NIGHT) >= 7.0,
                "{text}"
            );
        }
    }
}
