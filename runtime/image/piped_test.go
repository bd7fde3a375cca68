package image

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

func TestAPipesErrorIsOfWhoFailedFirst(t *testing.T) {
	broken, refused := errors.New("broken"), errors.New("refused")
	say := func(end error) func(io.Writer) error {
		return func(to io.Writer) error {
			if _, err := io.WriteString(to, "said"); err != nil {
				return fmt.Errorf("say: %w", err)
			}
			return end
		}
	}
	all := func(from io.Reader) error {
		text, err := io.ReadAll(from)
		if err == nil && string(text) != "said" {
			err = fmt.Errorf("read %q", text)
		}
		if err != nil {
			return fmt.Errorf("hear: %w", err)
		}
		return nil
	}
	for name, tt := range map[string]struct {
		write func(io.Writer) error
		read  func(io.Reader) error
		want  error
	}{
		"nobody":                       {say(nil), all, nil},
		"the writer":                   {say(broken), all, broken},
		"the reader":                   {say(nil), func(io.Reader) error { return refused }, refused},
		"the reader, and so the other": {say(broken), func(io.Reader) error { return refused }, refused},
		"the writer at the very start": {func(io.Writer) error { return broken }, all, broken},
	} {
		t.Run(name, func(t *testing.T) {
			if err := piped(tt.write, tt.read); !errors.Is(err, tt.want) || err != nil && strings.Contains(err.Error(), errCut.Error()) {
				t.Errorf("%v, want %v", err, tt.want)
			}
		})
	}
}
