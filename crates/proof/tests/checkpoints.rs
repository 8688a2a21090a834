//! Checkpoints, and the proofs that lead to them.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used)] // Helpers of tests fail by panicking, as tests do.

use portledger_proof::{
    Checkpoint, CheckpointError, CosignerKey, Frontier, Hash, KeyName, Leaves, LineFlaw, NoteError,
    ProofError, SignerKey, TlogProof, TlogProofError, UnverifiedError, VerifierKey, Witness,
    leaf_hash, prove_inclusion,
};
use proptest::prelude::*;

const ORIGIN: &str = "example.org/log";

fn name(name: &str) -> KeyName {
    KeyName::new(name).unwrap()
}

fn log_key() -> SignerKey {
    SignerKey::from_seed(name(ORIGIN), &[1; 32]).unwrap()
}

fn witness(who: &str, seed: u8) -> CosignerKey {
    CosignerKey::from_seed(name(who), &[seed; 32]).unwrap()
}

/// tlog-checkpoint's example, without its signature.
const TEXT: &str =
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";

#[test]
fn the_example_of_the_specification_is_read_and_written() {
    let checkpoint: Checkpoint = TEXT.parse().unwrap();
    assert_eq!(checkpoint.origin(), "example.com/behind-the-sofa");
    assert_eq!(checkpoint.size(), 20_852_163);
    assert_eq!(checkpoint.to_string(), TEXT);
    let signed = format!(
        "{TEXT}\n— example.com/behind-the-sofa \
         Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\
         — witness.example.com/w1 \
         jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
    );
    // Its keys are not told, so that it cannot be verified.
    assert_eq!(
        Checkpoint::open(&signed, &[]),
        Err(CheckpointError::Unverified(UnverifiedError::Unknown))
    );
}

#[test]
fn what_is_not_a_checkpoint_is_told() {
    let root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";
    for (text, expected) in [
        ("".to_owned(), CheckpointError::Note(NoteError::TextEnd)),
        (
            format!("a\n1\n{root}"),
            CheckpointError::Note(NoteError::TextEnd),
        ),
        ("a\n1\n".to_owned(), CheckpointError::Lines),
        (
            format!("\n1\n{root}\n"),
            CheckpointError::Origin(LineFlaw::Empty),
        ),
        (
            format!("a\r\n1\n{root}\n"),
            CheckpointError::Origin(LineFlaw::ControlCharacter),
        ),
        (format!("a\n01\n{root}\n"), CheckpointError::Size),
        (format!("a\n+1\n{root}\n"), CheckpointError::Size),
        (format!("a\n\n{root}\n"), CheckpointError::Size),
        (
            format!("a\n18446744073709551616\n{root}\n"),
            CheckpointError::Size,
        ),
        (
            format!("a\n9223372036854775808\n{root}\n"),
            CheckpointError::TooLarge { size: 1 << 63 },
        ),
        (format!("a\n0\n{root}\n"), CheckpointError::EmptyRoot),
        (
            "a\n1\nCsUY\n".to_owned(),
            CheckpointError::Root(portledger_proof::HashError),
        ),
        (
            format!("a\n1\n{root}\nb\n\n"),
            CheckpointError::Extension {
                line: 5,
                flaw: LineFlaw::Empty,
            },
        ),
    ] {
        assert_eq!(text.parse::<Checkpoint>(), Err(expected), "{text:?}");
    }
    assert!(Checkpoint::new("a\nb", 0, Hash::EMPTY).is_err());
}

#[test]
fn a_checkpoint_is_opened_by_its_own_log_s_key_alone() {
    let checkpoint = Checkpoint::new(ORIGIN, 7, leaf_hash(b"")).unwrap();
    let note = checkpoint.sign(&log_key()).unwrap().to_string();
    let opened = Checkpoint::open(&note, &[log_key().verifier().clone()]).unwrap();
    assert_eq!(
        (opened.checkpoint, opened.witnesses),
        (checkpoint.clone(), vec![])
    );

    let other = SignerKey::from_seed(name("example.net/other"), &[2; 32]).unwrap();
    assert!(matches!(
        checkpoint.sign(&other),
        Err(CheckpointError::OtherName { .. })
    ));
    // A key of another log and a witness are both known, and neither may speak for this one.
    let text = checkpoint.to_string();
    let mut note = portledger_proof::SignedNote::sign(&text, &other).unwrap();
    let saw = witness(ORIGIN, 3);
    note.add(saw.cosign(&checkpoint, 1).unwrap()).unwrap();
    let keys = [other.verifier().clone(), saw.verifier().clone()];
    assert_eq!(
        Checkpoint::open_note(&note, &keys),
        Err(CheckpointError::NotByLog {
            origin: ORIGIN.to_owned()
        })
    );
}

#[test]
fn a_witness_counts_once() {
    let checkpoint = Checkpoint::new(ORIGIN, 7, leaf_hash(b"")).unwrap();
    let mut note = checkpoint.sign(&log_key()).unwrap();
    let witnesses = [
        witness("one.example", 2),
        // A second key under one name, and a second name over one key.
        witness("one.example", 3),
        witness("alias.example", 2),
        witness("two.example", 4),
    ];
    for (at, who) in witnesses.iter().enumerate() {
        note.add(who.cosign(&checkpoint, 100 - at as u64).unwrap())
            .unwrap();
        note.add(who.cosign(&checkpoint, 200).unwrap()).unwrap();
    }
    let mut keys: Vec<VerifierKey> = witnesses.map(|who| who.verifier().clone()).into();
    keys.push(log_key().verifier().clone());
    let opened = Checkpoint::open_note(&note, &keys).unwrap();
    let seen = |who, time| Witness {
        name: name(who),
        time,
    };
    assert_eq!(
        opened.witnesses,
        [seen("one.example", 98), seen("two.example", 97)]
    );
}

/// A log of some entries, its checkpoint witnessed, and the proof of one of them.
fn proof(entries: usize, index: usize) -> (Vec<Hash>, TlogProof, Vec<VerifierKey>) {
    let leaves: Vec<Hash> = (0..entries)
        .map(|entry| leaf_hash(&(entry as u64).to_be_bytes()))
        .collect();
    let mut frontier = Frontier::new();
    leaves
        .iter()
        .for_each(|leaf| frontier.append(*leaf, |_, _| ()));
    let checkpoint = Checkpoint::new(ORIGIN, frontier.size(), frontier.root()).unwrap();
    let mut note = checkpoint.sign(&log_key()).unwrap();
    let saw = witness("witness.example", 9);
    note.add(saw.cosign(&checkpoint, 1_700_000_000).unwrap())
        .unwrap();
    let inclusion = prove_inclusion(&Leaves(&leaves), index as u64, frontier.size()).unwrap();
    let keys = vec![log_key().verifier().clone(), saw.verifier().clone()];
    (leaves, TlogProof::new(&inclusion, note), keys)
}

#[test]
fn a_proof_in_one_text_has_the_form_of_the_specification() {
    let (_, proof, keys) = proof(6, 4);
    let proof = proof.with_extra(b"hello".to_vec()).unwrap();
    let text = proof.to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[..3],
        ["c2sp.org/tlog-proof@v1", "extra aGVsbG8=", "index 4"]
    );
    assert_eq!(lines[3], leaf_hash(&5_u64.to_be_bytes()).to_string());
    assert_eq!(lines[5..8], ["", "example.org/log", "6"]);
    let read: TlogProof = text.parse().unwrap();
    assert_eq!(read, proof);
    let verified = read.verify(&4_u64.to_be_bytes(), &keys).unwrap();
    assert_eq!(verified.index, 4);
    assert_eq!(verified.checkpoint.size(), 6);
    assert_eq!(verified.witnesses[0].name.as_str(), "witness.example");
    // Without the witness's key the proof holds, and nobody saw it.
    let verified = read.verify(&4_u64.to_be_bytes(), &keys[..1]).unwrap();
    assert_eq!(verified.witnesses, []);
}

/// What was given away has to hold for ever; this file is never written anew. It was first
/// written by other hands: by a script that knows the specifications and two other libraries.
const GOLDEN: &str = include_str!("golden/entry-4-of-6.tlog-proof");

#[test]
fn a_proof_that_was_given_away_still_holds() {
    let (leaves, proof, keys) = proof(6, 4);
    let proof = proof.with_extra(b"hello".to_vec()).unwrap();
    assert_eq!(proof.to_string(), GOLDEN);
    let keys_then = [
        "example.org/log+8f13f9e4+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c",
        "witness.example+a50367b6+BP0XJDhaoMdbZPt4zWAvodmR/ev3axPFjtcC6sg16fYY",
    ];
    let keys_then = keys_then.map(|key| key.parse::<VerifierKey>().unwrap());
    assert_eq!(keys_then[..], keys);
    let read: TlogProof = GOLDEN.parse().unwrap();
    assert!(read.verify_leaf(leaves[4], &keys_then).is_ok());
}

#[test]
fn what_is_not_a_proof_is_told() {
    let (_, proof, _) = proof(6, 4);
    let text = proof.to_string();
    let header = "c2sp.org/tlog-proof@v1";
    let hash = leaf_hash(b"").to_string();
    for (text, expected) in [
        ("".to_owned(), TlogProofError::Cut),
        (text.replace("@v1", "@v2"), TlogProofError::Header),
        (
            text.replace("index 4", "index 04"),
            TlogProofError::Index { line: 2 },
        ),
        (
            text.replace("index 4", "extra \nindex 4"),
            TlogProofError::Extra,
        ),
        (
            text.replace("index 4", "extra A\nindex 4"),
            TlogProofError::Extra,
        ),
        (
            text.replace("index 4", "extra AAAA\n"),
            TlogProofError::Index { line: 3 },
        ),
        (
            text.replace("index 4", "index 4\nhash"),
            TlogProofError::Hash {
                line: 3,
                source: portledger_proof::HashError,
            },
        ),
        (
            text.replace(
                "index 4\n",
                &format!("index 4\n{}", format!("{hash}\n").repeat(63)),
            ),
            TlogProofError::TooManyHashes,
        ),
        (
            text.replace(
                "index 4",
                &format!("extra {}\nindex 4", "AAAA".repeat(21_846)),
            ),
            TlogProofError::ExtraTooLong,
        ),
        (
            format!("{header}\nindex 4\n\n"),
            TlogProofError::Note(NoteError::NoSeparator),
        ),
    ] {
        assert_eq!(text.parse::<TlogProof>(), Err(expected), "{:.80}", text);
    }
    let long = "\n".repeat(TlogProof::MAX_LENGTH + 1);
    assert!(matches!(
        long.parse::<TlogProof>(),
        Err(TlogProofError::TooLong { .. })
    ));
    assert_eq!(
        proof.with_extra(vec![0; TlogProof::MAX_EXTRA + 1]),
        Err(TlogProofError::ExtraTooLong)
    );
}

#[test]
fn the_most_extra_data_is_read_back() {
    let (_, proof, _) = proof(6, 4);
    let proof = proof.with_extra(vec![7; TlogProof::MAX_EXTRA]).unwrap();
    assert_eq!(proof.to_string().parse::<TlogProof>(), Ok(proof));
}

#[test]
fn a_proof_of_another_entry_does_not_hold() {
    let (leaves, proof, keys) = proof(6, 4);
    assert!(proof.verify_leaf(leaves[4], &keys).is_ok());
    assert_eq!(
        proof.verify_leaf(leaves[5], &keys),
        Err(TlogProofError::Proof(ProofError::NotIncluded {
            index: 4,
            size: 6
        }))
    );
    let moved: TlogProof = proof
        .to_string()
        .replace("index 4", "index 5")
        .parse()
        .unwrap();
    assert!(moved.verify_leaf(leaves[4], &keys).is_err());
    let beyond: TlogProof = proof
        .to_string()
        .replace("index 4", "index 6")
        .parse()
        .unwrap();
    assert!(matches!(
        beyond.verify_leaf(leaves[4], &keys),
        Err(TlogProofError::Proof(ProofError::OutOfRange(_)))
    ));
}

proptest! {
    #[test]
    fn one_changed_byte_of_a_proof_is_found(
        entries in 1..40_usize, index: prop::sample::Index, at: prop::sample::Index, by in 1..=255_u8,
    ) {
        let index = index.index(entries);
        let (leaves, proof, keys) = proof(entries, index);
        let text = proof.to_string();
        prop_assert!(proof.verify_leaf(leaves[index], &keys).is_ok());
        let mut bytes = text.clone().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= by;
        let verified = std::str::from_utf8(&bytes)
            .ok()
            .and_then(|text| text.parse::<TlogProof>().ok())
            .and_then(|proof| proof.verify_leaf(leaves[index], &keys).ok());
        // A witness's name or key ID that was changed makes it unknown, no more.
        if let Some(verified) = verified {
            prop_assert!(verified.witnesses.is_empty());
            prop_assert!(at > text.find("— witness").unwrap());
        }
    }

    #[test]
    fn checkpoints_are_those_of_others(
        origin in "[^\\p{Cc}]{1,20}", size in 1..=i64::MAX as u64, root: [u8; 32],
        lines in prop::collection::vec("[^\\p{Cc}]{1,9}", 0..3),
    ) {
        let mut ours = Checkpoint::new(&origin, size, Hash::from_bytes(root)).unwrap();
        lines.iter().for_each(|line| ours.extend(line).unwrap());
        let extension: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let theirs = tlog_tiles::Checkpoint::new(&origin, size, tlog_tiles::Hash(root), &extension);
        let text = String::from_utf8(theirs.unwrap().to_bytes()).unwrap();
        prop_assert_eq!(&ours.to_string(), &text);
        prop_assert_eq!(text.parse(), Ok(ours));
    }
}
