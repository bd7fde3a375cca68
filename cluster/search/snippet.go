package search

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Mark stands before and after each word that was found.
const Mark = "**"

// snippetBytes is about how much of a text a snippet shows.
const snippetBytes = 160

// Snippet shows where a text has the terms of a query: a piece of one line,
// with Mark around the words. found is how many of the terms it has; with none
// of them there is no snippet.
func Snippet(text string, terms []string) (snippet string, found int) {
	var hits []word
	has := map[string]bool{}
	words(text, func(w word) bool {
		for _, t := range terms {
			if w.term == t || strings.HasPrefix(w.term, t) && utf8.RuneCountInString(t) >= minPrefixRunes {
				hits = append(hits, w)
				has[t] = true
				break
			}
		}
		return true
	})
	if len(hits) == 0 {
		return "", 0
	}
	from := edge(text, hits[0].from-snippetBytes/4)
	to := edge(text, from+snippetBytes)
	var b strings.Builder
	if from > 0 {
		b.WriteString("…")
	}
	at := from
	for _, h := range hits {
		if h.to > to {
			break
		}
		b.WriteString(text[at:h.from] + Mark + text[h.from:h.to] + Mark)
		at = h.to
	}
	b.WriteString(text[at:max(at, to)])
	if to < len(text) {
		b.WriteString("…")
	}
	return strings.Join(strings.FieldsFunc(b.String(), unicode.IsSpace), " "), len(has)
}

// edge moves a place in a text to where a word begins or ends, not far before.
func edge(text string, at int) int {
	if at <= 0 || at >= len(text) {
		return max(0, min(at, len(text)))
	}
	for back := at; back > 0 && at-back < 24; back-- {
		if text[back-1] == ' ' || text[back-1] == '\n' {
			return back
		}
	}
	for at > 0 && !utf8.RuneStart(text[at]) {
		at--
	}
	return at
}

// Matches reports which of some texts have terms of a query, those with most of
// them first, at most max, by their place.
func Matches(texts []string, terms []string, max int) (places []int, snippets []string) {
	type match struct {
		place, found int
		snippet      string
	}
	var all []match
	for i, text := range texts {
		if s, n := Snippet(text, terms); n > 0 {
			all = append(all, match{i, n, s})
		}
	}
	slices.SortStableFunc(all, func(a, b match) int { return b.found - a.found })
	for _, m := range all[:min(len(all), max)] {
		places, snippets = append(places, m.place), append(snippets, m.snippet)
	}
	return places, snippets
}
