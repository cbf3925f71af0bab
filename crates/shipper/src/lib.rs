//! The shipper: brings what a web role's spool holds to the registrar, and the catalogue to the role.

mod catalogue_copy;

pub use catalogue_copy::CatalogueCopy;
