//! FTP servers.

pub(crate) mod proftpd;
pub(super) mod pure_ftpd;
pub(super) mod vsftpd;
