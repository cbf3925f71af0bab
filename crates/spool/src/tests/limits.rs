//! Full, sick and busy disks.
