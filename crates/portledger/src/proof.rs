//! Proofs of the records that an answer rests on.

use std::path::Path;

use portledger_ledger::Prover;
use portledger_model::RecordNumber;
use portledger_trace::Answer;

use crate::failure::Failure;

/// One proof for each allocation of an answer, in its order: the text of a C2SP tlog-proof, whose
/// `extra` line is the salted record.
pub(crate) fn of(ledger: &Path, answer: &Answer) -> Result<Vec<String>, Failure> {
    if answer.allocations.is_empty() {
        return Ok(Vec::new());
    }
    let prover = Prover::open(ledger)?;
    let mut proofs = Vec::with_capacity(answer.allocations.len());
    // Of all who share an address by one rule, one record tells.
    let mut last: Option<(RecordNumber, String)> = None;
    for held in answer.allocations.iter() {
        let proof = match last {
            Some((record, proof)) if record == held.record => proof,
            _ => prover.inclusion(held.record)?.to_string(),
        };
        proofs.push(proof.clone());
        last = Some((held.record, proof));
    }
    Ok(proofs)
}
