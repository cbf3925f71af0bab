//! What all pages of Letterbox share: the layout, the style sheet, the security headers, the words of
//! the frame in English and Welsh, and the pages for everything that can go wrong.
//!
//! No I/O, no script, no cookie, nothing from another host (`privacy.md` 4.4 and 8.1).
//!
//! | file | what is in it |
//! | --- | --- |
//! | `frame` | [`Frame`]: puts a page's main part between header and footer |
//! | `problem_pages` | broken link, not found, wrong method, too large, unreadable, not valid, unavailable |
//! | `security_headers` | the headers on every response |
//! | `language_choice` | which language a page is in, and the link to the other one |
//! | `stylesheet`, `letterbox.css` | the one style sheet, with the body's colour filled in |
//! | `colour` | the body's colour and what follows from it, with enough contrast |
//! | `words` | English and Welsh of the frame and the problem pages |
//!
//! A walk: a handler picks the language with [`language_from`], fills an `askama` template with the
//! page's main part, and calls [`Frame::page`]. The page asks for `/assets/letterbox.css`, which
//! [`styles`] answers; the colour travels in that address, so the sheet needs no state.
//!
//! # Classes for the templates of other rooms
//!
//! | class | on |
//! | --- | --- |
//! | `lead` | a first paragraph that stands out |
//! | `button`, `button secondary` | `<button>` or `<a>`: the one thing to do; another thing to do |
//! | `panel` | `<div>` with the `<h1>` and a short text: it worked |
//! | `error-summary` | `<div role="alert" tabindex="-1" autofocus>` with `<h2>` and `<ul>` of links to fields |
//! | `field`, `field invalid` | `<div>` or `<fieldset>` around label, hint, error and input |
//! | `hint`, `field-error` | `<p>` under the label, above the input |
//! | `input-email` | an `<input>` wide enough for an address |
//! | `inset` | a `<div>` that sets a text apart, such as a notice |
//! | `receipt` | `<code>` around a receipt |
//! | `cards` | `<ul>` whose items are boxes with an `<h2>` |
//! | `facts` | `<dl>` of `<div><dt><dd></div>` rows |
//! | `quiet` | small print |
//! | `visually-hidden` | text for screen readers only |

mod colour;
mod frame;
mod language_choice;
mod problem_pages;
mod security_headers;
mod stylesheet;
mod words;

pub use colour::Colour;
pub use frame::Frame;
pub use language_choice::{language_from, other_language};
pub use problem_pages::{
    FieldProblem, broken_link, broken_link_line, method_not_allowed, not_found, not_valid,
    text_line, too_large, unavailable, unreadable_type,
};
pub use security_headers::{SecurityHeaders, secured};
pub use stylesheet::styles;
