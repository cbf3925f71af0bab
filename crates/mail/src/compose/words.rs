//! The words of our mails, English and Welsh side by side.

use domain::Language;

/// Says it in this language.
#[derive(Clone, Copy)]
pub(crate) struct Say(pub(crate) Language);

impl Say {
    const fn pick(self, english: &'static str, welsh: &'static str) -> &'static str {
        match self.0 {
            Language::En => english,
            Language::Cy => welsh,
        }
    }

    pub(crate) const fn officer(self) -> &'static str {
        self.pick("Data Protection Officer", "Swyddog Diogelu Data")
    }

    pub(crate) const fn questions(self) -> &'static str {
        self.pick(
            "Questions about your information:",
            "Cwestiynau am eich gwybodaeth:",
        )
    }

    pub(crate) const fn privacy(self) -> &'static str {
        self.pick(
            "How we look after your information",
            "Sut rydym yn gofalu am eich gwybodaeth",
        )
    }

    pub(crate) fn why_issue(self, newsletter: &str, body: &str) -> String {
        match self.0 {
            Language::En => {
                format!("You get this email because you signed up for {newsletter} from {body}.")
            }
            Language::Cy => format!(
                "Rydych yn cael yr e-bost hwn am eich bod wedi tanysgrifio i {newsletter} gan {body}."
            ),
        }
    }

    pub(crate) fn why_sign_up(self, body: &str) -> String {
        match self.0 {
            Language::En => format!(
                "You get this email because this address was typed into a newsletter sign-up form of {body}."
            ),
            Language::Cy => format!(
                "Rydych yn cael yr e-bost hwn am fod y cyfeiriad hwn wedi cael ei roi ar ffurflen danysgrifio i gylchlythyr {body}."
            ),
        }
    }

    pub(crate) fn unsubscribe(self, newsletter: &str) -> String {
        match self.0 {
            Language::En => format!("Unsubscribe from {newsletter}"),
            Language::Cy => format!("Dad-danysgrifio: {newsletter}"),
        }
    }

    /// The subject of a confirmation; no name where there are several newsletters.
    pub(crate) fn confirm_title(self, newsletter: Option<&str>) -> String {
        match (self.0, newsletter) {
            (Language::En, Some(name)) => format!("Confirm your sign-up for {name}"),
            (Language::En, None) => "Confirm your newsletter sign-up".into(),
            (Language::Cy, Some(name)) => format!("Cadarnhewch eich tanysgrifiad i {name}"),
            (Language::Cy, None) => "Cadarnhewch eich tanysgrifiadau".into(),
        }
    }

    pub(crate) fn asked(self, body: &str, several: bool) -> String {
        match (self.0, several) {
            (Language::En, false) => format!(
                "Someone, we think you, asked {body} to send this newsletter to your email address:"
            ),
            (Language::En, true) => format!(
                "Someone, we think you, asked {body} to send these newsletters to your email address:"
            ),
            (Language::Cy, false) => format!(
                "Mae rhywun, chi yn ein barn ni, wedi gofyn i {body} anfon y cylchlythyr hwn i’ch cyfeiriad e-bost:"
            ),
            (Language::Cy, true) => format!(
                "Mae rhywun, chi yn ein barn ni, wedi gofyn i {body} anfon y cylchlythyrau hyn i’ch cyfeiriad e-bost:"
            ),
        }
    }

    pub(crate) const fn what_to_do(self) -> &'static str {
        self.pick(
            "If that was you, follow this link and press the button on the page that opens.",
            "Os mai chi oedd hynny, dilynwch y ddolen hon a phwyswch y botwm ar y dudalen sy’n agor.",
        )
    }

    pub(crate) const fn confirm(self) -> &'static str {
        self.pick("Confirm my sign-up", "Cadarnhau fy nhanysgrifiad")
    }

    pub(crate) fn confirm_preheader(self, days: u64) -> String {
        match self.0 {
            Language::En => format!("One more step. The link works for {days} days."),
            Language::Cy => format!(
                "Un cam arall. Mae’r ddolen yn gweithio am {}.",
                welsh_days(days)
            ),
        }
    }

    pub(crate) fn expires(self, days: u64) -> String {
        match self.0 {
            Language::En => format!(
                "The link works for {days} days. If you do not confirm by then, we delete your email address and send you no newsletter."
            ),
            Language::Cy => format!(
                "Mae’r ddolen yn gweithio am {}. Os na fyddwch wedi cadarnhau erbyn hynny, byddwn yn dileu eich cyfeiriad e-bost ac ni fyddwn yn anfon cylchlythyr atoch.",
                welsh_days(days)
            ),
        }
    }

    pub(crate) const fn use_heading(self) -> &'static str {
        self.pick(
            "How we use your email address",
            "Sut rydym yn defnyddio eich cyfeiriad e-bost",
        )
    }

    pub(crate) const fn purpose(self) -> &'static str {
        self.pick(
            "We use your email address to send you what you choose here. We do not use it for anything else.",
            "Byddwn yn defnyddio eich cyfeiriad e-bost i anfon atoch yr hyn a ddewiswch yma. Ni fyddwn yn ei ddefnyddio at unrhyw ddiben arall.",
        )
    }

    /// The retention that the purge enforces, in days after the last unsubscribe.
    pub(crate) fn retention(self, days: u16) -> String {
        match (self.0, days) {
            (Language::En, 0) => {
                "We keep it while you are signed up and delete it when you unsubscribe.".into()
            }
            (Language::En, 1) => {
                "We keep it while you are signed up and delete it 1 day after you unsubscribe.".into()
            }
            (Language::En, days) => format!(
                "We keep it while you are signed up and delete it {days} days after you unsubscribe."
            ),
            (Language::Cy, 0) => "Byddwn yn ei gadw tra byddwch wedi tanysgrifio ac yn ei ddileu pan fyddwch yn dad-danysgrifio.".into(),
            (Language::Cy, days) => format!(
                "Byddwn yn ei gadw tra byddwch wedi tanysgrifio ac yn ei ddileu {} ar ôl i chi ddad-danysgrifio.",
                welsh_days(days.into())
            ),
        }
    }

    pub(crate) const fn withdrawal(self) -> &'static str {
        self.pick(
            "You can unsubscribe at any time with the link at the bottom of every email.",
            "Gallwch ddad-danysgrifio unrhyw bryd drwy’r ddolen ar waelod pob e-bost.",
        )
    }

    pub(crate) const fn not_me_lead(self) -> &'static str {
        self.pick("Was it someone else?", "Ai rhywun arall oedd hynny?")
    }

    pub(crate) const fn not_me(self) -> &'static str {
        self.pick(
            "This wasn’t me: stop these emails",
            "Nid fi oedd hyn: stopiwch yr e-byst hyn",
        )
    }

    /// The subject of the answer to somebody who gets it already.
    pub(crate) fn already_title(self, newsletter: Option<&str>) -> String {
        match (self.0, newsletter) {
            (Language::En, Some(name)) => format!("You already get {name}"),
            (Language::En, None) => "You already get these newsletters".into(),
            (Language::Cy, Some(name)) => format!("Rydych eisoes yn cael {name}"),
            (Language::Cy, None) => "Rydych eisoes yn cael y cylchlythyrau hyn".into(),
        }
    }

    pub(crate) const fn already(self, several: bool) -> &'static str {
        match (self.0, several) {
            (Language::En, false) => {
                "You get it already, so nothing has changed. If that was not you, you do not need to do anything. We send this answer at most once a day."
            }
            (Language::En, true) => {
                "You get them already, so nothing has changed. If that was not you, you do not need to do anything. We send this answer at most once a day."
            }
            (Language::Cy, false) => {
                "Rydych yn ei gael eisoes, felly does dim wedi newid. Os nad chi oedd hynny, does dim angen i chi wneud dim. Byddwn yn anfon yr ateb hwn unwaith y dydd ar y mwyaf."
            }
            (Language::Cy, true) => {
                "Rydych yn eu cael eisoes, felly does dim wedi newid. Os nad chi oedd hynny, does dim angen i chi wneud dim. Byddwn yn anfon yr ateb hwn unwaith y dydd ar y mwyaf."
            }
        }
    }

    pub(crate) const fn leave_links_title(self, is_none: bool) -> &'static str {
        if is_none {
            self.pick(
                "We send no newsletter to this address",
                "Nid ydym yn anfon cylchlythyr i’r cyfeiriad hwn",
            )
        } else {
            self.pick(
                "Your links to unsubscribe",
                "Eich dolenni i ddad-danysgrifio",
            )
        }
    }

    pub(crate) const fn leave_links_preheader(self, is_none: bool) -> &'static str {
        if is_none {
            self.pick(
                "Our emails may come to another address of yours.",
                "Efallai fod ein negeseuon yn dod i gyfeiriad arall sydd gennych.",
            )
        } else {
            self.pick(
                "One link for each newsletter. Nothing has changed yet.",
                "Un ddolen ar gyfer pob cylchlythyr. Does dim wedi newid eto.",
            )
        }
    }

    pub(crate) fn asked_to_leave(self, body: &str, is_none: bool) -> String {
        match (self.0, is_none) {
            (Language::En, false) => format!(
                "Someone, we think you, asked {body} how to stop emails to this address. It gets:"
            ),
            (Language::En, true) => {
                format!("Someone, we think you, asked {body} how to stop emails to this address.")
            }
            (Language::Cy, false) => format!(
                "Mae rhywun, chi yn ein barn ni, wedi gofyn i {body} sut i atal negeseuon e-bost i’r cyfeiriad hwn. Mae’n cael:"
            ),
            (Language::Cy, true) => format!(
                "Mae rhywun, chi yn ein barn ni, wedi gofyn i {body} sut i atal negeseuon e-bost i’r cyfeiriad hwn."
            ),
        }
    }

    pub(crate) const fn leave_links(self, is_none: bool) -> &'static str {
        if is_none {
            self.pick(
                "We send no newsletter to it. If you get one from us, it comes to another address of yours, and has a link to unsubscribe at the end. You can also ask again with that address.",
                "Nid ydym yn anfon cylchlythyr iddo. Os ydych yn cael un gennym, mae’n dod i gyfeiriad arall sydd gennych, ac mae dolen i ddad-danysgrifio ar ei ddiwedd. Gallwch hefyd ofyn eto gyda’r cyfeiriad hwnnw.",
            )
        } else {
            self.pick(
                "At the end of this email is a link for each. Follow it and press the button on the page that opens. The page can also stop all of them at once. The links keep working, so you can keep this email.",
                "Ar ddiwedd yr e-bost hwn mae dolen ar gyfer pob un. Dilynwch hi a phwyswch y botwm ar y dudalen sy’n agor. Gall y dudalen hefyd atal pob un ar unwaith. Mae’r dolenni’n dal i weithio, felly gallwch gadw’r e-bost hwn.",
            )
        }
    }

    pub(crate) const fn leave_links_not_you(self) -> &'static str {
        self.pick(
            "If you did not ask, you do not need to do anything: nothing has changed. We send this answer at most once a day.",
            "Os na wnaethoch ofyn, does dim angen i chi wneud dim: does dim wedi newid. Byddwn yn anfon yr ateb hwn unwaith y dydd ar y mwyaf.",
        )
    }

    pub(crate) const fn ask_again(self) -> &'static str {
        self.pick("Ask for your links", "Gofyn am eich dolenni")
    }

    pub(crate) fn why_leave_links(self, body: &str) -> String {
        match self.0 {
            Language::En => format!(
                "You get this email because this address was typed into the form of {body} for people who want to unsubscribe."
            ),
            Language::Cy => format!(
                "Rydych yn cael yr e-bost hwn am fod y cyfeiriad hwn wedi cael ei roi ar ffurflen {body} i bobl sydd am ddad-danysgrifio."
            ),
        }
    }

    pub(crate) const fn already_preheader(self) -> &'static str {
        self.pick("Nothing has changed.", "Does dim wedi newid.")
    }
}

/// A number of days in Welsh: the noun stays singular and softens after two.
fn welsh_days(days: u64) -> String {
    if days == 2 {
        "2 ddiwrnod".into()
    } else {
        format!("{days} diwrnod")
    }
}
