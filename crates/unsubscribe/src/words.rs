//! English and Welsh of the pages, each complete: a missing text does not compile. `{}` stands for the
//! newsletter's name.

use domain::Language;

/// A page that asks.
#[derive(Debug)]
pub(crate) struct AskWords {
    /// The title and first heading.
    pub(crate) heading: &'static str,
    /// The heading where no newsletter is named.
    pub(crate) heading_unnamed: &'static str,
    /// What the button does.
    pub(crate) explanation: &'static str,
    /// On the button.
    pub(crate) button: &'static str,
    /// What happens without it.
    pub(crate) otherwise: &'static str,
}

/// A page, or line, that confirms.
#[derive(Debug)]
pub(crate) struct DoneWords {
    /// The title and first heading.
    pub(crate) heading: &'static str,
    /// Under the heading, in the panel.
    pub(crate) panel: &'static str,
    /// What happens next.
    pub(crate) next: &'static str,
    /// The answer to a program.
    pub(crate) line: &'static str,
}

/// All words of the room in one language.
#[derive(Debug)]
pub(crate) struct Words {
    pub(crate) this_newsletter: &'static str,
    /// In its place where all are meant.
    pub(crate) any_newsletter: &'static str,
    pub(crate) ask_leave: AskWords,
    pub(crate) ask_undo: AskWords,
    pub(crate) ask_undo_all: AskWords,
    pub(crate) ask_not_me: AskWords,
    /// Before the list of newsletters that somebody signed up for.
    pub(crate) signed_up_for: &'static str,
    /// In its place where none is named.
    pub(crate) signed_up_unnamed: &'static str,
    /// Above the button that ends everything; `{}` on it stands for the body.
    pub(crate) all_heading: &'static str,
    pub(crate) all_explanation: &'static str,
    pub(crate) all_button: &'static str,
    pub(crate) all_button_unnamed: &'static str,
    pub(crate) never_heading: &'static str,
    pub(crate) never_explanation: &'static str,
    pub(crate) never_button: &'static str,
    /// That a link works for whoever has it.
    pub(crate) forwarded: &'static str,
    pub(crate) undo_over_heading: &'static str,
    pub(crate) undo_over: &'static str,
    pub(crate) done_leave: DoneWords,
    pub(crate) done_leave_all: DoneWords,
    pub(crate) done_undo: DoneWords,
    pub(crate) done_undo_all: DoneWords,
    pub(crate) done_not_me: DoneWords,
    pub(crate) done_never: DoneWords,
    pub(crate) receipt: &'static str,
    pub(crate) receipt_help: &'static str,
    pub(crate) changed_mind: &'static str,
    pub(crate) undo_button: &'static str,
    pub(crate) undo_all_button: &'static str,
    /// `{}` stands for "30 days".
    pub(crate) deleted_after: &'static str,
    pub(crate) all_deleted_after: &'static str,
    pub(crate) deleted_at_once: &'static str,
    pub(crate) sign_up_again: &'static str,
    pub(crate) still_coming: &'static str,
    pub(crate) tell_officer: &'static str,
    pub(crate) complain_to: &'static str,
    /// `{}` stands for the officer's mailbox.
    pub(crate) unavailable_write_to: &'static str,
    pub(crate) unavailable: &'static str,
    /// Days in words of this language, kept on one line.
    pub(crate) days: fn(u16) -> String,
}

impl Words {
    pub(crate) const fn in_language(language: Language) -> &'static Self {
        match language {
            Language::En => &EN,
            Language::Cy => &CY,
        }
    }
}

/// The pattern with its `{}` filled in.
pub(crate) fn filled(pattern: &str, with: &str) -> String {
    pattern.replacen("{}", with, 1)
}

static EN: Words = Words {
    this_newsletter: "this newsletter",
    any_newsletter: "a newsletter from us",
    ask_leave: AskWords {
        heading: "Unsubscribe from {}?",
        heading_unnamed: "Unsubscribe from this newsletter?",
        explanation: "Press the button to stop getting {}. Other newsletters that you get from us go on.",
        button: "Unsubscribe",
        otherwise: "Nothing changes until you press the button.",
    },
    ask_undo: AskWords {
        heading: "Keep getting {}?",
        heading_unnamed: "Keep getting this newsletter?",
        explanation: "You unsubscribed. Press the button to take that back and go on getting {}.",
        button: "Keep getting it",
        otherwise: "Nothing changes until you press the button.",
    },
    ask_undo_all: AskWords {
        heading: "Keep getting our newsletters?",
        heading_unnamed: "Keep getting our newsletters?",
        explanation: "You unsubscribed from all of them. Press the button to take that back and go on getting what you got before.",
        button: "Keep getting them",
        otherwise: "Nothing changes until you press the button.",
    },
    ask_not_me: AskWords {
        heading: "Did someone else use your email address?",
        heading_unnamed: "Did someone else use your email address?",
        explanation: "If it was not you, press the button. We will cancel the sign-up and send you no newsletter because of it, and for 12 months we will not ask this address again. Newsletters that you signed up for yourself go on.",
        button: "This wasn’t me",
        otherwise: "If it was you, close this page. Nothing changes.",
    },
    signed_up_for: "Someone gave us your email address to get:",
    signed_up_unnamed: "Someone gave us your email address to get one of our newsletters.",
    all_heading: "No newsletters at all?",
    all_explanation: "This stops all newsletters that you get from us at this address.",
    all_button: "Unsubscribe from all {} newsletters",
    all_button_unnamed: "Unsubscribe from all our newsletters",
    never_heading: "No emails from us at all?",
    never_explanation: "We then cancel the sign-up, stop every newsletter to this address, and send nothing to it any more, whoever types it in. To change that later, write to our Data Protection Officer.",
    never_button: "Never email me at all",
    forwarded: "The link works for anyone who has the email. If you forward the email, other people can unsubscribe you.",
    undo_over_heading: "It is too late to undo",
    undo_over: "You unsubscribed some time ago, and we have deleted your email address since, as we said we would. If you would like our newsletters again, sign up again.",
    done_leave: DoneWords {
        heading: "You have unsubscribed",
        panel: "You will not get {} any more.",
        next: "We will send you no more issues of it from now on. One that is already on its way may still arrive.",
        line: "You have unsubscribed.",
    },
    done_leave_all: DoneWords {
        heading: "You have unsubscribed",
        panel: "You will not get any newsletter from us any more.",
        next: "We will send you no more issues of any of them from now on. One that is already on its way may still arrive.",
        line: "You have unsubscribed from all newsletters.",
    },
    done_undo: DoneWords {
        heading: "You have taken back your unsubscribe",
        panel: "You will keep getting {}.",
        next: "This works as long as we still have your email address. It takes back the one unsubscribe that you have just undone. If you unsubscribed more than once, or we have deleted your address already, sign up again.",
        line: "The unsubscribe is taken back.",
    },
    done_undo_all: DoneWords {
        heading: "You have taken back your unsubscribe",
        panel: "You will keep getting the newsletters that you got before.",
        next: "This works as long as we still have your email address. It takes back the one unsubscribe that you have just undone. If you also unsubscribed from one of them by itself, or we have deleted your address already, sign up again.",
        line: "The unsubscribe is taken back.",
    },
    done_not_me: DoneWords {
        heading: "We have cancelled the sign-up",
        panel: "You will get no newsletter because of it.",
        next: "You do not need to do anything else. We only send a newsletter after someone has pressed the button in an email to that address.",
        line: "The sign-up is cancelled.",
    },
    done_never: DoneWords {
        heading: "We will not email you any more",
        panel: "We send nothing to this address any more.",
        next: "The sign-up is cancelled, and every newsletter to this address is stopped. If you change your mind, write to our Data Protection Officer. You find the address at the end of this page.",
        line: "No more emails will be sent.",
    },
    receipt: "Your receipt",
    receipt_help: "Keep this code if you would like proof.",
    changed_mind: "Changed your mind?",
    undo_button: "Undo: keep getting {}",
    undo_all_button: "Undo: keep getting our newsletters",
    deleted_after: "If you get no other newsletter from us, we delete your email address after {}. You can undo until then.",
    all_deleted_after: "We delete your email address after {}. You can undo until then.",
    deleted_at_once: "If you get no other newsletter from us, we delete your email address straight away. You would then have to sign up again.",
    sign_up_again: "Sign up again",
    still_coming: "If it still comes",
    tell_officer: "If you still get {} after 2\u{a0}days, send the receipt to our Data Protection Officer:",
    complain_to: "You can also complain to the regulator:",
    unavailable_write_to: "We could not do this now and have changed nothing. Please try again in a minute, or write to {}.",
    unavailable: "We could not do this now and have changed nothing. Please try again in a minute.",
    days: |count| match count {
        1 => "1\u{a0}day".to_owned(),
        more => format!("{more}\u{a0}days"),
    },
};

static CY: Words = Words {
    this_newsletter: "y cylchlythyr hwn",
    any_newsletter: "cylchlythyr gennym",
    ask_leave: AskWords {
        heading: "Dad-danysgrifio o {}?",
        heading_unnamed: "Dad-danysgrifio o’r cylchlythyr hwn?",
        explanation: "Pwyswch y botwm i roi’r gorau i gael {}. Bydd cylchlythyrau eraill rydych yn eu cael gennym yn parhau.",
        button: "Dad-danysgrifio",
        otherwise: "Nid oes dim yn newid nes i chi bwyso’r botwm.",
    },
    ask_undo: AskWords {
        heading: "Dal i gael {}?",
        heading_unnamed: "Dal i gael y cylchlythyr hwn?",
        explanation: "Rydych wedi dad-danysgrifio. Pwyswch y botwm i ddadwneud hynny a dal i gael {}.",
        button: "Dal i’w gael",
        otherwise: "Nid oes dim yn newid nes i chi bwyso’r botwm.",
    },
    ask_undo_all: AskWords {
        heading: "Dal i gael ein cylchlythyrau?",
        heading_unnamed: "Dal i gael ein cylchlythyrau?",
        explanation: "Rydych wedi dad-danysgrifio o bob un ohonynt. Pwyswch y botwm i ddadwneud hynny a dal i gael yr hyn roeddech yn ei gael o’r blaen.",
        button: "Dal i’w cael",
        otherwise: "Nid oes dim yn newid nes i chi bwyso’r botwm.",
    },
    ask_not_me: AskWords {
        heading: "A ddefnyddiodd rhywun arall eich cyfeiriad e-bost?",
        heading_unnamed: "A ddefnyddiodd rhywun arall eich cyfeiriad e-bost?",
        explanation: "Os nad chi oedd hynny, pwyswch y botwm. Byddwn yn canslo’r cofrestriad ac ni fyddwn yn anfon cylchlythyr atoch o’i herwydd, ac ni fyddwn yn gofyn i’r cyfeiriad hwn eto am 12 mis. Bydd cylchlythyrau y gwnaethoch gofrestru ar eu cyfer eich hun yn parhau.",
        button: "Nid fi oedd hwn",
        otherwise: "Os chi oedd hynny, caewch y dudalen hon. Nid oes dim yn newid.",
    },
    signed_up_for: "Rhoddodd rhywun eich cyfeiriad e-bost i ni er mwyn cael:",
    signed_up_unnamed: "Rhoddodd rhywun eich cyfeiriad e-bost i ni er mwyn cael un o’n cylchlythyrau.",
    all_heading: "Dim cylchlythyrau o gwbl?",
    all_explanation: "Mae hyn yn atal pob cylchlythyr rydych yn ei gael gennym yn y cyfeiriad hwn.",
    all_button: "Dad-danysgrifio o holl gylchlythyrau {}",
    all_button_unnamed: "Dad-danysgrifio o’n holl gylchlythyrau",
    never_heading: "Dim e-byst gennym o gwbl?",
    never_explanation: "Byddwn wedyn yn canslo’r cofrestriad, yn atal pob cylchlythyr i’r cyfeiriad hwn, ac ni fyddwn yn anfon dim ato mwyach, pwy bynnag sy’n ei deipio. I newid hynny’n nes ymlaen, ysgrifennwch at ein Swyddog Diogelu Data.",
    never_button: "Peidiwch byth ag anfon e-bost ataf",
    forwarded: "Mae’r ddolen yn gweithio i unrhyw un sydd â’r e-bost. Os byddwch yn anfon yr e-bost ymlaen, gall pobl eraill eich dad-danysgrifio.",
    undo_over_heading: "Mae’n rhy hwyr i ddadwneud",
    undo_over: "Gwnaethoch ddad-danysgrifio beth amser yn ôl, ac rydym wedi dileu eich cyfeiriad e-bost ers hynny, fel y dywedom y byddem. Os hoffech gael ein cylchlythyrau eto, cofrestrwch eto.",
    done_leave: DoneWords {
        heading: "Rydych wedi dad-danysgrifio",
        panel: "Ni fyddwch yn cael {} mwyach.",
        next: "Ni fyddwn yn anfon rhagor o rifynnau ohono atoch o hyn ymlaen. Gall un sydd eisoes ar ei ffordd gyrraedd o hyd.",
        line: "Rydych wedi dad-danysgrifio.",
    },
    done_leave_all: DoneWords {
        heading: "Rydych wedi dad-danysgrifio",
        panel: "Ni fyddwch yn cael unrhyw gylchlythyr gennym mwyach.",
        next: "Ni fyddwn yn anfon rhagor o rifynnau o’r un ohonynt atoch o hyn ymlaen. Gall un sydd eisoes ar ei ffordd gyrraedd o hyd.",
        line: "Rydych wedi dad-danysgrifio o bob cylchlythyr.",
    },
    done_undo: DoneWords {
        heading: "Rydych wedi dadwneud eich dad-danysgrifiad",
        panel: "Byddwch yn dal i gael {}.",
        next: "Mae hyn yn gweithio cyhyd â bod eich cyfeiriad e-bost gennym o hyd. Mae’n dadwneud yr un dad-danysgrifiad hwn yn unig. Os gwnaethoch ddad-danysgrifio fwy nag unwaith, neu os ydym eisoes wedi dileu eich cyfeiriad, cofrestrwch eto.",
        line: "Mae’r dad-danysgrifiad wedi’i ddadwneud.",
    },
    done_undo_all: DoneWords {
        heading: "Rydych wedi dadwneud eich dad-danysgrifiad",
        panel: "Byddwch yn dal i gael y cylchlythyrau roeddech yn eu cael o’r blaen.",
        next: "Mae hyn yn gweithio cyhyd â bod eich cyfeiriad e-bost gennym o hyd. Mae’n dadwneud yr un dad-danysgrifiad hwn yn unig. Os gwnaethoch hefyd ddad-danysgrifio o un ohonynt ar wahân, neu os ydym eisoes wedi dileu eich cyfeiriad, cofrestrwch eto.",
        line: "Mae’r dad-danysgrifiad wedi’i ddadwneud.",
    },
    done_not_me: DoneWords {
        heading: "Rydym wedi canslo’r cofrestriad",
        panel: "Ni chewch gylchlythyr o’i herwydd.",
        next: "Nid oes angen i chi wneud dim byd arall. Dim ond ar ôl i rywun bwyso’r botwm mewn e-bost i’r cyfeiriad hwnnw y byddwn yn anfon cylchlythyr.",
        line: "Mae’r cofrestriad wedi’i ganslo.",
    },
    done_never: DoneWords {
        heading: "Ni fyddwn yn anfon e-bost atoch mwyach",
        panel: "Ni fyddwn yn anfon dim i’r cyfeiriad hwn mwyach.",
        next: "Mae’r cofrestriad wedi’i ganslo, ac mae pob cylchlythyr i’r cyfeiriad hwn wedi’i atal. Os newidiwch eich meddwl, ysgrifennwch at ein Swyddog Diogelu Data. Mae’r cyfeiriad ar ddiwedd y dudalen hon.",
        line: "Ni fydd rhagor o e-byst yn cael eu hanfon.",
    },
    receipt: "Eich derbynneb",
    receipt_help: "Cadwch y cod hwn os hoffech gael prawf.",
    changed_mind: "Wedi newid eich meddwl?",
    undo_button: "Dadwneud: dal i gael {}",
    undo_all_button: "Dadwneud: dal i gael ein cylchlythyrau",
    deleted_after: "Os nad ydych yn cael cylchlythyr arall gennym, byddwn yn dileu eich cyfeiriad e-bost ar ôl {}. Gallwch ddadwneud tan hynny.",
    all_deleted_after: "Byddwn yn dileu eich cyfeiriad e-bost ar ôl {}. Gallwch ddadwneud tan hynny.",
    deleted_at_once: "Os nad ydych yn cael cylchlythyr arall gennym, byddwn yn dileu eich cyfeiriad e-bost ar unwaith. Byddai’n rhaid i chi gofrestru eto wedyn.",
    sign_up_again: "Cofrestru eto",
    still_coming: "Os yw’n dal i ddod",
    tell_officer: "Os ydych yn dal i gael {} ar ôl 2\u{a0}ddiwrnod, anfonwch y dderbynneb at ein Swyddog Diogelu Data:",
    complain_to: "Gallwch hefyd gwyno wrth y rheoleiddiwr:",
    unavailable_write_to: "Ni allem wneud hyn nawr ac nid ydym wedi newid dim. Rhowch gynnig arall arni ymhen munud, neu ysgrifennwch at {}.",
    unavailable: "Ni allem wneud hyn nawr ac nid ydym wedi newid dim. Rhowch gynnig arall arni ymhen munud.",
    // Singular after a number; 2 softens it.
    days: |count| match count {
        2 => "2\u{a0}ddiwrnod".to_owned(),
        other => format!("{other}\u{a0}diwrnod"),
    },
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_their_place_in_both_languages() {
        for language in Language::ALL {
            let words = Words::in_language(language);
            for pattern in [
                words.ask_leave.heading,
                words.ask_leave.explanation,
                words.ask_undo.heading,
                words.ask_undo.explanation,
                words.done_leave.panel,
                words.done_undo.panel,
                words.undo_button,
                words.deleted_after,
                words.all_deleted_after,
                words.all_button,
                words.tell_officer,
                words.unavailable_write_to,
            ] {
                assert_eq!(pattern.matches("{}").count(), 1, "{pattern}");
                assert_eq!(filled(pattern, "{}"), pattern);
            }
        }
    }

    #[test]
    fn days_are_counted_as_the_language_counts() {
        let counted = |language, count| (Words::in_language(language).days)(count);
        assert_eq!(counted(Language::En, 1), "1\u{a0}day");
        assert_eq!(counted(Language::En, 30), "30\u{a0}days");
        assert_eq!(counted(Language::Cy, 1), "1\u{a0}diwrnod");
        assert_eq!(counted(Language::Cy, 2), "2\u{a0}ddiwrnod");
        assert_eq!(counted(Language::Cy, 30), "30\u{a0}diwrnod");
    }
}
