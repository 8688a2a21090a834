//! Sealed allocations and records as Parquet files: written once, looked up by page.
#![forbid(unsafe_code)]
