//! The words of a notice: what a resident is told at the point of collection, made of the settings
//! that the purge obeys, so that what is told and what is done cannot part (promise P8).
//!
//! The first paragraph is the minimum block of `privacy.md` 2.4, enough for a form; the others make
//! it complete (UK GDPR Article 13; `privacy.md` LAW-12). A text is named by its hash: changing a
//! word here gives every newsletter a new notice at its next `body set`.

use crate::{Body, CONFIRMATION_DAYS, Language, LawfulBasis, Newsletter};

/// Years for which the record that somebody joined and left is kept, without the address
/// (`privacy.md` 2.6).
pub const RECORD_YEARS: u16 = 6;

/// The notice of this newsletter in this language: paragraphs with one empty line between two.
#[must_use]
pub fn notice_text(body: &Body, newsletter: &Newsletter, language: Language) -> String {
    let facts = Facts {
        body: body.name.in_language(language),
        newsletter: newsletter.name.in_language(language),
        basis: newsletter.lawful_basis,
        days: newsletter.retention_days,
        dpo_email: &body.dpo_email,
        dpo_post: &body.dpo_post.join(", "),
        regulator: body.regulator_name.in_language(language),
        regulator_url: &body.regulator_url,
    };
    let paragraphs = match language {
        Language::En => english(&facts),
        Language::Cy => welsh(&facts),
    };
    paragraphs.join("\n\n")
}

struct Facts<'a> {
    body: &'a str,
    newsletter: &'a str,
    basis: LawfulBasis,
    days: u16,
    dpo_email: &'a str,
    dpo_post: &'a str,
    regulator: &'a str,
    regulator_url: &'a str,
}

fn english(facts: &Facts<'_>) -> Vec<String> {
    let Facts {
        body,
        newsletter,
        dpo_email,
        dpo_post,
        regulator,
        regulator_url,
        ..
    } = facts;
    // The purge has run within a day even where nothing is kept back.
    let within = match facts.days {
        0 | 1 => "within 1 day".to_owned(),
        days => format!("within {days} days"),
    };
    let basis = match facts.basis {
        LawfulBasis::Consent => {
            "We use your email address because you agree to it. This is called consent \
             (Article 6(1)(a) of the UK GDPR). No other service depends on it. You can change your \
             mind at any time."
        }
        LawfulBasis::PublicTask => {
            "We use your email address to carry out a task in the public interest \
             (Article 6(1)(e) of the UK GDPR). We still send you only what you ask for. We stop \
             when you tell us to."
        }
    };
    vec![
        format!(
            "We will use your email address to send you {newsletter}. We will not use it for \
             anything else. We keep it until you unsubscribe, then delete it {within}. You can \
             unsubscribe at any time from a link in every email. {body} is responsible. Contact \
             our Data Protection Officer: {dpo_email}, {dpo_post}."
        ),
        format!(
            "{body} is the data controller. That means we decide how your email address is used, \
             and answer for it."
        ),
        basis.to_owned(),
        "We hold your email address, the newsletters you chose, your language, and when you signed \
         up, confirmed and left. You give us these yourself. You do not have to sign up. Without \
         your address we cannot send you the newsletter."
            .to_owned(),
        "Only organisations that send mail for us handle your address. Our contracts require them \
         to treat it with the same care that we do. If one of them works outside the United \
         Kingdom, we use the safeguards that the law requires. We never sell it. Nobody else gets \
         it, unless the law makes us hand it over."
            .to_owned(),
        format!(
            "If you do not confirm, we delete your address after {CONFIRMATION_DAYS} days. When you \
             leave your last newsletter, we delete your address {within}. We keep a record that \
             you joined and left for {RECORD_YEARS} years. That record does not hold your email \
             address."
        ),
        "Every email has a link to unsubscribe. It takes two clicks. You need no account and give \
         no reason."
            .to_owned(),
        "You can ask us for a copy of what we hold about you, or for a file to use elsewhere. You \
         can ask us to correct it, delete it or stop using it. You can object to how we use it. We \
         may need to keep some details. If so, we will explain why. We answer within one month."
            .to_owned(),
        "We make no important decision about you by computer alone. You can ask a member of staff \
         to review anything our system did. We do not track whether you open an email or follow a \
         link."
            .to_owned(),
        format!(
            "To use your rights, write to our Data Protection Officer. Email: {dpo_email}. Post: \
             {dpo_post}."
        ),
        format!(
            "If you are unhappy, you can complain to our Data Protection Officer. We tell you \
             within 30 days that we have your complaint. You can also complain to the regulator: \
             {regulator}, {regulator_url}"
        ),
    ]
}

fn welsh(facts: &Facts<'_>) -> Vec<String> {
    let Facts {
        body,
        newsletter,
        dpo_email,
        dpo_post,
        regulator,
        regulator_url,
        ..
    } = facts;
    // A noun stays singular behind a number; behind two it softens.
    let within = match facts.days {
        0 | 1 => "o fewn 1 diwrnod".to_owned(),
        2 => "o fewn 2 ddiwrnod".to_owned(),
        days => format!("o fewn {days} diwrnod"),
    };
    let basis = match facts.basis {
        LawfulBasis::Consent => {
            "Rydym yn defnyddio eich cyfeiriad e-bost am eich bod wedi cytuno i hynny. Yr enw ar \
             hyn yw cydsyniad (Erthygl 6(1)(a) o GDPR y DU). Nid oes unrhyw wasanaeth arall yn \
             dibynnu arno. Gallwch newid eich meddwl unrhyw bryd."
        }
        LawfulBasis::PublicTask => {
            "Rydym yn defnyddio eich cyfeiriad e-bost i gyflawni tasg er budd y cyhoedd \
             (Erthygl 6(1)(e) o GDPR y DU). Er hynny, dim ond yr hyn y gofynnwch amdano y byddwn \
             yn ei anfon atoch. Byddwn yn stopio pan ofynnwch i ni."
        }
    };
    vec![
        format!(
            "Byddwn yn defnyddio eich cyfeiriad e-bost i anfon {newsletter} atoch. Ni fyddwn yn ei \
             ddefnyddio at unrhyw ddiben arall. Byddwn yn ei gadw nes i chi ddad-danysgrifio, ac \
             yna'n ei ddileu {within}. Gallwch ddad-danysgrifio unrhyw bryd drwy ddolen ym mhob \
             e-bost. {body} sy'n gyfrifol. Cysylltwch â'n Swyddog Diogelu Data: {dpo_email}, \
             {dpo_post}."
        ),
        format!(
            "{body} yw'r rheolydd data. Mae hynny'n golygu mai ni sy'n penderfynu sut y caiff eich \
             cyfeiriad e-bost ei ddefnyddio, ac mai ni sy'n atebol."
        ),
        basis.to_owned(),
        "Rydym yn cadw eich cyfeiriad e-bost, y cylchlythyrau a ddewiswyd gennych, eich iaith, a \
         phryd y gwnaethoch ymuno, cadarnhau a gadael. Chi sy'n rhoi'r wybodaeth hon i ni. Nid oes \
         rhaid i chi ymuno. Heb eich cyfeiriad, ni allwn anfon y cylchlythyr atoch."
            .to_owned(),
        "Dim ond sefydliadau sy'n anfon e-byst ar ein rhan sy'n trin eich cyfeiriad. Mae ein \
         contractau'n mynnu eu bod yn ei drin gyda'r un gofal â ni. Os yw un ohonynt yn gweithio y \
         tu allan i'r Deyrnas Unedig, byddwn yn defnyddio'r mesurau diogelu y mae'r gyfraith yn eu \
         mynnu. Nid ydym byth yn ei werthu. Ni fydd neb arall yn ei gael, oni bai fod y gyfraith \
         yn ein gorfodi i'w roi."
            .to_owned(),
        format!(
            "Os na fyddwch yn cadarnhau, byddwn yn dileu eich cyfeiriad ar ôl {CONFIRMATION_DAYS} \
             diwrnod. Pan fyddwch yn gadael eich cylchlythyr olaf, byddwn yn dileu eich cyfeiriad \
             {within}. Byddwn yn cadw cofnod eich bod wedi ymuno a gadael am {RECORD_YEARS} \
             blynedd. Nid yw'r cofnod hwnnw'n cynnwys eich cyfeiriad e-bost."
        ),
        "Mae dolen i ddad-danysgrifio ym mhob e-bost. Dau glic yw'r cyfan. Nid oes angen cyfrif \
         arnoch, ac nid oes rhaid rhoi rheswm."
            .to_owned(),
        "Gallwch ofyn i ni am gopi o'r hyn rydym yn ei gadw amdanoch, neu am ffeil i'w defnyddio yn \
         rhywle arall. Gallwch ofyn i ni ei gywiro, ei ddileu neu roi'r gorau i'w ddefnyddio. \
         Gallwch wrthwynebu'r ffordd rydym yn ei ddefnyddio. Efallai y bydd rhaid i ni gadw rhai \
         manylion. Os felly, byddwn yn esbonio pam. Byddwn yn ateb o fewn mis."
            .to_owned(),
        "Nid ydym yn gwneud unrhyw benderfyniad pwysig amdanoch drwy gyfrifiadur yn unig. Gallwch \
         ofyn i aelod o staff adolygu unrhyw beth a wnaeth ein system. Nid ydym yn olrhain a ydych \
         yn agor e-bost neu'n dilyn dolen."
            .to_owned(),
        format!(
            "I ddefnyddio eich hawliau, ysgrifennwch at ein Swyddog Diogelu Data. E-bost: \
             {dpo_email}. Post: {dpo_post}."
        ),
        format!(
            "Os ydych yn anhapus, gallwch gwyno wrth ein Swyddog Diogelu Data. Byddwn yn rhoi gwybod \
             i chi o fewn 30 diwrnod ein bod wedi cael eich cwyn. Gallwch hefyd gwyno wrth y \
             rheoleiddiwr: {regulator}, {regulator_url}"
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notice_lint::tests::{body, newsletter};

    fn both(newsletter: &Newsletter) -> [String; 2] {
        Language::ALL.map(|language| notice_text(&body(), newsletter, language))
    }

    #[test]
    fn the_first_paragraph_is_the_minimum_block() {
        let [english, _] = both(&newsletter());
        let first = "We will use your email address to send you Council news. We will not use it \
            for anything else. We keep it until you unsubscribe, then delete it within 30 days. You \
            can unsubscribe at any time from a link in every email. Hertfordshire County Council is \
            responsible. Contact our Data Protection Officer: dpo@hertfordshire.example, County \
            Hall, Pegs Lane, Hertford, SG13 8DQ.";
        assert_eq!(english.split("\n\n").next(), Some(first));
    }

    #[test]
    fn every_fact_is_told_in_both_languages() {
        let [english, welsh] = both(&newsletter());
        for text in [&english, &welsh] {
            for fact in [
                "dpo@hertfordshire.example",
                "County Hall, Pegs Lane, Hertford, SG13 8DQ",
                "https://ico.org.uk/make-a-complaint/",
                "30 d",
                "7 d",
                "6(1)(a)",
            ] {
                assert!(text.contains(fact), "{fact} in {text}");
            }
        }
        for fact in [
            "Council news",
            "Hertfordshire County Council",
            "Information Commissioner's",
        ] {
            assert!(english.contains(fact), "{fact}");
        }
        for fact in [
            "Newyddion y cyngor",
            "Cyngor Sir Hertford",
            "Comisiynydd Gwybodaeth",
        ] {
            assert!(welsh.contains(fact), "{fact}");
        }
        assert_eq!(english.split("\n\n").count(), welsh.split("\n\n").count());
    }

    #[test]
    fn days_and_basis_come_from_the_settings() {
        let mut newsletter = newsletter();
        newsletter.lawful_basis = LawfulBasis::PublicTask;
        for (days, in_english, in_welsh) in [
            (0, "within 1 day.", "o fewn 1 diwrnod."),
            (1, "within 1 day.", "o fewn 1 diwrnod."),
            (2, "within 2 days.", "o fewn 2 ddiwrnod."),
            (90, "within 90 days.", "o fewn 90 diwrnod."),
        ] {
            newsletter.retention_days = days;
            let [english, welsh] = both(&newsletter);
            // In the minimum block and where retention is told in full.
            assert_eq!(english.matches(in_english).count(), 2, "{english}");
            assert_eq!(welsh.matches(in_welsh).count(), 2, "{welsh}");
            assert!(english.contains("6(1)(e)") && welsh.contains("6(1)(e)"));
            assert!(!english.contains("6(1)(a)") && !welsh.contains("6(1)(a)"));
        }
    }

    #[test]
    fn paragraphs_and_sentences_are_short() {
        for basis in [LawfulBasis::Consent, LawfulBasis::PublicTask] {
            let mut newsletter = newsletter();
            newsletter.lawful_basis = basis;
            for text in both(&newsletter) {
                for paragraph in text.split("\n\n") {
                    assert!(
                        !paragraph.contains('\n') && !paragraph.contains("  "),
                        "{paragraph}"
                    );
                    for sentence in paragraph.split(". ") {
                        let words = sentence.split_whitespace().count();
                        assert!((1..=25).contains(&words), "{words} words: {sentence}");
                    }
                }
            }
        }
    }
}
