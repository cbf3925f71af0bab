//! A moment as a person reads it: `24 November 2026, 09:14 GMT`. Always GMT and always said so, since
//! it stands beside a receipt.

use domain::{Language, Timestamp};

const MONTHS_EN: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const MONTHS_CY: [&str; 12] = [
    "Ionawr",
    "Chwefror",
    "Mawrth",
    "Ebrill",
    "Mai",
    "Mehefin",
    "Gorffennaf",
    "Awst",
    "Medi",
    "Hydref",
    "Tachwedd",
    "Rhagfyr",
];

/// The moment, to the minute; nothing after the year 9999.
pub(crate) fn written(moment: Timestamp, language: Language) -> Option<String> {
    let at = moment.to_date_time()?;
    let months = match language {
        Language::En => MONTHS_EN,
        Language::Cy => MONTHS_CY,
    };
    let month = months[usize::from(u8::from(at.month())) - 1];
    Some(format!(
        "{} {month} {}, {:02}:{:02} GMT",
        at.day(),
        at.year(),
        at.hour(),
        at.minute()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_in_both_languages() {
        let moment = Timestamp::from_millis(1_795_511_640_000);
        assert_eq!(
            written(moment, Language::En).unwrap(),
            "24 November 2026, 09:14 GMT"
        );
        assert_eq!(
            written(moment, Language::Cy).unwrap(),
            "24 Tachwedd 2026, 09:14 GMT"
        );
        let first = Timestamp::from_millis(0);
        assert_eq!(
            written(first, Language::En).unwrap(),
            "1 January 1970, 00:00 GMT"
        );
        assert_eq!(
            written(Timestamp::from_millis(u64::MAX), Language::En),
            None
        );
    }
}
