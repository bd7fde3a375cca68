package workspace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"unicode/utf8"

	"github.com/bothy-computer/bothy/runtime"
)

// verb is how one operation is checked and done.
type verb struct {
	mutates bool
	check   func(Op) error // nil when path and content are all there is to it
	do      func(*FS, context.Context, Op) (Result, error)
}

var verbs = map[Verb]verb{
	ReadText:   {do: (*FS).doReadText},
	ReadBytes:  {do: (*FS).doReadBytes},
	ReadRange:  {do: (*FS).doReadRange, check: func(op Op) error { return errors.Join(checkOffset(op.Offset), checkLength(op.Length)) }},
	List:       {do: (*FS).doList},
	Stat:       {do: (*FS).doStat},
	Exists:     {do: (*FS).doExists},
	Grep:       {do: (*FS).doGrep, check: checkGrep},
	WriteText:  {mutates: true, do: (*FS).doWriteText, check: checkMode},
	WriteBytes: {mutates: true, do: (*FS).doWriteBytes, check: checkMode},
	WriteRange: {mutates: true, do: (*FS).doWriteRange, check: func(op Op) error { return checkOffset(op.Offset) }},
	Mkdir:      {mutates: true, do: (*FS).doMkdir},
	Move:       {mutates: true, do: (*FS).doMove, check: checkMove},
	Remove:     {mutates: true, do: (*FS).doRemove},
	Patch:      {mutates: true, do: (*FS).doPatch, check: checkPatch},
}

// asField says in which field a bad path was.
func asField(field string, err error) error {
	return &FieldError{field, strings.TrimPrefix(err.Error(), runtime.ErrInvalid.Error()+": ")}
}

func checkMode(op Op) error {
	if op.Mode > maxMode {
		return wrong("mode", "%d is over %d (octal 777); it is a decimal number of permissions", op.Mode, maxMode)
	}
	return nil
}

func checkMove(op Op) error {
	if op.To == "" {
		return wrong("to", "it is empty")
	}
	if _, err := Clean(op.To); err != nil {
		return asField("to", err)
	}
	return nil
}

func checkPatch(op Op) error {
	if op.SetContents == nil {
		return checkEdits(op.Edits)
	}
	if len(*op.SetContents) > MaxContentBytes {
		return wrong("set_contents", "it has %d bytes, more than %d", len(*op.SetContents), MaxContentBytes)
	}
	return nil
}

func checkGrep(op Op) error {
	if op.Pattern == "" {
		return wrong("pattern", "it is empty")
	}
	if op.MaxMatches < 0 || op.MaxMatches > MaxMatches {
		return wrong("max_matches", "it is %d; it is from 1 to %d, or left out", op.MaxMatches, MaxMatches)
	}
	_, err := op.grep().compile()
	return err
}

func (op Op) grep() GrepOptions {
	return GrepOptions{Pattern: op.Pattern, Regex: op.Regex, IgnoreCase: op.IgnoreCase, Limit: op.MaxMatches}
}

func (w *FS) doReadText(_ context.Context, op Op) (Result, error) {
	data, err := w.ReadFile(op.Path, MaxContentBytes)
	if err != nil {
		return Result{}, err
	}
	if !utf8.Valid(data) {
		return Result{}, fmt.Errorf("%w: %.200s is not UTF-8 text; use read_bytes", runtime.ErrInvalid, op.Path)
	}
	text := string(data)
	return Result{Content: &text}, nil
}

func (w *FS) doReadBytes(_ context.Context, op Op) (Result, error) {
	data, err := w.ReadFile(op.Path, MaxContentBytes)
	return Result{ContentBase64: data}, err
}

func (w *FS) doReadRange(_ context.Context, op Op) (Result, error) {
	data, err := w.ReadRange(op.Path, op.Offset, op.Length)
	return Result{ContentBase64: data}, err
}

func (w *FS) doWriteText(ctx context.Context, op Op) (Result, error) {
	return w.write(ctx, op, []byte(op.Content))
}

func (w *FS) doWriteBytes(ctx context.Context, op Op) (Result, error) {
	return w.write(ctx, op, op.ContentBase64)
}

func (w *FS) write(ctx context.Context, op Op, content []byte) (Result, error) {
	mode := fs.FileMode(defaultFileMode)
	if op.Mode > 0 {
		mode = fs.FileMode(op.Mode)
	}
	_, err := w.Write(ctx, op.Path, bytes.NewReader(content), WriteOptions{Mode: mode})
	return Result{}, err
}

func (w *FS) doWriteRange(ctx context.Context, op Op) (Result, error) {
	return Result{}, w.WriteRange(ctx, op.Path, op.Offset, op.ContentBase64)
}

func (w *FS) doList(ctx context.Context, op Op) (Result, error) {
	opts := ListOptions{Depth: max(1, op.Depth)}
	if op.Recursive {
		opts.Depth = MaxDepth
	}
	all, err := w.List(ctx, op.Path, opts)
	if err != nil {
		return Result{}, err
	}
	bytes := 0
	items := make([]Item, 0, len(all.Entries))
	for _, e := range all.Entries {
		item := itemOf(e)
		item.Name = path.Base(e.Path)
		items = append(items, item)
		bytes += len(e.Path)
	}
	if all.Truncated || bytes > MaxListBytes {
		return Result{}, fmt.Errorf("%w: there is more below %.200s than one reply lists, which is %d entries and %d bytes of paths; list its directories", runtime.ErrInvalid, op.Path, MaxEntries, MaxListBytes)
	}
	return Result{Entries: items}, nil
}

func (w *FS) doStat(_ context.Context, op Op) (Result, error) {
	e, err := w.Stat(op.Path)
	if err != nil {
		return Result{}, err
	}
	item := itemOf(e)
	return Result{Stat: &item}, nil
}

func (w *FS) doExists(_ context.Context, op Op) (Result, error) {
	there, err := w.Exists(op.Path)
	return Result{Exists: &there}, err
}

func (w *FS) doGrep(ctx context.Context, op Op) (Result, error) {
	found, err := w.Grep(ctx, op.Path, op.grep())
	if err != nil {
		return Result{}, err
	}
	if found.Matches == nil {
		found.Matches = []Match{}
	}
	return Result{Matches: found.Matches, Truncated: found.Truncated}, nil
}

func (w *FS) doMkdir(_ context.Context, op Op) (Result, error) {
	if op.Recursive {
		return Result{}, w.MkdirAll(op.Path)
	}
	return Result{}, w.Mkdir(op.Path)
}

func (w *FS) doMove(_ context.Context, op Op) (Result, error) {
	return Result{}, w.Move(op.Path, op.To)
}

func (w *FS) doRemove(ctx context.Context, op Op) (Result, error) {
	return Result{}, w.Remove(ctx, op.Path, op.Recursive)
}

func (w *FS) doPatch(ctx context.Context, op Op) (Result, error) {
	if op.SetContents == nil {
		version, err := w.Patch(ctx, op.Path, op.Edits)
		return Result{Version: &version}, err
	}
	content := []byte(*op.SetContents)
	version := Version(content)
	_, err := w.Write(ctx, op.Path, bytes.NewReader(content), WriteOptions{})
	return Result{Version: &version}, err
}
