//! FTP servers.

pub(super) mod proftpd;
pub(super) mod pure_ftpd;
pub(super) mod vsftpd;
