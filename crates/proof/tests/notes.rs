//! Notes and keys: the specification's example, another hand's implementation, and all that is
//! not a note.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)] // Helpers of tests fail by panicking, as tests do.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use portledger_proof::{
    Checkpoint, CosignerKey, Hash, KeyError, KeyName, KeyNameError, NoteError, SignatureError,
    SignatureKind, SignedNote, SignerKey, UnverifiedError, VerifierKey,
};
use proptest::prelude::*;
use signed_note::{Note, StandardSigner, StandardVerifier, VerifierList};

/// signed-note, "Example".
const VKEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
const NOTE: &str = "This is an example message.

— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=
";

fn name(name: &str) -> KeyName {
    KeyName::new(name).unwrap()
}

fn signer(seed: u8) -> SignerKey {
    SignerKey::from_seed(name("example.org/log"), &[seed; 32]).unwrap()
}

#[test]
fn the_example_of_the_specification_is_verified() {
    let key: VerifierKey = VKEY.parse().unwrap();
    assert_eq!(key.to_string(), VKEY);
    assert_eq!(key.kind(), SignatureKind::Note);
    let note: SignedNote = NOTE.parse().unwrap();
    assert_eq!(note.to_string(), NOTE);
    let (text, verified) = note.verify(std::slice::from_ref(&key)).unwrap();
    assert_eq!(text, "This is an example message.\n");
    assert_eq!(verified.len(), 1);
    assert_eq!((&verified[0].key, verified[0].time), (&key, None));
}

#[test]
fn a_text_that_was_changed_is_not_verified() {
    let key: VerifierKey = VKEY.parse().unwrap();
    let changed = NOTE.replace("an example", "no example");
    let note: SignedNote = changed.parse().unwrap();
    assert_eq!(
        note.verify(std::slice::from_ref(&key)),
        Err(UnverifiedError::Wrong {
            name: key.name().clone(),
            id: key.id(),
        })
    );
}

#[test]
fn a_signature_by_an_unknown_key_counts_for_nothing() {
    let note: SignedNote = NOTE.parse().unwrap();
    assert_eq!(note.verify(&[]), Err(UnverifiedError::Unknown));
    // The same name and another ID; the same ID under another name.
    let known = signer(1);
    let same_name = SignerKey::from_seed(name("example.com/foo"), &[1; 32]).unwrap();
    let others = [known.verifier().clone(), same_name.verifier().clone()];
    assert_eq!(note.verify(&others), Err(UnverifiedError::Unknown));
    // Beside one that is known it is passed over.
    let mixed = NOTE.replace("\n\n", "\n\n— example.net/unknown AAAAAAAAAAAAAAAAAAAA\n");
    let note: SignedNote = mixed.parse().unwrap();
    let (_, verified) = note.verify(&[VKEY.parse().unwrap()]).unwrap();
    assert_eq!(verified.len(), 1);
}

#[test]
fn one_wrong_signature_by_a_known_key_spoils_the_right_ones() {
    let (one, other) = (signer(1), signer(2));
    let mut note = SignedNote::sign("text\n", &one).unwrap();
    let wrong = SignedNote::sign("another text\n", &other).unwrap();
    note.add(wrong.signatures()[0].clone()).unwrap();
    assert!(note.verify(&[one.verifier().clone()]).is_ok());
    let both = [one.verifier().clone(), other.verifier().clone()];
    assert!(matches!(
        note.verify(&both),
        Err(UnverifiedError::Wrong { id, .. }) if id == other.verifier().id()
    ));
    // Also when a right one by the same key stands above it.
    let mut twice = SignedNote::sign("text\n", &one).unwrap();
    let wrong = SignedNote::sign("another text\n", &one).unwrap();
    twice.add(wrong.signatures()[0].clone()).unwrap();
    assert!(twice.verify(&both).is_err());
}

#[test]
fn a_cosignature_has_its_time_and_is_wrong_under_another() {
    let witness = CosignerKey::from_seed(name("witness.example"), &[9; 32]).unwrap();
    let log = signer(1);
    let checkpoint = Checkpoint::new("example.org/log", 7, leaf()).unwrap();
    let mut note = checkpoint.sign(&log).unwrap();
    note.add(witness.cosign(&checkpoint, 1_679_315_147).unwrap())
        .unwrap();
    let keys = [log.verifier().clone(), witness.verifier().clone()];
    let (_, verified) = note.verify(&keys).unwrap();
    assert_eq!(verified[1].time, Some(1_679_315_147));
    assert_eq!(verified[1].key.kind(), SignatureKind::Cosignature);
    // tlog-cosignature, "Format": key ID, eight bytes of time, 64 of signature.
    let cosignature = &note.signatures()[1];
    assert_eq!(cosignature.bytes().len(), 72);
    assert_eq!(cosignature.bytes()[..8], 1_679_315_147_u64.to_be_bytes());
    let line = cosignature.to_string();
    let mut time = cosignature.bytes().to_vec();
    time[7] ^= 1;
    let later = with_bytes(&line, &[&cosignature.id().as_bytes()[..], &time].concat());
    let changed: SignedNote = note.to_string().replace(&line, &later).parse().unwrap();
    assert!(changed.verify(&keys).is_err());
    assert!(witness.cosign(&checkpoint, 1 << 63).is_err());
}

/// The line of a signature with other bytes, the key's ID among them.
fn with_bytes(line: &str, bytes: &[u8]) -> String {
    let (who, _) = line.rsplit_once(' ').unwrap();
    format!("{who} {}", STANDARD.encode(bytes))
}

fn leaf() -> Hash {
    Hash::from_bytes([7; 32])
}

#[test]
fn what_is_not_a_note_is_told() {
    let signature = |source| NoteError::Signature { line: 3, source };
    let long_name = "— a+b AAAAAAA=";
    for (text, expected) in [
        ("", NoteError::NoSeparator),
        ("text\n", NoteError::NoSeparator),
        ("text\n\n", NoteError::NoSignatures),
        ("text\n\n— a AAAAAAA=", NoteError::Cut),
        (
            "text\r\n\n— a AAAAAAA=\n",
            NoteError::ControlCharacter { line: 1 },
        ),
        (
            "text\n\n— a AAAAAAA=\0\n",
            NoteError::ControlCharacter { line: 3 },
        ),
        ("text\n\n- a AAAAAAA=\n", signature(SignatureError::Dash)),
        ("text\n\n— a\n", signature(SignatureError::Parts)),
        ("text\n\n— a AAAAAAA= \n", signature(SignatureError::Base64)),
        ("text\n\n— a AAAAAAA\n", signature(SignatureError::Base64)),
        ("text\n\n— a AAAAAAB=\n", signature(SignatureError::Base64)),
        ("text\n\n— a AAAAAA==\n", signature(SignatureError::Short)),
        (
            "text\n\n—  AAAAAAA=\n",
            signature(SignatureError::Name(KeyNameError::Empty)),
        ),
        (
            &format!("text\n\n{long_name}\n"),
            signature(SignatureError::Name(KeyNameError::Character { found: '+' })),
        ),
        (
            &format!("text\n\n{}", "— a AAAAAAA=\n".repeat(101)),
            NoteError::TooManySignatures,
        ),
        (
            &"\n".repeat(SignedNote::MAX_LENGTH + 1),
            NoteError::TooLong {
                length: SignedNote::MAX_LENGTH + 1,
            },
        ),
    ] {
        let beginning: String = text.chars().take(40).collect();
        assert_eq!(text.parse::<SignedNote>(), Err(expected), "{beginning:?}");
    }
}

#[test]
fn a_note_has_no_more_signatures_than_it_may() {
    let full = format!("text\n\n{}", "— a AAAAAAA=\n".repeat(100));
    let mut full: SignedNote = full.parse().unwrap();
    let one_more = SignedNote::sign("text\n", &signer(1)).unwrap();
    let before = full.clone();
    let added = full.add(one_more.signatures()[0].clone());
    assert_eq!(added, Err(NoteError::TooManySignatures));
    assert_eq!(full, before);
}

#[test]
fn a_text_that_no_note_can_have_is_not_signed() {
    assert_eq!(
        SignedNote::sign("text", &signer(1)),
        Err(NoteError::TextEnd)
    );
    assert_eq!(
        SignedNote::sign("a\nb\r\n", &signer(1)),
        Err(NoteError::ControlCharacter { line: 2 })
    );
    let long = "\n".repeat(SignedNote::MAX_LENGTH - 10);
    assert!(matches!(
        SignedNote::sign(&long, &signer(1)),
        Err(NoteError::TooLong { .. })
    ));
}

#[test]
fn a_mistyped_key_is_refused() {
    for (text, expected) in [
        ("", KeyError::Parts),
        ("example.com/foo+530d903a", KeyError::Parts),
        (&VKEY.replace("530d903a", "530d903b"), KeyError::Id),
        (&VKEY.replace("530d903a", "530D903A"), KeyError::Id),
        (&VKEY.replace("530d903a", "0530d903a"), KeyError::Id),
        (&VKEY.replace("/foo", "/fou"), KeyError::Id),
        (&VKEY.replace("3U2k", "3U2l"), KeyError::Id),
        (&VKEY.replace("3U2k", ""), KeyError::Material),
        (
            &VKEY.replace("+Aek", "+Auk"),
            KeyError::Kind { found: 0x02 },
        ),
        (
            &VKEY.replace("/foo", "/ foo"),
            KeyError::Name(KeyNameError::Character { found: ' ' }),
        ),
        (
            &VKEY.replace("example.com/foo", ""),
            KeyError::Name(KeyNameError::Empty),
        ),
        (&format!("{VKEY}\n"), KeyError::Material),
        (
            &format!("{VKEY}{}", "A".repeat(1 << 20)),
            KeyError::Material,
        ),
    ] {
        assert_eq!(text.parse::<VerifierKey>(), Err(expected), "{:.90}", text);
    }
    let witness = CosignerKey::from_seed(name("w"), &[1; 32]).unwrap();
    let text = witness.to_text();
    assert_eq!(
        text.parse::<SignerKey>().unwrap_err(),
        KeyError::OtherKind {
            expected: 1,
            found: 4
        }
    );
    assert_eq!(
        text.replace("w+", "v+").parse::<CosignerKey>().unwrap_err(),
        KeyError::Id
    );
    let same = text.parse::<CosignerKey>().unwrap();
    assert_eq!(same.verifier(), witness.verifier());
}

#[test]
fn a_secret_key_is_not_shown() {
    let key = signer(1);
    let text = key.to_text();
    assert!(text.starts_with("PRIVATE+KEY+example.org/log+"));
    let secret = text.rsplit('+').next().unwrap();
    let shown = format!("{key:?}");
    assert!(!shown.contains(secret), "{shown}");
    assert_eq!(shown, format!("SignerKey(of {})", key.verifier()));
}

#[test]
fn keys_that_cannot_be_told_apart_are_refused_and_one_key_twice_is_not() {
    let mut seen = std::collections::HashMap::new();
    let key = |number: u32| {
        let mut key = [0; 32];
        key[..4].copy_from_slice(&number.to_be_bytes());
        VerifierKey::new(name("a"), SignatureKind::Note, key)
    };
    // IDs are short: among some 80,000 keys two have the same.
    let (one, other) = (0..)
        .find_map(|number| {
            seen.insert(key(number).id(), number)
                .map(|first| (first, number))
        })
        .unwrap();
    let keys = [key(one), key(other)];
    let id = STANDARD.encode([keys[0].id().as_bytes(), &[0; 64][..]].concat());
    let note: SignedNote = format!("text\n\n— a {id}\n").parse().unwrap();
    assert_eq!(
        note.verify(&keys),
        Err(UnverifiedError::Ambiguous {
            name: name("a"),
            id: keys[0].id()
        })
    );

    let note: SignedNote = NOTE.parse().unwrap();
    let key: VerifierKey = VKEY.parse().unwrap();
    assert!(note.verify(&[key.clone(), key]).is_ok());
}

#[test]
fn a_cosignature_of_an_impossible_time_is_wrong_though_it_is_signed() {
    let seed = [9; 32];
    let witness = CosignerKey::from_seed(name("witness.example"), &seed).unwrap();
    let pair = ring::signature::Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
    let signed_at = |time: u64| -> SignedNote {
        let signature = pair.sign(format!("cosignature/v1\ntime {time}\ntext\n").as_bytes());
        let id = witness.verifier().id();
        let bytes = [id.as_bytes(), &time.to_be_bytes()[..], signature.as_ref()].concat();
        let line = format!("— witness.example {}", STANDARD.encode(bytes));
        format!("text\n\n{line}\n").parse().unwrap()
    };
    let keys = [witness.verifier().clone()];
    let last = signed_at(i64::MAX as u64);
    assert_eq!(last.verify(&keys).unwrap().1[0].time, Some(i64::MAX as u64));
    assert!(matches!(
        signed_at(1 << 63).verify(&keys),
        Err(UnverifiedError::Wrong { .. })
    ));
}

#[test]
fn a_key_of_a_type_that_is_not_known_is_named() {
    let material = [vec![0x06], vec![0; 1_312]].concat();
    let text = format!("witness.example+00000000+{}", STANDARD.encode(material));
    assert_eq!(
        text.parse::<VerifierKey>(),
        Err(KeyError::Kind { found: 0x06 })
    );
}

proptest! {
    #[test]
    fn our_notes_are_verified_by_others_and_theirs_by_us(
        seed: [u8; 32], who in "[a-z]{1,8}\\.example/[^+\\s\\p{Cc}]{0,9}", text in "(\\PC*\n){1,5}",
    ) {
        let key = SignerKey::from_seed(name(&who), &seed).unwrap();
        let vkey = key.verifier().to_string();
        let their_key = StandardVerifier::new(&vkey).unwrap();
        let known = VerifierList::new(vec![Box::new(their_key)]);

        let ours = SignedNote::sign(&text, &key).unwrap();
        let read = Note::from_bytes(ours.to_string().as_bytes()).unwrap();
        prop_assert_eq!(read.text(), text.as_bytes());
        prop_assert_eq!(read.verify(&known).unwrap().0.len(), 1);

        let their_signer = StandardSigner::new(&key.to_text()).unwrap();
        let mut theirs = Note::new(text.as_bytes(), &[]).unwrap();
        theirs.add_sigs(&[&their_signer]).unwrap();
        let theirs = String::from_utf8(theirs.to_bytes()).unwrap();
        // Ed25519 has one signature for a key and a text.
        prop_assert_eq!(&theirs, &ours.to_string());
        let read: SignedNote = theirs.parse().unwrap();
        let keys = [vkey.parse().unwrap()];
        prop_assert_eq!(read.verify(&keys).unwrap().0, &text);
    }

    #[test]
    fn a_note_is_one_for_us_if_it_is_one_for_others(
        note in "(a|\n|\n\n|— |— b AAAAAAAA\n|— c AAAAAAA=\n|\\+|=|é|\r){0,12}",
    ) {
        let ours = note.parse::<SignedNote>();
        prop_assert_eq!(ours.is_ok(), Note::from_bytes(note.as_bytes()).is_ok(), "{:?}", ours);
        if let Ok(read) = ours {
            prop_assert_eq!(read.to_string(), note);
        }
    }

    #[test]
    fn one_changed_byte_of_a_note_is_found(at: prop::sample::Index, by in 1..=255_u8) {
        let key: VerifierKey = VKEY.parse().unwrap();
        let mut bytes = NOTE.as_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= by;
        let verified = std::str::from_utf8(&bytes)
            .ok()
            .and_then(|text| text.parse::<SignedNote>().ok())
            .is_some_and(|note| note.verify(std::slice::from_ref(&key)).is_ok());
        prop_assert!(!verified, "byte {at}");
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,200}") {
        if let Ok(key) = text.parse::<VerifierKey>() {
            prop_assert_eq!(key.to_string(), &text[..]);
        }
        let _ = text.parse::<SignerKey>();
    }
}
