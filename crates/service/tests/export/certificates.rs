//! An authority of the tests' own, with certificates for a collector and a NAT.

use std::{fs, path::PathBuf};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

/// PEM files in a folder.
pub(crate) struct Certificates {
    dir: tempfile::TempDir,
}

impl Certificates {
    /// `ca.pem`, and `collector` and `nat` with `.pem` and `.key`, both for the name `localhost`.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&key).unwrap();
        fs::write(dir.path().join("ca.pem"), authority.pem()).unwrap();
        let issuer = Issuer::new(params, key);
        for name in ["collector", "nat"] {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
            let certificate = params.signed_by(&key, &issuer).unwrap();
            let (pem, private) = (certificate.pem(), key.serialize_pem());
            fs::write(dir.path().join(format!("{name}.pem")), pem).unwrap();
            fs::write(dir.path().join(format!("{name}.key")), private).unwrap();
        }
        Self { dir }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}
