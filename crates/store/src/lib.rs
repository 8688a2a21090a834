//! Where sealed files live: a folder, or an S3-compatible store.
#![forbid(unsafe_code)]
