package proc

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

// TestRecentIsTheEndOfWhatWasAdded holds recent to all that was ever added.
func TestRecentIsTheEndOfWhatWasAdded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r recent
		var all []byte
		pieces := rapid.SliceOfN(rapid.IntRange(0, ptyChunkBytes), 0, 30).Draw(t, "pieces")
		for i, n := range pieces {
			piece := bytes.Repeat([]byte{byte('a' + i)}, n)
			if i%3 == 0 && n > 0 {
				piece[n-1] = '\n'
			}
			all = append(all, piece...)
			r.add(piece)
			got := r.bytes()
			if !bytes.HasSuffix(all, got) {
				t.Fatalf("after %d bytes it is not their end", len(all))
			}
			if len(got) > RecallBytes || len(r.kept) > 2*RecallBytes {
				t.Fatalf("%d bytes, of %d", len(got), len(r.kept))
			}
			if len(all) <= RecallBytes && len(got) != len(all) {
				t.Fatalf("%d bytes of %d, which fit", len(got), len(all))
			}
			if cut := all[len(all)-len(got):]; len(cut) < len(all) && len(cut) < RecallBytes && all[len(all)-len(cut)-1] != '\n' {
				t.Fatalf("it begins inside a line")
			}
		}
	})
}
