package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/bothy-computer/bothy/httpapi/wire"
)

// What -o may be.
const (
	formatTable = "table"
	formatJSON  = "json"
)

// maxCellRunes bounds a table's cell, so that a row stays a line.
const maxCellRunes = 60

// column is one property of a thing: a column in a list, a line of its own when
// one thing is shown.
type column[T any] struct {
	head string
	cell func(T) string
	long bool // only shown for one thing
}

// print writes any value as JSON.
func (t *terminal) print(v any) error {
	enc := json.NewEncoder(t.out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// showList writes a page of things.
func showList[T any](t *terminal, page wire.List[T], columns []column[T]) error {
	if t.json() {
		return t.print(page)
	}
	if err := table(t.out, page.Data, columns); err != nil {
		return err
	}
	if page.HasMore {
		fmt.Fprintf(t.err, "%d of %d; more with --limit and --offset\n", len(page.Data), page.TotalCount)
	}
	return nil
}

func table[T any](out io.Writer, rows []T, columns []column[T]) error {
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	var heads []string
	for _, c := range columns {
		if !c.long {
			heads = append(heads, strings.ToUpper(c.head))
		}
	}
	fmt.Fprintln(w, strings.Join(heads, "\t"))
	for _, row := range rows {
		var cells []string
		for _, c := range columns {
			if !c.long {
				cells = append(cells, cell(c.cell(row)))
			}
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	return w.Flush()
}

// showOne writes one thing, a line for each property.
func showOne[T any](t *terminal, thing T, columns []column[T]) error {
	if t.json() {
		return t.print(thing)
	}
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	for _, c := range columns {
		if text := plain(c.cell(thing)); text != "" {
			fmt.Fprintf(w, "%s\t%s\n", c.head, text)
		}
	}
	return w.Flush()
}

// cell is text that fits a table.
func cell(text string) string {
	text = plain(text)
	if text == "" {
		return "-"
	}
	if runes := []rune(text); len(runes) > maxCellRunes {
		return string(runes[:maxCellRunes-1]) + "…"
	}
	return text
}

// plain takes out what would move a terminal's cursor: names and titles are
// what others wrote.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || (r >= 0x7f && r < 0xa0) {
			return ' '
		}
		return r
	}, text)
}

// or is a value that may be absent.
func or[T ~string](v *T) string {
	if v == nil {
		return ""
	}
	return string(*v)
}

// yes is a mark for what is so.
func yes(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}

// when is a time for people.
func when(at *wire.Time) string {
	if at == nil || at.IsZero() {
		return ""
	}
	return at.Local().Format("2006-01-02 15:04:05")
}
