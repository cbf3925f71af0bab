//! The words of the frame and of the problem pages, in English and Welsh: a missing one does not
//! compile.

use domain::Language;

/// The words around every page.
#[derive(Debug)]
pub(crate) struct FrameWords {
    pub(crate) error_prefix: &'static str,
    pub(crate) service: &'static str,
    pub(crate) skip_link: &'static str,
    /// The name of the other language, in that language.
    pub(crate) other_language: &'static str,
    pub(crate) officer: &'static str,
    pub(crate) officer_help: &'static str,
    pub(crate) by_email: &'static str,
    pub(crate) by_post: &'static str,
    pub(crate) complain: &'static str,
    pub(crate) complain_help: &'static str,
    pub(crate) all_newsletters: &'static str,
    pub(crate) privacy: &'static str,
    pub(crate) leave: &'static str,
    pub(crate) no_tracking: &'static str,
}

impl FrameWords {
    pub(crate) const fn in_language(language: Language) -> &'static Self {
        match language {
            Language::En => &FRAME_EN,
            Language::Cy => &FRAME_CY,
        }
    }
}

static FRAME_EN: FrameWords = FrameWords {
    error_prefix: "Error:",
    service: "Email newsletters",
    skip_link: "Skip to main content",
    other_language: "Cymraeg",
    officer: "Data Protection Officer",
    officer_help: "Ask us what we hold about you, or about anything on this page.",
    by_email: "Email:",
    by_post: "Post:",
    complain: "Complaints",
    complain_help: "Tell our Data Protection Officer first if you can. You can also complain to the regulator:",
    all_newsletters: "All newsletters",
    privacy: "Privacy notice",
    leave: "Unsubscribe without an old email",
    no_tracking: "These pages set no cookies and do not track you.",
};

static FRAME_CY: FrameWords = FrameWords {
    error_prefix: "Gwall:",
    service: "Cylchlythyrau e-bost",
    skip_link: "Neidio i’r prif gynnwys",
    other_language: "English",
    officer: "Swyddog Diogelu Data",
    officer_help: "Gofynnwch i ni beth rydym yn ei gadw amdanoch chi, neu am unrhyw beth ar y dudalen hon.",
    by_email: "E-bost:",
    by_post: "Post:",
    complain: "Cwynion",
    complain_help: "Dywedwch wrth ein Swyddog Diogelu Data yn gyntaf os gallwch. Gallwch hefyd gwyno wrth y rheoleiddiwr:",
    all_newsletters: "Pob cylchlythyr",
    privacy: "Hysbysiad preifatrwydd",
    leave: "Dad-danysgrifio heb hen e-bost",
    no_tracking: "Nid yw’r tudalennau hyn yn gosod cwcis nac yn eich olrhain.",
};

/// One problem page.
#[derive(Debug)]
pub(crate) struct ProblemPage {
    pub(crate) heading: &'static str,
    pub(crate) paragraphs: &'static [&'static str],
    /// What the resident can do, one a line.
    pub(crate) steps: &'static [&'static str],
}

/// The words of the problem pages.
#[derive(Debug)]
pub(crate) struct ProblemWords {
    pub(crate) broken_link: ProblemPage,
    pub(crate) not_found: ProblemPage,
    pub(crate) method_not_allowed: ProblemPage,
    pub(crate) too_large: ProblemPage,
    pub(crate) unreadable_type: ProblemPage,
    pub(crate) unavailable: ProblemPage,
    pub(crate) there_is_a_problem: &'static str,
    pub(crate) not_valid_heading: &'static str,
    pub(crate) not_valid_help: &'static str,
    /// Before the officer's mailbox.
    pub(crate) or_write: &'static str,
    /// After it.
    pub(crate) we_do_it: &'static str,
    pub(crate) see_newsletters: &'static str,
    /// To where an address is typed in and a link comes by mail.
    pub(crate) get_a_link: &'static str,
}

impl ProblemWords {
    pub(crate) const fn in_language(language: Language) -> &'static Self {
        match language {
            Language::En => &PROBLEMS_EN,
            Language::Cy => &PROBLEMS_CY,
        }
    }
}

static PROBLEMS_EN: ProblemWords = ProblemWords {
    broken_link: ProblemPage {
        heading: "This link is not working",
        paragraphs: &[
            "Part of the link may be missing, or something may have been added to it. We have not changed anything.",
            "You can:",
        ],
        steps: &[
            "go back to the email and choose the link there, rather than copying it",
            "use the link in the newest email that you have from us",
        ],
    },
    not_found: ProblemPage {
        heading: "Page not found",
        paragraphs: &[
            "There is no page at this address. If you typed it, check that it is right. If you copied it, check that you copied all of it.",
            "A newsletter’s page also goes away when the newsletter stops taking new readers.",
        ],
        steps: &[],
    },
    method_not_allowed: ProblemPage {
        heading: "This page cannot be used in this way",
        paragraphs: &[
            "The program that you use asked for something that this page does not do. We have not changed anything. Open the page again from its link and use the button on it.",
        ],
        steps: &[],
    },
    too_large: ProblemPage {
        heading: "Too much was sent",
        paragraphs: &[
            "The form sent more than 16 kilobytes, so we did not read it. All we need is an email address and the newsletter.",
        ],
        steps: &[],
    },
    unreadable_type: ProblemPage {
        heading: "We cannot read what was sent",
        paragraphs: &[
            "The form has to send its answers as application/x-www-form-urlencoded, multipart/form-data or application/json, not compressed. We have not kept anything.",
        ],
        steps: &[],
    },
    unavailable: ProblemPage {
        heading: "Sorry, we cannot do this at the moment",
        paragraphs: &["We have not kept or changed anything. Please try again in a few minutes."],
        steps: &[],
    },
    there_is_a_problem: "There is a problem",
    not_valid_heading: "We could not use what was sent",
    not_valid_help: "We have not kept anything. Go back, put it right and send it again.",
    or_write: "You can also write to our Data Protection Officer:",
    we_do_it: "Tell us what you wanted to do and we will do it for you.",
    see_newsletters: "See all newsletters",
    get_a_link: "Give us your email address and get a new link to unsubscribe",
};

static PROBLEMS_CY: ProblemWords = ProblemWords {
    broken_link: ProblemPage {
        heading: "Nid yw’r ddolen hon yn gweithio",
        paragraphs: &[
            "Efallai fod rhan o’r ddolen ar goll, neu fod rhywbeth wedi’i ychwanegu ati. Nid ydym wedi newid dim.",
            "Gallwch:",
        ],
        steps: &[
            "fynd yn ôl i’r e-bost a dewis y ddolen yno, yn hytrach na’i chopïo",
            "defnyddio’r ddolen yn yr e-bost diweddaraf sydd gennych oddi wrthym",
        ],
    },
    not_found: ProblemPage {
        heading: "Heb ddod o hyd i’r dudalen",
        paragraphs: &[
            "Nid oes tudalen yn y cyfeiriad hwn. Os gwnaethoch ei deipio, gwiriwch ei fod yn gywir. Os gwnaethoch ei gopïo, gwiriwch eich bod wedi copïo’r cyfan.",
            "Mae tudalen cylchlythyr hefyd yn diflannu pan na fydd y cylchlythyr yn derbyn darllenwyr newydd mwyach.",
        ],
        steps: &[],
    },
    method_not_allowed: ProblemPage {
        heading: "Ni ellir defnyddio’r dudalen hon fel hyn",
        paragraphs: &[
            "Gofynnodd y rhaglen rydych yn ei defnyddio am rywbeth nad yw’r dudalen hon yn ei wneud. Nid ydym wedi newid dim. Agorwch y dudalen eto o’i dolen a defnyddiwch y botwm arni.",
        ],
        steps: &[],
    },
    too_large: ProblemPage {
        heading: "Anfonwyd gormod",
        paragraphs: &[
            "Anfonodd y ffurflen fwy nag 16 cilobeit, felly ni wnaethom ei darllen. Y cyfan sydd ei angen arnom yw cyfeiriad e-bost a’r cylchlythyr.",
        ],
        steps: &[],
    },
    unreadable_type: ProblemPage {
        heading: "Ni allwn ddarllen yr hyn a anfonwyd",
        paragraphs: &[
            "Rhaid i’r ffurflen anfon ei hatebion fel application/x-www-form-urlencoded, multipart/form-data neu application/json, heb eu cywasgu. Nid ydym wedi cadw dim.",
        ],
        steps: &[],
    },
    unavailable: ProblemPage {
        heading: "Mae’n ddrwg gennym, ni allwn wneud hyn ar hyn o bryd",
        paragraphs: &[
            "Nid ydym wedi cadw na newid dim. Rhowch gynnig arall arni ymhen ychydig funudau.",
        ],
        steps: &[],
    },
    there_is_a_problem: "Mae problem",
    not_valid_heading: "Ni allem ddefnyddio’r hyn a anfonwyd",
    not_valid_help: "Nid ydym wedi cadw dim. Ewch yn ôl, cywirwch ef a’i anfon eto.",
    or_write: "Gallwch hefyd ysgrifennu at ein Swyddog Diogelu Data:",
    we_do_it: "Dywedwch wrthym beth roeddech am ei wneud ac fe’i gwnawn ar eich rhan.",
    see_newsletters: "Gweld pob cylchlythyr",
    get_a_link: "Rhoi eich cyfeiriad e-bost i ni a chael dolen newydd i ddad-danysgrifio",
};
