//! The words of `/leave` in English and Welsh: a missing one does not compile.

use domain::Language;

/// All words of its two pages.
#[derive(Debug)]
pub(crate) struct LeaveWords {
    pub(crate) title: &'static str,
    pub(crate) lead: &'static str,
    pub(crate) easier: &'static str,
    pub(crate) there_is_a_problem: &'static str,
    pub(crate) email_label: &'static str,
    pub(crate) email_hint: &'static str,
    pub(crate) button: &'static str,
    pub(crate) used_for: &'static str,
    pub(crate) asked_title: &'static str,
    pub(crate) asked_panel: &'static str,
    pub(crate) next_heading: &'static str,
    pub(crate) next: &'static str,
    pub(crate) once_a_day: &'static str,
    pub(crate) no_mail_heading: &'static str,
    pub(crate) no_mail_junk: &'static str,
    pub(crate) no_mail_again: &'static str,
    pub(crate) no_mail_never: &'static str,
}

impl LeaveWords {
    pub(crate) const fn in_language(language: Language) -> &'static Self {
        match language {
            Language::En => &ENGLISH,
            Language::Cy => &WELSH,
        }
    }
}

static ENGLISH: LeaveWords = LeaveWords {
    title: "Unsubscribe without an old email",
    lead: "Tell us your email address and we will send you a link to unsubscribe.",
    easier: "If you still have an email from us, the link at its end is quicker.",
    there_is_a_problem: "There is a problem",
    email_label: "Your email address",
    email_hint: "The one that our emails come to.",
    button: "Send me a link",
    used_for: "We use the address for this one answer only. We do not tell anyone whether it gets a newsletter, not even on the next page.",
    asked_title: "Check your email",
    asked_panel: "Nothing is stopped yet. There is one more step.",
    next_heading: "What happens next",
    next: "If the address is right, we send an email to it in a few minutes. Follow the link in it and press the button on the page that opens.",
    once_a_day: "We send it at most once a day.",
    no_mail_heading: "If no email comes",
    no_mail_junk: "Look in your junk or spam folder.",
    no_mail_again: "Check how you wrote your address, and ask again.",
    no_mail_never: "If you have told us never to email you, we do not email you now either. Write to our Data Protection Officer; the addresses are at the end of this page.",
};

static WELSH: LeaveWords = LeaveWords {
    title: "Dad-danysgrifio heb hen e-bost",
    lead: "Rhowch eich cyfeiriad e-bost i ni ac anfonwn ddolen atoch i ddad-danysgrifio.",
    easier: "Os yw e-bost gennym gennych o hyd, mae’r ddolen ar ei ddiwedd yn gynt.",
    there_is_a_problem: "Mae problem",
    email_label: "Eich cyfeiriad e-bost",
    email_hint: "Yr un y mae ein negeseuon e-bost yn dod iddo.",
    button: "Anfonwch ddolen ataf",
    used_for: "Rydym yn defnyddio’r cyfeiriad ar gyfer yr un ateb hwn yn unig. Nid ydym yn dweud wrth neb a yw’n cael cylchlythyr, dim hyd yn oed ar y dudalen nesaf.",
    asked_title: "Edrychwch ar eich e-bost",
    asked_panel: "Nid oes dim wedi’i atal eto. Mae un cam arall.",
    next_heading: "Beth sy’n digwydd nesaf",
    next: "Os yw’r cyfeiriad yn gywir, anfonwn e-bost iddo ymhen ychydig funudau. Dilynwch y ddolen ynddo a phwyswch y botwm ar y dudalen sy’n agor.",
    once_a_day: "Byddwn yn ei anfon unwaith y dydd ar y mwyaf.",
    no_mail_heading: "Os na ddaw e-bost",
    no_mail_junk: "Edrychwch yn eich ffolder sothach neu sbam.",
    no_mail_again: "Gwiriwch sut gwnaethoch ysgrifennu eich cyfeiriad, a gofynnwch eto.",
    no_mail_never: "Os ydych wedi dweud wrthym am beidio byth ag anfon e-bost atoch, nid anfonwn un nawr chwaith. Ysgrifennwch at ein Swyddog Diogelu Data; mae’r cyfeiriadau ar ddiwedd y dudalen hon.",
};
