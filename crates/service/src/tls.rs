//! TLS for both ends of a connection: certificates and keys from PEM files.
//!
//! RFC 5425 §4.2 (syslog) and RFC 7011 §11.3 (IPFIX) want both ends to prove who they are: a
//! client checks the server's certificate always, a server the client's where it is given
//! authorities for it. TLS 1.2 is the least (RFC 9662, RFC 9325 §3.1.1).
//!
//! ```no_run
//! use std::path::Path;
//! use portledger_service::tls::{self, Identity, Trust};
//!
//! let client = tls::client_config(
//!     &Trust::Authorities("ca.pem".into()),
//!     Some(&Identity { certificate: "cgn1.pem".into(), key: "cgn1.key".into() }),
//! )?;
//! let server = tls::server_config(
//!     Path::new("collector.pem"),
//!     Path::new("collector.key"),
//!     Some(Path::new("ca.pem")),
//! )?;
//! # Ok::<(), tls::TlsError>(())
//! ```

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig,
    SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{
        CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature,
        verify_tls13_signature,
    },
    pki_types::{
        CertificateDer, PrivateKeyDer, ServerName, UnixTime,
        pem::{self, PemObject},
    },
    server::WebPkiClientVerifier,
};
use thiserror::Error;

/// Whom a client believes to be the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// A server with a certificate for its name, issued by one of the authorities in this PEM
    /// file (RFC 5425 §4.2.1).
    Authorities(PathBuf),
    /// The server with one of the very certificates in this PEM file, whatever its name, issuer
    /// and dates (RFC 5425 §4.2.2 does so by fingerprint).
    Pinned(PathBuf),
}

/// What one end proves itself with: PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its certificate, and those that lead to the authority.
    pub certificate: PathBuf,
    /// The certificate's private key.
    pub key: PathBuf,
}

/// Why there can be no TLS.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file cannot be read, or is not PEM.
    #[error("{}: cannot read {what} from it: {error}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
        /// What is wrong.
        error: pem::Error,
    },
    /// A file without a certificate.
    #[error("{}: there is no certificate in it; it should have lines BEGIN CERTIFICATE", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A certificate that cannot be an authority's.
    #[error("{}: a certificate cannot be used as an authority's: {error}", path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: rustls::Error,
    },
    /// Certificate and key do not go together, or are of a kind that is not known.
    #[error("{} with its key {}: {error}", certificate.display(), key.display())]
    Identity {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong.
        error: rustls::Error,
    },
    /// No verifier can be made of the authorities.
    #[error("{}: {error}", path.display())]
    Verifier {
        /// The authorities' file.
        path: PathBuf,
        /// What is wrong.
        error: rustls::server::VerifierBuilderError,
    },
    /// The library refuses the versions of TLS.
    #[error("no TLS: {0}")]
    Versions(rustls::Error),
    /// A name that no server has.
    #[error("'{0}' is neither a DNS name nor an address: a server's certificate is checked for it")]
    ServerName(String),
}

/// What a client needs: whom it believes, and what it shows of itself where the server asks.
///
/// # Errors
/// When a file cannot be read or its content cannot be used.
pub fn client_config(
    trust: &Trust,
    identity: Option<&Identity>,
) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Versions)?;
    let verifier: Arc<dyn ServerCertVerifier> = match trust {
        Trust::Authorities(path) => {
            WebPkiServerVerifier::builder_with_provider(Arc::new(authorities(path)?), provider)
                .build()
                .map_err(|error| TlsError::Verifier {
                    path: path.clone(),
                    error,
                })?
        }
        Trust::Pinned(path) => Arc::new(Pinned {
            certificates: certificates(path)?,
            algorithms: provider.signature_verification_algorithms,
        }),
    };
    let builder = builder
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    Ok(Arc::new(match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let (chain, key) = chain(&identity.certificate, &identity.key)?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| wrong_identity(&identity.certificate, &identity.key, error))?
        }
    }))
}

/// What a server needs: what it proves itself with and, where `client_authorities` is given, who
/// has to have issued every client's certificate.
///
/// # Errors
/// As [`client_config`].
pub fn server_config(
    certificate: &Path,
    key: &Path,
    client_authorities: Option<&Path>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Versions)?;
    let builder = match client_authorities {
        None => builder.with_no_client_auth(),
        Some(path) => builder.with_client_cert_verifier(client_verifier(path, provider)?),
    };
    let (chain, private) = chain(certificate, key)?;
    let config = builder.with_single_cert(chain, private);
    Ok(Arc::new(config.map_err(|error| {
        wrong_identity(certificate, key, error)
    })?))
}

/// The name that a server's certificate is checked for.
///
/// # Errors
/// When it is neither a DNS name nor an address.
pub fn server_name(name: &str) -> Result<ServerName<'static>, TlsError> {
    let name = name.to_owned();
    ServerName::try_from(name.clone()).map_err(|_| TlsError::ServerName(name))
}

fn client_verifier(
    path: &Path,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, TlsError> {
    WebPkiClientVerifier::builder_with_provider(Arc::new(authorities(path)?), provider)
        .build()
        .map_err(|error| TlsError::Verifier {
            path: path.into(),
            error,
        })
}

fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(path)? {
        store
            .add(certificate)
            .map_err(|error| TlsError::Authority {
                path: path.into(),
                error,
            })?;
    }
    Ok(store)
}

fn chain(
    certificate: &Path,
    key: &Path,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
    let private = PrivateKeyDer::from_pem_file(key);
    let private = private.map_err(|error| unreadable(key, "a private key", error))?;
    Ok((certificates(certificate)?, private))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |error| unreadable(path, "certificates", error);
    let found = CertificateDer::pem_file_iter(path).map_err(failed)?;
    let found = found.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    if found.is_empty() {
        return Err(TlsError::Empty { path: path.into() });
    }
    Ok(found)
}

fn unreadable(path: &Path, what: &'static str, error: pem::Error) -> TlsError {
    TlsError::Pem {
        path: path.into(),
        what,
        error,
    }
}

fn wrong_identity(certificate: &Path, key: &Path, error: rustls::Error) -> TlsError {
    TlsError::Identity {
        certificate: certificate.into(),
        key: key.into(),
        error,
    }
}

/// Believes the servers whose certificates it knows.
#[derive(Debug)]
struct Pinned {
    certificates: Vec<CertificateDer<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        // Certificates are public: comparing them needs no constant time.
        if self.certificates.iter().any(|known| known == end_entity) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    // That it has the certificate's key is proven as ever.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
