//! The privacy page, written from the same settings that the notices and the purge obey.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use domain::{Body, CONFIRMATION_DAYS, Language, LawfulBasis, Newsletter, RECORD_YEARS};

use crate::said::{Said, said};
use crate::visit::Visit;

#[derive(Template)]
#[template(path = "privacy.html")]
struct PrivacyMain<'a> {
    words: &'static PrivacyWords,
    language: Language,
    body: &'a Body,
    who: String,
    unconfirmed: String,
    records: String,
    newsletters: Vec<OnPage<'a>>,
}

struct OnPage<'a> {
    /// The slug, if there is a page to link to.
    slug: Option<&'a str>,
    name: Said<'a>,
    basis: &'static str,
    kept: String,
}

/// What is kept, why, for how long, and whom to ask.
pub(crate) async fn show(visit: Visit) -> Response {
    if !visit.doors.catalogue.has_any() {
        return visit.unavailable_page();
    }
    let language = visit.language(Language::En);
    let Some(body) = &visit.catalogue.body else {
        return visit.not_found_page();
    };
    let words = PrivacyWords::in_language(language);
    let main = PrivacyMain {
        words,
        language,
        body,
        who: words.who.replace("{body}", body.name.in_language(language)),
        unconfirmed: words
            .unconfirmed
            .replace("{days}", &CONFIRMATION_DAYS.to_string()),
        records: words.records.replace("{years}", &RECORD_YEARS.to_string()),
        newsletters: visit
            .catalogue
            .newsletters
            .iter()
            .map(|newsletter| on_page(newsletter, words, language))
            .collect(),
    };
    visit
        .frame(language, words.title)
        .page(StatusCode::OK, &main)
}

fn on_page<'a>(
    newsletter: &'a Newsletter,
    words: &'static PrivacyWords,
    language: Language,
) -> OnPage<'a> {
    OnPage {
        slug: newsletter.open.then_some(newsletter.slug.as_str()),
        name: said(&newsletter.name, language),
        basis: match newsletter.lawful_basis {
            LawfulBasis::Consent => words.consent,
            LawfulBasis::PublicTask => words.public_task,
        },
        kept: match newsletter.retention_days {
            0 | 1 => words.kept_one_day.to_owned(),
            2 => words.kept_two_days.to_owned(),
            days => words.kept.replace("{days}", &days.to_string()),
        },
    }
}

struct PrivacyWords {
    title: &'static str,
    who: &'static str,
    what_heading: &'static str,
    what: &'static [&'static str],
    what_not: &'static str,
    locked: &'static str,
    how_long_heading: &'static str,
    unconfirmed_term: &'static str,
    unconfirmed: &'static str,
    kept: &'static str,
    kept_one_day: &'static str,
    kept_two_days: &'static str,
    records_term: &'static str,
    records: &'static str,
    consent: &'static str,
    public_task: &'static str,
    rights_heading: &'static str,
    rights_lead: &'static str,
    rights: &'static [&'static str],
    rights_how: &'static str,
    by_email: &'static str,
    by_post: &'static str,
    complain_heading: &'static str,
    complain: &'static str,
}

impl PrivacyWords {
    const fn in_language(language: Language) -> &'static Self {
        match language {
            Language::En => &ENGLISH,
            Language::Cy => &WELSH,
        }
    }
}

static ENGLISH: PrivacyWords = PrivacyWords {
    title: "Privacy notice for email newsletters",
    who: "{body} is responsible for what is done with your data here.",
    what_heading: "What we keep",
    what: &[
        "your email address",
        "which newsletters you asked for, and in which language",
        "what we told you about your data when you signed up, and when you signed up, confirmed and left",
        "the website that the form was on, if your browser says so",
    ],
    what_not: "We keep no name, no internet address and no password. These pages set no cookies. Our emails do not tell us whether you open them or follow a link.",
    locked: "Your address is locked as soon as it reaches us. Only the program that sends our emails can unlock it. It does so only to send what you asked for.",
    how_long_heading: "Why, and for how long",
    unconfirmed_term: "A sign-up that is not confirmed",
    unconfirmed: "We delete it {days} days after we sent the email that asks you to confirm.",
    kept: "We keep your address until you unsubscribe, and delete it within {days} days after that.",
    kept_one_day: "We keep your address until you unsubscribe, and delete it within 1 day after that.",
    kept_two_days: "We keep your address until you unsubscribe, and delete it within 2 days after that.",
    records_term: "Records without your address",
    records: "We keep a record that somebody signed up, confirmed and left, without the address, for {years} years after they left, to show that we did what was asked of us.",
    consent: "We send it because you asked for it (consent). You can withdraw that at any time.",
    public_task: "We send it as part of our public task, and only to people who asked for it.",
    rights_heading: "Your rights",
    rights_lead: "You can ask us to:",
    rights: &[
        "tell you what we hold about you, and give you a copy",
        "put it right",
        "delete it",
        "stop using it, or use it for less",
        "hand it over in a form that other services can read",
    ],
    rights_how: "Write to our Data Protection Officer. It costs nothing, and we answer within a month. To stop a newsletter, you need only the unsubscribe link at the end of each email.",
    by_email: "Email:",
    by_post: "Post:",
    complain_heading: "Complaints",
    complain: "If you are not happy with what we do with your data, tell our Data Protection Officer. You can also complain to the regulator at any time:",
};

static WELSH: PrivacyWords = PrivacyWords {
    title: "Hysbysiad preifatrwydd ar gyfer cylchlythyrau e-bost",
    who: "{body} sy’n gyfrifol am yr hyn a wneir â’ch data yma.",
    what_heading: "Yr hyn rydym yn ei gadw",
    what: &[
        "eich cyfeiriad e-bost",
        "pa gylchlythyrau y gofynnoch amdanynt, ac ym mha iaith",
        "yr hyn a ddywedwyd wrthych am eich data pan wnaethoch gofrestru, a phryd y gwnaethoch gofrestru, cadarnhau a gadael",
        "y wefan yr oedd y ffurflen arni, os yw eich porwr yn dweud hynny",
    ],
    what_not: "Nid ydym yn cadw enw, cyfeiriad rhyngrwyd na chyfrinair. Nid yw’r tudalennau hyn yn gosod cwcis. Nid yw ein negeseuon e-bost yn dweud wrthym a ydych yn eu hagor nac yn dilyn dolen.",
    locked: "Caiff eich cyfeiriad ei gloi cyn gynted ag y mae’n ein cyrraedd. Dim ond y rhaglen sy’n anfon ein negeseuon e-bost all ei ddatgloi. Mae’n gwneud hynny dim ond i anfon yr hyn y gofynnoch amdano.",
    how_long_heading: "Pam, ac am ba hyd",
    unconfirmed_term: "Cofrestriad nad yw wedi’i gadarnhau",
    unconfirmed: "Rydym yn ei ddileu {days} diwrnod ar ôl i ni anfon yr e-bost sy’n gofyn i chi gadarnhau.",
    kept: "Rydym yn cadw eich cyfeiriad nes i chi ddad-danysgrifio, ac yn ei ddileu o fewn {days} diwrnod wedi hynny.",
    kept_one_day: "Rydym yn cadw eich cyfeiriad nes i chi ddad-danysgrifio, ac yn ei ddileu o fewn 1 diwrnod wedi hynny.",
    kept_two_days: "Rydym yn cadw eich cyfeiriad nes i chi ddad-danysgrifio, ac yn ei ddileu o fewn 2 ddiwrnod wedi hynny.",
    records_term: "Cofnodion heb eich cyfeiriad",
    records: "Rydym yn cadw cofnod bod rhywun wedi cofrestru, cadarnhau a gadael, heb y cyfeiriad, am {years} blynedd ar ôl iddynt adael, i ddangos ein bod wedi gwneud yr hyn a ofynnwyd i ni.",
    consent: "Rydym yn ei anfon am eich bod wedi gofyn amdano (cydsyniad). Gallwch dynnu hynny’n ôl unrhyw bryd.",
    public_task: "Rydym yn ei anfon fel rhan o’n tasg gyhoeddus, a dim ond at bobl a ofynnodd amdano.",
    rights_heading: "Eich hawliau",
    rights_lead: "Gallwch ofyn i ni:",
    rights: &[
        "ddweud wrthych beth rydym yn ei gadw amdanoch, a rhoi copi i chi",
        "ei gywiro",
        "ei ddileu",
        "rhoi’r gorau i’w ddefnyddio, neu ei ddefnyddio at lai o ddibenion",
        "ei drosglwyddo mewn ffurf y gall gwasanaethau eraill ei darllen",
    ],
    rights_how: "Ysgrifennwch at ein Swyddog Diogelu Data. Nid yw’n costio dim, ac rydym yn ateb o fewn mis. I atal cylchlythyr, dim ond y ddolen dad-danysgrifio ar ddiwedd pob e-bost sydd ei hangen arnoch.",
    by_email: "E-bost:",
    by_post: "Post:",
    complain_heading: "Cwynion",
    complain: "Os nad ydych yn hapus â’r hyn a wnawn â’ch data, dywedwch wrth ein Swyddog Diogelu Data. Gallwch hefyd gwyno wrth y rheoleiddiwr unrhyw bryd:",
};
