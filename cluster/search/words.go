package search

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Bounds of words.
const (
	// maxWordBytes bounds a word; what is longer is no word but data.
	maxWordBytes = 64
	// maxTextBytes bounds what is read of one text.
	maxTextBytes = 64 << 10
)

// word is one word of a text.
type word struct {
	term     string // as it is indexed: lower case, without accents
	from, to int    // bytes in the text
}

// words visits the words of a text's beginning, until visit returns false: runs
// of letters and digits. Where a script has no spaces each letter is a word.
func words(text string, visit func(word) bool) {
	if len(text) > maxTextBytes {
		text = text[:maxTextBytes]
	}
	from := -1
	emit := func(to int) bool {
		if from < 0 {
			return true
		}
		w := word{from: from, to: to}
		from = -1
		if w.term = term(text[w.from:w.to]); w.term == "" {
			return true
		}
		return visit(w)
	}
	for at, r := range text {
		inWord := unicode.IsLetter(r) || unicode.IsDigit(r) || from >= 0 && unicode.Is(unicode.Mn, r)
		if (!inWord || spaceless(r)) && !emit(at) {
			return
		}
		if inWord && from < 0 {
			from = at
		}
		if inWord && spaceless(r) && !emit(at+utf8.RuneLen(r)) {
			return
		}
	}
	emit(len(text))
}

// spaceless reports whether a letter is of a script that puts no spaces
// between words.
func spaceless(r rune) bool {
	return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar)
}

// term is a word as it is indexed, or "" for what is none.
func term(text string) string {
	if len(text) > maxWordBytes {
		return ""
	}
	plain := true
	for i := range len(text) {
		if c := text[i]; c >= utf8.RuneSelf || c >= 'A' && c <= 'Z' {
			plain = false
			break
		}
	}
	if plain {
		return text
	}
	var b strings.Builder
	for _, r := range norm.NFKD.String(text) {
		// Compatible forms may hold what is no letter at all.
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			b.WriteRune(unicode.ToLower(r))
		}
	}
	return b.String()
}

// termsOf are the different words of a query, in order, at most max.
func termsOf(text string, max int) []string {
	var terms []string
	seen := map[string]bool{}
	words(text, func(w word) bool {
		if !seen[w.term] {
			seen[w.term] = true
			terms = append(terms, w.term)
		}
		return len(terms) < max
	})
	return terms
}
