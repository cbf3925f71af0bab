//! The role through its router, with a real spool and real link keys.

mod links;
mod one_click;
mod pages;
mod refused;
mod repeats;
mod role;
mod second_buttons;
