//! What a template says, compiled into what decoding needs.

use super::{
    clock::Clocks,
    elements::{IANA, V9_SCOPE},
    item::Lie,
    slots::{Places, Row, Slot},
};

/// The length that stands for "each record says" (RFC 7011 §7).
pub(super) const VARIABLE: u16 = 0xffff;
/// More fields than this no exporter sends; a template of them would cost more than it says.
pub(super) const MAX_FIELDS: usize = 1_024;
/// The longest record that fits into a message (RFC 7011 §3.1).
const MAX_RECORD: u32 = 0xffff - 16 - 4;

/// One field as a template names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) enterprise: u32,
    pub(super) number: u16,
    pub(super) length: u16,
}

impl Field {
    pub(super) const fn scope_of_v9(number: u16, length: u16) -> Self {
        Self {
            enterprise: V9_SCOPE,
            number,
            length,
        }
    }

    pub(super) const fn of_v9(number: u16, length: u16) -> Self {
        Self {
            enterprise: IANA,
            number,
            length,
        }
    }
}

/// What records of a template tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// NAT events by number (RFC 8158).
    NatEvents,
    /// Connections a firewall translated, by firewallEvent (Cisco ASA, Palo Alto).
    Connections,
    /// Flows that were translated, with begin and end (MikroTik, Fortinet).
    Flows,
    /// Nokia's: begun or ended by which time is there, the inside in a string.
    Nokia,
    /// Translations with neither event nor time (Cisco IOS XR): each tells that one began.
    Translations,
    /// Our own device's life, as text.
    Life,
    /// When the exporter booted, which other records' times count from.
    SystemInit,
    /// Nothing about a NAT.
    Nothing,
}

/// A template, ready for decoding.
#[derive(Debug, Clone)]
pub(super) struct Template {
    fields: Box<[Field]>,
    layout: Layout,
    pub(super) meaning: Meaning,
    pub(super) clocks: Clocks,
}

#[derive(Debug, Clone)]
enum Layout {
    Fixed { length: usize, places: Box<Places> },
    Variable { least: usize },
}

impl Template {
    /// Compiles a template.
    ///
    /// # Errors
    /// When it describes records that cannot be.
    pub(super) fn new(fields: Vec<Field>, options: bool) -> Result<Self, Lie> {
        if fields.is_empty() {
            return Err(Lie::NoFields);
        }
        if fields.len() > MAX_FIELDS {
            return Err(Lie::TooManyFields(fields.len()));
        }
        let mut places = Places::NONE;
        let mut known = Places::NONE;
        let mut variable = false;
        let mut length: u32 = 0;
        for field in &fields {
            let slot = Slot::of(field.enterprise, field.number);
            if let Some((slot, width)) = slot {
                if !width.allows(field.length) {
                    return Err(Lie::FieldLength {
                        element: field.number,
                        length: field.length,
                    });
                }
                known.put(slot, 0, field.length);
            }
            if field.length == VARIABLE {
                variable = true;
                length += 1;
                continue;
            }
            if let (Some((slot, _)), Ok(offset)) = (slot, u16::try_from(length)) {
                places.put(slot, offset, field.length);
            }
            length += u32::from(field.length);
            if length > MAX_RECORD {
                return Err(Lie::RecordTooLong);
            }
        }
        if length == 0 {
            return Err(Lie::EmptyRecord);
        }
        let length = usize::try_from(length).map_err(|_| Lie::RecordTooLong)?;
        let layout = if variable {
            Layout::Variable { least: length }
        } else {
            Layout::Fixed {
                length,
                places: Box::new(places),
            }
        };
        Ok(Self {
            fields: fields.into(),
            layout,
            meaning: meaning(&known, options),
            clocks: Clocks::of(&known),
        })
    }

    pub(super) fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Memory it takes, roughly: what the bound on templates counts.
    pub(super) fn cost(&self) -> usize {
        size_of::<Self>() + size_of::<Places>() + size_of_val::<[Field]>(&self.fields)
    }

    /// Calls `each` with every record of a data set and its offset; what is shorter than any
    /// record at the end is padding (RFC 7011 §3.3.1).
    ///
    /// # Errors
    /// The offset of a record that runs over the set's end; nothing after it can be read.
    #[inline]
    pub(super) fn rows(
        &self,
        set: &[u8],
        mut each: impl FnMut(usize, Row<'_>),
    ) -> Result<u64, (u64, usize)> {
        let mut count = 0;
        match &self.layout {
            Layout::Fixed { length, places } => {
                let mut offset = 0;
                for bytes in set.chunks_exact(*length) {
                    each(offset, Row { bytes, places });
                    offset += length;
                    count += 1;
                }
            }
            Layout::Variable { least } => {
                let mut offset = 0;
                while let Some(rest) = set.get(offset..).filter(|rest| rest.len() >= *least) {
                    let Some((length, places)) = self.walk(rest) else {
                        return Err((count, offset));
                    };
                    let bytes = rest.get(..length).unwrap_or(rest);
                    each(
                        offset,
                        Row {
                            bytes,
                            places: &places,
                        },
                    );
                    offset += length;
                    count += 1;
                }
            }
        }
        Ok(count)
    }

    /// Whether its records have one length, and which: then they can be counted without a look.
    pub(super) const fn fixed_length(&self) -> Option<usize> {
        match self.layout {
            Layout::Fixed { length, .. } => Some(length),
            Layout::Variable { .. } => None,
        }
    }

    /// The length of the first record and where its fields are.
    fn walk(&self, bytes: &[u8]) -> Option<(usize, Places)> {
        let mut places = Places::NONE;
        let mut offset: usize = 0;
        for field in &self.fields {
            let mut length = field.length;
            if length == VARIABLE {
                // RFC 7011 §7: one byte, or 255 and two bytes.
                length = u16::from(*bytes.get(offset)?);
                offset += 1;
                if length == 255 {
                    let long = bytes.get(offset..offset + 2)?;
                    length = u16::from_be_bytes(long.try_into().ok()?);
                    offset += 2;
                }
            }
            let end = offset + usize::from(length);
            if end > bytes.len() {
                return None;
            }
            if let Some((slot, _)) = Slot::of(field.enterprise, field.number) {
                places.put(slot, u16::try_from(offset).ok()?, length);
            }
            offset = end;
        }
        Some((offset, places))
    }
}

/// What records with these fields tell.
fn meaning(has: &Places, options: bool) -> Meaning {
    let translated = has.has(Slot::PostSourceV4) || has.has(Slot::PostDestinationV4);
    let clocks = Clocks::of(has);
    if options {
        return if has.has(Slot::Detail) {
            Meaning::Life
        } else if has.has(Slot::SystemInit) {
            Meaning::SystemInit
        } else {
            Meaning::Nothing
        };
    }
    if has.has(Slot::NatEvent) {
        Meaning::NatEvents
    } else if has.has(Slot::NokiaSubscriber) {
        Meaning::Nokia
    } else if !translated {
        Meaning::Nothing
    } else if has.has(Slot::FirewallEvent) {
        Meaning::Connections
    } else if clocks.has_both_ends() {
        Meaning::Flows
    } else if clocks.is_none()
        && has.has(Slot::PostSourceV4)
        && (has.has(Slot::PostSourcePort) || has.has(Slot::RangeStart))
    {
        Meaning::Translations
    } else {
        Meaning::Nothing
    }
}
