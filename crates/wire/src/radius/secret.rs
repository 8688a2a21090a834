//! Who knows the shared secret: authenticators of requests and responses.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::{Digest as _, Md5};
use subtle::ConstantTimeEq as _;
use thiserror::Error;
use zeroize::Zeroizing;

use super::{
    Accounting, AttributeError, IpPorts, IpPortsError, Packet,
    packet::{Attribute, Code},
};

/// Proxy-State (RFC 2865 §5.33).
const PROXY_STATE: u8 = 33;
/// Message-Authenticator (RFC 3579 §3.2).
const MESSAGE_AUTHENTICATOR: u8 = 80;

/// What a NAS and its accounting server both know. `Debug` does not print it.
#[derive(Clone)]
pub struct Secret(Zeroizing<Box<[u8]>>);

/// RFC 2865 §3: a secret is not empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the shared secret is empty; give the one that the NAS has, of 16 bytes or more")]
pub struct EmptySecret;

impl Secret {
    /// A secret of these bytes.
    ///
    /// # Errors
    /// When there are none: anybody would know it.
    pub fn new(bytes: &[u8]) -> Result<Self, EmptySecret> {
        if bytes.is_empty() {
            Err(EmptySecret)
        } else {
            Ok(Self(Zeroizing::new(bytes.into())))
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

/// Why a packet is not taken for genuine. RFC 2866 §3: it is silently discarded, and not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Unverified {
    /// It is no Accounting-Request.
    #[error("code {0} is no Accounting-Request (4); is another service's traffic sent here?")]
    Code(u8),
    /// The Request Authenticator is another.
    #[error(
        "the Request Authenticator does not fit: the shared secret is another, or the packet was changed"
    )]
    Authenticator,
    /// The Message-Authenticator is another, is not 16 bytes, or is there twice.
    #[error("byte {at}: the Message-Authenticator does not fit")]
    MessageAuthenticator {
        /// Where it begins, from 1.
        at: usize,
    },
}

/// An Accounting-Request from somebody who knows the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'a>(Packet<'a>);

impl<'a> Packet<'a> {
    /// An Accounting-Request, when its sender knows the secret: the Request Authenticator
    /// (RFC 2866 §3) fits, and a Message-Authenticator (RFC 3579 §3.2) too where there is one.
    ///
    /// # Errors
    /// [`Unverified`]; nothing in the packet is to be believed then.
    pub fn verify(self, secret: &Secret) -> Result<Request<'a>, Unverified> {
        if self.code() != Code::ACCOUNTING_REQUEST {
            return Err(Unverified::Code(self.code().0));
        }
        let wanted = authenticator(self.bytes(), &[0; 16], secret);
        if !bool::from(wanted.ct_eq(&self.authenticator())) {
            return Err(Unverified::Authenticator);
        }
        let mut codes = self
            .attributes()
            .filter(|attribute| attribute.kind == MESSAGE_AUTHENTICATOR);
        if let Some(code) = codes.next() {
            let at = code.at;
            if codes.next().is_some() || !self.has_code(code, secret) {
                return Err(Unverified::MessageAuthenticator { at });
            }
        }
        Ok(Request(self))
    }

    /// The same packet as an Accounting-Request from somebody who knows the secret; `None` where it
    /// has a Message-Authenticator, which is the sender's to make. For those who send accounting:
    /// tests, and probes of whether a listener takes it.
    pub fn signed(&self, secret: &Secret) -> Option<Vec<u8>> {
        if self.attributes().any(|it| it.kind == MESSAGE_AUTHENTICATOR) {
            return None;
        }
        let mut request = self.bytes().to_vec();
        *request.first_mut()? = Code::ACCOUNTING_REQUEST.0;
        let made = authenticator(&request, &[0; 16], secret);
        request.get_mut(4..Self::HEADER)?.copy_from_slice(&made);
        Some(request)
    }

    /// RFC 3579 §3.2: HMAC-MD5 over the packet with 16 zero bytes for the code itself. Where the
    /// Request Authenticator is made from the packet, as here and in RFC 5176 §3.3, it is 16 zero
    /// bytes too while the code is made.
    fn has_code(&self, code: Attribute<'_>, secret: &Secret) -> bool {
        let bytes = self.bytes();
        let place = code.at - 1 + 2;
        let (Some(before), Some(after)) = (bytes.get(Self::HEADER..place), bytes.get(place + 16..))
        else {
            return false;
        };
        let Ok(mut mac) = Hmac::<Md5>::new_from_slice(&secret.0) else {
            return false;
        };
        mac.update(bytes.get(..4).unwrap_or_default());
        mac.update(&[0; 16]);
        mac.update(before);
        mac.update(&[0; 16]);
        mac.update(after);
        code.value.len() == 16 && mac.verify_slice(code.value).is_ok()
    }
}

impl<'a> Request<'a> {
    /// The packet.
    pub const fn packet(&self) -> Packet<'a> {
        self.0
    }

    /// What it tells of a session.
    ///
    /// # Errors
    /// When an attribute's value is none, or its status is missing. The request is to be answered
    /// all the same, or it comes again and again.
    pub fn accounting(&self) -> Result<Accounting, AttributeError> {
        Accounting::of(&self.0)
    }

    /// What it tells of ports (RFC 8045).
    pub fn ports(&self) -> Vec<Result<IpPorts, IpPortsError>> {
        IpPorts::of(&self.0)
    }

    /// The Accounting-Response to send once what the request tells is recorded (RFC 2866 §4.2):
    /// with its authenticator, and each Proxy-State as it came (RFC 2865 §5.33).
    pub fn response(&self, secret: &Secret) -> Vec<u8> {
        let mut response = vec![
            Code::ACCOUNTING_RESPONSE.0,
            self.0.identifier(),
            0,
            0, // the length, below
        ];
        response.extend_from_slice(&self.0.authenticator());
        for attribute in self.0.attributes().filter(|it| it.kind == PROXY_STATE) {
            // It came from a packet, where its length fits into a byte.
            let length = u8::try_from(attribute.value.len() + 2).unwrap_or(u8::MAX);
            response.extend_from_slice(&[PROXY_STATE, length]);
            response.extend_from_slice(attribute.value);
        }
        // No longer than the request.
        let length = u16::try_from(response.len()).unwrap_or(u16::MAX);
        if let Some(field) = response.get_mut(2..4) {
            field.copy_from_slice(&length.to_be_bytes());
        }
        let made = authenticator(&response, &self.0.authenticator(), secret);
        if let Some(field) = response.get_mut(4..Packet::HEADER) {
            field.copy_from_slice(&made);
        }
        response
    }
}

/// RFC 2866 §3: MD5 over the packet, with `field` in the place of its authenticator, and the
/// secret.
pub(super) fn authenticator(packet: &[u8], field: &[u8; 16], secret: &Secret) -> [u8; 16] {
    let mut hash = Md5::new();
    hash.update(packet.get(..4).unwrap_or_default());
    hash.update(field);
    hash.update(packet.get(Packet::HEADER..).unwrap_or_default());
    hash.update(&*secret.0);
    hash.finalize().into()
}
