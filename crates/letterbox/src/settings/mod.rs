//! What options and environment say, checked against each other, with secrets read.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `base_url` | how residents reach an installation |
//! | `database`, `broker`, `relay` | the three servers that roles talk to |
//! | `limits` | what the mail relay may be sent |
//! | `return_path` | where bounces go |
//! | `secret` | secrets from files and the environment, never from the command line |

pub(crate) mod base_url;
pub(crate) mod broker;
pub(crate) mod database;
pub(crate) mod limits;
pub(crate) mod relay;
pub(crate) mod return_path;
pub(crate) mod secret;
