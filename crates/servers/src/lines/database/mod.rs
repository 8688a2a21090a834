//! Databases.

pub(super) mod mariadb;
pub(super) mod mssql;
pub(super) mod oracle;
pub(super) mod postgresql;
pub(in crate::lines) mod postgresql_prefix;
pub(super) mod postgresql_tables;
