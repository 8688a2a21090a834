//! Any text as a note, a key, a checkpoint or a proof: each has one spelling, so that what is read
//! is written back the same, and nobody's key stands for what nobody signed.
#![no_main]

use std::{fmt::Display, str::FromStr};

use libfuzzer_sys::fuzz_target;
use portledger_proof::{
    Checkpoint, CosignerKey, Hash, Inclusion, KeyName, Signature, SignedNote, SignerKey, TlogProof,
    VerifierKey, leaf_hash,
};

fuzz_target!(|text: &str| {
    same::<Hash>(text);
    same::<KeyName>(text);
    same::<VerifierKey>(text);
    same::<Signature>(text);
    same::<Checkpoint>(text);
    secret_keys(text);
    let keys = keys();
    if let Some(note) = same::<SignedNote>(text) {
        verify(&note, &keys);
    }
    if let Some(proof) = same::<TlogProof>(text) {
        verify(proof.checkpoint(), &keys);
        let _ = proof.verify(text.as_bytes(), &keys);
        bound(&proof);
    }
    signed(text, &keys);
});

fn same<T: FromStr + Display>(text: &str) -> Option<T>
where
    T::Err: Display,
{
    match text.parse::<T>() {
        Ok(read) => {
            assert_eq!(read.to_string(), text, "it has another spelling");
            Some(read)
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            None
        }
    }
}

fn secret_keys(text: &str) {
    if let Ok(key) = text.parse::<SignerKey>() {
        assert_eq!(&*key.to_text(), text);
    }
    if let Ok(key) = text.parse::<CosignerKey>() {
        assert_eq!(&*key.to_text(), text);
    }
}

const LOG: &str = "example.org/log";

fn log() -> SignerKey {
    let name = KeyName::new(LOG).expect("it is a name");
    SignerKey::from_seed(name, &[1; 32]).expect("it is a seed")
}

fn witness() -> CosignerKey {
    let name = KeyName::new("witness.example").expect("it is a name");
    CosignerKey::from_seed(name, &[2; 32]).expect("it is a seed")
}

fn keys() -> [VerifierKey; 2] {
    [log().verifier().clone(), witness().verifier().clone()]
}

/// A signature that verifies is the one the key makes of that text: Ed25519 has no other.
fn verify(note: &SignedNote, keys: &[VerifierKey]) {
    if let Ok((text, signatures)) = note.verify(keys) {
        let again = SignedNote::sign(text, &log()).expect("it was a note's");
        let of_log = signatures.iter().find(|one| one.key.name().as_str() == LOG);
        assert!(
            of_log.is_none() || note.signatures().contains(&again.signatures()[0]),
            "a signature that the key did not make"
        );
    }
    let _ = Checkpoint::open_note(note, keys);
}

/// The hashes of a proof fit few places in a tree, and none can make it panic.
fn bound(proof: &TlogProof) {
    for size in [0, 1, proof.index(), proof.index() | 1, 1 << 63, u64::MAX] {
        if let Ok(inclusion) = Inclusion::new(proof.index(), size, proof.hashes().to_vec()) {
            let root = inclusion.root(leaf_hash(b""));
            assert_eq!(inclusion.verify(leaf_hash(b""), &root), Ok(()));
        }
    }
}

/// What can be signed can be read and verified.
fn signed(text: &str, keys: &[VerifierKey]) {
    if let Ok(note) = SignedNote::sign(text, &log()) {
        let read: SignedNote = note.to_string().parse().expect("it was written");
        assert_eq!(read.verify(keys).expect("it was signed").0, text);
    }
    if let Ok(checkpoint) = text.parse::<Checkpoint>() {
        let cosigned = witness().cosign(&checkpoint, 1).expect("it is a time");
        if let Ok(mut note) = checkpoint.sign(&log())
            && note.add(cosigned).is_ok()
        {
            let opened = Checkpoint::open(&note.to_string(), keys).expect("it was signed");
            assert_eq!(opened.checkpoint, checkpoint);
            assert_eq!(opened.witnesses.len(), 1);
        }
    }
}
