//! From letters to sounds: a table of words that the lab says often, numbers, and rules for all else.
//!
//! The rules are few: what English writes against them is said wrongly.

use super::phonemes::{PHONEMES, Phoneme};

/// A sound of a word.
#[derive(Clone, Copy, Debug)]
pub(super) struct Phone {
    pub phoneme: &'static Phoneme,
    /// It carries the stress of its word.
    pub stressed: bool,
}

/// A part of a text.
#[derive(Clone, Debug)]
pub(super) enum Piece {
    /// A word's sounds.
    Word(Vec<Phone>),
    /// A comma, a stop: the voice rests, ms.
    Rest(u16),
}

/// Words in the ARPAbet; 1 marks the stress.
const WORDS: &[(&str, &str)] = &[
    ("zero", "Z IH1 R OW"),
    ("one", "W AH1 N"),
    ("two", "T UW1"),
    ("three", "TH R IY1"),
    ("four", "F AO1 R"),
    ("five", "F AY1 V"),
    ("six", "S IH1 K S"),
    ("seven", "S EH1 V AX N"),
    ("eight", "EY1 T"),
    ("nine", "N AY1 N"),
    ("ten", "T EH1 N"),
    ("eleven", "IH L EH1 V AX N"),
    ("twelve", "T W EH1 L V"),
    ("thirteen", "TH ER T IY1 N"),
    ("fourteen", "F AO R T IY1 N"),
    ("fifteen", "F IH F T IY1 N"),
    ("sixteen", "S IH K S T IY1 N"),
    ("seventeen", "S EH V AX N T IY1 N"),
    ("eighteen", "EY T IY1 N"),
    ("nineteen", "N AY N T IY1 N"),
    ("twenty", "T W EH1 N T IY"),
    ("thirty", "TH ER1 T IY"),
    ("forty", "F AO1 R T IY"),
    ("fifty", "F IH1 F T IY"),
    ("sixty", "S IH1 K S T IY"),
    ("seventy", "S EH1 V AX N T IY"),
    ("eighty", "EY1 T IY"),
    ("ninety", "N AY1 N T IY"),
    ("hundred", "HH AH1 N D R AX D"),
    ("thousand", "TH AW1 Z AX N D"),
    ("oh", "OW1"),
    ("ah", "AA1"),
    ("a", "AX"),
    ("an", "AE N"),
    ("and", "AE N D"),
    ("are", "AA R"),
    ("be", "B IY1"),
    ("do", "D UW1"),
    ("for", "F AO R"),
    ("from", "F R AH M"),
    ("give", "G IH1 V"),
    ("get", "G EH1 T"),
    ("has", "HH AE Z"),
    ("have", "HH AE1 V"),
    ("he", "HH IY1"),
    ("his", "HH IH Z"),
    ("i", "AY1"),
    ("into", "IH1 N T UW"),
    ("is", "IH Z"),
    ("me", "M IY1"),
    ("of", "AX V"),
    ("or", "AO R"),
    ("our", "AW1 ER"),
    ("she", "SH IY1"),
    ("some", "S AH1 M"),
    ("that", "DH AE1 T"),
    ("the", "DH AX"),
    ("their", "DH EH R"),
    ("them", "DH EH M"),
    ("then", "DH EH N"),
    ("there", "DH EH1 R"),
    ("these", "DH IY1 Z"),
    ("they", "DH EY"),
    ("this", "DH IH1 S"),
    ("those", "DH OW1 Z"),
    ("to", "T UW"),
    ("was", "W AA Z"),
    ("we", "W IY1"),
    ("were", "W ER"),
    ("what", "W AH1 T"),
    ("where", "W EH1 R"),
    ("who", "HH UW1"),
    ("with", "W IH DH"),
    ("yes", "Y EH1 S"),
    ("you", "Y UW1"),
    ("your", "Y AO R"),
    ("agent", "EY1 JH AX N T"),
    ("answer", "AE1 N S ER"),
    ("any", "EH1 N IY"),
    ("audio", "AO1 D IY OW"),
    ("browser", "B R AW1 Z ER"),
    ("busy", "B IH1 Z IY"),
    ("call", "K AO1 L"),
    ("calling", "K AO1 L IH NG"),
    ("clock", "K L AA1 K"),
    ("crosspoint", "K R AO1 S P OY N T"),
    ("customer", "K AH1 S T AX M ER"),
    ("echo", "EH1 K OW"),
    ("everything", "EH1 V R IY TH IH NG"),
    ("gateway", "G EY1 T W EY"),
    ("good", "G UH1 D"),
    ("goodbye", "G UH D B AY1"),
    ("hello", "HH AX L OW1"),
    ("hour", "AW1 ER"),
    ("hours", "AW1 ER Z"),
    ("lab", "L AE1 B"),
    ("line", "L AY1 N"),
    ("media", "M IY1 D IY AX"),
    ("minute", "M IH1 N AX T"),
    ("minutes", "M IH1 N AX T S"),
    ("number", "N AH1 M B ER"),
    ("o'clock", "AX K L AA1 K"),
    ("open", "OW1 P AX N"),
    ("phone", "F OW1 N"),
    ("please", "P L IY1 Z"),
    ("ready", "R EH1 D IY"),
    ("server", "S ER1 V ER"),
    ("sorry", "S AA1 R IY"),
    ("telephone", "T EH1 L AX F OW N"),
    ("test", "T EH1 S T"),
    ("thank", "TH AE1 NG K"),
    ("thanks", "TH AE1 NG K S"),
    ("time", "T AY1 M"),
    ("voice", "V OY1 S"),
    ("wait", "W EY1 T"),
    ("welcome", "W EH1 L K AX M"),
    ("world", "W ER1 L D"),
];

/// Names of the letters, for words without a vowel.
const LETTERS: [&str; 26] = [
    "EY1",
    "B IY1",
    "S IY1",
    "D IY1",
    "IY1",
    "EH1 F",
    "JH IY1",
    "EY1 CH",
    "AY1",
    "JH EY1",
    "K EY1",
    "EH1 L",
    "EH1 M",
    "EH1 N",
    "OW1",
    "P IY1",
    "K Y UW1",
    "AA1 R",
    "EH1 S",
    "T IY1",
    "Y UW1",
    "V IY1",
    "D AH1 B AX L Y UW",
    "EH1 K S",
    "W AY1",
    "Z IY1",
];

const SMALL: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const TENS: [&str; 10] = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];

/// Where a rule holds.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Where {
    Any,
    /// At the begin of the word.
    First,
    /// At its end.
    Last,
    /// At its end, after a consonant.
    LastAfterConsonant,
    /// Before e, i, y.
    Soft,
    /// Before one consonant and the word's last e.
    Long,
    /// Between two vowels, or at the end after a letter that is voiced.
    Voiced,
}

use Where::{Any, First, Last, LastAfterConsonant, Long, Soft, Voiced};

/// Letters, where, sounds: the first that fits is taken.
#[rustfmt::skip]
const RULES: &[(&str, Where, &str)] = &[
    ("augh", Any, "AO"), ("air", Any, "EH R"), ("are", Last, "EH R"), ("ar", Any, "AA R"), ("ai", Any, "EY"),
    ("ay", Any, "EY"), ("aw", Any, "AO"), ("au", Any, "AO"), ("all", Any, "AO L"), ("alk", Any, "AO K"),
    ("a", Long, "EY"), ("a", Last, "AX"), ("a", Any, "AE"),
    ("bb", Any, "B"), ("b", Any, "B"),
    ("cial", Any, "SH AX L"), ("ch", Any, "CH"), ("ck", Any, "K"), ("c", Soft, "S"), ("cc", Any, "K"), ("c", Any, "K"),
    ("dge", Any, "JH"), ("dd", Any, "D"), ("d", Any, "D"),
    ("eigh", Any, "EY"), ("ear", Any, "IH R"), ("eer", Any, "IH R"), ("ea", Any, "IY"), ("ee", Any, "IY"),
    ("ei", Any, "IY"), ("ew", Any, "UW"), ("ey", Last, "IY"), ("eu", Any, "Y UW"), ("er", Any, "ER"),
    ("ed", LastAfterConsonant, "AX D"), ("e", Last, ""), ("e", Long, "IY"), ("e", Any, "EH"),
    ("ff", Any, "F"), ("f", Any, "F"),
    ("gh", First, "G"), ("gh", Any, ""), ("gn", First, "N"), ("gue", Last, "G"), ("gg", Any, "G"), ("g", Soft, "JH"),
    ("g", Any, "G"),
    ("h", Any, "HH"),
    ("igh", Any, "AY"), ("ing", Any, "IH NG"), ("ire", Any, "AY ER"), ("ir", Any, "ER"), ("ie", Last, "AY"),
    ("ie", Any, "IY"), ("ind", Any, "AY N D"), ("ild", Any, "AY L D"), ("i", Long, "AY"), ("i", Last, "IY"),
    ("i", Any, "IH"),
    ("j", Any, "JH"),
    ("kn", First, "N"), ("k", Any, "K"),
    ("le", LastAfterConsonant, "AX L"), ("ll", Any, "L"), ("l", Any, "L"),
    ("mb", Last, "M"), ("mm", Any, "M"), ("m", Any, "M"),
    ("ng", Last, "NG"), ("ng", Any, "NG G"), ("nk", Any, "NG K"), ("nn", Any, "N"), ("n", Any, "N"),
    ("ough", Any, "AO"), ("ould", Any, "UH D"), ("ous", Last, "AX S"), ("our", Any, "AO R"), ("ou", Any, "AW"),
    ("ow", Last, "OW"), ("ow", Any, "AW"), ("oor", Any, "AO R"), ("ook", Any, "UH K"), ("oo", Any, "UW"),
    ("oar", Any, "AO R"), ("oa", Any, "OW"), ("oi", Any, "OY"), ("oy", Any, "OY"), ("or", Any, "AO R"),
    ("old", Any, "OW L D"), ("oe", Last, "OW"), ("o", Long, "OW"), ("o", Last, "OW"), ("o", Any, "AA"),
    ("ph", Any, "F"), ("pp", Any, "P"), ("p", Any, "P"),
    ("qu", Any, "K W"), ("q", Any, "K"),
    ("rr", Any, "R"), ("rh", Any, "R"), ("r", Any, "R"),
    ("sion", Any, "ZH AX N"), ("sure", Any, "ZH ER"), ("sh", Any, "SH"), ("ss", Any, "S"), ("s", Voiced, "Z"),
    ("s", Any, "S"),
    ("tion", Any, "SH AX N"), ("tial", Any, "SH AX L"), ("ture", Any, "CH ER"), ("tch", Any, "CH"), ("th", Any, "TH"),
    ("tt", Any, "T"), ("t", Any, "T"),
    ("ur", Any, "ER"), ("ui", Any, "UW"), ("ue", Any, "UW"), ("u", Long, "UW"), ("u", Last, "UW"), ("u", Any, "AH"),
    ("v", Any, "V"),
    ("war", Any, "W AO R"), ("wor", Any, "W ER"), ("wh", Any, "W"), ("wr", First, "R"), ("w", Any, "W"),
    ("x", First, "Z"), ("x", Any, "K S"),
    ("y", First, "Y"), ("y", Long, "AY"), ("y", Last, "IY"), ("y", Any, "IH"),
    ("zz", Any, "Z"), ("z", Any, "Z"),
];

/// Returns the words and rests of a text. Digits are said: one or two as a number, more one by one.
pub(super) fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = text.to_lowercase();
    while let Some(first) = rest.chars().next() {
        let like = |c: char| match first {
            '0'..='9' => c.is_ascii_digit(),
            _ => c.is_ascii_lowercase() || c == '\'' || c == '’',
        };
        let len = rest.find(|c: char| !like(c)).unwrap_or(rest.len());
        if len == 0 {
            match first {
                ',' | ';' => pieces.push(Piece::Rest(180)),
                '.' | '!' | '?' => pieces.push(Piece::Rest(350)),
                _ => {}
            }
            rest.drain(..first.len_utf8());
            continue;
        }
        let word: String = rest.drain(..len).map(|c| if c == '’' { '\'' } else { c }).collect();
        let spoken = if first.is_ascii_digit() { number(&word) } else { vec![sounds(&word)] };
        pieces.extend(spoken.into_iter().filter(|phones| !phones.is_empty()).map(Piece::Word));
    }
    pieces
}

fn number(digits: &str) -> Vec<Vec<Phone>> {
    match digits.parse::<usize>() {
        Ok(value) if digits.len() <= 2 && !digits.starts_with('0') => cardinal(value).split('-').map(sounds).collect(),
        _ => digits.bytes().filter_map(|b| SMALL.get(usize::from(b.wrapping_sub(b'0')))).map(|w| sounds(w)).collect(),
    }
}

/// Returns a number below 100 in words: `thirty-five`.
pub(super) fn cardinal(value: usize) -> String {
    match (value / 10 % 10, value % 10) {
        (0 | 1, _) => SMALL[value % 20].to_owned(),
        (tens, 0) => TENS[tens].to_owned(),
        (tens, ones) => format!("{}-{}", TENS[tens], SMALL[ones]),
    }
}

fn sounds(word: &str) -> Vec<Phone> {
    if let Some((_, known)) = WORDS.iter().find(|(w, _)| *w == word) {
        return parse(known);
    }
    let letters: String = word.chars().filter(char::is_ascii_lowercase).collect();
    if !letters.contains(['a', 'e', 'i', 'o', 'u', 'y']) || letters.len() == 1 {
        let names = letters.bytes().filter_map(|b| LETTERS.get(usize::from(b.wrapping_sub(b'a'))));
        return names.flat_map(|name| parse(name)).collect();
    }
    let mut said = by_rule(&letters);
    match said.iter_mut().find(|phone| phone.phoneme.vowel) {
        Some(first) => first.stressed = true,
        None => said.extend(parse("AX")),
    }
    // A word whose only vowel is a y at its end: "my", "try".
    if let ("y", Some(last), 1) =
        (&letters[letters.len() - 1..], said.last().copied(), said.iter().filter(|p| p.phoneme.vowel).count())
        && last.phoneme.name == "IY"
    {
        said.pop();
        said.extend(parse("AY1"));
    }
    said
}

fn by_rule(letters: &str) -> Vec<Phone> {
    let mut said = Vec::new();
    let mut at = 0;
    while at < letters.len() {
        let (before, here) = letters.split_at(at);
        let rule =
            RULES.iter().find(|(sign, place, _)| here.strip_prefix(sign).is_some_and(|a| holds(*place, before, a)));
        let (sign, phones) = rule.map_or(("?", ""), |(sign, _, phones)| (*sign, *phones));
        said.extend(parse(phones));
        at += sign.len();
    }
    said
}

fn holds(place: Where, before: &str, after: &str) -> bool {
    const VOWELS: [char; 6] = ['a', 'e', 'i', 'o', 'u', 'y'];
    match place {
        Any => true,
        First => before.is_empty(),
        Last => after.is_empty(),
        LastAfterConsonant => after.is_empty() && !before.is_empty() && !before.ends_with(VOWELS),
        Soft => after.starts_with(['e', 'i', 'y']),
        Long => matches!(after.as_bytes(), [c, b'e'] | [c, b'e', b's' | b'd' | b'r'] if !b"aeiouyx".contains(c)),
        Voiced if after.is_empty() => before.ends_with(['e', 'o', 'y', 'b', 'd', 'g', 'l', 'm', 'n', 'r', 'v', 'w']),
        Voiced => before.ends_with(VOWELS) && after.starts_with(VOWELS),
    }
}

/// Reads sounds in the ARPAbet; what is unknown is left out.
fn parse(phones: &str) -> Vec<Phone> {
    let phone = |name: &str| {
        let plain = name.trim_end_matches('1');
        let phoneme = PHONEMES.iter().find(|p| p.name == plain)?;
        Some(Phone { phoneme, stressed: plain.len() < name.len() })
    };
    phones.split_whitespace().filter_map(phone).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(text: &str) -> String {
        let words = pieces(text).into_iter().map(|piece| match piece {
            Piece::Word(phones) => phones.iter().map(|p| p.phoneme.name).collect::<Vec<_>>().join(" "),
            Piece::Rest(_) => ",".to_owned(),
        });
        words.collect::<Vec<_>>().join(" | ")
    }

    #[test]
    fn every_sound_of_the_tables_exists() {
        let known = |phones: &str| assert_eq!(parse(phones).len(), phones.split_whitespace().count(), "{phones}");
        WORDS.iter().for_each(|(_, phones)| known(phones));
        RULES.iter().for_each(|(_, _, phones)| known(phones));
        LETTERS.iter().for_each(|phones| known(phones));
    }

    #[test]
    fn numbers_are_words_up_to_ninety_nine_and_digits_beyond() {
        assert_eq!(spelled("35"), spelled("thirty five"));
        assert_eq!(spelled("14:05"), spelled("fourteen zero five"));
        assert_eq!(spelled("5001"), spelled("five zero zero one"));
        assert_eq!((cardinal(0), cardinal(19), cardinal(40), cardinal(59)), {
            ("zero".to_owned(), "nineteen".to_owned(), "forty".to_owned(), "fifty-nine".to_owned())
        });
    }

    #[test]
    fn unknown_words_are_said_by_rule() {
        for (word, phones) in [
            ("make", "M EY K"),
            ("ship", "SH IH P"),
            ("station", "S T AE SH AX N"),
            ("nice", "N AY S"),
            ("table", "T AE B AX L"),
            ("night", "N AY T"),
            ("knows", "N AW Z"),
            ("try", "T R AY"),
            ("rtp", "AA R T IY P IY"),
        ] {
            assert_eq!(spelled(word), phones, "{word}");
        }
    }

    #[test]
    fn stops_and_commas_are_rests_and_strange_letters_are_left_out() {
        assert_eq!(spelled("no, yes"), "N OW | , | Y EH S");
        assert_eq!(spelled("日本 \u{0} — '"), "");
    }
}
