//! The messages of servers and clients. Each is one datagram.

use super::log::Entry;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// A message between servers, with the sender and the sender's term.
    Peer {
        from: u64,
        term: u64,
        content: Content,
    },
    Request(Request),
    /// The answer to a request: the length of the list after the request, and the last number of
    /// the list.
    Answer {
        client: u64,
        sequence: u64,
        length: u64,
        last: u64,
    },
    /// The answer of a server that is not the leader. `leader` is the leader that it knows, or 0.
    Elsewhere {
        client: u64,
        sequence: u64,
        leader: u64,
    },
}

/// A client's request to append `value` to the list, or to read the list if `value` is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) client: u64,
    /// The number of the request, counted per client. A retry has the same number.
    pub(super) sequence: u64,
    pub(super) value: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    RequestVote {
        last_index: u64,
        last_term: u64,
    },
    Vote {
        granted: bool,
    },
    Append(Append),
    /// Whether the previous entry was there. `index`: up to where the log is as the leader's.
    Appended {
        success: bool,
        index: u64,
        round: u64,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Append {
    pub(super) previous_index: u64,
    pub(super) previous_term: u64,
    pub(super) commit: u64,
    /// Counts the leader's requests for confirmation. The answer repeats it.
    pub(super) round: u64,
    pub(super) entry: Option<Entry>,
}

impl Message {
    pub(super) fn encode(self) -> Vec<u8> {
        self.words().into_iter().flat_map(u64::to_le_bytes).collect()
    }

    fn words(self) -> Vec<u64> {
        match self {
            Self::Peer { from, term, content } => {
                let mut words = vec![0, from, term];
                words.extend(content.words());
                words
            }
            Self::Request(Request { client, sequence, value }) => vec![1, client, sequence, value],
            Self::Answer { client, sequence, length, last } => {
                vec![2, client, sequence, length, last]
            }
            Self::Elsewhere { client, sequence, leader } => vec![3, client, sequence, leader],
        }
    }

    /// Returns `None` if it is no message.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let words: Vec<u64> = bytes.chunks(8).map(word).collect::<Option<_>>()?;
        Some(match words[..] {
            [0, from, term, ref content @ ..] => {
                Self::Peer { from, term, content: Content::of_words(content)? }
            }
            [1, client, sequence, value] => Self::Request(Request { client, sequence, value }),
            [2, client, sequence, length, last] => Self::Answer { client, sequence, length, last },
            [3, client, sequence, leader] => Self::Elsewhere { client, sequence, leader },
            _ => return None,
        })
    }
}

fn word(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}

impl Content {
    fn words(self) -> Vec<u64> {
        match self {
            Self::RequestVote { last_index, last_term } => vec![0, last_index, last_term],
            Self::Vote { granted } => vec![1, u64::from(granted)],
            Self::Append(append) => {
                let Append { previous_index, previous_term, commit, round, entry } = append;
                let mut words = vec![2, previous_index, previous_term, commit, round];
                words.extend(entry.iter().flat_map(|entry| entry.words()));
                words
            }
            Self::Appended { success, index, round } => {
                vec![3, u64::from(success), index, round]
            }
        }
    }

    fn of_words(words: &[u64]) -> Option<Self> {
        Some(match *words {
            [0, last_index, last_term] => Self::RequestVote { last_index, last_term },
            [1, granted] => Self::Vote { granted: granted == 1 },
            [2, previous_index, previous_term, commit, round, ref entry @ ..] => {
                let entry = match entry {
                    [] => None,
                    words => Some(Entry::of_words(words.try_into().ok()?)),
                };
                Self::Append(Append { previous_index, previous_term, commit, round, entry })
            }
            [3, success, index, round] => Self::Appended { success: success == 1, index, round },
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_the_same_after_the_way() {
        let request = Request { client: 1, sequence: 2, value: 3 };
        let append = Append {
            previous_index: 5,
            previous_term: 6,
            commit: 7,
            round: 8,
            entry: Some(Entry { term: 9, request }),
        };
        let contents = [
            Content::RequestVote { last_index: 1, last_term: 2 },
            Content::Vote { granted: true },
            Content::Append(append),
            Content::Append(Append { entry: None, ..append }),
            Content::Appended { success: false, index: 1, round: 2 },
        ];
        let peer = |content| Message::Peer { from: 3, term: 4, content };
        let mut messages: Vec<Message> = contents.map(peer).into();
        messages.push(Message::Request(request));
        messages.push(Message::Answer { client: 1, sequence: 2, length: 3, last: 4 });
        messages.push(Message::Elsewhere { client: 1, sequence: 2, leader: 3 });
        for message in messages {
            let bytes = message.encode();
            assert_eq!(Message::decode(&bytes), Some(message));
            assert_eq!(Message::decode(&bytes[1..]), None);
            assert_ne!(Message::decode(&bytes[8..]), Some(message));
        }
    }
}
