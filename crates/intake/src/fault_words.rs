//! What to put right, in English and Welsh: each sentence says how to write the field, and none
//! repeats what was typed.

use domain::{AddressProblem, Language};

use crate::fault::{Fault, Field};

/// The message for this fault.
pub(crate) fn message(fault: &Fault, language: Language) -> &'static str {
    let (english, welsh) = match fault {
        Fault::Missing(field) => missing(*field),
        Fault::Duplicated(field) => duplicated(*field),
        Fault::WrongType(_) => (
            "Send this field as text, not as a number, a file or a list.",
            "Anfonwch y maes hwn fel testun, nid fel rhif, ffeil na rhestr.",
        ),
        Fault::WrongEncoding(Field::Email) => (
            "Enter the email address again. We could not read some of its characters. Forms have to send UTF-8.",
            "Rhowch y cyfeiriad e-bost eto. Ni allem ddarllen rhai o’i nodau. Rhaid i ffurflenni anfon UTF-8.",
        ),
        Fault::WrongEncoding(_) => (
            "Send this field in UTF-8.",
            "Anfonwch y maes hwn mewn UTF-8.",
        ),
        Fault::WrongValue(field) => wrong_value(*field),
        Fault::UnknownNewsletter => (
            "Choose a newsletter that takes sign-ups. There is none of the name that was sent.",
            "Dewiswch gylchlythyr sy’n derbyn cofrestriadau. Nid oes un o’r enw a anfonwyd.",
        ),
        Fault::TooManyNewsletters => (
            "Choose 50 newsletters or fewer at a time.",
            "Dewiswch 50 o gylchlythyrau neu lai ar y tro.",
        ),
        Fault::Address(problem) => address(*problem),
        Fault::UnknownKey(_) => (
            "Send only email, newsletter, language and notice.",
            "Anfonwch email, newsletter, language a notice yn unig.",
        ),
        Fault::UnreadableBody => (
            "Send a JSON object or a form. There is a mistake in what was sent, so we could not read it.",
            "Anfonwch wrthrych JSON neu ffurflen. Mae camgymeriad yn yr hyn a anfonwyd, felly ni allem ei ddarllen.",
        ),
    };
    match language {
        Language::En => english,
        Language::Cy => welsh,
    }
}

const fn missing(field: Field) -> (&'static str, &'static str) {
    match field {
        Field::Email => ("Enter your email address.", "Rhowch eich cyfeiriad e-bost."),
        Field::Newsletter => (
            "Choose at least one newsletter.",
            "Dewiswch o leiaf un cylchlythyr.",
        ),
        Field::Notice => (
            "Send the code of the notice that was on screen. The newsletter’s own form has it.",
            "Anfonwch god yr hysbysiad a oedd ar y sgrin. Mae yn ffurflen y cylchlythyr ei hun.",
        ),
        Field::Language | Field::IdempotencyKey | Field::Body => (
            "Fill this in, or leave it out.",
            "Llenwch hwn, neu gadewch ef allan.",
        ),
    }
}

const fn duplicated(field: Field) -> (&'static str, &'static str) {
    match field {
        Field::Email => (
            "Enter one email address, once.",
            "Rhowch un cyfeiriad e-bost, unwaith.",
        ),
        Field::Newsletter => (
            "Choose each newsletter only once.",
            "Dewiswch bob cylchlythyr unwaith yn unig.",
        ),
        Field::Language => ("Choose one language.", "Dewiswch un iaith."),
        _ => ("Send this only once.", "Anfonwch hwn unwaith yn unig."),
    }
}

const fn wrong_value(field: Field) -> (&'static str, &'static str) {
    match field {
        Field::Newsletter => (
            "Send the newsletter’s short name: 1 to 40 small letters, digits and hyphens, like council-news.",
            "Anfonwch enw byr y cylchlythyr: 1 i 40 o lythrennau bach, digidau a chysylltnodau, fel council-news.",
        ),
        Field::Language => (
            "Choose English (en) or Welsh (cy).",
            "Dewiswch Saesneg (en) neu Gymraeg (cy).",
        ),
        Field::Notice => (
            "Send the notice’s code as it stands in the form: 64 digits and letters from a to f.",
            "Anfonwch god yr hysbysiad fel y mae yn y ffurflen: 64 o ddigidau a llythrennau o a i f.",
        ),
        Field::IdempotencyKey => (
            "Send 1 to 255 visible ASCII characters without spaces.",
            "Anfonwch 1 i 255 o nodau ASCII gweladwy heb fylchau.",
        ),
        Field::Email | Field::Body => (
            "Enter an email address in the correct format, like name@example.com.",
            "Rhowch gyfeiriad e-bost yn y fformat cywir, fel enw@enghraifft.cymru.",
        ),
    }
}

fn address(problem: AddressProblem) -> (&'static str, &'static str) {
    match problem {
        AddressProblem::Empty => missing(Field::Email),
        AddressProblem::NoAt => (
            "Enter an email address with an @, like name@example.com.",
            "Rhowch gyfeiriad e-bost gydag @, fel enw@enghraifft.cymru.",
        ),
        AddressProblem::NoLocalPart => (
            "Enter the part of your email address before the @, like name in name@example.com.",
            "Rhowch y rhan o’ch cyfeiriad e-bost cyn yr @, fel enw yn enw@enghraifft.cymru.",
        ),
        AddressProblem::NoDomain => (
            "Enter the part of your email address after the @, like example.com in name@example.com.",
            "Rhowch y rhan o’ch cyfeiriad e-bost ar ôl yr @, fel enghraifft.cymru yn enw@enghraifft.cymru.",
        ),
        AddressProblem::SeveralAts => (
            "Enter one email address with a single @, like name@example.com.",
            "Rhowch un cyfeiriad e-bost gydag un @ yn unig, fel enw@enghraifft.cymru.",
        ),
        AddressProblem::Quoted | AddressProblem::Comment | AddressProblem::AngleBrackets => (
            "Enter only the email address, without quotation marks or brackets, like name@example.com.",
            "Rhowch y cyfeiriad e-bost yn unig, heb ddyfynodau na chromfachau, fel enw@enghraifft.cymru.",
        ),
        AddressProblem::DomainLiteral => (
            "Enter a name after the @, like example.com, not a number in brackets.",
            "Rhowch enw ar ôl yr @, fel enghraifft.cymru, nid rhif mewn cromfachau.",
        ),
        AddressProblem::Space => (
            "Enter your email address without spaces, like name@example.com.",
            "Rhowch eich cyfeiriad e-bost heb fylchau, fel enw@enghraifft.cymru.",
        ),
        AddressProblem::HiddenCharacter => (
            "Type your email address again. There is a character in it that cannot be seen.",
            "Teipiwch eich cyfeiriad e-bost eto. Mae nod ynddo na ellir ei weld.",
        ),
        AddressProblem::LocalCharacter => (
            "Check the part of your email address before the @. It has a character that email addresses cannot have.",
            "Gwiriwch y rhan o’ch cyfeiriad e-bost cyn yr @. Mae nod ynddi na all fod mewn cyfeiriadau e-bost.",
        ),
        AddressProblem::LocalTooLong => (
            "Check the part of your email address before the @. It can have 64 characters at most.",
            "Gwiriwch y rhan o’ch cyfeiriad e-bost cyn yr @. Gall gynnwys 64 o nodau ar y mwyaf.",
        ),
        AddressProblem::TrailingDot => (
            "Enter your email address without a dot at the end, like name@example.com.",
            "Rhowch eich cyfeiriad e-bost heb ddot ar y diwedd, fel enw@enghraifft.cymru.",
        ),
        AddressProblem::EmptyLabel => (
            "Check the dots after the @. There has to be something between two dots, like name@mail.example.com.",
            "Gwiriwch y dotiau ar ôl yr @. Rhaid cael rhywbeth rhwng dau ddot, fel enw@post.enghraifft.cymru.",
        ),
        AddressProblem::DomainCharacter
        | AddressProblem::LabelHyphen
        | AddressProblem::LabelTooLong
        | AddressProblem::InternationalDomain => (
            "Check the part of your email address after the @. It is not a name that can exist on the internet.",
            "Gwiriwch y rhan o’ch cyfeiriad e-bost ar ôl yr @. Nid yw’n enw a all fodoli ar y rhyngrwyd.",
        ),
        AddressProblem::OneLabel => (
            "Enter the whole of your email address, with its ending, like .com in name@example.com.",
            "Rhowch eich cyfeiriad e-bost cyfan, gyda’i ddiwedd, fel .cymru yn enw@enghraifft.cymru.",
        ),
        AddressProblem::DomainTooLong | AddressProblem::AddressTooLong => (
            "Enter a shorter email address. It can have 254 characters at most.",
            "Rhowch gyfeiriad e-bost byrrach. Gall gynnwys 254 o nodau ar y mwyaf.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_is_short_and_differs_in_welsh() {
        for problem in AddressProblem::ALL {
            let fault = Fault::Address(*problem);
            let english = message(&fault, Language::En);
            assert_ne!(english, message(&fault, Language::Cy), "{problem:?}");
            for sentence in english.split_inclusive(". ") {
                let words = sentence.split_whitespace().count();
                assert!(words <= 25, "{words} words: {sentence}");
            }
        }
    }
}
