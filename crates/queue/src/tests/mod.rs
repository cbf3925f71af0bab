//! Tests against a real broker, with the faults that a broker and a network have.

mod faults;
mod losses;
mod proxy;
mod publishing;
mod receiving;
mod settings;
mod tls;
mod topology;
mod yard;
