package agent

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"
)

// Bounds of the file tools.
const (
	maxReadBytes  = 1 << 20
	maxEditBytes  = 8 << 20
	maxListed     = 1000
	maxWriteBytes = 8 << 20
)

// read shows a text file, its head and tail when it is long, or a picture.
func (w work) read(ctx context.Context, args ReadFileArgs) (Result, error) {
	file, err := w.computer.ReadFile(ctx, args.Path, maxReadBytes)
	if err != nil {
		return Result{}, err
	}
	if isBinary(file.Content) {
		if r, ok, err := w.picture(ctx, args.Path, file); ok || err != nil {
			return r, err
		}
		return Result{Status: Failed, Text: fmt.Sprintf("error: %s is not text (%d bytes); use shell to look at it", args.Path, file.Bytes)}, nil
	}
	if file.Bytes > int64(len(file.Content)) {
		shown := headAndTail(string(file.Content), MaxToolOutputBytes, "")
		return Result{Status: Done, Text: shown + fmt.Sprintf(
			"\n[shown from the first %d of %d bytes; use shell, such as sed -n '100,200p', for other parts]", len(file.Content), file.Bytes)}, nil
	}
	return Result{Status: Done, Text: headAndTail(string(file.Content), MaxToolOutputBytes,
		fmt.Sprintf("the file has %d bytes; use shell, such as sed -n '100,200p', for other parts", file.Bytes))}, nil
}

// picture is a file as a picture, if it is one.
func (w work) picture(ctx context.Context, path string, file File) (r Result, ok bool, err error) {
	if !strings.HasPrefix(http.DetectContentType(file.Content), "image/") || file.Bytes > MaxPictureBytes {
		return r, false, nil
	}
	if file.Bytes > int64(len(file.Content)) {
		if file, err = w.computer.ReadFile(ctx, path, MaxPictureBytes); err != nil {
			return r, false, err
		}
	}
	p, ok := PictureOf(path, file.Content)
	if !ok {
		return r, false, nil
	}
	text := fmt.Sprintf("[%s is a picture, %s, %d bytes", path, p.Type, p.Bytes)
	if p.Width > 0 {
		text += fmt.Sprintf(", %d x %d pixels", p.Width, p.Height)
	}
	return Result{Status: Done, Text: text + "]", Pictures: []Picture{p}}, true, nil
}

// write replaces a file.
func (w work) write(ctx context.Context, args WriteFileArgs) (Result, error) {
	if len(args.Content) > maxWriteBytes {
		return Result{Status: Invalid, Text: fmt.Sprintf("error: content has %d bytes, at most %d can be written at once", len(args.Content), maxWriteBytes)}, nil
	}
	created, err := w.computer.WriteFile(ctx, args.Path, []byte(args.Content))
	if err != nil {
		return Result{}, err
	}
	change := Change{Path: args.Path, Kind: Modified}
	if created {
		change.Kind = Created
	}
	return Result{Status: Done, Text: fmt.Sprintf("%s %s, %d bytes", change.Kind, args.Path, len(args.Content)), Changes: []Change{change}}, nil
}

// edit replaces the one place where find occurs.
func (w work) edit(ctx context.Context, args EditFileArgs) (Result, error) {
	file, err := w.computer.ReadFile(ctx, args.Path, maxEditBytes)
	if err != nil {
		return Result{}, err
	}
	if file.Bytes > maxEditBytes {
		return Result{Status: Failed, Text: fmt.Sprintf("error: %s has %d bytes, too many to edit; use shell", args.Path, file.Bytes)}, nil
	}
	switch n := bytes.Count(file.Content, []byte(args.Find)); n {
	case 1:
	case 0:
		return Result{Status: Failed, Text: "error: find does not occur in " + args.Path + "; read the file and copy the text exactly"}, nil
	default:
		return Result{Status: Failed, Text: fmt.Sprintf("error: find occurs %d times in %s; add more of the text around it", n, args.Path)}, nil
	}
	content := bytes.Replace(file.Content, []byte(args.Find), []byte(args.Replace), 1)
	if _, err := w.computer.WriteFile(ctx, args.Path, content); err != nil {
		return Result{}, err
	}
	return Result{Status: Done, Text: "edited " + args.Path, Changes: []Change{{Path: args.Path, Kind: Modified}}}, nil
}

// list shows a directory.
func (w work) list(ctx context.Context, args ReadFileArgs) (Result, error) {
	entries, more, err := w.computer.List(ctx, args.Path, maxListed)
	if err != nil {
		return Result{}, err
	}
	var b strings.Builder
	for _, e := range entries {
		switch {
		case e.Dir:
			fmt.Fprintf(&b, "%s/\n", e.Name)
		case e.Link:
			fmt.Fprintf(&b, "%s (link)\n", e.Name)
		default:
			fmt.Fprintf(&b, "%s (%d bytes)\n", e.Name, e.Bytes)
		}
	}
	if len(entries) == 0 {
		b.WriteString("(empty)\n")
	}
	if more {
		fmt.Fprintf(&b, "[only the first %d names are shown; use shell for the rest]\n", maxListed)
	}
	return w.keep(ctx, b.String())
}

// keep shows text within the bound and saves the whole of it when it is longer.
func (w work) keep(ctx context.Context, text string) (Result, error) {
	if len(text) <= MaxToolOutputBytes {
		return Result{Status: Done, Text: text}, nil
	}
	out := &capture{save: func(piece []byte) error { return w.computer.Append(ctx, w.saved, piece) }}
	if _, err := out.Write([]byte(text)); err != nil {
		return Result{}, err
	}
	result := Result{Status: Done, Text: out.text(w.saved)}
	if out.isSaved() {
		result.Saved = w.saved
	}
	return result, nil
}

// isBinary guesses from the start of a file, as grep does.
func isBinary(content []byte) bool {
	start := content[:min(len(content), 8<<10)]
	if bytes.IndexByte(start, 0) >= 0 {
		return true
	}
	bad := 0
	for rest := start; len(rest) > 0; {
		r, n := utf8.DecodeRune(rest)
		if r == utf8.RuneError && n == 1 {
			bad++
		}
		rest = rest[n:]
	}
	return bad > len(start)/10
}
