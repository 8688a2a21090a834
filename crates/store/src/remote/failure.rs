//! What the library and the servers say, in the house's words.

use std::{error::Error as StdError, time::Duration};

use object_store::client::{HttpError, HttpErrorKind};

use crate::error::{Action, Error, Reason, Spot};

/// What `error` means to whoever wanted to do `action`.
pub(super) fn explain(spot: Spot, action: Action, error: &object_store::Error) -> Error {
    use object_store::Error as Theirs;
    if is_no_bucket(error) {
        return no_bucket(spot);
    }
    let reason = Reason::new(error);
    match error {
        Theirs::AlreadyExists { .. } => Error::Exists { spot },
        Theirs::Precondition { .. } if action == Action::Write => Error::Exists { spot },
        Theirs::Precondition { .. } if action == Action::Read => Error::Changed { spot },
        // Nothing needs to be there to write or to list, but the bucket.
        Theirs::NotFound { .. } if matches!(action, Action::Write | Action::List) => {
            no_bucket(spot)
        }
        Theirs::NotFound { .. } => Error::NotFound { spot },
        Theirs::PermissionDenied { .. } | Theirs::Unauthenticated { .. } => Error::Refused {
            spot,
            action,
            reason,
        },
        // Of a list and of many deletions the library gives no status, only its text.
        _ if is_refusal(error) => Error::Refused {
            spot,
            action,
            reason,
        },
        _ if is_out_of_reach(error) => Error::Unreachable {
            spot,
            action,
            reason,
        },
        _ => Error::Answer {
            spot,
            action,
            reason,
        },
    }
}

/// Tries again when a server says that another was at the same name in this moment: it has then
/// not decided whether the name was free (Amazon S3 User Guide, "Conditional writes": 409).
pub(super) async fn settle<T, F>(attempt: impl Fn() -> F) -> object_store::Result<T>
where
    F: Future<Output = object_store::Result<T>>,
{
    const TIMES: u32 = 5;
    const PAUSE: Duration = Duration::from_millis(50);
    let mut result = attempt().await;
    for time in 0..TIMES {
        match &result {
            Err(error) if says(error, "ConditionalRequestConflict") => {
                tokio::time::sleep(PAUSE * 2u32.pow(time)).await;
                result = attempt().await;
            }
            _ => break,
        }
    }
    result
}

/// Whether the store says that the bucket itself is missing.
pub(super) fn is_no_bucket(error: &(dyn StdError + 'static)) -> bool {
    says(error, "NoSuchBucket")
}

/// Whether the server's answer has this code. The library keeps an answer as text only.
fn says(error: &(dyn StdError + 'static), code: &str) -> bool {
    error.to_string().contains(&format!("<Code>{code}</Code>"))
}

fn is_refusal(error: &object_store::Error) -> bool {
    let text = error.to_string();
    ["status code: 401", "status code: 403", "AccessDenied"]
        .iter()
        .any(|sign| text.contains(sign))
}

fn is_out_of_reach(error: &object_store::Error) -> bool {
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(http) = error.downcast_ref::<HttpError>() {
            return matches!(http.kind(), HttpErrorKind::Connect | HttpErrorKind::Timeout);
        }
        next = error.source();
    }
    false
}

fn no_bucket(spot: Spot) -> Error {
    Error::NoStore {
        location: spot.location,
        kind: "bucket",
    }
}
