//! Taking in what a server sends, as far as it was asked for.

use futures_util::TryStreamExt;
use object_store::GetResult;
use thiserror::Error;

/// What is wrong with a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum Flaw {
    #[error("the server sent more than may be read at once")]
    TooLarge,
    #[error("the server promised {promised} bytes and sent {sent} or more")]
    Length { promised: u64, sent: u64 },
}

/// All of a body that has at most `limit` bytes and as many as the server promised. Memory is
/// taken as bytes arrive, not as a header says.
pub(super) async fn whole(
    answer: GetResult,
    limit: u64,
) -> object_store::Result<Result<Vec<u8>, Flaw>> {
    let promised = answer.range.end.saturating_sub(answer.range.start);
    if promised > limit {
        return Ok(Err(Flaw::TooLarge));
    }
    let mut body = answer.into_stream();
    let mut content: Vec<u8> = Vec::new();
    while let Some(bytes) = body.try_next().await? {
        content.extend_from_slice(&bytes);
        let sent = content.len() as u64;
        if sent > promised {
            return Ok(Err(Flaw::Length { promised, sent }));
        }
    }
    let sent = content.len() as u64;
    Ok(if sent == promised {
        Ok(content)
    } else {
        Err(Flaw::Length { promised, sent })
    })
}
